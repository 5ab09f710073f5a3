"""Reach a goal as a visitor would, and say in sentences what came of it.

    experiment + goal ──▶ the control's page, served by a visitor tier of its own (stage.py)
                          open it ─▶ find the button, link or form ─▶ use it ─▶ read what was written down

Nothing is counted: the journal of a rehearsal is thrown away with it. What is tested is the page as it would be
served, the links and the form's checks included; whether an advertisement leads there, or a shop reports its sales, is
beyond it, and said.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.utils import timezone
from pydantic import ValidationError

from experiments import deployment, surroundings
from experiments.deployment import Imports, Trial
from experiments.models import Experiment, Goal
from experiments.rehearsal.stage import Answer, Rehearsal, rehearsal
from variants.models import ImportedPage, Variant
from variants.renderer import BadFrame

OK, NO_CONTENT, FOUND, SEE_OTHER = 200, 204, 302, 303
FORM_TYPE: Final = "application/x-www-form-urlencoded"
# What the test visitor writes; nobody's address (RFC 2606), and nobody is written to.
WRITTEN: Final = {"email": "test-visitor@example.com", "tel": "+1 555 0100", "checkbox": "on"}
USUAL_WORDS: Final = "Test visitor"
TEST_VALUE: Final = 10.0
DOES: Final = {
    Goal.Kind.FORM: "sends the form",
    Goal.Kind.EVENT: "does what the page reports",
    Goal.Kind.REVENUE: f"buys something for {TEST_VALUE:g}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the test visitor did, and what came of it."""

    did: str
    came: str
    is_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    goal: str
    page: str
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = field(default=())  # what this test cannot tell

    @property
    def is_reached(self) -> bool:
        return bool(self.steps) and all(step.is_good for step in self.steps)


class _Stopped(Exception):
    """The walk cannot go on; the message says why in words."""


def walk(experiment: Experiment, goal: Goal) -> Walk:
    """Walk to a goal, and keep that it was reached (or was not) with what it was reached on."""
    variant = page_to_test(experiment)
    if variant is None:
        step = Step(did="A test visitor looks for the page", came="There is no variant yet.", is_good=False)
        return Walk(goal=goal.key, page="", steps=(step,))
    walked = Walk(
        goal=goal.key, page=variant.name, steps=tuple(_steps(experiment, goal, variant)), remarks=_remarks(goal)
    )
    tested_as = fingerprint(experiment, goal, variant) if walked.is_reached else ""
    Goal.objects.filter(pk=goal.pk).update(tested_at=timezone.now(), tested_as=tested_as)
    return walked


def page_to_test(experiment: Experiment) -> Variant | None:
    """Return the control; without one the page that a start would make it, or else the first there is."""
    kept = experiment.nursery.variants.exclude(status=Variant.Status.REJECTED)
    return kept.filter(is_control=True).first() or kept.filter(status=Variant.Status.APPROVED).first() or kept.first()


def untested(experiment: Experiment) -> list[Goal]:
    """Return the goals that nobody reached in a test on the page as it is now."""
    goals, variant = list(experiment.goals.all()), page_to_test(experiment)
    if variant is None:
        return goals
    return [goal for goal in goals if not goal.tested_as or goal.tested_as != fingerprint(experiment, goal, variant)]


