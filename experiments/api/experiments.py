"""The API's half about experiments: set up, run, report, and conversions reported by other servers."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Literal, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from ninja.pagination import paginate
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints, ValidationError

from experiments import allocation, counting, deeds, deployment, erasure, lifecycle
from experiments.models import Arm, Experiment, Goal, Lead
from experiments.report_schema import NumbersOut, ReportOut
from experiments.reporting.report import as_json, build
from experiments.reporting.share import revoke, share_url
from experiments.splitter import records
from experiments.splitter import tallies as kinds
from experiments.splitter.cookies import TOKEN_PURPOSE, Assignment, Signer, claimed_experiment
from experiments.splitter.records import Conversion
from experiments.splitter.stores import StoreUnavailable
from experiments.store import store
from variants import estimates, generation, ledger, likeness, review
from variants.api import Created, DirectionIn, DirectionOut, VariantOut, variant_out
from variants.models import MICRO_USD, MOST_VARIANTS_PER_GENERATION, Brief, Direction, Nursery, Variant
from variants.patches import BadPatch
from variants.problems import Conflict, Invalid, Paged, Problem, field_errors, require
from variants.text import Line

logger = logging.getLogger(__name__)
router = Router(tags=["experiments"])

ArmKey = Annotated[str, Field(pattern=r"^[\w-]{1,20}$")]

DEPLOY_WAIT_SECONDS = 10  # a start answers once pages are up, or after this long
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)  # before there was a Greenhouse
CLOCK_TOLERANCE = timedelta(minutes=5)  # by how much another server's clock may be ahead


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]  # the model's own bounds are narrower


class Strict(Schema):
    model_config = ConfigDict(extra="forbid")


class GoalIn(Strict):
    key: str
    kind: Goal.Kind
    primary: bool = False
    window_hours: int = 168
    link: str = "cta"
    weight: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 0.0
    guard: Goal.Guard = Goal.Guard.NONE


class ExperimentIn(Strict):
    name: Annotated[Line, Field(max_length=120)]
    slug: str
    brief_id: int
    goals: Annotated[list[GoalIn], Field(max_length=20)]
    policy: Experiment.Policy = Experiment.Policy.EARN
    control_share: Share = 0.1
    traffic_share: Share = 1.0
    consent_required: bool = False
    confirm_exposures: bool = False
    has_arm_budget: bool = True
    visitors_per_day: int | None = None
    planned_days: int = 14
    usual_rate: Annotated[float, Field(ge=0.0001, le=0.9)] | None = None
    currency: str = "USD"


class ExperimentOut(Schema):
    id: int
    name: str
    slug: str
    status: str


class VariantIn(Strict):
    content: dict[str, Any]
    name: Annotated[Line, Field(max_length=120)] | None = None
    is_control: bool = False


class GenerateIn(Strict):
    count: int
    budget_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] | None = None


class PlanIn(Strict):
    budget_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] | None = None


class EstimateOut(Schema):
    likely_usd: float
    most_usd: float
    is_limited: bool  # a limit could end the request before every page is had


class BudgetOut(Schema):
    budget_usd: Decimal | None
    spent_usd: float  # with what is set aside for calls under way


Count = Annotated[int, Query(ge=0, le=MOST_VARIANTS_PER_GENERATION)]


class GenerateOut(Schema):
    generation_id: int


class PromoteIn(Strict):
    arm: Annotated[str, Field(min_length=1)] | None = None  # without it, the arm most likely to be best


class AllocationOut(Schema):
    epoch: int
    shares: dict[str, float]
    counts: dict[str, list[int]]
    probability_best: dict[str, float]
    reason: str
    created_at: AwareDatetime


class ConversionIn(Strict):
    token: str
    goal: str
    value: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    event_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{0,100}$")] = ""
    occurred_at: Annotated[AwareDatetime, Field(ge=EARLIEST)] | None = None


class LeadOut(Schema):
    id: int
    arm: str | None
    submitted_at: AwareDatetime
    values: dict[str, str]

    @staticmethod
    def resolve_arm(lead: Lead) -> str | None:
        return lead.arm.key if lead.arm else None


class ShareOut(Schema):
    url: str


class Revoked(Schema):
    revoked: int


class Accepted(Schema):
    status: Literal["accepted"] = "accepted"


@router.post("/experiments", response={201: ExperimentOut})
def create_experiment(request: HttpRequest, payload: ExperimentIn) -> Status[Experiment]:
    """Set up an experiment as a draft."""
    user = require(request, "experiments.add_experiment")
    brief = Brief.objects.filter(pk=payload.brief_id).first()
    if brief is None:
        raise Invalid([{"field": "brief_id", "reason": f"There is no brief {payload.brief_id}."}])
    goals = _goals(payload.goals)
    values = payload.model_dump(exclude={"brief_id", "goals"})
    try:
        with transaction.atomic():
            experiment = Experiment(
                nursery=Nursery.objects.create(brief=brief), created_by=user, edited_by=user, **values
            )
            _save_valid(experiment, exclude=("nursery", "created_by", "edited_by"))
            for place, goal in enumerate(goals):
                goal.experiment = experiment
                _save_valid(goal, under=f"goals.{place}", exclude=("experiment",))
            deeds.record(experiment, user, "Set it up.")
    except IntegrityError as error:
        raise Invalid([{"field": "slug", "reason": f"{payload.slug} was taken a moment ago."}]) from error
    return Status(HTTPStatus.CREATED, experiment)


def _goals(given: list[GoalIn]) -> list[Goal]:
    """Return the goals, with exactly one primary; a single goal needs no mark."""
    if not given:
        raise Invalid([{"field": "goals", "reason": "Give at least one goal: what counts as a conversion."}])
    if len({goal.key for goal in given}) < len(given):
        raise Invalid([{"field": "goals", "reason": "Give every goal a key of its own."}])
    primaries = [goal.key for goal in given if goal.primary] or ([given[0].key] if len(given) == 1 else [])
    if len(primaries) != 1:
        raise Invalid([{"field": "goals", "reason": f"Mark exactly one goal as primary; {len(primaries)} are."}])
    return [Goal(is_primary=goal.key in primaries, **goal.model_dump(exclude={"primary"})) for goal in given]


def _save_valid(row: Experiment | Goal, *, exclude: tuple[str, ...], under: str = "") -> None:
    try:
        row.full_clean(exclude=exclude)
    except ModelValidationError as error:
        prefix = f"{under}." if under else ""
        faults = [
            {"field": prefix + field, "reason": " ".join(messages)} for field, messages in error.message_dict.items()
        ]
        raise Invalid(faults) from error
    row.save()


@router.get("/experiments", response=list[ExperimentOut])
@paginate(Paged)
def list_experiments(request: HttpRequest) -> Any:
    """List experiments, newest first."""
    require(request, "experiments.view_experiment")
    return Experiment.objects.order_by("-pk")


@router.get("/experiments/{experiment_id}", response=NumbersOut)
def read_experiment(request: HttpRequest, experiment_id: int) -> JsonResponse:
    """Return status and numbers of an experiment; history and explanations are in the report."""
    return JsonResponse({key: value for key, value in _report(request, experiment_id).items() if key != "history"})


@router.get("/experiments/{experiment_id}/report", response=ReportOut)
def read_report(request: HttpRequest, experiment_id: int) -> JsonResponse:
    """Return the report's numbers."""
    return JsonResponse(_report(request, experiment_id))


