"""One contract, held over the real store on a throw-away Redis and over its offline twin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.splitter.stores import Blob, Chunk, MemoryStore, RedisStore, Store, StoreUnavailable
from tests.servers import redis_server

PAGE = Blob(identity=b"\x00\xff page", br=b"br", gzip=b"gz", content_type="text/html; charset=utf-8", csp="base-uri x")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=["redis", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    redis = RedisStore(request.getfixturevalue("redis_url"))
    redis._redis.flushall()
    yield redis
    redis.close()


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
    store._redis.xadd("greenhouse:journal", {"what": "ever"})
    store.ship(chunk())
    assert [entry.chunk for entry in store.entries("", 5)] == [chunk()]
    store.close()
