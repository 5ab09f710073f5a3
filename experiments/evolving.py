"""Decide how an experiment evolves: who retires, who breeds and how, when a generation is due, when it stops paying.

Pure: arrays in, decisions out; every draw comes from the generator passed in, so that the same state and seed decide
alike. Arms are named by their place in the arrays. What is decided is done by experiments.evolution; why it is decided
so, with figures, is in docs/decisions/0015-evolution-policy.md and docs/evolution.md.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments import bandit, credit, pooling
from experiments.credit import Effects, Floats, Genes, OperatorCredit
from variants.breeding import Operator

# What an inherited prior weighs, and what a newborn is to be seen by before others are built on it.
FEWEST_EXPOSURES: Final = 150.0
# An arm does not leave for newborns before so many have seen it, whatever its relatives tell of its genes.
FEWEST_TO_LEAVE: Final = 50.0
# Until so many have seen it an arm is held to the largest share of an unproven one: 30 conversions at 3%, not five.
PROVEN_BY: Final = 1_000.0
# An arm cannot win any more when it is this much less likely to be best than an equal one would be.
HOPELESS: Final = 0.5
# Chance of being worse than the control from which on an arm is not worth a visitor.
SURELY_WORSE: Final = 0.99
FEWEST_LIVE: Final = 3
MOST_LIVE: Final = 200  # however many visitors come: screens and reviews are quick up to 500 arms
MOST_CHILDREN: Final = 24  # of a generation: each is written, looked at in a browser and perhaps read by a person
VISITORS_PER_LIVE_ARM: Final = 2_500.0  # of those still to come
NEW_PART: Final = 0.25  # of the arms that may be live, for the newborns of a generation
# How wide a draw is of what arms and genes are worth: wider ones waver between pages that are nearly alike.
BOLDNESS: Final = 0.6
# For the shares evidence counts as often: of many bred pages each seems worth a look, and together they take them all.
EVIDENCE_COUNTS: Final = 4.0
# What a newborn is judged by in the end, on the way to becoming the best or not.
JUDGED_BY: Final = 2_500.0
LOST_ON: Final = 1_000.0  # visitors: on a child that is a fifth worse, until it is known to be
# An operator is trusted when its mean child is surely not worse than its parents by as much as this.
HARMFUL: Final = 0.12
TRUSTED: Final = 0.85
PROBATION: Final = 0.3  # of all visitors
DISTRUST: Final = 4  # how steeply that falls with trust
FEW_CHILDREN: Final = 8
OPERATOR_FLOOR: Final = 0.05  # of all children, for each operator that may breed


# --- Retiring ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    place: int
    is_worse_than_control: bool  # else it cannot win any more
    reason: str


def retiring(
    posterior: pooling.Posterior,
    best: Floats,
    exposures: Floats,
    live: Sequence[int],
    *,
    control: int,
    room_needed: int,
) -> list[Retirement]:
    """Give the live arms that leave, `best` being their probability best by place.

    Whoever is surely worse than the control leaves; whoever cannot win any more leaves if room is needed.
    """
    others = [place for place in live if place != control]
    worse = [
        place
        for place in others
        if exposures[place] >= FEWEST_EXPOSURES and _chance_worse(posterior, place, control) > SURELY_WORSE
    ]
    hopeless = [
        place
        for place in others
        if exposures[place] >= FEWEST_TO_LEAVE and place not in worse and best[place] < HOPELESS / len(live)
    ]
    hopeless.sort(key=lambda place: float(best[place]))
    spare = max(0, len(live) - len(worse) - FEWEST_LIVE)
    leaving = hopeless[: max(0, min(room_needed - len(worse), spare))]
    return [
        *(Retirement(place=place, is_worse_than_control=True, reason=_says_worse(exposures[place])) for place in worse),
        *(
            Retirement(place=place, is_worse_than_control=False, reason=_says_hopeless(best[place], exposures[place]))
            for place in leaving
        ),
    ]


def _chance_worse(posterior: pooling.Posterior, place: int, control: int) -> float:
    difference = posterior.mean[place] - posterior.mean[control]
    spread = posterior.covariance
    variance = spread[place, place] + spread[control, control] - 2 * spread[place, control]
    return float(special.ndtr(-difference / np.sqrt(max(variance, 1e-12))))


def _says_worse(exposures: float) -> str:
    return f"worse than today's page with a chance above {SURELY_WORSE:.0%}, after {exposures:,.0f} visitors"


def _says_hopeless(best: float, exposures: float) -> str:
    return f"probability best {best:.2%} after {exposures:,.0f} visitors, and newborns need room"


# --- Room and time -----------------------------------------------------------------------------------------------


def affordable_live(visitors_left: float) -> int:
    """Give how many arms may be live: fewer and fewer, so that what was learnt is earned before visitors run out.

    More than visitors can tell apart one by one (experiments.affordable): bred arms share genes, and it is genes that
    are learnt of.
    """
    return min(MOST_LIVE, max(FEWEST_LIVE, int(visitors_left / VISITORS_PER_LIVE_ARM)))


def newborns_due(room: int, *, is_trusted: bool = True, bred_live: int = 0) -> int:
    """Give how many children a generation has, for so many arms that may be live.

    Until breeding is trusted a few children are tried at a time: a few that are seen often tell more than many.
    """
    many = min(MOST_CHILDREN, max(1, int(room * NEW_PART)))
    return many if is_trusted else max(0, min(many, FEW_CHILDREN - bred_live))


def trust(credits_: Iterable[OperatorCredit]) -> float:
    """Give the chance, for the best operator, that its mean child is not worse than its parents by HARMFUL."""
    return max((float(special.ndtr((one.mean + HARMFUL) / one.error)) for one in credits_), default=0.0)


def is_trusted(credits_: Iterable[OperatorCredit]) -> bool:
    """Tell whether an operator has shown that it does no harm."""
    return trust(credits_) > TRUSTED


def is_due(exposures: Floats, newborns: Collection[int], visitors_since: float) -> bool:
    """Tell whether the last generation has been seen enough for the next to build on it.

    Each newborn has its fewest exposures, or all together could have had them: one that the bandit hardly shows holds
    up nobody.
    """
    seen = all(exposures[place] >= FEWEST_EXPOSURES for place in newborns)
    return seen or visitors_since >= FEWEST_EXPOSURES * len(newborns)


def capped(shares: Floats, exposures: Floats, *, control: int, most: float) -> Floats:
    """Cut the share of each unproven arm to `most`; the proven ones get the rest in proportion, and none is cut twice.

    If all arms are unproven nobody is cut: there is nobody to give to.
    """
    unproven = exposures < PROVEN_BY
    unproven[control] = False
    over = np.where(unproven, np.maximum(shares - most, 0.0), 0.0)
    proven = np.where(unproven, 0.0, shares)
    if not over.any() or not proven.any():
        return shares
    given: Floats = shares - over + proven * (over.sum() / proven.sum())
    return given


def contested(
    arms: int, contest: Callable[[NDArray[np.bool_]], Floats], limits: Iterable[Callable[[Floats], Floats]]
) -> Floats:
    """Give the shares of so many arms within limits, one after the other.

    `contest` gives the shares that some of the arms would have without the others. What a limit cuts goes to those to
    whom it gives more as a contest of them alone would. In proportion they would get it by their floors, good or bad:
    beside a clear leader the others have no more.
    """
    heirs = np.full(arms, fill_value=True)
    shares = contest(heirs)
    for limit in limits:
        limited = limit(shares)
        if (gets_more := limited > shares).any():
            heirs &= gets_more
            limited[heirs] = limited[heirs].sum() * contest(heirs)[heirs]
        shares = limited
    return shares


def contest(
    alpha: Floats,
    beta: Floats,
    exposures: Floats,
    among: NDArray[np.bool_],
    *,
    evidence_counts: float = EVIDENCE_COUNTS,
    top_two: float | None = None,
) -> Floats:
    """Give the shares that some of the live arms would have without the others, who get none."""
    a, b = alpha[among] * evidence_counts, beta[among] * evidence_counts
    shares = np.zeros(len(among))
    shares[among] = bandit.reviewed_shares(a, b, exposures[among], control=0, control_share=0.0, top_two=top_two)
    return shares


def on_probation(shares: Floats, bred: NDArray[np.bool_], credits_: Iterable[OperatorCredit]) -> Floats:
    """Keep bred arms together to a part of all visitors until breeding is trusted: the smaller, the less it is.

    How much harm is done before it is known for harm does not depend on how fast visitors are spent on finding out;
    without a limit newborns take the most just when least is known of them.
    """
    trusted = trust(credits_)
    most = PROBATION * (trusted / TRUSTED) ** DISTRUST
    total = float(shares[bred].sum())
    if trusted > TRUSTED or total <= most or bred.all():
        return shares
    scaled: Floats = np.where(bred, shares * (most / total), shares * ((1 - most) / (1 - total)))
    return scaled


def inherited(parents: Sequence[Sequence[int]], exposures: Floats) -> list[list[int]]:
    """Name the parents that arms are still believed to be like: those of an arm that few have seen.

    From then on its own visitors and its genes speak. Otherwise eighty children of one parent, each by a weak prior,
    would together hold each other where the parent is, right or wrong.
    """
    return [list(of) if shown < FEWEST_EXPOSURES else [] for of, shown in zip(parents, exposures, strict=True)]


# --- What a child is worth ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What lies ahead."""

    visitors_left: float
    rate: float  # of conversion, now
    behind: float = 0.0  # how far the parents' mean lies behind the best, in log lift
    dollars_per_child: float = 0.0
    value_of_conversion: float = 0.0  # dollars; 0: money is no matter


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What one more child of the operator is expected to bring and to cost, in conversions."""

    operator: Operator
    gain: float
    cost: float

    @property
    def pays(self) -> bool:
        return self.gain > self.cost


def prospects(credits_: Mapping[Operator, OperatorCredit], course: Course) -> list[Prospect]:
    return [
        _prospect(operator, known.mean - course.behind, float(np.hypot(known.spread, known.error)), course)
        for operator, known in credits_.items()
    ]


def _prospect(operator: Operator, mean: float, spread: float, course: Course) -> Prospect:
    """Weigh a child whose log lift over the best is N(mean, spread^2).

    Gain: it will be judged by JUDGED_BY visitors and shown to the others if it then looks better. What it then looks
    is normal with a smaller spread, and what counts is the part above nothing (the knowledge gradient).
    Cost: until it leaves it is shown to LOST_ON visitors, who convert the less the worse it is; and its price.
    """
    if course.visitors_left < FEWEST_LIVE * JUDGED_BY:
        return Prospect(operator=operator, gain=0.0, cost=0.0)  # the end comes before anybody knows what it is worth
    judged = JUDGED_BY
    noise = 1 / max(judged * course.rate, 1e-9)
    seen_spread = spread**2 / np.sqrt(spread**2 + noise)
    gain = _part_above(mean, seen_spread) * course.rate * (course.visitors_left - judged)
    money = course.dollars_per_child / course.value_of_conversion if course.value_of_conversion else 0.0
    cost = _part_above(-mean, spread) * course.rate * LOST_ON + money
    return Prospect(operator=operator, gain=float(gain), cost=float(cost))


def _part_above(mean: float, deviation: float) -> float:
    """Give E max(0, x) for x normal."""
    z = mean / deviation
    return float(deviation * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) + mean * special.ndtr(z))


# --- A round -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that a round is decided by. Product and study fill it, so that what is measured is what runs."""

    posterior: pooling.Posterior
    held: Sequence[Genes]
    best: Floats  # probability best, by place; nothing for who is not live
    exposures: Floats
    live: Sequence[int]
    bred: Collection[int]  # the places that were bred
    control: int
    credits: Mapping[Operator, OperatorCredit]
    course: Course
    entering: int = 0  # arms on their way to being live

    @property
    def pays(self) -> bool:
        """Whether one more child is expected to earn more than it costs."""
        return any(one.pays for one in prospects(self.credits, self.course))


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Who makes room, and how many children there is room for."""

    leaving: list[Retirement]
    staying: list[int]
    number: int


def decided(state: State) -> Round:
    """Decide a round of breeding that pays and is due."""
    room = affordable_live(state.course.visitors_left)
    bred_live = sum(place in state.bred for place in state.live)
    wanted = newborns_due(room, is_trusted=is_trusted(state.credits.values()), bred_live=bred_live)
    needed = max(0, len(state.live) + state.entering + wanted - room)
    leaving = retiring(
        state.posterior, state.best, state.exposures, state.live, control=state.control, room_needed=needed
    )
    gone = {one.place for one in leaving}
    staying = [place for place in state.live if place not in gone]
    number = max(0, min(wanted, room - len(staying) - state.entering))
    return Round(leaving=leaving, staying=staying, number=number)


def course_of(posterior: pooling.Posterior, best: Floats, live: Sequence[int], visitors_left: float) -> Course:
    """Say what lies ahead of the live arms, `best` being their probability best by place."""
    lifts = posterior.mean[list(live)]
    top = float(lifts.max())
    behind = top - float(best[list(live)] @ lifts)
    return Course(visitors_left=visitors_left, rate=posterior.base * float(np.exp(top)), behind=behind)


# --- Who breeds --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One draw from the joint posterior of arms and genes: what the world may be."""

    log_lifts: Floats
    known: Effects
    of_genes: Floats
    of_slots: Mapping[str, float]  # for slots of which nothing is known

    def worth(self, genes: Genes) -> float:
        """Give the log lift that some slots' genes bring; nothing for one of which nothing is known."""
        return float(self.known.row(genes) @ self.of_genes)

    def weakest(self, genes: Genes, slots: Collection[str]) -> str:
        """Give the slot whose option is worst in this draw: the one in which another is likeliest to be better."""
        held = dict(self.of_slots)
        for (slot, option), effect in zip(self.known.columns, self.of_genes, strict=True):
            if genes.get(slot) == option:
                held[slot] = float(effect)
        return min((slot for slot in genes if slot in slots), key=lambda slot: held[slot])


