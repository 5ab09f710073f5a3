"""The API's part about breeding: its walls, its switch, a round now, the family tree, and a new page of today."""

from datetime import time
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import AwareDatetime, ConfigDict, Field

from experiments import evolution, lifecycle, walls
from experiments.api.experiments import ArmKey, ExperimentOut
from experiments.models import Evolution, Experiment
from experiments.reporting import lineage
from variants.problems import Conflict, Invalid, require

router = Router(tags=["evolution"])

MAY_SWITCH = "experiments.start_experiment"
MAY_APPROVE = "variants.approve_variant"


class WallsIn(Schema):
    """Every wall; what is left out stands at its default."""

    model_config = ConfigDict(extra="forbid")

    genes: list[str] | None = None  # that may vary: angle, headline, offer …; null for all
    directions: list[int] | None = None  # ids of those that may vary; null for all, also later ones
    is_autopilot: bool = False
    usd_per_day: Annotated[Decimal, Field(ge=0, le=walls.MOST_USD)] | None = None
    rounds_per_week: int = 7
    unproven_share: Annotated[float, Field(allow_inf_nan=False)] = 0.1
    quiet_from: time | None = None
    quiet_until: time | None = None
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"


class WallsOut(Schema):
    genes: list[str] | None
    directions: list[int] | None
    is_autopilot: bool
    usd_per_day: Decimal | None
    rounds_per_week: int
    unproven_share: float
    quiet_from: time | None
    quiet_until: time | None
    time_zone: str
    is_on: bool  # whether pages breed
    waits_for: str  # in words; empty while it is at work
    stopped_reason: str
    stopped_at: AwareDatetime | None


class BreedOut(Schema):
    status: str = "asked"


class ControlIn(Schema):
    model_config = ConfigDict(extra="forbid")

    arm: ArmKey


@router.get("/experiments/{experiment_id}/walls", response=WallsOut)
def read_walls(request: HttpRequest, experiment_id: int) -> WallsOut:
    """Return within which walls an experiment's pages breed, and whether they do."""
    require(request, "experiments.view_experiment")
    return _walls(get_object_or_404(Experiment, pk=experiment_id))


@router.put("/experiments/{experiment_id}/walls", response=WallsOut)
def set_walls(request: HttpRequest, experiment_id: int, payload: WallsIn) -> WallsOut:
    """Move the walls; the next look goes by them. Autopilot takes the right to approve."""
    user = require(request, *walls.MAY_MOVE)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if payload.is_autopilot and not walls.of(experiment).is_autopilot:
        require(request, MAY_APPROVE)
    given = payload.model_dump()
    for name in ("genes", "directions"):
        given[name] = None if given[name] is None else tuple(given[name])
    try:
        walls.move(experiment, walls.Walls(**given), by=user)
    except walls.BadWall as error:
        raise Invalid([{"field": error.field, "reason": str(error)}]) from error
    return _walls(experiment)


def _walls(experiment: Experiment) -> WallsOut:
    found = walls.of(experiment)
    kept = Evolution.objects.filter(experiment=experiment).first() or Evolution(experiment=experiment)
    return WallsOut(
        genes=None if found.genes is None else list(found.genes),
        directions=None if found.directions is None else list(found.directions),
        is_autopilot=found.is_autopilot,
        usd_per_day=found.usd_per_day,
        rounds_per_week=found.rounds_per_week,
        unproven_share=found.unproven_share,
        quiet_from=found.quiet_from,
        quiet_until=found.quiet_until,
        time_zone=found.time_zone,
        is_on=kept.is_on,
        waits_for=kept.note,
        stopped_reason=kept.stopped_reason,
        stopped_at=kept.stopped_at,
    )


@router.post("/experiments/{experiment_id}/breeding", response=WallsOut)
def switch_on(request: HttpRequest, experiment_id: int) -> WallsOut:
    """Let pages breed within the walls, for as long as the experiment runs."""
    user = require(request, MAY_SWITCH)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    walls.switch_on(experiment, by=user)
    return _walls(experiment)


@router.delete("/experiments/{experiment_id}/breeding", response=WallsOut)
def switch_off(request: HttpRequest, experiment_id: int) -> WallsOut:
    """Stop breeding; pages that are live stay."""
    user = require(request, *walls.MAY_MOVE)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    walls.switch_off(experiment, by=user)
    return _walls(experiment)


@router.post("/experiments/{experiment_id}/breed", response={202: BreedOut})
def breed_now(request: HttpRequest, experiment_id: int) -> Status[BreedOut]:
    """Ask for a round before it is due; 409 with the reason while a wall stands in its way."""
    user = require(request, MAY_SWITCH)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    lifecycle.refuse_unless(experiment, {Experiment.Status.RUNNING}, "breed pages of")
    if not walls.want_round(experiment, by=user):
        raise Conflict("Breeding is switched off. Switch it on first.")
    if reason := evolution.why_not_now(experiment):
        raise Conflict(f"It is noted, but cannot begin yet: {reason}")
    evolution.request_tick(experiment)
    return Status(HTTPStatus.ACCEPTED, BreedOut())


@router.get("/experiments/{experiment_id}/lineage")
def read_lineage(request: HttpRequest, experiment_id: int) -> dict[str, Any]:
    """Return the family tree of every variant, what each way to breed earned, and what was learnt."""
    require(request, "experiments.view_experiment")
    return lineage.as_json(lineage.of(get_object_or_404(Experiment, pk=experiment_id)))


@router.post("/experiments/{experiment_id}/control", response=ExperimentOut)
def change_control(request: HttpRequest, experiment_id: int, payload: ControlIn) -> Experiment:
    """Let a page that was proved take today's page's place, and go on; 409 where it was not proved."""
    user = require(request, MAY_SWITCH)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    arm = experiment.arms.select_related("variant").filter(key=payload.arm).first()
    if arm is None:
        known = ", ".join(experiment.arms.values_list("key", flat=True))
        raise Invalid([{"field": "arm", "reason": f"There is no arm {payload.arm!r}; the arms are {known}."}])
    return lifecycle.change_control(experiment, arm, by=user)
