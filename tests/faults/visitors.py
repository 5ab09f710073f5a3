"""Real HTTP visitors with cookies, and a ledger of what they were answered.

An answer stands in the ledger only once its whole body has arrived. A request without an answer may have been counted
or not, so it is remembered by who made it: a conversion by its visitor, a first visit by the `utm_id` it carried, which
is unique to it and kept with the exposure.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlencode
from uuid import uuid4

from experiments.demo.visitors import BROWSERS, UNANSWERED, Answer, Browser

THREADS = 6
RETURNING = 0.45  # of all visits
CONVERTING = 0.08  # of all visits, new or not
TRY_AGAIN = 0.7  # of unanswered conversions are sent again, as a person presses the button again
TRIES = 40
PAUSE_SECONDS = 0.25
OUTSIDE = "-"
DEEDS = ("form", "click", "event", "revenue")
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A served experiment. `headlines` says which arm a body shows; a test that changes pages may add to it."""

    number: int  # the experiment's
    slug: str
    headlines: dict[str, str]  # words on the page -> arm
    control: str = "control"

    @property
    def path(self) -> str:
        return f"/p/{self.slug}/"

    def shown(self, html: str) -> str:
        """Return the arm whose page this is, or what it is instead."""
        found = {arm for words, arm in self.headlines.items() if words in html}
        return found.pop() if len(found) == 1 else f"{sorted(found) or html[:80]!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who was given which arm, as their cookie says."""

    visitor: str
    arm: str
    epoch: int
    exposed_ms: int
    mark: str  # the utm_id of their first visit
    cookie: str


@dataclass(frozen=True, slots=True)
class Deed:
    """A goal reached; revenue events are told apart by their id."""

    visitor: str
    goal: str
    event_id: str = ""


