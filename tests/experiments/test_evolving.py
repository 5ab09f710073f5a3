"""Who leaves, who breeds, when, and when it is enough: the same state and seed decide alike."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import bandit, credit, evolving, pooling
from experiments.credit import Credit, OperatorCredit
from experiments.evolving import Course, State
from variants.breeding import Operator

unhurried = settings(deadline=None)
HELD = [{"headline": str(arm % 3), "layout": str(arm % 2)} for arm in range(6)]


def operator(mean: float, *, error: float = 0.02, spread: float = 0.1) -> OperatorCredit:
    known = Credit(lift=mean, low=mean, high=mean, chance_better=0.5, arms=9)
    return OperatorCredit(credit=known, mean=mean, error=error, spread=spread)


def posterior(log_lifts, visitors=2_000.0):
    exposures = np.full((2, len(log_lifts)), visitors)
    return pooling.fit(exposures, exposures * 0.05 * np.exp(log_lifts), genes=[list(page.values()) for page in HELD])


AHEAD = Course(visitors_left=100_000.0, rate=0.03)
LONG_AHEAD = Course(visitors_left=200_000.0, rate=0.03)
EVERY = {one: operator(0.0) for one in (Operator.CROSSOVER, Operator.MUTATION, Operator.FRESH)}


# Leaving


def leaving(exposures, best, room_needed, log_lifts=(0.0,) * 6, live=range(6)):
    known = posterior(np.array(log_lifts))
    found = evolving.retiring(
        known, np.array(best), np.array(exposures), list(live), control=0, room_needed=room_needed
    )
    return [one.place for one in found]


@unhurried
@given(st.lists(st.floats(0, evolving.FEWEST_TO_LEAVE - 1), min_size=6, max_size=6))
def test_an_arm_below_the_floor_of_exposures_never_leaves(exposures):
    assert leaving(exposures, [1, 0, 0, 0, 0, 0], 6, (0.0, -0.9, -0.9, -0.9, -0.9, -0.9)) == []


def test_who_cannot_win_leaves_only_for_a_newborn_and_the_most_hopeless_first():
    best, seen = [0.3, 0.69, 0.001, 0.002, 0.003, 0.004], [1_000.0] * 6
    assert leaving(seen, best, 0) == []
    assert leaving(seen, best, 2) == [2, 3]


def test_some_arms_always_stay():
    assert len(leaving([1_000.0] * 6, [1.0, 0, 0, 0, 0, 0], 6)) == 6 - evolving.FEWEST_LIVE


def test_who_is_surely_worse_than_the_control_leaves_and_the_control_never_does():
    assert leaving([4_000.0] * 6, [0.2] * 6, 0, (0.0, -0.8, 0.0, 0.0, 0.0, 0.0)) == [1]
    assert leaving([4_000.0] * 6, [0.2] * 6, 0, (-0.8, 0.0, 0.0, 0.0, 0.0, 0.0)) == []


# Room, time and shares


def test_ever_fewer_arms_are_live():
    rooms = [evolving.affordable_live(visitors) for visitors in (200_000, 100_000, 50_000, 0)]
    assert rooms == [80, 40, 20, evolving.FEWEST_LIVE]


def test_few_children_are_tried_until_breeding_is_trusted():
    assert evolving.newborns_due(48) == 12
    assert evolving.newborns_due(48, is_trusted=False, bred_live=3) == evolving.FEW_CHILDREN - 3
    assert evolving.newborns_due(48, is_trusted=False, bred_live=20) == 0


def contest_of(weights):
    """A contest by weight, over a floor of one in a hundred."""

    def contest(among):
        shares = np.zeros(len(weights))
        held = np.array(weights)[among]
        shares[among] = 0.01 / len(held) + 0.99 * held / held.sum()
        return shares

    return contest


def test_what_a_limit_cuts_goes_to_the_best_of_the_others():
    bred = np.array([False, False, False, True])
    capped = partial(evolving.capped, exposures=np.where(bred, 10.0, np.inf), control=0, most=0.1)
    shares = evolving.contested(4, contest_of([1e-6, 1e-6, 1e-4, 1.0]), [capped])
    assert shares[3] == pytest.approx(0.1)
    assert shares[2] > 0.85
    assert shares.sum() == pytest.approx(1)


@unhurried
@given(st.lists(st.floats(1e-6, 1.0), min_size=4, max_size=4), st.floats(0.05, 0.5))
def test_limits_hold_after_the_contest_of_the_others_too(weights, most):
    bred, doubtful = np.array([False, False, True, True]), [operator(-0.1, error=0.05)]
    limits = [
        partial(evolving.on_probation, bred=bred, credits_=doubtful),
        partial(evolving.capped, exposures=np.where(bred, 10.0, np.inf), control=0, most=most),
    ]
    shares = evolving.contested(4, contest_of(weights), limits)
    assert shares.sum() == pytest.approx(1)
    assert (shares[bred] <= most + 1e-9).all()
    assert shares[bred].sum() <= evolving.PROBATION + 1e-9


def test_where_no_limit_cuts_shares_are_those_of_the_contest():
    contest = contest_of([1.0, 2.0, 3.0])
    assert evolving.contested(3, contest, [lambda shares: shares]).tolist() == contest(np.full(3, True)).tolist()


def test_a_generation_waits_for_the_last_one_but_not_for_an_arm_that_is_hardly_shown():
    seen = np.array([5_000.0, 200.0, 10.0])
    assert not evolving.is_due(seen, [1, 2], 200.0)
    assert evolving.is_due(seen, [1], 0.0)
    assert evolving.is_due(seen, [1, 2], 2 * evolving.FEWEST_EXPOSURES)


def test_no_unproven_arm_gets_more_than_the_wall_allows():
    shares = evolving.capped(np.array([0.1, 0.2, 0.7]), np.array([0.0, 5_000.0, 10.0]), control=0, most=0.3)
    assert shares[2] == pytest.approx(0.3)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[1] / shares[0] == pytest.approx(2.0)


def test_where_all_are_unproven_nobody_is_cut():
    shares = np.array([0.0, 0.4, 0.6])
    assert evolving.capped(shares, np.zeros(3), control=0, most=0.1).tolist() == shares.tolist()


def test_the_less_breeding_is_trusted_the_smaller_its_part():
    shares, bred = np.array([0.1, 0.9]), np.array([False, True])
    parts = [evolving.on_probation(shares, bred, [operator(mean, error=0.08)])[1] for mean in (0.0, -0.1, -0.2)]
    assert parts[0] == 0.9
    assert evolving.PROBATION > parts[1] > parts[2] > 0


# What a child is worth


def test_the_likelier_a_better_child_the_more_it_gains_and_the_less_it_costs():
    found = [evolving.prospects({Operator.MUTATION: operator(mean)}, AHEAD)[0] for mean in (-0.3, -0.1, 0.0, 0.1)]
    assert [one.gain for one in found] == sorted(one.gain for one in found)
    assert [one.cost for one in found] == sorted((one.cost for one in found), reverse=True)


def test_breeding_stops_where_children_only_harm_where_nobody_comes_any_more_and_where_money_is_worth_more():
    (harming,) = evolving.prospects({Operator.MUTATION: operator(-0.25, spread=0.05)}, AHEAD)
    (late,) = evolving.prospects({Operator.MUTATION: operator(0.0)}, Course(visitors_left=500.0, rate=0.03))
    dear = Course(visitors_left=100_000.0, rate=0.03, dollars_per_child=1_000.0, value_of_conversion=1.0)
    (costly,) = evolving.prospects({Operator.MUTATION: operator(0.0)}, dear)
    assert not any(one.pays for one in (harming, late, costly))
    assert evolving.prospects({Operator.MUTATION: operator(0.0)}, AHEAD)[0].pays


def test_while_pages_breed_evidence_counts_more_than_once_for_the_shares():
    alpha, beta, shown = np.array([50.0, 60.0, 70.0]), np.full(3, 1_500.0), np.full(3, 1_600.0)
    everyone = np.full(3, fill_value=True)
    once = evolving.contest(alpha, beta, shown, everyone, evidence_counts=1.0)
    often = evolving.contest(alpha, beta, shown, everyone)
    assert once.tolist() == bandit.reviewed_shares(alpha, beta, shown, control=0, control_share=0.0).tolist()
    assert often[2] > once[2] > 0.5
    assert often.sum() == pytest.approx(1)


def test_who_is_left_out_of_a_contest_gets_nothing_and_the_others_everything():
    alpha, beta, shown = np.array([50.0, 60.0, 70.0]), np.full(3, 1_500.0), np.full(3, 1_600.0)
    shares = evolving.contest(alpha, beta, shown, np.array([True, True, False]))
    assert shares[2] == 0
    assert shares.sum() == pytest.approx(1)


# A round


def state(credits_, log_lifts=(0.0, 0.5, 0.0, 0.0, -0.5, 0.0), **changes):
    """Six arms of which four are live; nobody was bred."""
    values = {
        "posterior": posterior(np.array(log_lifts)),
        "held": HELD,
        "best": np.array([0.3, 0.4, 0.0, 0.0, 0.3, 0.0]),
        "exposures": np.full(6, 2_000.0),
        "live": [0, 1, 2, 4],
        "bred": frozenset(),
        "control": 0,
        "credits": credits_,
        "course": AHEAD,
    }
    return State(**(values | changes))


def decided(**changes):
    return evolving.decided(state(changes.pop("credits_", EVERY), **changes))


def test_a_round_has_as_many_children_as_there_is_room_for():
    assert decided().number == evolving.newborns_due(40)
    assert decided(entering=35).number == 40 - 35 - 3  # one leaves to make room, three stay in any case
    assert decided(entering=50).number == 0


def test_a_round_retires_who_cannot_win_only_where_there_is_no_room():
    level = (0.0, 0.5, 0.0, 0.0, 0.0, 0.0)
    assert decided(log_lifts=level).leaving == []
    found = decided(log_lifts=level, entering=35)
    assert [one.place for one in found.leaving] == [2]
    assert found.staying == [0, 1, 4]


def test_until_breeding_is_trusted_few_bred_pages_are_live():
    doubtful = dict.fromkeys(EVERY, operator(-0.1, error=0.05))
    assert decided(credits_=doubtful, bred={2, 4}).number == min(6, evolving.FEW_CHILDREN - 2)
    assert decided(credits_=doubtful, bred={2, 4}, course=LONG_AHEAD).number == evolving.FEW_CHILDREN - 2


def test_the_next_plans_take_the_place_of_those_that_lead_nowhere():
    found = state(EVERY)
    turn = iter(range(100))
    a_round = evolving.decided(found)
    made = evolving.brood(found, a_round, lambda _: None if (at := next(turn)) % 2 else at, np.random.default_rng(1))
    assert made == list(range(0, 2 * a_round.number, 2))


@pytest.mark.parametrize("only", EVERY)
def test_where_one_kind_of_child_is_all_that_can_be_made_it_is_made(only):
    credits_ = {one: operator(0.0 if one is only else 0.3, error=0.01) for one in EVERY}
    found = state(credits_)

    def make(plan):
        return plan.operator if plan.operator is only else None

    for seed in range(5):
        assert set(evolving.brood(found, evolving.decided(found), make, np.random.default_rng(seed))) == {only}


def test_however_many_visitors_come_a_round_stays_one_that_people_can_read():
    crowd = evolving.affordable_live(1e9)
    assert (crowd, evolving.newborns_due(crowd)) == (evolving.MOST_LIVE, evolving.MOST_CHILDREN)


# Who breeds


def planned(seed, credits_, number=40, **changes):
    found = state(credits_, **changes)
    return evolving.plans(found, found.live, number=number, generator=np.random.default_rng(seed))


def test_the_same_seed_plans_the_same_children():
    first, second = ([(plan.operator, plan.against) for plan in planned(4, EVERY)] for _ in range(2))
    assert first == second
    assert first != [(plan.operator, plan.against) for plan in planned(5, EVERY)]


def test_parents_are_survivors_the_better_the_oftener():
    plans = planned(1, EVERY)
    first = [plan.against[0] for plan in plans]
    assert first.count(1) > 0.7 * len(plans)
    assert first.count(4) == 0
    for plan in plans:
        # All survivors may give a gene to a crossing.
        assert set(plan.against) == ({0, 1, 2, 4} if plan.operator is Operator.CROSSOVER else {plan.against[0]})


def test_an_operator_that_earns_more_breeds_more_and_none_that_pays_is_starved():
    known = {**EVERY, Operator.CROSSOVER: operator(0.15), Operator.FRESH: operator(-0.1)}
    used = [plan.operator for plan in planned(1, known, number=200)]
    assert used.count(Operator.CROSSOVER) > 0.7 * len(used)
    assert used.count(Operator.FRESH) > 0


def test_no_child_is_planned_where_none_pays():
    assert planned(1, dict.fromkeys(EVERY, operator(-0.4, spread=0.03))) == []


def test_a_draw_takes_the_better_child_and_finds_the_weaker_gene():
    exposures = np.full((2, 6), 50_000.0)
    lifts = np.array([0.3 if page["layout"] == "1" else -0.3 for page in HELD])
    known = pooling.fit(exposures, exposures * 0.05 * np.exp(lifts), genes=[list(page.values()) for page in HELD])
    drawn = next(evolving.draws(known, credit.effects(known, HELD), ["headline", "layout"], np.random.default_rng(1)))
    assert drawn.worth({"layout": "1"}) > drawn.worth({"layout": "0"})
    whole = drawn.worth({"headline": "0", "layout": "1"})
    assert whole == pytest.approx(drawn.worth({"headline": "0"}) + drawn.worth({"layout": "1"}))
    assert drawn.worth({"headline": "never seen"}) == 0
    assert drawn.weakest({"headline": "0", "layout": "0"}, ["headline", "layout"]) == "layout"
    assert drawn.weakest({"headline": "0", "layout": "0"}, ["headline"]) == "headline"


def test_a_child_is_believed_to_be_like_its_parents_until_it_was_seen_itself():
    seen = np.array([9_000.0, evolving.FEWEST_EXPOSURES - 1, evolving.FEWEST_EXPOSURES])
    assert evolving.inherited([[], [0], [0]], seen) == [[], [0], []]


def test_no_child_pays_that_the_end_leaves_unjudged():
    late = Course(visitors_left=evolving.FEWEST_LIVE * evolving.JUDGED_BY - 1, rate=0.03)
    assert not any(one.pays for one in evolving.prospects({Operator.MUTATION: operator(0.3)}, late))
