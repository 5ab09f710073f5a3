import pytest

from benchmarks.affordable import cell
from experiments.affordable import FEWEST_CONVERSIONS, GAINS, RIGHT, VARIANTS, affordable


def test_a_small_page_affords_few_and_a_large_one_many():
    assert 4 <= affordable(400 * 14, 0.04).variants <= 8
    assert affordable(100, 0.01).variants <= 3
    assert affordable(10_000_000, 0.05).variants >= 48


def test_more_visitors_never_afford_fewer():
    found = [affordable(1000 * 2**step, 0.04).variants for step in range(16)]
    assert found == sorted(found)


def test_what_counts_is_the_number_of_conversions():
    assert affordable(10_000, 0.01) == affordable(1_000, 0.1)


@pytest.mark.parametrize("visitors", [0, 0.5, 1e15])
def test_any_number_of_visitors_has_an_answer(visitors):
    assert affordable(visitors, 0.04).variants in VARIANTS


def test_with_a_hundred_variants_and_little_traffic_the_one_in_front_is_hardly_ever_the_best():
    found = affordable(400 * 14, 0.04)
    by_number = {choice.variants: choice for choice in found.choices}
    assert by_number[100].right < 0.1 < by_number[found.variants].right
    assert by_number[100].gain < by_number[found.variants].gain


@pytest.mark.slow
@pytest.mark.parametrize(("row", "column"), [(4, 3), (8, 6)])
def test_the_table_is_what_the_engine_does(row, column):
    gain, right = cell(FEWEST_CONVERSIONS * 2**row, VARIANTS[column], 60)
    assert gain * 100 == pytest.approx(GAINS[row][column], abs=2.5)
    assert right * 100 == pytest.approx(RIGHT[row][column], abs=25)
