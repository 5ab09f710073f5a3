"""Turn counts by stratum into conversions gained over an equal split, as known at each time. Pure.

At the last time it says what `inference.replay` says of all: the same sums, taken up to each stratum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import numpy as np
from scipy import special

from experiments.evidence import Evidence, Floats
from experiments.reporting.values import GainReport

LEVEL = 0.95
MOST_MOMENTS = 150
FEWEST_ARMS = 2
FEWEST_CONVERSIONS = 20  # of all arms together, before another split is worth imagining


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """What another split of the same visitors would have brought, up to each stratum."""

    earned: Floats
    instead: Floats
    margin: Floats  # of `instead`


def equal_split(known: Evidence) -> Floats:
    """Return the shares of an equal split among the arms that were live in each stratum."""
    live = known.shares > 0
    return live / np.maximum(live.sum(axis=1, keepdims=True), 1)


def control_alone(known: Evidence) -> Floats:
    """Return the shares that would have sent everybody to today's page."""
    shares = np.zeros_like(known.shares)
    shares[:, known.control] = 1.0
    return shares


def imagine(known: Evidence, instead: Floats) -> Imagined:
    """Weigh each visitor by the share imagined over the share in force, and sum up to each stratum."""
    live = known.shares > 0
    weight = np.divide(instead, known.shares, out=np.zeros_like(instead), where=live)
    exposed, converted = known.exposures * live, known.conversions * live
    visitors, earned = _running(exposed), _running(converted)
    stood_for = np.maximum(_running(weight * exposed), np.finfo(np.float64).tiny)
    rate = _running(weight * converted) / stood_for
    # Of a ratio of two sums over visitors, by its linear part: weight (converted - rate).
    squares = _running(weight**2 * converted) * (1 - 2 * rate) + rate**2 * _running(weight**2 * exposed)
    margin = -float(special.ndtri((1 - LEVEL) / 2)) * visitors * np.sqrt(np.maximum(squares, 0.0)) / stood_for
    return Imagined(earned=earned, instead=visitors * rate, margin=margin)


def _running(amounts: Floats) -> Floats:
    return np.asarray(amounts.sum(axis=1).cumsum(), dtype=np.float64)


def with_known_shares(known: Evidence) -> Evidence:
    """Return the strata whose shares are known."""
    kept = np.isclose(known.shares.sum(axis=1), 1)
    return Evidence(
        arms=known.arms,
        strata=[stratum for stratum, is_kept in zip(known.strata, kept, strict=True) if is_kept],
        exposures=known.exposures[kept],
        conversions=known.conversions[kept],
        values=known.values[kept],
        value_squares=known.value_squares[kept],
        shares=known.shares[kept],
    )


def _ends(known: Evidence, closed_at: Mapping[int, datetime], now: datetime) -> list[datetime]:
    """Return when each stratum ended: with its hour, with its epoch, or it goes on."""
    hours = [(epoch, datetime.fromtimestamp(hour, UTC) + timedelta(hours=1)) for epoch, hour in known.strata]
    # A clock that was set back, or two that differ, must not turn the drawing back.
    return list(accumulate((min(end, closed_at.get(epoch, now), now) for epoch, end in hours), max))


def gained(known: Evidence, closed_at: Mapping[int, datetime], now: datetime) -> list[GainReport]:
    """Return what was gained up to the end of each stratum, from when enough had converted to say so.

    `closed_at` says of each epoch but the one in force when it was over.
    """
    told = with_known_shares(known)
    ends = _ends(told, closed_at, now)
    if len(told.arms) < FEWEST_ARMS or not ends:
        return []
    found = imagine(told, equal_split(told))
    started = int(np.searchsorted(found.earned, FEWEST_CONVERSIONS))
    if started >= len(ends):
        return []
    gain = found.earned - found.instead
    return [
        GainReport(
            at=ends[place],
            gained=float(gain[place]),
            # As the replay's: fewer than nothing would not have converted.
            interval=(
                float(gain[place] - found.margin[place]),
                float(found.earned[place] - max(found.instead[place] - found.margin[place], 0.0)),
            ),
        )
        for place in _thinned(range(started, len(ends)))
    ]


def _thinned(places: Sequence[int]) -> list[int]:
    step = -(-len(places) // MOST_MOMENTS)
    return [place for order, place in enumerate(places) if order % step == 0 or order == len(places) - 1]
