"""Turn a request for a page into an arm: who gets what, and what is written down before they get it.

opted out, bot             control, uncounted
valid cookie               its arm, uncounted: the exposure was counted when the cookie was made
HEAD                       control, uncounted: nobody looks at it
no cookie                  inside the traffic share: a new arm, journalled first, then answered
                           outside: control, and a cookie that keeps them outside
  fetched ahead            a new arm and a pending cookie; journalled once it is shown
  confirmation asked for   the same; journalled once the page has run in a browser
pending cookie             its arm; journalled now unless this, too, is fetched ahead or lacks a confirmation
finished, promoted         everyone the control, everyone the winner

A pending cookie differs from the others in what it is signed for. Beside it stands one that scripts may read and that
says nothing but that greenhouse.js should tell us when the page is shown (sightings.py).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from experiments.splitter import tallies as kinds
from experiments.splitter.assignment import Split, numbers_of
from experiments.splitter.attributes import attributes_of
from experiments.splitter.bots import is_bot
from experiments.splitter.clock import Milliseconds
from experiments.splitter.cookies import OUTSIDE, Assignment, Signer, cookie_values
from experiments.splitter.journal import Journal, JournalUnavailable
from experiments.splitter.records import exposure_line
from experiments.splitter.requests import (
    Environ,
    has_consented,
    has_opted_out,
    has_refused,
    is_https,
    is_prefetch,
    text,
)
from experiments.splitter.responses import Reply
from experiments.splitter.snapshot import Arm, Experiment
from experiments.splitter.tallies import Tallies

VISITOR_BYTES = 16
PENDING = "gh_pending"  # the cookie that greenhouse.js looks for
# Long enough for a page that was fetched ahead and for a browser whose scripts came late. Somebody who comes back after
# it is a new visitor: nothing of the old one was counted.
PENDING_SECONDS = 24 * 3600
# Hosts' clocks differ and are set back; a cookie from further in the future than this was not made by a sane clock.
MAX_AHEAD_MS = 24 * 3600 * 1000


def new_visitor() -> str:
    """Give an id that nobody can guess."""
    return os.urandom(VISITOR_BYTES).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """Decides what a visitor sees."""

    cookies: Signer
    pending_cookies: Signer
    journal: Journal
    tallies: Tallies
    now_ms: Milliseconds
    trusted_proxies: int = 0
    country_header: str = ""  # key of the environ in which a proxy names the visitor's country
    new_visitor: Callable[[], str] = new_visitor

    def page(self, experiment: Experiment, environ: Environ) -> Reply:
        """Answer a request for the page."""
        arm = experiment.everyone_gets or self._known(experiment, environ)
        if arm is not None:
            return _page_of(arm, environ)
        reason = _reason_not_to_count(environ)
        if reason:
            self.tallies.add(experiment.number, reason)
            return _page_of(experiment.control, environ)
        if experiment.consent_required and not has_consented(environ):
            return self._without_consent(experiment, environ)
        pending = self.pending(experiment, environ)
        if pending:
            return self._looked_again(experiment, pending, environ)
        if experiment.split is None:
            self.tallies.add(experiment.number, kinds.PAUSED)
            return _page_of(experiment.control, environ)
        return self._first_visit(experiment, experiment.split, environ)

    def arm_shown(self, experiment: Experiment, environ: Environ) -> Arm:
        """Give the arm that the page would show to whoever is known by a cookie, and the control to others."""
        known = experiment.everyone_gets or self._known(experiment, environ)
        if known is None and (pending := self.pending(experiment, environ)):
            return experiment.arms.get(pending.arm, experiment.control)
        return known or experiment.control

    def assignment(self, experiment: Experiment, environ: Environ) -> Assignment | None:
        """Give the assignment that the visitor's cookie proves, or None for those who have or want none."""
        return self._proven_by(self.cookies, experiment, environ)

    def pending(self, experiment: Experiment, environ: Environ) -> Assignment | None:
        """Give the assignment of a visitor who was given an arm but may not have seen it yet.

        Nobody sees it any more once everyone gets the same page; and what a browser should have dropped by now, and
        what a program keeps, counts no more either.
        """
        # Optimization: without its companion there is no pending cookie; a forged one is not checked a second time.
        if PENDING not in text(environ, "HTTP_COOKIE") or experiment.everyone_gets is not None:
            return None
        found = self._proven_by(self.pending_cookies, experiment, environ)
        if found is None or found.arm not in experiment.arms or is_bot(text(environ, "HTTP_USER_AGENT")):
            return None
        return found if self.now_ms() - found.exposed_ms <= PENDING_SECONDS * 1000 else None

    def _proven_by(self, signer: Signer, experiment: Experiment, environ: Environ) -> Assignment | None:
        cookies = text(environ, "HTTP_COOKIE")
        if experiment.cookie not in cookies or has_opted_out(environ) or has_refused(environ):
            return None
        if experiment.consent_required and not has_consented(environ):
            return None
        for value in cookie_values(cookies, experiment.cookie):
            found = signer.read(value)
            if found and found.experiment == experiment.number and found.exposed_ms <= self.now_ms() + MAX_AHEAD_MS:
                return found
        return None

    def _known(self, experiment: Experiment, environ: Environ) -> Arm | None:
        """Give the arm a valid cookie stands for; the control if that arm is outside or no longer there."""
        assignment = self.assignment(experiment, environ)
        if assignment is None or is_bot(text(environ, "HTTP_USER_AGENT")):
            return None
        return experiment.arms.get(assignment.arm, experiment.control)

    def _first_visit(self, experiment: Experiment, split: Split, environ: Environ) -> Reply:
        visitor = self.new_visitor()
        for_traffic, for_arm = numbers_of(visitor, experiment.salt)
        is_outside = for_traffic >= experiment.traffic_share
        arm = OUTSIDE if is_outside else split.arm_at(for_arm)
        assignment = Assignment(visitor, experiment.number, arm, experiment.epoch, self.now_ms())
        if is_outside:
            self.tallies.add(experiment.number, kinds.OUTSIDE)
            return self._with_cookie(experiment, experiment.control, assignment, environ)
        if experiment.confirm_exposures or is_prefetch(environ):
            return self._with_pending_cookie(experiment, assignment, environ)
        try:
            self.journal.append(self.exposure(assignment, environ))
        except JournalUnavailable:
            self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
            return _page_of(experiment.control, environ)
        self.tallies.count("exposures")
        return self._with_cookie(experiment, experiment.arms[assignment.arm], assignment, environ)

    def _looked_again(self, experiment: Experiment, pending: Assignment, environ: Environ) -> Reply:
        """Answer somebody whose cookie is pending with their arm; an ordinary visit shows it to them."""
        arm = experiment.arms.get(pending.arm, experiment.control)
        if experiment.confirm_exposures or is_prefetch(environ):
            return _page_of(arm, environ)
        try:
            self.journal.append(self.exposure(pending, environ))
        except JournalUnavailable:
            self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
            return _page_of(arm, environ)
        self.tallies.count("exposures")
        self.tallies.add(experiment.number, kinds.SHOWN)
        return self._with_cookie(experiment, arm, pending, environ)

    def _with_cookie(self, experiment: Experiment, arm: Arm, assignment: Assignment, environ: Environ) -> Reply:
        status, headers, body = _page_of(arm, environ)
        return Reply(status, [*headers, ("Set-Cookie", self.cookie(experiment, assignment, environ))], body)

    def cookie(self, experiment: Experiment, assignment: Assignment, environ: Environ) -> str:
        """Give the cookie by which a visitor is known from now on."""
        return self.cookie_of(experiment, self.cookies.sign(assignment), environ)

    def cookie_of(self, experiment: Experiment, signed: str, environ: Environ) -> str:
        """Give a signed text as the experiment's cookie at the place that was asked for."""
        secure = "; Secure" if is_https(environ, self.trusted_proxies) else ""
        return f"{experiment.cookie}={signed}{experiment.place_asked(environ).cookie_attributes}{secure}"

    def exposure(self, assignment: Assignment, environ: Environ) -> bytes:
        """Give the journal line of an exposure; where the visitor came from is taken from the request."""
        return exposure_line(
            experiment=assignment.experiment,
            visitor=assignment.visitor,
            arm=assignment.arm,
            epoch=assignment.epoch,
            exposed_ms=assignment.exposed_ms,
            attributes=attributes_of(environ, self.country_header),
        )

    def _with_pending_cookie(self, experiment: Experiment, assignment: Assignment, environ: Environ) -> Reply:
        kind = kinds.UNCONFIRMED if experiment.confirm_exposures else kinds.PREFETCH
        self.tallies.add(experiment.number, kind)
        status, headers, body = _page_of(experiment.arms[assignment.arm], environ)
        attributes = f"; Max-Age={PENDING_SECONDS}{experiment.place_asked(environ).path_attribute}; SameSite=Lax"
        if is_https(environ, self.trusted_proxies):
            attributes += "; Secure"
        cookie = f"{experiment.cookie}={self.pending_cookies.sign(assignment)}{attributes}; HttpOnly"
        return Reply(status, [*headers, ("Set-Cookie", cookie), ("Set-Cookie", f"{PENDING}=1{attributes}")], body)

    def _without_consent(self, experiment: Experiment, environ: Environ) -> Reply:
        """Answer with the control; whoever has withdrawn their consent loses the cookie."""
        self.tallies.add(experiment.number, kinds.NO_CONSENT)
        status, headers, body = _page_of(experiment.control, environ)
        if f"{experiment.cookie}=" not in text(environ, "HTTP_COOKIE"):
            return Reply(status, headers, body)
        return Reply(status, [*headers, ("Set-Cookie", expired(experiment.cookie, experiment, environ))], body)


def _reason_not_to_count(environ: Environ) -> str:
    """Tell why a visitor who is not known stays unknown, or give the empty text."""
    if is_bot(text(environ, "HTTP_USER_AGENT")):
        return kinds.BOT
    if has_opted_out(environ) or has_refused(environ):
        return kinds.OPTED_OUT
    return kinds.HEAD if environ["REQUEST_METHOD"] == "HEAD" else ""


def _page_of(arm: Arm, environ: Environ) -> Reply:
    return arm.page.accepted_by(text(environ, "HTTP_ACCEPT_ENCODING"))


def expired(name: str, experiment: Experiment, environ: Environ) -> str:
    """Give what removes a cookie."""
    return f"{name}=; Max-Age=0{experiment.place_asked(environ).path_attribute}; HttpOnly; SameSite=Lax"
