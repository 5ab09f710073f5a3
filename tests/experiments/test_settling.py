"""The demonstration's reckoning: what its own visitors were sent, beside what is counted of everybody."""

import threading
import time
from collections.abc import Sequence

import pytest

from experiments import counting
from experiments.demo.demonstration import COUNTING_SECONDS, compare, settle
from experiments.demo.visitors import Sent
from experiments.models import Experiment
from experiments.reporting.report import build
from experiments.splitter import records
from tests.experiments.test_counting import chunks, conversion, exposure, store_with
from tests.factories import make_running

pytestmark = pytest.mark.django_db

STRANGER = 100  # from this number on, visitors are not the demonstration's


def sent_visitors(visitors: int, *, conversions: int) -> Sent:
    return Sent(exposures={"control": visitors}, conversions={"control": conversions})


def own(experiment: Experiment, number: int, sent: Sent) -> records.Exposure:
    return exposure(experiment, number, attributes={"utm_id": f"{sent.mark}-{number}"})


def stranger(experiment: Experiment, number: int, **attributes: str) -> records.Exposure:
    return exposure(experiment, STRANGER + number, arm="v2", attributes=attributes)


def count(batch: Sequence[records.Record]) -> None:
    counting.count(store_with(*chunks([batch])))


@pytest.fixture
def experiment() -> Experiment:
    return make_running()


def test_nobody_else_came_when_what_was_sent_is_counted(experiment):
    sent = sent_visitors(2, conversions=1)
    count([own(experiment, 1, sent), own(experiment, 2, sent), conversion(experiment, 1)])
    reckoned = compare(experiment, sent)
    assert reckoned.agrees
    assert reckoned.others == {}
    assert reckoned.sent == reckoned.counted == {"control": {"exposures": 2, "conversions": 1}}


def test_visits_and_conversions_of_strangers_are_told_apart_and_agree(experiment):
    sent = sent_visitors(1, conversions=0)
    visits = [stranger(experiment, 1), stranger(experiment, 2, utm_id="spring")]
    count([own(experiment, 1, sent), *visits, conversion(experiment, STRANGER + 2, arm="v2")])
    reckoned = compare(experiment, sent)
    assert reckoned.sent == {"control": {"exposures": 1, "conversions": 0}}
    assert reckoned.others == {"v2": {"exposures": 2, "conversions": 1}}
    assert reckoned.counted == {**reckoned.sent, **reckoned.others}
    assert reckoned.agrees


def test_a_stranger_does_not_make_up_for_a_visitor_who_is_missing(experiment):
    sent = sent_visitors(2, conversions=0)
    count([own(experiment, 1, sent), exposure(experiment, STRANGER)])
    assert not compare(experiment, sent).agrees


def test_visitors_of_an_earlier_run_are_strangers_to_this_one(experiment):
    earlier, sent = sent_visitors(1, conversions=0), sent_visitors(1, conversions=0)
    count([own(experiment, 1, earlier), own(experiment, 2, sent)])
    assert compare(experiment, sent).others == {"control": {"exposures": 1, "conversions": 0}}


def test_a_page_without_an_answer_is_nobodys_but_the_runs(experiment):
    sent = sent_visitors(1, conversions=0)
    sent.unanswered.append(f"{sent.mark}-2")
    count([own(experiment, 1, sent), own(experiment, 2, sent)])
    reckoned = compare(experiment, sent)
    assert (reckoned.unanswered_but_counted, reckoned.others, reckoned.agrees) == (1, {}, True)


def test_strangers_do_not_hold_up_the_settling(experiment):
    sent = sent_visitors(1, conversions=0)
    count([own(experiment, 1, sent), stranger(experiment, 1)])
    started = time.monotonic()
    assert settle(experiment, sent, stopping=threading.Event()).agrees
    assert time.monotonic() - started < COUNTING_SECONDS / 2


def test_the_reckoning_holds_the_reports_own_sentence(experiment):
    assert compare(experiment, Sent()).verdict == build(experiment).verdict.text
