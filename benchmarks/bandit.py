"""Probability best and expected loss: our quadrature beside a peer's way, in one run, medians of interleaved rounds.

The peer is what GrowthBook publishes for its bandit: 10,000 draws from independent normals with the arms' means and
standard errors, and how often each is highest. It gives probabilities alone, to about two digits; we give both numbers,
to nine. One JSON object a line; milliseconds.
"""

import json
import os
import time
from collections.abc import Callable
from statistics import median

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from numpy.typing import NDArray

from experiments import bandit

ARMS = (2, 10, 100, 300, 500)
ROUNDS = 15
DRAWS = 10_000
Floats = NDArray[np.float64]


def counts(arms: int) -> tuple[Floats, Floats]:
    """Return arms as a bandit leaves them: rates of 4% give or take 5%, between 10,000 and 40,000 visitors each."""
    chance = np.random.default_rng(arms)
    exposures = chance.integers(10_000, 40_000, arms).astype(float)
    conversions = chance.binomial(exposures.astype(int), 0.04 * (1 + 0.05 * chance.standard_normal(arms)))
    return exposures, conversions.astype(float)


def ours(exposures: Floats, conversions: Floats) -> None:
    bandit.standing(*bandit.posterior(exposures, conversions))


def peer(exposures: Floats, conversions: Floats) -> None:
    rates = conversions / exposures
    errors = np.sqrt(rates * (1 - rates) / exposures)
    draws = np.random.default_rng(1).multivariate_normal(rates, np.diag(errors**2), DRAWS)
    np.bincount(draws.argmax(axis=1), minlength=len(rates)) / DRAWS


def milliseconds(work: Callable[[Floats, Floats], None], exposures: Floats, conversions: Floats) -> float:
    start = time.perf_counter()
    work(exposures, conversions)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    for arms in ARMS:
        exposures, conversions = counts(arms)
        ours(exposures, conversions)
        rounds = [[milliseconds(work, exposures, conversions) for work in (ours, peer)] for _ in range(ROUNDS)]
        mine, theirs = (median(column) for column in zip(*rounds, strict=True))
        row = {
            "bench": f"bandit.k{arms}",
            "ours": round(mine, 3),
            "peer": round(theirs, 3),
            "peer_name": f"{DRAWS} normal draws",
            "ratio": round(mine / theirs, 4),
            "unit": "ms",
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
