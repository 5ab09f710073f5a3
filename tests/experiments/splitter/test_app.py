"""Addresses, methods, encodings and hostile requests, over real HTTP and straight through WSGI."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.splitter.app import Splitter
from tests.experiments.splitter.planting import planted
from tests.experiments.splitter.serving import CHROME, Browser, Site, config, serving

PAGE = "/p/paperless/"


def test_forms_are_limited_sooner_than_pages_and_events(tmp_path: Path):
    with serving(tmp_path, planted(), rate_per_second=80.0, rate_exempt=frozenset()) as site:
        browser = site.browser()
        sent = [browser.form("/p/paperless/form", b"email=a@b.example").status for _ in range(21)]
        assert sent == [303] * 20 + [429]
        assert browser.post("/p/paperless/event", b'{"goal": "scroll"}').status == 204
        assert browser.get("/p/paperless/").status == 200
        assert site.splitter.tallies.totals()["limited"] == 1


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br;q=0.0,gzip;q=0", None),
        ("identity", None),
        ("*", "br"),
        ("*;q=0", None),
        ("BR", "br"),
        ("gzip;q=nonsense", "gzip"),
        ("gzip;q=1.2.3", None),
    ],
)
def test_the_encoding_is_one_the_browser_accepts(browser: Browser, accepted: str, encoding: str | None):
    got = browser.get(PAGE, Accept_Encoding=accepted)
    assert got.headers.get("content-encoding") == encoding
    prefix = {"br": b"br:", "gzip": b"gz:", None: b"<h1>"}[encoding]
    assert got.body.startswith(prefix)
    assert got.headers["content-length"] == str(len(got.body))


def test_the_address_without_its_slash_leads_to_it_and_keeps_the_query(browser: Browser):
    got = browser.get("/p/paperless?utm_source=a&b=%C3%BC")
    assert (got.status, got.headers["location"]) == (308, "/p/paperless/?utm_source=a&b=%C3%BC")


def test_images_are_kept_for_a_year(browser: Browser):
    got = browser.get("/p/paperless/i/leaf.png")
    assert (got.status, got.body, got.headers["content-type"]) == (200, b"\x89PNG leaf", "image/png")
    assert got.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_the_script_is_served(browser: Browser):
    got = browser.get("/p/paperless/greenhouse.js")
    assert got.headers["content-type"] == "text/javascript; charset=utf-8"
    assert b"sendBeacon" in got.body


def test_the_thank_you_page_follows_the_arm_and_counts_nothing(site: Site, browser: Browser):
    assert browser.get("/p/paperless/thanks").body == b"<h1>thanks control</h1>"
    assert site.records() == []
    arm = browser.get(PAGE).body
    assert browser.get("/p/paperless/thanks").body == arm.replace(b"<h1>", b"<h1>thanks ")


@pytest.mark.parametrize(
    "path",
    [
        "a.css",
        "i/",
        "i/none.png",
        "i/leaf.png/",
        "go/",
        "go/none",
        "thanks/",
        "form/x",
        "%00",
        "..%2f",
        "//",
        "?gh_preview=x",
    ],
)
def test_anything_else_is_not_found(browser: Browser, path: str):
    assert browser.get(PAGE + path).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "", "GET, HEAD"),
        ("DELETE", "", "GET, HEAD"),
        ("OPTIONS", "event", "POST"),
        ("GET", "event", "POST"),
        ("HEAD", "form", "POST"),
        ("PUT", "go/cta", "GET, HEAD"),
        ("POST", "token", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_with_those_allowed(browser: Browser, method: str, path: str, allowed: str):
    got = browser.send(method, PAGE + path)
    assert (got.status, got.headers["allow"]) == (405, allowed)


def test_health_addresses_answer(site: Site, browser: Browser):
    assert browser.get("/healthz").body == b"ok"
    assert browser.send("POST", "/healthz").status == 405
    site.splitter.tend()
    ready = browser.get("/readyz")
    assert (ready.status, json.loads(ready.body)) == (200, {"ready": True, "reasons": []})


def test_metrics_are_prometheus_text(site: Site, browser: Browser):
    browser.get(PAGE)
    text = browser.get("/metrics").body.decode()
    assert 'greenhouse_visitor_total{kind="exposures"} 1\n' in text
    assert re.fullmatch(r"(?:(?:# TYPE \w+ \w+|\w+(?:\{kind=\"\w+\"\})? [\d.e+-]+)\n)+", text)


@pytest.mark.parametrize(
    ("path", "query", "owned"),
    [
        ("/p/paperless/", "", True),
        ("/p/", "", True),
        ("/p/paperless/", "gh_preview=x", False),
        ("/p/paperless/", "a=1&gh_preview=x", False),
        ("/p/paperless/", "utm_source=gh_preview=x", True),
        ("/healthz", "", True),
        ("/metrics", "", True),
        ("/", "", False),
        ("/admin/", "", False),
        ("/p", "", False),
    ],
)
def test_the_tier_owns_visitors_and_health(tmp_path: Path, path: str, query: str, *, owned: bool):
    with serving(tmp_path, planted()) as site:
        tier = site.splitter
    assert tier.owns({"PATH_INFO": path, "QUERY_STRING": query}) is owned


def test_over_the_limit_is_told_to_wait(tmp_path: Path):
    with serving(tmp_path, planted(), rate_per_second=1.0, rate_exempt=frozenset()) as site:
        answers = [site.browser().get(PAGE) for _ in range(3)]
        assert [got.status for got in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] == "1"
        assert site.browser().get("/p/unknown/").status == 429
        assert site.browser().get("/healthz").status == 200
        site.clock.now_ms += 1000
        assert site.browser().get(PAGE).status == 200


def test_behind_a_trusted_proxy_the_forwarded_address_is_limited(tmp_path: Path):
    changes: dict[str, Any] = {"rate_per_second": 0.5, "rate_exempt": frozenset(), "trusted_proxy_count": 1}
    with serving(tmp_path, planted(), **changes) as site:
        statuses = [
            site.browser(X_Forwarded_For=f"{spoofed}, {address}").get(PAGE).status
            for spoofed, address in [("1.1.1.1", "9.9.9.9"), ("2.2.2.2", "9.9.9.9"), ("1.1.1.1", "8.8.8.8")]
        ]
        assert statuses == [200, 429, 200]


@pytest.mark.parametrize(("proxies", "is_secure"), [(0, False), (1, True)])
def test_the_cookie_is_secure_when_a_trusted_proxy_says_https(tmp_path: Path, proxies: int, *, is_secure: bool):
    with serving(tmp_path, planted(), trusted_proxy_count=proxies) as site:
        cookie = site.browser(X_Forwarded_Proto="https").get(PAGE).headers["set-cookie"]
        assert cookie.endswith("; Secure") is is_secure


def call(splitter: Splitter, **changes: Any) -> tuple[str, dict[str, str], bytes]:
    """Call WSGI directly, with what no well-behaved client would send."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": PAGE,
        "QUERY_STRING": "",
        "HTTP_USER_AGENT": CHROME,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    answer: list[Any] = []
    body = b"".join(splitter(environ | changes, lambda status, headers: answer.extend((status, dict(headers)))))
    return answer[0], answer[1], body


