"""A visitor tier on a real port, and a browser that keeps cookies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from experiments.splitter.app import Splitter
from experiments.splitter.config import Config
from experiments.splitter.records import Record, decode_lines
from experiments.splitter.stores import MemoryStore, Store
from tests.experiments.splitter.planting import document, publish

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36"
HOUR_MS = 3600 * 1000


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ms: int = 1_760_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer, its header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    @property
    def cookie(self) -> str:
        """The first cookie that was set, without its attributes."""
        return self.headers.get("set-cookie", "").partition(";")[0]


@dataclass(slots=True, kw_only=True)
class Browser:
    """Sends real requests; keeps cookies when told to."""

    port: int
    headers: dict[str, str] = field(default_factory=lambda: {"User-Agent": CHROME})
    keeps_cookies: bool = True

    def get(self, path: str, **headers: str) -> Got:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: bytes, **headers: str) -> Got:
        return self.send("POST", path, body, **headers)

    def form(self, path: str, body: bytes, **headers: str) -> Got:
        return self.post(path, body, Content_Type="application/x-www-form-urlencoded", **headers)

    def send(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> Got:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=self.headers | named)
        response = connection.getresponse()
        answer = {name.lower(): value for name, value in reversed(response.getheaders())}
        set_cookies = tuple(response.msg.get_all("Set-Cookie", []))
        got = Got(status=response.status, headers=answer, body=response.read(), set_cookies=set_cookies)
        connection.close()
        if self.keeps_cookies and set_cookies:
            self.headers["Cookie"] = _kept(self.headers.get("Cookie", ""), set_cookies)
        return got


def _kept(header: str, set_cookies: tuple[str, ...]) -> str:
    """Give the Cookie header of a browser that was told to keep or to drop these."""
    jar = dict(pair.split("=", 1) for pair in header.split("; ") if pair)
    for each in set_cookies:
        name, _, value = each.partition(";")[0].partition("=")
        jar.pop(name, None)
        if "; Max-Age=0;" not in each:
            jar[name] = value
    return "; ".join(f"{name}={value}" for name, value in jar.items())


@dataclass(slots=True, kw_only=True)
class Site:
    """A running visitor tier with all that a test may want to reach into."""

    splitter: Splitter
    store: Store
    clock: Clock
    port: int
    directory: Path

    def browser(self, **headers: str) -> Browser:
        """Give a new visitor's browser."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Browser(port=self.port, headers={"User-Agent": CHROME} | named)

    def records(self, kind: type[Record] | None = None) -> list[Any]:
        """Give what stands in all journals, without the tallies unless they are asked for."""
        self.splitter.tend()
        return records_in(self.directory / "journal", kind)


def records_in(directory: Path, kind: type[Record] | None = None) -> list[Any]:
    """Give what stands in the journals of a folder."""
    found = [record for path in sorted(directory.glob("*.journal")) for record in decode_lines(path.read_bytes())[0]]
    return [each for each in found if kind is None or isinstance(each, kind)]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def config(directory: Path, **changes: Any) -> Config:
    """Give settings that keep everything in `directory`."""
    base: dict[str, Any] = {
        "secret_key": "a secret",
        "journal_dir": directory / "journal",
        "snapshot_dir": directory / "snapshot",
    }
    return Config(**base | changes)


def force(site: Site, **changes: Any) -> None:
    """Publish a changed experiment and serve it."""
    sequence = site.splitter.refresher.experiments["paperless"].sequence + 1
    publish(site.store, document(site.store, sequence=sequence, **changes))
    site.splitter.refresher.refresh()


@contextmanager
def serving(directory: Path, store: Store | None = None, **changes: Any) -> Iterator[Site]:
    """Serve on a free port without background threads: tests refresh and ship when they mean to."""
    clock = Clock()
    used = MemoryStore() if store is None else store
    splitter = Splitter(config(directory, **changes), used, now_ms=clock, monotonic_ms=clock)
    splitter.refresher.load_archive()
    splitter.refresher.refresh()
    server = make_server("127.0.0.1", 0, splitter, server_class=_Server, handler_class=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Site(splitter=splitter, store=used, clock=clock, port=server.server_port, directory=directory)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        splitter.close()
