"""Probability best and expected loss: our quadrature beside the peers' own packages, in one run, one thread each.

    bayesian-testing    its evaluate() with its default of 20,000 draws: probabilities and losses
    mabwiser            its Thompson sampling, 10,000 predictions: how often each arm is drawn highest
    growthbook          the rule it publishes for its bandit: 10,000 draws from independent normals. The package on the
                        index has no bandit in it, so the rule is written down here

The peers give two digits, we give nine. They are installed from the package index into a folder of their own that is
gone afterwards; PEERS names a Python that has them already. Ours and the peers take turns; medians. Then one whole tick
beside its limits: 300 arms of 8 genes over 720 epochs, from counts to shares. One JSON object a line.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from numpy.typing import NDArray

from experiments import bandit, pooling

ARMS = (2, 10, 100, 300, 500)
ROUNDS = int(os.environ.get("ROUNDS", "5"))
CALLS = 5  # of ours per round: one takes a few milliseconds
DRAWS = 10_000
PREDICTIONS = 500  # of mabwiser, timed and multiplied up: all 10,000 take seconds at 300 arms
PACKAGES = ("bayesian-testing==0.10.0", "mabwiser==2.7.4")
TICK_MS, TICK_MB = 300.0, 200.0
PEERS = """
import json, sys, time
import numpy as np
from bayesian_testing.experiments import BinaryDataTest
from mabwiser.mab import MAB, LearningPolicy

def bayesian_testing(shown, converted):
    test = BinaryDataTest()
    for arm, (n, s) in enumerate(zip(shown, converted)):
        test.add_variant_data_agg(str(arm), totals=int(n), positives=int(s))
    start = time.perf_counter()
    test.evaluate()
    return time.perf_counter() - start

def mabwiser(shown, converted):
    arms = list(range(len(shown)))
    policy = MAB(arms, LearningPolicy.ThompsonSampling(), seed=1)
    policy.fit(arms * 2, [0] * len(arms) + [1] * len(arms))  # a draw takes as long from few counts as from many
    start = time.perf_counter()
    for _ in range(%(predictions)d):
        policy.predict()
    return (time.perf_counter() - start) * %(draws)d / %(predictions)d

for line in sys.stdin:
    counts = json.loads(line)
    took = {peer.__name__: peer(*counts) * 1000 for peer in (bayesian_testing, mabwiser)}
    print(json.dumps(took), flush=True)
"""
Floats = NDArray[np.float64]


def counts(arms: int) -> tuple[Floats, Floats]:
    """Return arms as a bandit leaves them: rates of 4% give or take 5%, between 10,000 and 40,000 visitors each."""
    chance = np.random.default_rng(arms)
    exposures = chance.integers(10_000, 40_000, arms).astype(float)
    conversions = chance.binomial(exposures.astype(int), 0.04 * (1 + 0.05 * chance.standard_normal(arms)))
    return exposures, conversions.astype(float)


@contextmanager
def peers() -> Iterator[Callable[[Floats, Floats], dict[str, float]]]:
    """Give a function that has the peers' packages work on counts, and tells how many milliseconds each took."""
    with tempfile.TemporaryDirectory(prefix="greenhouse-bench-") as folder:
        python = os.environ.get("PEERS") or installed(Path(folder))
        command = [python, "-c", PEERS % {"draws": DRAWS, "predictions": PREDICTIONS}]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield lambda shown, converted: answered(process, shown, converted)
            process.communicate(timeout=60)


def installed(folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, timeout=900)
    return python


def answered(process: subprocess.Popen[str], shown: Floats, converted: Floats) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([shown.tolist(), converted.tolist()]) + "\n")
    process.stdin.flush()
    took: dict[str, float] = json.loads(process.stdout.readline())
    return took


def ours(exposures: Floats, conversions: Floats) -> None:
    bandit.standing(*bandit.posterior(exposures, conversions))


def growthbook(exposures: Floats, conversions: Floats) -> None:
    rates = conversions / exposures
    errors = np.sqrt(rates * (1 - rates) / exposures)
    draws = np.random.default_rng(1).multivariate_normal(rates, np.diag(errors**2), DRAWS)
    np.bincount(draws.argmax(axis=1), minlength=len(rates)) / DRAWS


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def report(bench: str, mine: float, theirs: float, peer_name: str, unit: str = "ms") -> None:
    row = {"bench": bench, "ours": round(mine, 3), "peer": round(theirs, 3), "peer_name": peer_name}
    print(json.dumps({**row, "ratio": round(mine / theirs, 5), "unit": unit}), flush=True)


def compare(arms: int, work_of_peers: Callable[[Floats, Floats], dict[str, float]]) -> None:
    shown, converted = counts(arms)
    ours(shown, converted)
    mine: list[float] = []
    theirs: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        mine += [milliseconds(lambda: ours(shown, converted)) for _ in range(CALLS)]
        took = work_of_peers(shown, converted) | {"growthbook": milliseconds(lambda: growthbook(shown, converted))}
        for peer, spent in took.items():
            theirs.setdefault(peer, []).append(spent)
    for peer, rounds in theirs.items():
        report(f"bandit.k{arms}", median(mine), median(rounds), peer.replace("_", "-"))


def tick(exposures: Floats, conversions: Floats, genes: list[list[int]]) -> None:
    """Do all that a review of the shares and a report compute."""
    posterior = pooling.fit(exposures, conversions, genes=genes)
    alpha, beta = posterior.betas()
    bandit.standing(alpha, beta)
    posterior.lift(control=0)
    bandit.thompson_shares(alpha, beta, floor=0.02 / len(alpha), top_two=0.9)


def whole_tick(arms: int = 300, epochs: int = 720) -> None:
    chance = np.random.default_rng(1)
    genes = chance.integers(0, 5, (arms, 8)).tolist()
    shown = chance.multinomial(6_000, chance.dirichlet(np.ones(arms), epochs)).astype(float)
    converted = chance.binomial(shown.astype(int), 0.04 * np.exp(0.1 * chance.standard_normal(arms))).astype(float)
    tick(shown, converted, genes)
    report(
        "bandit.tick", median(milliseconds(lambda: tick(shown, converted, genes)) for _ in range(9)), TICK_MS, "limit"
    )
    tracemalloc.start()
    tick(shown, converted, genes)
    report("bandit.tick.memory", tracemalloc.get_traced_memory()[1] / 1e6, TICK_MB, "limit", "MB")


def main() -> None:
    with peers() as work_of_peers:
        for arms in ARMS:
            compare(arms, work_of_peers)
    whole_tick()


if __name__ == "__main__":
    main()
