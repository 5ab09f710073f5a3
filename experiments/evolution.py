"""Breed pages while visitors choose: unattended, within walls, until there is nothing left to gain.

    timetable ── tick ──▶ hold ──▶ see to children that are written ──▶ stop? ──▶ wait? ──▶ retire ──▶ plan ──▶ breed

Everything a tick goes by is in the database, and everything it decides is written in one transaction that checks the
hold again: a worker that dies leaves nothing half done, and two never decide for one experiment. What the policy is
made of is pure (evolving.py, credit.py, variants/breeding.py); this module asks it and does what it says.

    stop    visitors are not split as planned, the goal is silent, the budget is spent, or no child would pay
    wait    a proof round, quiet hours, children that are being written or looked at, too few visitors since, the week's
            rounds or the day's dollars used up: all of which pass by themselves
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
from celery import current_app
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.text import get_text_list

from experiments import belief, deployment, evidence, evolving, lifecycle, pedigree, roster, walls
from experiments.belief import Belief
from experiments.evolving import Course, Plan
from experiments.models import Arm, Evolution, EvolutionStep, Experiment
from experiments.rehearsal import page_checks
from experiments.walls import Walls
from variants import breeding, children, estimates, generation, ledger, review
from variants.breeding import Operator
from variants.children import Genome, Order
from variants.content import SLOT_WORDS
from variants.models import Breeding, Direction, Generation, PageCheck, Variant
from variants.models import Operator as BredBy
from variants.page_health import KINDS

logger = logging.getLogger(__name__)

EVOLVE_TASK = "experiments.tasks.evolve_one"
HOLD = timedelta(minutes=2)  # a tick takes seconds; after this long its worker is taken to be dead
MOST_TO_LOOK_AT = 12  # children that no gate passes wait for a person; more would only pile up
MOST_BARREN_ROUNDS = 3  # in a row
REST_AFTER_BARREN_ROUND = timedelta(hours=1)
# So many conversions in a row that were to be expected and did not come are no accident: the chance is exp(-12).
SILENT_CONVERSIONS = 12.0
# Where nothing was ever counted, no rate is known; this is the lowest that a goal worth its name has.
LOWEST_RATE = 0.004
# A page that no browser has seen by then waits for a person: perhaps nobody looks at pages here.
LONGEST_LOOK = timedelta(minutes=10)
LEAST_DAYS_AHEAD = 7.0  # a page that has been found goes on earning, whatever the plan's last day is

Kind = EvolutionStep.Kind


class HoldLost(Exception):
    """Another worker decides for the experiment now, or breeding was switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Why no child is made now."""

    reason: str
    is_final: bool = False  # breeding stops; else it waits
    numbers: dict[str, Any] | None = None


def due(now: datetime) -> list[int]:
    """Return the running experiments whose pages breed, and that nobody decides for."""
    free = Q(held_at=None) | Q(held_at__lt=now - HOLD)
    running = Evolution.objects.filter(free, is_on=True, experiment__status=Experiment.Status.RUNNING)
    return list(running.values_list("experiment_id", flat=True))


def tick(experiment_id: int, now: datetime | None = None) -> None:
    """Look at an experiment once and do what is to be done; return at once when another worker does."""
    now = now or timezone.now()
    free = Q(held_at=None) | Q(held_at__lt=now - HOLD)
    if not Evolution.objects.filter(free, experiment=experiment_id, is_on=True).update(held_at=now, looked_at=now):
        return
    experiment = Experiment.objects.select_related("nursery__brief__brand", "evolution").get(pk=experiment_id)
    try:
        _Look(experiment=experiment, now=now).take()
    except HoldLost:
        logger.warning("experiment %s: another worker decides how it breeds, or nobody does any more", experiment.slug)
    finally:
        Evolution.objects.filter(experiment=experiment_id, held_at=now).update(held_at=None)


def why_not_now(experiment: Experiment, now: datetime | None = None) -> str:
    """Return the wall that stands in the way of a round that a person asks for; empty where none does."""
    found = Experiment.objects.select_related("nursery__brief__brand", "evolution").get(pk=experiment.pk)
    look = _Look(experiment=found, now=now or timezone.now())
    answer = look.hindrance() or look.worthlessness()
    return answer.reason if answer else ""


def request_tick(experiment: Experiment) -> None:
    """Have a worker look at the experiment now rather than when the timetable comes to it."""
    task = current_app.signature(EVOLVE_TASK, args=(experiment.pk,))
    transaction.on_commit(task.apply_async, robust=True)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One look at an experiment, by a worker that holds it."""

    experiment: Experiment
    now: datetime

    def take(self) -> None:
        answer = self._standing_still()
        if answer is None:
            self._retire_broken()
            answer = self._quiet()
        if answer is None:
            self._see_to_children()
            answer = self._hindrance()
        if answer is None:
            answer = self._breed()
        if answer is not None and answer.is_final:
            walls.stop_by_itself(self.experiment, answer.reason, answer.numbers or {})
        else:
            walls.hold(self.experiment, answer.reason if answer else "")

    def hindrance(self) -> Answer | None:
        """Return why no child could be made now."""
        return self._standing_still() or self._quiet() or self._hindrance()

    # What is known

    @cached_property
    def walls(self) -> Walls:
        return walls.of(self.experiment)

    @cached_property
    def believed(self) -> Belief:
        known = evidence.gather(self.experiment, evidence.entered_arms(self.experiment))
        return belief.of(self.experiment, known, self.now)

    @cached_property
    def held(self) -> list[dict[str, str]]:
        """What each arm holds in each slot."""
        return [arm.variant.genes for arm in self.believed.known.arms]

    @cached_property
    def course(self) -> Course:
        """What lies ahead: as many visitors a day as the marketer expects, or as came so far."""
        visitors, shown = self.experiment.visitors_per_day, float(self.believed.known.exposures.sum())
        started = self.experiment.started_at or self.now
        days = max((self.now - started) / timedelta(days=1), 1 / 24)
        per_day = visitors * self.experiment.traffic_share if visitors else shown / days
        ahead = max(self.experiment.planned_days - days, LEAST_DAYS_AHEAD)
        best = self.believed.standing.probability_best
        return evolving.course_of(self.believed.posterior, best, self.believed.live, per_day * ahead)

    @cached_property
    def bred(self) -> list[Breeding]:
        return list(pedigree.bred_for(self.experiment))

    @property
    def round(self) -> int:
        """How many rounds there were."""
        return max((one.round for one in self.bred), default=0)

    # Before anything is decided

    def _standing_still(self) -> Answer | None:
        """Tell whether shares stand still: then nobody may leave or enter."""
        if self.experiment.frozen_at is not None:
            told = "visitors are not split as planned, so nothing that it would build on can be trusted."
            return Answer(reason=told, is_final=True)
        if self.experiment.proof_arm_id is not None:
            return Answer(reason="a proof round is running.")
        return None

    def _quiet(self) -> Answer | None:
        if until := walls.quiet_until(self.walls, self.now):
            return Answer(reason=f"quiet hours until {until:%H:%M} ({self.walls.time_zone.replace('_', ' ')}).")
        return None

    def _hindrance(self) -> Answer | None:
        return self._silence() or self._money() or self._children_under_way() or self._week() or self._patience()

    def _silence(self) -> Answer | None:
        """Tell whether the goal has fallen silent: a form that broke looks like pages that all got worse."""
        known, matured = self.believed.known, self.believed.matured.sum(axis=1)
        converted = known.conversions.sum(axis=1)
        last = int(np.flatnonzero(converted)[-1]) if converted.any() else -1
        usual = self.experiment.usual_rate or LOWEST_RATE
        rate = float(converted.sum() / matured[: last + 1].sum()) if last >= 0 else usual
        since = float(matured[last + 1 :].sum())
        if rate * since < SILENT_CONVERSIONS:
            return None
        told = (
            f"nobody reached the goal “{evidence.primary_key(self.experiment)}” among the last {since:,.0f} visitors, "
            f"where about {rate * since:,.0f} were to be expected. Look whether the goal still works."
        )
        return Answer(reason=told, is_final=True, numbers={"visitors": round(since), "expected": rate * since})

    def _money(self) -> Answer | None:
        """Tell whether the next page could cost more than what is left."""
        nursery, asker = self.experiment.nursery, self.experiment.evolution.changed_by_id
        try:
            cost = estimates.most_of_a_page(nursery)
        except estimates.NoEstimate as error:
            return Answer(reason=str(error))
        limits = [*ledger.limits(nursery.pk, generation=None, user_id=asker), *ledger.breeding_limit(nursery.pk)]
        for limit in sorted(limits, key=lambda limit: limit.is_daily):
            if limit.left_micro_usd < cost:
                return _spent(limit)
        return None

    def _children_under_way(self) -> Answer | None:
        if any(not one.generation.is_over for one in self.bred):
            return Answer(reason="children are being written.")
        if any(not self._is_looked_at(one) for one in self._unsettled()):
            return Answer(reason="children are being looked at in a browser.")
        if answer := self._approval():
            return answer
        entering = roster.may_enter(self.experiment).filter(variant__generation__breeding__isnull=False).exists()
        return Answer(reason="approved children are about to go live.") if entering else self._barren()

    def _approval(self) -> Answer | None:
        """Tell whether people have to look at children before more are bred."""
        waiting = children_to_look_at(self.experiment)
        if not waiting or (self.walls.is_autopilot and not self._asks_four_eyes and waiting < MOST_TO_LOOK_AT):
            return None
        count = f"{waiting} {'child waits' if waiting == 1 else 'children wait'}"
        if self.walls.is_autopilot and self._asks_four_eyes:
            return Answer(
                reason=f"{count} for an approver: this brand asks for four eyes, so autopilot approves nothing."
            )
        return Answer(reason=f"{count} for your approval.")

    @property
    def _asks_four_eyes(self) -> bool:
        return self.experiment.nursery.brief.brand.asks_four_eyes

    def _barren(self) -> Answer | None:
        """Tell whether the last rounds brought nothing: a writer that is down is not asked again and again."""
        by_round: dict[int, list[Generation]] = {}
        for one in self.bred:
            by_round.setdefault(one.round, []).append(one.generation)
        rounds = [by_round[number] for number in sorted(by_round, reverse=True)]
        barren = list(takewhile(lambda made: not any(map(self._brought, made)), rounds))
        if not barren:
            return None
        told = barren[0][-1].message or "A gate stopped what was made."
        if len(barren) >= MOST_BARREN_ROUNDS:
            return Answer(reason=f"{len(barren)} rounds in a row brought no child. {told}", is_final=True)
        again = max(one.created_at for one in barren[0]) + REST_AFTER_BARREN_ROUND
        return Answer(reason=f"the last round brought no child. {told}") if self.now < again else None

    def _brought(self, made: Generation) -> bool:
        """Tell whether a generation brought a page that may yet go live: a person may mend one that a gate stopped."""
        return bool(made.accepted or (made.blocked and not self.walls.is_autopilot))

    def _week(self) -> Answer | None:
        began = walls.rounds_in_week(self.experiment, self.now)
        if len(began) < self.walls.rounds_per_week:
            return None
        again = began[len(began) - self.walls.rounds_per_week] + walls.WEEK
        used = f"this week’s {self.walls.rounds_per_week} rounds are used up"
        return Answer(reason=f"{used}; the next may begin on {again.day} {again:%b, %H:%M} UTC.")

    def _patience(self) -> Answer | None:
        """Tell whether the last round's children have not been seen enough for the next to build on them."""
        if self.experiment.evolution.is_wanted_now:
            return None
        arms = self.believed.known.arms
        last = {one.generation_id for one in self.bred if one.round == self.round}
        newborns = [place for place in self.believed.live if arms[place].variant.generation_id in last]
        if not self.bred:
            newborns = self.believed.live
        shown = float(self.believed.known.exposures.sum())
        since = shown - self._visitors_at_last_round()
        exposures = self.believed.known.total_exposures
        if evolving.is_due(exposures, newborns, since):
            return None
        needed = evolving.FEWEST_EXPOSURES
        told = f"every new page is to be seen by {needed:,.0f} visitors before the next round builds on it."
        return Answer(reason=told)

    def _visitors_at_last_round(self) -> float:
        last = self.experiment.evolution_steps.filter(kind=Kind.BRED).last()
        return float(last.numbers.get("visitors", 0)) if last else 0.0

    # Children that were written

    def _see_to_children(self) -> None:
        """Let those that pass every gate go live by autopilot; leave the others for a person to look at."""
        done = [one for one in self._unsettled() if self._is_looked_at(one)]
        if not done:
            return
        with transaction.atomic():
            _check_hold(self.experiment, self.now)
            approved = [variant for one in done for variant in self._approved(one)]
            stopped = [variant for one in done for variant in self._rejected(one)]
            Breeding.objects.filter(pk__in=[one.pk for one in done]).update(settled_at=self.now)
            new = roster.enrol(self.experiment) if approved else []
            if new:
                deployment.request(self.experiment, reason="a child was approved by autopilot")
            for variant in approved:
                _tell(self.experiment, Kind.APPROVED, f"“{variant.name}” passed every gate and goes live.")
            for variant in stopped:
                _tell(self.experiment, Kind.RETIRED, f"“{variant.name}” goes nowhere: {_stopped_by(variant)}")

    def _unsettled(self) -> list[Breeding]:
        return [one for one in self.bred if one.settled_at is None and one.generation.is_over]

    def _is_looked_at(self, one: Breeding) -> bool:
        """Tell whether a browser has seen the child's page; without autopilot a person is waited for instead."""
        if not self.walls.is_autopilot or self.now - one.generation.created_at > LONGEST_LOOK:
            return True
        drafts = one.generation.variants.filter(status=Variant.Status.DRAFT).values_list("pk", flat=True)
        return not any(state.is_pending for state in page_checks.states(drafts).values())

    def _approved(self, one: Breeding) -> Iterator[Variant]:
        if not self.walls.is_autopilot:
            return
        for variant in one.generation.variants.filter(status=Variant.Status.DRAFT):
            if approved_by_autopilot(variant):
                yield variant

    def _rejected(self, one: Breeding) -> Iterator[Variant]:
        """Take out what a gate stops: nobody waits for it where nobody has to look, and drafts would only pile up."""
        if not self.walls.is_autopilot:
            return
        for variant in one.generation.variants.filter(status=Variant.Status.DRAFT):
            if any(found["blocks"] for found in variant.findings):
                yield review.reject(variant, by=None)

    # The round

    def _breed(self) -> Answer | None:
        if answer := self.worthlessness():
            return answer
        state = self.state
        found = evolving.decided(state)
        generator = np.random.default_rng([self.experiment.pk, self.round + 1])
        nest = self._nest(generator)
        with transaction.atomic():
            _check_hold(self.experiment, self.now)
            made = evolving.brood(state, found, nest.made, generator)
            self._retire(found.leaving)
            if made:
                self._write_down(made)
        lifecycle.publish_or_leave_to_timetable(self.experiment)
        if not found.number:
            return Answer(reason=_no_room(state))
        return None if made else Answer(reason="every child that could be made now was tried before.")

    def worthlessness(self) -> Answer | None:
        """Return why one more child would not earn what it costs to try."""
        if self.state.pays:
            return None
        left = int(self.course.visitors_left)
        told = (
            f"nothing is left to gain: of the {left:,} visitors or so that are still to come, no kind of child is "
            "expected to earn more than it costs to try."
        )
        return Answer(reason=told, is_final=True, numbers=_worth(self.state))

    @cached_property
    def state(self) -> evolving.State:
        """Say what a round is decided by: the study fills in the same."""
        known = self.believed.known
        return evolving.State(
            posterior=self.believed.posterior,
            held=self.held,
            best=self.believed.standing.probability_best,
            exposures=known.total_exposures,
            live=self.believed.live,
            bred=pedigree.bred_places(self.believed, self.bred),
            control=known.control,
            credits=pedigree.operator_credits(self.believed, self.bred, pedigree.open_operators(self.experiment)),
            course=self.course,
            entering=roster.may_enter(self.experiment).count(),
        )

    def _nest(self, generator: np.random.Generator) -> "_Nest":
        contents = {variant.pk: variant.typed for variant in self.experiment.nursery.variants.all()}
        slots, open_directions = self.walls.genes, pedigree.open_directions(self.experiment, self.walls)
        allowed = frozenset(direction.angle for direction in open_directions)
        return _Nest(
            look=self,
            generator=generator,
            contents=contents,
            tried={children.genome(content) for content in contents.values()},
            angles=Counter(content.angle for content in contents.values()),
            walls=breeding.Walls(
                slots=frozenset(breeding.SLOTS if slots is None else slots),
                angles=None if self.walls.directions is None else allowed,
            ),
            known=pedigree.known_genes(self.believed, self.held),
            directions=open_directions,
        )

    def _retire_broken(self) -> None:
        """Take pages out at once that a browser found broken after they went live."""
        live = {arm.variant_id: arm for arm in self.experiment.arms.filter(status=Arm.Status.LIVE)}
        found = [(live[variant.pk], faults) for variant, faults in page_checks.broken(self.experiment)
                 if variant.pk in live and not variant.is_control]  # fmt: skip
        if not found:
            return
        with transaction.atomic():
            _check_hold(self.experiment, self.now)
            for arm, faults in found:
                self._take_out(arm, f"its page is broken: {faults[0].reason}")
            lifecycle.share_out_again(Experiment.objects.get(pk=self.experiment.pk), self.now)
        lifecycle.publish_or_leave_to_timetable(self.experiment)

    def _take_out(self, arm: Arm, reason: str) -> None:
        left = Arm.objects.filter(pk=arm.pk, status=Arm.Status.LIVE)
        if left.update(status=Arm.Status.RETIRED, retired_at=self.now, reason=reason[:200]):
            told = f"“{arm.variant.name}” retires: {reason.rstrip('.')}."
            _tell(self.experiment, Kind.RETIRED, told, {"arm": arm.key})

    def _retire(self, leaving: Sequence[evolving.Retirement]) -> None:
        for gone in leaving:
            self._take_out(self.believed.known.arms[gone.place], gone.reason)
        if leaving:
            lifecycle.share_out_again(Experiment.objects.get(pk=self.experiment.pk), self.now)

    def _write_down(self, made: Sequence[Order]) -> None:
        number = self.round + 1
        ways = [order.reason for order in made]
        count = f"{len(made)} {'child' if len(made) == 1 else 'children'}"
        visitors = float(self.believed.known.exposures.sum())
        numbers = {"round": number, "visitors": visitors, "children": len(made), "live": len(self.believed.live)}
        told = f"Round {number}, after {visitors:,.0f} visitors: {count}. {' '.join(ways)}"
        Evolution.objects.filter(experiment=self.experiment).update(is_wanted_now=False)
        _tell(self.experiment, Kind.BRED, told, numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nest:
    """Makes the children of one round, no two alike and none that was tried."""

    look: _Look
    generator: np.random.Generator
    contents: Mapping[int, breeding.Content]  # of all variants, by primary key
    tried: set[Genome]
    angles: Counter[str]  # how often each was taken, this round's children counted
    walls: breeding.Walls
    known: Sequence[breeding.Known]  # of genes, as a writer is told
    directions: Sequence[Direction]  # that fresh ideas may take

    def made(self, plan: Plan) -> Order | None:
        """Make a child, or ask for it; None where the walls or what was tried leave none."""
        if plan.operator is Operator.CROSSOVER:
            return self._crossed(plan)
        return self._mutation(plan) if plan.operator is Operator.MUTATION else self._fresh(plan)

    def _variants(self, plan: Plan) -> list[Variant]:
        return [self.look.believed.known.arms[place].variant for place in plan.against]

    def _crossed(self, plan: Plan) -> Order | None:
        by_key = {variant.pk: variant for variant in self._variants(plan)}
        pages = [(key, self.contents[key]) for key in by_key]
        nursery = self.look.experiment.nursery
        texts = children.texts_of(pages[0][1], nursery)
        litter = breeding.crossover(pages, self.walls, plan.draw.worth, texts=texts)
        child = next((one for one in litter if self._is_new(one.content)), None)
        if child is None:
            return None
        parents = [by_key[key] for key in child.parents]
        named = get_text_list([f"“{parent.name}”" for parent in parents], "and")
        order = self._order(plan, f"Crossed from {named}.", against=parents)
        self.tried.add(children.genome(child.content))
        children.keep(nursery, order, child.content)
        return order

    def _is_new(self, content: breeding.Content) -> bool:
        return children.genome(content) not in self.tried

    def _mutation(self, plan: Plan) -> Order | None:
        parent = self._variants(plan)[0]
        slot = plan.draw.weakest(self.look.held[plan.against[0]], self.walls.slots)
        asked = breeding.mutation(parent.pk, slot, self.known, self.walls)
        direction = self._another_direction(parent) if slot == "angle" else None
        if slot == "angle" and direction is None:
            return None
        reason = f"The {SLOT_WORDS[slot]} of “{parent.name}” is written anew."
        return self._ask(self._order(plan, reason, slot=slot, direction=direction, told=_told(asked)))

    def _another_direction(self, parent: Variant) -> Direction | None:
        others = [one for one in self.directions if one.angle != parent.typed.angle]
        return others[int(self.generator.integers(len(others)))] if others else None

    def _fresh(self, plan: Plan) -> Order | None:
        there = {direction.angle: direction for direction in self.directions}
        known = self.known
        asked = breeding.fresh(list(there), self.angles, known, self.walls, self.generator)
        if asked is None or asked.angle not in there:
            return None
        self.angles[asked.angle] += 1
        reason = f"A fresh idea in the direction “{asked.angle}”."
        return self._ask(self._order(plan, reason, direction=there[asked.angle], told=_told(asked)))

    def _order(self, plan: Plan, reason: str, **more: Any) -> Order:
        values = {"against": self._variants(plan), **more}
        return Order(round=self.look.round + 1, operator=_KINDS[plan.operator], reason=reason, **values)

    def _ask(self, order: Order) -> Order:
        generation.request_child(self.look.experiment.nursery, order, by=self.look.experiment.evolution.changed_by)
        return order


_KINDS = {kind.value: kind for kind in BredBy}


def _told(asked: breeding.Instruction) -> dict[str, Any]:
    """Return what the writer is told, as it is kept with the child."""
    rows = {"worked": [asdict(one) for one in asked.worked], "failed": [asdict(one) for one in asked.failed]}
    return {"lines": asked.lines(), **rows}


def _spent(limit: ledger.Limit) -> Answer:
    if limit.is_daily:
        return Answer(reason=f"{limit.name} (${ledger.dollars(limit.most_micro_usd)}) is used up; it goes on tomorrow.")
    told = f"{limit.name} of ${ledger.dollars(limit.most_micro_usd)} is spent."
    return Answer(reason=told, is_final=True, numbers={"spent_micro_usd": limit.used_micro_usd})


def children_to_look_at(experiment: Experiment) -> int:
    """Return how many bred drafts wait for a person."""
    drafts = Variant.objects.filter(nursery=experiment.nursery_id, status=Variant.Status.DRAFT)
    return drafts.filter(generation__breeding__settled_at__isnull=False).count()


LOOKED_AT = (PageCheck.Outcome.BROWSER, PageCheck.Outcome.BYTES)


def approved_by_autopilot(variant: Variant) -> bool:
    """Approve a child that every gate lets pass, once its page was looked at; any other waits for a person.

    A remark on what it says holds it too: nobody reads it before visitors do. What browsers merely recommend does not.
    """
    remarks = [found for found in variant.findings if found["blocks"] or found["gate"] not in KINDS]
    check = PageCheck.objects.filter(variant=variant, outcome__in=LOOKED_AT).exists()
    if remarks or not check:
        return False
    try:
        with transaction.atomic():
            review.approve(variant, by=None)
    except (review.Blocked, review.WrongVariantStatus):
        return False
    return True


def _stopped_by(variant: Variant) -> str:
    return next(str(found["reason"]) for found in variant.findings if found["blocks"])


def _worth(state: evolving.State) -> dict[str, Any]:
    worth = evolving.prospects(state.credits, state.course)
    return {one.operator.value: {"gain": one.gain, "cost": one.cost} for one in worth}


def _no_room(state: evolving.State) -> str:
    if evolving.is_trusted(state.credits.values()):
        return "the traffic affords no more pages at once, and none can be spared yet."
    return "the children that are live are to show first that breeding does no harm."


def _check_hold(experiment: Experiment, now: datetime) -> None:
    """Hold the row for this transaction; raise HoldLost where another worker decides, or breeding was switched off."""
    held = Evolution.objects.select_for_update().filter(experiment=experiment, held_at=now, is_on=True)
    if not held.exists():
        raise HoldLost


def _tell(experiment: Experiment, kind: EvolutionStep.Kind, what: str, numbers: dict[str, Any] | None = None) -> None:
    logger.info("experiment %s: %s", experiment.slug, what)
    EvolutionStep.objects.create(experiment=experiment, kind=kind, what=what, numbers=numbers or {})
