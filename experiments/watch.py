"""Look at all experiments at once, and find what somebody should know of: what is unhealthy, spent, or waits.

A fixed number of queries however many experiments there are. The pulse of an experiment says when its counts last grew,
as they came in: so a goal that is reached days after the visit is not taken for one that is never reached.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum

from experiments import lag, misfits, outbox
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment, Goal, Notice
from experiments.outbox import Finding
from experiments.reporting import wording
from variants.models import MICRO_USD, Generation, ModelCall, Variant

Status = Experiment.Status
Topic = Notice.Topic
WATCHED: Final = (Topic.UNHEALTHY, Topic.BUDGET, Topic.DECISION, Topic.WINNER)

# Nothing among this many that should have come happens by chance to one experiment in twenty thousand (Poisson: e^-10).
TOO_MANY_MISSED: Final = 10
QUIET: Final = timedelta(hours=12)  # nights are quiet
QUIET_UNKNOWN: Final = timedelta(hours=24)  # where nobody knows how many visitors to expect
LATE_GOALS: Final = timedelta(hours=24)  # goals other than forms and clicks may be reached long after the visit
USUAL_RATE: Final = 0.01  # of visitors who convert, where nothing is known
FEWEST_CONVERSIONS: Final = 5  # from which an experiment's own rate is one
LATE_SECONDS: Final = 300.0  # for which counting may be behind, as after a restart, before anybody is told
DEPLOYED_WITHIN: Final = timedelta(minutes=5)
SPENT: Final = 0.9  # of a budget: what is left seldom covers the most that another call can cost
ROWS_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """When an experiment's counts last grew."""

    visitors: int
    visitors_at: str  # ISO
    conversions: int
    conversions_at: str
    visitors_then: int  # when conversions last grew


def look(now: datetime) -> None:
    """Find what is so now, and tell of what is new."""
    behind = lag.measure()
    if sentences := behind.sentences():
        # What is not counted yet cannot be told from what did not happen: everything else waits.
        if not behind.is_known or behind.silent_hosts or behind.seconds > LATE_SECONDS:
            outbox.tell(Topic.UNHEALTHY, "counting", " ".join(sentences))
        return
    Experiment.objects.exclude(status=Status.RUNNING).filter(pulse__isnull=False).update(pulse=None)
    found = {(experiment, cause): finding for experiment, cause, finding in _findings(now)}
    outbox.keep(WATCHED, found)


type Found = tuple[int | None, str, Finding]


def _findings(now: datetime) -> Iterator[Found]:
    running = list(Experiment.objects.filter(status=Status.RUNNING).prefetch_related("goals"))
    yield from _unhealthy(running, now)
    yield from _stopped_arms()
    yield from _spent()
    yield from _waiting()
    yield from _unfit()
    for experiment in running:
        told = experiment.standing or {}
        if told.get("winner"):
            yield experiment.pk, f"winner {told['winner']}", Finding(topic=Topic.WINNER, text=told["text"])


# --- unhealthy ------------------------------------------------------------------------------------------------------


def _unhealthy(running: list[Experiment], now: datetime) -> Iterator[Found]:
    counts, changed = _counts(running), []
    for experiment in running:
        before, pulse = experiment.pulse, _beat(experiment, counts[experiment.pk], now)
        if experiment.pulse != before:
            changed.append(experiment)
        for cause, text in _symptoms(experiment, pulse, now):
            yield experiment.pk, cause, Finding(topic=Topic.UNHEALTHY, text=text)
    Experiment.objects.bulk_update(changed, ["pulse"], batch_size=ROWS_AT_ONCE)


def _counts(running: Iterable[Experiment]) -> dict[int, dict[str, int]]:
    rows = (
        EpochCount.objects.filter(arm__experiment__in=[experiment.pk for experiment in running])
        .order_by()
        .values_list("arm__experiment", "measure")
        .annotate(Sum("count"))
    )
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for experiment, measure, number in rows:
        found[experiment][measure] = number
    return found


def _beat(experiment: Experiment, counts: dict[str, int], now: datetime) -> Pulse:
    """Take the pulse anew, and leave it in the experiment for the caller to save."""
    deciding = next((goal.key for goal in experiment.goals.all() if goal.is_primary), "")
    visitors, conversions = counts.get(EXPOSURES, 0), counts.get(deciding, 0)
    at = now.isoformat()
    old = Pulse(**experiment.pulse) if experiment.pulse else None
    visitors_grew = old is None or old.visitors != visitors
    conversions_grew = old is None or old.conversions != conversions
    pulse = Pulse(
        visitors=visitors,
        visitors_at=at if old is None or visitors_grew else old.visitors_at,
        conversions=conversions,
        conversions_at=at if old is None or conversions_grew else old.conversions_at,
        visitors_then=visitors if old is None or conversions_grew else old.visitors_then,
    )
    experiment.pulse = asdict(pulse)
    return pulse


