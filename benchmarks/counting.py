"""Counting beside COPY: from journal chunks in Redis to rows and epoch counts in PostgreSQL, by one worker process.

EVENTS (1,000,000) events, 90% exposures and 10% conversions, of 20 experiments with 10 arms each lie in the stream as
the shipper leaves them. The worker reads, checks and decodes them, inserts what is new, adds to the epoch counts and
moves the cursors. The peer is COPY of the finished rows into the same tables with the same keys and partitions, in one
transaction: no reading, no check for repeats, no counts. Both start from empty tables, take turns for ROUNDS (3)
rounds, and wait for the disk as in production; PostgreSQL's settings are its defaults. Medians are compared.

    counting              events a second
    counting.memory       by how many MB the worker's memory grows at its peak; the peer is the same worker with a third
                          of the events
    counting.rows1e5 …    events a second, for FURTHER (200,000) events, when that many rows of the last three months
                          are there already (ROWS, 100000,1000000,10000000); the peer is COPY into the same tables

One JSON object a line.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import uuid4

import django
import psycopg

from experiments.splitter import records
from experiments.splitter.shipper import CHUNK_BYTES
from experiments.splitter.stores import Chunk, RedisStore
from tests.servers import postgres_server, redis_server

EVENTS = int(os.environ.get("EVENTS", "1_000_000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
FURTHER = int(os.environ.get("FURTHER", "200_000"))
ROWS = [int(rows) for rows in os.environ.get("ROWS", "100000,1000000,10000000").split(",") if rows]
EXPERIMENTS, ARMS = 20, 10
EXPOSED_PER_CONVERTED = 9
HISTORY = timedelta(days=90)
SPAN_MS = 600_000  # the events of a round are of ten minutes
TABLES = ("experiments_exposure", "experiments_conversion")
EXPOSED = "(experiment_id, exposed_at, visitor, arm_id, epoch, attributes)"
CONVERTED = "(experiment_id, exposed_at, visitor, goal_id, event_id, arm_id, epoch, converted_at, value)"
ATTRIBUTES = (
    '{"device":"desktop","language":"en"}',
    '{"device":"phone","language":"de","utm_source":"newsletter","utm_campaign":"spring"}',
    '{"device":"phone","language":"en","utm_source":"google","gclid":"EAIaIQobChMI8d3u5Z2khQMVyYZoCR0kzgQrEAAYASAAEgK"}',
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """An experiment as the records and the rows name it."""

    pk: int
    goal: int
    arms: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The same events twice: as journal chunks, and as the text that COPY takes."""

    events: int
    chunks: list[bytes]
    exposures: bytes
    conversions: bytes


def plant() -> list[Plot]:
    """Create the experiments; Django must be set up."""
    from tests.factories import make_running  # noqa: PLC0415 - needs Django's apps

    made = [make_running(arms=ARMS) for _ in range(EXPERIMENTS)]
    return [
        Plot(pk=each.pk, goal=each.goals.get().pk, arms={arm.key: arm.pk for arm in each.arms.all()}) for each in made
    ]


def grow(plots: list[Plot], events: int, *, seed: int) -> Load:
    """Make events in the order in which they happen, ending now."""
    chance = random.Random(seed)  # noqa: S311 - the same events in each run
    start_ms = int(time.time() * 1000) - SPAN_MS
    lines: list[bytes] = []
    exposures, conversions = io.BytesIO(), io.BytesIO()
    for number in range(events):
        plot, at_ms = chance.choice(plots), start_ms + number * SPAN_MS // events
        if number % (EXPOSED_PER_CONVERTED + 1):
            visitor, (arm, arm_pk) = f"{chance.getrandbits(128):032x}", chance.choice(list(plot.arms.items()))
            last, attributes = (plot, visitor, arm, at_ms), chance.choice(ATTRIBUTES)
            lines.append(
                records.exposure_line(
                    experiment=plot.pk, visitor=visitor, arm=arm, epoch=1, exposed_ms=at_ms, attributes=attributes
                )
            )
            row = f"{plot.pk}\t{moment(at_ms)}\t{visitor}\t{arm_pk}\t1\t{attributes}\n"
            exposures.write(row.encode())
        elif number:
            plot, visitor, arm, exposed_ms = last
            lines.append(converted(plot, visitor, arm, exposed_ms, at_ms).encode())
            row = f"{plot.pk}\t{moment(exposed_ms)}\t{visitor}\t{plot.goal}\t\t{plot.arms[arm]}\t1\t{moment(at_ms)}"
            conversions.write(f"{row}\t\\N\n".encode())
    return Load(
        events=len(lines),
        chunks=list(cut(lines)),
        exposures=exposures.getvalue(),
        conversions=conversions.getvalue(),
    )


def converted(plot: Plot, visitor: str, arm: str, exposed_ms: int, at_ms: int) -> records.Conversion:
    return records.Conversion(
        experiment=plot.pk, visitor=visitor, arm=arm, epoch=1, exposed_ms=exposed_ms, goal="signup", at_ms=at_ms
    )


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def cut(lines: list[bytes]) -> Iterator[bytes]:
    """Cut lines into chunks of the size that the shipper makes."""
    chunk = bytearray()
    for line in lines:
        if len(chunk) + len(line) > CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
        chunk += line
    yield bytes(chunk)


def ship(store: RedisStore, chunks: list[bytes]) -> None:
    journal, start = uuid4().hex, 0
    for data in chunks:
        store.ship(Chunk(journal=journal, start=start, end=start + len(data), data=data))
        start += len(data)


