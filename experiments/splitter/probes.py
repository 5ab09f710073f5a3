"""Answer the console's own test visits: as a fresh visitor would be answered, but counted nowhere.

The console looks at a page's public address the way visitors do, through whatever proxies and caches stand in front of
us. Its requests bear a mark that we signed; with it comes back, in a header, what arrived here. An answer that brings
back another visit's mark was not made for this one: a cache handed it out. Cookies of test visits are signed for that
alone, so nothing that is done with one can ever count.
"""

import json
from dataclasses import dataclass

from experiments.splitter.assignment import numbers_of
from experiments.splitter.clock import Milliseconds
from experiments.splitter.cookies import Assignment, Signer, cookie_values
from experiments.splitter.requests import Environ, address, is_https, text
from experiments.splitter.responses import FOUND, NO_CONTENT, Reply, empty
from experiments.splitter.snapshot import Arm, Experiment
from experiments.splitter.visits import Visits

HEADER = "X-Greenhouse-Test"
MARK = "HTTP_X_GREENHOUSE_TEST"
MARK_PURPOSE = b"gh-probe"
COOKIE_PURPOSE = b"gh-probe-cookie"
NOBODY = "-"  # in place of an arm in a mark
VALID_MS = 10 * 60 * 1000
MOST_ECHOED = 500  # characters of what arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Knows test visits and answers them."""

    marks: Signer
    cookies: Signer
    visits: Visits
    now_ms: Milliseconds
    trusted_proxies: int

    def mark(self, experiment: Experiment, environ: Environ) -> Assignment | None:
        """Give the mark of a test visit to this experiment; None for everybody else."""
        found = self.marks.read(text(environ, MARK))
        if found is None or found.experiment != experiment.number:
            return None
        return found if abs(self.now_ms() - found.exposed_ms) <= VALID_MS else None

    def answer(self, experiment: Experiment, mark: Assignment, below: str, environ: Environ) -> Reply:
        """Answer a test visit to the page, or say that one to an address below it has arrived."""
        if below == "/" and environ["REQUEST_METHOD"] == "GET":
            return self._page(experiment, mark, environ)
        seen = self._seen(experiment, mark, environ)
        name, _, key = below.removeprefix("/").partition("/")
        link = experiment.links.get(key) if name == "go" else None
        if link is None:
            return empty(NO_CONTENT, seen)
        base = experiment.place_asked(environ).base
        return empty(FOUND, ("Location", base if link.is_form else link.destination("", "")), seen)

    def _page(self, experiment: Experiment, mark: Assignment, environ: Environ) -> Reply:
        known = self._known(experiment, environ)
        arm = experiment.arms.get(known.arm, experiment.control) if known else self._new_arm(experiment, mark)
        status, headers, body = arm.page.accepted_by(text(environ, "HTTP_ACCEPT_ENCODING"))
        headers = [*headers, self._seen(experiment, mark, environ, arm=arm.key)]
        if known is None:
            own = Assignment(mark.visitor, experiment.number, arm.key, experiment.epoch, mark.exposed_ms)
            signed = self.cookies.sign(own)
            headers.append(("Set-Cookie", self.visits.cookie_of(experiment, signed, environ)))
        return Reply(status, headers, body)

    def _known(self, experiment: Experiment, environ: Environ) -> Assignment | None:
        values = cookie_values(text(environ, "HTTP_COOKIE"), experiment.cookie)
        return next((found for value in values if (found := self.cookies.read(value))), None)

    @staticmethod
    def _new_arm(experiment: Experiment, mark: Assignment) -> Arm:
        """Give the arm that such a visitor would get inside the traffic share."""
        if experiment.everyone_gets is not None or experiment.split is None:
            return experiment.everyone_gets or experiment.control
        _, for_arm = numbers_of(mark.visitor, experiment.salt)
        return experiment.arms[experiment.split.arm_at(for_arm)]

    def _seen(self, experiment: Experiment, mark: Assignment, environ: Environ, *, arm: str = "") -> tuple[str, str]:
        """Give the header that says what of a request arrived here."""
        document = {
            "mark": mark.visitor,
            "arm": arm,
            "base": experiment.place_asked(environ).base,
            "method": environ["REQUEST_METHOD"],
            "query": text(environ, "QUERY_STRING")[:MOST_ECHOED],
            "host": text(environ, "HTTP_HOST")[:MOST_ECHOED],
            "https": is_https(environ, self.trusted_proxies),
            "address": address(environ, self.trusted_proxies),
            "forwarded": text(environ, "HTTP_X_FORWARDED_FOR")[:MOST_ECHOED],
            "trusted": self.trusted_proxies,
        }
        return HEADER, json.dumps(document)