def _report(request: HttpRequest, experiment_id: int) -> dict[str, Any]:
    # Answered as it is: what page, CSV and workbook show has to equal it to the digit, and 500 pages take no second
    # look by a schema.
    require(request, "experiments.view_experiment")
    experiments = Experiment.objects.prefetch_related("goals")
    report = as_json(build(get_object_or_404(experiments, pk=experiment_id)))
    return {"id": report["experiment_id"], **report}


@router.get("/experiments/{experiment_id}/variants", response=list[VariantOut])
@paginate(Paged)
def list_variants(request: HttpRequest, experiment_id: int) -> list[VariantOut]:
    """List an experiment's variants in the order they were made."""
    require(request, "variants.view_variant")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    return [variant_out(variant) for variant in experiment.nursery.variants.prefetch_related("parents")]


@router.post("/experiments/{experiment_id}/variants", response={201: Created})
def add_variant(request: HttpRequest, experiment_id: int, payload: VariantIn) -> Status[Created]:
    """Add a page written elsewhere; 422 names every fault in it."""
    user = require(request, "variants.add_variant")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if payload.is_control and experiment.status != Experiment.Status.DRAFT:
        raise Conflict("The control can only be chosen while the experiment is a draft.")
    try:
        variant = review.add_variant(
            experiment.nursery,
            payload.content,
            name=payload.name,
            is_control=payload.is_control,
            origin=Variant.Origin.HAND,
            by=user,
        )
    except ValidationError as error:
        raise Invalid(field_errors(error, under="content")) from error
    except BadPatch as error:
        faults = [{"field": f"content.texts.{text}", "reason": reason} for text, reason in error.faults.items()]
        raise Invalid(faults) from error
    except review.SecondControl as error:
        raise Conflict(str(error)) from error
    deeds.record(experiment, user, f"Added “{variant}”.")
    return Status(HTTPStatus.CREATED, Created(id=variant.pk))


