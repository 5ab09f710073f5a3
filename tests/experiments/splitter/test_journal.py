"""The append-only file: what is acknowledged is in it, what failed is not."""

import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments.splitter.journal import Journal, JournalUnavailable, lock
from experiments.splitter.records import Tally, decode_lines

LINE = Tally(experiment=1, at_ms=2, counts={"bot": 3}).encode()


def only_file(directory: Path) -> Path:
    (path,) = directory.glob("*.journal")
    return path


def test_lines_are_in_the_file_when_append_returns(tmp_path: Path):
    journal = Journal(tmp_path / "journal")
    journal.append(LINE + LINE)
    assert only_file(tmp_path / "journal").read_bytes() == LINE + LINE
    assert journal.end().size == 2 * len(LINE)
    journal.close()


def test_only_the_owner_may_read(tmp_path: Path):
    journal = Journal(tmp_path / "a" / "journal")
    journal.append(LINE)
    path = only_file(tmp_path / "a" / "journal")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    journal.close()


def test_the_file_is_locked_while_it_is_written_and_free_afterwards(tmp_path: Path):
    journal = Journal(tmp_path)
    journal.append(LINE)
    with only_file(tmp_path).open("rb") as other:
        assert not lock(other.fileno())
        journal.close()
        assert lock(other.fileno())


def test_threads_never_mix_their_lines(tmp_path: Path):
    journal = Journal(tmp_path)

    def write() -> None:
        for _ in range(200):
            journal.append(LINE * 2)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records, torn = decode_lines(only_file(tmp_path).read_bytes())
    assert (len(records), torn) == (1600, 0)
    assert journal.end().size == 1600 * len(LINE)
    journal.close()


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let the system cut writes short at this size of a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, len(LINE), 2 * len(LINE) - 1])
def test_a_short_write_is_refused_and_taken_back(tmp_path: Path, room: int):
    journal = Journal(tmp_path)
    journal.append(LINE)
    with files_end_at(len(LINE) + room), pytest.raises(JournalUnavailable):
        journal.append(LINE + LINE)
    assert journal.is_failing
    journal.append(LINE)
    assert only_file(tmp_path).read_bytes() == LINE + LINE
    journal.close()


@pytest.mark.parametrize("torn", [LINE[:1], LINE[:-1], LINE + LINE[:-1]])
def test_a_torn_line_that_could_not_be_cut_off_is_skipped_by_its_reader(tmp_path: Path, torn: bytes):
    journal = Journal(tmp_path)
    journal.append(LINE)
    file = journal._file
    assert file is not None
    os.write(file.descriptor, torn)
    file.is_torn = True
    journal.append(LINE)
    records, torn_count = decode_lines(only_file(tmp_path).read_bytes())
    assert (len(records), torn_count) == (2 + torn.count(b"\n"), 1)
    assert journal.end().size == only_file(tmp_path).stat().st_size
    journal.close()


def test_tending_finds_out_when_writing_works_again(tmp_path: Path):
    (tmp_path / "journal").write_text("in the way")
    journal = Journal(tmp_path / "journal")
    journal.tend()
    assert journal.is_failing
    (tmp_path / "journal").unlink()
    journal.tend()
    assert not journal.is_failing
    journal.close()


def test_a_refusal_is_told_until_a_second_has_passed_without_one(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    journal = Journal(tmp_path)
    journal.append(LINE)
    with files_end_at(len(LINE)), pytest.raises(JournalUnavailable):
        journal.append(LINE)
    journal.append(LINE)  # a disk that is almost full takes some records and refuses others
    journal.tend()
    assert journal.is_failing
    assert "1 records refused" in caplog.text
    journal.tend()
    assert not journal.is_failing
    records, torn = decode_lines(only_file(tmp_path).read_bytes())
    assert (len(records), torn) == (2, 0)
    journal.close()


def test_a_large_file_gives_way_to_a_new_one(tmp_path: Path):
    journal = Journal(tmp_path, rotate_bytes=100)
    journal.append(LINE * 5)
    first = journal.end().path
    journal.tend()
    journal.append(LINE)
    assert journal.end().path != first
    assert len(list(tmp_path.glob("*.journal"))) == 2
    journal.close()


def test_a_file_that_was_deleted_is_not_written_to_any_longer(tmp_path: Path):
    journal = Journal(tmp_path)
    journal.append(LINE)
    only_file(tmp_path).unlink()
    journal.tend()
    journal.append(LINE)
    assert decode_lines(only_file(tmp_path).read_bytes())[0]
    journal.close()
