"""Give an experiment an address of the marketer's own, and look whether visitors get their pages there.

The look visits the public address as visitors do, from outside through whatever stands in front of us, several times
as somebody new. The visitor tier answers such a visit with what arrived of it (splitter/probes.py); what does not match
what was sent was changed, or kept and handed to somebody else, on the way. Nothing of it is counted.
"""

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http.request import validate_host

from experiments import deployment, flags, lifecycle
from experiments.models import Experiment
from experiments.splitter.assignment import numbers_of
from experiments.splitter.cookies import Assignment, Signer, cookie_name
from experiments.splitter.places import BadAddress, own_place
from experiments.splitter.probes import HEADER, MARK_PURPOSE, NOBODY
from experiments.splitter.visits import VISITOR_BYTES
from variants.page_import import (
    NOT_PLAIN,
    WEB_PORTS,
    Answered,
    Guard,
    PageNotFetched,
    ask,
    is_allowed,
    is_plain,
    is_public,
)

VISITS: Final = 8  # as somebody new
MOST_ARMS: Final = 4  # that these visits are planned to meet
DRAWS: Final = 20_000  # visitors' numbers looked at to find ones for every arm, however small its share
SECONDS_A_VISIT: Final = 5.0
SECONDS: Final = 25.0  # for the whole look
MOST_BYTES: Final = 3_000_000
# RFC 5737 keeps this address for documentation: no visitor has it, so believing it is believing anything.
INVENTED: Final = "192.0.2.77"
QUERY: Final = "utm_source=greenhouse-test&gclid=1"
LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
RESERVED: Final = ("/p/", "/console/", "/api/", "/static/", "/ofrep/")
# What a page answers below its own path (splitter/app.py).
ANSWERED: Final = frozenset(
    {"event", "forget", "form", "go", "greenhouse.js", "i", "robots.txt", "seen", "thanks", "token"}
)
AGENT: Final = "Mozilla/5.0 (compatible; Greenhouse self-test)"  # a program's: uncounted even if the mark is lost


class WrongAddress(ValueError):
    """An address that a page cannot be given; the message is for the person who typed it."""


# --- giving an address ----------------------------------------------------------------------------------------------


def normal(typed: str) -> str:
    """Return an address as it is kept, empty for none. Raise WrongAddress."""
    typed = typed.strip()
    if not typed:
        return ""
    try:
        parts = urlsplit(typed if "://" in typed else f"https://{typed}")
        host = (parts.hostname or "").encode("idna").decode("ascii").lower()
        port = f":{parts.port}" if parts.port else ""
    except (ValueError, UnicodeError):
        raise WrongAddress(f"“{typed[:80]}” is not the address of a page.") from None
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    address = urlunsplit((parts.scheme.lower(), f"{host}{port}", path, "", ""))
    _refuse_unless_usable(typed, address, has_more=bool(parts.query or parts.fragment or parts.username))
    return address


def _refuse_unless_usable(typed: str, address: str, *, has_more: bool) -> None:
    parts = urlsplit(address)
    try:
        place = own_place(address, cookie_seconds=1)
    except BadAddress:
        raise WrongAddress(f"“{typed[:80]}” is not the address of a page.") from None
    is_readable = address.isascii() and address.isprintable() and not set(address) & set(' "<>;,*\\^`{|}')
    # A browser resolves dots before it asks, so a page there would never be asked for.
    has_dots = any(unquote(step) in {".", ".."} for step in place.base.split("/"))
    if has_more or has_dots or "%" in parts.netloc or not is_readable or "//" in place.base or not parts.hostname:
        raise WrongAddress("Give the host and, if you like, a path: https://shop.example/offer/ and nothing after it.")
    if not is_plain(parts.hostname):
        raise WrongAddress(f"“{parts.hostname}” {NOT_PLAIN}")
    if _is_our_own(parts.hostname, parts.port or WEB_PORTS[parts.scheme]):
        raise WrongAddress("That is Greenhouse’s own host. Give a host of yours, or leave this empty.")
    if unquote(place.base).startswith(RESERVED):
        raise WrongAddress(f"Paths that start with {'/'.join(place.base.split('/')[:2])}/ are Greenhouse’s own.")


