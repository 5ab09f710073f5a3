"""Whoever sends a body slowly keeps no one from a page."""

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from experiments.splitter.app import Splitter
from experiments.splitter.config import Config
from experiments.splitter.stores import MemoryStore
from tests.experiments.splitter.planting import SLUG, document, publish
from tests.experiments.splitter.serving import CHROME


class SlowBody(BytesIO):
    """A body that arrives only when it is let go."""

    def __init__(self, sent: threading.Event, asked: threading.Semaphore) -> None:
        super().__init__(b"email=a%40example.org")
        self._sent, self._asked = sent, asked

    def read(self, size: int | None = -1, /) -> bytes:
        self._asked.release()
        self._sent.wait(60)
        return super().read(size)


@pytest.fixture
def splitter(tmp_path: Path) -> Iterator[Splitter]:
    store = MemoryStore()
    publish(store, document(store))
    config = Config(secret_key="k", journal_dir=tmp_path / "j", snapshot_dir=tmp_path / "s", threads=8)
    made = Splitter(config, store)
    made.refresher.refresh()
    yield made
    made.close()


def ask(splitter: Splitter, method: str, path: str, body: BytesIO) -> str:
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": f"/p/{SLUG}/{path}", "QUERY_STRING": "", "HTTP_USER_AGENT": CHROME,
        "CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body.getbuffer())),
        "REMOTE_ADDR": "127.0.0.1", "wsgi.input": body, "wsgi.url_scheme": "http", "HTTP_HOST": "localhost",
    }  # fmt: skip
    seen: list[Any] = []
    list(splitter(environ, lambda status, headers: seen.append(status)))
    return str(seen[0])[:3]


def test_slow_senders_take_some_threads_and_leave_the_others_to_pages(splitter: Splitter):
    sent, asked = threading.Event(), threading.Semaphore(0)
    answers: list[str] = []
    slow = [
        threading.Thread(target=lambda: answers.append(ask(splitter, "POST", "form", SlowBody(sent, asked))))
        for _ in range(2)
    ]
    for thread in slow:
        thread.start()
        assert asked.acquire(timeout=60)
    assert ask(splitter, "POST", "form", BytesIO(b"email=a%40example.org")) == "503"
    assert ask(splitter, "GET", "", BytesIO()) == "200"
    sent.set()
    for thread in slow:
        thread.join(60)
    assert answers == ["303", "303"]
    assert ask(splitter, "POST", "form", BytesIO(b"email=a%40example.org")) == "303"
