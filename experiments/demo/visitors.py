"""Turn hidden true rates into real HTTP visitors of a served page, and into a record of what they were sent.

A visitor opens the page with an empty cookie jar, reads their arm from the cookie they are given, and reaches the goal
with that arm's hidden rate, as a browser would: by sending the page's form, clicking its link or reporting an event.

What a server that dies leaves unanswered is handled as honestly as a client can:

    a conversion       is sent again until it is answered; it counts once per visitor and goal
    a page             may or may not have been counted. A new visitor comes instead, and the request's `utm_id`, unique
                       to it and kept with an exposure, is remembered: who has the database can look it up later

Every `utm_id` begins with the run's own mark, which tells its visitors from people who look at the page meanwhile.
"""

import gzip
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

Kind = Literal["form", "click", "event", "revenue"]

REQUEST_SECONDS = 10.0
PATIENCE_SECONDS = 60.0  # how long a server may be away before the visitors give up
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
CAMPAIGN_EVERY = 3  # one visitor in three comes from a campaign
OUTSIDE = "-"  # in place of an arm in the cookie: not part of the experiment
PENDING = "gh_pending=1"  # the cookie beside one that waits for a confirmation; it counts only in its company
ARM_PLACE = 2  # visitor.experiment.arm.epoch.exposed_ms.signature
COOKIE_PARTS = 6
UNANSWERED = (HTTPException, OSError)

BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
)
CAMPAIGNS = (
    {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "autumn"},
    {"utm_source": "search", "utm_medium": "cpc", "utm_campaign": "scanner"},
    {"utm_source": "forum", "utm_medium": "referral"},
)


class PageUnavailable(Exception):
    """The page does not answer as a running experiment's does, so visitors cannot be sent to it."""


class Interrupted(Exception):
    """Told to stop while visitors were on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a converting visitor does."""

    key: str
    kind: Kind
    link: str = "cta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who comes, and how they behave."""

    url: str  # of the page, with its final slash
    visitors: int
    rates: Mapping[str, float]  # hidden, by arm; an arm that is missing never converts
    goal: Goal
    seed: int
    concurrency: int = 8
    visitors_per_second: float | None = None  # as fast as the server answers, if None


@dataclass(slots=True)
class Sent:
    """What was answered, by arm. Threads add to it under its lock."""

    mark: str = field(default_factory=lambda: uuid4().hex)  # of this run; each request's utm_id begins with it
    exposures: dict[str, int] = field(default_factory=dict)
    conversions: dict[str, int] = field(default_factory=dict)
    uncounted: int = 0  # pages answered without an arm: paused, outside the traffic share
    unanswered: list[str] = field(default_factory=list)  # the utm_id of each page request that got no answer
    repeated: int = 0  # conversions sent again because no answer came
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_exposure(self, arm: str) -> None:
        with self.lock:
            self.exposures[arm] = self.exposures.get(arm, 0) + 1

    def add_conversion(self, arm: str) -> None:
        with self.lock:
            self.conversions[arm] = self.conversions.get(arm, 0) + 1

    @property
    def visitors(self) -> int:
        with self.lock:
            return sum(self.exposures.values()) + self.uncounted

    def by_arm(self) -> dict[str, dict[str, int]]:
        with self.lock:
            return {
                arm: {"exposures": exposures, "conversions": self.conversions.get(arm, 0)}
                for arm, exposures in sorted(self.exposures.items())
            }


def wait_for_site(url: str, *, seconds: float) -> None:
    """Return when something answers at the address; raise PageUnavailable when nothing did for so long."""
    give_up = time.monotonic() + seconds
    while True:
        left_seconds = max(FIRST_PAUSE_SECONDS, give_up - time.monotonic())
        try:
            with closing(Browser(url, patience_seconds=left_seconds)) as browser:
                browser.ask("GET", "/healthz", headers={})
        except UNANSWERED as error:
            if time.monotonic() + LONGEST_PAUSE_SECONDS > give_up:
                raise PageUnavailable(f"Nothing answers at {url}: {error}") from error
            time.sleep(LONGEST_PAUSE_SECONDS)
        else:
            return


