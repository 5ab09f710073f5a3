"""The API's part about experiments that run: their plan, arms that leave, and what people did."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema
from ninja.pagination import paginate
from pydantic import AwareDatetime, ConfigDict, Field

from experiments import deeds, flags, lifecycle, surroundings
from experiments.api.experiments import ArmKey, ExperimentOut
from experiments.models import Experiment
from variants.problems import Invalid, Paged, require

router = Router(tags=["experiments"])


LAST_DAY = datetime(9000, 1, 1, tzinfo=UTC)  # every zone's clocks can still show it


class PlanIn(Schema):
    model_config = ConfigDict(extra="forbid")

    starts_at: Annotated[AwareDatetime, Field(le=LAST_DAY)] | None = None
    ends_at: Annotated[AwareDatetime, Field(le=LAST_DAY)] | None = None
    time_zone: str = "UTC"  # in which people are told of it


class PersonIn(Schema):
    model_config = ConfigDict(extra="forbid")

    targeting_key: Annotated[str, Field(min_length=1, max_length=flags.LONGEST_KEY)]


class ForgottenOut(Schema):
    forgotten: bool  # false: nothing was kept of that person


class PlanOut(Schema):
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    time_zone: str
    problem: str  # why a planned start did not happen


class DeedOut(Schema):
    at: AwareDatetime
    who: str
    what: str

    @staticmethod
    def resolve_at(entry: LogEntry) -> Any:
        return entry.action_time

    @staticmethod
    def resolve_who(entry: LogEntry) -> str:
        return str(entry.user)

    @staticmethod
    def resolve_what(entry: LogEntry) -> str:
        return deeds.told(entry, shows_where=False)


@router.put("/experiments/{experiment_id}/schedule", response=PlanOut)
def plan(request: HttpRequest, experiment_id: int, payload: PlanIn) -> dict[str, Any]:
    """Plan when an experiment starts and ends; null for by hand."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if payload.time_zone not in available_timezones():
        raise Invalid([{"field": "time_zone", "reason": f"There is no time zone {payload.time_zone!r}."}])
    try:
        lifecycle.plan(
            experiment, starts_at=payload.starts_at, ends_at=payload.ends_at, zone=payload.time_zone, by=user
        )
    except lifecycle.BadTime as error:
        raise Invalid([{"field": "starts_at" if payload.starts_at else "ends_at", "reason": str(error)}]) from error
    return _plan_of(experiment)


@router.get("/experiments/{experiment_id}/schedule", response=PlanOut)
def read_plan(request: HttpRequest, experiment_id: int) -> dict[str, Any]:
    """Return what is planned, and why an earlier plan was not carried out."""
    require(request, "experiments.view_experiment")
    return _plan_of(get_object_or_404(Experiment, pk=experiment_id))


def _plan_of(experiment: Experiment) -> dict[str, Any]:
    return {
        "starts_at": experiment.starts_at,
        "ends_at": experiment.ends_at,
        "time_zone": experiment.time_zone,
        "problem": experiment.schedule_problem,
    }


@router.post("/experiments/{experiment_id}/arms/{key}/retire", response=ExperimentOut)
def retire(request: HttpRequest, experiment_id: int, key: ArmKey) -> Experiment:
    """Send no new visitors to an arm; those who know it keep it."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    return lifecycle.retire(experiment, get_object_or_404(experiment.arms.select_related("variant"), key=key), by=user)


class ChangesOut(Schema):
    digest: str  # stands for all that was read; `renew` takes it back
    changes: list[str]  # in words, before → after; empty: the live pages are as brief and brand say


@router.get("/experiments/{experiment_id}/changes", response=ChangesOut)
def changes(request: HttpRequest, experiment_id: int) -> ChangesOut:
    """Say what was changed in brief and brand since the live pages were made with them."""
    require(request, "experiments.view_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    return ChangesOut(digest=surroundings.digest(experiment), changes=surroundings.differences(experiment))


@router.post("/experiments/{experiment_id}/renew", response=ExperimentOut)
def renew(request: HttpRequest, experiment_id: int, read: str | None = None) -> Experiment:
    """Put what was changed in brief and brand on the live pages; 409 if it is not what the digest `read` stands for."""
    user = require(request, "experiments.start_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    lifecycle.renew(experiment, by=user, read=read)
    experiment.refresh_from_db()
    return experiment


@router.get("/experiments/{experiment_id}/history", response=list[DeedOut])
@paginate(Paged)
def history(request: HttpRequest, experiment_id: int) -> Any:
    """List who did what to an experiment, its brief and its brand, newest first."""
    require(request, "experiments.view_experiment")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    return deeds.about(experiment)


@router.post("/experiments/{experiment_id}/forget", response=ForgottenOut)
def forget(request: HttpRequest, experiment_id: int, payload: PersonIn) -> ForgottenOut:
    """Delete what is kept of an app's visitor; totals stay. Not by an app's key, which anybody can read in the app."""
    require(request, "experiments.delete_lead")
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    person = flags.Person(targeting_key=payload.targeting_key)
    return ForgottenOut(forgotten=flags.forget(experiment, person, now=timezone.now()))
