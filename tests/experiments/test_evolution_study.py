"""Worlds are what they say, ours breeds within them, and the study writes what it computed."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command

from experiments.study import evolution_limits, evolution_proving, evolution_tables, evolution_worlds
from experiments.study.evolution_proving import FAIR, FOUNDERS, HARMING
from experiments.study.evolution_worlds import Genetic, Ours, Writer
from experiments.walls import Walls
from variants.breeding import SLOTS, Operator


def world(seed=1, writer=FAIR, **more):
    return evolution_worlds.drawn(np.random.default_rng(seed), founders=FOUNDERS, writer=writer, **more)


@pytest.fixture(scope="module")
def grown():
    return evolution_worlds.evolve(world(), Ours(), np.random.default_rng(1))


def test_the_best_page_of_a_world_converts_sixty_percent_better_than_the_control():
    found = world()
    best = found.pairs.reshape(len(SLOTS) // 2, -1).argmax(axis=1)
    options = [str(option) for pair in best for option in divmod(int(pair), evolution_worlds.OPTIONS)]
    assert np.exp(found.log_lift(dict(zip(SLOTS, options, strict=True)))) == pytest.approx(1.6)
    assert np.exp(found.log_lift(found.founders[0])) == pytest.approx(1.0)


def test_a_writer_that_harms_only_harms_and_one_that_repeats_brings_nothing():
    found, generator = world(writer=HARMING), np.random.default_rng(1)
    page = found.founders[3]
    written = [evolution_worlds.rewritten(found, page, slot, generator) for slot in SLOTS * 5]
    assert all(found.log_lift(one) <= found.log_lift(page) for one in written if one)
    repeating = world(writer=Writer(improves=0.0, repeats=1.0))
    assert evolution_worlds.rewritten(repeating, page, "layout", generator) is None


def test_all_visitors_are_accounted_for_and_no_page_is_tried_twice(grown):
    assert grown.exposures.sum() == evolution_worlds.VISITORS
    assert grown.shares.sum(axis=1) == pytest.approx(np.ones(evolution_worlds.TICKS))
    assert len({tuple(page.values()) for page in grown.pages[FOUNDERS:]}) == len(grown.pages) - FOUNDERS


def test_genes_of_crossed_children_come_from_their_parents(grown):
    crossed = [birth for birth in grown.births if birth.operator is Operator.CROSSOVER]
    assert crossed
    for birth in crossed:
        parents = [grown.pages[place] for place in birth.against]
        child = grown.pages[birth.child]
        assert all(any(child[slot] == parent[slot] for parent in parents) for slot in SLOTS)
        # Each gives something that the first does not hold.
        assert all(any(child[slot] == parent[slot] != parents[0][slot] for slot in SLOTS) for parent in parents[1:])


def test_no_child_is_shown_before_its_birth(grown):
    assert all(grown.exposures[: birth.epoch, birth.child].sum() == 0 for birth in grown.births)


def test_the_same_seed_grows_the_same_pages(grown):
    again = evolution_worlds.evolve(world(), Ours(), np.random.default_rng(1))
    assert again.pages == grown.pages
    assert np.array_equal(again.exposures, grown.exposures)


def test_breeding_stops_by_itself_where_every_child_is_worse():
    found = world(writer=HARMING, is_harmed=True)
    assert evolution_worlds.evolve(found, Ours(), np.random.default_rng(1)).stopped is not None


def test_a_genetic_algorithm_keeps_its_numbers():
    grown = evolution_worlds.evolve(world(), Genetic(is_bandit=False), np.random.default_rng(1))
    assert len(grown.live) == FOUNDERS
    assert len(grown.pages) > FOUNDERS


def test_a_learner_with_every_mixture_at_hand_earns_more_the_less_it_wavers():
    """Up to a point: who never wavers keeps what looked best at first."""
    worlds = [world(seed) for seed in range(6)]
    earned = [
        np.mean([evolution_limits.earned(one, np.random.default_rng(1), boldness=boldness) for one in worlds])
        for boldness in (1.0, 0.4)
    ]
    alone = evolution_worlds.VISITORS * evolution_worlds.BASE_RATE
    assert alone < earned[0] < earned[1]


def test_the_wall_of_an_unproven_page_is_the_one_that_stands_where_nobody_moved_it():
    assert Walls().unproven_share == evolution_worlds.UNPROVEN_SHARE


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evolution_proving, "BLOCK", 1)


def test_a_study_computes_what_is_missing_and_writes_it_between_the_markers(tiny, tmp_path, monkeypatch):
    document = tmp_path / "evolution.md"
    document.write_text("before\n<!-- study: start -->\nold\n<!-- study: end -->\nafter\n")
    monkeypatch.setattr(evolution_proving, "ROWS", evolution_proving.ROWS[1:2])
    monkeypatch.setattr(evolution_tables, "ROWS", evolution_proving.ROWS)
    told = StringIO()
    for _ in range(2):
        call_command("evolution_study", runs=1, workers=1, out=tmp_path, document=document, stdout=told)
    counts = [line for line in told.getvalue().splitlines() if line.endswith("to compute")]
    assert counts == ["1 blocks to compute", "0 blocks to compute"]
    written = document.read_text()
    assert "| planted gene ranks first | 90% of runs |" in written
    assert written.endswith("<!-- study: end -->\nafter\n")
