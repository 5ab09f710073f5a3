"""Turn visitors' rows into counts by where they came from: source, campaign, device, country, language, new or not.

What was counted says nothing of that, and a conversion does not carry it, so the rows themselves are read: in the
background, a stretch of hours at a time, the newest million visitors at most. What it takes therefore has a bound,
however large the experiment. The answer is kept with the experiment until there is a newer one; reports only read it.

A page is compared with the control inside each stratum (an epoch cut at each full hour) and segment.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Sum

from experiments import evidence, stratified
from experiments.counting import FIRST_EVENT
from experiments.models import EXPOSURES, Arm, Breakdown, Conversion, EpochCount, Experiment, Exposure, Goal

MOST_VISITORS = 1_000_000  # the newest: a segment that is a hundredth of them is known to a third of a point
ROWS_AT_ONCE = 50_000
REST = 50  # times as long as it took, it is left alone: a fiftieth of one worker's time at most
# Fewer are counted with the others: a totals page must not tell what one person did.
FEWEST_VISITORS = 20
MOST_SEGMENTS = 12  # of a dimension
MOST_VALUES = 400  # of a dimension that are kept apart while counting; beyond, the rarest join the others
MOST_ARMS = 30  # that are compared inside each segment: those with most visitors

DIMENSIONS = ("source", "campaign", "device", "country", "language", "visitor")
CLICKS = {"gclid": "Google ad", "fbclid": "Facebook or Instagram ad"}
NO_SOURCE, NO_CAMPAIGN, NEW = "direct or unknown", "no campaign", "new"
HOUR = {"postgresql": "date_trunc('hour', {}.exposed_at)", "sqlite": "substr({}.exposed_at, 1, 13)"}

type Stratum = tuple[int, Any]  # epoch, hour
type Cell = list[int]  # visitors, conversions


def renew(experiment: Experiment, now: datetime) -> bool:
    """Count anew if anything was counted since, and the last time is long enough ago; tell whether that was done."""
    hours = _hours(experiment)
    counted = sum(number for *_, number in hours)
    kept = Breakdown.objects.filter(experiment=experiment).first()
    if not counted or (kept is not None and not _is_due(kept, counted, now)):
        return False
    started = time.perf_counter()
    parts = break_down(experiment, hours) | {"counted": counted}
    values = {"made_at": now, "took_seconds": time.perf_counter() - started, "parts": parts}
    Breakdown.objects.update_or_create(experiment=experiment, defaults=values)
    return True


def _is_due(kept: Breakdown, counted: int, now: datetime) -> bool:
    is_rested = now - kept.made_at >= timedelta(seconds=REST * kept.took_seconds)
    return is_rested and kept.parts.get("counted") != counted


def _hours(experiment: Experiment) -> list[tuple[datetime, str, int]]:
    """Return what was counted by hour and measure, the newest hour first, without the epochs that were set aside."""
    measures = [EXPOSURES, evidence.primary_key(experiment)]
    counts = EpochCount.objects.filter(
        arm__experiment=experiment, measure__in=measures, epoch__gte=experiment.trusted_from_epoch
    )
    return list(counts.values_list("hour", "measure").annotate(Sum("count")).order_by("-hour"))


def break_down(experiment: Experiment, hours: Sequence[tuple[datetime, str, int]]) -> dict[str, Any]:
    """Return the counts by segment as JSON data."""
    stretches = list(_stretches([(hour, number) for hour, measure, number in hours if measure == EXPOSURES]))
    goal = next((goal for goal in experiment.goals.all() if goal.is_primary), None)
    arms = list(experiment.arms.select_related("variant"))
    counted = _Counted(control=next((arm.pk for arm in arms if arm.is_control), 0))
    for start, end in stretches:
        counted.add(_exposed(experiment, start, end), place=0)
        if goal is not None:
            counted.add(_converted(experiment, goal, start, end), place=1)
        counted.prune()
    compared = counted.most_seen(arms)
    return {
        "since": stretches[-1][0].isoformat() if stretches else None,
        "visitors": counted.visitors,
        "is_whole": not hours or not stretches or stretches[-1][0] <= hours[-1][0],
        "dimensions": [_dimension(name, counted, compared) for name in DIMENSIONS],
    }


def _stretches(hours: Sequence[tuple[datetime, int]]) -> Iterator[tuple[datetime, datetime]]:
    """Cut the hours, the newest first, into stretches that are read at once, until enough visitors are in them."""
    total = held = 0
    end: datetime | None = None
    for hour, number in hours:
        if total and total + number > MOST_VISITORS:
            break
        end = end or hour + timedelta(hours=1)
        total, held, start = total + number, held + number, hour
        if held >= ROWS_AT_ONCE:
            yield start, end
            held, end = 0, None
    if end is not None:
        yield start, end


# --- Reading -----------------------------------------------------------------------------------------------------


def _exposed(experiment: Experiment, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    return _grouped(
        f"FROM {Exposure._meta.db_table} e WHERE e.experiment_id = %s AND e.exposed_at >= %s AND e.exposed_at < %s "
        "AND e.epoch >= %s",
        [experiment.pk, start, end, experiment.trusted_from_epoch],
    )


def _converted(experiment: Experiment, goal: Goal, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """Read who reached the goal. A conversion that came before its exposure waits until that is there."""
    # Of a revenue goal the row that says a visitor bought at all; of others there is one row for each visitor.
    only_first, event = ("AND c.event_id = %s", [FIRST_EVENT]) if goal.kind == Goal.Kind.REVENUE else ("", [])
    return _grouped(
        f"FROM {Conversion._meta.db_table} c JOIN {Exposure._meta.db_table} e ON e.experiment_id = c.experiment_id "
        "AND e.exposed_at = c.exposed_at AND e.visitor = c.visitor WHERE c.experiment_id = %s AND c.exposed_at >= %s "
        f"AND c.exposed_at < %s AND c.epoch >= %s AND c.goal_id = %s {only_first}",
        [experiment.pk, start, end, experiment.trusted_from_epoch, goal.pk, *event],
    )


def _grouped(source: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return (arm, epoch, hour, attributes, number) of a source of exposures named e."""
    hour = HOUR[connection.vendor].format("e")
    moments = [
        connection.ops.adapt_datetimefield_value(one) if isinstance(one, datetime) else one for one in parameters
    ]
    text = "CAST(e.attributes AS text)"
    sql = f"SELECT e.arm_id, e.epoch, {hour}, {text}, count(*) {source} GROUP BY e.arm_id, e.epoch, {hour}, {text}"
    with connection.cursor() as cursor:
        cursor.execute(sql, moments)
        return list(cursor.fetchall())