HOSTILE = {
    "a cookie of a megabyte": {"HTTP_COOKIE": "gh_12=" + "a." * 500_000},
    "many cookies of our name": {"HTTP_COOKIE": "gh_12=x;" * 10_000},
    "bytes in a cookie": {"HTTP_COOKIE": "gh_12=\x00\xff.12.v2.3.4.sig; =; ;;"},
    "digits that are none": {"HTTP_COOKIE": f"gh_12={'a' * 32}.1².v2.3.4.sig"},
    "NUL in the path": {"PATH_INFO": "/p/paperless\x00/"},
    "bytes in the path": {"PATH_INFO": "/p/\xff\xfe/"},
    "a path of slashes": {"PATH_INFO": "/p/" + "/" * 1000},
    "bytes in the query": {"QUERY_STRING": "utm_source=\xff\xfe&utm_%zz=%&gclid=%ff%00"},
    "too many parameters": {"QUERY_STRING": "utm_source=a&" * 5000},
    "a referrer that is none": {"HTTP_REFERER": "http://[::1"},
    "a referrer with a strange host": {"HTTP_REFERER": "http://\u2100.com/\xff"},
    "an encoding that is none": {"HTTP_ACCEPT_ENCODING": ";;q=,,br;q=;" * 1000},
    "a language that is none": {"HTTP_ACCEPT_LANGUAGE": "\xff" * 5000},
    "a method that is none": {"REQUEST_METHOD": "\xff"},
    "an address that is none": {"REMOTE_ADDR": "::::"},
    "a click from nowhere": {"PATH_INFO": PAGE + "go/cta", "HTTP_REFERER": "http://[", "HTTP_HOST": "\xff"},
    "an event of nonsense length": {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PAGE + "event",
        "CONTENT_LENGTH": "-1",
    },
    "a form cut off": {"REQUEST_METHOD": "POST", "PATH_INFO": PAGE + "form", "CONTENT_LENGTH": "10"},
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_hostile_requests_are_answered_without_a_crash(site: Site, hostile: dict[str, str]):
    status, _, _ = call(site.splitter, **hostile)
    assert status[0] in "234"
    assert site.splitter.tallies.totals().get("crashes", 0) == 0


def test_what_we_overlooked_is_answered_with_the_control(site: Site):
    status, _, body = call(site.splitter, HTTP_COOKIE=None)
    assert (status, body) == ("200 OK", b"<h1>control</h1>")
    assert site.splitter.tallies.totals()["crashes"] == 1


def test_elsewhere_what_we_overlooked_is_a_plain_error(site: Site):
    status, _, body = call(site.splitter, PATH_INFO=PAGE + "token", HTTP_COOKIE=None)
    assert status.startswith("500")
    assert b"secret" not in body


def test_shared_headers_survive_a_server_that_changes_them(site: Site):
    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        headers.append(("X-Server", "wsgiref"))

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz", "QUERY_STRING": ""}
    site.splitter(environ, start_response)
    site.splitter(environ, start_response)
    assert "X-Server" not in call(site.splitter, PATH_INFO="/healthz")[1]


def test_start_and_close_run_the_background_threads(tmp_path: Path):
    store = planted()
    splitter = Splitter(config(tmp_path), store)
    splitter.start()
    call(splitter)
    splitter.close()
    assert b"exposure" in b"".join(entry.chunk.data for entry in store.entries("", 10))
