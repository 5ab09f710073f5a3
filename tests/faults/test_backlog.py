"""Counting that is far behind, a record that the database refuses, and a database restored from a backup."""

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from experiments.splitter.records import Exposure
from experiments.splitter.shipper import WINDOW_BYTES
from experiments.splitter.stores import stream_key
from tests.faults.rig import Rig
from tests.faults.visitors import Ledger, Page, Visitor

LONG = "x" * 150  # makes records long, so that a backlog of many bytes is soon counted
OVERHEAD = 1.3  # of Redis, for what is in its window
SLACK_BYTES = 4 * 1024 * 1024  # other journals' chunks, tasks, snapshots
POISONED_AMONG = 5_000
BACKLOG = 60_000


def exposures(page: Page, shares: dict[str, float], number: int) -> Iterator[Exposure]:
    """Make visitors of the first epoch, a while ago."""
    chance, at_ms = random.Random(3), int(time.time() * 1000) - 60_000
    arms = chance.choices(list(shares), list(shares.values()), k=number)
    for arm in arms:
        visitor, mark = f"{chance.getrandbits(128):032x}", f"{chance.getrandbits(128):032x}"
        yield Exposure(
            experiment=page.number, visitor=visitor, arm=arm, epoch=1, exposed_ms=at_ms,
            attributes={"utm_id": mark, "utm_content": LONG},
        )  # fmt: skip


def enter(ledger: Ledger, record: Exposure) -> None:
    """Enter a visitor who came while nobody of ours was looking."""
    ledger.visitors[record.visitor] = Visitor(
        visitor=record.visitor,
        arm=record.arm,
        epoch=record.epoch,
        exposed_ms=record.exposed_ms,
        mark=record.attributes["utm_id"],
        cookie="",
    )


def first_shares(rig: Rig, page: Page) -> dict[str, float]:
    sql = "SELECT shares FROM experiments_allocation WHERE experiment_id = %s AND epoch = 1"
    return dict(rig.postgres.rows(sql, page.number)[0][0])


def test_a_backlog_waits_on_disk_is_seen_and_is_counted_to_the_last_record(rig, fault_seconds, assert_exact):
    page = rig.plant()
    visitors = rig.visitors(page, per_second=150)
    rig.settle()
    before_bytes, before_journals = rig.redis.used_bytes(), sum(rig.journals().values())
    lines = []
    for record in exposures(page, first_shares(rig, page), BACKLOG):
        enter(visitors.ledger, record)
        lines.append(record.encode())
    most_bytes = 0
    with visitors.coming() as ledger:
        with rig.frozen("beat"):
            # As if a process had died with all of it unshipped; another one finds it within a second.
            size = rig.leave_journal(b"".join(lines))
            started = time.monotonic()
            rig.wait_until(lambda: rig.redis.used_bytes() > before_bytes + WINDOW_BYTES, "the window is full")
            while time.monotonic() < started + fault_seconds:
                most_bytes = max(most_bytes, rig.redis.used_bytes())
                time.sleep(0.1)
            written = sum(rig.journals().values()) - size - before_journals
            rig.wait_until(
                lambda: rig.metrics()["greenhouse_uncounted_bytes"] >= size,
                "the lag is told by whoever adopted the journal",
            )
        time.sleep(1)
    assert size > 2 * WINDOW_BYTES
    most_wanted = (WINDOW_BYTES + written) * OVERHEAD + SLACK_BYTES
    assert most_bytes - before_bytes < most_wanted, "Redis holds more than a window of the backlog"
    assert_exact(rig, visitors, backlog=BACKLOG, redis_mb=round((most_bytes - before_bytes) / 1e6, 1))
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)
    with rig.redis.client() as redis:
        rig.wait_until(lambda: redis.xlen(stream_key(0)) == 0, "what is counted is dropped from the stream")


def test_a_record_that_the_database_refuses_is_kept_aside_and_stops_no_other(rig, assert_exact):
    page = rig.plant()
    visitors = rig.visitors(page)
    good = list(exposures(page, first_shares(rig, page), POISONED_AMONG))
    for record in good:
        enter(visitors.ledger, record)
    bad = Exposure(
        experiment=page.number, visitor=uuid4().hex, arm="control", epoch=1, exposed_ms=good[0].exposed_ms,
        attributes={"utm_term": "a NUL \0 which no text of PostgreSQL may hold"},
    )  # fmt: skip
    unknown = Exposure(
        experiment=page.number, visitor=uuid4().hex, arm="nobody", epoch=1, exposed_ms=good[0].exposed_ms
    )
    middle = len(good) // 2
    lines = [record.encode() for record in [*good[:middle], bad, unknown, *good[middle:]]]
    rig.leave_journal(b"".join(lines))
    assert_exact(rig, visitors)
    refused = [record for (record,) in rig.postgres.rows("SELECT record FROM experiments_refusedrecord")]
    for kept in (bad, unknown):
        assert [record for record in refused if kept.visitor in record], refused
    assert len(refused) == 2


@pytest.mark.unhurried
def test_a_restored_backup_is_brought_up_to_date_from_the_journals(rig, fault_seconds, assert_exact, tmp_path):
    """The operators' manual: back up the database; journals of the last day bring a restored one up to date."""
    visitors = rig.visitors(rig.plant(), per_second=100)
    backup = tmp_path / "backup.sql"
    with visitors.coming() as ledger:
        time.sleep(1)
        dump(rig, backup)
        time.sleep(fault_seconds)
    rig.settle()
    rig.stop()
    restore(rig, backup)
    rig.redis.kill()
    rig.redis.forget()
    rig.redis.start()
    rig.start()
    rig.wait_until_served(visitors.page)
    with visitors.coming():
        time.sleep(1)
    assert_exact(rig, visitors)
    assert ledger.bad_statuses() == {}


def dump(rig: Rig, backup: Path) -> None:
    command = [str(rig.postgres.programs / "pg_dump"), "--file", str(backup), rig.postgres.url]
    subprocess.run(command, check=True, capture_output=True)


def restore(rig: Rig, backup: Path) -> None:
    with rig.postgres.connection() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    command = [str(rig.postgres.programs / "psql"), "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(backup)]
    subprocess.run([*command, rig.postgres.url], check=True, capture_output=True)