def _is_our_own(host: str, port: int) -> bool:
    """Tell whether console and API answer there: a page would take their place, and might run scripts beside them."""
    known = [urlsplit(url) for url in (settings.PUBLIC_URL, settings.PAGES_URL) if url]
    hosts = [*(url.hostname or "" for url in known), *(name for name in settings.ALLOWED_HOSTS if name != "*")]
    if not validate_host(host.rstrip("."), hosts):
        return False
    # A Host header leaves usual ports out, and cookies know no ports at all: the whole name is ours, whatever the port.
    # But on loopback, where a proxy that is tried out has no name of its own, only the ports we listen on are.
    ports = {settings.ENVIRONMENT.port, *WEB_PORTS.values(), *(url.port for url in known)}
    return port in ports or host not in LOOPBACK


def give(experiment: Experiment, address: str, *, by: User | None = None) -> None:
    """Keep an address that `normal` returned, and show the page there. Raise WrongAddress if it is not free.

    What stood under four eyes is not given to another brand, but by an administrator: a single person could else take
    the address of a page that two agreed to, and put another page there.
    """
    with transaction.atomic():
        # Race: two who give one at once take turns, since each locks those that have one; the same is unique anyway.
        others = Experiment.objects.select_for_update().exclude(pk=experiment.pk)
        if address:
            _refuse_what_is_taken(address, others.exclude(address=""))
            if not (by and by.is_superuser):
                _refuse_what_is_kept(experiment, address, others.exclude(earlier_addresses=[]))
        changes: dict[str, Any] = {"address": address, "address_check": None}
        if experiment.address and experiment.nursery.brief.brand.asks_four_eyes:
            changes["earlier_addresses"] = sorted({*experiment.earlier_addresses, experiment.address})
        Experiment.objects.filter(pk=experiment.pk).update(**changes)
    experiment.refresh_from_db()
    if experiment.deployment is None:
        return
    # An imported page names its own address here and there, so its bytes change with it.
    deployment.request(experiment, reason=f"address {address or 'of Greenhouse'}")
    lifecycle.publish_or_leave_to_timetable(experiment)


def _refuse_what_is_taken(address: str, others: Iterable[Experiment]) -> None:
    wanted = _place(address)
    for other in others:
        theirs = _place(other.address)
        if wanted == theirs:
            raise WrongAddress(f"“{other.name}” has that address already.")
        if _is_inside(wanted, theirs) or _is_inside(theirs, wanted):
            raise WrongAddress(
                f"“{other.name}” stands at {other.address}, and one of the two would take the other’s buttons or forms."
            )


def _refuse_what_is_kept(experiment: Experiment, address: str, others: Iterable[Experiment]) -> None:
    brand = experiment.nursery.brief.brand_id
    for other in others:
        if _place(address) in map(_place, other.earlier_addresses) and other.nursery.brief.brand_id != brand:
            raise WrongAddress(
                f"“{other.name}” stood there, and its brand asks for four eyes. "
                "Only an administrator gives that address to another brand."
            )


def _place(address: str) -> tuple[str, str]:
    """Return host and path as the visitor tier tells places apart: http or https, with or without the usual port."""
    place = own_place(address, cookie_seconds=1)
    return place.host.removesuffix(":80").removesuffix(":443"), place.base


def _is_inside(inner: tuple[str, str], outer: tuple[str, str]) -> bool:
    """Tell whether one page would stand where the other answers clicks, forms and pictures."""
    (host, base), (other_host, other_base) = inner, outer
    below = base.removeprefix(other_base) if base.startswith(other_base) else ""
    return host == other_host and below.partition("/")[0] in ANSWERED


def given_words(address: str) -> str:
    """Say in a history where the page stands from now on."""
    return f"The page’s address is {address}." if address else "The page has no address of its own any more."


# --- looking at it --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, in a marketer's words."""

    kind: str  # ok, warn or bad
    says: str
    mend: str = ""  # what to do about it, and for whom


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at an address found."""

    address: str
    at: str  # ISO 8601
    verdict: str  # good, warn, collapsed, broken or unreachable
    sentence: str
    findings: list[Finding] = field(default_factory=list)
    technical: list[str] = field(default_factory=list)  # for whoever runs the proxy

    def document(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of ours and its answer."""

    mark: str
    answer: Answered
    seen: Mapping[str, Any]  # what arrived at the visitor tier; empty if it did not say

    @property
    def is_own(self) -> bool:
        """Tell whether the answer was made for this visit."""
        return self.seen.get("mark") == self.mark

    @property
    def is_stored(self) -> bool:
        """Tell whether a cache says that it answered."""
        states = [*self.answer.all("X-Cache"), *self.answer.all("CF-Cache-Status"), *self.answer.all("X-Cache-Status")]
        ages = self.answer.all("Age")
        return any("hit" in state.lower() for state in states) or any(age.strip() not in {"", "0"} for age in ages)

    def cookie(self, name: str) -> str:
        """Return a cookie that was set, with its attributes."""
        return next((each for each in self.answer.all("Set-Cookie") if each.startswith(f"{name}=")), "")


