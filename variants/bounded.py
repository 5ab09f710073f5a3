"""Give an HTTP client what its timeouts do not: an end for everything together, and a largest answer.

A read timeout starts anew with every byte, so a server that sends one byte a second holds a request for hours; and a
client reads an answer whole, so an endless one fills the memory. `bounded` belongs to one call, which may be several
requests (retries), and ends it when its time is over, wherever it waits.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from time import monotonic
from typing import Any

import httpx2

FIRST_ERROR = 400


class OutOfTime(Exception):
    pass


class TooLarge(Exception):
    pass


@cache
def trusted() -> ssl.SSLContext:
    """Return the certificates to trust."""
    # Optimization: reading the certificates takes half a second, a client with them at hand less than a millisecond.
    return httpx2.create_ssl_context()


class Bounds:
    """The client for one call, and what is known of it."""

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        self.ends_at = monotonic() + seconds
        self.most_bytes = most_bytes
        self.is_open = False  # whether a request was sent that no error has answered: it may be charged for
        self.client = httpx2.AsyncClient(
            verify=trusted(),
            follow_redirects=False,  # a redirect would carry the request, with its key, to an unnamed place
            event_hooks={"request": [self._before], "response": [self._after]},
            # A connection that was idle may be closed by the server just as a request is sent on it, and nobody knows
            # then whether the request counts. A new one costs a hundredth of the time that a page takes.
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    @property
    def left_seconds(self) -> float:
        return self.ends_at - monotonic()

    async def _before(self, request: httpx2.Request) -> None:
        request.headers["Accept-Encoding"] = "identity"  # what is counted is then what is kept
        request.extensions["trace"] = self._trace

    async def _trace(self, event: str, _info: dict[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.is_open = True

    async def _after(self, response: httpx2.Response) -> None:
        self.is_open = response.status_code < FIRST_ERROR
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise TooLarge
        self._cap_wait(response)
        response.stream = _Counted(response.stream, self.most_bytes)

    def _cap_wait(self, response: httpx2.Response) -> None:
        """Do not begin a wait, as a server's Retry-After asks for, that is longer than the call may take."""
        asked_seconds = _seconds(response.headers.get("Retry-After", "0"))
        if response.status_code >= FIRST_ERROR and asked_seconds >= self.left_seconds:
            response.headers["x-should-retry"] = "false"


def _seconds(retry_after: str) -> float:
    """Return what a Retry-After asks for, in seconds or until a date (RFC 9110 section 10.2.3); 0 for nonsense."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # TypeError: a date without a time zone
        return 0.0


@asynccontextmanager
async def bounded(*, seconds: float, most_bytes: int) -> AsyncIterator[Bounds]:
    """Open a client for one call; raise OutOfTime in the middle of it when its seconds are over."""
    bounds = Bounds(seconds=seconds, most_bytes=most_bytes)
    try:
        async with asyncio.timeout(seconds) as deadline, bounds.client:
            yield bounds
    except TimeoutError:
        if not deadline.expired():
            raise
        raise OutOfTime from None


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, most_bytes: int) -> None:
        self._stream = stream
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            if received > self._most_bytes:
                raise TooLarge
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
