"""Turn a WSGI environment into the facts that decide what a request gets.

Functions over the environment rather than a request object: the path of a page reads five of these facts, and none of
them twice.
"""

import re
from collections.abc import Mapping
from typing import Any, Protocol, cast

Environ = Mapping[str, Any]

AHEAD = frozenset({"prefetch", "preview"})
CONSENT_COOKIE = "gh_consent=yes"
REFUSAL_COOKIE = "gh_consent=no"

_PREVIEW = re.compile(r"(?:^|&)gh_preview=")
_CONSENT = re.compile(rf"(?:^|;)\s*{CONSENT_COOKIE}\s*(?:;|$)")
_REFUSAL = re.compile(rf"(?:^|;)\s*{REFUSAL_COOKIE}\s*(?:;|$)")


class BadBody(ValueError):
    """The body could not be read: cut off, or its length makes no sense."""


class BodyTooLarge(ValueError):
    """The body is longer than what the address takes."""


class Readable(Protocol):
    """The body of a WSGI request."""

    def read(self, size: int = ..., /) -> bytes:
        """Give up to `size` bytes."""


def text(environ: Environ, name: str) -> str:
    """Give a header or variable, or the empty text."""
    value: str = environ.get(name, "")
    return value


def is_preview(environ: Environ) -> bool:
    """Tell whether the query string holds a preview's key; the console answers those."""
    query = text(environ, "QUERY_STRING")
    return "gh_preview=" in query and _PREVIEW.search(query) is not None


def host_name(host: str) -> str:
    """Give the name in a Host header: in small letters, without the port."""
    name = host.strip().lower()
    head, colon, port = name.rpartition(":")
    return (head if colon and port.isdecimal() else name).rstrip(".")


def is_cross_site(environ: Environ) -> bool:
    """Tell whether the browser says that another site's page made it ask."""
    return environ.get("HTTP_SEC_FETCH_SITE") == "cross-site"


def has_opted_out(environ: Environ) -> bool:
    """Tell whether the browser says Do Not Track or Global Privacy Control."""
    return environ.get("HTTP_DNT") == "1" or environ.get("HTTP_SEC_GPC") == "1"


def is_prefetch(environ: Environ) -> bool:
    """Tell whether the browser fetches ahead: nobody is looking yet, and perhaps nobody will."""
    return (
        "prefetch" in environ.get("HTTP_SEC_PURPOSE", "")
        or environ.get("HTTP_PURPOSE") in AHEAD
        or environ.get("HTTP_X_PURPOSE") in AHEAD
        or environ.get("HTTP_X_MOZ") == "prefetch"
    )


def has_consented(environ: Environ) -> bool:
    """Tell whether the visitor agreed; greenhouse.consent(true) in the browser sets the cookie."""
    cookies = text(environ, "HTTP_COOKIE")
    return CONSENT_COOKIE in cookies and _CONSENT.search(cookies) is not None


def has_refused(environ: Environ) -> bool:
    """Tell whether the visitor said no; greenhouse.consent(false) in the browser sets the cookie."""
    cookies = text(environ, "HTTP_COOKIE")
    return REFUSAL_COOKIE in cookies and _REFUSAL.search(cookies) is not None


def is_https(environ: Environ, trusted_proxies: int) -> bool:
    """Tell whether the visitor's connection is encrypted, as far as we can know."""
    if environ.get("wsgi.url_scheme") == "https":
        return True
    return trusted_proxies > 0 and text(environ, "HTTP_X_FORWARDED_PROTO").strip().lower() == "https"


def address(environ: Environ, trusted_proxies: int) -> str:
    """Give the visitor's address: the nearest one that is not one of our own proxies.

    Each proxy appends the address it was called from, so the last `trusted_proxies` entries are ours to believe and
    whatever stands before them was sent by the visitor.
    """
    remote = text(environ, "REMOTE_ADDR")
    if trusted_proxies == 0:
        return remote
    forwarded = text(environ, "HTTP_X_FORWARDED_FOR").split(",")
    if len(forwarded) < trusted_proxies:
        return remote
    return forwarded[-trusted_proxies].strip() or remote


def body(environ: Environ, limit: int) -> bytes:
    """Read the whole body, or raise BodyTooLarge or BadBody."""
    length = _content_length(environ)
    if length is None:
        return _chunked_body(environ, limit)
    if length > limit:
        raise BodyTooLarge(f"at most {limit} bytes are taken")
    received = _read(environ, length) if length else b""
    if len(received) < length:
        raise BadBody("the body was cut off")
    return received


def _content_length(environ: Environ) -> int | None:
    """Give the announced length; None when the body is sent in chunks."""
    announced = text(environ, "CONTENT_LENGTH")
    if not announced:
        return None if text(environ, "HTTP_TRANSFER_ENCODING") else 0
    if not (announced.isascii() and announced.isdigit()):
        raise BadBody("Content-Length is not a number")
    return int(announced[:20])


def _chunked_body(environ: Environ, limit: int) -> bytes:
    received = _read(environ, limit + 1)
    if len(received) > limit:
        raise BodyTooLarge(f"at most {limit} bytes are taken")
    return received


def _read(environ: Environ, size: int) -> bytes:
    """Read until `size` bytes are there or the body ends."""
    stream = cast("Readable", environ["wsgi.input"])
    parts = []
    missing = size
    try:
        while missing > 0 and (part := stream.read(missing)):
            parts.append(part)
            missing -= len(part)
    except (OSError, ValueError) as error:
        raise BadBody(f"the body could not be read: {error}") from error
    return b"".join(parts)
