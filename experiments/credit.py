"""Say what breeding earned: credit per gene, direction and operator with intervals, and whether breeding works at all.

Pure: arrays in, numbers out. Arms are named by their place in the arrays.

Three questions, three answers of their own:

    genes, directions, operators    what to do next. Read off a model of log lifts: arms are built of genes and stand at
                                    their parents' mean plus what the operator brings. Everything seen of an arm counts,
                                    since shrinkage towards the model takes luck out.
    does breeding work?             what may be claimed. Here a model will not do, and there is a trap: parents are
                                    chosen because they looked good, so their counts up to then flatter them. So a
                                    child is compared with its parents on visitors after its birth alone, epoch by
                                    epoch, where shares were drawn without knowing what these visitors would do.

The claim is a bet. Visitors see arm k with the chance p_k. If a is a contrast of arms (children positive, their parents
negative, sum zero), the sum of a_k / p_k over conversions has the mean sum a_k r_k per visitor: at most nothing if no
child is better than the mean of its parents. So the wealth of who bets a part of it on each visitor grows with a chance
of at most 1 / c to c times what it was [1]: at every look, under any drift, any shares that look only at the past and
any choice of parents. Nothing is asymptotic.

References
    [1] I. Waudby-Smith, A. Ramdas (2024), Estimating means of bounded random variables by betting.
    [2] A. Dempster, N. Laird, D. Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm.
    [3] J. Listgarten et al. (2012), Improved linear mixed models for genome-wide association studies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from experiments import pooling
from variants.breeding import Operator

type Floats = NDArray[np.float64]
type Genes = Mapping[str, str]

LEVEL: Final = 0.95
# What is expected of an operator before it has had children: none better than its parents, give or take a tenth, ...
USUAL_MEAN_DEVIATION: Final = 0.1
OWN_MEAN_DEVIATION: Final = 0.05  # of one operator's mean about what all have in common
# ... and its children spread about that by an eighth.
USUAL_SPREAD: Final = 0.12
SPREAD_WEIGHT: Final = 4.0  # children: what is expected of the spread weighs as many
ROUNDS: Final = 4
# Evidence is looked for at lifts of children over parents between 2 and 40 %; a mixture is as good as each.
BET_LIFTS: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.4])
LARGEST_LOSS: Final = 0.5  # of the wealth, per conversion
NEEDED: Final = 20.0  # 1 / 5 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """A lift as a fraction, with its 95% interval."""

    lift: float
    low: float
    high: float
    chance_better: float
    arms: int  # that it is learnt from


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneCredit:
    slot: str
    option: str
    credit: Credit  # against the mean of the slot's other options


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A bred arm, the arms it is compared with, and the first epoch of its own."""

    child: int
    against: tuple[int, ...]  # its parents; of a fresh idea, the survivors that would have bred in its place
    operator: Operator
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCredit:
    """What an operator's children are worth, against the mean of their parents."""

    credit: Credit  # of its mean child
    mean: float  # log lift expected of the next child
    error: float  # standard deviation of that mean
    spread: float  # of children about the mean


def _credit(mean: float, deviation: float, arms: int) -> Credit:
    margin = -float(special.ndtri((1 - LEVEL) / 2)) * deviation
    low, lift, high = (float(np.expm1(at)) for at in (mean - margin, mean, mean + margin))
    better = float(special.ndtr(mean / deviation)) if deviation else 0.5
    return Credit(lift=lift, low=low, high=high, chance_better=better, arms=arms)


# --- The likelihood ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """What counts say of log lifts, free of any prior: score' lambda - lambda' information lambda / 2."""

    score: Floats
    information: Floats


def likelihood(posterior: pooling.Posterior, exposures: Floats, conversions: Floats) -> Likelihood:
    """Expand the conditional likelihood of how each epoch's conversions split, about the posterior's mean."""
    weight = exposures * np.exp(posterior.mean)
    total = weight.sum(axis=1, keepdims=True)
    part = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    every = conversions.sum(axis=1)
    information = np.diag(every @ part) - (part * every[:, None]).T @ part
    slope = conversions.sum(axis=0) - every @ part
    return Likelihood(score=slope + information @ posterior.mean, information=information)


# --- Genes and directions ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """How log effects of genes follow from log lifts, in the order of `columns`."""

    columns: tuple[tuple[str, str], ...]  # slot and option
    arms: tuple[int, ...]  # holding each
    features: Floats  # (arms, columns), 1 where the arm holds the option
    gain: Floats  # (columns, arms): effects expected of given log lifts
    left: Floats  # covariance of the effects when all log lifts are known
    between: float  # spread of a single gene's effect
    own: float  # spread of what belongs to an arm alone

    def row(self, genes: Genes) -> Floats:
        """Give a page's columns: 1 where it holds the option."""
        return np.array([float(genes.get(slot) == option) for slot, option in self.columns])