def send(crowd: Crowd, sent: Sent, *, stopping: threading.Event) -> None:
    """Send the whole crowd, `concurrency` visitors at a time. Raise PageUnavailable or Interrupted."""
    numbers = iter(range(crowd.visitors))
    turn, over = threading.Lock(), threading.Event()
    run = _Run(crowd=crowd, sent=sent, stopping=stopping, started=time.monotonic())

    def work() -> None:
        with closing(Browser(crowd.url)) as browser:
            while not over.is_set():
                with turn:
                    number = next(numbers, None)
                if number is None:
                    return
                run.visit(number, browser)

    with ThreadPoolExecutor(crowd.concurrency, "visitors") as pool:
        workers = [pool.submit(work) for _ in range(crowd.concurrency)]
        try:
            for worker in as_completed(workers):
                worker.result()
        finally:
            over.set()  # after a failure of one, the others finish the visitor they are at


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, read to its end."""

    status: int
    cookie: str  # "name=value" of the cookie it sets, or empty
    body: bytes
    is_packed: bool = False
    is_pending: bool = False  # the page asks its browser to confirm that it ran

    @property
    def html(self) -> str:
        # Optimization: most visitors do not convert, and nobody unpacks what they were sent.
        return (gzip.decompress(self.body) if self.is_packed else self.body).decode("utf-8", "replace")


class Browser:
    """One kept-alive connection; cookies are the visitor's business."""

    def __init__(self, url: str, *, patience_seconds: float = REQUEST_SECONDS) -> None:
        parts = urlsplit(url)
        self.path = parts.path
        self.origin = f"{parts.scheme}://{parts.netloc}"
        host, port = parts.hostname or "", parts.port
        self._connection = (
            HTTPSConnection(host, port, timeout=patience_seconds, context=ssl.create_default_context())
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=patience_seconds)
        )

    def ask(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Return the whole answer; whatever keeps it from arriving is raised as one of UNANSWERED."""
        try:
            self._connection.request(method, path, body=body, headers=dict(headers))
            response = self._connection.getresponse()
            data = response.read()
        except UNANSWERED:
            self._connection.close()
            raise
        set_cookies = response.getheader("Set-Cookie") or ""
        return Answer(
            status=response.status,
            cookie=set_cookies.partition(";")[0],
            body=data,
            is_packed=response.getheader("Content-Encoding") == "gzip",
            is_pending=PENDING in set_cookies,
        )

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    crowd: Crowd
    sent: Sent
    stopping: threading.Event
    started: float  # by the monotonic clock

    def visit(self, number: int, browser: Browser) -> None:
        # Not for secrets: the same seed gives the same visitors.
        chance = random.Random(f"{self.crowd.seed}/{number}")  # noqa: S311
        self._wait_for_turn(number)
        headers = {
            "User-Agent": chance.choice(BROWSERS),
            "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
            "Accept-Encoding": "gzip",
            "Accept-Language": "en",
        }
        page = self._open_page(browser, headers, _campaign(number, chance))
        if page.is_pending:
            page = replace(page, cookie=self._confirm(browser, {**headers, "Cookie": f"{page.cookie}; {PENDING}"}))
        arm = arm_of(page.cookie)
        if arm is None:
            with self.sent.lock:
                self.sent.uncounted += 1
            return
        self.sent.add_exposure(arm)
        if chance.random() < self.crowd.rates.get(arm, 0.0):
            self._convert(browser, {**headers, "Cookie": page.cookie}, page, chance)
            self.sent.add_conversion(arm)

    def _confirm(self, browser: Browser, headers: Mapping[str, str]) -> str:
        """Do as greenhouse.js does on a page that was shown; return the cookie that stands for it."""
        referring = {**headers, "Referer": self.crowd.url}
        return self._until_answered(lambda: browser.ask("POST", f"{browser.path}seen", headers=referring)).cookie

    def _wait_for_turn(self, number: int) -> None:
        pace = self.crowd.visitors_per_second
        wait_seconds = self.started + number / pace - time.monotonic() if pace else 0.0
        if self.stopping.wait(max(0.0, wait_seconds)):
            raise Interrupted

    def _open_page(self, browser: Browser, headers: Mapping[str, str], campaign: Mapping[str, str]) -> Answer:
        def come() -> Answer:
            marker = f"{self.sent.mark}-{uuid4().hex}"
            query = urlencode({**campaign, "utm_id": marker})
            try:
                answer = browser.ask("GET", f"{browser.path}?{query}", headers=headers)
            except ConnectionRefusedError:  # nobody was there, so nobody can have counted it
                raise
            except UNANSWERED:
                with self.sent.lock:
                    self.sent.unanswered.append(marker)
                raise
            if answer.status != HTTPStatus.OK:
                raise PageUnavailable(f"{self.crowd.url} answers {answer.status}; is the experiment running?")
            return answer

        return self._until_answered(come)

    def _convert(self, browser: Browser, headers: Mapping[str, str], page: Answer, chance: random.Random) -> None:
        method, path, kind, body = _deed(self.crowd.goal, page, chance)
        # The site's origin, as a browser names it; without a type when there is no body.
        extra = {"Referer": self.crowd.url, "Origin": browser.origin} | ({"Content-Type": kind} if kind else {})
        attempts = 0

        def act() -> Answer:
            nonlocal attempts
            attempts += 1
            return browser.ask(method, f"{browser.path}{path}", headers={**headers, **extra}, body=body)

        answer = self._until_answered(act)
        with self.sent.lock:
            self.sent.repeated += attempts > 1
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise PageUnavailable(f"{self.crowd.url}{path} answers {answer.status}: {answer.html[:200]}")

    def _until_answered(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until an answer arrives that is not "try again later"."""
        pause_seconds, give_up = FIRST_PAUSE_SECONDS, time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = ask()
                if answer.status not in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
                    return answer
                reason = f"answers {answer.status}"
            except UNANSWERED as error:
                reason = f"does not answer: {error!r}"
            if time.monotonic() > give_up:
                raise PageUnavailable(f"{self.crowd.url} {reason}, for {PATIENCE_SECONDS:g} s")
            if self.stopping.wait(pause_seconds):
                raise Interrupted
            pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)


