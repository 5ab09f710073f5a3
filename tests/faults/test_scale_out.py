"""Three visitor hosts, a Redis Cluster of three nodes, and four counting workers on PostgreSQL."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from experiments.counting import SHARD_LOCKS
from experiments.splitter.stores import SHARDS, RedisStore
from tests.faults.rig import Rig, Tier, running_rig
from tests.servers import Cluster, find_postgres, redis_cluster
from tests.stack import ROOT, START_SECONDS, leashed

HOSTS = 3
PER_SECOND = 150.0
STOP_SECONDS = 60.0
COUNTED = "counted: "  # in the log of a worker that counted something
DEAD = 12  # journals besides those of the hosts, which by chance all go into one stream once in sixty thousand runs
# Ticks overlap, as they do when a pass takes longer than the interval: then the workers count at the same time.
OVERLAPPING = {"COUNT_EVERY_SECONDS": "0.2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that runs."""

    rig: Rig
    cluster: Cluster
    hosts: list[Tier]
    logs: list[Path]  # of the workers

    @property
    def ports(self) -> list[int]:
        return [host.port for host in self.hosts]


@contextmanager
def counting_worker(rig: Rig, name: str) -> Iterator[Path]:
    """Run one more worker of two processes, as `manage.py up` has one; yield its log."""
    path = rig.folder / f"{name}.log"
    command = [
        str(Path(sys.executable).with_name("celery")), "--skip-checks", "-A", "greenhouse", "worker", "--hostname",
        f"{name}@%h", "--queues", "counting", "--concurrency", "2", "--without-gossip", "--without-mingle",
        "--loglevel", "INFO",
    ]  # fmt: skip
    environ = {**os.environ, **rig.environ, "PYTHONUNBUFFERED": "1"}
    with path.open("wb") as log, subprocess.Popen(
        leashed(command), env=environ, cwd=ROOT, stdout=log, stderr=log, process_group=0
    ) as process:  # fmt: skip
        try:
            rig.wait_until(lambda: b" ready." in path.read_bytes(), f"the worker {name}", seconds=START_SECONDS)
            yield path
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with ExitStack() as held:
        cluster = held.enter_context(redis_cluster(tmp_path_factory.mktemp("cluster")))
        folder = tmp_path_factory.mktemp("scale")
        rig = held.enter_context(running_rig(folder, STORE_URL=cluster.url, **OVERLAPPING))
        log = held.enter_context(counting_worker(rig, "counting"))
        hosts = [held.enter_context(rig.visitor_tier(f"host{number}")) for number in range(HOSTS)]
        yield House(rig=rig, cluster=cluster, hosts=hosts, logs=[folder / "log" / "worker.log", log])


def planted(house: House):
    page = house.rig.plant()
    for port in house.ports:
        house.rig.wait_until_served(page, port=port)
    return page


def test_three_hosts_and_four_workers_count_everything_once(house, fault_seconds, assert_exact):
    visitors = house.rig.visitors(planted(house), per_second=PER_SECOND, ports=house.ports)
    with visitors.coming() as ledger:
        time.sleep(fault_seconds)
        house.rig.wait_until(
            lambda: all(COUNTED in log.read_text() for log in house.logs), "each worker has had a part in it"
        )
    assert_exact(house.rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)
    assert all(list(host.journal_dir.iterdir()) for host in house.hosts), "a host had no part in it"


def test_nodes_killed_one_after_the_other_keep_no_visitor_waiting_and_lose_nothing(house, fault_seconds, assert_exact):
    visitors = house.rig.visitors(planted(house), per_second=PER_SECOND, ports=house.ports)
    with visitors.coming() as ledger:
        for number, node in enumerate(house.cluster.processes):
            house.cluster.kill(node)
            time.sleep(fault_seconds / HOSTS)
            if number == 1:
                house.cluster.forget(node)
            house.cluster.start(node)
            house.cluster.wait_until_whole()
    assert_exact(house.rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)


def test_a_backlog_is_counted_by_all_workers_at_once_and_streams_are_left_empty(house, fault_seconds, assert_exact):
    visitors = house.rig.visitors(planted(house), per_second=PER_SECOND, ports=house.ports)
    with house.rig.frozen("beat"):
        for _ in range(DEAD):
            house.rig.leave_journal(b"\n")
        visitors.for_seconds(fault_seconds)
    assert_exact(house.rig, visitors)
    store = RedisStore(house.cluster.url)
    house.rig.wait_until(lambda: store.waiting() == [], "no stream holds anything")
    shards = {store.shard_of(name) for name in house.rig.journals()}
    assert 1 < len(shards) <= SHARDS
    store.close()


def test_a_stream_that_another_worker_counts_is_left_to_it_and_the_others_are_counted(house, assert_exact):
    visitors = house.rig.visitors(planted(house), per_second=PER_SECOND, ports=house.ports)
    store, rig = RedisStore(house.cluster.url), house.rig
    shards = {host.port: store.shard_of(newest_journal(host)) for host in house.hosts}
    locked = shards[house.ports[0]]
    with rig.postgres.connection() as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", (SHARD_LOCKS, locked))
        visitors.for_seconds(1)
        behind = [name for name in rig.journals() if store.shard_of(name) == locked]
        rig.wait_until(lambda: set(uncounted(rig)) <= set(behind), "all other streams are counted")
        assert newest_journal(house.hosts[0]) in uncounted(rig)
    assert_exact(rig, visitors)
    store.close()


def newest_journal(host: Tier) -> str:
    return max(host.journal_dir.iterdir(), key=lambda path: path.stat().st_mtime).stem


def uncounted(rig: Rig) -> list[str]:
    cursors = rig.cursors()
    return [name for name, size in rig.journals().items() if cursors.get(name, 0) < size]


def test_a_visitor_process_started_while_the_cluster_is_away_serves_what_its_host_served_last(house):
    page = planted(house)
    folder = house.hosts[0].journal_dir.parent
    for node in list(house.cluster.processes):
        house.cluster.kill(node)
    with house.rig.visitor_tier("late", SNAPSHOT_DIR=str(folder / "snapshot")) as late:
        status, _ = house.rig.ask("GET", page.path, port=late.port)
        assert status == HTTPStatus.OK
        for node in list(house.cluster.processes):
            house.cluster.start(node)
        house.cluster.wait_until_whole()
        house.rig.settle()
