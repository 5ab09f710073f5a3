"""Turn what is kept about an experiment into its history: what people did, and what the bandit decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType

from experiments.models import Allocation, Experiment

MOST_ENTRIES: Final = 200
ARMS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    at: datetime
    who: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    name: str
    share: float  # of new visitors, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """An allocation: who got how much from then on, and why."""

    at: datetime
    reason: str
    portions: Sequence[Portion]  # the largest first
    others: int  # arms not listed
    rest: float  # their share together


def of(experiment: Experiment) -> dict[str, Any]:
    return {"deeds": _deeds(experiment), "reviews": _reviews(experiment), "most": MOST_ENTRIES}


def _deeds(experiment: Experiment) -> list[Deed]:
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Experiment), object_id=str(experiment.pk)
    ).select_related("user")
    return [
        Deed(at=entry.action_time, who=str(entry.user), what=entry.get_change_message() or "Created.")
        for entry in entries.order_by("-action_time")[:MOST_ENTRIES]
    ]


def _reviews(experiment: Experiment) -> list[Review]:
    names = dict(experiment.arms.values_list("key", "variant__name"))
    return [_review(allocation, names) for allocation in experiment.allocations.order_by("-epoch")[:MOST_ENTRIES]]


def _review(allocation: Allocation, names: dict[str, str]) -> Review:
    by_size = sorted(allocation.shares.items(), key=lambda entry: -entry[1])
    shown = by_size[:ARMS_SHOWN]
    return Review(
        at=allocation.created_at,
        reason=allocation.reason[:1].upper() + allocation.reason[1:],
        portions=[Portion(name=names.get(key, key), share=share) for key, share in shown],
        others=len(by_size) - len(shown),
        rest=sum(share for _, share in by_size[ARMS_SHOWN:]),
    )
