from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.contracts.test_writers import BRIEF
from variants.brief import BriefSpec
from variants.directions import APPROACHES, DEFAULT_ANGLES, LAYOUTS, DirectionSpec, of_angles, turn_for


def plan(count):
    return [DirectionSpec(angle=f"angle {number}") for number in range(count)]


def test_directions_take_turns_and_meet_every_approach():
    met = {(turn.position, turn.approach.name) for turn in (turn_for(plan(2), index) for index in range(16))}
    assert len(met) == 2 * len(APPROACHES)
    assert [turn_for(plan(2), index).position for index in range(4)] == [0, 1, 0, 1]


@given(weights=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=9), laps=st.integers(1, 3))
def test_each_direction_gets_pages_in_the_proportion_of_its_weight(weights, laps):
    taken = Counter(
        turn_for(plan(len(weights)), index, weights=weights).position for index in range(laps * sum(weights))
    )
    assert [taken[position] for position in range(len(weights))] == [laps * weight for weight in weights]


def test_a_heavy_direction_is_spread_and_not_taken_in_a_row():
    order = [turn_for(plan(3), index, weights=[4, 1, 1]).position for index in range(6)]
    assert order.count(0) == 4
    assert order[:4] != [0, 0, 0, 0]


def test_a_round_counts_how_often_a_direction_was_taken_before():
    turns = [turn_for(plan(3), index, weights=[2, 1, 1]) for index in range(12)]
    for position in range(3):
        rounds = [turn.round for turn in turns if turn.position == position]
        assert rounds == list(range(len(rounds)))


def test_no_look_belongs_to_a_direction_or_an_approach():
    turns = [turn_for(plan(6), index) for index in range(96)]
    looks = {(turn.position, turn.theme.layout) for turn in turns}
    assert len(looks) == 6 * len(LAYOUTS)
    assert all(
        len({turn.theme.layout for turn in turns if turn.approach == approach}) == len(LAYOUTS)
        for approach in APPROACHES
    )


def test_without_angles_sensible_ones_take_their_place():
    bare = BriefSpec.model_validate({**BRIEF.model_dump(mode="json"), "angles": []})
    assert tuple(direction.angle for direction in of_angles(bare)) == DEFAULT_ANGLES


def test_parts_may_be_left_empty_and_an_angle_may_not():
    assert DirectionSpec(angle="Calm", proof="").proof is None
    with pytest.raises(ValidationError):
        DirectionSpec(angle="")