def arm_of(cookie: str) -> str | None:
    """Return the arm that a `name=value` cookie stands for, or None for visitors who are not counted."""
    parts = cookie.partition("=")[2].split(".")
    if len(parts) != COOKIE_PARTS or parts[ARM_PLACE] == OUTSIDE:
        return None
    return parts[ARM_PLACE]


def _campaign(number: int, chance: random.Random) -> Mapping[str, str]:
    return {} if number % CAMPAIGN_EVERY else chance.choice(CAMPAIGNS)


def _deed(goal: Goal, page: Answer, chance: random.Random) -> tuple[str, str, str, bytes | None]:
    """Return method, path below the page, content type and body of what reaches the goal."""
    if goal.kind == "click":
        return "GET", f"go/{goal.link}", "", None
    if goal.kind == "form":
        return "POST", "form", "application/x-www-form-urlencoded", urlencode(filled_form(page.html, chance)).encode()
    event: dict[str, object] = {"goal": goal.key}
    if goal.kind == "revenue":
        event |= {"value": round(chance.lognormvariate(3.5, 0.6), 2), "event_id": uuid4().hex}
    return "POST", "event", "application/json", json.dumps(event).encode()


def filled_form(html: str, chance: random.Random) -> dict[str, str]:
    """Fill in the page's form as a visitor would; raise PageUnavailable where there is none."""
    found = _FormReader()
    found.feed(html)
    if not found.fields:
        raise PageUnavailable("the page has no form to fill in, but its goal is one")
    return {name: _typed(kind, options, chance) for name, (kind, options) in found.fields.items()}


def _typed(kind: str, options: Sequence[str], chance: random.Random) -> str:
    if options:
        return chance.choice(options)
    made_up = {
        "email": f"visitor-{chance.getrandbits(40):010x}@example.com",
        "tel": f"+49 30 {chance.randrange(10_000_000):07d}",
        "checkbox": "on",
    }
    return made_up.get(kind, "A simulated visitor")


class _FormReader(HTMLParser):
    """Collects the fields of the form that is sent to `form`: their names, kinds and, of choices, the options."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, tuple[str, list[str]]] = {}
        self._is_inside = False
        self._options: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._is_inside = attributes.get("action") == "form"
        elif not self._is_inside:
            return
        elif tag in {"input", "textarea", "select"} and attributes.get("name"):
            self._options = []
            self.fields[attributes["name"]] = (attributes.get("type", tag), self._options)
        elif tag == "option" and attributes.get("value"):
            self._options.append(attributes["value"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
