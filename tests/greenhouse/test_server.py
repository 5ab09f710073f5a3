"""Granian on a passed socket: these tests pin what greenhouse/server.py relies on in Granian."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from greenhouse.environment import BASE_DIR
from greenhouse.leash import LISTEN_FDS_START
from greenhouse.run import LEASH
from greenhouse.server import passed_socket
from tests.servers import free_port

PATIENCE_SECONDS = 90.0
APPLICATION = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@contextmanager
def server(folder: Path, *arguments: str, listener: socket.socket | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    (folder / "answer_pid.py").write_text(APPLICATION)
    passed = str(listener.fileno()) if listener else "-"
    command = [
        sys.executable, str(LEASH), str(os.getpid()), passed, sys.executable, "-m", "greenhouse.server",
        "--interface", "wsgi", "--no-ws", "--respawn-failed-workers", "answer_pid:application", *arguments,
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=BASE_DIR, env={**os.environ, "PYTHONPATH": str(folder)}, process_group=0,
        pass_fds=[listener.fileno()] if listener else [], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as made:
        yield made


def answering_pid(port: int) -> int:
    """Ask on a connection of its own, which waits in the queue for as long as nobody accepts it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/")
        return int(connection.getresponse().read())
    finally:
        connection.close()


def test_connections_wait_for_the_next_server_while_none_runs(listener, tmp_path):
    port = listener.getsockname()[1]
    with server(tmp_path, listener=listener):
        answering_pid(port)
    waiting = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    waiting.request("GET", "/")
    with server(tmp_path, listener=listener):
        assert waiting.getresponse().status == 200
    waiting.close()


def test_workers_killed_again_and_again_are_started_again_by_the_same_server(listener, tmp_path):
    port = listener.getsockname()[1]
    with server(tmp_path, listener=listener) as process:
        seen = set[int]()
        for _ in range(4):
            worker = answering_pid(port)
            seen.add(worker)
            os.kill(worker, signal.SIGKILL)
        assert answering_pid(port) not in seen
        assert len(seen) == 4
        assert process.poll() is None


def test_a_worker_that_fails_by_itself_again_and_again_ends_the_server(listener, tmp_path):
    with server(tmp_path, "--factory", listener=listener) as process:  # the application makes no other application
        assert process.wait(PATIENCE_SECONDS) != 0


def test_without_a_passed_socket_it_binds_its_own(tmp_path):
    port, give_up = free_port(), time.monotonic() + PATIENCE_SECONDS
    with server(tmp_path, "--port", str(port)):
        while time.monotonic() < give_up:
            try:
                assert answering_pid(port)
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
    raise AssertionError("it never answered")


def test_two_servers_share_a_passed_socket_and_the_one_asked_to_stop_finishes(listener, tmp_path):
    port = listener.getsockname()[1]
    with server(tmp_path, listener=listener) as old:
        first = answering_pid(port)
        with server(tmp_path, listener=listener):
            old.terminate()
            assert old.wait(PATIENCE_SECONDS) == 0
            assert answering_pid(port) != first


@pytest.mark.parametrize(
    ("pid", "number", "expected"), [("me", "1", LISTEN_FDS_START), ("1", "1", None), ("me", "0", None)]
)
def test_a_socket_meant_for_another_process_is_left_alone(monkeypatch, pid, number, expected):
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "me" else pid)
    monkeypatch.setenv("LISTEN_FDS", number)
    assert passed_socket() == expected
