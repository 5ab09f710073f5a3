"""Turn what visitors brought into effective conversions, so that one engine serves every reward.

Pure. A visitor brings r >= 0. With the unit u = E[r^2] / E[r] the variance of r is u E[r] - E[r]^2: that of a
conversion worth u, reached at the rate E[r] / u. So reward / u stands where conversions stand in `pooling.fit`, and
rates and losses times u are in the reward's own measure. One value for all gives its count back. Values with a heavy
tail have a large unit and few effective conversions: one lucky order moves little.

References
    P. McCullagh, J. Nelder (1989), Generalized Linear Models, 9: quasi-likelihood with variance proportional to mean.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

# Orders above this part of all are counted at its value: in the tail of log-normal orders the largest hundredth holds
# most of the variance and little of what tells pages apart.
KEPT_PART: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    conversions: Floats
    unit: float  # what one of them is worth


def revenue(values: Floats, squares: Floats) -> Effective:
    """Take summed values and summed squares of values; the unit is the same for all arms, so that none is favoured."""
    if not values.sum() > 0:
        return Effective(conversions=np.zeros_like(values), unit=1.0)
    unit = float(squares.sum() / values.sum())
    return Effective(conversions=np.maximum(values, 0.0) / unit, unit=unit)


def largest_counted(values: Floats) -> float:
    """Give the value above which an order is counted at this value."""
    return float(np.quantile(values, KEPT_PART, method="lower")) if values.size else np.inf


def weighted(reached: Floats, weights: Floats) -> Effective:
    """Take conversions of several goals, (goals, epochs, arms), and what each goal is worth.

    Who reaches one goal often reaches another, and how often is not counted. The second moment is taken as if whoever
    reaches a rarer goal had reached all commoner ones: no other overlap makes it larger, so no interval is too narrow.
    """
    value = np.tensordot(weights, reached, axes=1)
    totals = reached.sum(axis=(1, 2))
    rarest_first = np.argsort(totals)
    # With the rarest goal reached a visitor brings the sum of all weights, with the next one all but the rarest, ...
    brings = np.cumsum(weights[rarest_first][::-1])[::-1]
    visitors = np.diff(totals[rarest_first], prepend=0.0)
    return revenue(value, np.full_like(value, float(visitors @ brings**2) / value.size))
