"""Turn stored bytes into finished answers: status, headers and body per encoding, made once and sent many times."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from experiments.splitter.stores import Blob

Headers = list[tuple[str, str]]

NO_STORE = "private, no-store"
MAX_HEADER = 200  # characters looked at and kept in the cache; browsers send about 30

# A year is the longest that RFC 9111's predecessors allowed; the address of such an answer holds the hash of its bytes.
IMMUTABLE = "public, max-age=31536000, immutable"

OK = "200 OK"
NO_CONTENT = "204 No Content"
FOUND = "302 Found"
SEE_OTHER = "303 See Other"
PERMANENT = "308 Permanent Redirect"
BAD_REQUEST = "400 Bad Request"
FORBIDDEN = "403 Forbidden"
NOT_FOUND = "404 Not Found"
METHOD_NOT_ALLOWED = "405 Method Not Allowed"
TOO_LARGE = "413 Content Too Large"
UNSUPPORTED = "415 Unsupported Media Type"
UNPROCESSABLE = "422 Unprocessable Content"
TOO_MANY = "429 Too Many Requests"
SERVER_ERROR = "500 Internal Server Error"
UNAVAILABLE = "503 Service Unavailable"

SECURITY_HEADERS: Headers = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
]

# What says for itself that it is not a page needs no script, style or frame.
PLAIN_CSP = "default-src 'none'; frame-ancestors 'none'"


class Reply(NamedTuple):
    """One answer. Optimization: a tuple, because a frozen dataclass takes three times as long to make."""

    status: str
    headers: Headers
    body: bytes


class Answer(NamedTuple):
    """A stored body, ready to be sent: the smallest form for each set of encodings that a visitor may accept."""

    identity: Reply
    br: Reply
    gzip: Reply
    either: Reply

    def accepted_by(self, accept_encoding: str) -> Reply:
        """Give the smallest form that the Accept-Encoding header allows."""
        return self[_place(accept_encoding[:MAX_HEADER])] if accept_encoding else self.identity


def answer_of(blob: Blob, *, cache_control: str = NO_STORE, extra: Sequence[tuple[str, str]] = ()) -> Answer:
    """Make the answer of a page or image. An encoding that the blob lacks stands for the plain form."""

    def reply(body: bytes, encoding: str | None) -> Reply:
        status, headers, body = _reply_of(blob, body, encoding, cache_control)
        return Reply(status, [*headers, *extra], body)

    identity = reply(blob.identity, None)
    br = reply(blob.br, "br") if blob.br is not None else identity
    gzip = reply(blob.gzip, "gzip") if blob.gzip is not None else identity
    return Answer(identity=identity, br=br, gzip=gzip, either=gzip if br is identity else br)


def page_headers(blob: Blob, body_bytes: int, *, cache_control: str = NO_STORE) -> Headers:
    """Give the headers of a body that belongs to `blob`."""
    vary = "Cookie, Accept-Encoding" if cache_control == NO_STORE else "Accept-Encoding"
    headers = [
        ("Content-Type", _with_charset(blob.content_type)),
        ("Content-Length", str(body_bytes)),
        ("Cache-Control", cache_control),
        ("Vary", vary),
        *SECURITY_HEADERS,
    ]
    if blob.csp:
        headers.append(("Content-Security-Policy", blob.csp))
    return headers


def plain(status: str, text: str, *extra: tuple[str, str], content_type: str = "text/plain; charset=utf-8") -> Reply:
    """Make a short answer that no cache keeps."""
    body = text.encode()
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", NO_STORE),
        ("Content-Security-Policy", PLAIN_CSP),
        *SECURITY_HEADERS,
        *extra,
    ]
    return Reply(status, headers, body)


def empty(status: str, *extra: tuple[str, str]) -> Reply:
    """Make an answer without a body that no cache keeps."""
    length = [] if status == NO_CONTENT else [("Content-Length", "0")]  # RFC 9110 8.6 forbids it with 204
    return Reply(status, [("Cache-Control", NO_STORE), *length, *SECURITY_HEADERS, *extra], b"")


@lru_cache(maxsize=1024)
def _place(accept_encoding: str) -> int:
    """Give the form's place in an Answer, by RFC 9110 12.5.3: q=0 refuses, `*` means any not named."""
    weights = dict(_weighted(part) for part in accept_encoding.lower().split(","))
    anything = weights.get("*", 0.0)
    return (weights.get("br", anything) > 0) + 2 * (weights.get("gzip", anything) > 0)


_WEIGHT = re.compile(r"q\s*=\s*([0-9.]{1,6})")


def _weighted(part: str) -> tuple[str, float]:
    coding, _, parameters = part.partition(";")
    match = _WEIGHT.search(parameters)
    try:
        return coding.strip(), float(match[1]) if match else 1.0
    except ValueError:
        return coding.strip(), 0.0


def _reply_of(blob: Blob, body: bytes, encoding: str | None, cache_control: str) -> Reply:
    headers = page_headers(blob, len(body), cache_control=cache_control)
    if encoding:
        headers.append(("Content-Encoding", encoding))
    return Reply(OK, headers, body)


def _with_charset(content_type: str) -> str:
    if content_type.startswith("text/") and "charset" not in content_type:
        return f"{content_type}; charset=utf-8"
    return content_type