def fingerprint(experiment: Experiment, goal: Goal, variant: Variant) -> str:
    """Return what a test of a goal holds for: another page, brief or goal has another one."""
    brief = experiment.nursery.brief
    said = [
        [goal.key, goal.kind, goal.link, goal.window_hours],
        variant.content,
        [brief.call_to_action_kind, brief.call_to_action_url, brief.form_fields, brief.secondary_link],
        list(experiment.nursery.imported_pages.order_by("pk").values_list("pk", "goals")),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _remarks(goal: Goal) -> tuple[str, ...]:
    if goal.kind in {Goal.Kind.EVENT, Goal.Kind.REVENUE}:
        return ("Whether your site reports it at the right moment is not tested: do it there once after the start, and "
                "watch the live events.",)  # fmt: skip
    return ()


# --- the walk -------------------------------------------------------------------------------------------------------


def _steps(experiment: Experiment, goal: Goal, variant: Variant) -> Iterator[Step]:
    opened = f"A test visitor opens “{variant.name}”"
    try:
        found = _trial(experiment, variant)
    except (ValidationError, BadFrame):
        yield Step(did=opened, came="The brief or the page has a fault. Open and save both.", is_good=False)
        return
    trial, imports = found
    address = deployment.page_address(experiment)
    with rehearsal(trial.document, trial.blobs, address=address) as visit:
        path = urlsplit(address).path
        answer = visit.fetch("GET", path, "", {}, b"")
        if answer.status != OK:
            yield Step(did=opened, came="The page did not answer.", is_good=False)
            return
        yield Step(did=opened, came="The page answered, and the visit was written down.", is_good=True)
        yield from _use(goal, variant, trial, imports, (visit, path, answer))


def _trial(experiment: Experiment, variant: Variant) -> tuple[Trial, Imports]:
    imports = deployment.imported_pages([variant])
    pictures = surroundings.pictures_of(experiment)
    content = variant.patch or variant.page
    return deployment.trial(experiment, content, deployment.page_frame(experiment), imports, pictures), imports


def _use(
    goal: Goal, variant: Variant, trial: Trial, imports: Imports, opened: tuple[Rehearsal, str, Answer]
) -> Iterator[Step]:
    visit, *_ = opened
    did = f"It {_does(goal, variant)}"
    try:
        came = _reach(goal, variant, trial, imports, opened)
    except _Stopped as error:
        yield Step(did=did, came=str(error), is_good=False)
        return
    yield Step(did=did, came=came, is_good=True)
    if goal.key in visit.reached():
        yield Step(did=f"It reaches the goal “{goal.key}”", came="The event arrived.", is_good=True)
        return
    yield Step(
        did=f"It reaches the goal “{goal.key}”",
        came="No such event arrived. Something else stands at this place; pick the goal again by clicking it.",
        is_good=False,
    )


def _does(goal: Goal, variant: Variant) -> str:
    if variant.patch is not None and goal.kind in {Goal.Kind.CLICK, Goal.Kind.FORM}:
        return "uses what was picked on the page"
    if goal.kind == Goal.Kind.CLICK:
        return "clicks the second link" if goal.link == deployment.SECOND_LINK else "clicks the main button"
    return DOES[Goal.Kind(goal.kind)]


def _reach(goal: Goal, variant: Variant, trial: Trial, imports: Imports, opened: tuple[Rehearsal, str, Answer]) -> str:
    visit, path, answer = opened
    if goal.kind in {Goal.Kind.EVENT, Goal.Kind.REVENUE}:
        return _report(visit, path, goal)
    if patch := variant.patch:
        kept, _ = imports[patch.page]
        return _follow(visit, path, _picked(goal, kept, answer))
    if goal.kind == Goal.Kind.FORM:
        return _send(visit, path, answer, trial.document["form"])
    if f'href="go/{goal.link}"'.encode() not in answer.body:
        wanted = "second link; give the brief one" if goal.link == deployment.SECOND_LINK else "main button"
        raise _Stopped(f"The page has no {wanted}.")
    return _follow(visit, path, goal.link)


def _picked(goal: Goal, kept: ImportedPage, answer: Answer) -> str:
    """Return the name under go/ of what stands for a goal on an imported page."""
    for place, key in kept.goals.items():
        name = deployment.link_key(kept, place)
        if key == goal.key and name.encode() in answer.body:
            return name
    raise _Stopped("Nothing is picked for this goal on the page. Click what should count.")


def _follow(visit: Rehearsal, path: str, name: str) -> str:
    answer = visit.fetch("GET", f"{path}go/{name}", "", {}, b"")
    if answer.status != FOUND:
        raise _Stopped("The click led nowhere.")
    led = answer.headers.get("location", "")
    return "It stays on the page." if led.startswith("/") else f"It leads on to {unescape(led)}"


def _send(visit: Rehearsal, path: str, answer: Answer, form: Mapping[str, Any] | None) -> str:
    if form is None or b'action="form"' not in answer.body:
        raise _Stopped("The page has no form.")
    body = urlencode({each["name"]: _written(each) for each in form["fields"]}).encode()
    sent = visit.fetch("POST", f"{path}form", "", {"content-type": FORM_TYPE}, body)
    if sent.status != SEE_OTHER:
        raise _Stopped("The form refused what the test visitor wrote. Look at its fields in the brief.")
    thanks = visit.fetch("GET", f"{path}thanks", "", {}, b"")
    if thanks.status != OK:
        raise _Stopped("The form was taken, and the page that thanks for it did not answer.")
    return "The form was taken, and the thank-you page answered."


def _written(each: Mapping[str, Any]) -> str:
    if each["options"]:
        return str(each["options"][0])
    return WRITTEN.get(each["kind"], USUAL_WORDS)[: each["max_length"] or None]


def _report(visit: Rehearsal, path: str, goal: Goal) -> str:
    said: dict[str, object] = {"goal": goal.key}
    if goal.kind == Goal.Kind.REVENUE:
        said |= {"value": TEST_VALUE, "event_id": "test"}
    answer = visit.fetch("POST", f"{path}event", "", {"content-type": "application/json"}, json.dumps(said).encode())
    if answer.status != NO_CONTENT:
        raise _Stopped("The report was refused.")
    return "The report was taken."
