"""What the study of evolution measures, and in which worlds. Pure: numbers per run come out.

A cell is one world, and a run of it everything that is compared: ours, others, and a perfect breeder, all in the very
same world. So differences are of pairs, and their errors small.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from experiments import credit, pooling, simulation
from experiments.study import evolution_limits, evolution_worlds
from experiments.study.evolution_worlds import BASE_RATE, Breeder, Grown, Ours, World, Writer
from experiments.study.proving import Cell, Measurements
from variants.breeding import Operator

FOUNDERS: Final = 12  # what 200,000 visitors at 3% afford (experiments.affordable)
FAIR: Final = Writer(improves=0.3, repeats=0.3)  # and harms in four of ten
HARMING: Final = Writer(improves=0.0, repeats=0.0)
PLANTED_LIFT: Final = 0.25
BLOCK: Final = 2

type Draw = Callable[[np.random.Generator], World]

BANDITS: Final[Mapping[str, simulation.Policy]] = {
    "ours, earn": simulation.Ours(),
    "epsilon-greedy, 0.1": simulation.epsilon_greedy,
    "MABWiser's Thompson": simulation.thompson_by_draws,
}
OTHERS: Final[Mapping[str, Breeder]] = {
    "perfect breeder": evolution_worlds.perfect,
    "genetic, equal split": evolution_worlds.Genetic(is_bandit=False),
    "genetic with Thompson": evolution_worlds.Genetic(is_bandit=True),
}
# How widely a learner draws that has every mixture at hand: as widely as it is unsure, and less.
LEARNERS: Final[Mapping[str, float]] = {
    "linear learner, Thompson": 1.0,
    "linear learner, half as bold": 0.5,
    "linear learner, a third as bold": 0.35,
}
OURS: Final = "breeding"
PRIORS: Final[Mapping[str, Breeder]] = {
    "flat priors": Ours(kin=evolution_worlds.flat),
    "wrong priors": Ours(kin=evolution_worlds.wrong),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A world, and who is run in it besides ours and the bandits."""

    key: str
    says: str
    draw: Draw
    others: Mapping[str, Breeder]
    learners: Mapping[str, float] = field(default_factory=dict)


ROWS: Final = (
    Row(
        key="reachable +60%",
        says="genes and pairs of genes, the writer improves three of ten, repeats three, harms four",
        draw=partial(evolution_worlds.drawn, founders=FOUNDERS, writer=FAIR),
        others={**OTHERS, **PRIORS},
        learners=LEARNERS,
    ),
    Row(
        key="planted gene",
        says=f"one option of one slot brings {PLANTED_LIFT:+.0%}, nothing else does anything",
        draw=partial(evolution_worlds.planted, founders=FOUNDERS, writer=FAIR, lift=PLANTED_LIFT),
        others={},
    ),
    Row(
        key="model only harms",
        says="as the first, but whatever the writer writes is worse than what stood there",
        draw=partial(evolution_worlds.drawn, founders=FOUNDERS, writer=HARMING),
        others={},
    ),
    Row(
        key="every child is worse",
        says="harsher: mixing harms too, every child is 10 to 30% below its parents",
        draw=partial(evolution_worlds.drawn, founders=FOUNDERS, writer=HARMING, is_harmed=True),
        others={},
    ),
    Row(
        key="no effects",
        says="all pages are equal",
        draw=partial(evolution_worlds.planted, founders=FOUNDERS, writer=FAIR, lift=0.0),
        others={},
    ),
)


def cells(runs: int) -> list[Cell]:
    return [
        Cell(table="evolution", world=row.key, policy="all", runs=runs, block=BLOCK, measure=partial(measured, row))
        for row in ROWS
    ]


def measured(row: Row, generator: np.random.Generator, runs: int) -> Measurements:
    found: Measurements = {}
    for _ in range(runs):
        for name, value in _run(row, generator).items():
            found.setdefault(name, []).append(value)
    return found


def _run(row: Row, generator: np.random.Generator) -> dict[str, float]:
    world = row.draw(generator)
    founders = np.array([world.log_lift(genes) for genes in world.founders])
    found = {"best founder": _lift(founders.max())}
    seed = int(generator.integers(2**63))  # the same for all, so that they differ by what they do
    for name, policy in BANDITS.items():
        found[f"earned: {name}"] = _earned(world, policy, np.random.default_rng(seed))
    for name, boldness in row.learners.items():
        found[f"earned: {name}"] = evolution_limits.earned(world, np.random.default_rng(seed), boldness=boldness)
    breeders: dict[str, Breeder] = {OURS: Ours(), **row.others}
    for name, breeder in breeders.items():
        grown = evolution_worlds.evolve(world, breeder, np.random.default_rng(seed))
        found[f"earned: {name}"] = grown.earned
        found[f"champion: {name}"] = _champion(grown, is_ours=isinstance(breeder, Ours))
        if name == OURS:
            found |= _of_ours(grown)
    return found


def _lift(log_lift: float) -> float:
    return float(np.expm1(log_lift))


def _earned(world: World, policy: simulation.Policy, generator: np.random.Generator) -> float:
    """Give the conversions of a bandit over the first generation, without breeding."""
    rates = BASE_RATE * np.exp([[world.log_lift(genes) for genes in world.founders]])
    genes = np.array([[[int(option) for option in page.values()] for page in world.founders]])
    same = simulation.World(
        key="",
        says="",
        ticks=evolution_worlds.TICKS,
        batch=evolution_worlds.BATCH,
        draw=lambda _generator, _runs: simulation.Pages(rates=rates, genes=genes),
        base=world.base,
    )
    outcome = simulation.simulate(same, policy, generator, 1)
    return float(world.base @ outcome.exposures[0] @ rates[0])


def _champion(grown: Grown, *, is_ours: bool) -> float:
    """Give the true lift over the control of the page that is called best at the end."""
    posterior = _posterior(grown) if is_ours else None
    return _lift(grown.log_lifts[evolution_worlds.champion(grown, posterior)])


def _posterior(grown: Grown) -> pooling.Posterior:
    return pooling.fit(*grown.counts, genes=[list(genes.values()) for genes in grown.pages])


def _of_ours(grown: Grown) -> dict[str, float]:
    _, conversions = grown.counts
    shares = grown.shares[:, : len(grown.pages)]
    better, worse = credit.works_path(conversions, shares, grown.births)
    posterior = _posterior(grown)
    ranked = credit.genes(posterior, credit.likelihood(posterior, *grown.counts), grown.pages)
    is_first = bool(ranked) and (ranked[0].slot, ranked[0].option) == evolution_worlds.PLANTED
    bred_share = shares[:, len(grown.world.founders) :].sum(axis=1).mean()
    return {
        "works": float((better > credit.NEEDED).any()),
        "harms": float((worse > credit.NEEDED).any()),
        "planted first": float(is_first),
        "stopped": float(grown.stopped is not None),
        "visitors until stop": np.nan if grown.stopped is None else float(grown.stopped * evolution_worlds.BATCH),
        "children": float(len(grown.births)),
        "written": float(sum(birth.operator is not Operator.CROSSOVER for birth in grown.births)),
        "bred share": float(bred_share),
    }