@router.post("/variants/{variant_id}/approve", response=VariantOut)
def approve_variant(request: HttpRequest, variant_id: int) -> VariantOut:
    """Approve a variant; 409 with the findings that stand in the way."""
    user = require(request, "variants.approve_variant")
    variant = get_object_or_404(Variant, pk=variant_id)
    try:
        review.approve(variant, by=user)
    except review.Blocked as blocked:
        raise Conflict(str(blocked), [finding.as_dict() for finding in blocked.findings]) from blocked
    except review.WrongVariantStatus as error:
        raise Conflict(str(error)) from error
    if experiment := _experiment_of(variant):
        deeds.record(experiment, user, f"Approved “{variant}”.")
        lifecycle.add_arms(experiment)
    return variant_out(variant)


def _experiment_of(variant: Variant) -> Experiment | None:
    return Experiment.objects.filter(nursery=variant.nursery_id).first()


@router.post("/variants/{variant_id}/reject", response=VariantOut)
def reject_variant(request: HttpRequest, variant_id: int) -> VariantOut:
    """Reject a variant that no visitor sees."""
    user = require(request, "variants.approve_variant")
    variant = get_object_or_404(Variant, pk=variant_id)
    try:
        review.reject(variant, by=user, is_live=Arm.objects.filter(variant=variant).exists())
    except (review.LiveVariant, review.WrongVariantStatus) as error:
        raise Conflict(str(error)) from error
    if experiment := _experiment_of(variant):
        deeds.record(experiment, user, f"Rejected “{variant}”.")
    return variant_out(variant)


@router.post("/experiments/{experiment_id}/generate", response={202: GenerateOut})
def generate(request: HttpRequest, experiment_id: int, payload: GenerateIn) -> Status[GenerateOut]:
    """Ask for variants; the generation tells how far it has come."""
    user = require(request, "variants.add_generation")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    try:
        asked = generation.request_generation(experiment.nursery, payload.count, budget_usd=payload.budget_usd, by=user)
    except ValueError as error:
        field, _, reason = str(error).partition(": ")
        raise Invalid([{"field": field, "reason": reason}]) from error
    deeds.record(experiment, user, f"Asked for {payload.count} variants.")
    return Status(HTTPStatus.ACCEPTED, GenerateOut(generation_id=asked.pk))


@router.post("/experiments/{experiment_id}/plan", response={202: GenerateOut})
def plan(request: HttpRequest, experiment_id: int, payload: PlanIn | None = None) -> Status[GenerateOut]:
    """Ask for directions alone, or for further ones; they are listed once the generation is over."""
    user = require(request, "variants.add_generation")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    budget_usd = payload.budget_usd if payload else None
    asked = generation.request_plan(experiment.nursery, budget_usd=budget_usd, by=user)
    deeds.record(experiment, user, "Asked for directions.")
    return Status(HTTPStatus.ACCEPTED, GenerateOut(generation_id=asked.pk))


