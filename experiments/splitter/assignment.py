"""Turn a visitor id into two numbers in [0, 1), and those into an arm.

The first number decides whether the visitor is inside the traffic share, the second which arm they get. They are two
halves of one hash, so they are independent: changing the traffic share does not favour an arm. The hash is salted per
experiment, so being in one experiment says nothing about another.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from struct import Struct

# 53 bits fill the precision of a float; with 64 the largest hashes would round up to 1.0.
RESOLUTION_BITS = 53
SPAN = float(1 << RESOLUTION_BITS)
SURPLUS_BITS = 64 - RESOLUTION_BITS

_TWO_NUMBERS = Struct(">QQ")

SUM_TOLERANCE = 1e-6  # shares are written as decimal text


class BadShares(ValueError):
    """Shares that cannot be a split of the traffic."""


@dataclass(frozen=True, slots=True)
class Split:
    """Shares in the form that a visitor's number is looked up in."""

    arms: tuple[str, ...]
    bounds: tuple[float, ...]  # cumulative shares; arm i owns the numbers below bounds[i] that no earlier arm owns

    def arm_at(self, number: float) -> str:
        """Give the arm that owns `number`, in [0, 1)."""
        return self.arms[bisect_right(self.bounds, number)]


def split_of(shares: Mapping[str, float]) -> Split:
    """Prepare shares for look-up. Arms with no share own nothing."""
    live = sorted((arm, share) for arm, share in shares.items() if share > 0)
    total = sum(share for _, share in live)
    if any(share < 0 for share in shares.values()) or not abs(total - 1) <= SUM_TOLERANCE:
        raise BadShares(f"shares must be at least 0 and sum to 1, got {dict(shares)!r}")
    bounds = list(accumulate(share for _, share in live))
    bounds[-1] = 1.0  # whatever rounding left over belongs to the last arm
    return Split(tuple(arm for arm, _ in live), tuple(bounds))


def numbers_of(visitor: str, salted: "blake2b") -> tuple[float, float]:
    """Give the visitor's two numbers in [0, 1): for the traffic share and for the arm.

    A cryptographic hash rather than hash(): the answer must survive a restart and agree between machines.
    """
    # Optimization: the hash is salted once and copied for each visitor.
    own = salted.copy()
    own.update(visitor.encode())
    for_traffic, for_arm = _TWO_NUMBERS.unpack(own.digest())
    return (for_traffic >> SURPLUS_BITS) / SPAN, (for_arm >> SURPLUS_BITS) / SPAN


def salted_hash(salt: str) -> "blake2b":
    """Give the hash that visitors' ids are put into; a salt of any length is hashed down to its key."""
    key = blake2b(salt.encode(), digest_size=32, person=b"gh-salt").digest()
    return blake2b(digest_size=_TWO_NUMBERS.size, key=key, person=b"gh-assign")
