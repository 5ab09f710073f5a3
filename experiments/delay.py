"""Turn the delays of past conversions into how much of an exposure's conversions have come by its age.

Pure. A conversion that took `delay` seconds is seen only if its exposure is at least that old, so quick conversions are
over-represented among those seen: the delays are truncated on the right at each exposure's age. Turned around in time
that is left truncation, for which the product-limit estimate is exact [1]:

    F(t) = product over the delays v > t of (1 - d(v) / (R(v) + 1)),    R(v) = exposures with delay <= v <= age

d(v) conversions took exactly v. The 1 is a conversion that came at once at an exposure of any age: without it, a v that
nobody seen has undercut would set everything before it to zero.

Delays longer than the oldest exposure cannot have been seen, and F is 1 from there on: while an experiment is younger
than its goal's window, rates are those of conversions within its own age.

References
    [1] S. Lagakos, L. Barraj, V. De Gruttola (1988), Nonparametric analysis of truncated survival data.
    [2] C. Vernade, O. Cappe, V. Perchet (2017), Stochastic bandit models for delayed conversions. Effective exposures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maturity:
    """F as a step function: `parts[k]` from `delays[k - 1]` up to `delays[k]`, exclusive."""

    delays: Floats  # ascending, each once
    parts: Floats  # one more than delays; the last is 1

    def at(self, ages: ArrayLike) -> Floats:
        """Give F(age): the part of its conversions that an exposure of this age has already brought."""
        place = np.searchsorted(self.delays, np.asarray(ages, dtype=np.float64), side="right")
        part: Floats = self.parts[place]
        return part

    def age_of(self, part: float) -> float:
        """Give the age from which at least `part` of the conversions have come."""
        first = int(np.argmax(self.parts >= part))
        return float(self.delays[first - 1]) if first else 0.0


AT_ONCE = Maturity(delays=np.zeros(0), parts=np.ones(1))


def learn(delays: ArrayLike, ages: ArrayLike) -> Maturity:
    """Learn F from conversions: how long each took, and how old its exposure is now."""
    took, old = np.array(delays, dtype=np.float64), np.array(ages, dtype=np.float64)
    if took.shape != old.shape or took.ndim != 1:
        raise ValueError(f"delays and ages must have one number per conversion, but got {took.shape} and {old.shape}")
    if not (np.isfinite(took) & np.isfinite(old) & (took >= 0)).all():
        raise ValueError("delays and ages must be finite, and delays not negative")
    # Clocks of two machines may differ: a conversion that is here has come by its exposure's age.
    old = np.maximum(old, took)
    if not took.size:
        return AT_ONCE
    distinct, ties = np.unique(took, return_counts=True)
    at_risk = np.searchsorted(np.sort(took), distinct, side="right") - np.searchsorted(np.sort(old), distinct)
    survived = 1 - ties / (at_risk + 1)
    parts = np.append(np.cumprod(survived[::-1])[::-1], 1.0)
    return Maturity(delays=distinct, parts=parts)
