"""Keep the last good snapshots on this host's disk, so that a process can start and serve while Redis is away.

    documents/{slug}.json     the snapshot document
    blobs/{sha}.blob          one line of JSON with the lengths and a checksum, then the bodies one after the other

Every file is written beside its place and renamed into it, so several processes may share the folder and a reader
never sees half a file. What a power cut left behind fails its checksum and counts as missing.
"""

import json
import logging
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import uuid4
from zlib import crc32

from experiments.splitter.stores import Blob

logger = logging.getLogger(__name__)

# Another process may just be writing blobs for a snapshot that this one does not know yet.
UNUSED_SECONDS = 24 * 3600


class Archive:
    """The folder of last good snapshots."""

    def __init__(self, directory: Path) -> None:
        self._documents = directory / "documents"
        self._blobs = directory / "blobs"

    def keep(self, slug: str, document: str, blobs: Mapping[str, Blob]) -> None:
        """Write a snapshot; its blobs first, so that a document never lacks them."""
        for directory in (self._documents, self._blobs):
            directory.mkdir(parents=True, exist_ok=True)
        for sha, blob in blobs.items():
            path = self._blob_path(sha)
            if not path.exists():
                _replace(path, _packed(blob))
        _replace(self._documents / f"{slug}.json", document.encode())

    def forget(self, slug: str) -> None:
        """Remove a snapshot; its blobs go with the next sweep."""
        (self._documents / f"{slug}.json").unlink(missing_ok=True)

    def documents(self) -> list[str]:
        """Give the documents that are there."""
        return [path.read_text("utf-8") for path in sorted(self._documents.glob("*.json"))]

    def blob(self, sha: str) -> Blob | None:
        """Give a blob, or None if it is missing or damaged."""
        try:
            return _unpacked(self._blob_path(sha).read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("the archived blob %s cannot be used: %s", sha, error)
            return None

    def sweep(self, used: Collection[str]) -> None:
        """Remove what no document has used for a day."""
        before = time.time() - UNUSED_SECONDS
        for path in self._blobs.glob("*"):
            if path.stem not in used and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _blob_path(self, sha: str) -> Path:
        return self._blobs / f"{sha}.blob"


def _replace(path: Path, data: bytes) -> None:
    # Not synced: a hundred syncs would keep the refresher from hearing of a stop, and Redis holds the truth anyway.
    beside = path.with_name(f"{uuid4().hex}.new")
    beside.write_bytes(data)
    beside.replace(path)


def _packed(blob: Blob) -> bytes:
    bodies = [blob.identity, blob.br, blob.gzip]
    content = b"".join(body for body in bodies if body is not None)
    head = {
        "lengths": [None if body is None else len(body) for body in bodies],
        "crc32": crc32(content),
        "content_type": blob.content_type,
        "csp": blob.csp,
    }
    return json.dumps(head).encode() + b"\n" + content


def _unpacked(data: bytes) -> Blob:
    line, _, content = data.partition(b"\n")
    head = json.loads(line)
    if crc32(content) != head["crc32"]:
        raise ValueError("the checksum does not hold")
    bodies: list[bytes | None] = []
    for length in head["lengths"]:
        bodies.append(None if length is None else content[:length])
        content = content[length or 0 :]
    identity, br, gzip = bodies
    return Blob(identity=identity or b"", br=br, gzip=gzip, content_type=head["content_type"], csp=head["csp"])
