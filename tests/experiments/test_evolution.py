"""Breeding as a worker does it: a tick reads the database, decides, and writes; children go through every gate."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from experiments import allocation, credit, evolution, evolving, pedigree, walls
from experiments.evolution import HOLD, HoldLost
from experiments.evolving import Plan
from experiments.models import EXPOSURES, Allocation, Arm, EpochCount, Evolution, Experiment
from experiments.study import evolution_worlds
from experiments.walls import Walls
from greenhouse.environment import Environment
from tests.experiments.garden import COUNTS, look_at_children, make_garden
from variants import generation, ledger
from variants.breeding import Operator
from variants.models import Brand, Breeding, Brief, Generation, ModelCall, Variant

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]

AUTOPILOT = Walls(is_autopilot=True)
NOW = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def bred(experiment):
    return Breeding.objects.filter(generation__nursery=experiment.nursery).order_by("pk")


def children(experiment):
    return Variant.objects.filter(nursery=experiment.nursery, generation__breeding__isnull=False)


def said(experiment):
    """What breeding waits for, or why it stopped."""
    kept = Evolution.objects.get(experiment=experiment)
    return kept.stopped_reason or kept.note


def is_on(experiment):
    return Evolution.objects.get(experiment=experiment).is_on


@pytest.fixture
def tick(eager_tasks, django_capture_on_commit_callbacks):
    """Look once, and let workers do what that asks of them."""

    def look(experiment, now=None):
        with django_capture_on_commit_callbacks(execute=True):
            evolution.tick(experiment.pk, now)
        look_at_children(experiment)

    return look


def test_survivors_breed_and_their_children_enter_by_autopilot(tick):
    experiment = make_garden()
    tick(experiment)
    assert bred(experiment).count() >= 3
    tick(experiment)
    assert children(experiment).count() == bred(experiment).count()
    entering = experiment.arms.filter(variant__in=children(experiment))
    assert {arm.status for arm in entering} == {Arm.Status.WAITING}
    assert entering.count() == children(experiment).filter(status="approved").count() > 0


def test_a_child_knows_its_parents_its_operator_and_its_round(tick):
    experiment = make_garden()
    tick(experiment)
    child = children(experiment).filter(operator="crossover").first()
    parents = list(child.parents.all())
    assert len(parents) >= 2
    for slot, option in child.genes.items():
        assert option in {parent.genes[slot] for parent in parents}
    assert child.generation.breeding.round == 1


def test_two_ticks_at_once_breed_one_round(tick):
    experiment = make_garden()
    now = timezone.now()
    Evolution.objects.filter(experiment=experiment).update(held_at=now - HOLD / 2)
    tick(experiment, now)
    assert not bred(experiment).exists()


def test_the_hold_of_a_worker_that_died_runs_out(tick):
    experiment = make_garden()
    now = timezone.now()
    Evolution.objects.filter(experiment=experiment).update(held_at=now - HOLD - timedelta(seconds=1))
    tick(experiment, now)
    assert bred(experiment).exists()


def test_a_worker_that_lost_its_hold_writes_nothing():
    experiment = make_garden()
    now = timezone.now()
    Evolution.objects.filter(experiment=experiment).update(held_at=now + timedelta(seconds=1))
    with pytest.raises(HoldLost):
        evolution._Look(experiment=experiment, now=now).take()
    assert not bred(experiment).exists()
    assert experiment.nursery.variants.count() == len(COUNTS)


def test_a_child_whose_worker_was_killed_is_written_by_another(tick):
    experiment = make_garden()
    evolution.tick(experiment.pk)  # its tasks never reach a worker
    waiting = Generation.objects.filter(breeding__isnull=False, status=Generation.Status.QUEUED)
    dead = timezone.now() - timedelta(minutes=5)
    waiting.update(status=Generation.Status.RUNNING, worked_at=dead)
    for pk in list(Generation.objects.filter(status=Generation.Status.RUNNING).values_list("pk", flat=True)):
        generation.run(pk)
    assert children(experiment).count() == bred(experiment).count() >= 3
    assert set(children(experiment).values_list("operator", flat=True)) <= {"crossover", "mutation", "fresh"}


def test_the_next_round_waits_until_the_children_were_seen(tick):
    experiment = make_garden()
    for _ in range(3):
        tick(experiment)
    Arm.objects.filter(experiment=experiment).update(status=Arm.Status.LIVE)
    tick(experiment)
    assert {one.round for one in bred(experiment)} == {1}
    assert f"{evolving.FEWEST_EXPOSURES:,.0f} visitors" in said(experiment)


# --- Walls -----------------------------------------------------------------------------------------------------------


def test_nothing_breeds_while_it_is_off(tick):
    experiment = make_garden(is_on=False)
    tick(experiment)
    assert not bred(experiment).exists()


def test_one_button_stops_breeding_and_leaves_live_pages_alone(tick):
    experiment = make_garden()
    walls.switch_off(experiment, by=None)
    tick(experiment)
    assert not bred(experiment).exists()
    assert experiment.arms.filter(status=Arm.Status.LIVE).count() == len(COUNTS)


@pytest.mark.parametrize("slots", [("layout", "palette"), ("palette", "typography", "order")])
def test_only_the_parts_that_may_vary_do(tick, slots):
    experiment = make_garden(set_walls=Walls(is_autopilot=True, genes=slots))
    tick(experiment)
    made = [child for child in children(experiment) if child.parents.exists()]
    assert made
    for child in made:
        nearest = min(
            sum(child.genes[slot] != parent.genes[slot] for slot in child.genes if slot not in slots)
            for parent in child.parents.all()
        )
        assert nearest == 0
    assert not bred(experiment).filter(operator="fresh").exists()


def test_fresh_ideas_take_only_the_directions_that_may_be_taken():
    experiment = make_garden()
    chosen = experiment.nursery.directions.get(number=2)
    walls.move(experiment, Walls(is_autopilot=True, directions=(chosen.pk,)), by=None)
    look, chance = evolution._Look(experiment=experiment, now=timezone.now()), np.random.default_rng(1)
    known = credit.effects(look.believed.posterior, look.held)
    drawn = next(evolving.draws(look.believed.posterior, known, look.held[0], chance))
    nest = look._nest(chance)
    orders = [nest.made(Plan(operator=Operator.FRESH, against=(1,), draw=drawn)) for _ in range(3)]
    assert {order.direction for order in orders if order} == {chosen}


def test_without_autopilot_every_child_waits_for_a_person_and_so_does_breeding(tick):
    experiment = make_garden(set_walls=Walls(is_autopilot=False))
    for _ in range(2):
        tick(experiment)
    assert set(children(experiment).values_list("status", flat=True)) == {"draft"}
    assert "for your approval" in said(experiment)
    assert not experiment.arms.filter(variant__in=children(experiment)).exists()


def test_autopilot_never_lets_a_child_live_that_a_gate_stops(tick):
    experiment = make_garden()
    brief = Brief.objects.get(nurseries=experiment.nursery)
    # A word that stands on every page: whatever is bred now carries it.
    brief.never_say = [*brief.never_say, "documents", "papers", "archive"]
    brief.save()
    for _ in range(2):
        tick(experiment)
    first = children(experiment).filter(generation__breeding__round=1)
    stopped = [child for child in first if any(found["blocks"] for found in child.findings)]
    assert stopped
    assert {child.status for child in stopped} == {"rejected"}
    assert not experiment.arms.filter(variant__in=stopped).exists()
    told = " ".join(experiment.evolution_steps.values_list("what", flat=True))
    assert all(f"“{child.name}” goes nowhere: {child.findings[0]['reason']}" in told for child in stopped)


def test_what_a_gate_stops_stays_a_draft_where_a_person_looks_at_it(tick):
    experiment = make_garden(set_walls=Walls(is_autopilot=False))
    tick(experiment)
    fault = {"gate": "never_say", "field": "", "words": "", "reason": "You never say this.", "blocks": True}
    children(experiment).update(findings=[fault])
    tick(experiment)
    assert set(children(experiment).values_list("status", flat=True)) == {"draft"}


def test_autopilot_leaves_alone_what_a_gate_only_remarks_on(tick):
    experiment = make_garden()
    tick(experiment)
    child = children(experiment).first()
    remark = {"gate": "length", "field": "", "words": "", "reason": "long", "blocks": False}
    Variant.objects.filter(pk=child.pk).update(findings=[remark])
    tick(experiment)
    child.refresh_from_db()
    assert child.status == "draft"


def test_autopilot_waits_until_a_browser_has_seen_the_page(eager_tasks, django_capture_on_commit_callbacks):
    experiment = make_garden()
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            evolution.tick(experiment.pk)
    assert set(children(experiment).values_list("status", flat=True)) == {"draft"}
    assert "looked at in a browser" in said(experiment)
    evolution.tick(experiment.pk, timezone.now() + evolution.LONGEST_LOOK + timedelta(minutes=1))
    assert set(children(experiment).values_list("status", flat=True)) == {"draft"}
    assert evolution.children_to_look_at(experiment) >= 3


def test_a_live_page_that_a_browser_finds_broken_leaves_at_once(tick):
    experiment = make_garden(set_walls=Walls(quiet_from=time(0), quiet_until=time(23, 59)))
    fault = {"gate": "overflow", "field": "", "words": "", "reason": "This sticks out on a phone.", "blocks": True}
    Variant.objects.filter(nursery=experiment.nursery, number=2).update(findings=[fault])
    tick(experiment, NOW)
    arm = experiment.arms.get(key="v2")
    assert arm.status == Arm.Status.RETIRED
    assert "broken" in arm.reason
    assert "v2" not in allocation.latest(experiment).shares


def test_autopilot_approves_nothing_where_two_people_have_to_agree(tick):
    experiment = make_garden()
    Brand.objects.update(four_eyes=True)
    for _ in range(2):
        tick(experiment)
    assert set(children(experiment).values_list("status", flat=True)) == {"draft"}
    assert "for an approver" in said(experiment)


def test_the_screen_says_that_four_eyes_hold_autopilot(client, owner):
    experiment = make_garden()
    Brand.objects.update(four_eyes=True)
    client.force_login(owner)
    shown = client.get(reverse("admin:experiments_evolution", args=[experiment.pk])).content.decode()
    assert "so autopilot approves nothing" in shown


def test_a_round_is_decided_by_what_the_study_decides_by():
    experiment = make_garden()
    look = evolution._Look(experiment=experiment, now=timezone.now())
    state = look.state
    credits_ = pedigree.operator_credits(look.believed, look.bred, evolution_worlds.OPERATORS)
    assert state.credits == credits_
    assert set(state.credits) == set(evolution_worlds.OPERATORS)
    assert state.held == [arm.variant.genes for arm in look.believed.known.arms]
    assert state.exposures.tolist() == look.believed.known.total_exposures.tolist()
    assert state.best.sum() == pytest.approx(1.0)
    live, left = look.believed.live, look.course.visitors_left
    assert state.course == evolving.course_of(look.believed.posterior, state.best, live, left)
    assert state.bred == frozenset()


def test_nothing_is_bred_beyond_the_weeks_rounds(tick):
    experiment = make_garden(set_walls=Walls(is_autopilot=True, rounds_per_week=1))
    tick(experiment)
    children(experiment).update(status="rejected")
    Breeding.objects.update(settled_at=timezone.now())
    Evolution.objects.update(is_wanted_now=True)
    tick(experiment)
    assert {one.round for one in bred(experiment)} == {1}
    assert "this week’s 1 rounds are used up" in said(experiment)
    tick(experiment, timezone.now() + walls.WEEK)
    assert {one.round for one in bred(experiment)} == {1, 2}


def with_model(settings):
    settings.ENVIRONMENT = Environment(openai_api_key="not-a-key", openai_base_url="http://127.0.0.1:9/v1")


def test_breeding_waits_until_tomorrow_when_the_days_dollars_are_spent(tick, settings):
    with_model(settings)
    experiment = make_garden(set_walls=Walls(is_autopilot=True, usd_per_day=Decimal("0.001")))
    tick(experiment)
    assert not bred(experiment).exists()
    assert "it goes on tomorrow" in said(experiment)
    assert is_on(experiment)


def test_breeding_stops_when_the_experiments_budget_is_spent(tick, settings):
    with_model(settings)
    experiment = make_garden()
    experiment.nursery.budget_micro_usd = 10
    experiment.nursery.save()
    tick(experiment)
    assert not bred(experiment).exists()
    assert not is_on(experiment)
    assert "budget" in said(experiment)


def test_no_call_for_a_child_passes_the_days_dollars():
    experiment = make_garden(set_walls=Walls(usd_per_day=Decimal("0.01")))
    made = Generation.objects.create(nursery=experiment.nursery, requested=1)
    Breeding.objects.create(generation=made, round=1, operator="fresh", reason="")
    ask: dict[str, Any] = {"purpose": ModelCall.Purpose.PAGE, "model": "m", "prompt_version": "1"}
    ledger.reserve(made, cost_micro_usd=9_000, **ask)
    with pytest.raises(ledger.OverBudget):
        ledger.reserve(made, cost_micro_usd=2_000, **ask)
    plain = Generation.objects.create(nursery=experiment.nursery, requested=1)
    assert ledger.reserve(plain, cost_micro_usd=2_000, **ask).outcome == ModelCall.Outcome.UNDER_WAY


def test_nothing_is_bred_in_quiet_hours_on_the_clocks_of_their_zone(tick):
    quiet = Walls(is_autopilot=True, quiet_from=time(22), quiet_until=time(7), time_zone="Europe/Berlin")
    experiment = make_garden(set_walls=quiet)
    tick(experiment, datetime(2030, 7, 1, 20, 30, tzinfo=UTC))  # 22:30 in Berlin
    assert not bred(experiment).exists()
    assert "quiet hours until 07:00 (Europe/Berlin)" in said(experiment)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (datetime(2030, 7, 1, 20, 30, tzinfo=UTC), datetime(2030, 7, 2, 5, 0, tzinfo=UTC)),
        (datetime(2030, 7, 2, 4, 59, tzinfo=UTC), datetime(2030, 7, 2, 5, 0, tzinfo=UTC)),
        (datetime(2030, 7, 2, 5, 0, tzinfo=UTC), None),
        (datetime(2030, 1, 1, 20, 30, tzinfo=UTC), None),  # 21:30 in winter
    ],
)
def test_quiet_hours_may_go_over_midnight(at, until):
    found = walls.quiet_until(Walls(quiet_from=time(22), quiet_until=time(7), time_zone="Europe/Berlin"), at)
    assert found == until


def live_shares(experiment):
    allocation.reallocate(experiment, now=timezone.now(), at_once=True)
    return allocation.latest(experiment).shares


def newborn(experiment):
    """Make the best page a bred one that few have seen."""
    arm = experiment.arms.get(key="v2")
    Variant.objects.filter(pk=arm.variant_id).update(operator="crossover")
    EpochCount.objects.filter(arm=arm, measure=EXPOSURES).update(count=100)
    EpochCount.objects.filter(arm=arm, measure="signup").update(count=60)
    others = len(COUNTS) - 1
    shares = {one.key: 100 / 20_100 if one == arm else 20_000 / 20_100 / others for one in experiment.arms.all()}
    Allocation.objects.filter(experiment=experiment).update(shares=shares)
    return arm


def test_an_unproven_page_gets_no_more_than_its_wall():
    experiment = make_garden(set_walls=Walls(unproven_share=0.04))
    newborn(experiment)
    shares = live_shares(experiment)
    assert 0.03 < shares["v2"] <= 0.04
    assert sum(shares.values()) == pytest.approx(1)


def test_what_an_unproven_leader_may_not_have_goes_to_the_best_of_the_proven():
    experiment = make_garden(set_walls=Walls(unproven_share=0.04), control_share=0.1)
    newborn(experiment)
    EpochCount.objects.filter(arm__key="v3", measure="signup").update(count=400)
    shares = live_shares(experiment)
    assert shares["v2"] <= 0.04
    assert shares["v3"] > 0.75
    assert shares["control"] == pytest.approx(0.1)
    assert sum(shares.values()) == pytest.approx(1)


def born(experiment, key, *parents):
    """Make a page a child of two others."""
    order = Generation.objects.create(nursery=experiment.nursery, requested=1)
    breeding = Breeding.objects.create(generation=order, operator="crossover", round=1)
    breeding.parents.set(Variant.objects.filter(arm__experiment=experiment, arm__key__in=parents))
    Variant.objects.filter(arm__experiment=experiment, arm__key=key).update(operator="crossover", generation=order)


def test_what_bred_pages_may_not_have_on_probation_goes_to_the_best_of_the_first_pages():
    experiment = make_garden(set_walls=Walls(unproven_share=0.5), control_share=0.1)
    newborn(experiment)
    EpochCount.objects.filter(arm__key="v3", measure="signup").update(count=400)
    EpochCount.objects.filter(arm__key__in=["v5", "v6"], measure="signup").update(count=100)
    for child, parents in (("v2", ("v3", "v4")), ("v5", ("v2", "v3")), ("v6", ("v2", "v3"))):
        born(experiment, child, *parents)
    shares = live_shares(experiment)
    assert sum(shares[child] for child in ("v2", "v5", "v6")) < evolving.PROBATION
    assert shares["v3"] > 0.6
    assert shares["control"] == pytest.approx(0.1)


def test_the_history_says_why_a_leader_is_held_back():
    experiment = make_garden(set_walls=Walls(unproven_share=0.04))
    newborn(experiment)
    live_shares(experiment)
    assert allocation.latest(experiment).reason.endswith("gets 4% of visitors for now: it is bred, and not proven yet")


def test_the_wall_holds_on_equal_shares_too():
    experiment = make_garden(set_walls=Walls(unproven_share=0.02), policy=Experiment.Policy.EQUAL)
    newborn(experiment)
    assert live_shares(experiment)["v2"] == pytest.approx(0.02)


def test_a_page_that_a_person_put_in_is_not_held_to_the_wall():
    experiment = make_garden(set_walls=Walls(unproven_share=0.04))
    arm = newborn(experiment)
    Variant.objects.filter(pk=arm.variant_id).update(operator="")
    assert live_shares(experiment)["v2"] > 0.04


# --- It stops by itself ----------------------------------------------------------------------------------------------


def test_breeding_stops_when_visitors_are_not_split_as_planned(tick):
    experiment = make_garden()
    Experiment.objects.update(frozen_at=timezone.now())
    tick(experiment)
    assert not bred(experiment).exists()
    assert not is_on(experiment)
    assert "not split as planned" in said(experiment)


def test_breeding_stops_when_the_goal_falls_silent(tick):
    experiment = make_garden()
    later = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    for arm in experiment.arms.all():
        EpochCount.objects.create(arm=arm, epoch=1, hour=later, measure=EXPOSURES, count=200)
    tick(experiment, later + timedelta(hours=1))
    assert not is_on(experiment)
    assert "where about 5" in said(experiment)
    assert not bred(experiment).exists()


def test_a_goal_that_was_never_reached_is_silent_once_many_have_come(tick):
    experiment = make_garden([(600, 0)] * 6)
    tick(experiment)
    assert not is_on(experiment)


def test_a_quiet_hour_of_few_visitors_is_no_silence(tick):
    experiment = make_garden()
    later = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    count_at = {"epoch": 1, "hour": later, "measure": EXPOSURES, "count": 30}
    EpochCount.objects.create(arm=experiment.arms.get(key="control"), **count_at)
    tick(experiment, later + timedelta(hours=1))
    assert is_on(experiment)


def test_breeding_stops_when_nothing_is_left_to_gain(tick):
    experiment = make_garden(visitors_per_day=5, planned_days=1)
    tick(experiment)
    assert not is_on(experiment)
    assert "nothing is left to gain: of the 35 visitors" in said(experiment)
    assert experiment.evolution_steps.get(kind="stopped").numbers["crossover"]["gain"] >= 0


def test_who_asks_for_a_round_is_told_beforehand_that_it_would_bring_nothing():
    assert evolution.why_not_now(make_garden()) == ""
    assert "nothing is left to gain" in evolution.why_not_now(make_garden(visitors_per_day=5, planned_days=1))


def test_breeding_waits_for_a_proof_round(tick):
    experiment = make_garden()
    Experiment.objects.update(proof_arm=experiment.arms.get(key="v2"), proof_epoch=1)
    tick(experiment)
    assert not bred(experiment).exists()
    assert "proof round" in said(experiment)
    assert is_on(experiment)


def test_three_rounds_without_a_child_stop_it_and_one_makes_it_rest(tick):
    experiment = make_garden()
    for number in range(1, 4):
        failed = Generation.objects.create(
            nursery=experiment.nursery, requested=1, status=Generation.Status.FAILED, message="The model is down."
        )
        Breeding.objects.create(generation=failed, round=number, operator="fresh", reason="", settled_at=NOW)
        tick(experiment)
        assert "The model is down." in said(experiment)
        assert is_on(experiment) == (number < 3)


def test_a_page_that_is_surely_worse_than_todays_leaves_and_shares_are_split_anew(tick):
    experiment = make_garden([(4000, 240), (4000, 260), (4000, 250), (4000, 40), (4000, 245), (4000, 240)])
    tick(experiment)
    assert experiment.arms.get(key="v4").status == Arm.Status.RETIRED
    shares = allocation.latest(experiment).shares
    assert "v4" not in shares
    assert sum(shares.values()) == pytest.approx(1)
    assert any("v4" in str(step.numbers) for step in experiment.evolution_steps.filter(kind="retired"))


def test_every_decision_is_written_down_once(tick):
    experiment = make_garden(set_walls=Walls(is_autopilot=False))
    for _ in range(4):
        tick(experiment)
    kinds = list(experiment.evolution_steps.values_list("kind", flat=True))
    assert kinds.count("bred") == 1
    assert kinds.count("held") == 1


# --- Moving walls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"genes": ("colour",)}, "genes"),
        ({"genes": ()}, "genes"),
        ({"directions": (999_999,)}, "directions"),
        ({"usd_per_day": Decimal(-1)}, "usd_per_day"),
        ({"rounds_per_week": 0}, "rounds_per_week"),
        ({"unproven_share": 0.9}, "unproven_share"),
        ({"quiet_from": time(22)}, "quiet_until"),
        ({"quiet_from": time(7), "quiet_until": time(7)}, "quiet_until"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
    ],
)
def test_a_wall_that_cannot_stand_is_refused_by_its_name(changes, field):
    experiment = make_garden()
    with pytest.raises(walls.BadWall) as refused:
        walls.move(experiment, Walls(**changes), by=None)
    assert refused.value.field == field


def test_walls_may_be_moved_while_it_runs_and_history_says_from_what_to_what(owner):
    experiment = make_garden()
    walls.move(experiment, Walls(is_autopilot=True, rounds_per_week=3), by=owner)
    told = experiment.evolution_steps.order_by("-pk")[0]
    assert "Rounds a week: “7” → “3”" in told.what
    assert told.made_by == owner


def test_a_human_edit_is_a_child_of_the_page_it_began_with(client, owner):
    experiment = make_garden()
    parent = experiment.nursery.variants.get(number=2)
    client.force_login(owner)
    client.post(reverse("admin:experiments_variant_copy", args=[experiment.pk, parent.pk]))
    made = experiment.nursery.variants.order_by("-number")[0]
    assert made.operator == "edit"
    assert list(made.parents.all()) == [parent]


def test_lessons_of_the_brand_reach_the_writer_as_data():
    experiment = make_garden()
    brand = experiment.nursery.brief.brand
    brand.lessons.create(text="Layouts with a split hero turned out +12%.")
    brand.lessons.create(text="Not for use.", is_used=False)
    assert generation.lessons_of(brand) == ("Layouts with a split hero turned out +12%.",)
