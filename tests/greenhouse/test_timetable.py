"""The timetable's clock. What setting the system's clock does to all of Greenhouse: tests/faults/test_clock.py."""

from datetime import timedelta

from greenhouse.celery import app, steady_now


def test_every_part_comes_round_by_a_clock_that_is_never_set():
    for name, entry in app.conf.beat_schedule.items():
        due = entry["schedule"]
        assert due.now() - steady_now() < timedelta(seconds=1), name
        assert due.nowfun is steady_now, name
        assert due.is_due(steady_now() - due.run_every).is_due
        assert not due.is_due(steady_now()).is_due
