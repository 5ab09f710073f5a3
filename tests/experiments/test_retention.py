"""Retention: rows go when they are over age, and nothing that a report says changes."""

from datetime import UTC, datetime, timedelta

import pytest

from experiments import counting
from experiments.models import Conversion, Delivery, Destination, EpochCount, Exposure, Notice, Tally
from experiments.reporting.report import build
from experiments.retention import enforce_retention
from experiments.splitter.tallies import LATE
from tests.experiments.test_counting import NOON_MS, chunks, conversion, counted, exposure, store_with
from tests.factories import make_running

pytestmark = pytest.mark.django_db

NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)
OVER_AGE = timedelta(days=800)


def test_rows_over_age_go_and_totals_and_report_stay():
    experiment = make_running()
    counting.count(store_with(*chunks([[exposure(experiment, 1), conversion(experiment, 1)]])))
    totals, report = list(EpochCount.objects.values()), build(experiment)
    enforce_retention(NOON + OVER_AGE)
    assert (Exposure.objects.count(), Conversion.objects.count()) == (0, 0)
    assert list(EpochCount.objects.values()) == totals
    assert [(arm.exposures, arm.conversions) for arm in build(experiment).arms] == [
        (arm.exposures, arm.conversions) for arm in report.arms
    ]


def test_younger_rows_stay_and_a_second_run_changes_nothing():
    experiment = make_running()
    counting.count(store_with(*chunks([[exposure(experiment, 1), conversion(experiment, 1)]])))
    for _ in range(2):
        enforce_retention(NOON + timedelta(days=700))
    assert (Exposure.objects.count(), Conversion.objects.count()) == (1, 1)


def test_a_conversion_of_somebody_forgotten_is_not_counted_again(settings):
    settings.EVENT_RETENTION_DAYS = 1
    experiment = make_running()
    exposed_ms = int((datetime.now(UTC) - timedelta(days=2)).timestamp() * 1000)
    old = conversion(experiment, 1, exposed_ms=exposed_ms, at_ms=exposed_ms + 1000)
    counting.count_directly(old)
    assert counted(experiment, "signup") == 0
    assert Tally.objects.get(kind=LATE).count == 1


def test_more_rows_than_one_statement_deletes_all_go(monkeypatch):
    monkeypatch.setattr("experiments.retention.ROWS_PER_STATEMENT", 3)
    experiment = make_running()
    old = [exposure(experiment, number, exposed_ms=number) for number in range(10)]
    counting.count(store_with(*chunks([[*old, exposure(experiment, 11)]])))
    enforce_retention(NOON)
    assert Exposure.objects.count() == 1


@pytest.mark.parametrize(
    ("topic", "days_since_its_end", "status", "stays"),
    [
        ("unhealthy", 91, "sent", False),
        ("unhealthy", 89, "sent", True),
        ("unhealthy", None, "sent", True),  # it lasts: nobody is told again
        ("unhealthy", 91, "waiting", True),  # still on its way
        ("digest", None, "given up", False),  # told of a moment, and has no end
    ],
)
def test_notices_go_ninety_days_after_their_end(topic: str, days_since_its_end: int | None, status: str, stays: bool):  # noqa: FBT001
    now = datetime.now(UTC)
    ended = now - timedelta(days=days_since_its_end) if days_since_its_end else None
    notice = Notice.objects.create(
        topic=topic, cause="c", text="T.", created_at=now - timedelta(days=200), ended_at=ended
    )
    destination = Destination.objects.create(kind="slack", address="https://hooks.example/x", topics=[topic])
    Delivery.objects.create(notice=notice, destination=destination, message_id="m", status=status)
    enforce_retention(now)
    assert (Notice.objects.exists(), Delivery.objects.exists()) == (stays, stays)