@router.get("/experiments/{experiment_id}/directions", response=list[DirectionOut])
@paginate(Paged)
def list_directions(request: HttpRequest, experiment_id: int) -> Any:
    """List the directions that an experiment's pages take, in the order of their turns."""
    require(request, "variants.view_generation")
    return get_object_or_404(Experiment, pk=experiment_id).nursery.directions.all()


@router.post("/experiments/{experiment_id}/directions", response={201: DirectionOut})
def add_direction(request: HttpRequest, experiment_id: int, payload: DirectionIn) -> Status[Direction]:
    """Add a direction of one's own."""
    user = require(request, "variants.add_generation")
    nursery = get_object_or_404(Experiment, pk=experiment_id).nursery
    values = {name: "" if value is None else value for name, value in payload.model_dump().items()}
    number = nursery.next_direction()
    return Status(
        HTTPStatus.CREATED, Direction.objects.create(nursery=nursery, number=number, created_by=user, **values)
    )


@router.get("/experiments/{experiment_id}/estimate", response=EstimateOut)
def estimate(request: HttpRequest, experiment_id: int, count: Count) -> EstimateOut:
    """Tell what a number of variants would cost: about, and at most within the limits there are."""
    user = require(request, "variants.add_generation")
    found = estimates.estimate(get_object_or_404(Experiment, pk=experiment_id).nursery, count, user_id=user.pk)
    return EstimateOut(
        likely_usd=float(found.likely_micro_usd / MICRO_USD),
        most_usd=float(found.most_micro_usd / MICRO_USD),
        is_limited=found.is_limited,
    )


