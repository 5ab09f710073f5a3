"""The proving ground: what is measured, in which worlds, under which policies. Pure: numbers per run come out.

A cell is one row of one table: a name and a function from (generator, runs) to measurements, each a number per run.
Cells are computed in blocks of runs, each block from its own seed, so that a study may stop anywhere and go on.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from experiments import bandit, inference, pooling, simulation
from experiments.simulation import Floats, Ours, Outcome, Policy, World, drawn, fixed, gene_built

type Measurements = dict[str, list[float]]

STUDY_SEED: Final = 20261123
BASE_RATE: Final = 0.04
DECADE: Final = 10
CURVE_POINTS: Final = 20  # of a run's loss over time
HOURS: Final = 336  # fourteen days
VISITORS_PER_HOUR: Final = 300  # a hundred thousand in fourteen days
CONTROL_SHARE: Final = 0.1  # what a marketer gets who changes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of one table."""

    table: str
    world: str  # all policies of a world meet the same seeds
    policy: str
    runs: int
    block: int  # runs computed in one go
    measure: Callable[[np.random.Generator, int], Measurements]

    @property
    def name(self) -> str:
        return f"{self.table}/{self.world}/{self.policy}"

    @property
    def blocks(self) -> int:
        return -(-self.runs // self.block)

    def compute(self, number: int) -> Measurements:
        """Compute one block of runs."""
        seed = [STUDY_SEED, zlib.crc32(f"{self.table}/{self.world}".encode()), number]
        return self.measure(np.random.default_rng(seed), self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is computed."""

    runs: int  # of a world with up to ten arms
    runs_of_hundred: int
    rival_runs: int  # where nothing is promised
    looks: int  # runs of each A/A world
    evidence: int  # runs of the other worlds of evidence
    review_hours: int  # between changes of shares in worlds of fourteen days; looks are hourly
    looks_review_hours: int  # the same in A/A worlds, where whatever moves shares may not matter
    block: int


SHORT: Final = Size(
    runs=200,
    runs_of_hundred=100,
    rival_runs=30,
    looks=1_000,
    evidence=300,
    review_hours=12,
    looks_review_hours=24,
    block=10,
)
FULL: Final = Size(
    runs=1_000,
    runs_of_hundred=200,
    rival_runs=400,
    looks=2_000,
    evidence=2_000,
    review_hours=2,
    looks_review_hours=6,
    block=20,
)
TINY: Final = Size(
    runs=8, runs_of_hundred=2, rival_runs=4, looks=6, evidence=8, review_hours=56, looks_review_hours=112, block=8
)


def cells(size: Size) -> list[Cell]:
    """Return every cell of the study, those that matter most first."""
    return [
        *_regret_cells(size),
        *_delay_cells(size),
        *_gene_cells(size),
        *_lift_cells(size),
        *_winner_cells(size),
        *_calibration_cells(size),
        *_split_cells(size),
        *_proof_cells(size),
        *_rival_cells(size),
    ]


# --- Regret ------------------------------------------------------------------------------------------------------

# The same hundred rates in every run: the best is a tenth ahead of the second, so that there is a right answer.
HUNDRED_RATES: Final = BASE_RATE * np.exp(0.1 * np.random.default_rng(77).standard_normal(100))
ONE_OF_TEN_UP: Final = np.append(np.full(9, 0.04), 0.048)
ONE_OF_HUNDRED_UP: Final = np.append(np.full(99, 0.04), 0.052)
FEW_ARMS: Final = 10
DRAWN_ANEW: Final = "E′"

WORLDS: Final = (
    World(key="A", says="2 arms, 4.0 and 4.4%, 100k", ticks=200, batch=500, draw=fixed(np.array([0.04, 0.044]))),
    World(key="B", says="2 arms, 3.0 and 3.6%, 20k", ticks=100, batch=200, draw=fixed(np.array([0.03, 0.036]))),
    World(key="C", says="10 arms, one +20%, 100k", ticks=100, batch=1_000, draw=fixed(ONE_OF_TEN_UP)),
    World(
        key="D",
        says="10 arms, evenly −20% to +20%, 100k",
        ticks=100,
        batch=1_000,
        draw=fixed(BASE_RATE * np.linspace(0.8, 1.2, FEW_ARMS)),
    ),
    World(key="E", says="100 arms, log lifts sd 0.10, 500k", ticks=100, batch=5_000, draw=fixed(HUNDRED_RATES)),
    World(key="F", says="100 arms, one +30%, 500k", ticks=100, batch=5_000, draw=fixed(ONE_OF_HUNDRED_UP)),
    World(
        key=DRAWN_ANEW, says="as E, rates drawn anew each run", ticks=100, batch=5_000, draw=drawn(BASE_RATE, 0.10, 100)
    ),
)
HUNDRED: Final = frozenset({"E", "F"})
EASY_WORLDS: Final = (
    World(key="4 and 6%", says="2 arms, 400k", ticks=200, batch=2_000, draw=fixed(np.array([0.04, 0.06]))),
    World(
        key="3, 4, 5 and 7%",
        says="4 arms, 400k",
        ticks=200,
        batch=2_000,
        draw=fixed(np.array([0.03, 0.04, 0.05, 0.07])),
    ),
)
EARN: Final = Ours()
LEARN: Final = Ours(top_two=0.9)
FLAT: Final = simulation.FlatThompson()
RIVALS: Final[Mapping[str, Policy]] = {
    "equal split": simulation.equal_split,
    "flat Thompson": FLAT,
    "flat top-two, 0.5": simulation.FlatThompson(top_two=0.5),
    "MABWiser's Thompson": simulation.thompson_by_draws,
    "GrowthBook's rule": simulation.growthbook,
    "epsilon-greedy, 0.1": simulation.epsilon_greedy,
    "KL-UCB": simulation.kl_ucb,
    "UCB1": simulation.ucb1,
}


GENE_POLICIES: Final[Mapping[str, Policy]] = {
    "ours, earn": EARN,
    "ours, without genes": Ours(by_genes=False),
    "flat Thompson": FLAT,
}


def regret(world: World, policy: Policy, generator: np.random.Generator, runs: int) -> Measurements:
    """Measure conversions lost, also over time, the right arm leading at the end, the slope over the last decade."""
    outcome = simulation.simulate(world, policy, generator, runs)
    lost = outcome.regret()
    bound = np.array([simulation.lai_robbins(rates) for rates in outcome.pages.rates])
    slope = (lost[:, -1] - lost[:, world.ticks // DECADE - 1]) / np.log(DECADE)
    return {
        "regret": lost[:, -1].tolist(),
        "ratio": (lost[:, -1] / outcome.equal_regret()).tolist(),
        "right": [float(arm) for arm in _leaders(outcome) == outcome.best],
        "slope": (slope / bound).tolist(),
        "gain": outcome.gain().tolist(),
        "curve": (_at_points(lost) / outcome.equal_regret()[:, None]).ravel().tolist(),
    }


def _at_points(lost: Floats) -> Floats:
    """Give what was lost at evenly spaced moments, the last one the end."""
    ticks = lost.shape[1]
    return lost[:, np.arange(1, CURVE_POINTS + 1) * ticks // CURVE_POINTS - 1]


def _leaders(outcome: Outcome) -> Floats:
    """Give each run's arm that the product's posterior calls most likely to be best at the end."""
    counts = zip(outcome.exposures, outcome.conversions, strict=True)
    return np.array([bandit.probability_best(*simulation.posterior_of(*run)).argmax() for run in counts])


def _regret_cell(table: str, world: World, policy: Policy, *, name: str, runs: int, block: int) -> Cell:
    measure = partial(regret, world, policy)
    return Cell(table=table, world=world.key, policy=name, runs=runs, block=block, measure=measure)


def _runs(world: World, size: Size) -> int:
    if world.key == DRAWN_ANEW:
        return size.rival_runs
    return size.runs_of_hundred if world.key in HUNDRED else size.runs


def _regret_cells(size: Size) -> Iterator[Cell]:
    for world in WORLDS:
        yield _regret_cell("regret", world, EARN, name="ours, earn", runs=_runs(world, size), block=size.block)
        yield _regret_cell("regret", world, LEARN, name="ours, learn", runs=size.rival_runs, block=size.block)
    for world in EASY_WORLDS:
        yield _regret_cell("slope", world, EARN, name="ours, earn", runs=size.rival_runs, block=size.block)
        yield _regret_cell("slope", world, FLAT, name="flat Thompson", runs=size.rival_runs, block=size.block)


def _rival_cells(size: Size) -> Iterator[Cell]:
    for world in WORLDS:
        for name, policy in RIVALS.items():
            yield _regret_cell("regret", world, policy, name=name, runs=_runs(world, size), block=size.block)


def _delay_cells(size: Size) -> Iterator[Cell]:
    for mean in (5, 20):
        world = replace(WORLDS[2], key=f"mean of {mean} batches", delay_ticks=float(mean))
        yield _regret_cell("delay", world, EARN, name="ours, earn", runs=size.runs, block=size.block)
        yield _regret_cell("delay", world, FLAT, name="flat Thompson", runs=size.runs, block=size.block)


def _gene_cells(size: Size) -> Iterator[Cell]:
    for additive, key in ((0.7, "70% additive"), (0.0, "nothing additive")):
        draw = gene_built(slots=4, options=5, arms=200, mean=0.03, deviation=0.006, additive=additive)
        world = World(key=key, says="200 arms of 4 slots × 5 options, 50k", ticks=100, batch=500, draw=draw)
        for name, policy in GENE_POLICIES.items():
            runs = size.runs_of_hundred // 2 if policy is EARN else size.rival_runs // 2
            yield _regret_cell("genes", world, policy, name=name, runs=runs, block=size.block // 2)


# --- Worlds of fourteen days -------------------------------------------------------------------------------------

BASES: Final[Mapping[str, Floats | None]] = {
    "stationary": None,
    "weekly": simulation.weekly(HOURS),
    "doubling half way": simulation.doubling(HOURS),
}
MODES: Final[Mapping[str, Ours]] = {
    "earn": Ours(control_share=CONTROL_SHARE),
    "learn": Ours(top_two=0.9, control_share=CONTROL_SHARE),
}


def _fortnight(base: str, rates: Floats, size: Size) -> World:
    return World(
        key=base,
        says=base,
        ticks=HOURS,
        batch=VISITORS_PER_HOUR,
        draw=fixed(rates),
        base=BASES[base],
        review_every=size.review_hours,
    )


# --- Lifts -------------------------------------------------------------------------------------------------------


def lifts(world: World, policy: Policy, generator: np.random.Generator, runs: int) -> Measurements:
    """Measure the error of the reported lift of arm 1 over arm 0 and whether its interval covers; pooled counts too."""
    outcome = simulation.simulate(world, policy, generator, runs)
    truth = outcome.pages.rates[0, 1] / outcome.pages.rates[0, 0] - 1
    equal = outcome.equal_earnings()
    found: Measurements = {"error": [], "covered": [], "pooled error": [], "pooled covered": [], "replay covered": []}
    counts = zip(outcome.exposures, outcome.conversions, outcome.shares, equal, strict=True)
    for exposures, conversions, shares, earned in counts:
        replayed = inference.replay(exposures, conversions, shares)
        found["replay covered"].append(float(replayed.low <= earned <= replayed.high))
        shown, converted = exposures.sum(axis=0), conversions.sum(axis=0)
        plain = bandit.lift_interval(*bandit.posterior(shown, converted), control=0)
        ours = pooling.fit(exposures, conversions).lift(control=0)
        for prefix, (median, low, high) in (("", ours), ("pooled ", plain)):
            found[f"{prefix}error"].append(float(median[1] - truth))
            found[f"{prefix}covered"].append(float(low[1] <= truth <= high[1]))
    return found


def _lift_cells(size: Size) -> Iterator[Cell]:
    rates = BASE_RATE * np.array([1.0, 1.1])
    for base in ("weekly", "doubling half way"):
        world = _fortnight(base, rates, size)
        for mode, policy in MODES.items():
            measure = partial(lifts, world, policy)
            yield Cell(table="lift", world=base, policy=mode, runs=size.evidence, block=size.block, measure=measure)


# --- Winners -----------------------------------------------------------------------------------------------------


def winners(world: World, policy: Policy, generator: np.random.Generator, runs: int) -> Measurements:
    """Look every tick: was a winner ever declared, the right one (the last arm) or a wrong one, and when?"""
    outcome = simulation.simulate(world, policy, generator, runs)
    found: Measurements = {"right": [], "wrong": [], "day": []}
    for exposures, conversions in zip(outcome.exposures, outcome.conversions, strict=True):
        first = first_wins(exposures, conversions)
        last = exposures.shape[1] - 1
        found["right"].append(float(np.isfinite(first[last])))
        found["wrong"].append(float(np.isfinite(first[:last]).any()))
        found["day"].append(float(first.min() / 24) if np.isfinite(first).any() else np.nan)
    return found


def first_wins(exposures: Floats, conversions: Floats) -> Floats:
    """Give the tick after which each arm was first a winner; infinite if never."""
    arms = exposures.shape[1]
    first = np.full(arms, np.inf)
    for arm in range(arms):
        weakest = np.delete(inference.evidence_path(arm, exposures, conversions), arm, axis=1).min(axis=1)
        won = weakest > inference.winner_threshold(arms)
        if won.any():
            first[arm] = won.argmax() + 1
    return first


def _winner_cells(size: Size) -> Iterator[Cell]:
    for base in ("stationary", "weekly"):
        for arms in (2, FEW_ARMS):
            alike = _fortnight(base, np.full(arms, BASE_RATE), size)
            world = replace(alike, key=f"{arms} arms, {base}", review_every=size.looks_review_hours)
            yield from (_winner_cell("A/A", world, mode, size.looks, size) for mode in MODES)
        better = _fortnight(base, BASE_RATE * np.array([1.0, 1.1]), size)
        world = replace(better, key=f"2 arms, +10%, {base}")
        yield from (_winner_cell("power", world, mode, size.evidence, size) for mode in ("learn", "earn", "equal"))


def _winner_cell(table: str, world: World, mode: str, runs: int, size: Size) -> Cell:
    policy = MODES.get(mode, simulation.equal_split)
    measure = partial(winners, world, policy)
    return Cell(table=table, world=world.key, policy=mode, runs=runs, block=size.block, measure=measure)


# --- Calibration -------------------------------------------------------------------------------------------------


def calibration(arms: int, visitors: int, generator: np.random.Generator, runs: int) -> Measurements:
    """Draw rates from the prior, show every arm to `visitors`: how often is an arm best that is said to be?"""
    rates = BASE_RATE * np.exp(pooling.USUAL_DEVIATION * generator.standard_normal((runs, arms)))
    exposures = np.full((runs, 1, arms), float(visitors))
    conversions = generator.binomial(visitors, rates).astype(np.float64)[:, None]
    said = [bandit.probability_best(*simulation.posterior_of(*run)) for run in zip(exposures, conversions, strict=True)]
    hit = rates.argmax(axis=1)[:, None] == np.arange(arms)
    return {"said": np.concatenate(said).tolist(), "was": hit.astype(float).ravel().tolist()}


def _calibration_cells(size: Size) -> Iterator[Cell]:
    for arms in (2, FEW_ARMS):
        for visitors in (500, 5_000):
            measure = partial(calibration, arms, visitors)
            world = f"{arms} arms, {visitors:,} visitors each"
            runs = size.evidence * 40
            yield Cell(
                table="calibration", world=world, policy="ours", runs=runs, block=size.block * 100, measure=measure
            )


# --- The split of traffic ----------------------------------------------------------------------------------------


def splits(arms: int, lost: float, generator: np.random.Generator, runs: int) -> Measurements:
    """Look every hour for fourteen days, shares moving twice a day, arm 0 losing some visitors: is there an alarm?"""
    found: Measurements = {"alarm": []}
    for _ in range(runs):
        shares = np.repeat(generator.dirichlet(np.full(arms, 2.0), HOURS // 12), 12, axis=0)
        exposures = generator.multinomial(VISITORS_PER_HOUR, shares).astype(np.float64)
        exposures[:, 0] = generator.binomial(exposures[:, 0].astype(np.int64), 1 - lost)
        looks = (inference.sample_ratio(exposures[:hour], shares[:hour]).ok for hour in range(1, HOURS + 1))
        found["alarm"].append(float(not all(looks)))
    return found


def _split_cells(size: Size) -> Iterator[Cell]:
    for arms in (2, FEW_ARMS):
        for lost in (0.0, 0.1):
            measure = partial(splits, arms, lost)
            world, policy = f"{arms} arms", f"{lost:.0%} lost"
            runs = size.looks
            yield Cell(table="split", world=world, policy=policy, runs=runs, block=size.block * 5, measure=measure)


# --- Proof -------------------------------------------------------------------------------------------------------


def proofs(world: World, policy: Policy, visitors: int, generator: np.random.Generator, runs: int) -> Measurements:
    """Let the bandit choose a winner, then run it and the control from zero: errors of both lifts of the winner."""
    outcome = simulation.simulate(world, policy, generator, runs)
    found: Measurements = {"error": [], "covered": [], "chosen error": []}
    for run, (exposures, conversions) in enumerate(zip(outcome.exposures, outcome.conversions, strict=True)):
        fit = pooling.fit(exposures, conversions)
        chosen = 1 + int(bandit.probability_best(*fit.betas())[1:].argmax())
        pair = outcome.pages.rates[run, [0, chosen]]
        truth = pair[1] / pair[0] - 1
        shown = np.full(2, visitors / 2)
        converted = generator.binomial(shown.astype(np.int64), pair).astype(np.float64)
        lift, low, high = bandit.lift_interval(*bandit.posterior(shown, converted), control=0)
        found["error"].append(float(lift[1] - truth))
        found["covered"].append(float(low[1] <= truth <= high[1]))
        found["chosen error"].append(float(fit.lift(control=0)[0][chosen] - truth))
    return found


def _proof_cells(size: Size) -> Iterator[Cell]:
    draw = drawn(BASE_RATE, 0.05, FEW_ARMS)
    world = World(
        key="10 arms, log lifts sd 0.05",
        says="",
        ticks=HOURS // 12,
        batch=12 * VISITORS_PER_HOUR,
        draw=draw,
    )
    measure = partial(proofs, world, MODES["earn"], 40_000)
    yield Cell(table="proof", world=world.key, policy="earn", runs=size.evidence, block=size.block, measure=measure)