def effects(posterior: pooling.Posterior, held: Sequence[Genes]) -> Effects:
    """Give what links genes to log lifts. Slots in which all arms agree, or none do, say nothing and are left out."""
    columns, agreements = _columns(held)
    features = np.array([[float(genes.get(slot) == option) for slot, option in columns] for genes in held])
    features = features.reshape(len(held), len(columns))
    scale = np.sqrt(max(sum(1 - agreement for agreement in agreements), 1e-12))
    between, own = posterior.learnt.between / scale, posterior.learnt.own
    # beta | lambda is normal with the gain b^2 Z' K^-1, K = own^2 I + b^2 Z Z', whatever else is known of lambda.
    kernel = own**2 * np.eye(len(held)) + between**2 * features @ features.T
    gain = between**2 * linalg.solve(kernel, features, assume_a="pos").T if columns else np.zeros((0, len(held)))
    left = between**2 * (np.eye(len(columns)) - gain @ features)
    return Effects(
        columns=tuple(columns),
        arms=tuple(int(number) for number in features.sum(axis=0)),
        features=features,
        gain=gain,
        left=left,
        between=between,
        own=own,
    )


def _columns(held: Sequence[Genes]) -> tuple[list[tuple[str, str]], list[float]]:
    """Give a column per option of the slots that pooling uses, and how far arms agree in each of these slots."""
    columns: list[tuple[str, str]] = []
    agreements = []
    for slot in held[0] if held else ():
        options, copies = np.unique([genes[slot] for genes in held], return_counts=True)
        if 1 < len(options) < len(held):
            columns += [(slot, str(option)) for option in options]
            agreements.append(float((copies / len(held)) @ (copies / len(held))))
    return columns, agreements


def genes(posterior: pooling.Posterior, seen: Likelihood, held: Sequence[Genes]) -> list[GeneCredit]:
    """Give the credit of every gene, the surest first: in the order of the lower limit.

    Each option is tried as an effect of its own before a background of all other slots' genes, so that a gene that
    merely travelled with a good one is not credited for it: mixed-model association, the slot's own part of the
    background left out [3].
    """
    known = effects(posterior, held)
    slots = [slot for slot, _ in known.columns]
    found = []
    for slot in dict.fromkeys(slots):
        others = known.features[:, [other != slot for other in slots]]
        background = known.own**2 * np.eye(len(held)) + known.between**2 * others @ others.T
        # The precision of what was seen of the arms, the background's spread being part of the noise.
        precision = linalg.solve(np.eye(len(held)) + seen.information @ background, seen.information)
        surprise = linalg.solve(np.eye(len(held)) + seen.information @ background, seen.score)
        for place in (place for place, other in enumerate(slots) if other == slot):
            shape = known.features[:, place]
            sure = float(shape @ precision @ shape) + 1 / pooling.USUAL_DEVIATION**2
            credit = _credit(float(shape @ surprise) / sure, sure**-0.5, known.arms[place])
            found.append(GeneCredit(slot=slot, option=known.columns[place][1], credit=credit))
    return sorted(found, key=lambda gene: gene.credit.low, reverse=True)


def directions(posterior: pooling.Posterior, labels: Sequence[str]) -> list[tuple[str, Credit]]:
    """Give the credit of each label: the mean of its arms against the mean of all others; the surest first."""
    found = []
    for label in dict.fromkeys(labels):
        own = np.array([other == label for other in labels])
        if own.all():
            continue
        contrast = own / own.sum() - ~own / (~own).sum()
        deviation = float(np.sqrt(max(float(contrast @ posterior.covariance @ contrast), 0.0)))
        found.append((label, _credit(float(contrast @ posterior.mean), deviation, int(own.sum()))))
    return sorted(found, key=lambda pair: pair[1].low, reverse=True)


# --- Operators ---------------------------------------------------------------------------------------------------


def operators(
    seen: Likelihood,
    births: Sequence[Birth],
    *,
    wanted: Iterable[Operator] = (),
    fresh: float = 0.0,
) -> dict[Operator, OperatorCredit]:
    """Give the credit of each operator that has children, and of those `wanted` besides.

    A child's log lift is that of its parents' mean, plus what its operator brings on average, plus its own part. All
    are normal; how far children spread is learnt by expectation and maximisation [2]. `fresh` is what a fresh idea is
    expected to bring before one was tried (`expected_of_fresh`).
    """
    names = list(dict.fromkeys([*wanted, *(birth.operator for birth in births)]))
    arms = len(seen.score)
    steps = np.array([_step(birth, arms, names) for birth in births]).reshape(len(births), arms + len(names))
    by_name = np.array([[birth.operator is name for birth in births] for name in names], dtype=np.float64)
    by_name = by_name.reshape(len(names), len(births))
    expected = np.array([fresh if name is Operator.FRESH else 0.0 for name in names])
    spreads = np.full(len(names), USUAL_SPREAD)
    for _ in range(ROUNDS):
        mean, covariance = _solved(seen, births, steps, spreads @ by_name, expected)
        squares = (steps @ mean) ** 2 + ((steps @ covariance) * steps).sum(axis=1)
        spreads = np.sqrt((SPREAD_WEIGHT * USUAL_SPREAD**2 + by_name @ squares) / (SPREAD_WEIGHT + by_name.sum(axis=1)))
    errors = np.sqrt(np.diag(covariance)[arms:])
    return {
        name: OperatorCredit(
            credit=_credit(float(mean[arms + place]), float(errors[place]), int(by_name[place].sum())),
            mean=float(mean[arms + place]),
            error=float(errors[place]),
            spread=float(spreads[place]),
        )
        for place, name in enumerate(names)
    }


