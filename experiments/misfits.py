"""Which pages that people approved do not match their brief any more: those that visitors see, and those that wait.

variants/recheck.py holds every variant against its brief whenever that is changed and keeps what came of it
(`Variant.misfit`). This only reads, for as many experiments as there are in two queries.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from django.db.models import F, Q, QuerySet

from experiments.models import Arm, Experiment
from variants.models import Variant

Status = Experiment.Status
MOST_SAID: Final = 3
# What people see, or will: once it is over that is one page, the winner's or the control's.
GOING: Final = Q(
    experiment__status__in=[Status.RUNNING, Status.PAUSED], status__in=[Arm.Status.LIVE, Arm.Status.WAITING]
)
ENDED: Final = Q(experiment__status=Status.FINISHED, variant__is_control=True)
CHOSEN: Final = Q(experiment__status=Status.PROMOTED, pk=F("experiment__winner"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfits:
    """What the pages of one experiment say, or lack, that their brief does not cover."""

    live: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        return len(self.live) + len(self.waiting)

    @property
    def them(self) -> str:
        return "it" if self.number == 1 else "them"

    @property
    def they_rest(self) -> str:
        return "it rests" if self.number == 1 else "they rest"

    @property
    def heading(self) -> str:
        if not self.live:
            return _match(len(self.waiting), "approved variant")
        told = _match(len(self.live), "live page")
        waiting = len(self.waiting)
        return f"{told}, nor {'does' if waiting == 1 else 'do'} {waiting} that {_wait(waiting)}" if waiting else told

    @property
    def words(self) -> str:
        """What they say, each once."""
        said = list(dict.fromkeys([*self.live, *self.waiting]))
        rest = len(said) - MOST_SAID
        return ", ".join(said[:MOST_SAID]) + (f" and {rest} more" if rest > 0 else "")

    @property
    def text(self) -> str:
        return f"{self.heading}: {self.words}."

    @property
    def of_visitors(self) -> str:
        """What visitors see that the brief does not cover any more, in a sentence for whoever is not looking."""
        seen = replace(self, waiting=())
        return f"{seen.text} Visitors go on seeing {seen.them} until somebody takes {seen.them} out or mends the brief."


def _match(number: int, what: str) -> str:
    return f"1 {what} no longer matches the brief" if number == 1 else f"{number} {what}s no longer match the brief"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def of_all() -> dict[int, Misfits]:
    """Return the misfits of each experiment that has any."""
    return _grouped(_of_arms(Arm.objects.all()), _of_drafts(Variant.objects.all()))


def of(experiment: Experiment) -> Misfits | None:
    if experiment.status == Status.DRAFT:
        found = _grouped([], _of_drafts(Variant.objects.filter(nursery=experiment.nursery_id)))
    else:
        found = _grouped(_of_arms(experiment.arms.all()), [])
    return found.get(experiment.pk)


def _of_arms(arms: QuerySet[Arm]) -> Iterable[tuple[int, str, str]]:
    found = arms.filter(GOING | ENDED | CHOSEN).exclude(variant__misfit="").order_by("pk")
    return found.values_list("experiment", "status", "variant__misfit")


def _of_drafts(variants: QuerySet[Variant]) -> Iterable[tuple[int, str]]:
    approved = variants.filter(status=Variant.Status.APPROVED, nursery__experiment__status=Status.DRAFT)
    return approved.exclude(misfit="").order_by("pk").values_list("nursery__experiment", "misfit")


def _grouped(arms: Iterable[tuple[int, str, str]], drafts: Iterable[tuple[int, str]]) -> dict[int, Misfits]:
    live, waiting = defaultdict[int, list[str]](list), defaultdict[int, list[str]](list)
    for pk, status, misfit in arms:
        (waiting if status == Arm.Status.WAITING else live)[pk].append(misfit)
    for pk, misfit in drafts:
        waiting[pk].append(misfit)
    return {pk: Misfits(live=tuple(live[pk]), waiting=tuple(waiting[pk])) for pk in {*live, *waiting}}
