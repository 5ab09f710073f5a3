"""Start a server for as long as it is measured, and ask it for the page as a browser would."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.experiments.splitter.planting import SLUG

PAGE = f"/p/{SLUG}/"
PAGE_BYTES = 15_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
# One worker process, and one thread in it that runs Python: what Granian is fastest with.
OPTIONS = [
    "--interface", "wsgi", "--host", "127.0.0.1", "--workers", "1", "--blocking-threads", "1", "--http", "1", "--no-ws",
    "--log-level", "error",
]  # fmt: skip
ATTEMPTS = 200  # ten a second
STOP_SECONDS = 10


def granian(python: Path | str = sys.executable) -> list[str]:
    """Give the command that serves with the options that all servers in Python share."""
    return [str(Path(python).with_name("granian")), *OPTIONS]


@contextmanager
def running(command: list[str], port: int, **environ: str) -> Iterator[int]:
    """Start a server, wait until it serves the page, and give its port."""
    with subprocess.Popen(command, env={**os.environ, **environ}) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def ask(port: int, cookies: str = "") -> tuple[int, str, str]:
    """Return the status, the page, and the cookies that a browser would send from then on."""
    server = HTTPConnection("127.0.0.1", port, timeout=5)
    server.request("GET", PAGE, headers={"User-Agent": CHROME, **({"Cookie": cookies} if cookies else {})})
    answer = server.getresponse()
    page = answer.read().decode()
    given = [value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    server.close()
    return answer.status, page, "; ".join(given)


def _wait_for(port: int) -> None:
    for _ in range(ATTEMPTS):
        try:
            if ask(port)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"nothing serves the page on port {port}")
