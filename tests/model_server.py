"""A small language model server for tests: real HTTP on a free port, answers as scripted.

`with ModelServer(good()) as server:` serves the given behaviours one request each; the last one again and again.
A behaviour gets the request's JSON and a handler to answer with. `server.requests` keeps what was asked.
Requests for a plan are apart from that: `server.plan` answers them, and `server.plans` keeps them.
"""

import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from variants.background_loop import background_loop

ANSWER_SECONDS = 120

type Behaviour = Callable[[dict[str, Any], "Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ModelServer"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour = self.server.take(body, dict(self.headers))
        with suppress(ConnectionError):  # the client may have gone
            behaviour(body, self)

    def answer(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        self.answer_bytes(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})

    def answer_bytes(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's signature
        """Tests print nothing."""


class ModelServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *behaviours: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours = list(behaviours)
        self.plan: Behaviour | None = good(PLAN)  # None: as any other request
        self.plans: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.arrived_at: list[float] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is part of the script."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> Behaviour:
        with self._lock:
            if self.plan is not None and is_for_a_plan(body):
                self.plans.append(body)
                return self.plan
            self.requests.append(body)
            self.headers_seen.append(headers)
            self.arrived_at.append(time.monotonic())
            return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


PAGE: dict[str, Any] = {
    "angle": "Find any letter",
    "meta": {"title": "Find any letter", "description": "Your paper, as a searchable archive."},
    "theme": {"layout": "split", "palette": "ink", "typography": "serif"},
    "sections": [
        {"kind": "hero", "eyebrow": None, "headline": "Find any letter again", "call_to_action": "Get the guide",
         "subheadline": "Paper becomes a searchable archive.", "note": None, "image": None},
        {"kind": "form", "title": "Start here", "text": None, "submit": "Get the guide", "note": None},
    ],
}  # fmt: skip


PLAN: dict[str, Any] = {
    "directions": [
        {"angle": "Find any letter", "insight": "They search for an hour.", "promise": "Any letter in seconds.",
         "proof": None, "objection": "Does it read my scans?"},
        {"angle": "Paper that files itself", "insight": "Filing is nobody's job.", "promise": "No more filing.",
         "proof": None, "objection": None},
    ],
}  # fmt: skip


def is_for_a_plan(body: dict[str, Any]) -> bool:
    return any("You plan a set of landing pages" in message["content"] for message in body["messages"])


def answered[Answer](call: Coroutine[Any, Any, Answer]) -> Answer:
    """Wait for a call in a loop of its own: in the tests' own thread a browser's loop may be running."""
    with background_loop() as loop:
        return loop.start(call).result(ANSWER_SECONDS)


def page(headline: str = "Find any letter again") -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(PAGE))
    copied["sections"][0]["headline"] = headline
    return copied


def completion(text: str | None, *, finish_reason: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "scripted-1",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message, "logprobs": None}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
    }  # fmt: skip


def saying(text: str | None, *, finish_reason: str = "stop", refusal: str | None = None) -> Behaviour:
    answer = completion(text, finish_reason=finish_reason, refusal=refusal)
    return lambda _, handler: handler.answer(200, answer)


def good(content: dict[str, Any] | None = None) -> Behaviour:
    return saying(json.dumps(content or PAGE))


def fenced() -> Behaviour:
    return saying(f"Here you are:\n```json\n{json.dumps(PAGE)}\n```\nAnything else?")


def failing(status: int, *, code: str | None = None, message: str = "no", **headers: str) -> Behaviour:
    body = {"error": {"message": message, "type": "error", "code": code, "param": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, handler: handler.answer(status, body, named)


def only(*formats: str | None) -> Behaviour:
    """Answer when the request's response_format is one of `formats` (None: none at all), else 400."""

    def behave(body: dict[str, Any], handler: Handler) -> None:
        asked = body.get("response_format", {}).get("type")
        (good() if asked in formats else failing(400, message="response_format is not supported"))(body, handler)

    return behave


def without(parameter: str) -> Behaviour:
    """Answer unless the request has this parameter, else 400 that names it."""

    def behave(body: dict[str, Any], handler: Handler) -> None:
        wrong = failing(400, message=f"Unknown parameter: {parameter}")
        (wrong if parameter in body else good())(body, handler)

    return behave


def raw(body: bytes, content_type: str = "application/json", **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, handler: handler.answer_bytes(200, body, {"Content-Type": content_type, **named})


def hanging() -> Behaviour:
    return lambda _, handler: _until_stopped(handler)


def _until_stopped(handler: Handler) -> None:
    handler.server.stopping.wait(60)


def dripping(part: str = "body") -> Behaviour:
    """Send one byte every tenth of a second, of the head or of the body, without end."""

    def behave(_: dict[str, Any], handler: Handler) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
        handler.wfile.write(head + (b"\r\n" if part == "body" else b"X-Slow: "))
        while not handler.server.stopping.wait(0.1):
            handler.wfile.write(b" " if part == "body" else b"a")

    return behave


def endless() -> Behaviour:
    """Send a body of a gigabyte."""

    def behave(_: dict[str, Any], handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n")
        while not handler.server.stopping.is_set():
            handler.wfile.write(b" " * 65_536)

    return behave


def once_all_are_there(number: int, then: Behaviour) -> Behaviour:
    """Answer when so many requests are under way at once."""
    together = threading.Barrier(number)

    def behave(body: dict[str, Any], handler: Handler) -> None:
        together.wait(60)
        then(body, handler)

    return behave
