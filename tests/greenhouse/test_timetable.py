"""The timetable's clock, and its way back to Redis.

What setting the system's clock does to all of Greenhouse: tests/faults/test_clock.py.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from greenhouse.celery import app, steady_now


def test_every_part_comes_round_by_a_clock_that_is_never_set():
    for name, entry in app.conf.beat_schedule.items():
        due = entry["schedule"]
        assert due.now() - steady_now() < timedelta(seconds=1), name
        assert due.nowfun is steady_now, name
        assert due.is_due(steady_now() - due.run_every).is_due
        assert not due.is_due(steady_now()).is_due


@pytest.mark.parametrize("connect", [app.connection_for_read, app.connection_for_write])
def test_workers_and_timetable_look_for_a_redis_that_is_away_every_two_seconds(connect, tmp_path: Path):
    waits: list[float] = []
    connection = connect(f"redis+socket://{tmp_path}/redis.sock")
    with pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, seconds: waits.append(seconds), max_retries=2)
    assert waits == [2, 2]
    assert app.conf.broker_connection_max_retries is None
