"""People who take their consent back or ask to be erased: their rows go, totals stay, and nothing comes back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments import counting, erasure, retention
from experiments.models import Conversion, Experiment, Exposure, ForgottenVisitor, Lead, RefusedRecord, Tally
from experiments.splitter import records
from tests.experiments.test_counting import HOUR_MS, NOON_MS, chunks, conversion, counted, exposure, store_with
from tests.factories import make_running

pytestmark = pytest.mark.django_db

NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)


def lead(experiment: Experiment, number: int, **changes: Any) -> records.Lead:
    values: dict[str, Any] = {
        "experiment": experiment.pk,
        "visitor": f"{number:032x}",
        "arm": "control",
        "at_ms": NOON_MS + 1000,
        "lead_id": f"{number:032d}",
        "fields": {"email": "jane@canary.example"},
    }
    return records.Lead(**values | changes)


def forget(experiment: Experiment, number: int) -> records.Forget:
    return records.Forget(
        experiment=experiment.pk, visitor=f"{number:032x}", exposed_ms=NOON_MS, at_ms=NOON_MS + HOUR_MS
    )


def visit(experiment: Experiment, number: int) -> list[records.Record]:
    return [exposure(experiment, number), conversion(experiment, number), lead(experiment, number)]


def rows() -> tuple[int, int, int]:
    return Exposure.objects.count(), Conversion.objects.count(), Lead.objects.count()


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_withdrawal_deletes_the_rows_and_keeps_the_totals(in_one_batch: bool):  # noqa: FBT001
    experiment = make_running()
    before: list[records.Record] = [*visit(experiment, 1), *visit(experiment, 2)]
    batches: list[list[records.Record]] = (
        [[*before, forget(experiment, 1)]] if in_one_batch else [before, [forget(experiment, 1)]]
    )
    for chunk in chunks(batches):
        counting.count(store_with(chunk))
    assert rows() == (1, 1, 1)
    assert not Exposure.objects.filter(visitor=f"{1:032x}").exists()
    assert (counted(experiment), counted(experiment, "signup")) == (2, 2)
    assert Tally.objects.get(kind="forgotten").count == 1


def test_what_arrives_after_a_withdrawal_is_neither_kept_nor_counted():
    experiment = make_running()
    late: list[records.Record] = [conversion(experiment, 1), lead(experiment, 1), forget(experiment, 1)]
    for chunk in chunks([[exposure(experiment, 1), forget(experiment, 1)], late]):
        counting.count(store_with(chunk))
    assert rows() == (0, 0, 0)
    assert (counted(experiment), counted(experiment, "signup")) == (1, 0)
    assert dict(Tally.objects.values_list("kind", "count")) == {"after_forgetting": 1, "forgotten": 1}


@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_was_done_after_a_withdrawal_is_left_out_wherever_it_stands_in_the_same_batch(place: int):
    experiment = make_running()
    wish = forget(experiment, 1)
    early = conversion(experiment, 1, at_ms=wish.at_ms - 1)
    late: list[records.Record] = [
        conversion(experiment, 1, at_ms=wish.at_ms, goal="click"),
        lead(experiment, 1, at_ms=wish.at_ms + 1),
    ]
    batch: list[records.Record] = [exposure(experiment, 1), early, *late]
    batch.insert(place, wish)
    counting.count(store_with(*chunks([[*batch, *visit(experiment, 2)]])))
    assert (counted(experiment), counted(experiment, "signup"), counted(experiment, "click")) == (2, 2, 0)
    assert (rows(), Tally.objects.get(kind="after_forgetting").count) == ((1, 1, 1), 1)


def test_withdrawing_twice_in_one_batch_is_withdrawing_once():
    experiment = make_running()
    wish = forget(experiment, 1)
    again = replace(wish, at_ms=wish.at_ms - 1)
    counting.count(store_with(*chunks([[*visit(experiment, 1), wish, again]])))
    assert (rows(), counted(experiment, "signup")) == ((0, 0, 0), 1)
    assert dict(Tally.objects.values_list("kind", "count")) == {"forgotten": 1}


def test_a_conversion_reported_by_another_server_stays_out_as_well():
    experiment = make_running()
    counting.count(store_with(*chunks([[exposure(experiment, 1), forget(experiment, 1)]])))
    counting.count_directly(conversion(experiment, 1))
    assert (rows(), counted(experiment, "signup")) == ((0, 0, 0), 0)


def test_forgetting_in_one_experiment_leaves_the_others():
    one, other = make_running(), make_running()
    counting.count(store_with(*chunks([[*visit(one, 1), *visit(other, 1), forget(one, 1)]])))
    assert rows() == (1, 1, 0)  # both leads bear the same id, so only the first was kept, and that one is erased
    assert Exposure.objects.get().experiment_id == other.pk


def test_no_visitors_id_is_kept_of_those_who_were_forgotten():
    experiment = make_running()
    counting.count(store_with(*chunks([[exposure(experiment, 1), forget(experiment, 1)]])))
    assert ForgottenVisitor.objects.get().digest != f"{1:032x}"


def test_a_withdrawal_from_an_experiment_that_is_gone_is_no_fault():
    experiment = make_running()
    request = records.Forget(experiment=4711, visitor="a" * 32, exposed_ms=NOON_MS, at_ms=NOON_MS)
    found = counting.count(store_with(*chunks([[request, exposure(experiment, 1)]])))
    assert (found.refused, counted(experiment)) == (0, 1)


def test_erasing_a_lead_erases_the_visit_behind_it_and_nobody_elses():
    experiment = make_running()
    counting.count(store_with(*chunks([[*visit(experiment, 1), *visit(experiment, 2)]])))
    erasure.erase_lead(Lead.objects.get(visitor=f"{1:032x}"))
    assert rows() == (1, 1, 1)
    assert (counted(experiment), counted(experiment, "signup")) == (2, 2)
    counting.count(store_with(*chunks([visit(experiment, 1)], journal="b" * 32)))
    assert rows() == (1, 1, 1)


def test_a_lead_without_a_visitor_is_erased_alone():
    experiment = make_running()
    counting.count(store_with(*chunks([[exposure(experiment, 1), lead(experiment, 2, visitor="", arm="")]])))
    erasure.erase_lead(Lead.objects.get())
    assert rows() == (1, 0, 0)
    assert not ForgottenVisitor.objects.exists()


def test_a_refused_record_of_the_erased_goes_too():
    experiment = make_running()
    bad = lead(experiment, 1)
    kept = Lead.objects.create(
        lead_id=bad.lead_id, experiment=experiment, visitor=bad.visitor, values={}, submitted_at=NOON
    )
    RefusedRecord.objects.create(journal="a" * 32, record=repr(bad), reason="a test")
    erasure.erase_lead(kept)
    assert not RefusedRecord.objects.exists()


def test_leads_refused_records_and_digests_go_when_they_are_over_age(settings: Any):
    settings.LEAD_RETENTION_DAYS = 100
    experiment, now = make_running(), timezone.now()
    for days in (99, 101):
        at = now - timedelta(days=days)
        Lead.objects.create(lead_id=str(days), experiment=experiment, values={}, submitted_at=at)
    for days in (29, 31):
        RefusedRecord.objects.create(journal="a", record="x", reason="y", refused_at=now - timedelta(days=days))
    for days in (399, 401):
        at = now - timedelta(days=days)
        ForgottenVisitor.objects.create(experiment=experiment, digest=str(days), forgotten_at=at)
    retention.enforce_retention(now)
    assert Lead.objects.get().lead_id == "99"
    assert (RefusedRecord.objects.count(), ForgottenVisitor.objects.get().digest) == (1, "399")


def test_with_no_retention_leads_stay(settings: Any):
    settings.LEAD_RETENTION_DAYS = 0
    now = timezone.now()
    Lead.objects.create(lead_id="1", experiment=make_running(), values={}, submitted_at=now - timedelta(days=5000))
    retention.enforce_retention(now)
    assert Lead.objects.exists()


def test_a_refused_lead_leaves_what_was_written_out_of_the_log(caplog: pytest.LogCaptureFixture):
    counting.count(store_with(*chunks([[replace(lead(make_running(), 1), experiment=4711)]])))
    refused = RefusedRecord.objects.get()
    assert "jane@canary.example" in refused.record  # for a person to read, until it is over age
    assert "jane@canary.example" not in refused.reason + caplog.text
