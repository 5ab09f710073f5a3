"""Known worlds to run the bandit against, and other people's policies to run beside it.

Pure: every draw comes from the generator passed in. Many runs go side by side; arrays are

    rates                              (runs, arms)
    exposures, conversions, shares     (runs, ticks, arms)

A tick is one batch of visitors under one set of shares: what an epoch is in the product. Ours calls the product's own
functions, run by run; the others are their published rules, written down here.

References
    [1] P. Auer et al. (2002), Finite-time analysis of the multiarmed bandit problem: UCB1.
    [2] A. Garivier, O. Cappé (2011), The KL-UCB algorithm for bounded stochastic bandits and beyond.
    [3] GrowthBook, gbstats: bandit weights from normal draws, 100 units per arm first, one percent floor.
    [4] MABWiser 2.7: Thompson sampling by one Beta(1, 1) draw per arm and visitor; epsilon-greedy, ties to the first.
    [5] T. L. Lai, H. Robbins (1985), Asymptotically efficient adaptive allocation rules.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from experiments import bandit, delay, pooling

type Floats = NDArray[np.float64]
type Wholes = NDArray[np.int64]
type Policy = Callable[[History], Floats]


# --- Worlds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What a run is about: the arms' true rates and, where arms are built of genes, each arm's option per slot."""

    rates: Floats  # (runs, arms)
    genes: Wholes | None = None  # (runs, arms, slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    key: str
    says: str
    ticks: int
    batch: int  # visitors of a tick
    draw: Callable[[np.random.Generator, int], Pages]
    base: Floats | None = None  # factor on all rates, per tick
    delay_ticks: float = 0.0  # mean of the exponential time from exposure to conversion
    review_every: int = 1  # ticks between changes of shares

    @property
    def visitors(self) -> int:
        return self.ticks * self.batch


def fixed(rates: Floats) -> Callable[[np.random.Generator, int], Pages]:
    """Give every run the same rates."""
    return lambda _, runs: Pages(rates=np.tile(rates, (runs, 1)))


def drawn(base: float, deviation: float, arms: int) -> Callable[[np.random.Generator, int], Pages]:
    """Draw every run's rates: base x exp(N(0, deviation^2))."""
    return lambda generator, runs: Pages(rates=base * np.exp(deviation * generator.standard_normal((runs, arms))))


def gene_built(
    *, slots: int, options: int, arms: int, mean: float, deviation: float, additive: float
) -> Callable[[np.random.Generator, int], Pages]:
    """Draw arms as combinations of genes; `additive` is the part of the variance of rates that genes explain."""

    def draw(generator: np.random.Generator, runs: int) -> Pages:
        genes = generator.integers(0, options, (runs, arms, slots))
        effects = generator.standard_normal((runs, slots, options))
        chosen = [np.take_along_axis(effects[:, slot], genes[:, :, slot], axis=1) for slot in range(slots)]
        summed = np.sum(chosen, axis=0)
        parts = additive**0.5 * _standardised(summed) + (1 - additive) ** 0.5 * generator.standard_normal((runs, arms))
        return Pages(rates=(mean + deviation * _standardised(parts)).clip(1e-4), genes=genes)

    return draw


def _standardised(values: Floats) -> Floats:
    centred = values - values.mean(axis=1, keepdims=True)
    standardised: Floats = centred / centred.std(axis=1, keepdims=True)
    return standardised


