"""Full disks: under the journal of a visitor process, and under the append-only file of Redis."""

import json
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.faults.conftest import PROPERTY
from tests.faults.rig import Rig, Tier
from tests.faults.visitors import FORM_TYPE, Ledger, Visitors

FILLER_BYTES = 4096
STEADY_SECONDS = 1.5  # of load before and after a disk is full
NOTICED_SECONDS = 60.0
REFUSED = 'greenhouse_visitor_total{kind="journal_refused"}'
FAULT = "the journal cannot be written"
TYPED = "somebody@example.org"


class Disk:
    """A small disk of its own where mounting is allowed; elsewhere a limit on the size of its writers' files."""

    def __init__(self, folder: Path, *, size: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "greenhouse-test", str(folder)]
        self.is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0

    @contextmanager
    def full(self, writers: Sequence[int] = ()) -> Iterator[None]:
        """Leave no byte to the writers."""
        filler = self.folder / "filler"
        if self.is_mounted:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(FILLER_BYTES)):
                    pass
        else:
            _limit(writers, 0)
        try:
            yield
        finally:
            filler.unlink(missing_ok=True)
            if not self.is_mounted:
                _limit(writers, None)

    def close(self) -> None:
        if self.is_mounted:
            command = ["umount", "--lazy", str(self.folder)]
            subprocess.run(command, check=True)


def _limit(writers: Sequence[int], size_bytes: int | None) -> None:
    for pid in writers:
        most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if size_bytes is None else size_bytes, most))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", size="1M")
    yield made
    made.close()


@contextmanager
def redis_on_small_disk(rig: Rig) -> Iterator[Disk]:
    """Have Redis begin anew on a small disk; it is emptied on the way in and out, which Greenhouse makes good."""
    rig.redis.kill()
    rig.redis.forget()
    small = Disk(rig.redis.socket.parent, size="6M")
    if small.is_mounted:
        rig.redis.socket.parent.chmod(0o700)
    rig.redis.start()
    try:
        yield small
    finally:
        rig.redis.kill()
        small.close()
        rig.redis.start()


def assert_noticed(rig: Rig, tier: Tier) -> None:
    rig.wait_until(lambda: FAULT in rig.ready(port=tier.port), f"/readyz says: {FAULT}", seconds=NOTICED_SECONDS)
    assert rig.metrics(port=tier.port)["greenhouse_journal_failing"] == 1
    assert rig.ask("GET", "/healthz", port=tier.port)[0] == HTTPStatus.OK


def assert_form_kept(rig: Rig, tier: Tier, visitors: Visitors) -> None:
    """Send a form as one of the visitors; it cannot be taken, but nothing that was typed is lost."""
    headers = {"Cookie": visitors.ledger.known[0].cookie, "Content-Type": FORM_TYPE}
    body = urlencode({"email": TYPED})
    status, html = rig.ask("POST", f"{visitors.page.path}form", port=tier.port, headers=headers, body=body)
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert TYPED.encode() in html


def not_taken(ledger: Ledger) -> int:
    """Return how much visitors saw was not taken: pages without a cookie, forms and events answered 503."""
    refused = sum(number for (_, status), number in ledger.statuses.items() if status == HTTPStatus.SERVICE_UNAVAILABLE)
    return len(ledger.uncounted) + refused


def test_what_a_full_disk_does_not_take_is_itself_counted_to_the_last_one(rig, disk, fault_seconds, record_property):
    page = rig.plant()
    with rig.visitor_tier("small", JOURNAL_DIR=str(disk.folder / "journal")) as tier:
        rig.wait_until_served(page, port=tier.port)
        visitors = rig.visitors(page, per_second=120, ports=[tier.port])
        with visitors.coming() as ledger:
            time.sleep(STEADY_SECONDS)
            with disk.full(tier.pids()):
                assert_noticed(rig, tier)
                time.sleep(fault_seconds)
                assert_form_kept(rig, tier, visitors)
            rig.wait_until(lambda: FAULT not in rig.ready(port=tier.port), "the journal is written again")
            exposures = len(ledger.visitors)
            time.sleep(STEADY_SECONDS)
        verdict = rig.verdict(visitors)
        refused = rig.metrics(port=tier.port)[REFUSED]
    lost = verdict.faults.pop("lost conversions")
    record_property(PROPERTY, json.dumps(verdict.figures | {"told as refused": refused}))
    assert verdict.is_clean, f"{verdict}\n{rig.evidence()}"
    # A click leads on even when it cannot be counted: the visitor's way is worth more than our number.
    assert all("goal='click'" in deed for deed in lost)
    assert refused == not_taken(ledger) + len(lost) + 1  # the form of assert_form_kept
    assert len(ledger.uncounted) > 0
    assert len(ledger.visitors) > exposures, "new visitors are counted again without a restart"
    assert set(ledger.bad_statuses()) <= {"form 503", "event 503", "revenue 503"}
    assert FAULT in (rig.folder / "small" / "web.log").read_text()


@pytest.mark.unhurried
def test_a_full_disk_under_redis_keeps_journals_on_ours_until_there_is_room(rig, fault_seconds, assert_exact):
    """With appendfsync everysec Redis refuses writes while its file cannot grow, and goes on by itself afterwards."""
    page = rig.plant()
    with redis_on_small_disk(rig) as small:
        if not small.is_mounted:
            pytest.skip("mounting a disk for Redis needs root")
        visitors = rig.visitors(page, per_second=120)
        with visitors.coming() as ledger:
            time.sleep(STEADY_SECONDS)
            with small.full():
                rig.wait_until(lambda: refuses_writes(rig), "Redis refuses to write")
                time.sleep(fault_seconds)
            rig.wait_until(lambda: not refuses_writes(rig), "Redis writes again")
            time.sleep(STEADY_SECONDS)
        assert_exact(rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)


def refuses_writes(rig: Rig) -> bool:
    with rig.redis.client() as redis:
        return str(redis.info("persistence")["aof_last_write_status"]) == "err"
