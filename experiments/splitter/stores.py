"""The seam between the visitor tier and everybody else: published snapshots one way, journal chunks the other.

`RedisStore` is the real one, `MemoryStore` its offline twin; tests/contracts/test_stores.py holds both to the same
promises. Whatever goes wrong with Redis surfaces as StoreUnavailable. No visitor's thread ever calls a store.

Chunks travel in SHARDS streams. A journal always takes the same one, so its chunks stay in order; on a Redis Cluster
the streams lie on different nodes, and several workers count different streams at once. Readers look at all SHARDS of
them; how many of them a writer uses is its own setting, so that hosts may differ and a change strands nothing.
"""

import json
import logging
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

PREFIX = "greenhouse:"
# The braces keep the two on one node of a cluster, because the script below changes both.
SEQUENCES = f"{PREFIX}{{snapshots}}:sequences"
SNAPSHOTS = f"{PREFIX}{{snapshots}}:documents"
CURSORS = f"{PREFIX}cursors"
LAGS = f"{PREFIX}lags"

SHARDS = 16  # streams that readers look at; a writer uses the first so many of them
# Of the memory that Redis may use: above it streams are not lengthened. The rest is for what shares that Redis. If
# streams could fill it, Celery could not send the tick by which they are emptied, and all would stand still for good.
FULLEST = 0.75
MEMORY_SECONDS = 1.0  # for which an answer about memory is believed
CLUSTER_SCHEMES = {"redis+cluster", "rediss+cluster"}
DEFAULT_PORT = 6379

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


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLag:
    """What the process that ships a journal says of it, for whoever wants to know how far counting is behind."""

    host: str
    end: int  # bytes
    seconds: float  # for which its oldest uncounted record has waited
    at_ms: int  # wall time


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

    def shard_of(self, journal: str) -> int:
        """Tell which stream this store ships a journal's chunks to."""

    def waiting(self) -> list[int]:
        """Give the shards that hold entries, as far as their nodes answer."""

    def entries(self, after: str, limit: int, *, shard: int = 0) -> list[Entry]:
        """Give up to `limit` entries that follow the entry `after`; the empty text stands for the beginning."""

    def discard(self, ids: Collection[str], *, shard: int = 0) -> None:
        """Drop entries that are counted."""

    def cursors(self, journals: Collection[str] | None = None) -> dict[str, int]:
        """Give the counted offset of each journal, or of those of `journals` that have one."""

    def advance_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these offsets and leave the others."""

    def publish_cursors(self, cursors: Mapping[str, int]) -> None:
        """Replace the counted offsets: a journal that is not among these counts as uncounted.

        Replacing rather than adding makes a restored database, which knows less than Redis, have its say.
        """

    def report_lags(self, lags: Mapping[str, JournalLag]) -> None:
        """Replace what is known of these journals."""

    def forget_lags(self, journals: Collection[str]) -> None:
        """Drop what is known of these journals."""

    def lags(self) -> dict[str, JournalLag]:
        """Give what was last said of each journal."""


class MemoryStore:
    """The offline twin: the same promises inside one process, for tests and for a trial without Redis."""

    def __init__(self, *, shards: int = 1) -> None:
        self._shards = shards
        self._lock = threading.Lock()
        self._sequences: dict[str, int] = {}
        self._snapshots: dict[str, str] = {}
        self._blobs: dict[str, Blob] = {}
        self._streams: dict[int, dict[int, Chunk]] = {shard: {} for shard in range(SHARDS)}  # in order of arrival
        self._last_id = 0
        self._cursors: dict[str, int] = {}
        self._lags: dict[str, JournalLag] = {}

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
            self._streams[self.shard_of(chunk.journal)][self._last_id] = chunk

    def shard_of(self, journal: str) -> int:
        """Tell which stream this store ships a journal's chunks to."""
        return _shard_of(journal, self._shards)

    def waiting(self) -> list[int]:
        """Give the shards that hold entries."""
        return [shard for shard, chunks in self._streams.items() if chunks]

    def entries(self, after: str, limit: int, *, shard: int = 0) -> list[Entry]:
        """Give up to `limit` entries that follow the entry `after`; the empty text stands for the beginning."""
        start = int(after or 0)
        with self._lock:
            following = ((number, chunk) for number, chunk in self._streams[shard].items() if number > start)
            return [Entry(id=str(number), chunk=chunk) for number, chunk in islice(following, limit)]

    def discard(self, ids: Collection[str], *, shard: int = 0) -> None:
        """Drop entries that are counted."""
        with self._lock:
            for identifier in ids:
                self._streams[shard].pop(int(identifier), None)

    def cursors(self, journals: Collection[str] | None = None) -> dict[str, int]:
        """Give the counted offset of each journal, or of those of `journals` that have one."""
        with self._lock:
            asked = self._cursors if journals is None else journals
            return {journal: self._cursors[journal] for journal in asked if journal in self._cursors}

    def advance_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these offsets and leave the others."""
        with self._lock:
            self._cursors |= cursors

    def publish_cursors(self, cursors: Mapping[str, int]) -> None:
        """Replace the counted offsets: a journal that is not among these counts as uncounted."""
        with self._lock:
            self._cursors = dict(cursors)

    def report_lags(self, lags: Mapping[str, JournalLag]) -> None:
        """Replace what is known of these journals."""
        with self._lock:
            self._lags |= lags

    def forget_lags(self, journals: Collection[str]) -> None:
        """Drop what is known of these journals."""
        with self._lock:
            for journal in journals:
                self._lags.pop(journal, None)

    def lags(self) -> dict[str, JournalLag]:
        """Give what was last said of each journal."""
        with self._lock:
            return dict(self._lags)


class RedisStore:
    """The store in Redis 6.2 or newer, or in a cluster of them; nothing later is needed. Threads may share one.

    `redis+cluster://host:port,host:port` names some nodes of a cluster; they tell of the others.
    """

    def __init__(self, url: str, *, shards: int | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._shards = shards or (SHARDS if is_cluster(url) else 1)
        self._timeout_seconds = timeout_seconds
        self._connecting = threading.Lock()
        self._connected: Redis | None = None
        self._room: dict[str, tuple[float, bool]] = {}  # by stream: when it was asked for, and the answer

    @property
    def _redis(self) -> Redis:
        """The client. Made when first used: a cluster's asks for the nodes at once, and Redis may be away then."""
        with self._connecting:
            if self._connected is None:
                self._connected = _client(self._url, self._timeout_seconds)
            return self._connected

    def close(self) -> None:
        """Close the connections."""
        if self._connected is not None:
            self._connected.close()

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
            return bool(self._redis.eval(PUBLISH_IF_NEWER, 2, SEQUENCES, SNAPSHOTS, slug, sequence, document))

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
        stream = stream_key(self.shard_of(chunk.journal))
        with _translated():
            # Into an empty stream a chunk may always go, so that counting goes on when something else fills Redis.
            if not self._has_room(stream) and self._redis.xlen(stream):
                raise StoreUnavailable(f"Redis: more than {FULLEST:.0%} of its memory is used")
            self._redis.xadd(
                stream,
                {"journal": chunk.journal, "start": chunk.start, "end": chunk.end, "bytes": chunk.data},
            )

    def _has_room(self, stream: str) -> bool:
        asked, has_room = self._room.get(stream, (-MEMORY_SECONDS, True))
        now = time.monotonic()
        if now - asked < MEMORY_SECONDS:
            return has_room
        said = self._info(stream)
        has_room = not said["maxmemory"] or said["used_memory"] < FULLEST * said["maxmemory"]
        self._room[stream] = now, has_room
        return has_room

    def _info(self, key: str) -> dict[str, int]:
        """Give what the node that has the key says of its memory."""
        if not is_cluster(self._url):
            return cast("dict[str, int]", self._redis.info("memory"))
        cluster = cast("RedisCluster", self._redis)
        node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]  # redis-py's
        return cast("dict[str, int]", cluster.info("memory", target_nodes=node))

    def shard_of(self, journal: str) -> int:
        """Tell which stream this store ships a journal's chunks to."""
        return _shard_of(journal, self._shards)

    def waiting(self) -> list[int]:
        """Give the shards that hold entries, as far as their nodes answer."""
        if not is_cluster(self._url):
            with _translated(), self._redis.pipeline(transaction=False) as pipeline:
                for shard in range(SHARDS):
                    pipeline.xlen(stream_key(shard))
                return [shard for shard, length in enumerate(pipeline.execute()) if length]
        # One by one: a pipeline over several nodes fails altogether when one of them is away.
        lengths = {shard: self._length(shard) for shard in range(SHARDS)}
        if all(length is None for length in lengths.values()):
            raise StoreUnavailable("Redis: no node of the cluster answers")
        return [shard for shard, length in lengths.items() if length]

    def _length(self, shard: int) -> int | None:
        try:
            with _translated():
                return self._redis.xlen(stream_key(shard))
        except StoreUnavailable:
            return None

    def entries(self, after: str, limit: int, *, shard: int = 0) -> list[Entry]:
        """Give up to `limit` entries that follow the entry `after`; the empty text stands for the beginning."""
        with _translated():
            found = self._redis.xrange(stream_key(shard), min=f"({after}" if after else "-", count=limit)
        rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [entry for entry in (_entry(identifier.decode(), fields) for identifier, fields in rows) if entry]

    def discard(self, ids: Collection[str], *, shard: int = 0) -> None:
        """Drop entries that are counted."""
        if not ids:
            return
        with _translated():
            self._redis.xdel(stream_key(shard), *ids)

    def cursors(self, journals: Collection[str] | None = None) -> dict[str, int]:
        """Give the counted offset of each journal, or of those of `journals` that have one."""
        if journals is None:
            return _numbers(self._fields(CURSORS))
        if not journals:
            return {}
        asked = list(journals)
        with _translated():
            found = cast("list[bytes | None]", self._redis.hmget(CURSORS, asked))
        return {journal: int(number) for journal, number in zip(asked, found, strict=True) if number is not None}

    def advance_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set these offsets and leave the others."""
        if not cursors:
            return
        with _translated():
            self._redis.hset(CURSORS, mapping={journal: str(offset) for journal, offset in cursors.items()})

    def publish_cursors(self, cursors: Mapping[str, int]) -> None:
        """Replace the counted offsets."""
        with _translated(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(CURSORS)
            if cursors:
                pipeline.hset(CURSORS, mapping={journal: str(offset) for journal, offset in cursors.items()})
            pipeline.execute()

    def report_lags(self, lags: Mapping[str, JournalLag]) -> None:
        """Replace what is known of these journals."""
        if not lags:
            return
        with _translated():
            self._redis.hset(LAGS, mapping={journal: json.dumps(asdict(lag)) for journal, lag in lags.items()})

    def forget_lags(self, journals: Collection[str]) -> None:
        """Drop what is known of these journals."""
        if not journals:
            return
        with _translated():
            self._redis.hdel(LAGS, *journals)

    def lags(self) -> dict[str, JournalLag]:
        """Give what was last said of each journal."""
        return {journal.decode(): JournalLag(**json.loads(said)) for journal, said in self._fields(LAGS).items()}

    def _fields(self, key: str) -> dict[bytes, bytes]:
        with _translated():
            return cast("dict[bytes, bytes]", self._redis.hgetall(key))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        raise StoreUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def stream_key(shard: int) -> str:
    """Give the key of a stream in Redis."""
    return f"{PREFIX}journal:{shard}"


def is_cluster(url: str) -> bool:
    """Tell whether the address is that of a cluster."""
    return urlsplit(url).scheme in CLUSTER_SCHEMES


def cluster_nodes(url: str) -> list[tuple[str, int]]:
    """Give host and port of each node the address names; raise ValueError for an address that is not one."""
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    parsed = [urlsplit(f"//{host}") for host in hosts]
    if urlsplit(url).path.strip("/") or not all(part.hostname for part in parsed):
        raise ValueError("not an address such as redis+cluster://host:7000,host:7001")
    return [(str(part.hostname), part.port or DEFAULT_PORT) for part in parsed]


def _client(url: str, timeout_seconds: float) -> Redis:
    # Retries are off: redis-py's default policy turns a deadline of 50 ms into four seconds when Redis is frozen.
    never = Retry(NoBackoff(), 0)
    if not is_cluster(url):
        return Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=never)
    user = urlsplit(f"//{urlsplit(url).netloc.rpartition('@')[0]}@")
    cluster = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in cluster_nodes(url)],  # type: ignore[no-untyped-call]  # redis-py's
        username=user.username and unquote(user.username),
        password=user.password and unquote(user.password),
        ssl=urlsplit(url).scheme == "rediss+cluster",
        # Streams whose node is away wait; those of the other nodes go on.
        require_full_coverage=False,
        retry=never,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
    )
    return cast("Redis", cluster)  # the commands used here are the same


def _shard_of(journal: str, shards: int) -> int:
    return zlib.crc32(journal.encode()) % shards


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
