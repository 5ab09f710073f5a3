"""Turn an experiment into what its workbench shows: where it stands, what is missing, what may be done next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import transaction
from django.db.models import Sum
from django.urls import reverse

from experiments import deployment, lifecycle, misfits, surroundings
from experiments.console.overview import OVER, STATUS_WORDS, seen_by_all
from experiments.misfits import Misfits
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment
from variants.models import MICRO_USD, Generation, Variant

Status = Experiment.Status
VIEW = "experiments.view_experiment"
SETTINGS = "experiments.change_experiment"
GROW = "variants.add_generation"
WRITE = "variants.change_variant"
COPY = "variants.add_variant"
APPROVE = "variants.approve_variant"
START = "experiments.start_experiment"
SHARE = "experiments.add_sharelink"
NOTIFY = "experiments.change_destination"
LEADS = "experiments.view_lead"
# Of 500 arms, what pages say would be most of the work.
OF_ARMS = ("key", "status", "experiment", "entered_at", "variant__name", "variant__is_control", "variant__misfit")
SEEN_IN_PROOF = 2  # variants: the one that is proved, and the control


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one person may do; templates hide the rest, and the views refuse it."""

    settings: bool
    grow: bool
    write: bool
    approve: bool
    start: bool
    share: bool
    leads: bool
    notify: bool


