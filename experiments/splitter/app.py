"""Turn HTTP requests of visitors into answers from memory: the WSGI callable of the visitor tier.

    /p/{slug}/              the visitor's arm (visits.py)
    /p/{slug}/thanks        the arm's page after the form
    /p/{slug}/go/{link}     a click          (conversions.py, with the next two)
    /p/{slug}/form          the page's form
    /p/{slug}/event         a goal the page reports
    /p/{slug}/token         the conversion token
    /p/{slug}/seen          a page that was shown        (sightings.py, with the next)
    /p/{slug}/forget        a visitor who takes their consent back
    /p/{slug}/i/{file}      an image
    /p/{slug}/greenhouse.js the script that reports events
    /p/{slug}/robots.txt    for a page that is the root of a host
    /healthz /readyz /metrics

All of it stands below the experiment's own address as well, where it has one (places.py).

Answering touches memory and one append to the journal. What it needs of Redis is fetched by background threads, which
`start` starts and `close` stops.
"""

import gzip
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from experiments.splitter import tallies as kinds
from experiments.splitter.archive import Archive
from experiments.splitter.background import Repeater
from experiments.splitter.clock import Milliseconds, monotonic_ms, wall_ms
from experiments.splitter.config import Config
from experiments.splitter.conversions import Conversions
from experiments.splitter.cookies import COOKIE_PURPOSE, PENDING_PURPOSE, TOKEN_PURPOSE, Signer
from experiments.splitter.health import Health
from experiments.splitter.journal import Journal, JournalUnavailable
from experiments.splitter.links import with_query, wsgi_safe
from experiments.splitter.places import PREFIX, host_asked
from experiments.splitter.probes import COOKIE_PURPOSE as TEST_COOKIE_PURPOSE
from experiments.splitter.probes import MARK, MARK_PURPOSE, Probes
from experiments.splitter.rates import RateLimit
from experiments.splitter.refresher import Refresher
from experiments.splitter.requests import Environ, address, host_name, is_preview, text
from experiments.splitter.responses import (
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OK,
    PERMANENT,
    SERVER_ERROR,
    TOO_MANY,
    UNAVAILABLE,
    Answer,
    Headers,
    Reply,
    answer_of,
    empty,
    plain,
)
from experiments.splitter.shipper import Shipper
from experiments.splitter.sightings import Sightings
from experiments.splitter.snapshot import Experiment
from experiments.splitter.stores import Blob, Store
from experiments.splitter.tallies import Tallies
from experiments.splitter.visits import Visits

logger = logging.getLogger(__name__)

StartResponse = Callable[[str, Headers], object]

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
READING = ("GET", "HEAD")
SENDING = ("POST",)
SENT_TO = frozenset({"form", "event", "seen", "forget"})

REFRESH_SECONDS = 1.0
SHIP_SECONDS = 0.2
TEND_SECONDS = 1.0
SCRIPT_CACHE = "public, max-age=300"  # a new version reaches everyone within five minutes

NOWHERE = plain(NOT_FOUND, "There is no such page.\n")
ALIVE = plain(OK, "ok")
BROKEN = plain(SERVER_ERROR, "Something went wrong on our side.\n")
FORM_PART = 0.125  # of an address's requests: not even an office of three hundred sends fifty forms a second
BODY_PART = 4  # one thread in so many may wait for a body
BUSY = plain(UNAVAILABLE, "Too much is being sent at the moment; try again.\n", ("Retry-After", "2"))
SLOW_DOWN = plain(TOO_MANY, "Too many requests.\n", ("Retry-After", "1"))


