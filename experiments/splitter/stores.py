"""The seam between the visitor tier and everybody else: published snapshots one way, journal chunks the other.

`RedisStore` is the real one, `MemoryStore` its offline twin; tests/contracts/test_stores.py holds both to the same
promises. Whatever goes wrong with Redis surfaces as StoreUnavailable. No visitor's thread ever calls a store.
"""

import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

PREFIX = "greenhouse:"
SEQUENCES = f"{PREFIX}sequences"
SNAPSHOTS = f"{PREFIX}snapshots"
JOURNAL = f"{PREFIX}journal"
CURSORS = f"{PREFIX}cursors"

# A frozen Redis accepts connections and answers nothing, so every call needs a deadline of its own.
TIMEOUT_SECONDS = 1.0

# Both hashes change together or not at all, so a reader of a sequence always finds that document or a newer one.
PUBLISH_IF_NEWER = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and tonumber(stored) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class StoreUnavailable(Exception):
    """The store did not answer in time, refused, or could not be reached. Trying again later may succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """The bytes of one page or image, compressed beforehand where that pays."""

    identity: bytes
    br: bytes | None = None
    gzip: bytes | None = None
    content_type: str
    csp: str | None = None  # the Content-Security-Policy that fits this body


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stretch of a journal: whole lines, `data` being its bytes from `start` up to `end`."""

    journal: str  # uuid hex, the file's name
    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A chunk as it lies in the store, in order of arrival."""

    id: str
    chunk: Chunk


class Store(Protocol):
    """What the visitor tier, deployment and counting ask of the thing between them."""

    def sequences(self) -> dict[str, int]:
        """Give the newest published sequence of each slug."""

    def snapshot(self, slug: str) -> str | None:
        """Give the newest published snapshot document."""

    def blob(self, sha: str) -> Blob | None:
        """Give a blob, or None if it was never put."""

    def has_blobs(self, shas: Collection[str]) -> set[str]:
        """Give those of `shas` that are present."""

    def publish(self, slug: str, sequence: int, document: str) -> bool:
        """Replace the snapshot unless one with this or a higher sequence is there; tell whether it was replaced."""

    def put_blob(self, sha: str, blob: Blob) -> None:
        """Put a blob under its hash; putting it again changes nothing."""

    def ship(self, chunk: Chunk) -> None:
        """Append a chunk to the stream. It may be appended twice when the answer is lost: counting skips repeats."""

    def entries(self, after: str, limit: int) -> list[Entry]:
        """Give up to `limit` entries that follow the entry `after`; the empty text stands for the beginning."""

    def discard(self, ids: Collection[str]) -> None:
        """Drop entries that are counted."""

    def cursors(self) -> dict[str, int]:
        """Give the counted offset of each journal."""

    def publish_cursors(self, cursors: Mapping[str, int]) -> None:
        """Replace the counted offsets: a journal that is not among these counts as uncounted.

        Replacing rather than adding makes a restored database, which knows less than Redis, have its say.
        """


class MemoryStore:
    """The offline twin: the same promises inside one process, for tests and for a trial without Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequences: dict[str, int] = {}
        self._snapshots: dict[str, str] = {}
        self._blobs: dict[str, Blob] = {}
        self._chunks: dict[int, Chunk] = {}  # in order of arrival
        self._last_id = 0
        self._cursors: dict[str, int] = {}

    def sequences(self) -> dict[str, int]:
        """Give the newest published sequence of each slug."""
        with self._lock:
            return dict(self._sequences)

    def snapshot(self, slug: str) -> str | None:
        """Give the newest published snapshot document."""
        return self._snapshots.get(slug)

    def blob(self, sha: str) -> Blob | None:
        """Give a blob, or None if it was never put."""
        return self._blobs.get(sha)

    def has_blobs(self, shas: Collection[str]) -> set[str]:
        """Give those of `shas` that are present."""
        return {sha for sha in shas if sha in self._blobs}

    def publish(self, slug: str, sequence: int, document: str) -> bool:
        """Replace the snapshot unless one with this or a higher sequence is there; tell whether it was replaced."""
        with self._lock:
            if self._sequences.get(slug, sequence - 1) >= sequence:
                return False
            self._snapshots[slug] = document
            self._sequences[slug] = sequence
            return True

    def put_blob(self, sha: str, blob: Blob) -> None:
        """Put a blob under its hash; putting it again changes nothing."""
        self._blobs[sha] = blob

    def ship(self, chunk: Chunk) -> None:
        """Append a chunk to the stream."""
        with self._lock:
            self._last_id += 1
            self._chunks[self._last_id] = chunk

    def entries(self, after: str, limit: int) -> list[Entry]:
        """Give up to `limit` entries that follow the entry `after`; the empty text stands for the beginning."""
        start = int(after or 0)
        with self._lock:
            following = ((number, chunk) for number, chunk in self._chunks.items() if number > start)
            return [Entry(id=str(number), chunk=chunk) for number, chunk in islice(following, limit)]

    def discard(self, ids: Collection[str]) -> None:
        """Drop entries that are counted."""
        with self._lock:
            for identifier in ids:
                self._chunks.pop(int(identifier), None)

    def cursors(self) -> dict[str, int]:
        """Give the counted offset of each journal."""
        with self._lock:
            return dict(self._cursors)

    def publish_cursors(self, cursors: Mapping[str, int]) -> None:
        """Replace the counted offsets: a journal that is not among these counts as uncounted."""
        with self._lock:
            self._cursors = dict(cursors)