def _step(birth: Birth, arms: int, names: Sequence[Operator]) -> Floats:
    """Give the row that takes from (log lifts, operators' means) what belongs to a child alone."""
    row = np.zeros(arms + len(names))
    row[list(birth.against)] = -1 / len(birth.against)
    row[birth.child] += 1
    row[arms + names.index(birth.operator)] = -1
    return row


def _solved(
    seen: Likelihood, births: Sequence[Birth], steps: Floats, spread: Floats, expected: Floats
) -> tuple[Floats, Floats]:
    """Give the posterior of (log lifts, operators' means), given how far each child's operator spreads."""
    arms = len(seen.score)
    prior = np.full(arms, 1 / pooling.USUAL_DEVIATION**2)
    prior[[birth.child for birth in births]] = 0.0
    means = linalg.inv(USUAL_MEAN_DEVIATION**2 + OWN_MEAN_DEVIATION**2 * np.eye(len(expected)))
    precision = linalg.block_diag(np.diag(prior), means) + (steps / spread[:, None] ** 2).T @ steps
    precision[:arms, :arms] += seen.information
    covariance = linalg.inv(precision)
    return covariance @ np.append(seen.score, means @ expected), covariance


def expected_of_fresh(posterior: pooling.Posterior, founders: Sequence[int], live: Sequence[int]) -> float:
    """Give the log lift expected of a fresh idea over the best survivor: that of the first generation's mean."""
    return float(posterior.mean[list(founders)].mean() - posterior.mean[list(live)].max())


# --- Does breeding work? -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """Evidence that children are better than the mean of their parents, and that they are worse."""

    better: float
    worse: float
    needed: float = NEEDED

    @property
    def is_better(self) -> bool:
        return self.better > self.needed

    @property
    def is_worse(self) -> bool:
        return self.worse > self.needed


def works(conversions: Floats, shares: Floats, births: Sequence[Birth]) -> Works:
    """Weigh the evidence at this look. `shares` are the chances visitors were assigned by, epoch by epoch."""
    better, worse = (path[-1] if len(path) else 1.0 for path in works_path(conversions, shares, births))
    return Works(better=float(better), worse=float(worse))


def works_path(conversions: Floats, shares: Floats, births: Sequence[Birth]) -> tuple[Floats, Floats]:
    """Give both kinds of evidence as they were after each epoch: all looks of an experiment at once."""
    contrasts = np.stack([_contrast(row, epoch, births) for epoch, row in enumerate(shares)])
    return _wealth(contrasts, conversions, shares), _wealth(-contrasts, conversions, shares)


def _contrast(shares: Floats, epoch: int, births: Sequence[Birth]) -> Floats:
    """Give a: every child against the mean of its parents, weighed by how exactly this epoch can compare them.

    Known before the epoch's visitors come, as a bet has to be. A pair one of which is not shown weighs nothing.
    """
    contrast = np.zeros(len(shares))
    for birth in births:
        rivals = list(birth.against)
        if epoch < birth.epoch or not rivals or shares[birth.child] == 0 or (shares[rivals] == 0).any():
            continue
        weight = 1 / (1 / shares[birth.child] + (1 / shares[rivals]).sum() / len(rivals) ** 2)
        contrast[birth.child] += weight
        contrast[rivals] -= weight / len(rivals)
    return contrast


def _wealth(contrasts: Floats, conversions: Floats, shares: Floats) -> Floats:
    """Give the wealth after each epoch of who began with 1, spread over bets that fit different lifts."""
    odds = np.divide(contrasts, shares, out=np.zeros_like(contrasts), where=shares > 0)
    # The bet that grows fastest at a lift d: mean over mean square of the pay-off, both per conversion at equal rates.
    worth = np.maximum(contrasts, 0.0).sum(axis=1)
    squares = (contrasts * odds).sum(axis=1)
    best = np.divide(worth, squares, out=np.zeros_like(worth), where=squares > 0)
    worst = -odds.min(axis=1, initial=0.0)
    most = np.divide(LARGEST_LOSS, worst, out=np.zeros_like(worst), where=worst > 0)
    logs = [
        np.cumsum((conversions * np.log1p(np.minimum(lift * best, most)[:, None] * odds)).sum(axis=1))
        for lift in BET_LIFTS
    ]
    wealth: Floats = np.exp(np.minimum(special.logsumexp(logs, axis=0) - np.log(len(BET_LIFTS)), 700.0))
    return wealth
