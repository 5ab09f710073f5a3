"""Turn journal files into stream entries, and do so again for whatever does not get counted.

The shipper remembers nothing on disk: how far a journal is counted is the published cursor, and shipping something
twice is harmless because counting skips what lies before the cursor. So the whole procedure is:

1. Read the cursors.
2. Adopt orphans: journals whose lock nobody holds, because their process is gone or has started a new file.
3. Ship whole lines of each journal, but never further than a window beyond its cursor, and of all orphans together no
   more than another window: Redis stays bounded by two windows a process.
4. If a cursor has stood still for a while and the stream holds nothing to move it, ship again from the cursor.
5. Delete orphans that are counted to their end and a day old.
6. Say how far counting is behind each journal, for the console and for whoever watches many hosts.
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from experiments.splitter.clock import Milliseconds
from experiments.splitter.journal import SUFFIX, Journal, lock
from experiments.splitter.stores import Chunk, JournalLag, Store, StoreUnavailable
from experiments.splitter.tallies import Tallies

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
WINDOW_BYTES = 8 * 1024 * 1024
CURSOR_INTERVAL_MS = 1_000
STALLED_MS = 10_000
# While counting is down nothing is lost, so a look into the stream every few minutes is enough.
LONGEST_PATIENCE_MS = 160_000
KEPT_MS = 24 * 3600 * 1000  # a restored backup of a day ago can be brought up to date from the files
# After a crash loop there may be thousands of orphans; the others wait, and neither files nor Redis run out.
MAX_ADOPTED = 16
PAGE_ENTRIES = 32  # of the stream, looked through at a time
HOST = socket.gethostname()  # by which people know where a journal lies


@dataclass(slots=True, kw_only=True)
class _Shipment:
    """How far one journal is shipped and counted."""

    name: str
    path: Path
    descriptor: int  # opened for reading; for an orphan it holds the lock
    is_orphan: bool
    size: int = 0  # bytes that may be shipped
    shipped: int = 0
    cursor: int = 0
    moved_ms: int = 0  # monotonic: when the cursor last moved or something was shipped again
    patience_ms: int = STALLED_MS
    probe: int = 0  # an offset that was the end of the file at probe_ms, to see how long counting takes
    probe_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far counting is behind what this process has journalled and adopted."""

    uncounted_bytes: int = 0
    seconds: float = 0.0