class RedisStore:
    """The store in Redis 6.2 or newer; nothing later is needed. Threads may share one."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        # Retries are off: redis-py's default policy turns a deadline of 50 ms into four seconds when Redis is frozen.
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self._publish = self._redis.register_script(PUBLISH_IF_NEWER)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def sequences(self) -> dict[str, int]:
        """Give the newest published sequence of each slug."""
        return _numbers(self._fields(SEQUENCES))

    def snapshot(self, slug: str) -> str | None:
        """Give the newest published snapshot document."""
        with _translated():
            document = cast("bytes | None", self._redis.hget(SNAPSHOTS, slug))
        return None if document is None else document.decode()

    def blob(self, sha: str) -> Blob | None:
        """Give a blob, or None if it was never put."""
        fields = self._fields(_blob_key(sha))
        if b"identity" not in fields:
            return None
        csp = fields.get(b"csp")
        return Blob(
            identity=fields[b"identity"],
            br=fields.get(b"br"),
            gzip=fields.get(b"gzip"),
            content_type=fields.get(b"content_type", b"application/octet-stream").decode(),
            csp=None if csp is None else csp.decode(),
        )

    def has_blobs(self, shas: Collection[str]) -> set[str]:
        """Give those of `shas` that are present."""
        asked = list(shas)
        with _translated(), self._redis.pipeline(transaction=False) as pipeline:
            for sha in asked:
                pipeline.exists(_blob_key(sha))
            found = pipeline.execute()
        return {sha for sha, present in zip(asked, found, strict=True) if present}

    def publish(self, slug: str, sequence: int, document: str) -> bool:
        """Replace the snapshot unless one with this or a higher sequence is there; tell whether it was replaced."""
        with _translated():
            return bool(self._publish(keys=[SEQUENCES, SNAPSHOTS], args=[slug, sequence, document]))

    def put_blob(self, sha: str, blob: Blob) -> None:
        """Put a blob under its hash; putting it again changes nothing."""
        fields: dict[str, bytes | str | None] = {
            "identity": blob.identity,
            "br": blob.br,
            "gzip": blob.gzip,
            "content_type": blob.content_type,
            "csp": blob.csp,
        }
        with _translated():
            self._redis.hset(_blob_key(sha), mapping={name: v for name, v in fields.items() if v is not None})

    def ship(self, chunk: Chunk) -> None:
        """Append a chunk to the stream. It may be appended twice when the answer is lost: counting skips repeats."""
        with _translated():
            self._redis.xadd(
                JOURNAL, {"journal": chunk.journal, "start": chunk.start, "end": chunk.end, "bytes": chunk.data}
            )

    def entries(self, after: str, limit: int) -> list[Entry]:
        """Give up to `limit` entries that follow the entry `after`; the empty text stands for the beginning."""
        with _translated():
            found = self._redis.xrange(JOURNAL, min=f"({after}" if after else "-", count=limit)
        rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [entry for entry in (_entry(identifier.decode(), fields) for identifier, fields in rows) if entry]

    def discard(self, ids: Collection[str]) -> None:
        """Drop entries that are counted."""
        if not ids:
            return
        with _translated():
            self._redis.xdel(JOURNAL, *ids)

    def cursors(self) -> dict[str, int]:
        """Give the counted offset of each journal."""
        return _numbers(self._fields(CURSORS))

    def publish_cursors(self, cursors: Mapping[str, int]) -> None:
        """Replace the counted offsets."""
        with _translated(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(CURSORS)
            if cursors:
                pipeline.hset(CURSORS, mapping={journal: str(offset) for journal, offset in cursors.items()})
            pipeline.execute()

    def _fields(self, key: str) -> dict[bytes, bytes]:
        with _translated():
            return cast("dict[bytes, bytes]", self._redis.hgetall(key))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def _blob_key(sha: str) -> str:
    return f"{PREFIX}blob:{sha}"


def _numbers(fields: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in fields.items()}


def _entry(identifier: str, fields: Mapping[bytes, bytes]) -> Entry | None:
    """Give the entry, or None for one that no shipper wrote: it must not stop those behind it."""
    try:
        start, end = int(fields[b"start"]), int(fields[b"end"])
        chunk = Chunk(journal=fields[b"journal"].decode(), start=start, end=end, data=fields[b"bytes"])
    except (KeyError, ValueError):
        logger.exception("stream entry %s is not a journal chunk and is left out", identifier)
        return None
    return Entry(id=identifier, chunk=chunk)
