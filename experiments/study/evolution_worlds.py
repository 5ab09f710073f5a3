"""Known worlds of pages that breed, a writer that improves, repeats or harms genes, and others' ways to evolve.

Pure: every draw comes from the generator passed in. A page is a set of genes; its true log lift is known here alone.
Ours goes through the product's own functions (pooling, bandit.reviewed_shares, evolving, credit, breeding); the others
are their published rules, written down here.

    World ──▶ evolve(world, Breeder(...)) ──▶ Grown: pages, counts, shares, births

References
    [1] R. Miikkulainen et al. (2017), Conversion rate optimization through evolutionary computation: Sentient Ascend.
    [2] X. Qiu, R. Miikkulainen (2018), Enhancing evolutionary conversion rate optimization via multi-armed bandits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments import bandit, credit, evolving, pooling
from experiments.credit import Birth, Floats, OperatorCredit
from variants.breeding import SLOTS, Operator, mixtures, recombined

type Genes = dict[str, str]
type Wholes = NDArray[np.int64]

BASE_RATE: Final = 0.03
VISITORS: Final = 200_000
BATCH: Final = 4_000  # visitors between reviews of the shares: coarse, for speed
TICKS: Final = VISITORS // BATCH
WEEK_TICKS: Final = 12.5  # 200,000 visitors in four weeks
DRIFT: Final = 0.2  # the base rate goes up and down by a fifth within a week
OPTIONS: Final = 5  # of each slot: 5^8 = 390,625 pages
OPTIONS_AT_FIRST: Final = 3  # that pages of the first generation hold; the writer finds the others
REACHABLE: Final = np.log(1.6)
INTERACTIONS: Final = 0.2  # part of the variance of log lifts that pairs of genes bring
UNPROVEN_SHARE: Final = 0.1  # the largest that a bred arm gets until it is proven, where no marketer says otherwise
PLANTED: Final = ("angle", "1")
HARM: Final = (0.1, 0.3)  # what a child loses of its log lift where breeding only harms


# --- Worlds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """How often a gene asked for comes out better than the parent's, as a repeat of it, and worse."""

    improves: float
    repeats: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    pairs: Floats  # log effects of (pair of slots, option of one, option of the other)
    founders: Sequence[Genes]  # the first is the control
    writer: Writer
    base: Floats  # factor on all rates, per tick
    is_harmed: bool = False  # every child is worse than its parents, whatever its genes

    def log_lift(self, genes: Genes) -> float:
        held = np.array([int(genes[slot]) for slot in SLOTS]).reshape(-1, 2)
        return float(self.pairs[np.arange(len(held)), held[:, 0], held[:, 1]].sum())

    @property
    def reachable(self) -> float:
        """The log lift of the best page there is over the control."""
        return float(self.pairs.max(axis=(1, 2)).sum())


