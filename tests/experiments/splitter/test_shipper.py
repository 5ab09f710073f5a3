"""From journal files to the stream, again and again until counted."""

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from experiments.splitter.journal import Journal
from experiments.splitter.records import Tally
from experiments.splitter.shipper import CHUNK_BYTES, MAX_ADOPTED, Shipper
from experiments.splitter.stores import Chunk, MemoryStore, StoreUnavailable
from experiments.splitter.tallies import Tallies
from tests.experiments.splitter.serving import Clock

LINE = Tally(experiment=1, at_ms=2, counts={"bot": 3}).encode()
DAY_MS = 24 * 3600 * 1000


class Ledger:
    """Counts by the one rule of counting: a cursor for each journal, repeats skipped, gaps left."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.counted: dict[str, bytes] = {}

    def run(self) -> None:
        for entry in self.store.entries("", 10_000):
            chunk, done = entry.chunk, self.counted.get(entry.chunk.journal, b"")
            if chunk.start <= len(done) < chunk.end:
                self.counted[chunk.journal] = done + chunk.data[len(done) - chunk.start :]
            if chunk.start <= len(done):
                self.store.discard([entry.id])
        self.store.publish_cursors({name: len(data) for name, data in self.counted.items()})


class FailingStore(MemoryStore):
    """A store that can be away, or lose what it is given."""

    is_away = False
    loses = False

    def ship(self, chunk: Chunk) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        if not self.loses:
            super().ship(chunk)

    def cursors(self, journals: Collection[str] | None = None) -> dict[str, int]:
        if self.is_away:
            raise StoreUnavailable("away")
        return super().cursors(journals)


class Host:
    """One process's journal and shipper."""

    def __init__(self, directory: Path, store: MemoryStore, *, window_bytes: int = 1 << 20) -> None:
        self.clock = Clock()
        self.tallies = Tallies()
        self.journal = Journal(directory, rotate_bytes=1 << 20)
        self.shipper = Shipper(
            store=store,
            journal=self.journal,
            tallies=self.tallies,
            now_ms=self.clock,
            monotonic_ms=self.clock,
            window_bytes=window_bytes,
        )

    def run(self, seconds: int = 1) -> None:
        """Let time pass, then make a pass."""
        self.clock.now_ms += seconds * 1000
        self.shipper.run()

    def close(self) -> None:
        self.journal.close()
        self.shipper.close()


def files(directory: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in directory.glob("*.journal")}


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


