"""Turn the experiments into what the console's first page and list say of them.

A fixed number of queries, however many experiments there are: numbers and sparklines are read for the page that is
shown, what waits and what is unhealthy for all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from experiments import lifecycle, misfits
from experiments.console.browse import MISFIT
from experiments.misfits import Misfits
from experiments.models import EXPOSURES, Destination, EpochCount, Experiment, Goal, Notice
from variants.models import Generation, Variant

STATUS_WORDS = {
    Experiment.Status.DRAFT: "Draft",
    Experiment.Status.RUNNING: "Running",
    Experiment.Status.PAUSED: "Paused",
    Experiment.Status.FINISHED: "Finished",
    Experiment.Status.PROMOTED: "Winner chosen",
}
DAY, MINUTE = "j M Y", "j M Y, H:i"  # how the console and the report write dates
OVER = frozenset({Experiment.Status.FINISHED, Experiment.Status.PROMOTED})
# What runs is looked at first, then what waits for somebody.
ORDER = ("running", "paused", "draft", "finished", "promoted")


PER_PAGE: Final = 25
MOST_DECISIONS: Final = 6  # shown at once, the most pressing first
MOST_FAULTS: Final = 6
SPARK_DAYS: Final = 14
SPARK_POINTS: Final = 28
FEWEST_POINTS: Final = 4  # hours: fewer are no line
SPARK_WIDTH, SPARK_HEIGHT = 112, 28  # of its view box


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """How many visitors came lately, as a line."""

    points: str  # of an SVG polyline
    area: str  # the same, closed at the foot
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An experiment as a line of the console."""

    id: int
    name: str
    status: str
    words: str
    brief: str
    visitors: int
    conversions: int
    drafts: int
    approved: int
    spark: Spark | None
    plan: str  # when it is to start or to end, in words

    @property
    def rate(self) -> float | None:
        return self.conversions / self.visitors if self.visitors else None

    @property
    def url(self) -> str:
        if self.status == Experiment.Status.DRAFT:
            return reverse("admin:experiments_go_on", args=[self.id])  # to the first of its five steps that is not done
        return workbench_url(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that waits for a person."""

    text: str
    name: str
    url: str
    button: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is wrong with an experiment, or with Greenhouse itself."""

    name: str
    text: str
    url: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A status to look at alone."""

    status: str
    words: str
    number: int
    is_here: bool


def workbench_url(experiment_id: int) -> str:
    return reverse("admin:experiments_experiment_workbench", args=[experiment_id])


def misfits_url(experiment_id: int) -> str:
    """Return the gallery of what no longer matches the brief."""
    return f"{reverse('admin:experiments_gallery', args=[experiment_id])}?found={MISFIT}"


def seen_by_all(experiment: Experiment) -> Variant | None:
    """Return what everyone sees once the experiment is over: the winner, or the control until one is chosen."""
    if experiment.winner is not None:
        return experiment.winner.variant
    return experiment.nursery.variants.filter(is_control=True).first()


def with_numbers(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    """Add `visitors` and `reached` (conversions of the goal that decides) to each experiment."""
    counts = EpochCount.objects.filter(arm__experiment=OuterRef("pk")).order_by().values("arm__experiment")
    deciding = Goal.objects.filter(experiment=OuterRef("arm__experiment"), is_primary=True).values("key")[:1]
    total = Sum("count")
    return experiments.annotate(
        visitors=Coalesce(Subquery(counts.filter(measure=EXPOSURES).annotate(n=total).values("n")), 0),
        reached=Coalesce(Subquery(counts.filter(measure=Subquery(deciding)).annotate(n=total).values("n")), 0),
    )


def tabs(shown: str) -> list[Tab]:
    """Return how many experiments there are in each status, those that have any; first all of them."""
    counted = dict(Experiment.objects.order_by().values_list("status").annotate(Count("pk")))
    found = [
        Tab(
            status=status,
            words=STATUS_WORDS[Experiment.Status(status)],
            number=counted[status],
            is_here=shown == status,
        )
        for status in ORDER
        if status in counted
    ]
    return [Tab(status="", words="All", number=sum(counted.values()), is_here=shown not in counted), *found]


def page(sent: Mapping[str, str]) -> tuple[Page[Any], list[Row]]:
    """Return one page of the experiments that an address asks for, what needs attention first."""
    whens = [When(status=status, then=Value(place)) for place, status in enumerate(ORDER)]
    found = Experiment.objects.annotate(place=Case(*whens, output_field=IntegerField())).order_by("place", "-pk")
    if (status := sent.get("status", "")) in STATUS_WORDS:
        found = found.filter(status=status)
    if words := sent.get("q", "").strip():
        found = found.filter(name__icontains=words)
    shown = Paginator(found.select_related("nursery__brief").prefetch_related("goals"), PER_PAGE).get_page(
        sent.get("page")
    )
    return shown, _rows(list(shown))


def _rows(found: Sequence[Experiment]) -> list[Row]:
    now = timezone.now()
    numbers = _numbers(found)
    by_status = _variants_by_status(Variant.objects.filter(nursery__in=[shown.nursery_id for shown in found]))
    sparks = _sparks(found, now)
    return [
        Row(
            id=experiment.pk,
            name=experiment.name,
            status=experiment.status,
            words=STATUS_WORDS[Experiment.Status(experiment.status)],
            brief=experiment.nursery.brief.name,
            visitors=numbers[experiment.pk, EXPOSURES],
            conversions=numbers[experiment.pk, _deciding(experiment)],
            drafts=by_status[experiment.nursery_id, Variant.Status.DRAFT],
            approved=by_status[experiment.nursery_id, Variant.Status.APPROVED],
            spark=sparks.get(experiment.pk),
            plan=_plan(experiment),
        )
        for experiment in found
    ]


def _deciding(experiment: Experiment) -> str:
    return next((goal.key for goal in experiment.goals.all() if goal.is_primary), "")


def _plan(experiment: Experiment) -> str:
    if experiment.schedule_problem:
        return "its planned start did not happen"
    if experiment.status == Experiment.Status.DRAFT and experiment.starts_at:
        return f"starts {lifecycle.local_words(experiment.starts_at, experiment.time_zone)}"
    if experiment.status in lifecycle.GOING and experiment.ends_at:
        return f"ends {lifecycle.local_words(experiment.ends_at, experiment.time_zone)}"
    return ""


def _numbers(found: Iterable[Experiment]) -> dict[tuple[int, str], int]:
    counted = EpochCount.objects.filter(arm__experiment__in=[shown.pk for shown in found]).order_by()
    numbers: dict[tuple[int, str], int] = defaultdict(int)
    for experiment, measure, number in counted.values_list("arm__experiment", "measure").annotate(Sum("count")):
        numbers[experiment, measure] = number
    return numbers


def _sparks(found: Iterable[Experiment], now: datetime) -> dict[int, Spark]:
    """Draw how many visitors came over the last two weeks, or since the start if that is not as long ago."""
    going = [shown for shown in found if shown.status in lifecycle.GOING and shown.started_at]
    since = now - timedelta(days=SPARK_DAYS)
    counted = EpochCount.objects.filter(
        arm__experiment__in=[shown.pk for shown in going], measure=EXPOSURES, hour__gte=since
    ).order_by()
    by_hour: dict[int, dict[datetime, int]] = defaultdict(dict)
    for experiment, hour, number in counted.values_list("arm__experiment", "hour").annotate(Sum("count")):
        by_hour[experiment][hour] = number
    drawn = {shown.pk: _spark(by_hour[shown.pk], max(since, shown.started_at or since), now) for shown in going}
    return {pk: spark for pk, spark in drawn.items() if spark}


def _spark(by_hour: Mapping[datetime, int], since: datetime, now: datetime) -> Spark | None:
    since = min([since, *by_hour])
    points = min(SPARK_POINTS, int((now - since).total_seconds() // 3600) + 1)
    if points < FEWEST_POINTS:
        return None
    bins = [0] * points
    span = max((now - since).total_seconds(), 1.0)
    for hour, number in by_hour.items():
        bins[min(points - 1, int((hour - since).total_seconds() / span * points))] += number
    top = max(*bins, 1)
    step = SPARK_WIDTH / (points - 1)
    line = " ".join(
        f"{place * step:.1f},{SPARK_HEIGHT - 1 - number / top * (SPARK_HEIGHT - 2):.1f}"
        for place, number in enumerate(bins)
    )
    days = round(span / 86_400)
    lately = f"the last {days} days" if days > 1 else "the last day"
    return Spark(
        points=line,
        area=f"0,{SPARK_HEIGHT} {line} {SPARK_WIDTH},{SPARK_HEIGHT}",
        words=f"{sum(bins):,} visitors over {lately}",
    )


def _variants_by_status(variants: QuerySet[Variant]) -> dict[tuple[int, str], int]:
    counted = variants.order_by().values_list("nursery", "status").annotate(Count("pk"))
    numbers: dict[tuple[int, str], int] = defaultdict(int)
    numbers.update({(nursery, status): number for nursery, status, number in counted})
    return numbers


# --- what waits for somebody ----------------------------------------------------------------------------------------

PRESSING: Final = (
    "misfit", "failed", "unplanned", "winner", "finished", "paused", "changes", "review", "start", "grow",
)  # fmt: skip


def decisions() -> tuple[list[Decision], int]:
    """Return what waits for a person, the most pressing first, at most one for an experiment; and how many more."""
    status = Experiment.Status
    unfit = misfits.of_all()
    waiting = Experiment.objects.exclude(~Q(pk__in=unfit), status=status.PROMOTED)
    names = ("pk", "name", "status", "nursery", "schedule_problem", "starts_at", "standing")
    by_status = _variants_by_status(Variant.objects.filter(nursery__experiment__in=waiting.values("pk")))
    failed = _failed_nurseries()
    found = [
        (PRESSING.index(kind), _url(kind, row["pk"]), row["name"], text, button)
        for row in waiting.order_by("-pk").values(*names)
        for kind, text, button in islice(_waiting(row, by_status, row["nursery"] in failed, unfit.get(row["pk"])), 1)
    ]
    found.sort(key=itemgetter(0))
    made = [
        Decision(text=text, name=name, url=url, button=button) for _, url, name, text, button in found[:MOST_DECISIONS]
    ]
    return made, max(0, len(found) - MOST_DECISIONS)


def _url(kind: str, experiment_id: int) -> str:
    return misfits_url(experiment_id) if kind == "misfit" else workbench_url(experiment_id)


def _failed_nurseries() -> set[int]:
    newest = Generation.objects.filter(nursery=OuterRef("nursery")).order_by("-pk").values("pk")[:1]
    failed = Generation.objects.filter(status=Generation.Status.FAILED, pk=Subquery(newest))
    return set(failed.values_list("nursery", flat=True))


def _waiting(
    row: Mapping[str, Any],
    by_status: Mapping[tuple[int, str], int],
    has_failed: bool,  # noqa: FBT001 - of one caller
    unfit: Misfits | None,
) -> Iterator[tuple[str, str, str]]:
    """Yield what an experiment waits for: its kind, its words and those of the button."""
    is_draft = row["status"] == Experiment.Status.DRAFT
    drafts, approved = (by_status[row["nursery"], status] for status in (Variant.Status.DRAFT, Variant.Status.APPROVED))
    if unfit:
        yield "misfit", unfit.text, "Look at it" if unfit.number == 1 else "Look at them"
    if has_failed:
        yield "failed", "The last request for variants failed.", "See why"
    if row["schedule_problem"]:
        yield "unplanned", row["schedule_problem"], "See why"
    yield from _to_decide(row)
    changes = (row["standing"] or {}).get("changes", 0) if row["status"] == Experiment.Status.RUNNING else 0
    unseen = _changes_words(changes) if changes else ""
    if drafts and row["status"] not in OVER:
        waits = f"{drafts} {'variant waits' if drafts == 1 else 'variants wait'} for your review."
        yield "review", f"{waits} {unseen}".rstrip(), "Review"
    if unseen:
        yield "changes", unseen, "Look at them"
    if is_draft and approved and not row["starts_at"]:
        yield "start", f"{approved} approved, not started yet.", "Start"
    if is_draft and not approved:
        yield "grow", "It has no variants yet.", "Grow variants"


def _changes_words(number: int) -> str:
    what = "1 change of the brief or the brand waits" if number == 1 else f"{number} changes of brief and brand wait"
    return f"{what}: visitors do not see {'it' if number == 1 else 'them'} yet."


def _to_decide(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    status, standing = row["status"], row["standing"] or {}
    if status == Experiment.Status.RUNNING and standing.get("winner"):
        yield "winner", f"“{standing['winner_name']}” is better than today’s page, that is sure.", "Decide"
    if status == Experiment.Status.PAUSED:
        yield "paused", "It is paused: new visitors see the control.", "Decide"
    if status == Experiment.Status.FINISHED:
        yield "finished", "It is finished. Choose the variant everybody sees from now on.", "Choose"


# --- what is wrong --------------------------------------------------------------------------------------------------


def faults() -> tuple[list[Fault], int]:
    """Return what is wrong with experiments that run and what is spent, the newest first; and how many more."""
    topics = [Notice.Topic.UNHEALTHY, Notice.Topic.BUDGET]
    open_ones = Notice.objects.filter(topic__in=topics, ended_at__isnull=True, experiment__isnull=False)
    # The watch ends a notice within a minute; what was stopped or mended just now is left out at once.
    going = open_ones.filter(experiment__status=Experiment.Status.RUNNING) | open_ones.filter(topic=Notice.Topic.BUDGET)
    found = [
        Fault(name=name, text=text, url=workbench_url(pk), since=since)
        for pk, name, text, since in going.order_by("-pk").values_list(
            "experiment", "experiment__name", "text", "created_at"
        )
    ]
    return found[:MOST_FAULTS], max(0, len(found) - MOST_FAULTS)


def dead_destinations() -> list[Fault]:
    """Return where notifications do not arrive any more, so that they were switched off."""
    dead = Destination.objects.filter(is_on=False, switched_off_at__isnull=False).select_related("experiment")
    return [
        Fault(
            name=destination.get_kind_display(),
            text=f"No notification has arrived there for days, so it is switched off. {destination.last_error}",
            url=notifications_url(destination.experiment),
            since=destination.switched_off_at,
        )
        for destination in dead
    ]


def notifications_url(experiment: Experiment | None) -> str:
    """Return the page where one sets who is told: about one experiment, or about all."""
    if experiment is None:
        return reverse("admin:experiments_notifications")
    return reverse("admin:experiments_experiment_notifications", args=[experiment.pk])