def drawn(generator: np.random.Generator, *, founders: int, writer: Writer, is_harmed: bool = False) -> World:
    """Draw effects of genes and of pairs of genes, so large that the best page has the log lift REACHABLE."""
    alone = generator.standard_normal((len(SLOTS), OPTIONS))
    alone[:, 0] = 0.0  # the control's
    together = generator.standard_normal((len(SLOTS) // 2, OPTIONS, OPTIONS))
    together *= np.sqrt(2 * INTERACTIONS / (1 - INTERACTIONS))
    together[:, 0, 0] = 0.0
    pairs = alone[0::2, :, None] + alone[1::2, None, :] + together
    scaled = pairs * (REACHABLE / pairs.max(axis=(1, 2)).sum())
    return _world(scaled, generator, founders, writer, is_harmed=is_harmed)


def planted(generator: np.random.Generator, *, founders: int, writer: Writer, lift: float) -> World:
    """Let one option of the first slot lift the rate, and nothing else do anything."""
    pairs = np.zeros((len(SLOTS) // 2, OPTIONS, OPTIONS))
    pairs[0, 1, :] = np.log1p(lift)
    return _world(pairs, generator, founders, writer)


def _world(
    pairs: Floats, generator: np.random.Generator, founders: int, writer: Writer, *, is_harmed: bool = False
) -> World:
    options = generator.integers(0, OPTIONS_AT_FIRST, (founders, len(SLOTS)))
    options[0] = 0
    base = 1 + DRIFT * np.sin(2 * np.pi * np.arange(TICKS) / WEEK_TICKS)
    return World(
        pairs=pairs,
        founders=[dict(zip(SLOTS, map(str, row), strict=True)) for row in options],
        writer=writer,
        base=base / base.mean(),
        is_harmed=is_harmed,
    )


def rewritten(world: World, genes: Genes, slot: str, generator: np.random.Generator) -> Genes | None:
    """Play the model: write the slot anew. None where it says what the parent says."""
    now = world.log_lift(genes)
    others = [{**genes, slot: str(option)} for option in range(OPTIONS) if str(option) != genes[slot]]
    better = [page for page in others if world.log_lift(page) > now]
    worse = [page for page in others if world.log_lift(page) <= now]
    luck = generator.random()
    if world.writer.improves <= luck < world.writer.improves + world.writer.repeats:
        return None
    written = better if luck < world.writer.improves else worse
    return written[int(generator.integers(len(written)))] if written else None


def fresh_page(generator: np.random.Generator) -> Genes:
    return dict(zip(SLOTS, map(str, generator.integers(0, OPTIONS, len(SLOTS))), strict=True))


# --- Growing -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Grown:
    """All pages of a run, in the order they came, and what became of them."""

    world: World
    generator: np.random.Generator
    pages: list[Genes]
    log_lifts: list[float]
    parents: list[list[int]]
    live: list[int]
    births: list[Birth] = field(default_factory=list)
    exposures: Floats = field(default_factory=lambda: np.zeros((TICKS, MOST_PAGES)))
    conversions: Floats = field(default_factory=lambda: np.zeros((TICKS, MOST_PAGES)))
    shares: Floats = field(default_factory=lambda: np.zeros((TICKS, MOST_PAGES)))
    tick: int = 0
    last_births: int = 0  # tick
    newborns: list[int] = field(default_factory=list)
    stopped: int | None = None  # tick

    @property
    def counts(self) -> tuple[Floats, Floats]:
        """What was seen so far, of all pages so far."""
        return self.exposures[: self.tick, : len(self.pages)], self.conversions[: self.tick, : len(self.pages)]

    @property
    def shown(self) -> Floats:
        return np.asarray(self.counts[0].sum(axis=0))

    @property
    def rates(self) -> Floats:
        return np.asarray(BASE_RATE * np.exp(self.log_lifts))

    @property
    def earned(self) -> float:
        """Expected conversions."""
        return float(self.world.base @ self.exposures[:, : len(self.pages)] @ self.rates)

    def bear(self, genes: Genes, against: tuple[int, ...], operator: Operator) -> None:
        child = len(self.pages)
        harmed = float(np.mean([self.log_lifts[one] for one in against])) - float(self.generator.uniform(*HARM))
        self.pages.append(genes)
        self.log_lifts.append(harmed if self.world.is_harmed else self.world.log_lift(genes))
        self.parents.append([] if operator is Operator.FRESH else list(against))
        self.births.append(Birth(child=child, against=against, operator=operator, epoch=self.tick))
        self.live.append(child)
        self.newborns.append(child)

    def visit(self, shares: Floats) -> None:
        """Let a batch of visitors come; `shares` are those of the live pages."""
        now = np.zeros(len(self.pages))
        now[self.live] = shares
        here = slice(0, len(now))
        rates = self.rates * self.world.base[self.tick]
        self.shares[self.tick, here] = now
        self.exposures[self.tick, here] = self.generator.multinomial(BATCH, now)
        self.conversions[self.tick, here] = self.generator.binomial(
            self.exposures[self.tick, here].astype(np.int64), rates
        )
        self.tick += 1


MOST_PAGES: Final = 600
type Breeder = Callable[[Grown], Floats]  # breeds as it likes, and gives the shares of the live pages


def evolve(world: World, breeder: Breeder, generator: np.random.Generator) -> Grown:
    """Run the breeder in the world."""
    founders = list(world.founders)
    grown = Grown(
        world=world,
        generator=generator,
        pages=founders,
        log_lifts=[world.log_lift(genes) for genes in founders],
        parents=[[] for _ in founders],
        live=list(range(len(founders))),
    )
    for tick in range(TICKS):
        grown.visit(breeder(grown) if tick else np.full(len(founders), 1 / len(founders)))
    return grown


# --- Ours --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The product's policy. `kin` says which parents the posterior is told of."""

    most: float = UNPROVEN_SHARE
    kin: Callable[[Grown], list[list[int]] | None] = lambda grown: grown.parents

    def __call__(self, grown: Grown) -> Floats:
        posterior = self.posterior(grown)
        known = self._credits(grown, posterior) if grown.stopped is None else {}
        if grown.stopped is None and self._is_due(grown):
            before = len(grown.pages)
            self._breed(grown, posterior, known)
            posterior = self.posterior(grown) if len(grown.pages) > before else posterior
        shown, is_bred = grown.shown[grown.live], np.array(grown.live) >= len(grown.world.founders)
        on_probation = partial(evolving.on_probation, bred=is_bred, credits_=known.values())
        capped = partial(evolving.capped, exposures=np.where(is_bred, shown, np.inf), control=0, most=self.most)
        contest = partial(evolving.contest, *posterior.betas(grown.live), shown)
        return evolving.contested(len(grown.live), contest, (on_probation, capped) if known else (capped,))

    def posterior(self, grown: Grown) -> pooling.Posterior:
        held = [list(genes.values()) for genes in grown.pages]
        parents = self.kin(grown)
        kin = None if parents is None else evolving.inherited(parents, grown.shown)
        return pooling.fit(*grown.counts, genes=held, parents=kin)

    def _credits(self, grown: Grown, posterior: pooling.Posterior) -> dict[Operator, OperatorCredit]:
        seen = credit.likelihood(posterior, *grown.counts)
        fresh = credit.expected_of_fresh(posterior, range(len(grown.world.founders)), grown.live)
        return credit.operators(seen, grown.births, wanted=OPERATORS, fresh=fresh)

    def _is_due(self, grown: Grown) -> bool:
        newborns = grown.newborns if grown.births else grown.live
        alive = [place for place in newborns if place in grown.live]
        return evolving.is_due(grown.shown, alive, (grown.tick - grown.last_births) * BATCH)

    def _breed(self, grown: Grown, posterior: pooling.Posterior, known: dict[Operator, OperatorCredit]) -> None:
        state = _state(grown, posterior, known)
        if not state.pays:
            grown.stopped = grown.tick
            return
        found = evolving.decided(state)
        grown.live = list(found.staying)
        if not found.number:
            return
        grown.newborns, grown.last_births = [], grown.tick
        evolving.brood(state, found, partial(_born, grown), grown.generator)


def _state(grown: Grown, posterior: pooling.Posterior, known: dict[Operator, OperatorCredit]) -> evolving.State:
    best = np.zeros(len(grown.pages))
    best[grown.live] = bandit.probability_best(*posterior.betas(grown.live))
    left = float((TICKS - grown.tick) * BATCH)
    return evolving.State(
        posterior=posterior,
        held=tuple(grown.pages),
        best=best,
        exposures=grown.shown,
        live=grown.live,
        bred=range(len(grown.world.founders), len(grown.pages)),
        control=0,
        credits=known,
        course=evolving.course_of(posterior, best, grown.live, left),
    )


OPERATORS: Final = (Operator.CROSSOVER, Operator.MUTATION, Operator.FRESH)


def flat(_: Grown) -> None:
    """Tell the posterior of no parents."""


def wrong(grown: Grown) -> list[list[int]]:
    """Tell the posterior that every child comes from the truly worst page of the first generation."""
    worst = int(np.argmin(grown.log_lifts[: len(grown.world.founders)]))
    return [[worst] if bred_from else [] for bred_from in grown.parents]


def _born(grown: Grown, plan: evolving.Plan) -> Genes | None:
    """Let the planned child into the world; None where there is none, or it was tried."""
    child, against = _child(grown, plan)
    if child is None or child in grown.pages:
        return None
    grown.bear(child, against, plan.operator)
    return child


def _child(grown: Grown, plan: evolving.Plan) -> tuple[Genes | None, tuple[int, ...]]:
    """Give the child's genes and the pages it is compared with."""
    first = grown.pages[plan.against[0]]
    if plan.operator is Operator.FRESH:
        return fresh_page(grown.generator), plan.against
    if plan.operator is Operator.MUTATION:
        return rewritten(grown.world, first, plan.draw.weakest(first, SLOTS), grown.generator), plan.against
    return _crossed(grown, plan)


def _crossed(grown: Grown, plan: evolving.Plan) -> tuple[Genes | None, tuple[int, ...]]:
    """Mix the survivors as the product does; here each slot crosses on its own."""
    held = [grown.pages[place] for place in plan.against]
    for taken in mixtures(held, {(slot,): range(len(held)) for slot in SLOTS}, plan.draw.worth):
        child = {slot: held[giver][slot] for (slot,), giver in taken.items()}
        if child not in grown.pages:
            givers = sorted({0, *taken.values()})
            return child, tuple(plan.against[giver] for giver in givers)
    return None, ()


def _litter(grown: Grown, first: Genes, second: Genes) -> list[Genes]:
    tried = {tuple(genes.values()) for genes in grown.pages}
    found = (recombined(first, second, SLOTS, grown.generator) for _ in range(LITTER))
    return [child for child in found if child is not None and tuple(child.values()) not in tried]


# --- Others ------------------------------------------------------------------------------------------------------


LITTER: Final = 64  # mixtures of a pair, of which the perfect breeder takes the best


def perfect(grown: Grown) -> Floats:
    """Know every page's true rate, and show the best alone; children come by the same operators, as many, as often."""
    truth = np.array(grown.log_lifts)
    order = np.argsort(truth)[::-1]
    first, second = (grown.pages[place] for place in order[:2])
    number = evolving.newborns_due(evolving.affordable_live(float((TICKS - grown.tick) * BATCH)))
    for turn in range(number):
        litter = _litter(grown, first, second) if turn % 2 else []
        slot = SLOTS[int(grown.generator.integers(len(SLOTS)))]
        child = (
            max(litter, key=grown.world.log_lift) if litter else rewritten(grown.world, first, slot, grown.generator)
        )
        if child is not None and child not in grown.pages:
            grown.bear(child, (int(order[0]),), Operator.CROSSOVER)
    shares = np.zeros(len(grown.live))
    shares[int(np.argmax(grown.log_lifts))] = 1.0
    return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Genetic:
    """Generations of evenly shown pages, the worse half replaced by mixtures of the better [1]; or by Thompson [2]."""

    is_bandit: bool

    def __call__(self, grown: Grown) -> Floats:
        if grown.tick % GENERATION_TICKS == 0:
            self._replace_worse_half(grown)
        live = len(grown.live)
        if not self.is_bandit:
            return np.full(live, 1 / live)
        return bandit.thompson_shares(*bandit.posterior(*_totals(grown)))

    def _replace_worse_half(self, grown: Grown) -> None:
        shown, converted = _totals(grown)
        order = np.argsort((converted + 1) / (shown + 2))[::-1]
        survivors = [grown.live[place] for place in order[: -(-len(order) // 2)]]
        population = len(grown.live)
        grown.live = list(survivors)
        for _ in range(ATTEMPTS * population):
            if len(grown.live) == population:
                return
            first, second = (int(one) for one in grown.generator.choice(survivors, 2, replace=False))
            child = self._mixed(grown, grown.pages[first], grown.pages[second])
            if child not in grown.pages:
                grown.bear(child, (first, second), Operator.CROSSOVER)

    def _mixed(self, grown: Grown, first: Genes, second: Genes) -> Genes:
        child = recombined(first, second, SLOTS, grown.generator) or first
        for slot in SLOTS:
            if grown.generator.random() < MUTATION_RATE:
                child = rewritten(grown.world, child, slot, grown.generator) or child
        return child


def _totals(grown: Grown) -> tuple[Floats, Floats]:
    shown, converted = (counts.sum(axis=0)[grown.live] for counts in grown.counts)
    return shown, converted


GENERATION_TICKS: Final = 5  # ten generations
MUTATION_RATE: Final = 1 / 8  # per slot and child
ATTEMPTS: Final = 5  # per child: copies of pages that were tried are refused


def champion(grown: Grown, posterior: pooling.Posterior | None = None) -> int:
    """Give the live page likeliest to be best; by its plain counts without a posterior."""
    if posterior is None:
        shown, converted = _totals(grown)
        best = bandit.probability_best(*bandit.posterior(shown, converted))
    else:
        best = bandit.probability_best(*posterior.betas(grown.live))
    return grown.live[int(np.argmax(best))]