class Shipper:
    """Ships one process's journal and the orphans it finds. One thread calls it."""

    def __init__(
        self,
        *,
        store: Store,
        journal: Journal,
        tallies: Tallies,
        now_ms: Milliseconds,
        monotonic_ms: Milliseconds,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self._store = store
        self._journal = journal
        self._tallies = tallies
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._window_bytes = window_bytes
        self._shipments: dict[str, _Shipment] = {}
        self._cursors: dict[str, int] = {}
        self._cursors_ms: int | None = None
        self._is_reachable = True

    def run(self) -> None:
        """Make one pass. Nothing that goes wrong with Redis or the disk comes out of it."""
        try:
            self._refresh_cursors()
            self._advance_all()
        except (StoreUnavailable, OSError) as error:
            self._note_failure(error)
        else:
            self._note_success()

    def lag(self) -> Lag:
        """Tell how far counting is behind."""
        behind = [each for each in list(self._shipments.values()) if each.cursor < each.size]
        oldest_ms = min((each.probe_ms for each in behind), default=self._monotonic_ms())
        return Lag(
            uncounted_bytes=sum(each.size - each.cursor for each in behind),
            seconds=max(0, self._monotonic_ms() - oldest_ms) / 1000,
        )

    def close(self) -> None:
        """Give up all files; the locks of orphans go with them."""
        for shipment in self._shipments.values():
            os.close(shipment.descriptor)
        self._shipments.clear()

    def _refresh_cursors(self) -> None:
        """Read the cursors and look for orphans, but not more often than counting moves them."""
        self._adopt_own()
        now_ms = self._monotonic_ms()
        if self._cursors_ms is not None and now_ms - self._cursors_ms < CURSOR_INTERVAL_MS:
            return
        paths = sorted(self._journal.directory.glob(f"*{SUFFIX}"))
        self._cursors = self._store.cursors({path.stem for path in paths} | self._shipments.keys())
        self._cursors_ms = now_ms
        for shipment in list(self._shipments.values()):
            self._note_cursor(shipment, self._cursors.get(shipment.name, 0), now_ms)
            if shipment.is_orphan and shipment.cursor >= shipment.size:
                os.close(self._shipments.pop(shipment.name).descriptor)
        for path in paths:
            if path.stem not in self._shipments:
                with suppress(FileNotFoundError):  # another process has just deleted it
                    self._look_at(path)
        self._store.report_lags({each.name: self._reported(each, now_ms) for each in self._shipments.values()})

    def _reported(self, shipment: _Shipment, now_ms: int) -> JournalLag:
        waited_ms = now_ms - shipment.probe_ms if shipment.cursor < shipment.size else 0
        return JournalLag(host=HOST, end=shipment.size, seconds=waited_ms / 1000, at_ms=self._now_ms())

    def _adopt_own(self) -> None:
        """Take up the journal's current file, and let go of one it has left, which is an orphan from then on."""
        end = self._journal.end()
        for left in [each for each in self._shipments.values() if not each.is_orphan and each.path != end.path]:
            os.close(self._shipments.pop(left.name).descriptor)
        if end.path is None:
            return
        if end.path.stem not in self._shipments:
            self._take_up(end.path, os.open(end.path, os.O_RDONLY | os.O_CLOEXEC), is_orphan=False)
        self._resize(self._shipments[end.path.stem], end.size)

    def _look_at(self, path: Path) -> None:
        """Adopt a file if it is an uncounted orphan, delete it if it is an old counted one."""
        found = path.stat()
        is_counted = self._cursors.get(path.stem, 0) >= found.st_size
        is_old = found.st_mtime_ns // 1_000_000 < self._now_ms() - KEPT_MS
        if (is_counted and not is_old) or len(self._shipments) > MAX_ADOPTED:
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Race: between the look and the lock its last holder may have deleted the file.
        if not lock(descriptor) or not os.fstat(descriptor).st_nlink:
            os.close(descriptor)
        elif is_counted:
            path.unlink()
            os.close(descriptor)
        else:
            self._take_up(path, descriptor, is_orphan=True)
            # It has no writer, so all of it may be shipped, a torn end included.
            self._resize(self._shipments[path.stem], os.fstat(descriptor).st_size)

    def _take_up(self, path: Path, descriptor: int, *, is_orphan: bool) -> None:
        now_ms = self._monotonic_ms()
        cursor = self._cursors.get(path.stem, 0)
        self._shipments[path.stem] = _Shipment(
            name=path.stem,
            path=path,
            descriptor=descriptor,
            is_orphan=is_orphan,
            cursor=cursor,
            shipped=cursor,
            moved_ms=now_ms,
            probe_ms=now_ms,
        )

    def _resize(self, shipment: _Shipment, size: int) -> None:
        before, shipment.size = shipment.size, size
        if shipment.cursor >= before < size:
            shipment.probe, shipment.probe_ms = size, self._monotonic_ms()

    def _note_cursor(self, shipment: _Shipment, cursor: int, now_ms: int) -> None:
        if cursor > shipment.cursor:
            shipment.moved_ms, shipment.patience_ms = now_ms, STALLED_MS
        if cursor >= shipment.probe:
            shipment.probe, shipment.probe_ms = shipment.size, now_ms
        shipment.cursor = cursor
        shipment.shipped = max(shipment.shipped, cursor)

    def _advance_all(self) -> None:
        """Advance every journal; one whose part of a cluster is away does not hold up the others."""
        failed: dict[int, StoreUnavailable] = {}
        room = self._window_bytes - sum(e.shipped - e.cursor for e in self._shipments.values() if e.is_orphan)
        for shipment in sorted(self._shipments.values(), key=lambda each: each.is_orphan):
            shard = self._store.shard_of(shipment.name)
            if shard in failed:
                continue
            shipped = shipment.shipped
            try:
                self._advance(shipment, room if shipment.is_orphan else self._window_bytes)
            except StoreUnavailable as error:
                failed[shard] = error
            room -= shipment.shipped - shipped if shipment.is_orphan else 0
        if failed:
            raise next(iter(failed.values()))

    def _advance(self, shipment: _Shipment, room: int) -> None:
        self._ship_again_if_stalled(shipment)
        limit = min(shipment.size, shipment.cursor + self._window_bytes, shipment.shipped + room)
        for chunk in _chunks(shipment, limit):
            if shipment.shipped == shipment.cursor:
                shipment.moved_ms = self._monotonic_ms()  # nothing was under way, so nothing can have stalled
            self._store.ship(chunk)
            shipment.shipped = chunk.end
            self._tallies.count("shipped_bytes", len(chunk.data))

    def _ship_again_if_stalled(self, shipment: _Shipment) -> None:
        now_ms = self._monotonic_ms()
        if shipment.shipped <= shipment.cursor or now_ms - shipment.moved_ms < shipment.patience_ms:
            return
        shipment.moved_ms = now_ms
        if self._is_in_stream(shipment.name, shipment.cursor):
            # Counting is what stands still. Shipping again and again would fill Redis and help nobody.
            shipment.patience_ms = min(2 * shipment.patience_ms, LONGEST_PATIENCE_MS)
            return
        logger.warning("journal %s is shipped again from byte %d", shipment.name, shipment.cursor)
        self._tallies.count("shipped_again")
        shipment.shipped, shipment.patience_ms = shipment.cursor, STALLED_MS

    def _is_in_stream(self, journal: str, offset: int) -> bool:
        """Tell whether the stream holds the chunk that would move this journal's cursor."""
        after, shard = "", self._store.shard_of(journal)
        while entries := self._store.entries(after, PAGE_ENTRIES, shard=shard):
            if any(e.chunk.journal == journal and e.chunk.start <= offset < e.chunk.end for e in entries):
                return True
            after = entries[-1].id
        return False

    def _note_failure(self, error: Exception) -> None:
        self._tallies.count("ship_failures")
        if self._is_reachable:
            self._is_reachable = False
            logger.warning("journals wait on disk: %s", error)

    def _note_success(self) -> None:
        if not self._is_reachable:
            self._is_reachable = True
            logger.info("journals are shipped again")


def _chunks(shipment: _Shipment, limit: int) -> Iterator[Chunk]:
    """Cut what lies between the shipped position and `limit` at line ends."""
    start = shipment.shipped
    while data := _whole_lines(shipment, start, limit):
        yield Chunk(journal=shipment.name, start=start, end=start + len(data), data=data)
        start += len(data)


def _whole_lines(shipment: _Shipment, start: int, limit: int) -> bytes:
    """Read about CHUNK_BYTES up to a line end; more where a single line is longer than that."""
    data = _read(shipment, start, min(limit, start + CHUNK_BYTES))
    if b"\n" not in data:
        data = _read(shipment, start, limit)
    is_torn_end = shipment.is_orphan and start + len(data) == shipment.size
    return data if is_torn_end else data[: data.rfind(b"\n") + 1]


def _read(shipment: _Shipment, start: int, end: int) -> bytes:
    return os.pread(shipment.descriptor, max(0, end - start), start)
