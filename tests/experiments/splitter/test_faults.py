"""What visitors see, and what is counted, while things break: real Redis, real processes, real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.splitter.app import REFRESH_SECONDS, Splitter
from experiments.splitter.journal import Journal
from experiments.splitter.records import Exposure, decode_lines
from experiments.splitter.shipper import Shipper
from experiments.splitter.stores import RedisStore
from experiments.splitter.tallies import Tallies
from tests.experiments.splitter.planting import document, planted, publish
from tests.experiments.splitter.serving import CHROME, Browser, Clock, Site, config, serving
from tests.servers import Server, redis_server

PAGE = "/p/paperless/"
# Far from each other, for a busy machine: how long a visitor takes at most, and how long who asks a frozen Redis waits.
QUICK_SECONDS, FROZEN_SECONDS = 20.0, 60.0
PATIENCE_SECONDS = 60.0

SERVER = """
from wsgiref.simple_server import make_server
from experiments.splitter.wsgi import application
server = make_server("127.0.0.1", 0, application)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def visit(splitter: Splitter) -> tuple[str, float]:
    """Give the status of a first visit and how long it took, in seconds."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": PAGE, "HTTP_USER_AGENT": CHROME, "REMOTE_ADDR": "127.0.0.1"}
    statuses: list[str] = []
    started = time.monotonic()
    splitter(environ, lambda status, _headers: statuses.append(status))
    return statuses[0], time.monotonic() - started


def test_a_frozen_redis_slows_no_visitor_and_loses_nothing(tmp_path: Path, redis: Server):
    store = RedisStore(redis.url, timeout_seconds=FROZEN_SECONDS)
    publish(store, document(store))
    splitter = Splitter(config(tmp_path), store)
    splitter.start()
    redis.process.send_signal(signal.SIGSTOP)
    visits = []
    for _ in range(30):
        visits.append(visit(splitter))
        time.sleep(0.05)
    redis.process.send_signal(signal.SIGCONT)
    splitter.close()
    data = b"".join(entry.chunk.data for entry in store.entries("", 1000))
    exposures = {record.visitor for record in decode_lines(data)[0] if isinstance(record, Exposure)}
    store.close()
    assert {status for status, _ in visits} == {"200 OK"}
    assert max(seconds for _, seconds in visits) < QUICK_SECONDS
    assert len(exposures) == 30


def test_a_stop_reaches_visitors_within_two_seconds(tmp_path: Path):
    store = planted(shares={"v2": 1.0})
    splitter = Splitter(config(tmp_path), store)
    splitter.start()
    publish(store, document(store, sequence=2, status="finished"))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while splitter.refresher.experiments["paperless"].status == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert splitter.refresher.experiments["paperless"].status == "finished"
    assert REFRESH_SECONDS <= 2  # a clock in this test would measure the machine
    splitter.close()


def test_redis_down_at_the_start_is_served_from_disk(tmp_path: Path):
    with serving(tmp_path, planted()) as before:
        body = before.browser().get(PAGE).body
    absent = RedisStore(f"unix://{tmp_path}/nobody.sock", timeout_seconds=0.1)
    with serving(tmp_path, absent) as after:
        assert body.startswith(b"<h1>")
        assert after.browser().get(PAGE).status == 200
        assert after.records(Exposure)


def test_a_killed_process_loses_no_exposure_it_answered(tmp_path: Path, redis: Server):
    store = RedisStore(redis.url)
    publish(store, document(store))
    environ = os.environ | {
        "SECRET_KEY": "k",
        "REDIS_URL": redis.url,
        "JOURNAL_DIR": str(tmp_path / "journal"),
        "SNAPSHOT_DIR": str(tmp_path / "snapshot"),
    }
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        cookies = [Browser(port=port).get(PAGE).cookie for _ in range(25)]
        process.kill()
    journal = Journal(tmp_path / "journal")
    heir = Shipper(store=store, journal=journal, tallies=Tallies(), now_ms=Clock(), monotonic_ms=Clock())
    heir.run()
    data = b"".join(entry.chunk.data for entry in store.entries("", 1000))
    found = {record.visitor for record in decode_lines(data)[0] if isinstance(record, Exposure)}
    heir.close()
    store.close()
    assert found == {cookie.removeprefix("gh_12=").partition(".")[0] for cookie in cookies}


def reasons(site: Site) -> list[str]:
    got = site.browser().get("/readyz")
    document = json.loads(got.body)
    assert got.status == (200 if document["ready"] else 503)
    assert site.browser().get("/healthz").status == 200
    found: list[str] = document["reasons"]
    return found


def test_readiness_names_an_absent_store_and_that_nothing_was_loaded(tmp_path: Path):
    absent = RedisStore(f"unix://{tmp_path}/nobody.sock", timeout_seconds=0.1)
    with serving(tmp_path, absent) as site:
        assert reasons(site) == ["no snapshot was ever loaded"]
        site.clock.now_ms += 16_000
        assert reasons(site) == ["no snapshot was ever loaded", "Redis has not answered for 16 s"]


def test_readiness_names_a_journal_that_cannot_be_written(site: Site):
    journal = site.directory / "journal"
    journal.write_text("in the way")
    site.splitter.tend()
    assert reasons(site) == ["the journal cannot be written"]
    journal.unlink()
    site.splitter.tend()
    assert reasons(site) == []


def test_readiness_names_counting_that_is_behind(site: Site, browser: Browser):
    browser.get(PAGE)
    site.splitter.shipper.run()
    site.clock.now_ms += 61_000
    assert reasons(site) == ["counting is 61 s behind"]
    (path,) = (site.directory / "journal").glob("*.journal")
    site.store.publish_cursors({path.stem: path.stat().st_size})
    site.splitter.shipper.run()
    assert reasons(site) == []
