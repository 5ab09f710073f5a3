"""Simulated visitors, against the real visitor tier and against a server that hangs up."""

import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from experiments.demo.visitors import Crowd, Goal, Interrupted, PageUnavailable, Sent, arm_of, filled_form, send
from experiments.splitter.records import Conversion, Exposure, Lead
from experiments.splitter.stores import MemoryStore, Store
from tests.experiments.splitter.planting import document, publish, put
from tests.experiments.splitter.serving import Site, serving

FORM = """<form method="post" action="form"><input type="email" name="email"><input type="tel" name="phone">
<select name="size"><option value="">…</option><option value="S">S</option><option value="L">L</option></select>
<textarea name="why"></textarea><input type="checkbox" name="terms" value="on"><button>Go</button></form>"""
COOKIE = "gh_12=" + "a" * 32 + ".12.control.3.1.signature"


def publish_forms(store: Store, **changes: Any) -> None:
    published = document(store, **changes)
    for key, arm in published["arms"].items():
        arm["page"] = put(store, f"<h1>{key}</h1>{FORM}".encode())
    publish(store, published)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    store = MemoryStore()
    publish_forms(store)
    with serving(tmp_path, store) as running:
        yield running


def crowd(site: Site, *, visitors: int = 60, goal: Goal | None = None, **rates: float) -> Crowd:
    return Crowd(
        url=f"http://127.0.0.1:{site.port}/p/paperless/",
        visitors=visitors,
        rates=rates,
        goal=goal or Goal(key="signup", kind="form"),
        seed=1,
        concurrency=3,
    )


def sent_by(who: Crowd) -> Sent:
    sent = Sent()
    send(who, sent, stopping=threading.Event())
    return sent


def test_every_visitor_is_journalled_under_the_arm_that_was_sent(site):
    sent = sent_by(crowd(site, control=0.5, v2=0.2))
    assert dict(Counter(record.arm for record in site.records(Exposure))) == sent.exposures
    assert dict(Counter(record.arm for record in site.records(Conversion))) == sent.conversions
    assert sum(sent.exposures.values()) == 60


def test_every_visitor_carries_a_mark_of_the_run_and_one_of_its_own(site):
    sent = sent_by(crowd(site))
    marks = {record.attributes["utm_id"] for record in site.records(Exposure)}
    assert len(marks) == 60
    assert all(mark.startswith(f"{sent.mark}-") for mark in marks)


@pytest.mark.parametrize(
    "goal", [Goal(key="signup", kind="form"), Goal(key="click", kind="click"), Goal(key="scroll", kind="event"),
             Goal(key="order", kind="revenue")], ids=lambda goal: goal.kind
)  # fmt: skip
def test_a_visitor_reaches_a_goal_of_each_kind(site, goal):
    sent = sent_by(crowd(site, visitors=5, goal=goal, control=1.0, v2=1.0))
    assert [record.goal for record in site.records(Conversion)] == [goal.key] * 5
    assert sum(sent.conversions.values()) == 5


def test_a_form_is_filled_in_with_values_that_the_page_accepts(site):
    sent_by(crowd(site, visitors=8, control=1.0, v2=1.0))
    assert len(site.records(Lead)) == 8


def test_an_arm_without_a_rate_never_converts(site):
    assert sent_by(crowd(site, control=1.0)).conversions.keys() <= {"control"}


def test_the_same_seed_brings_the_same_kinds_of_visitors(site):
    def campaigns() -> Counter[str]:
        sent_by(crowd(site))
        return Counter(record.attributes.get("utm_source", "") for record in site.records(Exposure))

    first = campaigns()
    assert campaigns() == first + first
    assert set(first) == {"", "newsletter", "search", "forum"}


def test_each_request_for_a_page_has_a_marker_of_its_own(site):
    sent_by(crowd(site))
    assert len({record.attributes["utm_id"] for record in site.records(Exposure)}) == 60


def test_a_page_that_is_not_served_is_named(site):
    nowhere = Crowd(
        url=f"http://127.0.0.1:{site.port}/p/nowhere/", visitors=1, rates={}, goal=Goal(key="a", kind="form"), seed=1
    )
    with pytest.raises(PageUnavailable, match=r"/p/nowhere/ answers 404"):
        sent_by(nowhere)


def test_visitors_on_their_way_can_be_called_back(site):
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Interrupted):
        send(crowd(site), Sent(), stopping=stopping)


class HangingUp(ThreadingHTTPServer):
    """Takes requests down, and hangs up on the first of each kind without an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HangingUpHandler)
        self.requests: list[str] = []


class HangingUpHandler(BaseHTTPRequestHandler):
    server: HangingUp
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if [urlsplit(path).path for path in self.server.requests].count(urlsplit(self.path).path) == 1:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Set-Cookie", f"{COOKIE}; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def hanging_up() -> Iterator[HangingUp]:
    with HangingUp() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_got_no_answer_is_remembered_and_made_good():
    with hanging_up() as server:
        url = f"http://127.0.0.1:{server.server_port}/p/paperless/"
        click = Goal(key="click", kind="click")
        sent = sent_by(Crowd(url=url, visitors=1, rates={"control": 1.0}, goal=click, seed=1, concurrency=1))
    pages = [parse_qs(urlsplit(path).query)["utm_id"][0] for path in server.requests if "utm_id" in path]
    assert sent.unanswered == pages[:1]
    assert len(pages) == 2
    assert sent.by_arm() == {"control": {"exposures": 1, "conversions": 1}}
    assert sent.repeated == 1


@pytest.mark.parametrize(
    ("cookie", "arm"),
    [(COOKIE, "control"), (COOKIE.replace("control", "-"), None), ("", None), ("gh_12=a.b", None)],
)
def test_the_arm_stands_in_the_cookie(cookie, arm):
    assert arm_of(cookie) == arm


def test_every_field_of_the_form_gets_a_value_and_no_other():
    filled = filled_form(f"<form action='search'><input name='q'></form>{FORM}", random.Random(1))
    assert set(filled) == {"email", "phone", "size", "why", "terms"}
    assert filled["size"] in {"S", "L"}
    assert "@" in filled["email"]


def test_a_page_without_its_form_is_named():
    with pytest.raises(PageUnavailable, match="no form"):
        filled_form("<p>nothing</p>", random.Random(1))


def test_where_a_confirmation_is_asked_for_visitors_confirm_before_they_convert(site):
    publish_forms(site.store, sequence=2, confirm_exposures=True)
    site.splitter.refresher.refresh()
    sent = sent_by(crowd(site, visitors=20, control=1.0, v2=1.0))
    assert dict(Counter(record.arm for record in site.records(Exposure))) == sent.exposures
    assert dict(Counter(record.arm for record in site.records(Conversion))) == sent.conversions
    assert sum(sent.conversions.values()) == 20