class Splitter:
    """The visitor tier. Composed in front of another WSGI application by asking `owns`, or served alone."""

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        now_ms: Milliseconds = wall_ms,
        monotonic_ms: Milliseconds = monotonic_ms,
    ) -> None:
        self._pages_host = config.pages_host
        self._trusted_proxies = config.trusted_proxy_count
        self._now_ms = now_ms
        self.tallies = Tallies()
        self.journal = Journal(config.journal_dir)
        archive = Archive(config.snapshot_dir)
        self.refresher = Refresher(store=store, archive=archive, tallies=self.tallies, monotonic_ms=monotonic_ms)
        self.shipper = Shipper(
            store=store, journal=self.journal, tallies=self.tallies, now_ms=now_ms, monotonic_ms=monotonic_ms
        )
        self._limit = RateLimit(config.rate_per_second, exempt=config.rate_exempt, monotonic_ms=monotonic_ms)
        self._form_limit = RateLimit(
            config.rate_per_second * FORM_PART, exempt=config.rate_exempt, monotonic_ms=monotonic_ms
        )
        self._visits = Visits(
            cookies=_signer(config, COOKIE_PURPOSE),
            pending_cookies=_signer(config, PENDING_PURPOSE),
            journal=self.journal,
            tallies=self.tallies,
            now_ms=now_ms,
            country_header=config.country_header,
            trusted_proxies=config.trusted_proxy_count,
        )
        self._probes = _probes(config, self._visits, now_ms)
        sightings = Sightings(visits=self._visits, journal=self.journal, tallies=self.tallies, now_ms=now_ms)
        tokens = _signer(config, TOKEN_PURPOSE)
        self._conversions = Conversions(
            sightings=sightings, tokens=tokens, journal=self.journal, tallies=self.tallies, now_ms=now_ms
        )
        self._health = Health(
            refresher=self.refresher, journal=self.journal, shipper=self.shipper, tallies=self.tallies
        )
        self.threads = config.threads
        self._body_places = threading.BoundedSemaphore(max(1, config.threads // BODY_PART))
        self._script = _script()
        self._named: dict[str, Callable[[Experiment, Environ], Reply]] = {
            "": self._visits.page,
            "thanks": self._thanks,
            "form": self._form,
            "event": self._conversions.event,
            "token": self._conversions.token,
            "seen": sightings.seen,
            "forget": sightings.forget,
            "greenhouse.js": self._greenhouse_script,
            "robots.txt": _robots,
        }
        self._keyed: dict[str, Callable[[Experiment, Environ, str], Reply]] = {
            "go": self._conversions.click,
            "i": _image,
        }
        self._threads: list[Repeater] = []

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        try:
            status, headers, body = self._reply(environ)
        except Exception:  # the last resort: a visitor gets an answer, whatever we overlooked
            logger.exception("a request could not be answered")
            status, headers, body = self._last_resort(environ)
        # The server may add to the headers it is given; ours are shared by all requests.
        start_response(status, list(headers))
        # Optimization: Granian sends a list at once, and streams every other iterable part by part.
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def owns(self, environ: Environ) -> bool:
        """Tell whether a request is the visitor tier's: neither a preview nor the console's.

        On the host of pages with scripts of their own, and on marketers' hosts, there is no console at all.
        """
        addressed = self.refresher.addressed
        if self._is_on_pages_host(environ) or (addressed and host_asked(environ) in addressed):
            return True
        path = text(environ, "PATH_INFO")
        if path.startswith(PREFIX):
            return not is_preview(environ)
        return path in HEALTH_PATHS

    def start(self) -> None:
        """Load what can be loaded, then keep it current in the background."""
        self.refresher.load_archive()
        self.refresher.refresh()
        self.tend()
        works = [
            (self.refresher.refresh, REFRESH_SECONDS, "refresher"),
            (self.shipper.run, SHIP_SECONDS, "shipper"),
            (self.tend, TEND_SECONDS, "journal"),
        ]
        self._threads = [
            Repeater(work, interval_seconds=seconds, on_failure=self._note_crash, name=f"greenhouse-{name}")
            for work, seconds, name in works
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop the background threads, and hand over what is journalled; what Redis refuses waits on disk."""
        for thread in self._threads:
            thread.stop()
        self._threads.clear()
        self.tend()
        self.shipper.run()
        self.shipper.close()
        self.journal.close()

    def tend(self) -> None:
        """Write the tallies down and look after the journal."""
        taken = self.tallies.take(self._now_ms())
        if taken:
            try:
                self.journal.append(b"".join(tally.encode() for tally in taken))
            except JournalUnavailable:
                self.tallies.give_back(taken)
        self.journal.tend()

    def _reply(self, environ: Environ) -> Reply:
        path = text(environ, "PATH_INFO")
        experiment, below = self._asked_for(path, environ)
        if (experiment is None and not path.startswith(PREFIX)) or is_preview(environ):
            return self._health_reply(path, environ)
        if not self._limit.allows(address(environ, self._trusted_proxies)):
            return self._refuse(experiment)
        if experiment is None or not self._may_show(experiment, environ):
            return NOWHERE
        if MARK in environ and (mark := self._probes.mark(experiment, environ)):
            return self._probes.answer(experiment, mark, below, environ)
        # Optimization: by far the most requests are for the page, so that is asked first.
        if below == "/" and environ["REQUEST_METHOD"] == "GET":
            return self._visits.page(experiment, environ)
        return self._other_reply(experiment, environ, below)

    def _asked_for(self, path: str, environ: Environ) -> tuple[Experiment | None, str]:
        """Give the experiment that a path belongs to, and what stands below its page: a slash for the page itself.

        On a marketer's host only what has its address there is shown, be it that the path was changed on the way.
        """
        named, below = None, ""
        if path.startswith(PREFIX):
            slug, slash, rest = path[len(PREFIX) :].partition("/")
            named, below = self.refresher.experiments.get(slug), slash + rest
        # Optimization: most installations have no addresses but their own.
        theirs = self.refresher.addressed.get(host_asked(environ)) if self.refresher.addressed else None
        if theirs is None or named in theirs:
            return named, below
        for experiment in theirs:
            base = experiment.place_asked(environ).base
            if f"{path}/".startswith(base):
                return experiment, path[len(base) - 1 :]
        return None, ""

    def _may_show(self, experiment: Experiment, environ: Environ) -> bool:
        """Tell whether a page may be shown on this host: one with scripts of its own is kept from the console's."""
        if not experiment.has_own_host or self._is_on_pages_host(environ):
            return True
        return experiment.place_asked(environ) is experiment.own_place

    def _is_on_pages_host(self, environ: Environ) -> bool:
        return bool(self._pages_host) and host_name(text(environ, "HTTP_HOST")) == self._pages_host

    def _other_reply(self, experiment: Experiment, environ: Environ, rest: str) -> Reply:
        """Answer a request below the page's address; `rest` starts with a slash unless it is empty."""
        name, slash, key = rest.removeprefix("/").partition("/")
        handler = self._named.get(name) if not slash else None
        keyed_handler = self._keyed.get(name) if slash else None
        if handler is None and keyed_handler is None:
            return NOWHERE
        refusal = _unless(environ, SENDING if name in SENT_TO else READING)
        if refusal:
            return refusal
        if not rest:
            return _with_slash(experiment, environ)
        if name in {"form", "event"} and handler:
            return self._with_body(handler, experiment, environ)
        if handler:
            return handler(experiment, environ)
        return keyed_handler(experiment, environ, key) if keyed_handler else NOWHERE

    def _with_body(
        self, handler: Callable[[Experiment, Environ], Reply], experiment: Experiment, environ: Environ
    ) -> Reply:
        """Answer a request that has a body, which its sender may take for ever to send.

        A server's thread waits for it, and WSGI knows no deadline. So only some threads may: whoever sends slowly can
        keep others from sending, but nobody from seeing a page. A proxy that buffers bodies lifts even that.
        """
        if not self._body_places.acquire(blocking=False):
            self.tallies.count("busy")
            return BUSY
        try:
            return handler(experiment, environ)
        finally:
            self._body_places.release()

    def _form(self, experiment: Experiment, environ: Environ) -> Reply:
        if not self._form_limit.allows(address(environ, self._trusted_proxies)):
            return self._refuse(experiment)
        return self._conversions.form(experiment, environ)

    def _thanks(self, experiment: Experiment, environ: Environ) -> Reply:
        return _encoded(self._visits.arm_shown(experiment, environ).thanks, environ)

    def _greenhouse_script(self, _experiment: Experiment, environ: Environ) -> Reply:
        return _encoded(self._script, environ)

    def _last_resort(self, environ: Environ) -> Reply:
        """Answer what we failed to answer: with the control where a page was asked for."""
        self.tallies.count("crashes")
        experiment, below = self._asked_for(text(environ, "PATH_INFO"), environ)
        if experiment is None or below not in {"", "/"} or not self._may_show(experiment, environ):
            return BROKEN
        return experiment.control.page.identity

    def _health_reply(self, path: str, environ: Environ) -> Reply:
        if path not in HEALTH_PATHS:
            return NOWHERE
        refusal = _unless(environ, READING)
        if refusal:
            return refusal
        if path == "/readyz":
            return self._health.ready()
        return self._health.metrics() if path == "/metrics" else ALIVE

    def _refuse(self, experiment: Experiment | None) -> Reply:
        if experiment:
            self.tallies.add(experiment.number, kinds.LIMITED)
        else:
            self.tallies.count(kinds.LIMITED)
        return SLOW_DOWN

    def _note_crash(self) -> None:
        self.tallies.count("crashes")


def _signer(config: Config, purpose: bytes) -> Signer:
    return Signer(config.secret_key, fallbacks=config.secret_key_fallbacks, purpose=purpose)


def _probes(config: Config, visits: Visits, now_ms: Milliseconds) -> Probes:
    return Probes(
        marks=_signer(config, MARK_PURPOSE),
        cookies=_signer(config, TEST_COOKIE_PURPOSE),
        visits=visits,
        now_ms=now_ms,
        trusted_proxies=config.trusted_proxy_count,
    )


def _script() -> Answer:
    source = Path(__file__).with_name("greenhouse.js").read_bytes()
    blob = Blob(identity=source, gzip=gzip.compress(source, mtime=0), content_type="text/javascript")
    return answer_of(blob, cache_control=SCRIPT_CACHE)


def _with_slash(experiment: Experiment, environ: Environ) -> Reply:
    query = wsgi_safe(text(environ, "QUERY_STRING"))
    return empty(PERMANENT, ("Location", with_query(experiment.place_asked(environ).base, query)))


def _robots(experiment: Experiment, environ: Environ) -> Reply:
    """Let search engines in where the page is a host's root, but not through its links."""
    return plain(OK, f"User-agent: *\nDisallow: {experiment.place_asked(environ).base}go/\n")


def _image(experiment: Experiment, environ: Environ, name: str) -> Reply:
    return _encoded(experiment.images.get(name), environ)


def _encoded(answer: Answer | None, environ: Environ) -> Reply:
    return answer.accepted_by(text(environ, "HTTP_ACCEPT_ENCODING")) if answer else NOWHERE


def _unless(environ: Environ, methods: tuple[str, ...]) -> Reply | None:
    """Refuse a method that the address does not take."""
    if environ["REQUEST_METHOD"] in methods:
        return None
    return plain(METHOD_NOT_ALLOWED, "This address does not take that method.\n", ("Allow", ", ".join(methods)))