def rights(user: AbstractBaseUser | AnonymousUser) -> Rights:
    def may(permission: str) -> bool:
        return bool(user.has_perm(permission))  # type: ignore[union-attr]  # the console's users have permissions

    return Rights(
        settings=may(SETTINGS), grow=may(GROW), write=may(WRITE), approve=may(APPROVE), start=may(START),
        share=may(SHARE), leads=may(LEADS), notify=may(NOTIFY),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change of status that a person can ask for."""

    name: str  # the function of lifecycle.py
    label: str
    question: str  # asked before it is done
    look: str = ""


STEPS = {
    Status.DRAFT: [
        Step(name="start", label="Start", look="main", question="Send visitors to the approved variants now?"),
    ],
    Status.RUNNING: [
        Step(name="pause", label="Pause", question="Take no new visitors for now? Those who know a variant keep it."),
        Step(name="stop", label="Stop", look="danger",
             question="Stop for good? Everyone sees the control from this moment on."),
    ],
    Status.PAUSED: [
        Step(name="resume", label="Resume", look="main", question="Take new visitors again?"),
        Step(name="stop", label="Stop", look="danger",
             question="Stop for good? Everyone sees the control from this moment on."),
    ],
    Status.FINISHED: [],
    Status.PROMOTED: [],
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """A step on the way to a running experiment."""

    label: str
    note: str
    is_done: bool
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What stands in the way of a start, and where it is mended."""

    reason: str
    url: str
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The upper part of the workbench."""

    status: str
    words: str
    address: str  # of the page, for visitors
    is_answered: bool  # whether that address shows something
    missing: Sequence[Missing]
    milestones: Sequence[Milestone]
    steps: Sequence[Step]
    numbers: dict[str, int]  # variants by status
    visitors: int
    conversions: int
    live: int
    waiting: int  # live variants that new visitors do not see while a proof round runs
    policy: str  # by what new visitors are shared out now
    control: str  # before the start: which variant will stand for today's page
    seen_by_all: Variant | None  # after the end
    may_choose: bool  # which page everyone sees from now on
    is_frozen: bool  # shares stand still because visitors were not split as planned
    proof: str  # of the round that is on: what new visitors see meanwhile
    proof_result: str  # of the newest round that is over
    provable: Sequence[Arm]  # arms one of which may be proved
    misfits: Misfits | None  # approved pages that do not match the brief any more
    changes: Sequence[str]  # of brief and brand since the live pages were made with them
    read: str  # stands for brief and brand as `changes` tells of them
    can_roll_back: bool
    winner: str  # of a running experiment: the name of the arm that is better than today's page for sure

    @property
    def rate(self) -> float | None:
        return self.conversions / self.visitors if self.visitors else None


def summary(experiment: Experiment, numbers: dict[str, int]) -> Summary:
    """Return the summary; `numbers` counts the variants by status."""
    is_draft = experiment.status == Status.DRAFT
    missing = [_missing(fault, experiment) for fault in lifecycle.faults(experiment)] if is_draft else []
    control = _control(experiment) if is_draft else ""
    arms = [] if is_draft else list(experiment.arms.select_related("variant").only(*OF_ARMS))
    visitors, conversions = (0, 0) if is_draft else _totals(experiment)
    live = sum(arm.status == Arm.Status.LIVE for arm in arms)
    waiting = live - SEEN_IN_PROOF if experiment.proof_arm and experiment.status == Status.RUNNING else 0
    return Summary(
        status=experiment.status,
        words=STATUS_WORDS[Status(experiment.status)],
        address=deployment.page_address(experiment),
        is_answered=experiment.deployment_id is not None,
        missing=missing,
        milestones=_milestones(experiment, numbers) if is_draft else [],
        steps=_steps(experiment, control),
        numbers=numbers,
        visitors=visitors,
        conversions=conversions,
        live=live - waiting,
        waiting=waiting,
        policy=_policy(experiment),
        control=control,
        seen_by_all=seen_by_all(experiment) if experiment.status in OVER else None,
        may_choose=experiment.status in {*lifecycle.GOING, *lifecycle.PROMOTABLE},
        is_frozen=experiment.frozen_at is not None and experiment.status == Status.RUNNING,
        proof=_proof(experiment),
        proof_result=_proof_result(experiment),
        provable=_provable(experiment, arms),
        misfits=None if is_draft else misfits.of(experiment),  # a draft's stand in the way of its start: `missing`
        changes=surroundings.differences(experiment),
        read=surroundings.digest(experiment) if experiment.surroundings else "",
        can_roll_back=deployment.deployment_before(experiment) is not None,
        winner=(experiment.standing or {}).get("winner_name", "") if experiment.status in lifecycle.GOING else "",
    )


def promotable(experiment: Experiment) -> list[Arm]:
    """Return the arms one of which may be shown to everyone; while it runs, those that new visitors may see."""
    arms = experiment.arms.select_related("variant").only(*OF_ARMS)
    if experiment.status in lifecycle.PROMOTABLE:
        return list(arms.filter(entered_at__isnull=False))
    if experiment.status in lifecycle.GOING:
        return list(arms.filter(status=Arm.Status.LIVE))
    return []


def _control(experiment: Experiment) -> str:
    """Say which variant a start makes the control: the marked one, else the oldest approved (lifecycle.py)."""
    variants = experiment.nursery.variants
    marked = variants.filter(is_control=True).first()
    if marked is not None:
        # One that is not approved stands in the way of a start; `missing` says so.
        return f"“{marked}” stands for today’s page (control)." if marked.status == Variant.Status.APPROVED else ""
    oldest = variants.filter(status=Variant.Status.APPROVED).first()
    return f"No control is chosen: “{oldest}” will stand for today’s page." if oldest else ""


def _steps(experiment: Experiment, control: str) -> list[Step]:
    steps = STEPS[Status(experiment.status)]
    return [replace(step, question=f"{control} {step.question}") for step in steps] if control else steps


def _totals(experiment: Experiment) -> tuple[int, int]:
    deciding = next((goal.key for goal in experiment.goals.all() if goal.is_primary), "")
    counted = EpochCount.objects.filter(arm__experiment=experiment, measure__in=[EXPOSURES, deciding])
    found = dict(counted.order_by().values_list("measure").annotate(Sum("count")))
    return found.get(EXPOSURES, 0), found.get(deciding, 0)


def _provable(experiment: Experiment, arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms that may be proved, those that new visitors see most first."""
    if experiment.status != Status.RUNNING or experiment.frozen_at or experiment.proof_arm_id:
        return []
    allocation = experiment.allocations.last()
    shares = allocation.shares if allocation else {}
    live = [arm for arm in arms if arm.status == Arm.Status.LIVE and not arm.is_control]
    return sorted(live, key=lambda arm: -shares.get(arm.key, 0.0))


def _policy(experiment: Experiment) -> str:
    if experiment.status == Status.RUNNING and experiment.frozen_at:
        return "Shares stand still: visitors are not split as planned"
    if experiment.status == Status.RUNNING and experiment.proof_arm_id:
        return "Proof round: two variants, half and half"
    return experiment.get_policy_display()


def _proof(experiment: Experiment) -> str:
    """Say what a proof round that is on does to new visitors."""
    if experiment.proof_arm is None or experiment.status not in {Status.RUNNING, Status.PAUSED}:
        return ""
    name = f"“{experiment.proof_arm.variant}”"
    if experiment.frozen_at:
        return f"The proof round of {name} counts for nothing and ends when the numbers are set aside."
    if experiment.status == Status.PAUSED:
        return f"The proof round of {name} waits: new visitors see today’s page until the experiment is resumed."
    return (
        f"Proof round: new visitors see {name} or today’s page, half and half, counted from zero; the other variants "
        "wait. Its lift, in the report, is the one to tell others."
    )


def _proof_result(experiment: Experiment) -> str:
    """Say where the result of an earlier round stands; one that was set aside has none."""
    over = experiment.proof_rounds.filter(epoch__gte=experiment.trusted_from_epoch).select_related("arm__variant")
    if experiment.status in {Status.RUNNING, Status.PAUSED} and experiment.proof_epoch is not None:
        over = over.exclude(epoch=experiment.proof_epoch)
    newest = None if experiment.frozen_at else over.last()
    return f"“{newest.arm.variant}” had a proof round; the report has its lift." if newest else ""


def settings_url(experiment: Experiment) -> str:
    return reverse("admin:experiments_experiment_change", args=[experiment.pk])


def _missing(fault: lifecycle.Fault, experiment: Experiment) -> Missing:
    if fault.field == "variants":
        return Missing(reason=fault.reason, url="#gallery", button="Look at the variants")
    if fault.field == "import":
        url = reverse("admin:experiments_import_goals", args=[experiment.pk])
        return Missing(reason=fault.reason, url=url, button="Pick it on the page")
    return Missing(reason=fault.reason, url=settings_url(experiment), button="Open the settings")


def _milestones(experiment: Experiment, numbers: dict[str, int]) -> list[Milestone]:
    brief = experiment.nursery.brief
    deciding = next((goal for goal in experiment.goals.all() if goal.is_primary), None)
    return [
        Milestone(
            label="Brief", note=brief.name, is_done=True, url=reverse("admin:variants_brief_change", args=[brief.pk])
        ),
        Milestone(
            label="Goal",
            note=f"A visitor {deciding.get_kind_display()}" if deciding else "Say what counts",
            is_done=deciding is not None,
            url=settings_url(experiment),
        ),
        Milestone(label="Variants", note=f"{numbers['all']} grown", is_done=numbers["all"] > 0, url="#grow"),
        Milestone(
            label="Review",
            note=f"{numbers['approved']} approved, {numbers['draft']} to look at",
            is_done=numbers["approved"] > 0,
            url="#gallery",
        ),
    ]


def latest_generation(experiment: Experiment) -> Generation | None:
    return experiment.nursery.generations.order_by("-pk").first()


def progress(generation: Generation | None) -> dict[str, Any]:
    """Return how far a request for variants has come, as the console shows it."""
    if generation is None:
        return {"generation": None}
    tried = generation.accepted + generation.duplicates + generation.blocked + generation.failed
    return {
        "generation": generation,
        "tried": tried,
        "percent": 100 if generation.is_over else min(99, 100 * generation.accepted // max(1, generation.requested)),
        "cost": f"{generation.cost_usd:.2f}" if generation.cost_micro_usd else "",
        "budget": f"{generation.budget_micro_usd / 1_000_000:.2f}" if generation.budget_micro_usd else "",
    }


def whole_usd(experiment: Experiment) -> str:
    """Return what all variants of the experiment together may cost, as it was typed; empty for no limit."""
    limit = experiment.nursery.budget_micro_usd
    return "" if limit is None else f"{limit / MICRO_USD:.2f}"


def make_control(experiment: Experiment, variant: Variant, *, by: User) -> None:
    """Let `variant` stand for today's page. Raise WrongStatus once visitors have been told apart by it.

    Whoever chooses what all others are compared with has set the experiment up as well.
    """
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.status != Status.DRAFT:
            raise lifecycle.WrongStatus("The control can only be chosen before the start.")
        # In this order: the database allows one control at a time.
        Variant.objects.filter(nursery=variant.nursery_id, is_control=True).update(is_control=False)
        Variant.objects.filter(pk=variant.pk).update(is_control=True)
        Experiment.objects.filter(pk=locked.pk).update(**lifecycle.authored(locked, by))


def blank_page(experiment: Experiment) -> dict[str, Any]:
    """Return the least a page can be, in the brief's own words: something to write over."""
    brief = experiment.nursery.brief.spec()
    product, button = _cut(brief.product, 90), brief.call_to_action.label
    hero = {"kind": "hero", "headline": product, "subheadline": _cut(brief.offer, 240), "call_to_action": button}
    facts = [_cut(fact.text, 240) for fact in brief.facts[:3]]
    benefits = {
        "kind": "benefits",
        "title": "What you get",
        "items": [{"title": _cut(fact, 60), "text": fact} for fact in facts],
    }
    form = {"kind": "form", "title": button, "submit": button}
    optional = [benefits] if len(facts) > 1 else []
    return {
        "angle": _cut(brief.angles[0] if brief.angles else brief.offer, 120),
        "meta": {"title": _cut(brief.product, 70), "description": _cut(brief.offer, 160)},
        "sections": [hero, *optional, *([form] if brief.call_to_action.kind == "form" else [])],
    }


def _cut(text: str, most: int) -> str:
    """Return the beginning of `text` in one line, cut between words."""
    return shorten(text, most, placeholder="…")
