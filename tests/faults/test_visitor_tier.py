"""A visitor process on a host of its own: no database, a slow Redis or none at all."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.proxy import proxy

DELAY_SECONDS = 0.2
LOOKS = 10


def test_it_waits_for_no_slow_redis_and_has_no_connection_to_the_database(rig, fault_seconds, assert_exact):
    page = rig.plant()
    with proxy(rig.redis.socket) as slow, rig.visitor_tier("slow", redis_url=slow.url) as tier:
        rig.wait_until_served(page, port=tier.port)
        visitors = rig.visitors(page, ports=[tier.port])
        with visitors.coming() as ledger:
            slow.delay_seconds = DELAY_SECONDS
            for _ in range(LOOKS):
                time.sleep(fault_seconds / LOOKS)
                assert rig.postgres.port not in {port for pid in tier.pids() for port in peers(pid)}
            slow.delay_seconds = 0.0
            rig.wait_until(
                lambda: rig.postgres.port in {port for pid in rig.pids("worker") for port in peers(pid)},
                "a connection is found where there is one",
            )
        assert_exact(rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)


def test_one_that_starts_while_redis_is_down_serves_what_was_served_last(rig, fault_seconds, assert_exact):
    page = rig.plant()
    with rig.visitor_tier("starting") as tier:
        rig.wait_until_served(page, port=tier.port)
    rig.redis.stop()
    with rig.visitor_tier("starting") as tier:
        assert rig.is_served(page, port=tier.port)
        visitors = rig.visitors(page, ports=[tier.port])
        ledger = visitors.for_seconds(fault_seconds)
        rig.redis.start()
        assert_exact(rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)


def test_one_that_is_asked_to_stop_hands_over_all_it_wrote(rig, fault_seconds, assert_exact):
    """Nobody else reads its disk: what it kept back would be counted only after its next start."""
    page = rig.plant()
    with rig.visitor_tier("stopping") as tier:
        rig.wait_until_served(page, port=tier.port)
        visitors = rig.visitors(page, ports=[tier.port])
        visitors.for_seconds(fault_seconds)
    assert_exact(rig, visitors)


def test_requests_leave_no_connection_to_the_database_behind(rig):
    """Dozens of idle threads would keep one each, and workers be refused."""
    with ThreadPoolExecutor(8) as askers:
        list(askers.map(lambda _: rig.api("GET", "/experiments"), range(100)))
    rig.wait_until(
        lambda: rig.postgres.port not in {port for pid in rig.pids("web") for port in peers(pid)},
        "web processes hang up",
    )


def peers(pid: int) -> list[int]:
    """Return the ports that a process is connected to by TCP."""
    try:
        links = [entry.readlink().name for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it, or one of its files, has just gone
        return []
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[2].rpartition(":")[2], 16) for row in rows if row[9] in inodes]
