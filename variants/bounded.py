"""Give an HTTP client what its timeouts do not: an end for everything together, and a largest answer.

A read timeout starts anew with every byte, so a server that sends one byte a second holds a request for hours; and a
client reads an answer whole, so an endless one fills the memory. `Bounds` belongs to one job, which may be several
requests (retries). When the time is over it shuts the sockets down, which wakes whatever thread reads from them.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from time import monotonic
from typing import Any, Self

import httpx2
import openai


class OutOfTime(Exception):
    pass


class TooLarge(Exception):
    pass


@cache
def trusted() -> ssl.SSLContext:
    """Return the certificates to trust. Call it once before threads do: they would all read them."""
    # Optimization: reading the certificates takes half a second, a client with them at hand less than a millisecond.
    return httpx2.create_ssl_context()


class Bounds:
    """`with Bounds(seconds=60, most_bytes=2_000_000) as bounds:` use `bounds.client` for one job."""

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        self.ends_at = monotonic() + seconds
        self.most_bytes = most_bytes
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self.client = openai.DefaultHttpxClient(
            verify=trusted(),
            follow_redirects=False,  # a redirect would carry the request, with its key, to an unnamed place
            event_hooks={"request": [self._before], "response": [self._after]},
            # Every connection is made under this watch, none is taken over from another job.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.client.close()

    @property
    def left_seconds(self) -> float:
        return self.ends_at - monotonic()

    @property
    def is_over(self) -> bool:
        return self.left_seconds <= 0

    def _shut(self) -> None:
        for opened in list(self._sockets):
            with suppress(OSError):  # already closed
                # The base class's method: SSLSocket's own would first say goodbye, which can block.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def _before(self, request: httpx2.Request) -> None:
        if self.is_over:
            raise OutOfTime
        request.headers["Accept-Encoding"] = "identity"  # what is counted is then what is kept
        request.extensions["trace"] = self._trace

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def _after(self, response: httpx2.Response) -> None:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise TooLarge
        self._cap_wait(response)
        response.stream = _Counted(response.stream, self)

    def _cap_wait(self, response: httpx2.Response) -> None:
        """Do not let the SDK sleep, as a server's Retry-After asks, for longer than the job may take."""
        try:
            asked_seconds = float(response.headers.get("Retry-After", "0"))
        except ValueError:
            asked_seconds = float("inf")  # a date: nobody in this trade sends one; not worth a clock comparison
        if response.status_code >= 400 and asked_seconds >= self.left_seconds:  # noqa: PLR2004 - HTTP's first error
            response.headers["x-should-retry"] = "false"


class _Counted(httpx2.SyncByteStream):
    def __init__(self, stream: Any, bounds: Bounds) -> None:
        self._stream = stream
        self._bounds = bounds

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for chunk in self._stream:
            received += len(chunk)
            if received > self._bounds.most_bytes:
                raise TooLarge
            if self._bounds.is_over:
                raise OutOfTime
            yield chunk

    def close(self) -> None:
        self._stream.close()
