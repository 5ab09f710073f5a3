"""A throw-away nginx in front of a server of ours, set up as docs/operations.md says or as it should not be."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_SECONDS = 60.0
OPERATIONS = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
WHOLE = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=pages:1m;
    {upstream}
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


def recipe(name: str) -> str:
    """Return the settings that docs/operations.md gives under a name, as they stand there."""
    found = re.search(rf"```nginx\n# {re.escape(name)}\n(.*?)```", OPERATIONS.read_text(), re.DOTALL)
    assert found, f"docs/operations.md has no settings called {name!r}"
    return found[1]


@contextmanager
def nginx(folder: Path, locations: str, *, port: int, upstream: int) -> Iterator[None]:
    """Run nginx on a port, its locations in front of a server of ours at `upstream`; skip where it is not installed."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed (apt install nginx-light)")
    folder.mkdir()
    servers = recipe("where Greenhouse is").replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    settings = folder / "nginx.conf"
    settings.write_text(WHOLE.format(folder=folder, port=port, upstream=servers, locations=locations))
    user = ["-g", "user root;"] if Path("/proc/self").stat().st_uid == 0 else []
    with subprocess.Popen([program, "-p", str(folder), "-c", str(settings), *user], stderr=subprocess.PIPE) as process:
        try:
            _wait(port, process)
            yield
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"nginx did not start: {process.stderr.read().decode()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("nginx did not come up")
