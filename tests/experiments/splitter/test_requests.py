"""Facts of a request."""

import io
import json
from typing import Any

import pytest

from experiments.splitter.attributes import attributes_of
from experiments.splitter.requests import BadBody, BodyTooLarge, address, body, has_consented, is_https

LIMIT = 10


class SlowStream:
    """A body that arrives in pieces, as it does from a socket."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self.pieces = list(pieces)

    def read(self, size: int = -1) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, OSError):
            raise piece
        assert size < 0 or len(piece) <= size
        return piece


def posted(data: bytes | SlowStream, **headers: str) -> dict[str, Any]:
    return {"wsgi.input": io.BytesIO(data) if isinstance(data, bytes) else data, **headers}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (posted(b"abc", CONTENT_LENGTH="3"), b"abc"),
        (posted(b"abcdef", CONTENT_LENGTH="3"), b"abc"),
        (posted(SlowStream(b"ab", b"c"), CONTENT_LENGTH="3"), b"abc"),
        (posted(b"abc"), b""),
        (posted(b"abc", CONTENT_LENGTH="0"), b""),
        (posted(SlowStream(b"ab", b"c"), HTTP_TRANSFER_ENCODING="chunked"), b"abc"),
        (posted(b"x" * LIMIT, HTTP_TRANSFER_ENCODING="chunked"), b"x" * LIMIT),
    ],
)
def test_a_body_is_read_to_its_end(environ: dict[str, Any], expected: bytes):
    assert body(environ, LIMIT) == expected


@pytest.mark.parametrize(
    "environ",
    [
        posted(b"ab", CONTENT_LENGTH="3"),
        posted(b"ab", CONTENT_LENGTH="two"),
        posted(b"ab", CONTENT_LENGTH="-2"),
        posted(b"ab", CONTENT_LENGTH="²"),
        posted(SlowStream(b"a", OSError("gone")), CONTENT_LENGTH="3"),
        posted(SlowStream(OSError("gone")), HTTP_TRANSFER_ENCODING="chunked"),
    ],
)
def test_a_body_that_is_cut_off_is_refused(environ: dict[str, Any]):
    with pytest.raises(BadBody):
        body(environ, LIMIT)


@pytest.mark.parametrize(
    "environ",
    [
        posted(b"", CONTENT_LENGTH="11"),
        posted(b"", CONTENT_LENGTH="9" * 5000),
        posted(b"x" * 11, HTTP_TRANSFER_ENCODING="chunked"),
    ],
)
def test_a_body_that_is_too_long_is_not_read_into_memory(environ: dict[str, Any]):
    with pytest.raises(BodyTooLarge):
        body(environ, LIMIT)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "9.9.9.9", "10.0.0.1"),
        (1, "9.9.9.9", "9.9.9.9"),
        (1, "spoofed, 9.9.9.9", "9.9.9.9"),
        (2, "spoofed, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
        (2, "9.9.9.9", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_only_our_own_proxies_are_believed(proxies: int, forwarded: str, expected: str):
    assert address({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded}, proxies) == expected


def test_https_is_known_from_the_server_itself():
    assert is_https({"wsgi.url_scheme": "https"}, 0)
    assert not is_https({"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https"}, 0)


@pytest.mark.parametrize(
    ("cookies", "consented"),
    [
        ("gh_consent=yes", True),
        ("a=1;gh_consent=yes ;b", True),
        ("gh_consent=yesterday", False),
        ("xgh_consent=yes", False),
    ],
)
def test_consent_is_a_whole_cookie(cookies: str, *, consented: bool):
    assert has_consented({"HTTP_COOKIE": cookies}) is consented


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Mobile/15E148", "phone"),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/137.0.0.0 Mobile Safari/537.36", "phone"),
        ("Mozilla/5.0 (Linux; Android 10; SM-T510) Chrome/137.0.0.0 Safari/537.36", "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) Mobile/15E148", "tablet"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/137.0.0.0", "desktop"),
    ],
)
def test_the_device_is_told_from_the_user_agent(user_agent: str, device: str):
    assert json.loads(attributes_of({"HTTP_USER_AGENT": user_agent})) == {"device": device}


@pytest.mark.parametrize(
    ("said", "country"), [("DE", "DE"), (" gb ", "GB"), ("XX", ""), ("T1", ""), ("Germany", ""), ("D1", ""), ("", "")]
)
def test_a_country_is_two_letters_that_a_proxy_says(said: str, country: str):
    told = json.loads(attributes_of({"HTTP_CF_IPCOUNTRY": said}, "HTTP_CF_IPCOUNTRY"))
    assert told.get("country", "") == country


def test_without_a_header_named_for_it_no_country_is_kept():
    assert "country" not in json.loads(attributes_of({"HTTP_CF_IPCOUNTRY": "DE", "HTTP_X_COUNTRY": "DE"}))


@pytest.mark.parametrize(
    ("cookies", "returns"),
    [
        ("", False),
        ("gh_3=abc; gh_consent=yes; gh_pending=1", False),
        ("__Host-gh_3=abc", False),
        ("gh_3=abc; session=1", True),
        ("theme=dark", True),
        (";;=", False),
    ],
)
def test_who_brings_a_cookie_of_the_site_has_been_there_and_nothing_else_of_it_is_kept(cookies: str, *, returns: bool):
    kept = attributes_of({"HTTP_COOKIE": cookies})
    assert (json.loads(kept).get("visitor") == "returning") is returns
    assert "session" not in kept
    assert "dark" not in kept


@pytest.mark.parametrize(
    ("query", "campaign"),
    [
        ("utm_source=%C3%BC", {"utm_source": "ü"}),
        ("utm_source=Ã¼", {"utm_source": "ü"}),
        ("utm_source=a%00b%0a%1b[31m", {"utm_source": "ab[31m"}),
        ("utm_source=%ed%a0%80", {"utm_source": "\ufffd" * 3}),
        ("UTM_SOURCE=a&utm_=b&utm_so urce=c", {}),
        ("utm_source=&gclid=a+b", {"gclid": "a b"}),
        ("gclid=100%&fbclid=%zz%2", {"gclid": "100%", "fbclid": "%zz%2"}),
        (r"gclid=\x41\u0042\n\\%5cN{BULLET}\\", {"gclid": r"\x41\u0042\n\\\N{BULLET}\\"}),
        ("&".join(f"utm_{'a' * number}=x" for number in range(1, 200)), {}),
        (f"gclid=a&junk={'%' * 5000}", {}),
    ],
)
def test_campaigns_are_kept_as_clean_text(query: str, campaign: dict[str, str]):
    assert json.loads(attributes_of({"QUERY_STRING": query})) == campaign | {"device": "desktop"}
