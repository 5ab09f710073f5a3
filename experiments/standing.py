"""What of an experiment's report the console's first page and its notifications go by: the verdict, and what the bandit
brought beyond an equal split.

A report takes a good part of a second, so it is not made for a thousand experiments at once: workers judge each every
few minutes and keep the little that is needed.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from experiments import surroundings
from experiments.models import Experiment
from experiments.reporting.report import Report, build
from experiments.reporting.values import ArmReport

JUDGED_AFTER_THE_END = timedelta(hours=1)  # what still comes in then


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an experiment stood when it was last judged."""

    state: str  # of its verdict
    text: str
    winner: str  # the key of the arm that is better than today's page for sure; empty while none is
    winner_name: str
    extra: float | None  # conversions beyond what an equal split would have brought; None while it is too early
    extra_low: float | None
    extra_high: float | None
    changes: int  # of brief and brand that no live page has yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Extra conversions over all experiments."""

    experiments: int  # that have something to say
    extra: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out that it brought nothing."""
        return self.low > 0 or self.high < 0


def to_judge(now: datetime) -> list[int]:
    """Return the experiments whose standing may have changed."""
    ended = Q(finished_at__gt=now - JUDGED_AFTER_THE_END)
    return list(
        Experiment.objects.filter(Q(status=Experiment.Status.RUNNING) | ended, started_at__isnull=False).values_list(
            "pk", flat=True
        )
    )


def renew(experiment: Experiment) -> Standing:
    """Judge an experiment and keep what came of it."""
    found = of(build(experiment), changes=len(surroundings.differences(experiment)))
    # Race: where surroundings were agreed to meanwhile, this is of before; the next look judges.
    same = Experiment.objects.filter(pk=experiment.pk, surroundings_at=experiment.surroundings_at)
    same.update(standing=asdict(found))
    return found


def of(report: Report, *, changes: int) -> Standing:
    better = [arm for arm in report.arms if arm.is_better and not arm.is_control]
    winner: ArmReport | None = max(better, key=lambda arm: arm.probability_best or 0.0, default=None)
    told = report.replay
    low, high = told.equal_split_interval if told else (math.nan, math.nan)
    return Standing(
        state=report.verdict.state,
        text=report.verdict.text,
        winner=winner.key if winner else "",
        winner_name=winner.name if winner else "",
        extra=told.earned - told.equal_split if told else None,
        extra_low=told.earned - high if told else None,
        extra_high=told.earned - low if told else None,
        changes=changes,
    )


def gain(standings: Iterable[Mapping[str, Any] | None]) -> Gain | None:
    """Add up what the bandit brought; None while no experiment has enough to say.

    Experiments are independent of one another, so the squares of what each may be off add up, on either side by itself.
    """
    known = [found for found in standings if found and found.get("extra") is not None]
    if not known:
        return None
    extra = sum(found["extra"] for found in known)
    below = math.sqrt(sum((found["extra"] - found["extra_low"]) ** 2 for found in known))
    above = math.sqrt(sum((found["extra_high"] - found["extra"]) ** 2 for found in known))
    return Gain(experiments=len(known), extra=extra, low=extra - below, high=extra + above)
