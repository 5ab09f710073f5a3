"""Throw-away servers for tests: a real redis-server and a real PostgreSQL, gone with their data when left.

python -m tests.servers COMMAND …     runs a command with REDIS_URL and DATABASE_URL set to fresh ones
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from greenhouse.embedded_redis import answers, find_server

START_SECONDS = 30.0
STOP_SECONDS = 20.0
ROOT = 0
SERVICE_USER = "postgres"


class ServerFailed(Exception):
    """A throw-away server did not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, and the process to freeze or kill."""

    url: str
    process: "subprocess.Popen[bytes]"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def redis_server(folder: Path, *, options: Sequence[str] = ()) -> Iterator[Server]:
    """Run a Redis that keeps nothing on disk, on a unix socket in `folder`."""
    path = folder / "redis.sock"
    command = [find_server(), "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
    with _running([*command, "--dir", str(folder), *options]) as process:
        url = f"unix://{path}"
        _wait(lambda: path.exists() and answers(url), "redis-server", process)
        yield Server(url=url, process=process)


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian keeps them off PATH."""
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    on_path = shutil.which("initdb")
    if on_path and not installed:
        return Path(on_path).resolve().parent
    return max(installed, key=lambda path: float(path.parent.name), default=None)


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Run a PostgreSQL on a free port of the loopback address, without safety against power cuts."""
    programs = find_postgres()
    if programs is None:
        raise ServerFailed("PostgreSQL's initdb is not installed")
    # Not a folder of pytest's: those are closed to the user that PostgreSQL insists on not being root.
    folder = Path(tempfile.mkdtemp(prefix="greenhouse-postgres-"))
    port = free_port()
    try:
        as_user = _as_service_user(folder)
        data = folder / "data"
        _run([*as_user, str(programs / "initdb"), "-D", str(data), "-U", "greenhouse", "-A", "trust", "-E", "UTF8"])
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F", "-c", "max_connections=50"]
        with _running([*as_user, str(programs / "postgres"), "-D", str(data), *options]) as process:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            _wait(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL", process)
            yield Server(url=f"postgres://greenhouse@127.0.0.1:{port}/postgres", process=process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_service_user(folder: Path) -> list[str]:
    if os.getuid() != ROOT:
        return []
    account = pwd.getpwnam(SERVICE_USER)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return ["setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise ServerFailed(f"{command[0]}: {done.stdout}{done.stderr}")


@contextmanager
def _running(command: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:  # frozen by a test, perhaps
                process.kill()


def _wait(is_ready: Callable[[], bool], what: str, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > give_up:
            raise ServerFailed(f"{what} did not come up (exit code {process.poll()})")
        time.sleep(0.02)


def main(command: Sequence[str]) -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(Path(folder)) as redis,
        postgres_server() as postgres,
    ):
        environ = {**os.environ, "REDIS_URL": redis.url, "DATABASE_URL": postgres.url}
        return subprocess.run(command, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
