"""`manage.py up`, whole: a fresh folder, a real start, a kill and a clean stop."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from greenhouse.environment import BASE_DIR
from greenhouse.house import CannotStart, address_told, keep, listening_socket, unready
from tests.servers import free_port
from tests.stack import START_SECONDS, Stack, stack

SECRETS = ("secret_key", "admin_password", "api_token")


def status(port: int, path: str, **headers: str) -> int | None:
    server = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        server.request("GET", path, headers=headers)
        return server.getresponse().status
    except OSError:
        return None
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, '{"ready": false, "reasons": ["no snapshot was ever loaded"]}'), "no snapshot was ever loaded"),
        ((503, "busy"), "it is loading"),  # of something before it
        (None, "it is loading"),
    ],
)
def test_a_web_process_that_is_not_ready_is_asked_why(answer: tuple[int, str] | None, said: str):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert answer is not None
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1].encode())

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port if answer else free_port()
        asked = threading.Thread(target=server.handle_request, daemon=True)
        asked.start()
        assert unready(port) == said


def test_it_goes_on_when_nobody_reads_what_it_says():
    program = (
        "from greenhouse.house import say; import time\nfor _ in range(3): say('x'); time.sleep(0.1)\nprint('end')"
    )
    setup = "import django; django.setup()\n"
    with subprocess.Popen(
        [sys.executable, "-c", setup + program], cwd=BASE_DIR, stdout=subprocess.PIPE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "greenhouse.settings"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0


def wait_for_new_web(running: Stack, port: int, killed: int) -> None:
    """Wait until another web process answers: the workers of a killed one live on for a moment."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if running.find_program("greenhouse.wsgi") not in {None, killed} and status(port, "/readyz") == HTTPStatus.OK:
            return
        time.sleep(0.1)
    raise AssertionError("no web process came back")


@pytest.mark.slow
def test_a_fresh_folder_comes_up_survives_a_kill_and_stops_clean(tmp_path):
    port = free_port()
    with stack("up", STATE_DIR=str(tmp_path), PORT=str(port)) as running:
        told = running.announced("READY", seconds=START_SECONDS)
        assert status(port, "/api/v1/experiments/1", Authorization=f"Bearer {told['token']}") == 404
        assert all((tmp_path / name).stat().st_mode & 0o777 == 0o600 for name in SECRETS)

        second = subprocess.run(
            [sys.executable, "manage.py", "up"], cwd=BASE_DIR, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "STATE_DIR": str(tmp_path), "PORT": str(port)},
        )  # fmt: skip
        assert "already running" in second.stderr
        assert second.returncode == 1

        web = running.program("greenhouse.wsgi")
        os.kill(web, signal.SIGKILL)
        wait_for_new_web(running, port, web)
    assert running.process.returncode == 0
    assert status(port, "/healthz") is None


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "folder" / "secret"
    assert keep(path, lambda: "first") == keep(path, lambda: "second") == "first"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_address_is_told_in_the_folder_while_it_runs(tmp_path):
    path = tmp_path / "url"
    path.write_text("http://127.0.0.1:1")  # of one that was killed
    with address_told(tmp_path, "http://127.0.0.1:8123"):
        assert path.read_text().strip() == "http://127.0.0.1:8123"
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_a_taken_port_is_named_with_a_way_out():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(CannotStart, match="Choose another"):
        listening_socket("127.0.0.1", server.getsockname()[1])