@dataclass(slots=True)
class Ledger:
    """What was answered, and what was not. Threads write to it under its lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    visitors: dict[str, Visitor] = field(default_factory=dict)  # answered with an arm and a cookie
    known: list[Visitor] = field(default_factory=list)  # the same, to choose from
    uncounted: set[str] = field(default_factory=set)  # marks of first visits answered without a cookie
    unanswered: set[str] = field(default_factory=set)  # marks of first visits whose answer never arrived
    deeds: set[Deed] = field(default_factory=set)  # answered as done
    unanswered_deeds: set[Deed] = field(default_factory=set)
    leads: Counter[str] = field(default_factory=Counter)  # by e-mail address: forms answered as sent
    unanswered_leads: Counter[str] = field(default_factory=Counter)
    values: dict[Deed, int] = field(default_factory=dict)  # what each revenue event was worth
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: int = 0  # connections; nothing was sent
    lost_answers: list[str] = field(default_factory=list)  # what kept an answer from arriving, with the moment
    unstuck: list[str] = field(default_factory=list)  # answers that show another arm than the cookie's
    slowest_seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def bad_statuses(self) -> dict[str, int]:
        """Return how often something other than success was answered."""
        bad = {key: number for key, number in self.statuses.items() if key[1] >= HTTPStatus.BAD_REQUEST}
        return {f"{what} {status}": number for (what, status), number in bad.items()}

    def figures(self) -> dict[str, object]:
        """Return what a report of the run says."""
        return {
            "requests": self.requests,
            "exposures": len(self.visitors),
            "conversions": len(self.deeds),
            "leads": self.leads.total(),
            "unanswered": len(self.lost_answers),
            "refused": self.refused,
            "bad_statuses": self.bad_statuses(),
            "slowest_seconds": round(self.slowest_seconds, 2),
        }


class Visitors:
    """Steady load on one page. `ports` are those of the web processes, of which each thread keeps to one."""

    def __init__(
        self, page: Page, ports: Sequence[int], *, per_second: float, seed: int = 1, browser: type[Browser] = Browser
    ) -> None:
        self.page = page
        self._browser = browser
        self.ledger = Ledger()
        self._ports = ports
        self._interval_seconds = THREADS / per_second
        self._seed = seed
        self._stopping = threading.Event()

    @contextmanager
    def coming(self) -> Iterator[Ledger]:
        """Have them come in the background; every request under way is finished before this is left."""
        self._stopping.clear()
        threads = [threading.Thread(target=self._come, args=[n], name=f"visitors-{n}") for n in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield self.ledger
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def for_seconds(self, seconds: float) -> Ledger:
        """Have them come for so long, and nothing happen."""
        with self.coming():
            time.sleep(seconds)
        return self.ledger

    def _come(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        url = f"http://127.0.0.1:{self._ports[number % len(self._ports)]}{self.page.path}"
        due = time.monotonic() + self._interval_seconds * number / THREADS
        with closing(self._browser(url)) as browser:
            visit = _Visit(page=self.page, ledger=self.ledger, browser=browser, chance=chance, stopping=self._stopping)
            # Who was kept waiting does not catch up: the load is what a server sees, not a test of its queue.
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                due = max(due, time.monotonic() - self._interval_seconds) + self._interval_seconds
                visit.happen()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    page: Page
    ledger: Ledger
    browser: Browser
    chance: random.Random
    stopping: threading.Event

    def happen(self) -> None:
        """Come for the first time or again, and perhaps do what the page asks for."""
        known = self.ledger.known
        is_new = not known or self.chance.random() >= RETURNING
        visitor = self._come() if is_new else self.chance.choice(known)
        if not is_new and visitor is not None:
            self._come_again(visitor)
        if visitor is not None and self.chance.random() < CONVERTING:
            self._convert(visitor)

    def _come(self) -> Visitor | None:
        mark = uuid4().hex
        answer = self._ask("first visit", "GET", f"?{urlencode({'utm_id': mark})}")
        if answer is None:
            with self.ledger.lock:
                self.ledger.unanswered.add(mark)
            return None
        made = _visitor(answer.cookie, mark)
        self._note_shown(answer, made.arm if made else self.page.control, mark)
        with self.ledger.lock:
            if made is None:
                self.ledger.uncounted.add(mark)
            else:
                self.ledger.visitors[made.visitor] = made
                self.ledger.known.append(made)
        return made

    def _come_again(self, visitor: Visitor) -> None:
        answer = self._ask("visit", "GET", "", cookie=visitor.cookie)
        if answer is None:
            return
        self._note_shown(answer, visitor.arm, visitor.visitor)
        if answer.cookie:
            with self.ledger.lock:
                self.ledger.unstuck.append(f"{visitor.visitor} was given another cookie: {answer.cookie}")

    def _note_shown(self, answer: Answer, arm: str, who: str) -> None:
        shown = self.page.shown(answer.html) if answer.status == HTTPStatus.OK else arm
        if shown != arm:
            with self.ledger.lock:
                self.ledger.unstuck.append(f"{who} of {arm} was shown {shown}")

    def _convert(self, visitor: Visitor) -> None:
        kind = self.chance.choice(DEEDS)
        deed, value, mail = Deed(visitor.visitor, kind), 0, f"{uuid4().hex}@example.org"
        if kind == "revenue":
            deed, value = Deed(visitor.visitor, kind, uuid4().hex), self.chance.randrange(1, 100)
        for _ in range(TRIES):
            answer = self._do(visitor, deed, value, mail)
            self._note_deed(deed, value, mail, answer)
            if answer is not None or self.stopping.wait(PAUSE_SECONDS) or self.chance.random() >= TRY_AGAIN:
                return

    def _do(self, visitor: Visitor, deed: Deed, value: int, mail: str) -> Answer | None:
        if deed.goal == "click":
            return self._ask("click", "GET", "go/more", cookie=visitor.cookie)
        if deed.goal == "form":
            body = urlencode({"email": mail}).encode()
            return self._ask("form", "POST", "form", cookie=visitor.cookie, body=body, kind=FORM_TYPE)
        event: dict[str, object] = {"goal": deed.goal}
        if deed.event_id:
            event |= {"event_id": deed.event_id, "value": value}
        body = json.dumps(event).encode()
        return self._ask(deed.goal, "POST", "event", cookie=visitor.cookie, body=body, kind="application/json")

    def _note_deed(self, deed: Deed, value: int, mail: str, answer: Answer | None) -> None:
        is_done = answer is not None and answer.status < HTTPStatus.BAD_REQUEST
        with self.ledger.lock:
            if answer is None:
                self.ledger.unanswered_deeds.add(deed)
                self.ledger.unanswered_leads[mail] += deed.goal == "form"
            elif is_done:
                self.ledger.deeds.add(deed)
                self.ledger.leads[mail] += deed.goal == "form"
            if deed.event_id:
                self.ledger.values[deed] = value

    def _ask(
        self, what: str, method: str, below: str, *, cookie: str = "", body: bytes | None = None, kind: str = ""
    ) -> Answer | None:
        """Return the whole answer; None where it was asked and no answer came. Who finds nobody there tries again."""
        headers = _headers(cookie=cookie, kind=kind, origin=self.browser.origin, browser=self.chance.choice(BROWSERS))
        started = time.monotonic()
        while True:
            try:
                answer = self.browser.ask(method, f"{self.browser.path}{below}", headers=headers, body=body)
            except ConnectionRefusedError:
                with self.ledger.lock:
                    self.ledger.refused += 1
                if self.stopping.wait(PAUSE_SECONDS):
                    return None
                continue
            except UNANSWERED as error:
                with self.ledger.lock:
                    self.ledger.lost_answers.append(f"{time.strftime('%H:%M:%S')} {what}: {error!r}")
                return None
            break
        with self.ledger.lock:
            self.ledger.statuses[what, answer.status] += 1
            self.ledger.slowest_seconds = max(self.ledger.slowest_seconds, time.monotonic() - started)
        return answer


def _headers(*, cookie: str, kind: str, origin: str, browser: str) -> Mapping[str, str]:
    headers = {"User-Agent": browser, "Accept": "text/html", "Accept-Encoding": "identity", "Accept-Language": "en"}
    extra = {"Cookie": cookie, "Content-Type": kind, "Origin": origin if kind else ""}
    return headers | {name: value for name, value in extra.items() if value}


def _visitor(cookie: str, mark: str) -> Visitor | None:
    """Read a `name=value` cookie in clear; None for no cookie or one that keeps its visitor outside."""
    parts = cookie.partition("=")[2].split(".")
    if len(parts) != 6 or parts[2] == OUTSIDE:
        return None
    visitor, _, arm, epoch, exposed_ms, _ = parts
    return Visitor(visitor=visitor, arm=arm, epoch=int(epoch), exposed_ms=int(exposed_ms), mark=mark, cookie=cookie)