def _symptoms(experiment: Experiment, pulse: Pulse, now: datetime) -> Iterator[tuple[str, str]]:
    started = experiment.started_at or now
    if experiment.deployment_id is None and started < now - DEPLOYED_WITHIN:
        yield "not deployed", "It was started, but its pages are not made yet. Look whether a worker runs."
        return
    if experiment.frozen_at:
        yield (
            "sample ratio",
            "Visitors are not split as planned, so its numbers cannot be compared and shares stand still. Look for a "
            "redirect, a cache or robots in front of the page.",
        )
    quiet = now - datetime.fromisoformat(pulse.visitors_at)
    if quiet > _longest_quiet(experiment, pulse, now):
        yield "no visitors", f"No visitor has come for {wording.duration(quiet)}. Look whether the page can be reached."
    elif _lacks_conversions(experiment, pulse, now):
        missed = pulse.visitors - pulse.visitors_then
        yield (
            "no conversions",
            f"{missed:,} visitors came since the last conversion, where about {missed * _rate(experiment, pulse):,.0f} "
            "would be usual. Look whether the form or the button still works.",
        )


def _longest_quiet(experiment: Experiment, pulse: Pulse, now: datetime) -> timedelta:
    last = datetime.fromisoformat(pulse.visitors_at)  # what came after the last one would make any quiet look usual
    hours = max((last - (experiment.started_at or now)).total_seconds() / 3600, 1.0)
    expected = (experiment.visitors_per_day or 0) / 24 * experiment.traffic_share
    an_hour = pulse.visitors / hours if pulse.visitors else expected
    return max(QUIET, timedelta(hours=TOO_MANY_MISSED / an_hour)) if an_hour else QUIET_UNKNOWN


def _rate(experiment: Experiment, pulse: Pulse) -> float:
    if pulse.conversions >= FEWEST_CONVERSIONS and pulse.visitors_then:
        return pulse.conversions / pulse.visitors_then
    return experiment.usual_rate or USUAL_RATE


def _lacks_conversions(experiment: Experiment, pulse: Pulse, now: datetime) -> bool:
    goal = next((goal for goal in experiment.goals.all() if goal.is_primary), None)
    waited = now - datetime.fromisoformat(pulse.conversions_at)
    if goal is None or (goal.kind not in {Goal.Kind.FORM, Goal.Kind.CLICK} and waited < LATE_GOALS):
        return False
    return (pulse.visitors - pulse.visitors_then) * _rate(experiment, pulse) >= TOO_MANY_MISSED


def _stopped_arms() -> Iterator[Found]:
    stopped = Arm.objects.filter(status=Arm.Status.PAUSED, experiment__status=Status.RUNNING).select_related("variant")
    for arm in stopped:
        text = f"“{arm.variant}” gets no new visitors: {arm.reason}."
        yield arm.experiment_id, f"guardrail {arm.key}", Finding(topic=Topic.UNHEALTHY, text=text)


# --- spent, and waiting ---------------------------------------------------------------------------------------------


def _open() -> QuerySet[Experiment]:
    return Experiment.objects.exclude(status__in=[Status.FINISHED, Status.PROMOTED])


def _spent() -> Iterator[Found]:
    limited = _open().filter(nursery__budget_micro_usd__isnull=False)
    rows = limited.values_list("pk", "nursery", "nursery__budget_micro_usd")
    most = {nursery: (pk, limit or 0) for pk, nursery, limit in rows}
    calls = ModelCall.objects.filter(generation__nursery__in=most).order_by().values_list("generation__nursery")
    for nursery, spent in calls.annotate(Sum("cost_micro_usd")):
        pk, limit = most[nursery]
        if spent >= SPENT * limit:
            told = f"${spent / MICRO_USD:.2f} of ${limit / MICRO_USD:.2f}"
            text = f"Its budget for the language model is spent ({told}): few or no more variants can be written."
            yield pk, "budget", Finding(topic=Topic.BUDGET, text=text)


def _waiting() -> Iterator[Found]:
    growing = Generation.objects.filter(status__in=[Generation.Status.QUEUED, Generation.Status.RUNNING])
    newest = Generation.objects.filter(nursery=OuterRef("nursery")).order_by("-pk").values("pk")[:1]
    failed = Generation.objects.filter(status=Generation.Status.FAILED, pk=Subquery(newest))
    quiet = _open().exclude(nursery__in=growing.values("nursery"))
    drafts = quiet.filter(nursery__variants__status=Variant.Status.DRAFT).annotate(drafts=Count("nursery__variants"))
    for pk, number in drafts.values_list("pk", "drafts"):
        what = "1 variant waits" if number == 1 else f"{number} variants wait"
        yield pk, "review", Finding(topic=Topic.DECISION, text=f"{what} for review.")
    for pk in quiet.filter(nursery__in=failed.values("nursery")).values_list("pk", flat=True):
        yield pk, "failed", Finding(topic=Topic.DECISION, text="The last request for variants failed.")
    for pk in Experiment.objects.filter(status=Status.FINISHED).values_list("pk", flat=True):
        text = "It is finished. Choose the variant everybody sees from now on."
        yield pk, "choose", Finding(topic=Topic.DECISION, text=text)


def _unfit() -> Iterator[Found]:
    """Give what visitors see and the brief does not cover any more; what only waits is told of at the start."""
    for pk, found in misfits.of_all().items():
        if found.live:
            yield pk, "misfit", Finding(topic=Topic.DECISION, text=found.of_visitors)
