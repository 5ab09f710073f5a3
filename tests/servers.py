"""Throw-away servers for tests: real ones of Redis, Redis Cluster and PostgreSQL, gone with their data when left.

python -m tests.servers COMMAND …     runs a command with REDIS_URL and DATABASE_URL set to fresh ones
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from greenhouse.embedded_redis import answers, find_server

START_SECONDS = 120.0
STOP_SECONDS = 60.0
LONGEST_RUN_SECONDS = 900.0
ROOT = 0
SERVICE_USER = "postgres"
SLOTS = 16_384  # of a Redis Cluster
BUS_OFFSET = 10_000
# Below the ports that systems give to outgoing connections (from 32,768 on Linux), one of which might else be given the
# number between the choice and the server's start; and so that a Redis Cluster's bus ports are below them, too.
PORTS = range(12_000, 22_000)


class ServerFailed(Exception):
    """A throw-away server did not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, and the process to freeze or kill."""

    url: str
    process: "subprocess.Popen[bytes]"


def free_port() -> int:
    """Choose a port on which nobody listens, nor on its bus port, if it is to be of a Redis Cluster."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS_OFFSET))
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


@dataclass(slots=True, kw_only=True)
class Cluster:
    """Three running nodes; `processes` says which redis-server serves which port."""

    folder: Path
    processes: "dict[int, subprocess.Popen[bytes]]"

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.processes)

    def kill(self, port: int) -> None:
        """End a node as a power cut would."""
        self.processes[port].kill()
        self.processes[port].wait(STOP_SECONDS)

    def forget(self, port: int) -> None:
        """Have a node that is not running lose its data; it stays a member of the cluster."""
        shutil.rmtree(self.folder / str(port) / "appendonlydir", ignore_errors=True)
        (self.folder / str(port) / "appendonly.aof").unlink(missing_ok=True)

    def start(self, port: int) -> None:
        """Start a node, with what its append-only file remembers, and wait until the cluster has it back."""
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        command = [find_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        options = ["--appendonly", "yes", "--appendfsync", "always", "--cluster-enabled", "yes"]
        patience = ["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"]
        self.processes[port] = subprocess.Popen(
            [*command, *options, *patience], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )
        _wait(lambda: answers(f"redis://127.0.0.1:{port}"), "redis-server", self.processes[port])

    def is_whole(self) -> bool:
        """Tell whether every node sees all slots served."""
        return all(_sees_all(port) for port in self.processes)

    def wait_until_whole(self) -> None:
        _wait(self.is_whole, "the cluster", next(iter(self.processes.values())))

    def meet(self) -> None:
        """Share the slots out among the nodes and make them know each other."""
        ports = list(self.processes)
        for number, port in enumerate(ports):
            with Redis(port=port) as node:
                slots = range(number * SLOTS // len(ports), (number + 1) * SLOTS // len(ports))
                node.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                node.execute_command("CLUSTER ADDSLOTS", *slots)
                node.execute_command("CLUSTER MEET", "127.0.0.1", ports[0])


@contextmanager
def redis_cluster(folder: Path, *, nodes: int = 3) -> Iterator[Cluster]:
    """Run a Redis Cluster without replicas on ports of the loopback address; a node that is killed can come back."""
    cluster = Cluster(folder=folder, processes={})
    try:
        for _ in range(nodes):
            cluster.start(free_port())
        cluster.meet()
        cluster.wait_until_whole()
        yield cluster
    finally:
        for process in cluster.processes.values():
            process.kill()  # also one that a test has frozen; nothing on disk is kept
            process.wait(STOP_SECONDS)


def _sees_all(port: int) -> bool:
    with Redis(port=port) as node:
        said = node.execute_command("CLUSTER INFO")
    return (said["cluster_state"], said["cluster_slots_ok"]) == ("ok", str(SLOTS))


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian keeps them off PATH."""
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    on_path = shutil.which("initdb")
    if on_path and not installed:
        return Path(on_path).resolve().parent
    return max(installed, key=lambda path: float(path.parent.name), default=None)


@contextmanager
def postgres_server(*, is_durable: bool = False) -> Iterator[Server]:
    """Run a PostgreSQL on a free port of the loopback address; unless durable, it skips waiting for the disk."""
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
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "max_connections=50"]
        options += [] if is_durable else ["-F"]
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


def suite_on(database_url: str, folder: Path, names: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run test files of `folder` on another database than this process's own, in a process of their own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(str(folder / name) for name in names)],
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_RUN_SECONDS,
    )


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
