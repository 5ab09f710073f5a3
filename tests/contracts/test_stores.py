"""One contract, held over the real store on a throw-away Redis and on a cluster of three, and over its offline twin."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from experiments.splitter import stores as module
from experiments.splitter.stores import (
    SHARDS,
    Blob,
    Chunk,
    JournalLag,
    MemoryStore,
    RedisStore,
    Store,
    StoreUnavailable,
    cluster_nodes,
    stream_key,
)
from tests.servers import Cluster, free_port, redis_cluster, redis_server

PAGE = Blob(identity=b"\x00\xff page", br=b"br", gzip=b"gz", content_type="text/html; charset=utf-8", csp="base-uri x")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster_url(cluster: Cluster) -> str:
    return cluster.url


@pytest.fixture(params=["redis_url", "cluster_url", "memory"])
def stores(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Store]]:
    """Stores over the same thing, which ship to so many streams."""
    if request.param == "memory":
        memory = MemoryStore()

        def same_memory(shards: int) -> Store:
            memory._shards = shards
            return memory

        yield same_memory
        return
    with ExitStack() as held:
        url = request.getfixturevalue(request.param)
        emptied = held.enter_context(closing(RedisStore(url)))
        emptied._redis.flushall()
        yield lambda shards: held.enter_context(closing(RedisStore(url, shards=shards)))


@pytest.fixture
def store(stores: Callable[[int], Store]) -> Store:
    return stores(1)


def chunk(start: int = 0, data: bytes = b"line\n", journal: str = "a" * 32) -> Chunk:
    return Chunk(journal=journal, start=start, end=start + len(data), data=data)


def test_an_empty_store_answers_with_nothing(store: Store):
    assert store.sequences() == {}
    assert store.snapshot("paperless") is None
    assert store.blob("0" * 64) is None
    assert store.has_blobs(["0" * 64]) == set()
    assert store.has_blobs([]) == set()
    assert store.entries("", 10) == []
    assert store.cursors() == {}


def test_a_newer_snapshot_replaces_an_older(store: Store):
    assert store.publish("paperless", 9, "nine")
    assert store.publish("paperless", 10, "ten: größer")
    assert store.sequences() == {"paperless": 10}
    assert store.snapshot("paperless") == "ten: größer"


@pytest.mark.parametrize("late", [7, 9, 10])
def test_an_older_or_equal_snapshot_changes_nothing(store: Store, late: int):
    store.publish("paperless", 10, "ten")
    assert not store.publish("paperless", late, "late")
    assert store.snapshot("paperless") == "ten"
    assert store.sequences() == {"paperless": 10}


def test_slugs_do_not_touch_each_other(store: Store):
    store.publish("paperless", 10, "p")
    assert store.publish("greener", 1, "g")
    assert store.sequences() == {"paperless": 10, "greener": 1}


@pytest.mark.parametrize("blob", [PAGE, Blob(identity=b"", content_type="image/png")])
def test_a_blob_comes_back_as_it_was_put(store: Store, blob: Blob):
    store.put_blob("ab", blob)
    store.put_blob("ab", blob)
    assert store.blob("ab") == blob
    assert store.has_blobs(["ab", "cd"]) == {"ab"}


def test_entries_come_in_the_order_they_were_shipped(store: Store):
    chunks = [chunk(start=5 * number) for number in range(12)]
    for each in chunks:
        store.ship(each)
    assert [entry.chunk for entry in store.entries("", 100)] == chunks


def test_pages_of_entries_follow_each_other_without_overlap(store: Store):
    for number in range(5):
        store.ship(chunk(start=5 * number))
    first = store.entries("", 3)
    second = store.entries(first[-1].id, 3)
    assert [entry.chunk.start for entry in first + second] == [0, 5, 10, 15, 20]
    assert store.entries(second[-1].id, 3) == []


def test_bytes_of_a_chunk_are_kept_exactly(store: Store):
    data = bytes(range(256))
    store.ship(chunk(data=data))
    assert store.entries("", 1)[0].chunk.data == data


def test_discarded_entries_are_gone_and_the_others_stay(store: Store):
    for number in range(3):
        store.ship(chunk(start=5 * number))
    first, second, third = store.entries("", 3)
    store.discard([first.id, third.id])
    store.discard([])
    store.discard([first.id])
    assert store.entries("", 3) == [second]


def test_new_entries_follow_even_when_all_were_discarded(store: Store):
    store.ship(chunk())
    last = store.entries("", 1)[0].id
    store.discard([last])
    store.ship(chunk(start=5))
    assert [entry.chunk.start for entry in store.entries(last, 5)] == [5]


def test_published_cursors_replace_those_of_before(store: Store):
    store.publish_cursors({"a": 5, "b": 7})
    store.publish_cursors({"a": 4})
    assert store.cursors() == {"a": 4}
    store.publish_cursors({})
    assert store.cursors() == {}


def test_cursors_can_be_set_and_asked_for_singly(store: Store):
    store.publish_cursors({"a": 5, "b": 7})
    store.advance_cursors({"b": 9, "c": 1})
    store.advance_cursors({})
    assert store.cursors() == {"a": 5, "b": 9, "c": 1}
    assert store.cursors(["c", "a", "d"]) == {"a": 5, "c": 1}
    assert store.cursors([]) == {}


def test_a_journal_keeps_to_one_stream_and_many_spread_over_all(stores: Callable[[int], Store]):
    store = stores(SHARDS)
    names = [f"{number:032x}" for number in range(40 * SHARDS)]
    assert {store.shard_of(name) for name in names} == set(range(SHARDS))
    for name in names[:3]:
        store.ship(chunk(journal=name))
        store.ship(chunk(start=5, journal=name))
        entries = store.entries("", 9, shard=store.shard_of(name))
        assert [entry.chunk.start for entry in entries if entry.chunk.journal == name] == [0, 5]


def test_the_streams_that_wait_are_those_that_hold_something(stores: Callable[[int], Store]):
    store = stores(SHARDS)
    assert store.waiting() == []
    shards = set()
    for number in range(4):
        store.ship(chunk(journal=f"{number:032x}"))
        shards.add(store.shard_of(f"{number:032x}"))
    assert store.waiting() == sorted(shards)
    for shard in shards:
        store.discard([entry.id for entry in store.entries("", 9, shard=shard)], shard=shard)
    assert store.waiting() == []


def test_a_reader_finds_what_a_writer_with_other_settings_shipped(stores: Callable[[int], Store]):
    stores(7).ship(chunk())
    reader = stores(1)
    [shard] = reader.waiting()
    assert [entry.chunk for entry in reader.entries("", 9, shard=shard)] == [chunk()]


def test_what_is_said_of_a_journal_replaces_what_was_said_before(store: Store):
    behind = JournalLag(host="web1", end=7, seconds=1.5, at_ms=9)
    even = JournalLag(host="web2", end=0, seconds=0.0, at_ms=8)
    assert store.lags() == {}
    store.report_lags({})
    store.report_lags({"a": even, "b": even})
    store.report_lags({"a": behind})
    assert store.lags() == {"a": behind, "b": even}
    store.forget_lags(["a"])
    store.forget_lags([])
    assert store.lags() == {"b": even}


def test_an_absent_redis_surfaces_as_unavailable(tmp_path: Path):
    store = RedisStore(f"unix://{tmp_path}/nobody.sock", timeout_seconds=0.1)
    with pytest.raises(StoreUnavailable, match="Redis"):
        store.sequences()
    with pytest.raises(StoreUnavailable, match="Redis"):
        store.has_blobs(["ab"])
    with pytest.raises(StoreUnavailable, match="Redis"):
        store.publish("paperless", 1, "one")


def test_an_entry_no_shipper_wrote_is_left_out(redis_url: str):
    store = RedisStore(redis_url)
    store._redis.flushall()
    store._redis.xadd(stream_key(0), {"what": "ever"})
    store.ship(chunk())
    assert [entry.chunk for entry in store.entries("", 5)] == [chunk()]
    store.close()


def test_the_streams_of_a_cluster_lie_on_all_its_nodes(cluster: Cluster, cluster_url: str):
    with closing(RedisStore(cluster_url)) as store:
        store._redis.flushall()
        for number in range(40 * SHARDS):
            store.ship(chunk(journal=f"{number:032x}"))
    for port in cluster.processes:
        with Redis(port=port) as node:
            assert len(node.keys("greenhouse:journal:*")) >= 2


def test_an_absent_cluster_surfaces_as_unavailable():
    store = RedisStore(f"redis+cluster://127.0.0.1:{free_port()}", timeout_seconds=0.1)
    with pytest.raises(StoreUnavailable, match="Redis"):
        store.sequences()
    with pytest.raises(StoreUnavailable, match="Redis"):
        store.waiting()


@pytest.mark.parametrize("url", ["redis+cluster://", "redis+cluster://a:1,,b:2", "redis+cluster://a:1/2"])
def test_an_address_that_names_no_cluster_is_refused(url: str):
    with pytest.raises(ValueError, match="redis\\+cluster://"):
        cluster_nodes(url)


def test_the_nodes_of_a_cluster_are_read_from_its_address():
    nodes = cluster_nodes("redis+cluster://me:p%40ss@one:7000,[::1]:7001,three")
    assert nodes == [("one", 7000), ("::1", 7001), ("three", 6379)]


def test_with_a_node_gone_the_streams_of_the_others_go_on(tmp_path: Path):
    with redis_cluster(tmp_path) as cluster, closing(RedisStore(cluster.url)) as store:
        names = [f"{number:032x}" for number in range(60)]
        for name in names:
            store.ship(chunk(journal=name))
        assert store.waiting() == list(range(SHARDS))
        gone = next(iter(cluster.processes))
        cluster.kill(gone)
        left = store.waiting()
        assert 0 < len(left) < SHARDS
        assert all(store.entries("", 9, shard=shard) for shard in left)
        cluster.start(gone)
        cluster.wait_until_whole()
        assert store.waiting() == list(range(SHARDS))
        assert sum(len(store.entries("", 99, shard=shard)) for shard in range(SHARDS)) == len(names)


@pytest.mark.parametrize("address", ["redis_url", "cluster_url"])
def test_streams_leave_a_quarter_of_the_memory_to_others_and_go_on_when_there_is_room(request, address, monkeypatch):
    monkeypatch.setattr(module, "MEMORY_SECONDS", 0.0)
    with closing(RedisStore(request.getfixturevalue(address))) as store:
        store._redis.flushall()
        name, data = "a" * 32, b"x" * 400_000
        shard = store.shard_of(name)
        stream = stream_key(shard)
        most = store._info(stream)["used_memory"] + 8_000_000
        config_set = partial(store._redis.config_set, "maxmemory")
        config_set(most)
        try:
            with pytest.raises(StoreUnavailable, match="75%"):  # noqa: PT012 - which one is refused is Redis's affair
                for number in range(100):
                    store.ship(chunk(start=number * len(data), data=data, journal=name))
            assert store._info(stream)["used_memory"] < 0.9 * most
            store.discard([entry.id for entry in store.entries("", 100, shard=shard)], shard=shard)
            store.ship(chunk(data=data, journal=name))
            config_set(1_000_000)
            with pytest.raises(StoreUnavailable, match="75%"):
                store.ship(chunk(start=len(data), data=data, journal=name))
        finally:
            config_set(0)
        store.ship(chunk(start=len(data), data=data, journal=name))
        assert [entry.chunk.start for entry in store.entries("", 9, shard=shard)] == [0, len(data)]


def test_an_append_that_redis_refuses_for_lack_of_memory_surfaces_as_unavailable(redis_url: str):
    with closing(RedisStore(redis_url)) as store:
        store._redis.flushall()
        store._redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreUnavailable, match="OutOfMemory"):
                store.ship(chunk())
            assert store.cursors() == {}
        finally:
            store._redis.config_set("maxmemory", 0)
        store.ship(chunk())
