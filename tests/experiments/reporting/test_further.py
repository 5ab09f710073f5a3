"""The replay, numbers set aside and the outlook, as a report tells them."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from experiments import outlook
from experiments.models import Experiment
from experiments.reporting.report import as_json, build
from tests.experiments.reporting.made import make_counted
from tests.factories import there

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]


def test_an_equal_split_is_replayed():
    replay = build(make_counted([(1000, 40), (1000, 60)])).replay
    assert replay is not None
    assert replay.earned == 100
    assert replay.equal_split == pytest.approx(100)
    assert "100 conversions were earned" in replay.text


def test_too_few_conversions_are_not_replayed():
    assert build(make_counted([(100, 4), (100, 6)])).replay is None


def test_numbers_set_aside_are_told_and_nothing_is_computed_from_them():
    experiment = make_counted([(1000, 40), (500, 60)])
    Experiment.objects.filter(pk=experiment.pk).update(trusted_from_epoch=2)
    experiment.refresh_from_db()
    report = build(experiment)
    assert (report.set_aside, report.exposures, report.conversions) == (1500, 0, 0)


def test_a_frozen_experiment_is_not_trusted_even_if_the_split_looks_right_again():
    experiment = make_counted([(5000, 200), (5000, 260)])
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=timezone.now())
    experiment.refresh_from_db()
    report = build(experiment)
    assert report.verdict.state == "cannot_be_trusted"
    assert "Shares stand still" in report.verdict.text
    assert as_json(report)["frozen_at"]


# How long still


def looked_ahead(counts: list[tuple[int, int]], *, days: float) -> Experiment:
    experiment = make_counted(counts, policy="equal", control_share=0.0)
    now = timezone.now()
    Experiment.objects.filter(pk=experiment.pk).update(started_at=now - timedelta(days=days))
    experiment.refresh_from_db()
    outlook.renew(experiment, now)
    experiment.refresh_from_db()
    return experiment


def test_a_lead_will_soon_be_decided():
    told = build(looked_ahead([(2000, 60), (2000, 84)], days=2)).outlook
    assert told is not None
    assert told.days is not None
    assert told.better_days is not None
    assert told.better_days <= told.days
    assert "will probably be known within" in told.text


def test_what_is_decided_needs_no_outlook():
    assert build(looked_ahead([(5000, 150), (5000, 230)], days=2)).outlook is None


def test_a_trickle_of_visitors_will_not_decide():
    told = build(looked_ahead([(30, 1), (30, 2)], days=20)).outlook
    assert told is not None
    assert (told.days, told.better_days) == (None, None)
    assert "not be known within 28 days" in told.text


def test_there_is_no_outlook_before_there_is_a_pace():
    assert looked_ahead([(30, 1), (30, 2)], days=0.01).outlook is None


def outlook_text(counts: list[tuple[int, int]], **told: Any) -> str:
    """Return what a report says whose outlook was computed as told."""
    experiment = make_counted(counts)
    known = {"days": None, "days_at_most": None, "horizon_days": 28, "live": len(counts), "arms_afforded": 4}
    Experiment.objects.filter(pk=experiment.pk).update(outlook=known | told)
    experiment.refresh_from_db()
    found = build(experiment).outlook
    assert found is not None
    return found.text


EVEN, AHEAD, SURE = (2000, 80), (2000, 115), (2000, 160)


def test_beside_a_strong_leader_nobody_is_told_to_try_other_pages():
    text = outlook_text([EVEN, AHEAD, EVEN])
    assert "takes more visitors" in text
    assert "bolder" not in text


def test_where_a_page_is_surely_better_there_is_no_need_to_wait_for_the_best():
    assert "no need to wait" in outlook_text([EVEN, SURE, SURE])


def test_that_a_page_beats_today_s_is_told_apart_from_which_is_best():
    text = outlook_text([EVEN, AHEAD, EVEN], better_days=5.0, better_days_at_most=14.0)
    assert "better than today's will probably be sure within 5 days, very probably within 14" in text
    assert "Which of all pages is best will probably not be known within 28 days." in text


def test_only_pages_that_are_alike_are_told_to_be_bolder():
    assert "Try fewer or bolder pages." in outlook_text([EVEN, EVEN, EVEN])
    assert "Try a bolder page." in outlook_text([EVEN, EVEN])


def test_far_too_many_pages_for_the_traffic_are_told():
    text = outlook_text([EVEN, EVEN], days=3.0, live=20)
    assert text.endswith("20 pages are live; this traffic earns most with about 4.")


def test_of_many_pages_the_likeliest_to_be_best_are_followed_and_the_report_says_so(monkeypatch):
    monkeypatch.setattr(outlook, "MOST_ARMS", 2)
    experiment = looked_ahead([(2000, 60), (2000, 84), (2000, 20), (2000, 30)], days=2)
    assert (there(experiment.outlook)["live"], there(experiment.outlook)["followed"]) == (4, 2)
    assert "Worked out for the 2 pages likeliest to be best." in build(experiment).verdict.when