def guard() -> Guard:
    """Return what a look may reach: the public internet, and our own network where an operator allows it."""
    reach = is_allowed if settings.PAGES_PRIVATE_ADDRESSES else is_public
    return Guard(may_reach=reach, seconds=SECONDS_A_VISIT, most_bytes=MOST_BYTES)


def look(experiment: Experiment, *, now: datetime, guard: Guard) -> Look:
    """Visit an experiment's public address and say what visitors would get there; keep what was found."""
    found = _Looking(experiment, guard, now).look()
    Experiment.objects.filter(pk=experiment.pk).update(address_check=found.document())
    return found


class _Looking:
    """One look at one address."""

    def __init__(self, experiment: Experiment, guard: Guard, now: datetime) -> None:
        self.address = deployment.page_address(experiment)
        self.picture = flags.picture_of(experiment)
        self.cookie = cookie_name(experiment.pk)
        self._experiment = experiment
        self._guard = guard
        self._now = now
        self._until = time.monotonic() + SECONDS
        self._marks = Signer(settings.SECRET_KEY, purpose=MARK_PURPOSE)

    def look(self) -> Look:
        planned = self._planned()
        try:
            fresh = [self._visit(mark) for mark in planned]
            if not all(visit.seen for visit in fresh):
                return self._without_us(fresh)
            if any(not visit.is_own or visit.is_stored for visit in fresh):
                # What else may be wrong shows once pages are their visitors' own again.
                return self._result("collapsed", COLLAPSED, [self._cached(fresh)], _technical(fresh))
            findings = [self._split_finding(planned, fresh), *self._page_findings(fresh), *self._below_findings()]
        except PageNotFetched as error:
            sentence = f"The page could not be reached: {error.reason}"
            mend = "Check that the name is set up (DNS), that its server is on, and that it may be seen from outside."
            return self._result("unreachable", sentence, [Finding(kind="bad", says=sentence, mend=mend)], [])
        return self._judged(findings, fresh)

    # --- asking ---

    def _planned(self) -> dict[str, str]:
        """Return marks of new visitors and the arms they should get: as many arms as there may be, then by share."""
        split = self.picture.split
        found: dict[str, str] = {}
        met: set[str] = set()
        wanted = min(MOST_ARMS, len(split.arms)) if split else 0
        for _ in range(DRAWS):
            if len(found) == VISITS:
                break
            mark = secrets.token_hex(VISITOR_BYTES)
            arm = split.arm_at(numbers_of(mark, self.picture.salt)[1]) if split else ""
            if arm not in met or len(found) - len(met) < VISITS - wanted:
                met.add(arm)
                found[mark] = arm
        return found

    def _visit(
        self, mark: str, below: str = "", *, method: str = "GET", headers: Iterable[tuple[str, str]] = ()
    ) -> Visit:
        """Send one request that bears a mark. Raise PageNotFetched."""
        if time.monotonic() > self._until:
            raise PageNotFetched("it answers too slowly.")
        at_ms = flags.milliseconds(self._now)
        signed = self._marks.sign(Assignment(mark, self._experiment.pk, NOBODY, 0, at_ms))
        own = [(HEADER, signed), ("User-Agent", AGENT), ("X-Forwarded-For", INVENTED)]
        length = [("Content-Length", "0")] if method == "POST" else []
        answer = ask(self.address + below, self._guard, method=method, headers=[*own, *length, *headers])
        return Visit(mark=mark, answer=answer, seen=_seen(answer))

    def _again(self, below: str, **how: Any) -> Visit:
        return self._visit(secrets.token_hex(VISITOR_BYTES), below, **how)

    # --- judging ---

    def _without_us(self, fresh: list[Visit]) -> Look:
        """Tell why answers came that the visitor tier did not make for a test visit."""
        unseen = next(visit for visit in fresh if not visit.seen)
        around = self._again(f"?gh={secrets.token_hex(4)}")  # no cache has seen this address
        if around.is_own or any(visit.seen for visit in fresh):
            return self._result("collapsed", COLLAPSED, [self._cached(fresh)], _technical(fresh))
        status = unseen.answer.status
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            says = "The server at this address answers with an error."
        elif status in {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT}:
            says = "This address sends visitors on to another one."
        elif status != HTTPStatus.OK:
            says = "At this address there is no such page."
        else:
            says = "Something else than Greenhouse answers at this address, or it is changed on the way."
        mend = (
            "Ask whoever runs the site to send this address on to Greenhouse, with the host name that visitors asked "
            "for and all headers kept. docs/operations.md has ready-made settings."
        )
        return self._result("broken", says, [Finding(kind="bad", says=says, mend=mend)], _technical(fresh))

    def _cached(self, fresh: list[Visit]) -> Finding:
        copies = sum(not visit.is_own or visit.is_stored for visit in fresh)
        return Finding(
            kind="bad",
            says=f"A cache handed {copies} of {len(fresh)} test visitors a page that was made for somebody else.",
            mend=(
                "Switch caching off for this address, for pages and for cookies, and have the cache emptied. "
                "Greenhouse forbids caching in every answer, so somewhere that is being overruled."
            ),
        )

    @staticmethod
    def _split_finding(planned: Mapping[str, str], fresh: list[Visit]) -> Finding:
        """Tell whether visitors who should see different pages do."""
        got = {str(visit.seen["arm"]) for visit in fresh}
        wanted = {arm for arm in planned.values() if arm}
        if not wanted:
            return Finding(kind="ok", says="Everyone gets the same page here, as planned: no new visitors take part.")
        if len(wanted) > 1 and len(got) == 1:
            return Finding(kind="warn", says="All test visitors saw the same page. Look again in a minute.")
        pages = "one page" if len(got) == 1 else f"{len(got)} different pages"
        return Finding(kind="ok", says=f"{len(fresh)} new visitors saw {pages}, each the one meant for them.")

    def _page_findings(self, fresh: list[Visit]) -> list[Finding]:
        first = fresh[0]
        cookies = [visit.cookie(self.cookie) for visit in fresh]
        found = [self._cookie_finding(cookies)]
        if not any("no-store" in value for value in first.answer.all("Cache-Control")):
            found.append(
                Finding(
                    kind="warn",
                    says="What Greenhouse says about caching does not reach the browser.",
                    mend="Have the header Cache-Control passed on as it is, or visitors may keep an old page.",
                )
            )
        if cookies[0]:
            found.append(self._return_finding(first, cookies[0].partition(";")[0]))
        return [*found, *self._way_findings(first.seen)]

    def _cookie_finding(self, cookies: list[str]) -> Finding:
        if not all(cookies) or len(set(cookies)) < len(cookies):
            return Finding(
                kind="bad",
                says="Visitors do not get the cookie by which they keep their page.",
                mend="Have the header Set-Cookie passed on, unchanged and to that visitor alone.",
            )
        base = urlsplit(self.address).path
        path = next((part.strip()[5:] for part in cookies[0].split(";") if part.strip().startswith("Path=")), "/")
        if not base.startswith(path):
            return Finding(
                kind="bad",
                says="Visitors get a cookie for another address, which their browsers will not send back here.",
                mend="Have requests passed on with the host name that visitors asked for (the header Host).",
            )
        return Finding(kind="ok", says="Every visitor gets a cookie of their own.")

    def _return_finding(self, first: Visit, cookie: str) -> Finding:
        again = self._again("", headers=[("Cookie", cookie)])
        if again.is_own and again.seen.get("arm") == first.seen["arm"] and not again.cookie(self.cookie):
            return Finding(kind="ok", says="A visitor who comes back sees the same page again.")
        return Finding(
            kind="bad",
            says="A visitor who comes back is taken for a new one, and may see another page.",
            mend="Have the header Cookie passed on to Greenhouse.",
        )

    def _way_findings(self, seen: Mapping[str, Any]) -> list[Finding]:
        """Judge what Greenhouse learns of a visitor: the address and the encryption of their connection."""
        found = []
        trusted, hops = int(seen["trusted"]), _hops(str(seen["forwarded"]))
        if seen["address"] == INVENTED:
            mend = f"Set TRUSTED_PROXY_COUNT to the number of proxies in front of Greenhouse, less than {trusted}."
            says = "Visitors can pretend to come from any address, and so get around limits."
            found.append(Finding(kind="warn", says=says, mend=mend))
        elif trusted < hops or _is_ours(str(seen["address"]), trusted, hops):
            mend = f"Set TRUSTED_PROXY_COUNT to {hops}." if hops else "Have X-Forwarded-For sent along."
            says = "To Greenhouse all visitors seem to come from one address: limits would hit everyone together."
            found.append(Finding(kind="warn", says=says, mend=mend))
        if self.address.startswith("https:") and not seen["https"]:
            says = "Greenhouse does not know that visitors’ connections are encrypted, so cookies are less protected."
            mend = "Have the header X-Forwarded-Proto sent along, and set TRUSTED_PROXY_COUNT."
            found.append(Finding(kind="warn", says=says, mend=mend))
        return found or [Finding(kind="ok", says="Greenhouse sees where visitors come from, as far as it should.")]

    def _below_findings(self) -> list[Finding]:
        asked = self._again(f"?{QUERY}")
        is_kept = asked.is_own and asked.seen.get("query") == QUERY
        found = [
            Finding(kind="ok", says="What campaigns add to the address arrives.")
            if is_kept
            else Finding(
                kind="bad",
                says="What campaigns add to the address (utm_source, gclid) is lost on the way.",
                mend="Have the query string passed on as it is.",
            )
        ]
        below = [("go/cta", "GET", "links"), ("form", "POST", "forms"), ("greenhouse.js", "GET", "the page’s script")]
        broken = [name for path, method, name in below if not self._arrives(path, method)]
        if broken:
            says = f"Not everything below the page’s address arrives: {', '.join(broken)}."
            mend = "Have everything below this address sent on to Greenhouse, whatever the method (GET and POST)."
            return [*found, Finding(kind="bad", says=says, mend=mend)]
        return [*found, Finding(kind="ok", says="The page’s links, forms and script answer under this address.")]

    def _arrives(self, below: str, method: str) -> bool:
        visit = self._again(below, method=method)
        return visit.is_own and visit.seen.get("method") == method

    def _judged(self, findings: list[Finding], fresh: list[Visit]) -> Look:
        has = {finding.kind for finding in findings}
        if "bad" in has:
            return self._result("broken", BROKEN, findings, _technical(fresh))
        if "warn" in has:
            return self._result("warn", "Visitors get their pages, but something should be put right.", findings, [])
        return self._result("good", "All is well: new visitors get different pages and keep them.", findings, [])

    def _result(self, verdict: str, sentence: str, findings: list[Finding], technical: list[str]) -> Look:
        return Look(
            address=self.address,
            at=self._now.isoformat(),
            verdict=verdict,
            sentence=sentence,
            findings=findings,
            technical=technical,
        )