def weekly(hours: int) -> Floats:
    """Give the base rate's factor by hour: day and night give or take 40 %, weekends 1.6 times as high."""
    hour = np.arange(hours)
    weekend = np.where((hour // 24) % 7 >= 5, 1.6, 1.0)  # noqa: PLR2004  # Monday is day 0
    factor: Floats = (1 + 0.4 * np.sin(2 * np.pi * hour / 24)) * weekend
    return factor


def doubling(hours: int) -> Floats:
    """Give the base rate's factor by hour: twice as high in the second half."""
    return np.where(np.arange(hours) < hours // 2, 1.0, 2.0)


# --- Running -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a policy may look at: everything observed before the present tick."""

    exposures: Floats  # (runs, ticks so far, arms)
    conversions: Floats  # those that have arrived
    batch: int
    genes: Wholes | None
    generator: np.random.Generator
    arrivals: Floats | None = (
        None  # (runs, ticks so far of exposure, of arrival), over all arms; None: all come at once
    )

    @property
    def runs(self) -> int:
        return len(self.exposures)

    @property
    def shown(self) -> Floats:
        return np.asarray(self.exposures.sum(axis=1))

    @property
    def converted(self) -> Floats:
        return np.asarray(self.conversions.sum(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    pages: Pages
    base: Floats  # (ticks,)
    exposures: Floats
    conversions: Floats  # all of them, arrived or not
    shares: Floats

    @property
    def best(self) -> Wholes:
        return np.asarray(self.pages.rates.argmax(axis=1))

    def regret(self) -> Floats:
        """Give the expected conversions lost so far against always showing the best arm: (runs, ticks)."""
        gaps = self.pages.rates.max(axis=1, keepdims=True) - self.pages.rates
        lost = np.einsum("rtk,rk->rt", self.exposures, gaps) * self.base
        return np.asarray(np.cumsum(lost, axis=1))

    def equal_regret(self) -> Floats:
        """Give the same of an equal split at the end: (runs,)."""
        gaps = self.pages.rates.max(axis=1) - self.pages.rates.mean(axis=1)
        return np.asarray(gaps * self._visits)

    def gain(self) -> Floats:
        """Give the expected conversions relative to those of an equal split, minus 1: (runs,)."""
        earned = np.einsum("rtk,rk,t->r", self.exposures, self.pages.rates, self.base)
        return np.asarray(earned / self.equal_earnings() - 1)

    def equal_earnings(self) -> Floats:
        """Give the expected conversions of an equal split: (runs,)."""
        return np.asarray(self.pages.rates.mean(axis=1) * self._visits)

    @property
    def _visits(self) -> float:
        """Visitors, each weighed by the base rate of its tick; the same in every run."""
        return float(self.exposures[0].sum(axis=1) @ self.base)


def simulate(world: World, policy: Policy, generator: np.random.Generator, runs: int) -> Outcome:
    """Run the policy in the world, `runs` times side by side."""
    pages = world.draw(generator, runs)
    base = np.ones(world.ticks) if world.base is None else world.base
    shape = (runs, world.ticks, pages.rates.shape[1])
    exposures, conversions, shares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    arrived = np.zeros(shape) if world.delay_ticks else conversions
    arrivals = np.zeros((runs, world.ticks, world.ticks)) if world.delay_ticks else None
    for tick in range(world.ticks):
        if tick % world.review_every == 0:
            seen = History(
                exposures=exposures[:, :tick],
                conversions=arrived[:, :tick],
                batch=world.batch,
                genes=pages.genes,
                generator=generator,
                arrivals=None if arrivals is None else arrivals[:, :tick, :tick],
            )
            current = policy(seen) if tick else np.full_like(pages.rates, 1 / shape[2])
        shares[:, tick] = current
        exposures[:, tick] = generator.multinomial(world.batch, current)
        conversions[:, tick] = generator.binomial(exposures[:, tick].astype(np.int64), pages.rates * base[tick])
        if arrivals is not None:
            came = _arriving(conversions[:, : tick + 1] - arrived[:, : tick + 1], world.delay_ticks, generator)
            arrived[:, : tick + 1] += came
            arrivals[:, : tick + 1, tick] = came.sum(axis=2)
    return Outcome(pages=pages, base=base, exposures=exposures, conversions=conversions, shares=shares)


def matured(age: Floats, delay_ticks: float) -> Floats:
    """Give the part of a tick's conversions that has arrived `age` ticks after its end.

    Visitors come evenly over their tick; times to conversion are exponential with mean `delay_ticks`.
    """
    part: Floats = 1 - delay_ticks * -np.expm1(-1 / delay_ticks) * np.exp(-age / delay_ticks)
    return part


def _arriving(pending: Floats, delay_ticks: float, generator: np.random.Generator) -> Floats:
    """Draw how many pending conversions arrive in the last tick; an exponential delay forgets how long it waited."""
    chance = np.full(pending.shape[1], -np.expm1(-1 / delay_ticks))
    chance[-1] = matured(np.zeros(1), delay_ticks)[0]
    return np.asarray(generator.binomial(pending.astype(np.int64), chance[:, None]), dtype=np.float64)


# --- Ours --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The product's engine: the posterior of each run, and shares from it."""

    top_two: float | None = None
    control: int = 0
    control_share: float = 0.0
    by_genes: bool = True

    def __call__(self, history: History) -> Floats:
        return np.stack([self._shares(history, run) for run in range(history.runs)])

    def _shares(self, history: History, run: int) -> Floats:
        alpha, beta = posterior_of(
            effective_exposures(history, run),
            history.conversions[run],
            genes=None if history.genes is None or not self.by_genes else history.genes[run],
        )
        return bandit.reviewed_shares(
            alpha,
            beta,
            history.exposures[run].sum(axis=0),
            control=self.control,
            control_share=self.control_share,
            top_two=self.top_two,
        )


def effective_exposures(history: History, run: int) -> Floats:
    """Count each tick's exposures as the part of their conversions that has come by their age, as learnt so far."""
    exposures: Floats = history.exposures[run]
    if history.arrivals is None:
        return exposures
    exposed, arrived = history.arrivals[run].nonzero()
    number = history.arrivals[run][exposed, arrived].astype(np.int64)
    ages = len(exposures) - 1 - np.arange(len(exposures))
    maturity = delay.learn(np.repeat(arrived - exposed, number), np.repeat(ages[exposed], number))
    effective: Floats = np.maximum(exposures * maturity.at(ages)[:, None], history.conversions[run])
    return effective


def posterior_of(exposures: Floats, conversions: Floats, *, genes: Wholes | None = None) -> tuple[Floats, Floats]:
    """Give (alpha, beta) per arm as the product has it."""
    return pooling.fit(exposures, conversions, genes=None if genes is None else genes.tolist()).betas()


# --- Others ------------------------------------------------------------------------------------------------------


def equal_split(history: History) -> Floats:
    runs, _, arms = history.exposures.shape
    return np.full((runs, arms), 1 / arms)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatThompson:
    """Probability best under Beta(1, 1) and pooled counts, exactly; mixed by `top_two` if given."""

    top_two: float | None = None

    def __call__(self, history: History) -> Floats:
        return np.stack(
            [
                bandit.thompson_shares(*bandit.posterior(*counts), top_two=self.top_two)
                for counts in zip(history.shown, history.converted, strict=True)
            ]
        )


def thompson_by_draws(history: History) -> Floats:
    """MABWiser's rule [4]: each visitor sees the arm with the highest of one draw per arm. At most 500 draws a tick."""
    shown, converted = history.shown, history.converted
    draws = history.generator.beta(
        1 + converted, 1 + shown - converted, (min(history.batch, MOST_DRAWS), *converted.shape)
    )
    return _frequencies(draws)


def growthbook(history: History) -> Floats:
    """GrowthBook's rule [3]: equal until every arm has 100 visitors, then p = f + (1 - K f) w with f = 0.01.

    With a hundred arms the floor alone is all traffic, and the split stays equal for ever.
    """
    shown, converted = history.shown, history.converted
    arms = shown.shape[1]
    even = equal_split(history)
    if arms * GROWTHBOOK_FLOOR >= 1:
        return even
    rate = converted / np.maximum(shown, 1)
    error = np.sqrt(rate * (1 - rate) / np.maximum(shown, 1))
    best = _frequencies(history.generator.normal(rate, error, (GROWTHBOOK_DRAWS, *rate.shape)))
    weights = GROWTHBOOK_FLOOR + (1 - arms * GROWTHBOOK_FLOOR) * best
    return np.where((shown >= GROWTHBOOK_GATE).all(axis=1)[:, None], weights, even)


MOST_DRAWS: Final = 500
GROWTHBOOK_DRAWS: Final = 1_000
GROWTHBOOK_GATE: Final = 100
GROWTHBOOK_FLOOR: Final = 0.01
EPSILON: Final = 0.1
STEPS_OF_A_BATCH: Final = 50
BISECTIONS: Final = 20


def _frequencies(draws: Floats) -> Floats:
    """Give how often each arm is highest: draws are (draws, runs, arms)."""
    arms = draws.shape[2]
    return np.asarray((draws.argmax(axis=2)[..., None] == np.arange(arms)).mean(axis=0))


def epsilon_greedy(history: History) -> Floats:
    """MABWiser's rule [4]: a tenth of traffic spread evenly, the rest to the highest observed rate."""
    rate = history.converted / np.maximum(history.shown, 1)
    greedy = np.eye(rate.shape[1])[rate.argmax(axis=1)]
    return np.asarray(EPSILON / rate.shape[1] + (1 - EPSILON) * greedy)


def ucb1(history: History) -> Floats:
    """UCB1 [1]: the highest mean + sqrt(2 log t / n), counts updated within the batch."""

    def index(rate: Floats, shown: Floats, log_time: Floats) -> Floats:
        return np.asarray(rate + np.sqrt(2 * log_time[:, None] / np.maximum(shown, 1)))

    return _by_index(history, index)


def kl_ucb(history: History) -> Floats:
    """KL-UCB [2]: the highest q with n KL(mean, q) <= log t, counts updated within the batch."""

    def index(rate: Floats, shown: Floats, log_time: Floats) -> Floats:
        low, high = rate, np.ones_like(rate)
        budget = log_time[:, None] / np.maximum(shown, 1)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            within = special.rel_entr(rate, middle) + special.rel_entr(1 - rate, 1 - middle) <= budget
            low, high = np.where(within, middle, low), np.where(within, high, middle)
        return low

    return _by_index(history, index)


def _by_index(history: History, index: Callable[[Floats, Floats, Floats], Floats]) -> Floats:
    """Hand the batch out in steps, each to the arm whose index is then highest; unseen arms first."""
    shown, converted = history.shown, history.converted
    rate = converted / np.maximum(shown, 1)
    step = history.batch / STEPS_OF_A_BATCH
    given = np.zeros_like(shown)
    rows = np.arange(len(shown))
    for _ in range(STEPS_OF_A_BATCH):
        so_far = shown + given
        height = index(rate, so_far, np.log(np.maximum(so_far.sum(axis=1), 1)))
        height[so_far == 0] = np.inf
        given[rows, height.argmax(axis=1)] += step
    return np.asarray(given / history.batch)


# --- Bounds ------------------------------------------------------------------------------------------------------


def lai_robbins(rates: Floats) -> float:
    """Give C = sum over worse arms of gap / KL(arm, best): in the long run regret grows at least as C log t [5]."""
    best = rates.max()
    worse = rates[rates < best]
    divergence = special.rel_entr(worse, best) + special.rel_entr(1 - worse, 1 - best)
    return float(((best - worse) / divergence).sum())
