"""What visitors of an evolving sample like: a hidden worth of every gene, so that good parents have good children.

A page converts at the base rate times what each of its genes is worth. The worths are drawn from the genes' own words,
so that they are the same however often somebody asks, and known to nobody but this module.
"""

import hashlib
import math
import threading
from collections.abc import Iterator, Mapping
from statistics import NormalDist

from django.db import connection

from experiments.models import Arm, Experiment

BASE_RATE = 0.05
LOWEST_RATE, HIGHEST_RATE = 0.005, 0.4
MOST_WORLDS = 500
MODEST_LEAD = 1.15  # of the best of the first pages over today's
CONTROL_AT_MOST = 0.05
# Standard deviations of the logarithm of what an option is worth beside others of its slot.
SPREADS: Mapping[str, float] = {
    "angle": 0.22, "headline": 0.18, "offer": 0.12, "call_to_action": 0.1, "order": 0.18, "layout": 0.15,
    "palette": 0.15, "typography": 0.1,
}  # fmt: skip


def worth(slot: str, option: str, seed: int) -> float:
    """Return the logarithm of what an option is worth."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}|{slot}|{option}".encode()).digest()[:8])
    return SPREADS[slot] * NormalDist().inv_cdf((drawn + 0.5) / 2**64)


def rate_of(genes: Mapping[str, str], seed: int) -> float:
    """Return the hidden rate at which a page with these genes converts."""
    rate = BASE_RATE * math.exp(sum(worth(slot, option, seed) for slot, option in genes.items()))
    return min(max(rate, LOWEST_RATE), HIGHEST_RATE)


class Taste(Mapping[str, float]):
    """Hidden rates by arm, also of arms that enter while visitors come."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._seed = self._promising(experiment)
        self._known: dict[str, float] = {}
        self._lock = threading.Lock()

    def __getitem__(self, arm: str) -> float:
        with self._lock:
            if arm not in self._known:
                self._look_up()
            return self._known[arm]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def _promising(self, experiment: Experiment) -> int:
        """Return a world in which today's page can be beaten: a sample that has nothing to show shows nothing."""
        arms = list(experiment.arms.select_related("variant"))
        genes = {arm.is_control: arm.variant.genes for arm in arms}
        others = [arm.variant.genes for arm in arms if not arm.is_control]
        for seed in range(experiment.pk, experiment.pk + MOST_WORLDS):
            control, rates = rate_of(genes[True], seed), sorted(rate_of(one, seed) for one in others)
            if rates and MODEST_LEAD * control <= rates[-1] and control <= CONTROL_AT_MOST:
                return seed
        return experiment.pk

    def _look_up(self) -> None:
        # Whoever sends visitors does so from threads of their own, each with a connection that nobody else closes.
        is_ours = connection.connection is None
        for found in Arm.objects.filter(experiment=self._experiment).select_related("variant"):
            self._known[found.key] = round(rate_of(found.variant.genes, self._seed), 4)
        if is_ours:
            connection.close()