COLLAPSED: Final = (
    "A cache stands in front of your page and gives one visitor’s page to the others. The test collapses: everyone "
    "sees the same page, and nothing can be learned."
)
BROKEN: Final = "Visitors do not get all of your page at this address."


def _seen(answer: Answered) -> Mapping[str, Any]:
    for value in answer.all(HEADER):
        try:
            parsed = json.loads(value)
        except ValueError:
            continue
        if isinstance(parsed, dict) and {"mark", "arm", "forwarded", "address", "trusted", "https"} <= parsed.keys():
            return parsed
    return {}


def _hops(forwarded: str) -> int:
    """Return how many proxies added the address they were called from."""
    named = [part.strip() for part in forwarded.split(",") if part.strip()]
    return len(named[1:] if named[:1] == [INVENTED] else named)


def _is_ours(address: str, trusted: int, hops: int) -> bool:
    """Tell whether what passes for a visitor's address is a proxy's, although none says so."""
    try:
        is_inside = not is_public(ip_address(address))
    except ValueError:
        return True
    return is_inside and trusted == hops == 0 and not settings.PAGES_PRIVATE_ADDRESSES


def _technical(fresh: list[Visit]) -> list[str]:
    """Return the headers by which caches and proxies give themselves away, for whoever runs them."""
    telling = ("Age", "X-Cache", "CF-Cache-Status", "X-Cache-Status", "Via", "Server", "Cache-Control", "Location")
    last = fresh[-1].answer
    return [f"Status: {last.status}", *(f"{name}: {value[:120]}" for name in telling for value in last.all(name))]
