"""Turn clicks, forms and reported events into journal lines, and answer them once those are written.

Whoever converts is proven by the cookie alone, so nothing is looked up. The answer tells what was written: a click
leads on even when it could not be counted, a form or an event that could not be written says so.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from experiments.splitter import tallies as kinds
from experiments.splitter.clock import Milliseconds
from experiments.splitter.cookies import Assignment, Signer
from experiments.splitter.events import MAX_BODY_BYTES, BadEvent, event_of
from experiments.splitter.forms import Form, NotAForm, Submission, posted_fields
from experiments.splitter.journal import Journal, JournalUnavailable
from experiments.splitter.links import FORM, added_parameters, with_query
from experiments.splitter.records import Conversion, Lead
from experiments.splitter.requests import BadBody, BodyTooLarge, Environ, body, is_prefetch, text
from experiments.splitter.responses import (
    BAD_REQUEST,
    FOUND,
    NO_CONTENT,
    NOT_FOUND,
    OK,
    SEE_OTHER,
    TOO_LARGE,
    UNAVAILABLE,
    UNPROCESSABLE,
    UNSUPPORTED,
    Reply,
    empty,
    plain,
)
from experiments.splitter.sightings import Sightings, Visitor, query_of_page
from experiments.splitter.snapshot import Experiment
from experiments.splitter.tallies import Tallies

MAX_FORM_BYTES = 64 * 1024
FORM_TYPE = "application/x-www-form-urlencoded"
RETRY_SECONDS = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversions:
    """Takes what visitors do on a page."""

    sightings: Sightings
    tokens: Signer
    journal: Journal
    tallies: Tallies
    now_ms: Milliseconds

    def click(self, experiment: Experiment, environ: Environ, key: str) -> Reply:
        """Lead to a link's stored destination, and nowhere else."""
        link = experiment.links.get(key)
        if link is None:
            return plain(NOT_FOUND, "There is no such link.\n")
        visitor = self.sightings.visitor(experiment, environ)
        is_exposed = not visitor.exposure  # it was written down before the cookie was given
        if environ["REQUEST_METHOD"] == "GET" and not is_prefetch(environ):
            is_exposed |= self._count_click(experiment, visitor, link.goals)
        query = _query_of_page(experiment, environ)
        if link.is_form:
            return empty(FOUND, ("Location", with_query(experiment.place_asked(environ).base, query) + FORM))
        # A token earns a conversion at another server, which must not be one without an exposure.
        has_token = link.wants_token and is_exposed
        token = self.tokens.sign(visitor.assignment) if has_token and visitor.assignment else ""
        return empty(FOUND, ("Location", link.destination(query, token)))

    def event(self, experiment: Experiment, environ: Environ) -> Reply:
        """Take a goal that the page reports as reached."""
        try:
            event = event_of(body(environ, MAX_BODY_BYTES), experiment.goals)
        except BodyTooLarge as error:
            return _error(TOO_LARGE, str(error))
        except (BadBody, BadEvent) as error:
            return _error(BAD_REQUEST, str(error))
        visitor = self.sightings.visitor(experiment, environ)
        converted = self._converted(experiment, visitor, [event.goal.key], value=event.value, event_id=event.event_id)
        try:
            self._write(visitor, converted)
        except JournalUnavailable:
            self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
            return _error(UNAVAILABLE, "the event was not written down; send it again")
        return empty(NO_CONTENT)

    def form(self, experiment: Experiment, environ: Environ) -> Reply:
        """Take the page's own form: a lead, and the goals it reaches."""
        if experiment.form is None:
            return plain(NOT_FOUND, "This page has no form.\n")
        kind = text(environ, "CONTENT_TYPE").partition(";")[0].strip().lower()
        if kind not in {"", FORM_TYPE}:
            return plain(UNSUPPORTED, f"A form is sent as {FORM_TYPE}.\n")
        try:
            submission = experiment.form.check(posted_fields(body(environ, MAX_FORM_BYTES)))
        except BodyTooLarge as error:
            return plain(TOO_LARGE, f"The form is too long: {error}.\n")
        except (BadBody, NotAForm) as error:
            return plain(BAD_REQUEST, f"The form could not be read: {error}.\n")
        if submission.errors:
            return self._shown_again(experiment, environ, submission, UNPROCESSABLE, "invalid")
        return self._accepted(experiment, environ, experiment.form, submission)

    def token(self, experiment: Experiment, environ: Environ) -> Reply:
        """Give the token with which a server elsewhere may report this visitor's conversion later."""
        assignment = self.sightings.visits.assignment(experiment, environ)
        if assignment is None or not assignment.is_counted:
            return _error(NOT_FOUND, "no visitor of this experiment")
        document = json.dumps({"token": self.tokens.sign(assignment)})
        return plain(OK, document, ("Vary", "Cookie"), content_type="application/json")

    def _accepted(self, experiment: Experiment, environ: Environ, form: Form, submission: Submission) -> Reply:
        visitor = self.sightings.visitor(experiment, environ)
        lead = self._lead(experiment, visitor.assignment, submission)
        try:
            self._write(visitor, self._converted(experiment, visitor, form.goals), lead)
        except JournalUnavailable:
            self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
            return self._shown_again(experiment, environ, submission, UNAVAILABLE, "not_sent")
        thanks = with_query(f"{experiment.place_asked(environ).base}thanks", _query_of_page(experiment, environ))
        return empty(SEE_OTHER, ("Location", thanks))

    def _shown_again(
        self, experiment: Experiment, environ: Environ, submission: Submission, status: str, message: str
    ) -> Reply:
        """Answer with the page the visitor came from, its form filled with what they sent."""
        form_error = submission.form.messages[message]
        answer = self.sightings.visits.arm_shown(experiment, environ).form or experiment.control.form
        if answer is None:
            return plain(status, "\n".join([form_error, *submission.errors.values(), ""]))
        page = answer.page.filled(submission.places(form_error))
        headers = answer.headers(len(page))
        if status == UNAVAILABLE:
            headers = [*headers, ("Retry-After", RETRY_SECONDS)]
        return Reply(status, headers, page)

    def _count_click(self, experiment: Experiment, visitor: Visitor, goals: Iterable[str]) -> bool:
        """Write down what a click says; tell whether it could be written."""
        try:
            self._write(visitor, self._converted(experiment, visitor, goals))
        except JournalUnavailable:
            self.tallies.add(experiment.number, kinds.JOURNAL_REFUSED)
            return False
        return True

    def _converted(
        self,
        experiment: Experiment,
        visitor: Visitor,
        goals: Iterable[str],
        *,
        value: float | None = None,
        event_id: str = "",
    ) -> list[Conversion]:
        """Give the conversions this makes: none without a counted visitor or after a goal's window."""
        reached = [experiment.goals[key] for key in goals if key in experiment.goals]
        assignment = visitor.assignment
        if assignment is None:
            if reached:
                self.tallies.add(experiment.number, visitor.uncounted_because)
            return []
        at_ms = self.now_ms()
        in_time = [goal for goal in reached if at_ms - assignment.exposed_ms <= goal.window_ms]
        if len(in_time) < len(reached):
            self.tallies.add(experiment.number, kinds.LATE)
        return [
            Conversion(
                experiment=assignment.experiment,
                visitor=assignment.visitor,
                arm=assignment.arm,
                epoch=assignment.epoch,
                exposed_ms=assignment.exposed_ms,
                goal=goal.key,
                at_ms=at_ms,
                value=value,
                event_id=event_id,
            )
            for goal in in_time
        ]

    def _lead(self, experiment: Experiment, assignment: Assignment | None, submission: Submission) -> Lead:
        return Lead(
            experiment=experiment.number,
            visitor=assignment.visitor if assignment else "",
            arm=assignment.arm if assignment else "",
            at_ms=self.now_ms(),
            lead_id=uuid4().hex,
            fields=submission.values,
        )

    def _write(self, visitor: Visitor, conversions: list[Conversion], lead: Lead | None = None) -> None:
        """Write all of it in one go, so that a lead never stands without its conversion.

        What was done is a sign that the page was seen even where it reaches no goal.
        """
        lines = [visitor.exposure, *([lead.encode()] if lead else [])]
        lines += [conversion.encode() for conversion in conversions]
        if not any(lines):
            return
        self.journal.append(b"".join(lines))
        self.tallies.count("leads", 1 if lead else 0)
        self.tallies.count("conversions", len(conversions))


def _query_of_page(experiment: Experiment, environ: Environ) -> str:
    """Give the query string the page was visited with, without our own parameters."""
    return "&".join(added_parameters(query_of_page(experiment, environ), ()))


def _error(status: str, reason: str) -> Reply:
    extra = [("Retry-After", RETRY_SECONDS)] if status == UNAVAILABLE else []
    return plain(status, json.dumps({"error": reason}), *extra, content_type="application/json")