def draws(
    posterior: pooling.Posterior, known: Effects, slots: Iterable[str], generator: np.random.Generator
) -> Iterator[Draw]:
    """Yield draws from the joint posterior, as wide as BOLDNESS says, without end."""
    # Optimization: taken apart once, not once a draw: with hundreds of arms that was half of a round's time.
    of_arms, of_rest = BOLDNESS * _root(posterior.covariance), BOLDNESS * _root(known.left)
    while True:
        log_lifts = posterior.mean + of_arms @ generator.standard_normal(len(of_arms))
        yield Draw(
            log_lifts=log_lifts,
            known=known,
            of_genes=known.gain @ log_lifts + of_rest @ generator.standard_normal(len(of_rest)),
            of_slots={slot: BOLDNESS * known.between * float(generator.standard_normal()) for slot in slots},
        )


def _root(covariance: Floats) -> Floats:
    """Give L with L L' = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A child to be made."""

    operator: Operator
    # Its parent; of a fresh idea, the survivor in whose place it is tried; of a crossover all who may be parents, the
    # best first.
    against: tuple[int, ...]
    draw: Draw  # which genes are taken, which slot is changed


def brood[T](state: State, found: Round, make: Callable[[Plan], T | None], generator: np.random.Generator) -> list[T]:
    """Make a round's children. Some plans lead to a page that was tried, or nowhere: others take their place."""
    planned = plans(state, found.staying, number=2 * found.number, generator=generator)
    # Pages too much alike to be crossed, say, would else be crossed in vain for ever: each kind gets a turn.
    alone = (replace(state, credits={operator: known}) for operator, known in state.credits.items())
    others = (plan for each in alone for plan in plans(each, found.staying, number=1, generator=generator))
    made = list(islice((child for plan in planned if (child := make(plan)) is not None), found.number))
    return made or list(islice((child for plan in others if (child := make(plan)) is not None), found.number))


