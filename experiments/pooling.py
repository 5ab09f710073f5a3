"""Turn counts by epoch into one joint posterior of the arms' rates: drift taken out, arms pooled through their genes.

Pure: no clock, no database, no randomness. Arrays are float64, arms in the order the caller chose, epochs in time's:

    exposures    (epochs, arms) visitors who first saw the arm in the epoch; need not be whole
    conversions  (epochs, arms) of those, how many converted; need not be whole (experiments.rewards)
    genes        (arms, slots) what each arm holds in each slot: anything that can be compared

The model. Arm k converts in epoch e at the rate exp(u_e + lambda_k).

u, the log base rate, walks: u_e - u_{e-1} ~ N(0, step^2), its level free. `step` is learnt. Large, it sets every
epoch's base rate free: arms are compared within epochs alone, as in conditional likelihood [1]. Zero, it makes all
epochs one, and every arm has its plain Beta posterior. In between an epoch is helped by its neighbours. So drift is
paid for only where there is drift: at 100 arms, moved shares and no drift, epochs set free cost an eighth more regret
(docs/bandit.md). Delay cancels with the drift: the arms of an epoch are equally old.

lambda, the log lifts, are alike, and the more so the more genes arms share:

    lambda = mu + Z beta + eps,   beta ~ N(0, between^2 I),   eps_k ~ N(0, own^2),   mu free

with a column of Z per option of a slot, scaled so that `between` is the spread that genes bring. `own` and `between`
are learnt by the marginal likelihood. Where genes explain nothing, `between` is learnt to be nothing. The level of u
takes up mu, so mu is left out; then N(0, own^2 I + between^2 Z Z') makes every system solvable.

Maximum by Newton's method, u eliminated (its part of the Hessian is tridiagonal); the posterior of lambda is normal
about it [2]. `learnt` quantities are means over a grid, weighted by Laplace's approximation of the likelihood.

Approximation: counts are Poisson. Conversions are binomial: the estimate stays consistent, and `_corrected` gives its
variance.

References
    [1] N. Breslow (1981), Odds ratio estimators when the data are sparse: a common ratio over strata.
    [2] C. Rasmussen, C. Williams (2006), Gaussian Processes for Machine Learning, 3.4 and 5.4.
    [3] D. Firth, R. de Menezes (2004), Quasi-variances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special
from scipy.linalg import lapack

type Floats = NDArray[np.float64]

# Standard deviation of log lifts between variants of a page, before any has been seen: two thirds lie within -22 % and
# +28 % of their mean.
USUAL_DEVIATION: Final = 0.25
# What an experiment's own deviation is expected to be: two thirds within a factor of exp(0.5) of this. The mean of its
# square is the square of the usual one.
LIKELIEST_DEVIATION: Final = 0.2106
HYPERPRIOR_WIDTH: Final = 0.5
# From "all arms are one" to lifts of which a third lie beyond a factor of 1.65.
DEVIATIONS: Final = np.geomspace(0.03, 0.5, 13)
CHANCE_THAT_GENES_MATTER: Final = 0.5

# Steps of the log base rate between epochs: from no drift worth the name to epochs that have little in common.
STEPS: Final = np.geomspace(0.002, 2.0, 10)
FREE_STEP: Final = np.inf  # ties no epoch to another

# A new arm is believed to be like its parents as firmly as if it had been seen by this many visitors of its own.
MOST_INHERITED: Final = 150.0

MOST_NEWTON_STEPS: Final = 50
LARGEST_STEP: Final = 1.0  # of a logarithm, per Newton step: far from the maximum a full step can overshoot
STEP_TOLERANCE: Final = 1e-5  # Newton squares the error: after a step of 1e-5 it is 1e-10
ROUGH_TOLERANCE: Final = 1e-2  # the same, where only a weight is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What the counts say about the model itself: three standard deviations."""

    own: float  # of what belongs to an arm alone
    between: float  # of what its genes bring
    step: float  # of the drift of the log base rate from epoch to epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is known of the arms: their log lifts are normal with `mean` and `covariance`."""

    mean: Floats  # about the arms' common mean
    covariance: Floats  # for binomial counts
    poisson_covariance: Floats  # as if counts were Poisson: the Beta form brings its own (1 - p)
    if_base_known: Floats  # variances, were the base rate known
    base: float  # average base rate: rates are base exp(log lift)
    largest_rate: float  # as if one visitor more had come and not converted
    learnt: Learnt

    def betas(self, arms: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """Give (alpha, beta) of the arms' rates for experiments.bandit, compared with one another alone.

        Rates are at the experiment's average base rate. Alpha is the effective number of conversions: the inverse of
        the arm's quasi-variance [3].
        """
        chosen = np.arange(len(self.mean)) if arms is None else np.asarray(arms, dtype=np.intp)
        spread = self.poisson_covariance[np.ix_(chosen, chosen)]
        rates = np.minimum(self.base * np.exp(self.mean[chosen]), self.largest_rate)
        alpha = 1 / _quasi_variances(spread, self.if_base_known[chosen])
        return alpha, alpha * (1 - rates) / rates

    def lift(self, *, control: int, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
        """Give (median, low, high) of rate / control's rate - 1 per arm, equal-tailed; NaN at the control."""
        difference = self.mean - self.mean[control]
        deviation = np.sqrt(_variance_of_differences(self.covariance)[control])
        margin = -special.ndtri((1 - level) / 2) * deviation
        logs = np.stack([difference, difference - margin, difference + margin])
        logs[:, control] = np.nan
        median, low, high = np.expm1(logs)
        return median, low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """The epochs that say something."""

    exposed: Floats
    converted: Floats
    by_arm: Floats
    by_epoch: Floats
    all_exposed: Floats  # by arm, over all epochs
    all_converted: float

    @property
    def arms(self) -> int:
        return len(self.by_arm)


def _counts(exposures: Floats, conversions: Floats, telling: NDArray[np.bool_]) -> _Counts:
    converted = conversions[telling]
    return _Counts(
        exposed=exposures[telling],
        converted=converted,
        by_arm=converted.sum(axis=0),
        by_epoch=converted.sum(axis=1),
        all_exposed=exposures.sum(axis=0),
        all_converted=float(conversions.sum()),
    )


@dataclass(frozen=True, slots=True)
class _Point:
    log_base: Floats  # u
    log_lift: Floats  # lambda


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curvature:
    """Minus the second derivatives of the log posterior, but for the prior of lambda, with u eliminated."""

    expected: Floats  # conversions by epoch and arm
    follows: Floats  # (epochs, arms): minus the derivatives of the best u by lambda
    information: Floats


def fit(
    exposures: Floats,
    conversions: Floats,
    *,
    genes: Sequence[Sequence[object]] | None = None,
    parents: Sequence[Sequence[int]] | None = None,
) -> Posterior:
    """Give the posterior. `parents[k]` are the places of the arms that arm k was bred from, if they are known."""
    # An epoch without visitors says nothing; nor does any before the first conversion.
    counts = _counts(exposures, conversions, (exposures.sum(axis=1) > 0) & bool(conversions.any()))
    features = None if genes is None else _features(genes)
    kin = _kinship(parents, counts)
    usual = _prior_precision(USUAL_DEVIATION, 0.0, None, counts.arms) + kin
    # Drift is learnt from lifts that know nothing of it: epochs set free. Lifts from pooled counts would hide it.
    point = _climb(_start(counts), counts, usual, STEPS[-1], ROUGH_TOLERANCE)
    point = _climb(point, counts, usual, _learn_step(point, counts), ROUGH_TOLERANCE)
    step = _learn_step(point, counts)
    own, between = _learn_deviations(point, counts, features, kin, step)
    precision = _prior_precision(own, between, features, counts.arms) + kin
    learnt = Learnt(own=own, between=between, step=step)
    return _posterior(_climb(point, counts, precision, step), counts, precision, learnt)


def fit_within_epochs(exposures: Floats, conversions: Floats) -> Posterior:
    """Give the posterior with nothing learnt: every epoch's base rate free, and the usual deviation of lifts.

    Conditional likelihood [1]: exact whatever the drift, and wider for it where there is none.
    """
    counts = _counts(exposures, conversions, conversions.sum(axis=1) > 0)
    precision = _prior_precision(USUAL_DEVIATION, 0.0, None, counts.arms)
    learnt = Learnt(own=USUAL_DEVIATION, between=0.0, step=FREE_STEP)
    return _posterior(_climb(_start(counts), counts, precision, FREE_STEP), counts, precision, learnt)


def _posterior(point: _Point, counts: _Counts, precision: Floats, learnt: Learnt) -> Posterior:
    curvature = _curvature(point, counts, learnt.step)
    information = curvature.information + precision
    inverse = _inverse(information)
    return Posterior(
        mean=point.log_lift,
        covariance=_corrected(inverse, curvature, counts),
        poisson_covariance=inverse,
        if_base_known=np.diag(_inverse(precision + np.diag(curvature.expected.sum(axis=0)))),
        # Half a conversion and one visitor: with none at all there is no base rate to speak of.
        base=float((counts.all_converted + 0.5) / (counts.all_exposed @ np.exp(point.log_lift) + 1.0)),
        largest_rate=1 - 1 / (float(counts.all_exposed.sum()) + 2),
        learnt=learnt,
    )


# --- The prior ---------------------------------------------------------------------------------------------------


def _features(genes: Sequence[Sequence[object]]) -> Floats | None:
    """Give Z: a column per option, for the slots whose options return; None where there is no such slot.

    A slot in which all arms agree, or none do, tells nothing of what genes do. Scaled so that two arms drawn at random
    differ by twice `between` squared.
    """
    arms = len(genes)
    columns, agreements = [], []
    for slot in zip(*genes, strict=True):
        options, place, copies = np.unique([str(option) for option in slot], return_inverse=True, return_counts=True)
        if 1 < len(options) < arms:
            columns.append(np.eye(len(options))[place])
            agreements.append(float((copies / arms) @ (copies / arms)))
    if not columns:
        return None
    features = np.hstack(columns) / np.sqrt(sum(1 - agreement for agreement in agreements))
    # Z matters by Z Z' alone: with more options than arms, a square Z does as well.
    return features if features.shape[1] <= arms else np.linalg.qr(features.T, mode="r").T


def _kinship(parents: Sequence[Sequence[int]] | None, counts: _Counts) -> Floats:
    """Give the precision of "a child is what its parents are on average"; it says nothing about their level."""
    precision = np.zeros((counts.arms, counts.arms))
    if parents is None:
        return precision
    firmness = MOST_INHERITED * counts.converted.sum() / max(counts.exposed.sum(), 1.0)
    for child, bred_from in enumerate(parents):
        if bred_from:
            difference = np.zeros(counts.arms)
            difference[list(bred_from)] = -1 / len(bred_from)
            difference[child] += 1
            precision += firmness * np.outer(difference, difference)
    return precision


def _prior_precision(own: float, between: float, features: Floats | None, arms: int) -> Floats:
    """Give the inverse of own^2 I + between^2 Z Z', by Woodbury's formula."""
    alone = np.eye(arms) / own**2
    if features is None or between == 0:
        return alone
    scaled = features * (between / own)
    inner = np.eye(scaled.shape[1]) + scaled.T @ scaled
    return alone - scaled @ linalg.solve(inner, scaled.T, assume_a="pos") / own**2


# --- The maximum -------------------------------------------------------------------------------------------------


def _start(counts: _Counts) -> _Point:
    """Give a point near the maximum: what pooled counts say, pulled towards the mean."""
    visitors = counts.exposed.sum(axis=0)
    rate = (counts.by_arm.sum() + 0.5) / (visitors.sum() + 1.0)
    firmness = 1 / USUAL_DEVIATION**2
    log_lift = np.log((counts.by_arm + firmness) / (visitors * rate + firmness))
    log_lift -= log_lift.mean()
    weighted = counts.exposed @ np.exp(log_lift)
    return _Point(np.log((counts.by_epoch + 1.0) / (weighted * rate + 1.0)) + np.log(rate), log_lift)


def _climb(start: _Point, counts: _Counts, precision: Floats, step: float, tolerance: float = STEP_TOLERANCE) -> _Point:
    """Find the maximum of the log posterior by Newton's method. It is concave: a short enough step always climbs."""
    point, height = start, _log_posterior(start, counts, precision, step)
    for _ in range(MOST_NEWTON_STEPS):
        move = _newton(point, counts, precision, step)
        longest = max(np.abs(move.log_lift).max(), np.abs(move.log_base).max(initial=0.0))
        part = min(1.0, LARGEST_STEP / max(longest, STEP_TOLERANCE))
        while (risen := _log_posterior(_moved(point, move, part), counts, precision, step)) < height - 1e-9 * abs(
            height
        ):
            part /= 2
        point, height = _moved(point, move, part), risen
        if longest < tolerance:
            break
    return point


def _moved(point: _Point, move: _Point, part: float) -> _Point:
    return _Point(point.log_base + part * move.log_base, point.log_lift + part * move.log_lift)


def _newton(point: _Point, counts: _Counts, precision: Floats, step: float) -> _Point:
    curvature = _curvature(point, counts, step)
    slope_lift = counts.by_arm - curvature.expected.sum(axis=0) - precision @ point.log_lift
    slope_base = counts.by_epoch - curvature.expected.sum(axis=1) - _walk(point.log_base) / step**2
    lift = linalg.solve(
        curvature.information + precision,
        slope_lift - curvature.follows.T @ slope_base,
        assume_a="pos",
        check_finite=False,
    )
    base = _solve_walk(curvature.expected.sum(axis=1), step, slope_base)[0] - curvature.follows @ lift
    return _Point(base, lift)


def _curvature(point: _Point, counts: _Counts, step: float) -> _Curvature:
    expected = counts.exposed * np.exp(point.log_base)[:, None] * np.exp(point.log_lift)
    follows, _ = _solve_walk(expected.sum(axis=1), step, expected)
    information = -(expected.T @ follows)
    information[np.diag_indices(counts.arms)] += expected.sum(axis=0)
    return _Curvature(expected=expected, follows=follows, information=(information + information.T) / 2)


def _log_posterior(point: _Point, counts: _Counts, precision: Floats, step: float) -> float:
    expected = np.exp(point.log_base) @ (counts.exposed @ np.exp(point.log_lift))
    walked = point.log_base[1:] - point.log_base[:-1]
    return float(
        counts.by_arm @ point.log_lift
        + counts.by_epoch @ point.log_base
        - expected
        - point.log_lift @ precision @ point.log_lift / 2
        - walked @ walked / (2 * step**2)
    )


def _walk(log_base: Floats) -> Floats:
    """Give T u, with u' T u = sum of (u_e - u_{e-1})^2."""
    # Optimization: np.diff takes longer than the subtraction.
    walked = np.zeros(len(log_base) + 1)
    walked[1:-1] = log_base[1:] - log_base[:-1]
    return walked[:-1] - walked[1:]


def _solve_walk(expected: Floats, step: float, right: Floats) -> tuple[Floats, Floats]:
    """Solve (diag(expected) + T / step^2) x = right; give x and the D of L D L', whose product is the determinant.

    By LAPACK directly: the wrappers around it take longer than the work.
    """
    if len(expected) <= 1:  # nowhere to walk
        return (right / expected.sum() if len(expected) else right), expected
    firmness = 1 / step**2
    diagonal = expected + 2 * firmness
    diagonal[[0, -1]] -= firmness
    beside = np.full(len(expected) - 1, -firmness)
    factor, _, solved, fault = lapack.dptsv(diagonal, beside, right, overwrite_d=True, overwrite_e=True)
    if fault:
        raise linalg.LinAlgError(f"the walk of the base rate has no maximum at a step of {step}")
    return solved.reshape(right.shape), factor


# --- What is learnt ----------------------------------------------------------------------------------------------


def _learn_step(point: _Point, counts: _Counts) -> float:
    """Weigh the steps of the drift by the likelihood of the epochs' totals, given the lifts."""
    if len(counts.by_epoch) <= 1:
        return float(STEPS[-1])
    weighted = counts.exposed @ np.exp(point.log_lift)
    log_base, heights = point.log_base, []
    for step in STEPS[::-1]:
        log_base, height = _walk_evidence(log_base, weighted, counts.by_epoch, step)
        heights.append(height)
    weights = _weights(np.array(heights))
    return float(np.sqrt(weights @ STEPS[::-1] ** 2))


def _walk_evidence(log_base: Floats, weighted: Floats, converted: Floats, step: float) -> tuple[Floats, float]:
    """Give the likeliest walk from near `log_base`, and the log marginal likelihood of the step by Laplace."""
    for _ in range(MOST_NEWTON_STEPS):
        expected = weighted * np.exp(log_base)
        move, factor = _solve_walk(expected, step, converted - expected - _walk(log_base) / step**2)
        longest = np.abs(move).max()
        log_base = log_base + move * min(1.0, LARGEST_STEP / max(longest, STEP_TOLERANCE))
        if longest < ROUGH_TOLERANCE:
            break
    walked = log_base[1:] - log_base[:-1]
    fit = converted @ log_base - weighted @ np.exp(log_base) - walked @ walked / (2 * step**2)
    return log_base, float(fit - len(walked) * np.log(step) - np.log(factor).sum() / 2)


def _learn_deviations(
    point: _Point, counts: _Counts, features: Floats | None, kin: Floats, step: float
) -> tuple[float, float]:
    """Weigh `own` and `between` by the marginal likelihood, the counts' likelihood taken as normal about `point`."""
    curvature = _curvature(point, counts, step)
    slope = counts.by_arm - curvature.expected.sum(axis=0)
    score = slope + curvature.information @ point.log_lift
    size, axes = linalg.eigh(curvature.information + kin, driver="evd", check_finite=False)
    turned = None if features is None else axes.T @ features
    rows = [row for own in DEVIATIONS for row in _evidence(own, np.maximum(size, 0.0), axes.T @ score, turned)]
    owns, betweens, heights = np.array(rows).T
    surprise = np.log(np.hypot(owns, betweens) / LIKELIEST_DEVIATION) / HYPERPRIOR_WIDTH
    weights = _weights(heights - surprise**2 / 2)
    return float(np.sqrt(weights @ owns**2)), float(np.sqrt(weights @ betweens**2))


def _evidence(own: float, size: Floats, score: Floats, features: Floats | None) -> Iterator[tuple[float, float, float]]:
    """Give (own, between, log marginal likelihood) for every `between`, in the axes of the information.

    eps is integrated out first. What is left is normal in beta, with a precision as small as there are options.
    """
    shrunk = 1 / (1 + own**2 * size)
    alone = float(np.log(shrunk).sum() + own**2 * (shrunk * score) @ score) / 2
    if features is None:
        yield own, 0.0, alone
        return
    yield own, 0.0, alone + np.log(1 - CHANCE_THAT_GENES_MATTER)
    gene_information = features.T @ ((size * shrunk)[:, None] * features)
    gene_size, gene_axes = linalg.eigh(gene_information, driver="evd", check_finite=False)
    along = (gene_axes.T @ (features.T @ (shrunk * score))) ** 2
    odds = np.log(CHANCE_THAT_GENES_MATTER / len(DEVIATIONS))
    for between in DEVIATIONS:
        shrunk_gene = 1 / (1 + between**2 * np.maximum(gene_size, 0.0))
        yield own, between, alone + float(np.log(shrunk_gene).sum() + between**2 * shrunk_gene @ along) / 2 + odds


def _weights(heights: Floats) -> Floats:
    weights = np.exp(heights - heights.max())
    summed: Floats = weights / weights.sum()
    return summed


# --- What follows ------------------------------------------------------------------------------------------------


def _corrected(inverse: Floats, curvature: _Curvature, counts: _Counts) -> Floats:
    """Give the covariance A^-1 (A - W) A^-1: W is what binomial counts vary less than Poisson ones.

    A count's variance is s (1 - p), so W is the information formed with s p in the place of s. At small rates it is
    nothing. One epoch gives the textbook (1 - p) / s for each arm.
    """
    expected, follows = curvature.expected, curvature.follows
    visitors = counts.exposed.sum(axis=0)
    rate = np.divide(expected, counts.exposed, out=np.zeros_like(expected), where=counts.exposed > 0)
    # At a rate of 1 the variance is not 0 but that of Beta(visitors + 1, 1).
    less = expected * np.minimum(rate, 1 - 1 / (2 + visitors))
    cross = less.T @ follows
    scaled = follows * np.sqrt(less.sum(axis=1))[:, None]
    saved = np.diag(less.sum(axis=0)) - cross - cross.T + scaled.T @ scaled
    covariance: Floats = inverse - inverse @ saved @ inverse
    return covariance


def _inverse(matrix: Floats) -> Floats:
    inverse: Floats = linalg.inv(matrix, check_finite=False)
    return inverse


def _variance_of_differences(covariance: Floats) -> Floats:
    own = np.diag(covariance)
    return np.maximum(own[:, None] + own - 2 * covariance, 0.0)


def _quasi_variances(covariance: Floats, if_base_known: Floats) -> Floats:
    """Give v with v_i + v_j nearest to var(lambda_i - lambda_j) over all pairs, by least squares [3].

    The normal equations (K - 2) v_i + sum v = sum_j var_ij have a closed solution. No arm is known better than if the
    base rate were known. With two arms there is one equation for two unknowns: they share as in that case.
    """
    arms = len(if_base_known)
    differences = _variance_of_differences(covariance)
    if arms == 1:
        return if_base_known
    if arms == 2:  # noqa: PLR2004  # the case named above
        shared: Floats = differences[0, 1] * if_base_known / if_base_known.sum()
        return shared
    rows = differences.sum(axis=1)
    return np.maximum((rows - rows.sum() / (2 * arms - 2)) / (arms - 2), if_base_known)
