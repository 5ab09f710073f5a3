"""What a learner could earn that has every mixture of the known genes at hand: an upper bound for any that breeds.

Pure: every draw comes from the generator passed in. It knows the spread that effects were drawn with and the drift of
the base rate, keeps no arms, asks the same writer, and sees the same number of visitors. What it does not know are the
effects: it learns them by a Poisson regression with the right prior, and shows in each tick the best pages of some
draws from its posterior. Thompson sampling draws as widely as it is unsure (boldness 1).

References
    [1] D. Russo, B. Van Roy, A. Kazerouni, I. Osband, Z. Wen (2018), A tutorial on Thompson sampling.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from experiments.credit import Floats
from experiments.study import evolution_worlds
from experiments.study.evolution_worlds import BASE_RATE, BATCH, INTERACTIONS, OPTIONS, TICKS, World
from variants.breeding import SLOTS

type Wholes = NDArray[np.int64]

PAIRS: Final = len(SLOTS) // 2
COMBINED: Final = OPTIONS**2  # pages differ in one of so many ways per pair of slots
EFFECTS: Final = 2 * OPTIONS + COMBINED  # per pair of slots: two of genes, and one of both together
PAGES_PER_TICK: Final = 40
ASKED_PER_TICK: Final = 5
NEWTON_STEPS: Final = 2  # per tick, from the posterior of the last
LEVEL_DEVIATION: Final = 2.0  # of the log rate of today's page about 3%


def _effects() -> Floats:
    """Give the row of effects that each way of a pair of slots has."""
    rows = np.zeros((COMBINED, EFFECTS))
    ways = np.arange(COMBINED)
    rows[ways, ways // OPTIONS] = 1
    rows[ways, OPTIONS + ways % OPTIONS] = 1
    rows[ways, 2 * OPTIONS + ways] = 1
    return rows


ROWS: Final = _effects()


@dataclass(slots=True, kw_only=True)
class _Learner:
    world: World
    generator: np.random.Generator
    boldness: float
    mean: Floats = field(init=False)  # of all effects, and of the log base rate last
    precision: Floats = field(init=False)
    is_known: NDArray[np.bool_] = field(init=False)  # (slots, options): whether the writer has written it

    def __post_init__(self) -> None:
        gene = float(np.sqrt(self.world.pairs.var(axis=(1, 2)).mean() / (2 + 2 * INTERACTIONS / (1 - INTERACTIONS))))
        both = gene * np.sqrt(2 * INTERACTIONS / (1 - INTERACTIONS))
        deviations = np.append(np.full(2 * OPTIONS, gene), np.full(COMBINED, both))
        self.precision = np.diag(1 / np.append(np.tile(deviations, PAIRS), LEVEL_DEVIATION) ** 2)
        self.mean = np.zeros(len(self.precision))
        self.is_known = np.zeros((len(SLOTS), OPTIONS), dtype=bool)
        for page in self.world.founders:
            self.is_known[np.arange(len(SLOTS)), [int(option) for option in page.values()]] = True

    def pages(self) -> Wholes:
        """Give the best page of each draw, as the way of each pair of slots."""
        root = linalg.cholesky(self.precision)  # upper: precision = root' root
        noise = linalg.solve_triangular(root, self.generator.standard_normal((len(self.mean), PAGES_PER_TICK)))
        drawn = self.mean[:, None] + self.boldness * noise
        ways = np.arange(COMBINED)
        best = []
        for pair in range(PAIRS):
            can = self.is_known[2 * pair, ways // OPTIONS] & self.is_known[2 * pair + 1, ways % OPTIONS]
            worth = ROWS @ drawn[pair * EFFECTS : (pair + 1) * EFFECTS]
            best.append(np.where(can[:, None], worth, -np.inf).argmax(axis=0))
        return np.stack(best, axis=1)

    def ask(self, page: Wholes) -> None:
        """Have the writer write some slots of a page anew; what it writes may be mixed with all else from now on."""
        options = np.stack([page // OPTIONS, page % OPTIONS], axis=1).ravel()
        genes = dict(zip(SLOTS, map(str, options), strict=True))
        for _ in range(ASKED_PER_TICK):
            slot = int(self.generator.integers(len(SLOTS)))
            written = evolution_worlds.rewritten(self.world, genes, SLOTS[slot], self.generator)
            if written is not None:
                self.is_known[slot, int(written[SLOTS[slot]])] = True

    def learn(self, pages: Wholes, shown: Floats, converted: Floats) -> None:
        """Take in a tick: the maximum of its likelihood and what was known before, by Newton's method."""
        rows = np.hstack([*(ROWS[pages[:, pair]] for pair in range(PAIRS)), np.ones((len(pages), 1))])
        before, known = self.mean, self.precision
        for _ in range(NEWTON_STEPS):
            expected = shown * BASE_RATE * np.exp(rows @ self.mean)
            self.precision = known + (rows.T * expected) @ rows
            slope = rows.T @ (converted - expected) - known @ (self.mean - before)
            self.mean = self.mean + linalg.solve(self.precision, slope, assume_a="pos")


def earned(world: World, generator: np.random.Generator, *, boldness: float) -> float:
    """Give the expected conversions of the learner; its first tick is that of all others."""
    learner = _Learner(world=world, generator=generator, boldness=boldness)
    ways = [[int(option) for option in page.values()] for page in world.founders]
    pages = np.array(ways).reshape(-1, PAIRS, 2) @ np.array([OPTIONS, 1])
    total = 0.0
    for tick in range(TICKS):
        if tick:
            learner.ask(learner.pages()[0])
            pages = np.unique(learner.pages(), axis=0)
        lifts = world.pairs.reshape(PAIRS, COMBINED)[np.arange(PAIRS), pages].sum(axis=1)
        rates = BASE_RATE * np.exp(lifts) * world.base[tick]
        shown = generator.multinomial(BATCH, np.full(len(pages), 1 / len(pages)))
        converted = generator.binomial(shown, rates)
        learner.learn(pages, shown * world.base[tick], converted.astype(np.float64))
        total += float(shown @ rates)
    return total
