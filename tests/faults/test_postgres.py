"""PostgreSQL stopped, killed in the middle of counting, its connections cut, its tables locked."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.faults.rig import Rig

type Fault = Callable[[Rig, float], None]

STEADY_SECONDS = 1.0
BETWEEN_CUTS_SECONDS = 2.0


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


def stopped(rig: Rig, seconds: float) -> None:
    rig.postgres.stop()
    time.sleep(seconds)
    rig.postgres.start()


def killed_while_counting(rig: Rig, seconds: float) -> None:
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


def cut_while_counting(rig: Rig, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while True:
        with locked(rig, "experiments_epochcount"):
            rig.wait_until(lambda: waiting(rig), "a counting transaction stands in the middle")
            rig.postgres.cut_connections()
        time.sleep(BETWEEN_CUTS_SECONDS)
        if time.monotonic() > give_up:
            return


def exposures_locked(rig: Rig, seconds: float) -> None:
    with locked(rig, "experiments_exposure"):
        time.sleep(seconds)


FAULTS: list[Fault] = [stopped, killed_while_counting, cut_while_counting, exposures_locked]
# In the short form one load and one wait serve all of them.
FORMS = [[fault] for fault in FAULTS] if os.environ.get("FAULT_SECONDS") else [FAULTS]


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
