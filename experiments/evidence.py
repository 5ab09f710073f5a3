"""Turn epoch counts into the arrays that the bandit and inference compute with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np
from django.db.models import Count, Prefetch, Q, QuerySet, StringAgg, TextField, Value
from django.db.models.functions import Cast, Concat
from numpy.typing import NDArray
from pydantic_core import from_json

from experiments import inference
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment
from variants.models import Variant

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
    seen = experiment.arms.exclude(status=Arm.Status.WAITING).select_related("variant")
    # Of parents it is asked who they are; their pages would be read once more for each child.
    who = Prefetch("variant__parents", Variant.objects.only("pk"))
    return list(seen.defer("variant__findings", "variant__traces").prefetch_related(who))


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
    cells = list(_cells(counts))
    strata = like.strata if like else sorted({cell.stratum for cell in cells})
    row_of = {stratum: row for row, stratum in enumerate(strata)}
    pks = np.array([arm.pk for arm in arms], dtype=np.int64)
    order = np.argsort(pks)
    exposures, conversions, values, squares = np.zeros((4, len(strata), len(arms)))
    for cell in cells:
        # What was counted since `like` was read is in none of its strata.
        if cell.stratum in row_of:
            columns = order[np.searchsorted(pks, cell.arms, sorter=order)]
            filled = exposures if cell.measure == EXPOSURES else conversions
            filled[row_of[cell.stratum], columns] = cell.counts
    if any(cell.has_values for cell in cells):
        column_of = {arm.pk: column for column, arm in enumerate(arms)}
        for arm_id, stratum, value, square in _values(counts.filter(measure=goal)):
            if stratum in row_of:
                values[row_of[stratum], column_of[arm_id]] = value
                squares[row_of[stratum], column_of[arm_id]] = square
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """What was counted of one measure in one stratum: the arms' primary keys, and how often."""

    stratum: tuple[int, int]
    measure: str
    arms: NDArray[np.int64]
    counts: NDArray[np.int64]
    has_values: bool


def _cells(counts: QuerySet[EpochCount]) -> Iterator[_Cell]:
    # Optimization: the database writes the arms of a stratum into one text: half the time that Python needs to make
    # objects of hundreds of thousands of rows.
    space = Value(" ", TextField())
    pair = Concat(Cast("arm_id", TextField()), space, Cast("count", TextField()))
    grouped = counts.values_list("epoch", "hour", "measure").annotate(
        pairs=StringAgg(pair, space),
        of_value=Count("pk", filter=~Q(value=0.0, value_squares=0.0)),
    )
    for epoch, hour, measure, pairs, of_value in grouped:
        numbers = np.fromstring(pairs, dtype=np.int64, sep=" ")
        yield _Cell(
            stratum=(epoch, int(hour.timestamp())),
            measure=measure,
            arms=numbers[::2],
            counts=numbers[1::2],
            has_values=of_value > 0,
        )


def _values(counts: QuerySet[EpochCount]) -> Iterator[tuple[int, tuple[int, int], float, float]]:
    """Yield arm, stratum, value and value squared of what has a value. As text, SQLite would round them."""
    # Optimization: hours are read as text, and each of the few there are turned into a moment once, not once a row.
    seconds = cache(_seconds)
    rows = counts.exclude(value=0.0, value_squares=0.0).annotate(at=Cast("hour", TextField()))
    for arm_id, epoch, at, value, square in rows.values_list("arm_id", "epoch", "at", "value", "value_squares"):
        yield arm_id, (epoch, seconds(at)), value, square


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
    keys, place_of = [arm.key for arm in arms], {}
    in_force = [[0.0] * len(arms)]  # of an epoch that is not known
    for place, (epoch, text) in enumerate(texts, start=1):
        place_of[epoch] = place
        in_force.append(list(map(from_json(text).get, keys, in_force[0])))
    rows = [place_of.get(epoch, 0) for epoch, _ in strata]
    return np.array(in_force, dtype=np.float64)[rows].reshape(len(strata), len(arms))
