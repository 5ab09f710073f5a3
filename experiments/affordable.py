"""How many variants a page's traffic affords, before any is made: looked up in what simulation.py found.

What counts is how many conversions the planned visitors bring at the usual rate: 10,000 visitors at 1% and 1,000 at 10%
afford the same (measured: gains within their standard error). So one table over conversions and numbers of variants
answers at once; benchmarks/affordable.py makes it, by the product's own engine, 100 futures each.

More variants hold a better best one, and find it later. The gain climbs to a flat top and sinks again; afforded is the
smallest number that gets nine tenths of the top, because every further variant must be written, read and approved.
"""

from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import log2
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

VARIANTS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
FEWEST_CONVERSIONS: Final = 16  # of the first row; each row has twice the conversions of the one above
NEARLY_ALL: Final = 0.9

# Conversions won over showing all variants equally, in percent; standard errors are 0.2 to 0.6.
GAINS: Final = (
    (0.5, 0.4, 0.2, 0.5, 0.5, 0.2, 0.3, 0.2, 0.2, 0.1, 0.0, 0.1),  # 16
    (1.0, 0.6, 0.8, 0.6, 0.7, 0.5, 0.7, 0.3, 0.2, 0.2, 0.2, 0.2),  # 32
    (1.0, 1.2, 1.6, 1.4, 1.4, 0.9, 1.2, 0.7, 0.5, 0.6, 0.5, 0.2),  # 64
    (1.5, 1.8, 1.9, 2.5, 1.9, 1.6, 1.9, 1.3, 1.1, 0.9, 0.8, 0.5),  # 128
    (2.5, 2.9, 2.4, 3.0, 3.2, 3.3, 2.7, 1.5, 1.6, 1.3, 1.2, 0.7),  # 256
    (3.0, 3.9, 4.6, 3.9, 4.2, 4.0, 3.7, 3.3, 2.9, 2.7, 2.0, 1.4),  # 512
    (3.8, 4.6, 5.6, 6.7, 6.6, 5.3, 5.3, 4.8, 4.2, 3.3, 3.2, 2.6),  # 1,024
    (4.4, 5.6, 6.9, 7.2, 8.0, 8.4, 7.6, 7.3, 7.7, 6.4, 6.1, 4.7),  # 2,048
    (4.7, 6.5, 7.8, 9.3, 9.9, 10.4, 10.7, 10.2, 10.5, 9.8, 9.2, 7.2),  # 4,096
    (5.0, 7.0, 8.5, 10.4, 11.3, 12.4, 12.9, 13.0, 12.8, 13.3, 13.3, 11.2),  # 8,192
    (5.1, 7.3, 9.0, 11.1, 12.4, 13.7, 14.6, 15.3, 15.5, 16.3, 17.2, 16.1),  # 16,384
    (5.3, 7.5, 9.4, 11.5, 12.9, 14.7, 15.4, 16.7, 17.4, 18.6, 19.7, 19.6),  # 32,768
    (5.3, 7.6, 9.5, 11.8, 13.3, 15.1, 16.0, 17.6, 18.8, 20.2, 21.6, 21.9),  # 65,536
    (5.3, 7.6, 9.5, 11.9, 13.4, 15.4, 16.4, 18.2, 19.4, 21.0, 22.7, 23.3),  # 131,072
    (5.3, 7.6, 9.6, 11.9, 13.5, 15.5, 16.6, 18.4, 19.7, 21.6, 23.3, 24.3),  # 262,144
)  # fmt: skip
# How often, of 100 futures, the variant in front on the last day is truly the best.
RIGHT: Final = (
    (52, 47, 30, 21, 17, 14, 9, 5, 4, 0, 3, 0),  # 16
    (68, 43, 42, 24, 23, 18, 9, 10, 3, 4, 3, 1),  # 32
    (68, 54, 39, 32, 24, 22, 14, 8, 7, 7, 6, 1),  # 64
    (71, 52, 47, 42, 28, 17, 21, 16, 14, 10, 3, 3),  # 128
    (82, 60, 50, 41, 41, 29, 28, 16, 9, 10, 11, 3),  # 256
    (83, 74, 61, 43, 49, 33, 28, 32, 25, 23, 15, 6),  # 512
    (93, 78, 78, 70, 64, 54, 30, 31, 23, 25, 18, 11),  # 1,024
    (94, 83, 84, 69, 72, 66, 59, 48, 40, 39, 41, 23),  # 2,048
    (92, 89, 87, 81, 85, 73, 72, 58, 58, 48, 44, 38),  # 4,096
    (94, 94, 91, 89, 84, 77, 76, 73, 73, 65, 63, 49),  # 8,192
    (94, 95, 92, 90, 92, 90, 80, 84, 81, 77, 78, 65),  # 16,384
    (98, 97, 98, 95, 93, 91, 92, 84, 92, 82, 89, 81),  # 32,768
    (96, 99, 100, 97, 95, 91, 89, 94, 94, 90, 93, 86),  # 65,536
    (97, 96, 97, 98, 96, 99, 97, 93, 96, 92, 96, 95),  # 131,072
    (99, 98, 99, 98, 99, 98, 96, 97, 95, 98, 95, 94),  # 262,144
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What comes of showing so many variants."""

    variants: int
    gain: float  # fraction of conversions more than an equal split of the same variants earns
    right: float  # chance that the one in front at the end is the best


@dataclass(frozen=True, slots=True, kw_only=True)
class Affordable:
    variants: int
    choices: tuple[Choice, ...]


def affordable(visitors: float, rate: float) -> Affordable:
    """Return how many variants so many visitors afford where `rate` of them convert."""
    row = _row(visitors * rate)
    choices = zip(VARIANTS, _smooth(GAINS)[row], _smooth(RIGHT)[row], strict=True)
    return Affordable(
        variants=_afforded()[row],
        choices=tuple(
            Choice(variants=number, gain=float(gain) / 100, right=float(right) / 100) for number, gain, right in choices
        ),
    )


def _row(conversions: float) -> int:
    doublings = log2(max(conversions, FEWEST_CONVERSIONS) / FEWEST_CONVERSIONS)
    return min(round(doublings), len(GAINS) - 1)


@cache
def _afforded() -> tuple[int, ...]:
    """Return the number afforded by row. More visitors never afford fewer: what says so is chance."""
    found = (int(np.argmax(gains >= NEARLY_ALL * gains.max())) for gains in _smooth(GAINS))
    return tuple(VARIANTS[place] for place in accumulate(found, max))


@cache
def _smooth(table: tuple[tuple[float, ...], ...]) -> Floats:
    """Average each entry with its neighbours in both directions, at half their weight: that evens out chance."""
    padded = np.pad(np.array(table, dtype=np.float64), 1, mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4)
