"""Visitor ids to arms."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.splitter.assignment import BadShares, numbers_of, salted_hash, split_of

SALT = salted_hash("5a17")
VISITORS = 20_000

unhurried = settings(deadline=None)  # on a busy machine an example may take any time


def visitors(number: int = VISITORS) -> list[str]:
    return [f"{index:032x}" for index in range(number)]


@pytest.mark.parametrize(
    ("visitor", "for_traffic", "for_arm"),
    [
        ("00000000000000000000000000000000", 0.7996808995547409, 0.7633747646101504),
        ("0123456789abcdef0123456789abcdef", 0.4595626110816775, 0.14596758591358927),
    ],
)
def test_pinned_vectors(visitor: str, for_traffic: float, for_arm: float):
    """A change here reassigns every visitor whose cookie is lost and breaks the evidence of running experiments."""
    assert numbers_of(visitor, SALT) == (for_traffic, for_arm)


def test_assignment_is_uniform_within_four_standard_errors():
    shares = {"control": 0.1, "v2": 0.55, "v3": 0.35}
    split = split_of(shares)
    counts = Counter(split.arm_at(numbers_of(visitor, SALT)[1]) for visitor in visitors())
    for arm, share in shares.items():
        standard_error = math.sqrt(share * (1 - share) * VISITORS)
        assert abs(counts[arm] - share * VISITORS) < 4 * standard_error


def test_the_two_numbers_and_two_salts_are_independent():
    other = salted_hash("5a18")
    pairs = [(*numbers_of(visitor, SALT), numbers_of(visitor, other)[1]) for visitor in visitors()]
    standard_error = math.sqrt(0.25 * 0.75 * VISITORS)
    for first, second in [(0, 1), (1, 2), (0, 2)]:
        both_low = sum(pair[first] < 0.5 and pair[second] < 0.5 for pair in pairs)
        assert abs(both_low - VISITORS / 4) < 4 * standard_error


@unhurried
@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 100), min_size=1).filter(lambda w: any(w.values()))
)
def test_every_number_belongs_to_an_arm_with_a_share(weights: dict[str, int]):
    total = sum(weights.values())
    split = split_of({arm: weight / total for arm, weight in weights.items()})
    for number in (0.0, 0.25, 0.5, 0.999999999, math.nextafter(1.0, 0.0)):
        assert weights[split.arm_at(number)] > 0


@pytest.mark.parametrize(
    "shares", [{}, {"a": 0.0}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": math.nan}, {"a": math.inf}]
)
def test_shares_that_are_no_split_are_refused(shares: dict[str, float]):
    with pytest.raises(BadShares, match="sum to 1"):
        split_of(shares)
