"""Turn an experiment's counts into the one posterior that its shares follow and its report shows.

Three things stand between counts and posterior: the goal may be worth more or less each time (`rewards`), young
exposures have not brought all their conversions yet (`delay`), and arms are built of genes and bred from one another
(`pooling`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from django.db.models import QuerySet

from experiments import bandit, delay, evidence, evolving, pooling, rewards
from experiments.evidence import Evidence, Floats
from experiments.models import VISITOR_LENGTH, Arm, Conversion, Experiment, Goal

HOUR_SECONDS = 3600
# Conversions that delays and values are learnt from: a hundredth of F or of a value's rank is then known to a hundredth
# of itself, and reading them takes a tenth of a second.
SAMPLE = 20_000
FEWEST_TO_POOL = 3  # arms: two share their genes with nobody else


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What the counts say. Arrays of `posterior` are in the order of `known.arms`."""

    known: Evidence
    effective: rewards.Effective
    maturity: delay.Maturity
    matured: Floats  # exposures by stratum and arm, each counted as the part of its conversions that has come

    @cached_property
    def genes(self) -> list[dict[str, str]]:
        """What each arm holds in each slot."""
        return [arm.variant.genes for arm in self.known.arms]

    @cached_property
    def posterior(self) -> pooling.Posterior:
        arms = self.known.arms
        held = [list(genes.values()) for genes in self.genes] if len(arms) >= FEWEST_TO_POOL else None
        return pooling.fit(self.matured, self.effective.conversions, genes=held, parents=self._kin)

    @property
    def _kin(self) -> list[list[int]]:
        return evolving.inherited(_parents(self.known.arms), self.known.total_exposures)

    @cached_property
    def live(self) -> list[int]:
        """The places of the arms that new visitors are sent to; of all arms where there are none."""
        arms = self.known.arms
        return [place for place, arm in enumerate(arms) if arm.status == Arm.Status.LIVE] or list(range(len(arms)))

    @cached_property
    def betas(self) -> tuple[Floats, Floats]:
        """(alpha, beta) of the live arms, in units of the reward."""
        return self.posterior.betas(self.live)

    @cached_property
    def standing(self) -> bandit.Standing:
        """Who is best among the live arms; another arm cannot be, and its loss is what it falls short of them."""
        among_live = bandit.standing(*self.betas)
        alpha, beta = self.betas
        rates = self.posterior.base * np.exp(self.posterior.mean)
        best, loss = np.zeros(len(rates)), among_live.expected_loss[0] + alpha[0] / (alpha[0] + beta[0]) - rates
        best[self.live], loss[self.live] = among_live.probability_best, among_live.expected_loss
        return bandit.Standing(probability_best=best, expected_loss=loss * self.effective.unit)

    @property
    def loss_in_conversions(self) -> Floats:
        """The expected loss as conversions per visitor, whatever the reward is."""
        worth = float(self.effective.conversions.sum()) * self.effective.unit
        each = float(self.known.conversions.sum()) / worth if worth else 1 / self.effective.unit
        loss: Floats = self.standing.expected_loss * each
        return loss

    @property
    def still_maturing(self) -> float:
        """The part of all conversions of the visitors so far that is expected still to come."""
        shown = float(self.known.exposures.sum())
        return 1 - float(self.matured.sum()) / shown if shown else 0.0


def of(experiment: Experiment, known: Evidence, now: datetime) -> Belief:
    """Read what else is needed, and return what the counts say."""
    primary = next((goal for goal in experiment.goals.all() if goal.is_primary), None)
    maturity = _maturity(experiment, primary, known, now) if primary else delay.AT_ONCE
    effective = _effective(experiment, primary, known)
    matured = known.exposures * maturity.at(_ages(known, now))[:, None]
    # A stratum's ages are known to the hour: what has come of it had time to come.
    return Belief(
        known=known,
        effective=effective,
        maturity=maturity,
        matured=np.maximum(matured, np.minimum(known.conversions, known.exposures)),
    )


