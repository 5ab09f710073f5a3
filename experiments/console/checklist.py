"""What is done before a start and what is open, line by line, each with the place where it is mended.

What stands in the way is what lifecycle.faults says, and nothing else; every one of its faults has a line here. The
other lines are advice: a start is possible without them, and seldom wise.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from django.contrib.auth.models import User
from django.urls import reverse

from experiments import lifecycle, roster
from experiments.console import steps, workbench
from experiments.models import Experiment, Goal
from experiments.rehearsal import page_checks, walkthrough
from variants import ledger
from variants.models import Variant

type State = Literal["done", "open", "advice"]

GOAL_FIELDS: Final = frozenset({"goals", "import"})
PEOPLE_SHOWN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    label: str
    note: str
    state: State
    url: str = ""
    button: str = ""
    is_post: bool = False  # the button changes something at once, instead of leading to where it is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    lines: Sequence[Line]
    reasons: Sequence[str]  # why it cannot start, for whoever looks; empty if it can

    @property
    def done(self) -> int:
        return sum(line.state == "done" for line in self.lines)


def checklist(experiment: Experiment, user: User) -> Checklist:
    """Return the checklist of a draft as `user` sees it."""
    faults = lifecycle.faults(experiment)
    approved = list(
        experiment.nursery.variants.filter(status=Variant.Status.APPROVED)
        .select_related("reviewed_by")
        .defer("content", "findings", "traces")
    )
    lines = [
        _variants(experiment, approved, faults),
        _control(experiment, approved),
        _pages(experiment, approved),
        _goal(experiment, faults),
        _tested(experiment),
        _traffic(experiment, approved),
        _budget(experiment),
        _people(experiment, approved),
        _law(experiment),
        *_others(faults, experiment),
    ]
    return Checklist(lines=lines, reasons=list(_reasons(experiment, faults, user)))


def _variants(experiment: Experiment, approved: Sequence[Variant], faults: Sequence[lifecycle.Fault]) -> Line:
    url = steps.url_of(experiment.pk, steps.GALLERY)
    mine = [fault for fault in faults if fault.field == "variants"]
    if mine:
        return Line(label="Variants", note=" ".join(fault.reason for fault in mine), state="open", url=url,
                    button="Open the gallery")  # fmt: skip
    waiting = experiment.nursery.variants.filter(status=Variant.Status.DRAFT).count()
    note = f"{len(approved)} approved" + (f", {waiting} not looked at: those stay out." if waiting else ".")
    if len(approved) == 1:
        return Line(label="Variants", note="Only one is approved, so there is nothing to compare it with.",
                    state="advice", url=url, button="Approve another")  # fmt: skip
    return Line(label="Variants", note=note, state="done", url=url, button="Look at them")


def _control(experiment: Experiment, approved: Sequence[Variant]) -> Line:
    label = "Today’s page (control)"
    marked = next((variant for variant in approved if variant.is_control), None)
    if marked is not None:
        return Line(label=label, note=f"“{marked}”: the others are compared with it.", state="done")
    chosen = experiment.nursery.variants.filter(is_control=True).first()
    if chosen is not None:
        return Line(label=label, note=f"“{chosen}” is chosen and not approved yet: the others are compared with it.",
                    state="advice", url=steps.url_of(experiment.pk, steps.GALLERY), button="Look at it")  # fmt: skip
    if not approved:
        url = reverse("admin:experiments_import_page", args=[experiment.pk])
        return Line(label=label, note="None yet. Bring in the page you have, or mark a variant.", state="advice",
                    url=url, button="Bring in your page")  # fmt: skip
    first = approved[0]
    return Line(
        label=label,
        note=f"None is marked, so “{first}”, the oldest, would stand for it.",
        state="advice",
        url=reverse("admin:experiments_variant_control", args=[experiment.pk, first.pk]),
        button=f"Mark “{first}”",
        is_post=True,
    )


def _pages(experiment: Experiment, approved: Sequence[Variant]) -> Line:
    label, waiting = "Pages work", page_checks.unchecked(experiment)
    if not approved:
        return Line(label=label, note="Approved pages are opened in a browser and looked at.", state="advice")
    if waiting:
        number = f"{len(waiting)} of {len(approved)}"
        note = f"{number} were not looked at in a browser yet. {page_checks.what_next(waiting)}"
        return Line(label=label, note=note, state="advice")
    return Line(label=label, note="Every approved page was opened in a browser and looked at.", state="done")


def _goal(experiment: Experiment, faults: Sequence[lifecycle.Fault]) -> Line:
    mine = [fault for fault in faults if fault.field in GOAL_FIELDS]
    if mine:
        picks = any(fault.field == "import" for fault in mine)
        url = reverse("admin:experiments_import_goals", args=[experiment.pk]) if picks else "#goals"
        return Line(label="Goal", note=" ".join(fault.reason for fault in mine), state="open", url=url,
                    button="Pick it on the page")  # fmt: skip
    goals = list(experiment.goals.all())
    deciding = next(goal for goal in goals if goal.is_primary)
    beside = f", and {len(goals) - 1} beside it" if len(goals) > 1 else ""
    return Line(label="Goal", note=f"A visitor {deciding.does}: “{deciding}” decides{beside}.",
                state="done", url="#goals", button="Change")  # fmt: skip


def _tested(experiment: Experiment) -> Line:
    url = reverse("admin:experiments_test_goals", args=[experiment.pk])
    untested = walkthrough.untested(experiment)
    if untested:
        note = " ".join([*_what_tests_found(untested), "Test now: a test visitor tries it, and nothing is counted."])
        return Line(label="Goal tested", note=note, state="advice", url=url, button="Test now", is_post=True)
    if not experiment.goals.all():
        return Line(label="Goal tested", note="There is no goal to test yet.", state="advice")
    return Line(label="Goal tested", note="A test visitor opened today’s page as it is now and reached every goal.",
                state="done", url=url, button="Test again", is_post=True)  # fmt: skip


def _what_tests_found(untested: Sequence[Goal]) -> Iterator[str]:
    """Say of goals that nobody reached on the page as it is now what came of their tests."""
    never = [goal for goal in untested if goal.tested_at is None]
    failed = [goal for goal in untested if goal.tested_at is not None and not goal.tested_as]
    before = [goal for goal in untested if goal.tested_at is not None and goal.tested_as]
    if never:
        yield f"Nobody has tried yet whether {_named(never)} can be reached."
    if failed:
        yield f"A test visitor did not reach {_named(failed)}."
    if before:
        yield f"A test visitor reached {_named(before)}, but page, brief or goal were changed since."


def _named(goals: Sequence[Goal]) -> str:
    return ", ".join(f"“{goal}”" for goal in goals)


def _traffic(experiment: Experiment, approved: Sequence[Variant]) -> Line:
    if experiment.visitors_per_day is None:
        return Line(label="Traffic", note="Say how many people visit: without it all variants go live at once.",
                    state="advice", url="#traffic", button="Say it")  # fmt: skip
    most = roster.affordable_arms(experiment)
    told = f"{experiment.visitors_per_day:,} visits a day for {experiment.planned_days} days"
    if most is None:
        return Line(label="Traffic", note=f"{told}. All {len(approved)} approved variants go live at once.",
                    state="done", url="#traffic", button="Change")  # fmt: skip
    waiting = max(0, len(approved) - most)
    rest = f" {waiting} of the {len(approved)} approved wait their turn." if waiting else ""
    return Line(label="Traffic", note=f"{told} afford {most} variants at once.{rest}", state="done", url="#traffic",
                button="Change")  # fmt: skip


def _budget(experiment: Experiment) -> Line:
    limit, spent = experiment.nursery.budget_micro_usd, ledger.spent(experiment.nursery_id)
    url = steps.url_of(experiment.pk, steps.GENERATE)
    told = f"Writing variants has cost ${ledger.dollars(spent)}"
    if limit is None:
        return Line(label="Budget", note=f"{told}, and has no limit.", state="advice" if spent else "done", url=url,
                    button="Set a limit")  # fmt: skip
    return Line(label="Budget", note=f"{told} of ${ledger.dollars(limit)}.", state="done", url=url, button="Change")


def _people(experiment: Experiment, approved: Sequence[Variant]) -> Line:
    counted = Counter(_name(variant.reviewed_by) for variant in approved)
    told = ", ".join(f"{name} {number}" for name, number in counted.most_common(PEOPLE_SHOWN))
    asks = experiment.nursery.brief.brand.asks_four_eyes
    eyes = " Four eyes: whoever wrote a page does not approve it." if asks else ""
    if not approved:
        return Line(label="Approved by", note=f"Nobody yet.{eyes}", state="open",
                    url=steps.url_of(experiment.pk, steps.GALLERY), button="Open the gallery")  # fmt: skip
    history = reverse("admin:experiments_experiment_timeline", args=[experiment.pk])
    return Line(label="Approved by", note=f"{told}.{eyes}", state="done", url=history, button="See the history")


def _name(user: User | None) -> str:
    return "the API" if user is None else user.get_full_name() or user.get_username()


def _law(experiment: Experiment) -> Line:
    brief = experiment.nursery.brief
    brand, asks = brief.brand, brief.call_to_action_kind == brief.CallToActionKind.FORM
    missing = [
        *(["a privacy page (who fills in the form should find one)"] if asks and not brand.privacy_url else []),
        *(["the small print with your legal address"] if not brand.legal_footer else []),
    ]
    consent = "Visitors are asked before they are counted." if experiment.consent_required else (
        "Visitors are counted without being asked."
    )  # fmt: skip
    url = reverse("admin:variants_brand_change", args=[brand.pk])
    if missing:
        return Line(label="Consent and law", note=f"“{brand}” lacks {' and '.join(missing)}. {consent}",
                    state="advice", url=url, button="Add it to the brand")  # fmt: skip
    return Line(label="Consent and law", note=f"Privacy page and legal address are on every page. {consent}",
                state="done", url="#traffic", button="Change")  # fmt: skip


def _others(faults: Sequence[lifecycle.Fault], experiment: Experiment) -> Iterator[Line]:
    for fault in faults:
        if fault.field not in {"variants", *GOAL_FIELDS}:
            yield Line(label=fault.field.replace("_", " ").capitalize(), note=fault.reason, state="open",
                       url=workbench.settings_url(experiment), button="Open the settings")  # fmt: skip


def _reasons(experiment: Experiment, faults: Sequence[lifecycle.Fault], user: User) -> Iterator[str]:
    yield from dict.fromkeys(fault.reason for fault in faults)
    if not user.has_perm(workbench.START):
        yield "Starting takes the role of an Approver."
    elif reason := lifecycle.own_work(experiment, user):
        yield reason
