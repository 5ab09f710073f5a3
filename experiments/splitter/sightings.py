"""Turn signs that a page was seen into exposures, and a withdrawn consent into a request to forget.

A page that was fetched ahead, or whose experiment asks for a confirmation, comes with a pending cookie. greenhouse.js
posts to /seen once the page is shown; so does, in effect, whoever clicks, sends or reports something on it, unless a
confirmation is asked for: programs click, too.

The exposure is dated by the pending cookie and not by the confirmation: however often a page confirms itself, from two
tabs at once or by a request that was recorded, it is the same exposure.
"""

from dataclasses import dataclass

from experiments.splitter import tallies as kinds
from experiments.splitter.clock import Milliseconds
from experiments.splitter.cookies import Assignment, cookie_values
from experiments.splitter.journal import Journal, JournalUnavailable
from experiments.splitter.links import page_query
from experiments.splitter.records import Forget
from experiments.splitter.requests import Environ, is_cross_site, text
from experiments.splitter.responses import FORBIDDEN, NO_CONTENT, UNAVAILABLE, Reply, empty, plain
from experiments.splitter.snapshot import Experiment
from experiments.splitter.tallies import Tallies
from experiments.splitter.visits import PENDING, Visits, expired

RETRY_SECONDS = "5"
REFERRER = "referrer="  # the parameter by which greenhouse.js says which site led to the page
MAX_HOST = 253  # characters of a host's name
# Its answer would take cookies away, although the browser did not send them along.
NOT_OURS = plain(FORBIDDEN, "Only the page itself may say that.\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who does something on a page, and what has to be written down before what they do."""

    assignment: Assignment | None = None
    exposure: bytes = b""  # the journal line of a sighting that this is the first sign of
    uncounted_because: str = ""  # without an assignment: the tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Knows who has seen a page."""

    visits: Visits
    journal: Journal
    tallies: Tallies
    now_ms: Milliseconds

    def visitor(self, experiment: Experiment, environ: Environ) -> Visitor:
        """Give the counted visitor who does something, or why it cannot be credited to anybody."""
        known = self.visits.assignment(experiment, environ)
        if known is not None:
            return Visitor(assignment=known) if known.is_counted else Visitor(uncounted_because=kinds.UNATTRIBUTED)
        pending = self.visits.pending(experiment, environ)
        if pending is None:
            return Visitor(uncounted_because=self._why_unknown(experiment, environ))
        if experiment.confirm_exposures:
            return Visitor(uncounted_because=kinds.TOO_SOON)
        return Visitor(
            assignment=pending, exposure=self.visits.exposure(pending, self._page_request(experiment, environ))
        )

    def seen(self, experiment: Experiment, environ: Environ) -> Reply:
        """Count the exposure of a page that was shown. Whoever has nothing pending is told nothing about it."""
        if is_cross_site(environ):
            return NOT_OURS
        pending = self.visits.pending(experiment, environ)
        if pending is None:
            return empty(NO_CONTENT, ("Set-Cookie", expired(PENDING, experiment, environ)))
        try:
            self.journal.append(self.visits.exposure(pending, self._page_request(experiment, environ)))
        except JournalUnavailable:
            self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
            return empty(UNAVAILABLE, ("Retry-After", RETRY_SECONDS))
        self.tallies.count("exposures")
        self.tallies.add(experiment.number, kinds.CONFIRMED if experiment.confirm_exposures else kinds.SHOWN)
        confirmed = self.visits.cookie(experiment, pending, environ)
        return empty(NO_CONTENT, ("Set-Cookie", confirmed), ("Set-Cookie", expired(PENDING, experiment, environ)))

    def forget(self, experiment: Experiment, environ: Environ) -> Reply:
        """Have all that is kept of a visitor deleted, and take their cookies away."""
        if is_cross_site(environ):
            return NOT_OURS
        for assignment in self._assignments(experiment, environ):
            if not assignment.is_counted or assignment.experiment != experiment.number:
                continue
            forget = Forget(
                experiment=assignment.experiment,
                visitor=assignment.visitor,
                exposed_ms=assignment.exposed_ms,
                at_ms=self.now_ms(),
            )
            try:
                self.journal.append(forget.encode())
            except JournalUnavailable:
                self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
                return empty(UNAVAILABLE, ("Retry-After", RETRY_SECONDS))
        names = (experiment.cookie, PENDING)
        return empty(NO_CONTENT, *(("Set-Cookie", expired(name, experiment, environ)) for name in names))

    def _page_request(self, experiment: Experiment, environ: Environ) -> Environ:
        """Give the request by which the page itself was asked for, as far as a request from the page tells."""
        referrer = text(environ, "QUERY_STRING").removeprefix(REFERRER)[:MAX_HOST]
        return {
            "QUERY_STRING": query_of_page(experiment, environ),
            "HTTP_REFERER": f"https://{referrer}/" if referrer else "",
            "HTTP_USER_AGENT": text(environ, "HTTP_USER_AGENT"),
            "HTTP_ACCEPT_LANGUAGE": text(environ, "HTTP_ACCEPT_LANGUAGE"),
            self.visits.country_header: text(environ, self.visits.country_header),
        }

    def _why_unknown(self, experiment: Experiment, environ: Environ) -> str:
        values = cookie_values(text(environ, "HTTP_COOKIE"), experiment.cookie)
        signed = self._assignments(experiment, environ)
        if len(signed) < len(values):
            return kinds.FORGED
        is_foreign = any(assignment.experiment != experiment.number for assignment in signed)
        return kinds.FOREIGN if is_foreign else kinds.UNATTRIBUTED

    def _assignments(self, experiment: Experiment, environ: Environ) -> list[Assignment]:
        """Give what the cookies of this experiment's name say that we signed, whatever the visitor consents to now."""
        values = cookie_values(text(environ, "HTTP_COOKIE"), experiment.cookie)
        read = (self.visits.cookies.read(value) or self.visits.pending_cookies.read(value) for value in values)
        return [assignment for assignment in read if assignment]


def query_of_page(experiment: Experiment, environ: Environ) -> str:
    """Give the query string of the page that a request came from."""
    base = experiment.place_asked(environ).base
    return page_query(text(environ, "HTTP_REFERER"), host=text(environ, "HTTP_HOST"), path=base)