def _effective(experiment: Experiment, primary: Goal | None, known: Evidence) -> rewards.Effective:
    weighted = [goal for goal in experiment.goals.all() if goal.weight]
    if weighted:
        reached = [evidence.gather(experiment, known.arms, goal=goal.key, like=known).conversions for goal in weighted]
        return rewards.weighted(np.stack(reached), np.array([goal.weight for goal in weighted]))
    if primary is not None and primary.kind == Goal.Kind.REVENUE:
        return _revenue(experiment, primary, known)
    return rewards.Effective(conversions=known.conversions, unit=1.0)


def _revenue(experiment: Experiment, goal: Goal, known: Evidence) -> rewards.Effective:
    """Take the summed values, less what the largest orders are above the edge."""
    orders = Conversion.objects.filter(experiment=experiment, goal=goal, value__isnull=False)
    sample = _thinned(orders, float(known.conversions.sum())).values_list("value", flat=True)
    edge = rewards.largest_counted(np.array(sample, dtype=np.float64))
    values, squares = known.values.copy(), known.value_squares.copy()
    row_of = {stratum: row for row, stratum in enumerate(known.strata)}
    column_of = {arm.pk: column for column, arm in enumerate(known.arms)}
    large = orders.filter(value__gt=edge) if np.isfinite(edge) else orders.none()
    for arm, epoch, exposed_at, value in large.values_list("arm_id", "epoch", "exposed_at", "value"):
        row = row_of.get((epoch, int(exposed_at.timestamp()) // HOUR_SECONDS * HOUR_SECONDS))
        if value is not None and row is not None and arm in column_of:
            values[row, column_of[arm]] -= value - edge
            squares[row, column_of[arm]] -= value**2 - edge**2
    return rewards.revenue(values, squares)


def _maturity(experiment: Experiment, goal: Goal, known: Evidence, now: datetime) -> delay.Maturity:
    """Learn how long conversions take, from exposures of the last two windows: older ones have brought all theirs."""
    recent = Conversion.objects.filter(
        experiment=experiment, goal=goal, exposed_at__gte=now - 2 * goal.window, exposed_at__lte=now
    )
    if goal.kind == Goal.Kind.REVENUE:
        recent = recent.filter(value__isnull=True)  # the row of a visitor's first order
    moments = _thinned(recent, float(known.conversions.sum())).values_list("exposed_at", "converted_at")
    took = [((converted - exposed).total_seconds(), (now - exposed).total_seconds()) for exposed, converted in moments]
    pairs = np.array(took, dtype=np.float64).reshape(-1, 2)
    return delay.learn(np.maximum(pairs[:, 0], 0.0), pairs[:, 1])


def _thinned(conversions: QuerySet[Conversion], number: float) -> QuerySet[Conversion]:
    """Keep about SAMPLE of `number` conversions, whoever they are: visitors' ids are random."""
    if number <= SAMPLE:
        return conversions
    kept = int(SAMPLE / number * 16**VISITOR_LENGTH)
    return conversions.filter(visitor__lt=f"{kept:0{VISITOR_LENGTH}x}")


def _ages(known: Evidence, now: datetime) -> Floats:
    """Give the mean age of each stratum's exposures, in seconds; they are taken to have come evenly over the hour."""
    start = np.array([hour for _, hour in known.strata], dtype=np.float64)
    end = np.minimum(start + timedelta(hours=1).total_seconds(), now.timestamp())
    ages: Floats = np.maximum(now.timestamp() - (start + end) / 2, 0.0)
    return ages


def _parents(arms: Sequence[Arm]) -> list[list[int]]:
    place_of = {arm.variant_id: place for place, arm in enumerate(arms)}
    bred = [[place_of[parent.pk] for parent in arm.variant.parents.all() if parent.pk in place_of] for arm in arms]
    return [[parent for parent in parents if parent != place] for place, parents in enumerate(bred)]
