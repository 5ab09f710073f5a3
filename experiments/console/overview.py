"""Turn the experiments into what the console's first page and list say of them, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse

from experiments.models import EXPOSURES, EpochCount, Experiment, Goal
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
    has_failed: bool  # its last request for variants

    @property
    def rate(self) -> float | None:
        return self.conversions / self.visitors if self.visitors else None

    @property
    def url(self) -> str:
        return workbench_url(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that waits for a person."""

    text: str
    name: str
    url: str
    button: str


def workbench_url(experiment_id: int) -> str:
    return reverse("admin:experiments_experiment_workbench", args=[experiment_id])


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


def rows(experiments: QuerySet[Experiment]) -> list[Row]:
    """Return every experiment, what needs attention first."""
    found = list(with_numbers(experiments).select_related("nursery__brief"))
    by_status = _variants_by_status(experiment.nursery_id for experiment in found)
    failed = _failed_nurseries()
    made = [
        Row(
            id=experiment.pk,
            name=experiment.name,
            status=experiment.status,
            words=STATUS_WORDS[Experiment.Status(experiment.status)],
            brief=experiment.nursery.brief.name,
            visitors=experiment.visitors,  # type: ignore[attr-defined]  # with_numbers adds it
            conversions=experiment.reached,  # type: ignore[attr-defined]  # with_numbers adds it
            drafts=by_status[experiment.nursery_id, Variant.Status.DRAFT],
            approved=by_status[experiment.nursery_id, Variant.Status.APPROVED],
            has_failed=experiment.nursery_id in failed,
        )
        for experiment in found
    ]
    return sorted(made, key=lambda row: (ORDER.index(row.status), -row.id))


def _variants_by_status(nurseries: Iterable[int]) -> dict[tuple[int, str], int]:
    counted = Variant.objects.filter(nursery__in=list(nurseries)).order_by().values_list("nursery", "status")
    numbers: dict[tuple[int, str], int] = defaultdict(int)
    numbers.update({(nursery, status): number for nursery, status, number in counted.annotate(Count("pk"))})
    return numbers


def _failed_nurseries() -> set[int]:
    newest = Generation.objects.filter(nursery=OuterRef("nursery")).order_by("-pk").values("pk")[:1]
    failed = Generation.objects.filter(status=Generation.Status.FAILED, pk=Subquery(newest))
    return set(failed.values_list("nursery", flat=True))


def decisions(found: Iterable[Row]) -> list[Decision]:
    """Return what waits for a person, at most one entry for an experiment."""
    made = []
    for row in found:
        for text, button in islice(_waiting(row), 1):
            made.append(Decision(text=text, button=button, name=row.name, url=row.url))
    return made


def _waiting(row: Row) -> Iterator[tuple[str, str]]:
    """Yield what an experiment waits for and the words of the button, the most pressing first."""
    is_draft = row.status == Experiment.Status.DRAFT
    if row.has_failed:
        yield "The last request for variants failed.", "See why"
    if row.drafts:
        yield f"{row.drafts} {'variant waits' if row.drafts == 1 else 'variants wait'} for your review.", "Review"
    if is_draft and row.approved:
        yield f"{row.approved} approved, not started yet.", "Start"
    if is_draft:
        yield "It has no variants yet.", "Grow variants"
    if row.status == Experiment.Status.PAUSED:
        yield "It is paused: new visitors see the control.", "Decide"
    if row.status == Experiment.Status.FINISHED:
        yield "It is finished. Choose the variant everybody sees from now on.", "Choose"
