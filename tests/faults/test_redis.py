"""Redis stopped, killed, emptied, frozen, slow and full: no visitor notices, and nothing is lost or doubled."""

import os
import time
from collections.abc import Callable

import pytest

from tests.faults.rig import Rig

type Fault = Callable[[Rig, float], None]

STEADY_SECONDS = 1.0  # of load before and after a fault
BETWEEN_FLUSHES_SECONDS = 12.0  # a shipper notices after ten


def stopped(rig: Rig, seconds: float) -> None:
    rig.redis.stop()
    time.sleep(seconds)
    rig.redis.start()


def killed(rig: Rig, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        rig.redis.kill()
        time.sleep(1)
        rig.redis.start()
        time.sleep(1)


def frozen(rig: Rig, seconds: float) -> None:
    with rig.redis.frozen():
        time.sleep(seconds)


def full(rig: Rig, seconds: float) -> None:
    with rig.redis.full():
        time.sleep(seconds)


def emptied(rig: Rig, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        with rig.redis.client() as redis:
            redis.flushall()
        time.sleep(min(seconds, BETWEEN_FLUSHES_SECONDS))


def started_empty(rig: Rig, seconds: float) -> None:
    rig.redis.kill()
    rig.redis.forget()
    time.sleep(1)
    rig.redis.start()
    time.sleep(seconds)


FAULTS: list[Fault] = [stopped, killed, frozen, full, emptied, started_empty]
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