def count(store: RedisStore, load: Load) -> tuple[float, float]:
    """Have a worker process of its own count the load; return events a second, and by how many MB it grew."""
    ship(store, load.chunks)
    told = subprocess.run([sys.executable, __file__, "worker"], capture_output=True, text=True, check=True).stdout
    found = json.loads(told)
    assert found["records"] == load.events, (found, load.events)
    return load.events / found["seconds"], found["grown_mb"]


def work() -> None:
    """Be the worker: count what is in the stream, and print how long it took."""
    django.setup()
    from experiments import counting  # noqa: PLC0415 - needs Django's apps

    store = RedisStore(os.environ["REDIS_URL"])
    counting.count(store, longest_seconds=0)  # connects
    before_mb = memory_mb("VmRSS")
    with suppress(PermissionError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    start = time.perf_counter()
    found = counting.count(store, longest_seconds=3600)
    seconds = time.perf_counter() - start
    grown_mb = memory_mb("VmHWM") - before_mb
    print(json.dumps({"records": found.records, "seconds": seconds, "grown_mb": grown_mb}))


def memory_mb(field: str) -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 1024


def copy(database: "psycopg.Connection[tuple[object, ...]]", load: Load) -> float:
    """Have the same rows copied; return events a second."""
    start = time.perf_counter()
    with database.transaction(), database.cursor() as cursor:
        with cursor.copy(f"COPY {TABLES[0]} {EXPOSED} FROM STDIN") as into:
            into.write(load.exposures)
        with cursor.copy(f"COPY {TABLES[1]} {CONVERTED} FROM STDIN") as into:
            into.write(load.conversions)
    return load.events / (time.perf_counter() - start)


def clear(database: "psycopg.Connection[tuple[object, ...]]") -> None:
    database.execute(f"TRUNCATE {', '.join(TABLES)}, experiments_epochcount, experiments_journalcursor")
    database.execute("CHECKPOINT")


def fill(database: "psycopg.Connection[tuple[object, ...]]", plots: list[Plot], *, done: int, wanted: int) -> None:
    """Copy rows of the last three months into the tables, in the order in which they would have come."""
    end = datetime.now(UTC) - timedelta(hours=1)
    step = HISTORY * (wanted / max(ROWS)) / max(wanted - done, 1)
    with database.cursor() as cursor, cursor.copy(f"COPY {TABLES[0]} {EXPOSED} FROM STDIN") as into:
        for number in range(wanted - done):
            plot = plots[number % EXPERIMENTS]
            at = (end - step * (wanted - done - number)).isoformat()
            arm = plot.arms["control"]
            into.write(f"{plot.pk}\t{at}\t{random.getrandbits(128):032x}\t{arm}\t1\t{ATTRIBUTES[number % 3]}\n")
    database.execute("ANALYZE experiments_exposure")
    database.execute("CHECKPOINT")


def report(bench: str, mine: list[float], theirs: list[float], *, peer: str, unit: str) -> None:
    a, b = median(mine), median(theirs)
    row = {"bench": bench, "ours": round(a, 1), "peer": round(b, 1), "peer_name": peer, "ratio": round(a / b, 3)}
    print(json.dumps({**row, "unit": unit}), flush=True)


def measure_rate(store: RedisStore, database: "psycopg.Connection[tuple[object, ...]]", plots: list[Plot]) -> None:
    load, small = grow(plots, EVENTS, seed=1), grow(plots, EVENTS // 3, seed=2)
    rates: list[float] = []
    grown: list[float] = []
    small_grown: list[float] = []
    peers: list[float] = []
    for _ in range(ROUNDS):
        clear(database)
        rate, mb = count(store, load)
        rates.append(rate)
        grown.append(mb)
        clear(database)
        peers.append(copy(database, load))
        clear(database)
        small_grown.append(count(store, small)[1])
    report("counting", rates, peers, peer="copy", unit="events/s")
    report("counting.memory", grown, small_grown, peer="a third of the events", unit="MB")


def measure_growth(store: RedisStore, database: "psycopg.Connection[tuple[object, ...]]", plots: list[Plot]) -> None:
    from experiments import partitions  # noqa: PLC0415 - needs Django's apps

    partitions.prepare(TABLES[0], datetime.now(UTC) - HISTORY)
    clear(database)
    for done, wanted in zip([0, *ROWS], ROWS, strict=False):
        fill(database, plots, done=done, wanted=wanted)
        rates, peers = [], []
        for number in range(ROUNDS):
            rates.append(count(store, grow(plots, FURTHER, seed=wanted + 2 * number))[0])
            peers.append(copy(database, grow(plots, FURTHER, seed=wanted + 2 * number + 1)))
        report(f"counting.rows{wanted:.0e}".replace("e+0", "e"), rates, peers, peer="copy", unit="events/s")


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="greenhouse-bench-") as folder,
        redis_server(Path(folder)) as redis,
        postgres_server(is_durable=True) as postgres,
    ):
        os.environ |= {
            "REDIS_URL": redis.url, "DATABASE_URL": postgres.url, "STATE_DIR": folder,
            "SECRET_KEY": "only-for-this-benchmark", "DJANGO_SETTINGS_MODULE": "greenhouse.settings",
        }  # fmt: skip
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415 - needs the settings

        call_command("migrate", verbosity=0)
        plots, store = plant(), RedisStore(redis.url)
        with psycopg.connect(postgres.url, autocommit=True) as database:
            measure_rate(store, database, plots)
            measure_growth(store, database, plots)
        store.close()


if __name__ == "__main__":
    work() if sys.argv[1:] == ["worker"] else main()