@router.put("/experiments/{experiment_id}/budget", response=BudgetOut)
def set_budget(request: HttpRequest, experiment_id: int, payload: PlanIn) -> BudgetOut:
    """Set what all generations of an experiment together may cost; null for no limit."""
    user = require(request, "experiments.change_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    nursery = experiment.nursery
    ledger.set_budget(nursery.pk, payload.budget_usd)
    said = "without a limit" if payload.budget_usd is None else f"up to ${payload.budget_usd}"
    deeds.record(experiment, user, f"Let the experiment spend {said} on variants.")
    return BudgetOut(budget_usd=payload.budget_usd, spent_usd=float(ledger.spent(nursery.pk) / MICRO_USD))


@router.post("/experiments/{experiment_id}/start", response=ExperimentOut)
def start(request: HttpRequest, experiment_id: int) -> Experiment:
    """Put the approved variants in front of visitors."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    try:
        lifecycle.start(experiment, by=user)
    except lifecycle.NotReady as error:
        faults = [{"field": fault.field, "reason": fault.reason} for fault in error.faults]
        raise Conflict(str(error), faults) from error
    deployment.wait_until_deployed(experiment, seconds=DEPLOY_WAIT_SECONDS)
    return experiment


@router.post("/experiments/{experiment_id}/pause", response=ExperimentOut)
def pause(request: HttpRequest, experiment_id: int) -> Experiment:
    """Take no new visitors."""
    user = require(request, "experiments.start_experiment")
    return lifecycle.pause(get_object_or_404(Experiment, pk=experiment_id), by=user)


@router.post("/experiments/{experiment_id}/resume", response=ExperimentOut)
def resume(request: HttpRequest, experiment_id: int) -> Experiment:
    """Take new visitors again."""
    user = require(request, "experiments.start_experiment")
    return lifecycle.resume(get_object_or_404(Experiment, pk=experiment_id), by=user)


@router.post("/experiments/{experiment_id}/stop", response=ExperimentOut)
def stop(request: HttpRequest, experiment_id: int) -> Experiment:
    """Send everyone to the control within two seconds."""
    user = require(request, "experiments.start_experiment")
    return lifecycle.stop(get_object_or_404(Experiment, pk=experiment_id), by=user)


@router.post("/experiments/{experiment_id}/promote", response=ExperimentOut)
def promote(request: HttpRequest, experiment_id: int, payload: PromoteIn | None = None) -> Experiment:
    """Send everyone to one arm of a finished experiment."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    lifecycle.refuse_unless(experiment, lifecycle.PROMOTABLE, "promote")
    return lifecycle.promote(experiment, _arm(experiment, payload), by=user)


def _arm(experiment: Experiment, payload: PromoteIn | None) -> Arm:
    """Return the arm that was named, or else the one most likely to be best."""
    key = (payload.arm if payload else None) or _leader(experiment)
    arm = experiment.arms.filter(key=key).first()
    if arm is None:
        known = ", ".join(experiment.arms.values_list("key", flat=True))
        raise Invalid([{"field": "arm", "reason": f"There is no arm {key!r}; the arms are {known}."}])
    return arm


def _leader(experiment: Experiment) -> str:
    arms = build(experiment).arms
    return max(arms, key=lambda arm: arm.probability_best or 0.0).key if arms else ""


class RepeatOut(Schema):
    id: int
    repeats: int  # the variant that says much the same
    likeness: float


class DistinctOut(Schema):
    variants: int
    distinct: int
    repeats: list[RepeatOut]


@router.get("/experiments/{experiment_id}/distinct", response=DistinctOut)
def read_distinct(request: HttpRequest, experiment_id: int) -> DistinctOut:
    """Tell how many different pages there are, and which say much the same as another."""
    require(request, "variants.view_variant")
    found = likeness.look_at(get_object_or_404(Experiment, pk=experiment_id).nursery)
    repeats = [
        RepeatOut(
            id=found.variants[place].pk, repeats=found.variants[leader].pk, likeness=float(found.alike[place, leader])
        )
        for place, leader in enumerate(found.leaders)
        if leader != place
    ]
    return DistinctOut(variants=len(found.variants), distinct=found.distinct, repeats=repeats)


@router.post("/experiments/{experiment_id}/proof", response=ExperimentOut)
def start_proof(request: HttpRequest, experiment_id: int, payload: PromoteIn | None = None) -> Experiment:
    """Run one arm and the control from zero, half and half; without an arm, the one most likely to be best."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    lifecycle.refuse_unless(experiment, {Experiment.Status.RUNNING}, "prove a page in")
    return lifecycle.start_proof(experiment, _arm(experiment, payload), by=user)


@router.delete("/experiments/{experiment_id}/proof", response=ExperimentOut)
def end_proof(request: HttpRequest, experiment_id: int) -> Experiment:
    """Send new visitors to all live arms again."""
    user = require(request, "experiments.start_experiment")
    return lifecycle.end_proof(get_object_or_404(Experiment, pk=experiment_id), by=user)


@router.post("/experiments/{experiment_id}/set-aside", response=ExperimentOut)
def set_aside(request: HttpRequest, experiment_id: int) -> Experiment:
    """Leave out what was counted while visitors were not split as planned, and go on from zero."""
    user = require(request, "experiments.start_experiment")
    return lifecycle.set_aside(get_object_or_404(Experiment, pk=experiment_id), by=user)


@router.post("/experiments/{experiment_id}/reallocate", response=AllocationOut)
def reallocate(request: HttpRequest, experiment_id: int) -> Any:
    """Recount and reallocate now."""
    require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if experiment.status != Experiment.Status.RUNNING:
        raise Conflict(f"Shares are only reviewed while an experiment is running; this one is {experiment.status}.")
    counting.count(store())
    made = allocation.reallocate(experiment, now=timezone.now(), at_once=True)
    lifecycle.publish_or_leave_to_timetable(experiment)
    return made


@router.post("/experiments/{experiment_id}/share", response=ShareOut)
def share(request: HttpRequest, experiment_id: int) -> ShareOut:
    """Return a link that opens the report without a login; the same one until it is revoked."""
    user = require(request, "experiments.add_sharelink")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    url = share_url(experiment, by=user)
    deeds.record(experiment, user, "Shared the report by link.")
    return ShareOut(url=url)


@router.delete("/experiments/{experiment_id}/share", response=Revoked)
def revoke_share(request: HttpRequest, experiment_id: int) -> Revoked:
    """Revoke every link to the report, at once."""
    user = require(request, "experiments.add_sharelink")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    revoked = revoke(experiment)
    deeds.record(experiment, user, f"Revoked {revoked} link{'' if revoked == 1 else 's'} to the report.")
    return Revoked(revoked=revoked)


@router.get("/experiments/{experiment_id}/leads", response=list[LeadOut])
@paginate(Paged)
def list_leads(request: HttpRequest, experiment_id: int) -> Any:
    """List what people wrote into an experiment's form, newest first."""
    require(request, "experiments.view_lead")
    return get_object_or_404(Experiment, pk=experiment_id).leads.select_related("arm")


@router.delete("/leads/{lead_id}", response={204: None})
def erase_lead(request: HttpRequest, lead_id: int) -> Status[None]:
    """Erase the person who sent a lead: it, and what is kept of their visit. Totals stay."""
    require(request, "experiments.delete_lead")
    erasure.erase_lead(get_object_or_404(Lead, pk=lead_id))
    logger.info("lead %d was erased by user %d", lead_id, cast("User", request.user).pk)
    return Status(HTTPStatus.NO_CONTENT, None)


@cache
def token_signer() -> Signer:
    """Return what reads the conversion tokens that the visitor tier issues."""
    return Signer(settings.SECRET_KEY, fallbacks=settings.SECRET_KEY_FALLBACKS, purpose=TOKEN_PURPOSE)


@router.post("/conversions", response={202: Accepted})
def report_conversion(request: HttpRequest, payload: ConversionIn) -> Status[Accepted]:
    """Count a conversion that happened on another server, by the token its visitor carried there."""
    require(request, "experiments.add_conversion")
    assignment = token_signer().read(payload.token)
    if assignment is None or not assignment.is_counted:
        _tally(claimed_experiment(payload.token), kinds.UNATTRIBUTED if assignment else kinds.FORGED)
        raise Invalid([{"field": "token", "reason": "This is not a token that Greenhouse issued."}])
    goal = Goal.objects.filter(experiment=assignment.experiment, key=payload.goal).select_related("experiment").first()
    if goal is None:
        _tally(assignment.experiment, kinds.FOREIGN)
        raise Invalid([{"field": "goal", "reason": f"The experiment has no goal {payload.goal!r}."}])
    _refuse_other_currency(payload, goal)
    counting.count_directly(_conversion(payload, assignment, goal))
    return Status(HTTPStatus.ACCEPTED, Accepted())


def _tally(experiment_id: int, kind: str) -> None:
    """Add what moved no count to what the report lists as left out; an experiment that is not ours has no list."""
    at_ms = int(timezone.now().timestamp() * 1000)
    counting.count_directly(records.Tally(experiment=experiment_id, at_ms=at_ms, counts={kind: 1}))


def _refuse_other_currency(payload: ConversionIn, goal: Goal) -> None:
    wanted = goal.experiment.currency
    if payload.currency and payload.currency != wanted:
        reason = f"This experiment counts in {wanted}; convert the value first."
        raise Invalid([{"field": "currency", "reason": reason}])


def _conversion(payload: ConversionIn, assignment: Assignment, goal: Goal) -> Conversion:
    now = timezone.now()
    at = payload.occurred_at or now
    if at > now + CLOCK_TOLERANCE:
        raise Invalid([{"field": "occurred_at", "reason": f"{at.isoformat()} has not come yet."}])
    exposed_at = datetime.fromtimestamp(assignment.exposed_ms / 1000, UTC)
    if at < exposed_at - CLOCK_TOLERANCE:
        _tally(assignment.experiment, kinds.EARLY)
        reason = f"{at.isoformat()} is before the visitor saw the page, {exposed_at.isoformat()}."
        raise Invalid([{"field": "occurred_at", "reason": reason}])
    return Conversion(
        experiment=assignment.experiment,
        visitor=assignment.visitor,
        arm=assignment.arm,
        epoch=assignment.epoch,
        exposed_ms=assignment.exposed_ms,
        goal=goal.key,
        at_ms=int(at.timestamp() * 1000),
        value=payload.value,
        event_id=payload.event_id if goal.kind == Goal.Kind.REVENUE else "",
    )


def wrong_status(error: lifecycle.WrongStatus) -> Problem:
    """Return the answer to a step from the wrong status."""
    return Conflict(str(error))


def store_unavailable(error: StoreUnavailable) -> Problem:
    """Return the answer when Redis is away: nothing is lost, so the caller may try again."""
    logger.warning("the API waits for Redis: %s", error)
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The event store does not answer. Nothing is lost; try again soon.")
