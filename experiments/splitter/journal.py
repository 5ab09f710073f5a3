"""Turn records into lines of an append-only file before the visitor is answered.

One file a process, named by a UUID that is never used again. The process holds an exclusive lock on it for as long as
it lives; the kernel drops the lock however the process dies, and a file that can be locked is an orphan which another
process ships to its end (shipper.py). Appending is one write to the page cache: it survives `kill -9` of the process,
and `tend`, called each second from a background thread, bounds what a power cut may take.
"""

import fcntl
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

logger = logging.getLogger(__name__)

SUFFIX = ".journal"
ROTATE_BYTES = 200 * 1024 * 1024
OWNER_ONLY_FILE = 0o600  # leads stand here in clear until counted
OWNER_ONLY_DIRECTORY = 0o700

# Closes a torn line. Not a bare line feed: a line that lacks nothing but its line feed would become valid by it,
# although its writer was told that it failed.
TORN_END = b"!\n"

# Empty lines mean nothing. As many as several records, so that the last free bytes of a full disk do not pass for room.
PROBE = b"\n" * 4096


class JournalUnavailable(Exception):
    """The records are not on disk, so what they say must not be promised to anybody."""


@dataclass(slots=True, kw_only=True)
class _File:
    """An open, locked journal file."""

    path: Path
    descriptor: int
    size: int = 0  # bytes of whole, acknowledged writes
    is_torn: bool = False  # bytes of a failed write follow them and could not be cut off
    is_synced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a journal. What lies behind it in the file was not acknowledged and must not be shipped."""

    path: Path | None = None  # None before the first write
    size: int = 0  # bytes


class Journal:
    """One process's journal. Any thread may append."""

    def __init__(self, directory: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.directory = directory
        self.failures = 0  # writes refused since the start
        self.is_failing = False  # a write was refused, and it is not yet certain that the next one will not be
        self._failures_told = 0
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._file: _File | None = None

    def end(self) -> End:
        """Tell where the next write goes."""
        file = self._file
        return End(path=file.path, size=file.size) if file else End()

    def append(self, lines: bytes) -> None:
        """Write whole lines, all or none of them, or raise JournalUnavailable."""
        with self._lock:
            try:
                self._write(lines)
            except OSError as error:
                self.failures += 1
                self.is_failing = True
                raise JournalUnavailable(f"{self.directory}: {error}") from error

    def tend(self) -> None:
        """Do what is due each second: sync, rotate, and after a failure find out whether writing works again."""
        refused = self.failures - self._failures_told
        try:
            self._sync()
            if self._file is not None and self._is_used_up(self._file):
                self.close()
            if self._file is None or self.is_failing:
                self.append(PROBE if self.is_failing else b"\n")
        except (OSError, JournalUnavailable) as error:
            self.is_failing = True
            logger.warning("the journal cannot be written: %s (%d records refused)", error, refused)
        else:
            # A disk that is almost full takes a short record and refuses the next: only a second without a refusal
            # means that it is over.
            self.is_failing = refused > 0
            if refused:
                logger.warning("the journal cannot be written: %d records refused", refused)
        self._failures_told = self.failures

    def close(self) -> None:
        """Force everything to disk and give up the file; a later append starts a new one."""
        with self._lock:
            file, self._file = self._file, None
        if file is None:
            return
        try:
            os.fsync(file.descriptor)
        finally:
            os.close(file.descriptor)

    def _sync(self) -> None:
        file = self._file
        if file is None or file.is_synced:
            return
        file.is_synced = True  # before the sync: a write during it asks for another one
        os.fsync(file.descriptor)

    def _is_used_up(self, file: _File) -> bool:
        """Tell whether the file is large, or was deleted by somebody, so that writing to it writes to nowhere."""
        return file.size >= self._rotate_bytes or os.fstat(file.descriptor).st_nlink == 0

    def _write(self, lines: bytes) -> None:
        file = self._file
        if file is None:
            file = self._file = _create(self.directory)
        if file.is_torn:
            _close_torn_line(file)
        written = os.write(file.descriptor, lines)
        if written != len(lines):
            _cut(file)
            raise OSError(f"only {written} of {len(lines)} bytes were written")
        file.size += written
        file.is_synced = False


def lock(descriptor: int) -> bool:
    """Take a journal's lock if nobody holds it; tell whether it was taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _create(directory: Path) -> _File:
    directory.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
    while True:
        path = directory / f"{uuid4().hex}{SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, OWNER_ONLY_FILE)
        if lock(descriptor):
            return _File(path=path, descriptor=descriptor)
        # Race: another process saw the new file before it was locked and adopted it as an orphan. It may keep it.
        os.close(descriptor)


def _cut(file: _File) -> None:
    """Take a short write back, so that of several lines in one write none remains."""
    try:
        os.ftruncate(file.descriptor, file.size)
    except OSError:
        file.is_torn = True


def _close_torn_line(file: _File) -> None:
    if os.write(file.descriptor, TORN_END) != len(TORN_END):
        raise OSError("a torn line could not be closed")
    file.size = os.fstat(file.descriptor).st_size
    file.is_torn = False