def plans(state: State, live: Sequence[int], *, number: int, generator: np.random.Generator) -> list[Plan]:
    """Plan `number` children of the `live` arms that stay; none if no operator pays.

    Each has a draw of its own, and its first parent is the best survivor of that draw, so that an arm breeds as often
    as it may be best, not as often as it was lucky.
    """
    credits_, course, held = state.credits, state.course, state.held
    paying = {one.operator for one in prospects(credits_, course) if one.pays}
    known = credit.effects(state.posterior, held)
    drawing = draws(state.posterior, known, held[0], generator)
    found = []
    for _ in range(number if paying else 0):
        operator = _operator({one: credits_[one] for one in credits_ if one in paying}, course, generator)
        drawn = next(drawing)
        ranked = sorted(live, key=lambda place: -drawn.log_lifts[place])
        against = tuple(ranked if operator is Operator.CROSSOVER else ranked[:1])
        found.append(Plan(operator=operator, against=against, draw=drawn))
    return found


def _operator(credits_: Mapping[Operator, OperatorCredit], course: Course, generator: np.random.Generator) -> Operator:
    """Draw what each operator's mean child is worth, and take the one that then gains most; none is ever starved."""
    operators = list(credits_)
    if generator.random() < OPERATOR_FLOOR * len(operators):
        return operators[int(generator.integers(len(operators)))]
    drawn = [
        _prospect(one, float(generator.normal(known.mean, known.error)) - course.behind, known.spread, course)
        for one, known in credits_.items()
    ]
    return max(drawn, key=lambda prospect: prospect.gain - prospect.cost).operator
