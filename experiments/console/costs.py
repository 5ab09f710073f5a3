"""What the language model has cost an experiment: each day, each kind of work, and each single call, also as CSV."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET

from experiments.console import workbench
from experiments.console.views import View, frame, opens, user_of
from experiments.models import Experiment
from experiments.reporting.export import BYTE_ORDER_MARK, csv_lines
from variants import ledger
from variants.models import MICRO_USD, ModelCall

MOST_CALLS: Final = 200
CENT: Final = 10_000  # millionths of a dollar
DONE: Final = {
    ModelCall.Purpose.PLAN: "Proposed directions",
    ModelCall.Purpose.PAGE: "Wrote a page",
    ModelCall.Purpose.REPAIR: "Put a page right",
    ModelCall.Purpose.COMPARE: "Compared a page with the others",
}
CAME_OUT: Final = {
    ModelCall.Outcome.UNDER_WAY: "is being written",
    ModelCall.Outcome.USED: "answered",
    ModelCall.Outcome.UNUSABLE: "answered, but could not be used",
    ModelCall.Outcome.REFUSED: "declined",
    ModelCall.Outcome.FAILED: "did not answer",
    ModelCall.Outcome.LOST: "was cut off; counted as the most it can have cost",
}
COLUMNS: Final = (
    "experiment", "asked_at", "ended_at", "purpose", "outcome", "model", "prompt_version", "tokens_read",
    "tokens_written", "cost_usd", "asked_by",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Calls of one day, or of one kind, together."""

    name: str
    came_out: str
    model: str
    calls: int
    tokens: str
    cost: str  # dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    at: datetime
    name: str
    came_out: str
    model: str
    read: str  # tokens
    written: str
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    name: str
    most: str
    left: str
    share_used: float  # 0 to 1


def of(experiment: Experiment, *, user_id: int | None) -> dict[str, Any]:
    """Return what the page of an experiment's costs shows."""
    calls = _calls(experiment)
    return {
        "spent": usd(ledger.spent(experiment.nursery_id)),
        "limits": [_limit(limit) for limit in ledger.limits(experiment.nursery_id, generation=None, user_id=user_id)],
        "count": calls.count(),
        "days": list(_days(calls)),
        "kinds": list(_kinds(calls)),
        "calls": [_call(call) for call in calls.order_by("-pk")[:MOST_CALLS]],
        "most": MOST_CALLS,
    }


def usd(micro_usd: int) -> str:
    """Return dollars as people write them, with more digits where there is less than a cent."""
    exact = micro_usd / MICRO_USD
    return f"{exact:.2f}" if micro_usd == 0 or micro_usd >= CENT else f"{exact:.4f}"


def _calls(experiment: Experiment) -> QuerySet[ModelCall]:
    return ModelCall.objects.filter(generation__nursery=experiment.nursery_id)


def _limit(limit: ledger.Limit) -> Limit:
    used = min(1.0, limit.used_micro_usd / limit.most_micro_usd) if limit.most_micro_usd else 1.0
    name = f"{limit.name[:1].upper()}{limit.name[1:]}"
    return Limit(name=name, most=usd(limit.most_micro_usd), left=usd(limit.left_micro_usd), share_used=used)


def _days(calls: QuerySet[ModelCall]) -> Iterator[Line]:
    """Yield days, the newest first."""
    rows = calls.annotate(day=TruncDate("asked_at", tzinfo=UTC)).values("day").annotate(**_SUMS).order_by("-day")
    for row in map(dict[str, Any], rows):
        day: date = row["day"]
        yield _line(row, f"{day.day} {day:%b %Y}")


def _kinds(calls: QuerySet[ModelCall]) -> Iterator[Line]:
    """Yield kinds of work by model and outcome, the dearest first."""
    rows = calls.values("purpose", "outcome", "model").annotate(**_SUMS).order_by("purpose", "outcome", "model")
    for row in sorted(map(dict[str, Any], rows), key=lambda row: -row["cost"]):
        done, came_out = ModelCall.Purpose(row["purpose"]), ModelCall.Outcome(row["outcome"])
        yield _line(row, DONE[done], CAME_OUT[came_out], row["model"])


_SUMS: Final[dict[str, Any]] = {
    "calls": Count("pk"),
    "tokens": Sum(F("prompt_tokens") + F("completion_tokens")),
    "cost": Sum("cost_micro_usd"),
}


def _line(row: dict[str, Any], name: str, came_out: str = "", model: str = "") -> Line:
    return Line(
        name=name,
        came_out=came_out,
        model=model,
        calls=row["calls"],
        tokens=f"{row['tokens']:,}",
        cost=usd(row["cost"]),
    )


def _call(call: ModelCall) -> Call:
    return Call(
        at=call.asked_at,
        name=DONE[ModelCall.Purpose(call.purpose)],
        came_out=CAME_OUT[ModelCall.Outcome(call.outcome)],
        model=call.model,
        read=f"{call.prompt_tokens:,}",
        written=f"{call.completion_tokens:,}",
        cost=usd(call.cost_micro_usd),
    )


def costs_csv(experiment: Experiment) -> Iterator[str]:
    """Yield one line per call, oldest first."""
    yield BYTE_ORDER_MARK
    yield from csv_lines([COLUMNS])
    calls = _calls(experiment).select_related("user").order_by("pk")
    yield from csv_lines(_cells(experiment, call) for call in calls.iterator(chunk_size=1000))


def _cells(experiment: Experiment, call: ModelCall) -> list[Any]:
    times = [at.isoformat(timespec="seconds") if at else "" for at in (call.asked_at, call.ended_at)]
    counted = [call.prompt_tokens, call.completion_tokens, Decimal(call.cost_micro_usd) / MICRO_USD]
    said = [call.purpose, call.outcome, call.model, call.prompt_version]
    return [experiment.slug, *times, *said, *counted, str(call.user or "")]


@require_GET
@opens(workbench.GROW)
def costs(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show what the language model has cost."""
    context = {**frame(request, experiment), **of(experiment, user_id=user_of(request).pk)}
    return render(request, "console/costs.html", {**context, "title": f"Costs of {experiment.name}"})


@require_GET
@opens(workbench.GROW)
def download(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Send every call as CSV."""
    name = f"{experiment.slug}-costs.csv"
    return HttpResponse(
        "".join(costs_csv(experiment)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of this module; `guard` is the admin site's check that somebody is logged in."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/costs/", costs, "costs"),
        ("<int:pk>/costs.csv", download, "costs_csv"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