def test_everything_written_is_counted_once(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    for _ in range(20):
        host.journal.append(LINE * 3)
        host.run()
        ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_chunks_hold_whole_lines_and_are_small(tmp_path: Path, store: FailingStore):
    host = Host(tmp_path, store)
    host.journal.append(LINE * 9000)
    host.run()
    chunks = [entry.chunk for entry in store.entries("", 100)]
    assert len(chunks) > 1
    assert all(chunk.data.endswith(b"\n") and len(chunk.data) <= CHUNK_BYTES for chunk in chunks)
    host.close()


def test_a_line_longer_than_a_chunk_is_shipped_whole(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.journal.append(LINE + b"x" * (CHUNK_BYTES + 5) + b"\n" + LINE)
    for _ in range(2):
        host.run()
        ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_no_more_than_the_window_waits_in_the_store(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store, window_bytes=10 * len(LINE)), Ledger(store)
    host.journal.append(LINE * 35)
    for _ in range(3):
        host.run()
    assert sum(len(entry.chunk.data) for entry in store.entries("", 100)) == 10 * len(LINE)
    for _ in range(4):
        ledger.run()
        host.run()
    ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_what_the_store_lost_is_shipped_again_after_ten_seconds(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.journal.append(LINE)
    store.loses = True
    host.run()
    store.loses = False
    host.run(9)
    assert store.entries("", 1) == []
    host.run(2)
    ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_a_gap_is_filled_and_what_lay_behind_it_counted(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    store.loses = True
    host.journal.append(LINE)
    host.run()
    store.loses = False
    host.journal.append(LINE * 2)
    host.run()
    ledger.run()
    host.run(11)
    ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_while_counting_is_down_nothing_piles_up(tmp_path: Path, store: FailingStore):
    host = Host(tmp_path, store)
    host.journal.append(LINE)
    for _ in range(600):
        host.run(10)
    assert len(store.entries("", 100)) == 1
    host.close()


def test_an_emptied_store_is_filled_again_and_nothing_counted_twice(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.journal.append(LINE * 5)
    host.run()
    ledger.run()
    host.journal.append(LINE)
    store._cursors.clear()
    for _ in range(3):
        host.run(11)
        ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_shipping_twice_counts_once(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.journal.append(LINE * 4)
    host.run()
    (name,) = files(tmp_path)
    for start, end in [(0, 2), (1, 4), (0, 4)]:
        data = LINE * (end - start)
        store.ship(Chunk(journal=name, start=start * len(LINE), end=end * len(LINE), data=data))
    ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_a_store_that_is_away_delays_and_loses_nothing(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    store.is_away = True
    for _ in range(5):
        host.journal.append(LINE)
        host.run()
    assert host.tallies.totals()["ship_failures"] == 5
    store.is_away = False
    host.run()
    ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_an_orphan_is_adopted_by_exactly_one_of_two_shippers(tmp_path: Path, store: FailingStore):
    dead = Journal(tmp_path)
    dead.append(LINE * 3)
    dead.close()
    hosts, ledger = [Host(tmp_path, store), Host(tmp_path, store)], Ledger(store)
    for host in hosts:
        host.run()
    assert len(store.entries("", 10)) == 1
    ledger.run()
    assert ledger.counted == files(tmp_path)
    for host in hosts:
        host.close()


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path, store: FailingStore):
    living = Journal(tmp_path)
    living.append(LINE)
    host = Host(tmp_path, store)
    host.run()
    assert store.entries("", 10) == []
    living.close()
    host.close()


def test_an_orphans_torn_end_is_shipped_so_that_it_can_be_finished(tmp_path: Path, store: FailingStore):
    (tmp_path / f"{'a' * 32}.journal").write_bytes(LINE + LINE[:7])
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.run()
    ledger.run()
    assert ledger.counted == files(tmp_path)
    host.close()


def test_a_rotated_file_is_shipped_to_its_end(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.journal.append(LINE)
    host.run()
    host.journal.append(LINE * 2)
    host.journal.close()
    host.journal.append(LINE)
    for _ in range(3):
        host.run()
        ledger.run()
    assert len(ledger.counted) == 2
    assert ledger.counted == files(tmp_path)
    host.close()


@pytest.mark.parametrize(
    ("age_ms", "is_counted", "stays"),
    [
        (DAY_MS + 60_000, True, False),
        (DAY_MS - 60_000, True, True),
        (DAY_MS + 60_000, False, True),
    ],
)
def test_an_orphan_goes_when_it_is_counted_and_a_day_old(
    tmp_path: Path, store: FailingStore, *, age_ms: int, is_counted: bool, stays: bool
):
    path = tmp_path / f"{'a' * 32}.journal"
    path.write_bytes(LINE)
    host = Host(tmp_path, store)
    written_seconds = (host.clock.now_ms - age_ms) / 1000
    os.utime(path, (written_seconds, written_seconds))
    store.publish_cursors({path.stem: len(LINE) if is_counted else 0})
    host.run()
    assert path.exists() is stays
    host.close()


def test_a_crash_loop_leaves_no_more_files_open_than_a_few(tmp_path: Path, store: FailingStore):
    for number in range(60):
        (tmp_path / f"{number:032x}.journal").write_bytes(LINE)
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.run()
    assert len(store.entries("", 100)) <= MAX_ADOPTED + 1
    for _ in range(5):
        ledger.run()
        host.run()
    assert ledger.counted == files(tmp_path)
    assert host.shipper._shipments == {}
    host.close()


def test_the_lag_is_seen_and_ends_with_counting(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    host.journal.append(LINE)
    host.run()
    for _ in range(7):
        host.journal.append(LINE)
        host.run(10)
    assert host.shipper.lag().uncounted_bytes == 8 * len(LINE)
    assert host.shipper.lag().seconds == 70
    ledger.run()
    host.run()
    assert (host.shipper.lag().uncounted_bytes, host.shipper.lag().seconds) == (0, 0)
    host.close()


def test_all_orphans_together_fill_no_more_than_a_window(tmp_path: Path, store: FailingStore):
    for number in range(8):
        (tmp_path / f"{number:032x}.journal").write_bytes(LINE * 20)
    host, ledger = Host(tmp_path, store, window_bytes=50 * len(LINE)), Ledger(store)
    host.journal.append(LINE * 20)
    for _ in range(3):
        host.run()
    own = host.journal.end().path
    assert own is not None
    waiting = {chunk.journal: len(chunk.data) for chunk in (entry.chunk for entry in store.entries("", 100))}
    assert waiting.pop(own.stem) == 20 * len(LINE)
    assert 40 * len(LINE) < sum(waiting.values()) <= 50 * len(LINE)
    for _ in range(10):
        ledger.run()
        host.run()
    assert ledger.counted == files(tmp_path)
    host.close()


class PartlyAway(MemoryStore):
    """A cluster one of whose nodes is away, with the streams on it."""

    away: int | None = None

    def ship(self, chunk: Chunk) -> None:
        if self.shard_of(chunk.journal) == self.away:
            raise StoreUnavailable("away")
        super().ship(chunk)


def test_a_stream_that_is_away_holds_up_no_journal_of_another(tmp_path: Path):
    store = PartlyAway(shards=2)
    names = [f"{number:032x}" for number in range(8)]
    for name in names:
        (tmp_path / f"{name}.journal").write_bytes(LINE)
    store.away = 0
    host = Host(tmp_path, store)
    host.run()
    there = {name for name in names if store.shard_of(name) == 1}
    assert 0 < len(there) < len(names)
    assert {entry.chunk.journal for entry in store.entries("", 100, shard=1)} == there
    assert host.tallies.totals()["ship_failures"] == 1
    store.away = None
    host.run()
    assert {entry.chunk.journal for shard in (0, 1) for entry in store.entries("", 100, shard=shard)} == set(names)
    host.close()


def test_it_says_of_each_journal_where_it_ends_and_how_long_its_records_wait(tmp_path: Path, store: FailingStore):
    host, ledger = Host(tmp_path, store), Ledger(store)
    orphan = tmp_path / f"{'a' * 32}.journal"
    orphan.write_bytes(LINE * 3)
    host.journal.append(LINE)
    for _ in range(4):
        host.run()
    own = host.journal.end().path
    assert own is not None
    said = store.lags()
    assert (said[own.stem].end, said[orphan.stem].end) == (len(LINE), 3 * len(LINE))
    assert said[own.stem].seconds == 3
    assert said[own.stem].at_ms == host.clock.now_ms
    ledger.run()
    host.run()
    assert store.lags()[own.stem].seconds == 0
    host.close()