@lru_cache(maxsize=20_000)
def segments_of(attributes: str) -> tuple[tuple[str, str], ...]:
    """Return the segment of each dimension that an exposure belongs to. Most visitors share it with others."""
    known: Mapping[str, Any] = json.loads(attributes)
    values = {
        "source": _source(known),
        "campaign": known.get("utm_campaign") or NO_CAMPAIGN,
        **{name: known.get(name, "") for name in ("device", "country", "language")},
        "visitor": known.get("visitor") or NEW,
    }
    # Somebody's address in a campaign's name is nobody's segment.
    return tuple((name, "" if "@" in str(value) else str(value)) for name, value in values.items())


def _source(known: Mapping[str, Any]) -> str:
    if known.get("utm_source"):
        return str(known["utm_source"])
    click = next((words for name, words in CLICKS.items() if name in known), "")
    return click or str(known.get("referrer") or NO_SOURCE)


# --- Counting ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Counted:
    """Visitors and conversions by dimension, segment, stratum and arm."""

    control: int
    visitors: int = 0
    segments: dict[str, dict[str, dict[tuple[Stratum, int], Cell]]] = field(
        default_factory=lambda: {name: {} for name in DIMENSIONS}
    )
    others: dict[str, Cell] = field(default_factory=lambda: {name: [0, 0] for name in DIMENSIONS})
    by_arm: Counter[int] = field(default_factory=Counter)

    def add(self, rows: Sequence[tuple[Any, ...]], *, place: int) -> None:
        for arm, epoch, hour, attributes, number in rows:
            if place == 0:
                self.visitors += number
                self.by_arm[arm] += number
            key = ((epoch, hour), arm)
            for dimension, value in segments_of(attributes):
                cells = self.segments[dimension].setdefault(value, {})
                cells.setdefault(key, [0, 0])[place] += number

    def prune(self) -> None:
        """Let the rarest values join the others, so that a campaign name for every click does not fill the memory."""
        for dimension, values in self.segments.items():
            if len(values) > MOST_VALUES:
                for value in sorted(values, key=lambda value: total(values[value])[0])[:-MOST_VALUES]:
                    self.put_with_others(dimension, value)

    def put_with_others(self, dimension: str, value: str) -> None:
        shown, converted = total(self.segments[dimension].pop(value))
        self.others[dimension][0] += shown
        self.others[dimension][1] += converted

    def most_seen(self, arms: Sequence[Arm]) -> dict[int, str]:
        """Return the keys of the arms to compare with the control, by their numbers."""
        ranked = sorted(arms, key=lambda arm: (arm.is_control, self.by_arm[arm.pk]), reverse=True)
        return {arm.pk: arm.key for arm in ranked[: MOST_ARMS + 1] if self.by_arm[arm.pk]}


def total(cells: Mapping[Any, Cell]) -> tuple[int, int]:
    """Return the visitors and conversions of all cells."""
    return sum(cell[0] for cell in cells.values()), sum(cell[1] for cell in cells.values())


def _dimension(name: str, counted: _Counted, compared: Mapping[int, str]) -> dict[str, Any]:
    values = counted.segments[name]
    ranked = sorted(values, key=lambda value: (-total(values[value])[0], value))
    for value in [*ranked[MOST_SEGMENTS:], *(one for one in ranked[:MOST_SEGMENTS] if _is_tiny(values[one]))]:
        counted.put_with_others(name, value)
    shown, converted = counted.others[name]
    return {
        "key": name,
        "segments": [_segment(value, values[value], counted.control, compared) for value in ranked if value in values],
        "others": {"exposures": shown, "conversions": min(shown, converted)},
    }


def _is_tiny(cells: Mapping[Any, Cell]) -> bool:
    return total(cells)[0] < FEWEST_VISITORS


def _segment(
    value: str, cells: Mapping[tuple[Stratum, int], Cell], control: int, compared: Mapping[int, str]
) -> dict[str, Any]:
    shown, converted = total(cells)
    by_arm: dict[int, dict[Stratum, Cell]] = defaultdict(dict)
    for (stratum, arm), cell in cells.items():
        by_arm[arm][stratum] = cell
    today = by_arm.get(control, {})
    return {
        "value": value,
        "exposures": shown,
        "conversions": min(shown, converted),
        "arms": {
            key: [*total(by_arm[arm]), *(_lift(by_arm[arm], today) if arm != control else (None, None, None))]
            for arm, key in compared.items()
            if arm in by_arm
        },
    }


def _lift(cells: Mapping[Stratum, Cell], today: Mapping[Stratum, Cell]) -> stratified.Lift:
    both = [(*cells[stratum], *today[stratum]) for stratum in cells.keys() & today.keys()]
    return stratified.mantel_haenszel(np.array(both, dtype=np.float64).reshape(-1, 4))
