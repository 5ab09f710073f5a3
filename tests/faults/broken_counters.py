"""Three ways to count that lose or double, each of them an easy mistake: the harness has to catch them.

    acknowledge_first    publish the cursor and drop the entries, then insert
    commit_first         insert, then publish the cursor and drop the entries; nothing remembers what was inserted
    buffer               acknowledge what is in memory, insert it now and then

    python -m tests.faults.broken_counters WAY

Reads DATABASE_URL and REDIS_URL. Where a kill does its damage it prints `between` and waits for a line, so that the
moment of the kill is chosen and not left to chance. At SIGTERM it ends as it should: once nothing waits to be counted,
and even a buffer is inserted. In the middle of a step it would now and then do damage of its own.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from experiments.splitter import records
from experiments.splitter.stores import Entry, RedisStore

TABLES = """
CREATE TABLE IF NOT EXISTS broken_exposure
    (way text, experiment int, visitor text, arm text, epoch int, exposed_ms bigint, mark text);
CREATE TABLE IF NOT EXISTS broken_conversion (way text, experiment int, visitor text, goal text, event_id text);
"""
ENTRIES = 16
IDLE_SECONDS = 0.05
FLUSH_SECONDS = 0.5
stopping = threading.Event()


class Stopped(Exception):
    """SIGTERM came, and nothing waits to be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What all three have in common: no cursor of their own, no unique key."""

    way: str
    store: RedisStore
    connection: "psycopg.Connection[Any]"

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        ends: dict[str, int] = {}
        for entry in entries:
            ends[entry.chunk.journal] = max(entry.chunk.end, ends.get(entry.chunk.journal, 0))
        self.store.publish_cursors(self.store.cursors() | ends)
        self.store.discard([entry.id for entry in entries])

    def insert(self, entries: Sequence[Entry]) -> None:
        found = [record for entry in entries for record in records.decode_lines(entry.chunk.data)[0]]
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO broken_exposure VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    (self.way, r.experiment, r.visitor, r.arm, r.epoch, r.exposed_ms, r.attributes.get("utm_id"))
                    for r in found
                    if isinstance(r, records.Exposure)
                ],
            )
            cursor.executemany(
                "INSERT INTO broken_conversion VALUES (%s, %s, %s, %s, %s)",
                [
                    (self.way, r.experiment, r.visitor, r.goal, r.event_id)
                    for r in found
                    if isinstance(r, records.Conversion)
                ],
            )


def acknowledge_first(counter: Counter) -> None:
    while True:
        entries = _entries(counter)
        counter.acknowledge(entries)
        _between()
        counter.insert(entries)


def commit_first(counter: Counter) -> None:
    while True:
        entries = _entries(counter)
        counter.insert(entries)
        _between()
        counter.acknowledge(entries)


def buffer(counter: Counter) -> None:
    kept: list[Entry] = []
    try:
        while True:
            flush_at = time.monotonic() + FLUSH_SECONDS
            while time.monotonic() < flush_at:
                entries = _entries(counter)
                kept += entries
                counter.acknowledge(entries)
            _between()
            counter.insert(kept)
            kept = []
    finally:
        counter.insert(kept)


WAYS: dict[str, Callable[[Counter], None]] = {
    "acknowledge_first": acknowledge_first,
    "commit_first": commit_first,
    "buffer": buffer,
}


def _entries(counter: Counter) -> list[Entry]:
    while not (entries := counter.store.entries("", ENTRIES)):
        if stopping.is_set():
            raise Stopped
        time.sleep(IDLE_SECONDS)
    return entries


def _between() -> None:
    sys.stdout.write("between\n")
    sys.stdout.flush()
    sys.stdin.readline()


def main(way: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(TABLES)
        store = RedisStore(os.environ["REDIS_URL"])
        try:
            WAYS[way](Counter(way=way, store=store, connection=connection))
        except Stopped:
            return
        finally:
            store.close()


if __name__ == "__main__":
    main(sys.argv[1])
