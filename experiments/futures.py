"""Run an experiment on into possible futures: when will a page be surely better than today's, when is the best known?

Pure: every draw comes from the generator passed in. Each future draws the arms' rates from today's posterior and goes
on from today's counts, stratum by stratum as they are, with the product's own posterior, shares and verdict.

What is coarser than the product: shares change and the verdict is looked at on `LOOK_DAYS` alone, seldom towards the
end, and genes are left out. Both make a future a little slower than the real thing, never quicker.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments import bandit, inference, pooling
from experiments.inference import VerdictState

type Floats = NDArray[np.float64]

LOOK_DAYS: Final = (1, 2, 3, 5, 7, 10, 14, 21, 28)
FUTURES: Final = 20
OVER: Final = frozenset({VerdictState.DECIDED, VerdictState.NO_DIFFERENCE})
SPLIT_AS_PLANNED: Final = inference.SampleRatio(p_value=1.0, ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the experiment goes on."""

    control: int
    control_share: float
    visitors_per_day: float
    minimum_exposures: int
    top_two: float | None = None
    equal: bool = False  # the same share for every arm, whatever is learnt


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Days until it is known, one entry per future; infinite where that takes longer than the horizon."""

    better: Floats  # an arm is surely better than the control, or it is over
    best: Floats  # an arm has won, or none is noticeably better than the control


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What is known and done at one moment."""

    exposures: Floats
    conversions: Floats
    betas: tuple[Floats, Floats]
    shares: Floats


def look_ahead(exposures: Floats, conversions: Floats, course: Course, generator: np.random.Generator) -> Ahead:
    """Draw `FUTURES` futures from counts by stratum and arm."""
    today = _look(exposures, conversions, course)
    days = [_days(today, generator.beta(*today.betas), course, generator) for _ in range(FUTURES)]
    better, best = np.array(days).T
    return Ahead(better=better, best=best)


def _days(today: _Look, rates: Floats, course: Course, generator: np.random.Generator) -> tuple[float, float]:
    """Give the days until an arm is surely better than the control, and until the best is known."""
    better, last, look = np.inf, 0, today
    for day in LOOK_DAYS:
        shown = generator.multinomial(round(course.visitors_per_day * (day - last)), look.shares)
        converted = generator.binomial(shown, rates)
        look = _look(np.vstack([look.exposures, shown]), np.vstack([look.conversions, converted]), course)
        is_better, is_over = _known(look, course)
        if is_better or is_over:
            better = min(better, day)
        if is_over:
            return better, day
        last = day
    return better, np.inf


def _look(exposures: Floats, conversions: Floats, course: Course) -> _Look:
    betas = pooling.fit(exposures, conversions).betas()
    control, control_share = course.control, course.control_share
    if course.equal:
        even = np.full(exposures.shape[1], 1 / exposures.shape[1])
        shares = bandit.with_control_share(even, control=control, control_share=control_share)
    else:
        shares = bandit.reviewed_shares(
            *betas, exposures.sum(axis=0), control=control, control_share=control_share, top_two=course.top_two
        )
    return _Look(exposures=exposures, conversions=conversions, betas=betas, shares=shares)


def _known(look: _Look, course: Course) -> tuple[bool, bool]:
    standing = bandit.standing(*look.betas)
    judged = inference.verdict(
        look.exposures,
        look.conversions,
        control=course.control,
        probability_best=standing.probability_best,
        expected_loss=standing.expected_loss,
        sample_ratio=SPLIT_AS_PLANNED,
        minimum_exposures=course.minimum_exposures,
    )
    if judged.leader is None:
        return False, False
    against = inference.evidence_for(judged.leader, look.exposures, look.conversions)
    return bool(against[course.control] > judged.evidence_needed), judged.state in OVER
