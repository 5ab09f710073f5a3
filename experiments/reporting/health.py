"""Turn counts and tallies into whether an experiment is in good health: the split by day, robots, what came late."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from experiments import inference
from experiments.evidence import Evidence, Floats
from experiments.models import Experiment, RefusedRecord
from experiments.reporting.values import HealthReport, SplitReport
from experiments.splitter import tallies as kinds

MOST_DAYS = 14
# Fourteen looks at once: each asks for as much as the first looks at the whole do.
BROKEN_P_VALUE = inference.EARLY_MISMATCH_P_VALUE


def health(experiment: Experiment, known: Evidence, tallies: Mapping[str, tuple[int, int]]) -> HealthReport:
    """Report the split of each of the last days, and what was left out: by kind, ever and in the last 24 hours."""
    bots, late, consent = (tallies.get(kind, (0, 0)) for kind in (kinds.BOT, kinds.LATE, kinds.NO_CONSENT))
    return HealthReport(
        splits=_splits(known),
        bots=bots[0],
        bots_today=bots[1],
        late=late[0],
        late_today=late[1],
        consent_required=experiment.consent_required,
        no_consent=consent[0],
        # Kept as text, because a record that cannot be read names no experiment; there are hardly ever any.
        refused=RefusedRecord.objects.filter(record__contains=f"experiment={experiment.pk},").count(),
    )


def _splits(known: Evidence) -> list[SplitReport]:
    days: dict[datetime, list[int]] = {}
    is_known = np.isclose(known.shares.sum(axis=1), 1)
    for place, (_, hour) in enumerate(known.strata):
        if is_known[place] and known.exposures[place].any():
            at = datetime.fromtimestamp(hour, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            days.setdefault(at, []).append(place)
    return [_split(known, day, np.array(days[day])) for day in sorted(days, reverse=True)[:MOST_DAYS]]


def _split(known: Evidence, day: datetime, places: Floats) -> SplitReport:
    exposures, shares = known.exposures[places], known.shares[places]
    got, expected = exposures.sum(axis=0), exposures.sum(axis=1) @ shares
    # Furthest by chance's own measure: ten visitors too many are much for a page that was promised five.
    furthest = int(np.argmax(np.abs(got - expected) / np.sqrt(np.maximum(expected, 1.0))))
    return SplitReport(
        day=day,
        exposures=int(got.sum()),
        arm=known.arms[furthest].key,
        name=known.arms[furthest].variant.name,
        got=int(got[furthest]),
        expected=float(expected[furthest]),
        ok=inference.sample_ratio(exposures, shares).p_value >= BROKEN_P_VALUE,
    )
