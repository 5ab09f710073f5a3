"""Turn a snapshot into a visitor tier for one visitor, in this process: what a page's links and form really do.

    document + blobs ──▶ Rehearsal ──fetch──▶ the answer that a visitor would get
                              └──reached──▶ the goals that were written down

It is the visitor tier itself (splitter/app.py), with a store in memory and a journal in a folder that goes with it.
Nothing is shipped, so nothing is counted.
"""

import io
import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from experiments.splitter.app import Splitter
from experiments.splitter.config import Config
from experiments.splitter.records import Conversion, decode_lines
from experiments.splitter.requests import CONSENT_COOKIE, host_name
from experiments.splitter.stores import Blob, MemoryStore

# An ordinary browser's: bots are sent to the control and counted apart.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
# Of what the browser says, as much as decides an answer. Its encodings are left out: what it gets here is plain.
PASSED_ON = ("content-type", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
KEPT_HERE = frozenset({"set-cookie", "content-length"})  # cookies stay here, lengths are the browser's business


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was asked and answered, in short."""

    method: str
    path: str
    status: int
    location: str


class Rehearsal:
    """One visitor's visit, from the first page on; they have agreed to being counted."""

    def __init__(self, splitter: Splitter, address: str) -> None:
        self._splitter = splitter
        self._site = urlsplit(address)
        self._cookies = {name: value for name, _, value in [CONSENT_COOKIE.partition("=")]}
        self.exchanges: list[Exchange] = []

    def fetch(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request of the visitor's browser."""
        environ = self._environ(method, path, query, headers, body)
        started: list[tuple[str, list[tuple[str, str]]]] = []
        content = b"".join(self._splitter(environ, lambda status, given: started.append((status, given))))
        status, given = started[0]
        for name, value in given:
            if name.lower() == "set-cookie":
                self._cookies |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
        answered = {name.lower(): value for name, value in given if name.lower() not in KEPT_HERE}
        answer = Answer(status=int(status.split(" ", 1)[0]), headers=answered, body=content)
        location = answered.get("location", "")
        self.exchanges.append(Exchange(method=method, path=path, status=answer.status, location=location))
        return answer

    def reached(self) -> set[str]:
        """Return the goals that were written down as reached."""
        written = b"".join(path.read_bytes() for path in self._splitter.journal.directory.glob("*.journal"))
        records, _ = decode_lines(written)
        return {record.goal for record in records if isinstance(record, Conversion)}

    def _environ(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        named = {f"HTTP_{name.upper().replace('-', '_')}": headers[name] for name in PASSED_ON if name in headers}
        return {
            **named,
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": self._site.netloc,
            "HTTP_USER_AGENT": BROWSER,
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "wsgi.url_scheme": self._site.scheme,
            "wsgi.input": io.BytesIO(body),
        }


@contextmanager
def rehearsal(document: Mapping[str, Any], blobs: Mapping[str, Blob], *, address: str) -> Iterator[Rehearsal]:
    """Open a visitor tier that serves one experiment at `address`, for as long as the block lasts."""
    store = MemoryStore()
    for sha, blob in blobs.items():
        store.put_blob(sha, blob)
    store.publish(document["slug"], document["sequence"], json.dumps(document))
    with tempfile.TemporaryDirectory(prefix="greenhouse-rehearsal-") as folder:
        config = Config(
            secret_key=secrets.token_urlsafe(50),  # what is signed here means nothing anywhere else
            journal_dir=Path(folder, "journal"),
            snapshot_dir=Path(folder, "snapshot"),
            rate_per_second=0,
            pages_host=host_name(urlsplit(address).netloc) if document["own_host"] else "",
        )
        splitter = Splitter(config, store)
        try:
            splitter.refresher.refresh()
            yield Rehearsal(splitter, address)
        finally:
            splitter.journal.close()
            splitter.shipper.close()
