"""Turn epoch counts into the arrays that the bandit and inference compute with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from django.db.models import TextField
from django.db.models.functions import Cast
from numpy.typing import NDArray
from pydantic_core import from_json

from experiments import inference
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Counts by stratum (an epoch cut at each full hour) and arm, for the primary goal.

    All arrays are (strata, arms); arms are in the order of `arms`, strata in that of time.
    """

    arms: Sequence[Arm]
    strata: Sequence[tuple[int, int]]  # (epoch, hour as Unix seconds)
    exposures: Floats
    conversions: Floats
    values: Floats
    value_squares: Floats
    shares: Floats  # in force during the stratum; 0 for an arm that was not live

    @property
    def total_exposures(self) -> Floats:
        return np.asarray(self.exposures.sum(axis=0), dtype=np.float64)

    @property
    def total_conversions(self) -> Floats:
        return np.asarray(self.conversions.sum(axis=0), dtype=np.float64)

    @property
    def control(self) -> int:
        """The control's place among the arms."""
        return next(place for place, arm in enumerate(self.arms) if arm.is_control)


def primary_key(experiment: Experiment) -> str:
    """Return the key of the goal that decides; empty if none is chosen yet."""
    return next((goal.key for goal in experiment.goals.all() if goal.is_primary), "")


def entered_arms(experiment: Experiment) -> list[Arm]:
    """Return the arms that visitors have seen: the live ones, and those that get no new visitors any more."""
    seen = experiment.arms.exclude(status=Arm.Status.WAITING)
    return list(seen.select_related("variant").prefetch_related("variant__parents"))


def control_since(experiment: Experiment) -> int:
    """Return the epoch since which today's control is the control; 0 where it always was."""
    last = experiment.control_changes.last()
    return last.epoch if last else 0


def control_in(experiment: Experiment, epoch: int) -> Arm:
    """Return the arm that was the control in an epoch."""
    later = experiment.control_changes.filter(epoch__gt=epoch).select_related("before__variant").first()
    if later is not None:
        return later.before
    return experiment.arms.select_related("variant").get(variant__is_control=True)


def gather(
    experiment: Experiment, arms: Sequence[Arm], *, from_epoch: int = 0, goal: str = "", like: Evidence | None = None
) -> Evidence:
    """Read the counts of `arms` from the database, without the epochs that were set aside.

    Conversions are those of `goal`, or of the primary one; strata those in which anything was counted, or `like`'s.
    """
    goal = goal or primary_key(experiment)
    counts = EpochCount.objects.filter(
        arm__in=[arm.pk for arm in arms],
        measure__in=[EXPOSURES, goal],
        epoch__gte=max(from_epoch, experiment.trusted_from_epoch),
    )
    # Optimization: hours are read as text, and each of the few there are turned into a moment once, not once a row.
    counts = counts.annotate(at=Cast("hour", TextField()))
    rows = counts.values_list("arm_id", "epoch", "at", "measure", "count", "value", "value_squares")
    arm_ids, epochs, ats, measures, *numbers = list(zip(*rows, strict=True)) or [()] * 7
    pairs = list(zip(epochs, ats, strict=True))
    moments = {(epoch, at): (epoch, _seconds(at)) for epoch, at in set(pairs)}
    strata = like.strata if like else sorted(set(moments.values()))
    places = {stratum: row for row, stratum in enumerate(strata)}
    # What was counted since `like` was read is in none of its strata.
    row_of = {pair: places[stratum] for pair, stratum in moments.items() if stratum in places}
    column_of = {arm.pk: column for column, arm in enumerate(arms)}
    exposures, conversions, values, squares = np.zeros((4, len(strata), len(arms)))
    # Optimization: column by column, because a loop over hundreds of thousands of rows takes as long as reading them.
    down = np.array([row_of.get(pair, -1) for pair in pairs], dtype=np.intp)
    across = np.array([column_of[arm_id] for arm_id in arm_ids], dtype=np.intp)
    number, value, square = np.array(numbers, dtype=np.float64)
    is_exposure = np.array([measure == EXPOSURES for measure in measures], dtype=bool)
    shown, reached = is_exposure & (down >= 0), ~is_exposure & (down >= 0)
    exposures[down[shown], across[shown]] = number[shown]
    for filled, by_row in ((conversions, number), (values, value), (squares, square)):
        filled[down[reached], across[reached]] = by_row[reached]
    return Evidence(
        arms=arms,
        strata=strata,
        exposures=exposures,
        # A conversion can be counted shortly before its exposure, when journals arrive in another order; it waits here.
        conversions=np.minimum(conversions, exposures),
        values=values,
        value_squares=squares,
        shares=_shares(experiment, arms, strata),
    )


def _seconds(at: str) -> int:
    """Return a moment as Unix seconds; a database that writes no offset means UTC."""
    moment = datetime.fromisoformat(at)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def split(known: Evidence) -> inference.SampleRatio | None:
    """Test whether visitors arrived as they were sent; None while nobody has. `known` has to hold every entered arm."""
    # An epoch whose allocation is not there (a restored backup may lack the newest) says nothing about the split.
    is_known = np.isclose(known.shares.sum(axis=1), 1)
    exposures, shares = known.exposures[is_known], known.shares[is_known]
    return inference.sample_ratio(exposures, shares) if exposures.any() else None


def _shares(experiment: Experiment, arms: Sequence[Arm], strata: Sequence[tuple[int, int]]) -> Floats:
    # Optimization: read as text for the quicker of two parsers, and each epoch once, not once an hour.
    texts = experiment.allocations.annotate(text=Cast("shares", TextField())).values_list("epoch", "text")
    keys, nobody = [arm.key for arm in arms], [0.0] * len(arms)
    in_force = {}
    for epoch, text in texts:
        held = from_json(text)
        in_force[epoch] = [held.get(key, 0.0) for key in keys]
    rows = [in_force.get(epoch, nobody) for epoch, _ in strata]
    return np.array(rows, dtype=np.float64).reshape(len(strata), len(arms))
