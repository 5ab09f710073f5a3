"""What /readyz says while something is broken, and that a load balancer's /healthz goes on sending visitors."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from tests.faults.rig import Rig

# What is promised. Redis is missed after five seconds and counting after ten; a Redis that was away is looked for every
# two seconds, and counting comes round each second. The rest is for a busy machine.
NAMED_SECONDS = 60.0
RECOVERED_SECONDS = 60.0

type Broken = Callable[[Rig], Iterator[None]]


def redis_down(rig: Rig) -> Iterator[None]:
    rig.redis.stop()
    yield
    rig.redis.start()


def redis_frozen(rig: Rig) -> Iterator[None]:
    with rig.redis.frozen():
        yield


def database_down(rig: Rig) -> Iterator[None]:
    rig.postgres.stop()
    yield
    rig.postgres.start()


def worker_frozen(rig: Rig) -> Iterator[None]:
    with rig.frozen("worker"):
        yield


def timetable_frozen(rig: Rig) -> Iterator[None]:
    with rig.frozen("beat"):
        yield


REASONS: dict[Broken, str] = {
    redis_down: "Redis has not answered",
    redis_frozen: "Redis has not answered",
    database_down: "counting is",
    worker_frozen: "counting is",
    timetable_frozen: "counting is",
}


# One for each reason, and first the one that leaves the most to recover: each takes a quarter of a minute.
HURRIED = {redis_down, worker_frozen}
CASES = [
    pytest.param(broken, id=broken.__name__, marks=[] if broken in HURRIED else [pytest.mark.unhurried])
    for broken in REASONS
]


@pytest.mark.parametrize("broken", CASES)
def test_a_fault_is_named_in_time_and_forgotten_when_it_is_over(rig, fault_seconds, broken):
    page = rig.plant()
    with rig.visitor_tier(f"health-{broken.__name__}") as tier, rig.visitors(page, ports=[tier.port]).coming():
        rig.wait_until(lambda: rig.ready(port=tier.port) == [], "ready")
        with contextmanager(broken)(rig):
            rig.wait_until(
                lambda: any(REASONS[broken] in reason for reason in rig.ready(port=tier.port)),
                f"/readyz says: {REASONS[broken]}",
                seconds=NAMED_SECONDS,
            )
            time.sleep(fault_seconds)
            assert rig.ask("GET", "/healthz", port=tier.port)[0] == HTTPStatus.OK
            assert rig.metrics(port=tier.port)["greenhouse_ready"] == 0
        rig.wait_until(lambda: rig.ready(port=tier.port) == [], "ready again", seconds=RECOVERED_SECONDS)
    rig.settle()
