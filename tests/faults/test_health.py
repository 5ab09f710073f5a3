"""What /readyz says while something is broken, and that a load balancer's /healthz goes on sending visitors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from tests.faults.conftest import IS_FULL
from tests.faults.rig import Rig

# What is promised; the short form runs beside everything else on whatever machine there is, and is given its time.
NAMED_SECONDS = 15.0 if IS_FULL else 45.0
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


HURRIED = {worker_frozen}  # the others one after the other take minutes: Celery is slow to find its Redis again
CASES = [
    pytest.param(broken, id=broken.__name__, marks=[] if broken in HURRIED else [pytest.mark.unhurried])
    for broken in REASONS
]


@pytest.mark.parametrize("broken", CASES)
def test_a_fault_is_named_in_time_and_forgotten_when_it_is_over(rig, broken):
    page = rig.plant()
    with rig.visitor_tier(f"health-{broken.__name__}") as tier, rig.visitors(page, ports=[tier.port]).coming():
        rig.wait_until(lambda: rig.ready(port=tier.port) == [], "ready", seconds=RECOVERED_SECONDS)
        with contextmanager(broken)(rig):
            rig.wait_until(
                lambda: any(REASONS[broken] in reason for reason in rig.ready(port=tier.port)),
                f"/readyz says: {REASONS[broken]}",
                seconds=NAMED_SECONDS,
            )
            assert rig.ask("GET", "/healthz", port=tier.port)[0] == HTTPStatus.OK
            assert rig.metrics(port=tier.port)["greenhouse_ready"] == 0
        rig.wait_until(lambda: rig.ready(port=tier.port) == [], "ready again", seconds=RECOVERED_SECONDS)
    rig.settle()
