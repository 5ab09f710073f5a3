"""What every test stands on: a state folder of its own, no way to the outside, and a list of what was left out."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.contrib.auth.models import User
from django.db import connections
from hypothesis import HealthCheck
from redis import Redis

from experiments import partitions, retention
from experiments.store import store
from greenhouse.celery import app as celery
from greenhouse.environment import SQLITE
from tests.servers import find_postgres, postgres_server, redis_server

LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}
IN_CI = os.environ.get("CI") == "true"
BUSY_SECONDS = 60.0  # for which a busy machine may keep a statement of a few milliseconds waiting
# Inputs that may not be part of the project: whoever has not got them cannot run what needs them.
MAY_BE_MISSING = "CORPORA_DIR"


def _refuse_the_outside(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in LOOPBACK:
        raise RuntimeError(f"a test wants to connect to {arguments[1]!r}")


sys.addaudithook(_refuse_the_outside)
if not IN_CI:  # for which Hypothesis brings such a profile of its own
    hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the tests' SQLite in a file, where each thread has a connection of its own, as it has in production.

    One in memory is a single connection for all threads of a live server and the test itself; two that use it in the
    same moment get "bad parameter or other API misuse" or each other's rows.
    """
    database = connections["default"].settings_dict
    if database["ENGINE"] == SQLITE:
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "tests.sqlite3")
        # What is lost when the machine stops may be lost.
        database["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"


@pytest.fixture(scope="session", autouse=True)
def _patient_partitions() -> None:
    """A change of partitions gives up after 0.6 seconds and comes with the next run: of a test there is no next one."""
    for change in (partitions.prepare, partitions.drop_before, retention.enforce_retention):
        change.__kwdefaults__ = {"patience_seconds": BUSY_SECONDS}


@pytest.fixture(scope="session", autouse=True)
def _no_broker() -> None:
    """Tasks are put nowhere: a test that wants one to run calls it."""
    if "REDIS_URL" not in os.environ:
        celery.conf.update(broker_url="memory://")


@pytest.fixture(autouse=True)
def _own_state(settings: Any, tmp_path: Path) -> Iterator[None]:
    """Keep tests away from the state of a Greenhouse that runs in this folder."""
    settings.STATE_DIR = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick; nothing here is secret
    settings.JOURNAL_DIR = tmp_path / "journal"
    settings.SNAPSHOT_DIR = tmp_path / "snapshot"
    if "REDIS_URL" not in os.environ:
        settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    store.cache_clear()
    yield
    store.cache_clear()


@pytest.fixture(scope="session")
def _redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis_url(_redis_url: str, settings: Any, _own_state: None) -> str:
    """A real Redis, emptied, which is also the one that the settings name."""
    with Redis.from_url(_redis_url) as redis:
        redis.flushdb()
    settings.REDIS_URL = _redis_url
    return _redis_url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL, beside the database that the suite runs on."""
    if find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with postgres_server() as server:
        yield server.url


@pytest.fixture
def eager_tasks() -> Iterator[None]:
    """Run each task where it is put."""
    celery.loader.import_default_modules()  # as a worker does: a task can be run by name once its module is imported
    celery.conf.task_always_eager = True
    yield
    celery.conf.task_always_eager = False


@pytest.fixture
def owner(db: None) -> User:
    """Whoever may do everything."""
    return User.objects.create_superuser("owner", password="a-long-enough-password")


@pytest.fixture
def stranger(db: None) -> User:
    """Logged in, and without any permission."""
    return User.objects.create_user("stranger", password="a-long-enough-password")


def _left_out(session_reports: list[Any]) -> dict[str, int]:
    """Return how many tests were left out, by reason."""
    found: dict[str, int] = {}
    for report in session_reports:
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else "unknown"
        found[reason] = found.get(reason, 0) + 1
    return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reason, count in sorted(_left_out(terminalreporter.stats.get("skipped", [])).items()):
        terminalreporter.write_line(f"Left out: {count} {'test' if count == 1 else 'tests'}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be left out, else a missing package would pass for a passing test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not IN_CI or reporter is None:
        return
    if any(MAY_BE_MISSING not in reason for reason in _left_out(reporter.stats.get("skipped", []))):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
