"""Make the table of experiments/affordable.py: what is won and how often the best is found, by numbers of variants.

    python -m benchmarks.affordable [FUTURES]

Prints a row per number of conversions: the gains in percent, then how often the leader is the best. About forty minutes
with 100 futures on one core.
"""

import sys

import numpy as np

from experiments import affordable, simulation

USUAL_RATE = 0.04
USUAL_SPREAD = 0.1  # of log rates between pages that people and models write; an assumption
TICKS = 10
SEED = 7


def cell(conversions: int, variants: int, futures: int) -> tuple[float, float]:
    """Return the gain over an equal split, and how often the variant with most visitors at the end is the best."""
    world = simulation.World(
        key="affordable",
        says="",
        ticks=TICKS,
        batch=max(round(conversions / USUAL_RATE / TICKS), 1),
        draw=simulation.drawn(USUAL_RATE, USUAL_SPREAD, variants),
    )
    outcome = simulation.simulate(world, simulation.Ours(), np.random.default_rng(SEED), futures)
    leaders = outcome.shares[:, -1].argmax(axis=1)
    return float(outcome.gain().mean()), float((leaders == outcome.best).mean())


def main() -> None:
    futures = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for row in range(len(affordable.GAINS)):
        conversions = affordable.FEWEST_CONVERSIONS * 2**row
        cells = [cell(conversions, variants, futures) for variants in affordable.VARIANTS]
        gains, right = zip(*cells, strict=True)
        print(conversions, [f"{gain:.1%}" for gain in gains], [f"{chance:.0%}" for chance in right], flush=True)


if __name__ == "__main__":
    main()
