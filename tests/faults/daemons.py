"""PostgreSQL and Redis that can be killed, frozen, emptied and started again on the same data and address.

Both end with the test run, however it ends. The kernel ties that to the *thread* that started them, so faults are done
in the test's own thread and visitors come in others.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from greenhouse import embedded_redis
from greenhouse.environment import socket_path
from tests.servers import ROOT, SERVICE_USER, ServerFailed, find_postgres, free_port
from tests.stack import leashed

START_SECONDS = 120.0
STOP_SECONDS = 60.0
BETWEEN_STARTS_SECONDS = 0.5
CONNECT_SECONDS = 20


class Daemon:
    """A server in a process group of its own."""

    def __init__(self, command: Sequence[str], *, answers: Callable[[], bool]) -> None:
        self._command = command
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self._command} is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it on the data it left, and wait until it answers.

        Again and again, as a supervisor would: children of one that was killed may still hold its memory, and while it
        was away somebody's outgoing connection may have been given its port.
        """
        self._process = self._begun()
        give_up = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > give_up:
                raise ServerFailed(f"{self._command} did not come up (exit code {self._process.poll()})")
            if self._process.poll() is not None:
                time.sleep(BETWEEN_STARTS_SECONDS)
                self._process = self._begun()
            time.sleep(0.02)

    def _begun(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", process_group=0
        )

    def kill(self) -> None:
        """End it, and all it forked, without a chance to tidy up."""
        self._signal(signal.SIGKILL)
        self._bury()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Have it end as its own rules say."""
        if self._process is None:
            return
        self._process.send_signal(by)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._bury()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it keep its connections and answer nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _bury(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
            self._process = None


class RedisDaemon(Daemon):
    """Redis as Greenhouse configures its own: an append-only file, synced each second, and nothing evicted."""

    def __init__(self, folder: Path) -> None:
        self._data = folder / "redis"
        self.socket = socket_path(folder)
        self.url = f"unix://{self.socket}"
        command = leashed(embedded_redis.command(folder))
        super().__init__(command, answers=lambda: embedded_redis.answers(self.url))

    @contextmanager
    def client(self) -> Iterator[Redis]:
        with Redis.from_url(self.url, socket_timeout=CONNECT_SECONDS) as redis:
            yield redis

    def forget(self) -> None:
        """Lose the data on disk; for a Redis that is not running."""
        shutil.rmtree(self._data)
        self._data.mkdir(mode=0o700)

    def used_bytes(self) -> int:
        with self.client() as redis:
            return int(redis.info("memory")["used_memory"])

    @contextmanager
    def full(self) -> Iterator[None]:
        """Take no more data than there is, and refuse what would need more."""
        with self.client() as redis:
            redis.config_set("maxmemory", self.used_bytes())
        try:
            yield
        finally:
            with self.client() as redis:
                redis.config_set("maxmemory", 0)


class PostgresDaemon(Daemon):
    """PostgreSQL on a port of the loopback address, without safety against power cuts."""

    def __init__(self, folder: Path) -> None:
        programs = find_postgres()
        if programs is None:
            raise ServerFailed("PostgreSQL's initdb is not installed")
        self.port = free_port()
        self.url = f"postgres://greenhouse@127.0.0.1:{self.port}/postgres"
        self.programs = programs
        as_user = _as_service_user(folder)
        data = str(folder / "data")
        made = subprocess.run(
            [*as_user, str(programs / "initdb"), "-D", data, "-U", "greenhouse", "-A", "trust", "-E", "UTF8"],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if made.returncode:
            raise ServerFailed(made.stdout + made.stderr)
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(folder), "-F", "-c", "max_connections=60"]
        super().__init__([*as_user, str(programs / "postgres"), "-D", data, *options], answers=self._is_up)

    @contextmanager
    def connection(self) -> Iterator["psycopg.Connection[Any]"]:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            yield connection

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return connection.execute(sql, parameters).fetchall()

    def cut_connections(self) -> int:
        """End every connection but our own; return how many there were."""
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return len(self.rows(f"{sql} AND pid <> pg_backend_pid()"))

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """Stop without waiting for clients to leave (SIGTERM would)."""
        super().stop(by)

    def _is_up(self) -> bool:
        try:
            return self.rows("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False


def _as_service_user(folder: Path) -> list[str]:
    """Return what runs PostgreSQL's programs on a leash, and as somebody other than root, on which they insist."""
    if os.getuid() != ROOT:
        return leashed([])
    account = pwd.getpwnam(SERVICE_USER)
    os.chown(folder, account.pw_uid, account.pw_gid)
    user, group = str(account.pw_uid), str(account.pw_gid)
    return ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--pdeathsig", "SIGINT"]


@contextmanager
def redis_daemon(folder: Path) -> Iterator[RedisDaemon]:
    daemon = RedisDaemon(folder)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


@contextmanager
def postgres_daemon() -> Iterator[PostgresDaemon]:
    # Not a folder of pytest's: those are closed to PostgreSQL's user.
    folder = Path(tempfile.mkdtemp(prefix="greenhouse-postgres-"))
    try:
        daemon = PostgresDaemon(folder)
        daemon.start()
        try:
            yield daemon
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
