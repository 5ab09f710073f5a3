"""Redis and PostgreSQL stopped, killed, cut off, frozen, emptied, full and locked: no visitor notices, nothing is lost.

In the full form each fault by itself, for as long as FAULT_SECONDS says; in the short form one load and one wait serve
all faults of a server.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.faults.conftest import IS_FULL
from tests.faults.rig import Rig

type Fault = Callable[[Rig, float], None]

STEADY_SECONDS = 1.0  # of load before and after a fault
BETWEEN_FLUSHES_SECONDS = 12.0  # a shipper notices after ten
BETWEEN_CUTS_SECONDS = 2.0


def redis_stopped(rig: Rig, seconds: float) -> None:
    rig.redis.stop()
    time.sleep(seconds)
    rig.redis.start()


def redis_killed(rig: Rig, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        rig.redis.kill()
        time.sleep(1)
        rig.redis.start()
        time.sleep(1)


def redis_frozen(rig: Rig, seconds: float) -> None:
    with rig.redis.frozen():
        time.sleep(seconds)


def redis_full(rig: Rig, seconds: float) -> None:
    with rig.redis.full():
        time.sleep(seconds)


def redis_emptied(rig: Rig, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        with rig.redis.client() as redis:
            redis.flushall()
        time.sleep(min(seconds, BETWEEN_FLUSHES_SECONDS))


def redis_started_empty(rig: Rig, seconds: float) -> None:
    rig.redis.kill()
    rig.redis.forget()
    time.sleep(1)
    rig.redis.start()
    time.sleep(seconds)


@contextmanager
def locked(rig: Rig, table: str) -> Iterator[None]:
    """Hold a table so that nobody else can even read it, as a careless ALTER TABLE does."""
    # A server that was killed meanwhile has let go of it by itself.
    with suppress(psycopg.OperationalError), rig.postgres.connection() as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def waiting(rig: Rig) -> bool:
    """Tell whether a transaction stands in the middle, waiting for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'"
    return bool(rig.postgres.rows(sql)[0][0])


def postgres_stopped(rig: Rig, seconds: float) -> None:
    rig.postgres.stop()
    time.sleep(seconds)
    rig.postgres.start()


def postgres_killed_while_counting(rig: Rig, seconds: float) -> None:
    """Kill it after the rows were inserted and before the epoch counts, which the lock keeps from being written."""
    give_up = time.monotonic() + seconds
    while True:
        with locked(rig, "experiments_epochcount"):
            rig.wait_until(lambda: waiting(rig), "a counting transaction stands in the middle")
            rig.postgres.kill()
        rig.postgres.start()
        time.sleep(STEADY_SECONDS)
        if time.monotonic() > give_up:
            return


def postgres_cut_while_counting(rig: Rig, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while True:
        with locked(rig, "experiments_epochcount"):
            rig.wait_until(lambda: waiting(rig), "a counting transaction stands in the middle")
            rig.postgres.cut_connections()
        time.sleep(BETWEEN_CUTS_SECONDS)
        if time.monotonic() > give_up:
            return


def postgres_exposures_locked(rig: Rig, seconds: float) -> None:
    with locked(rig, "experiments_exposure"):
        time.sleep(seconds)


OF_REDIS: list[Fault] = [redis_stopped, redis_killed, redis_frozen, redis_full, redis_emptied, redis_started_empty]
OF_POSTGRES: list[Fault] = [
    postgres_stopped, postgres_killed_while_counting, postgres_cut_while_counting, postgres_exposures_locked,
]  # fmt: skip
FORMS = [[fault] for fault in [*OF_REDIS, *OF_POSTGRES]] if IS_FULL else [OF_REDIS, OF_POSTGRES]


@pytest.mark.parametrize("faults", FORMS, ids=lambda faults: "+".join(fault.__name__ for fault in faults))
def test_visitors_do_not_notice_and_everything_is_counted_once(rig, fault_seconds, assert_exact, faults):
    visitors = rig.visitors(rig.plant(), per_second=150)
    with visitors.coming() as ledger:
        time.sleep(STEADY_SECONDS)
        for fault in faults:
            fault(rig, fault_seconds)
            time.sleep(STEADY_SECONDS)
    assert_exact(rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)
