"""Compare a page with the control inside strata, with nothing learnt from other pages. Pure.

By Mantel and Haenszel's ratio: nothing is pooled across a change of shares, and many strata with hardly a conversion
each are no harm (S. Greenland, J. Robins (1985), Estimation of a common effect parameter from sparse follow-up data).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL: Final = 0.95

type Lift = tuple[float | None, float | None, float | None]  # (middle, low, high)


def mantel_haenszel(counts: NDArray[np.float64]) -> Lift:
    """Give (lift, low, high) of strata as rows of visitors and conversions of the arm and of the control.

    None where either has no conversion in a stratum that both are in: the ratio is then 0 or without bound.
    """
    shown, converted, shown_today, converted_today = counts.T
    everyone = np.maximum(shown + shown_today, 1.0)
    ours = float((converted * shown_today / everyone).sum())
    theirs = float((converted_today * shown / everyone).sum())
    if ours <= 0 or theirs <= 0:
        return None, None, None
    spread = shown * shown_today * (converted + converted_today) - converted * converted_today * everyone
    deviation = float(np.sqrt(max(float((spread / everyone**2).sum()), 0.0) / (ours * theirs)))
    margin = -float(special.ndtri((1 - LEVEL) / 2)) * deviation
    middle = np.log(ours / theirs)
    return float(np.expm1(middle)), float(np.expm1(middle - margin)), float(np.expm1(middle + margin))
