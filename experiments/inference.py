"""Turn counts by epoch into what may be said: lifts with intervals, a check of the traffic split, evidence, a verdict.

Every function is pure: arrays in, arrays out. Arrays are 2-D float64, one row per epoch and one column per arm:

    exposures    visitors who first saw the arm in the epoch; need not be whole (effective counts)
    conversions  of those visitors, how many converted, whenever they did
    shares       fraction of new visitors the arm was given in the epoch

The base rate drifts (hours, weekends, promotions) and the bandit moves traffic meanwhile, so that pooled counts compare
one arm's Sundays with another's Mondays. Nothing here pools across epochs. The model is

    rate of arm k in epoch e = base_e exp(lambda_k)

with base_e free. Given the conversions m_e of an epoch, their split among the arms is multinomial with

    q_ek = n_ek exp(lambda_k) / sum_j n_ej exp(lambda_j)

from which base_e has vanished [1]: an epoch weighs as much as its conversions say, whatever its base rate, and one in
which an arm (even the control) had no visitors simply says nothing of that arm.

Approximation: the split is multinomial for Poisson counts. Conversions are binomial; the estimate stays consistent,
and its variance is corrected for it in `_sandwich`.

References
    [1] N. Breslow (1981), Odds ratio estimators when the data are sparse; P. McCullagh, J. Nelder, Generalized Linear
        Models, 7.2: conditional likelihood for a common ratio over strata.
    [2] D. Firth, R. de Menezes (2004), Quasi-variances.
    [3] J. ter Schure et al. (2024), The anytime-valid logrank test: error control under continuous monitoring.
    [4] A. Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments.
"""

from dataclasses import dataclass
from enum import StrEnum
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

type Floats = NDArray[np.float64]

# Standard deviation of log lifts between variants of a page: two thirds lie within -22 % and +28 % of their mean. In
# simulations 0.15 to 0.35 gave the same regret within its error.
PRIOR_DEVIATION: Final = 0.25

# Half-normal scale of the log lift for which evidence is collected fastest: a lift of about 10 %.
EVIDENCE_SCALE: Final = 0.1

# Chance that an experiment whose arms are all equal ever names a winner, however often one looks.
FALSE_WINNER_RATE: Final = 0.05

# Below this p-value the split is called broken. It is looked at hourly, hence stricter than 0.05 [4].
MISMATCH_P_VALUE: Final = 0.001
FEWEST_EXPECTED: Final = 5.0  # per cell of the chi-square test: the textbook bound

# A loss this small, relative to the rate, is not worth more visitors.
NEGLIGIBLE_LOSS: Final = 0.005

MOST_NEWTON_STEPS: Final = 50
LARGEST_STEP: Final = 1.0  # of a log lift, per Newton step: from 0 the full first step can overshoot
STEP_TOLERANCE: Final = 1e-10


# --- Lifts -------------------------------------------------------------------------------------------------------


def stratified_lift(
    exposures: ArrayLike, conversions: ArrayLike, *, control: int, level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Give (median, low, high) of rate / control's rate - 1 per arm, equal-tailed; NaN at the control only.

    Unmoved by drift of the base rate between epochs. An arm without data has the interval of the prior (log lifts
    N(mean of the arms, 0.25^2)), which is wide but finite; without any data all have it.
    """
    fit = _fit(*_counts(exposures, conversions))
    if not _is_place(control, len(fit.log_lift)):
        raise ValueError(f"control must be an arm between 0 and {len(fit.log_lift) - 1}, but got {control!r}")
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), but got {level!r}")
    difference = fit.log_lift - fit.log_lift[control]
    margin = -special.ndtri((1 - level) / 2) * np.sqrt(_variance_of_differences(fit.covariance)[control])
    logs = np.stack([difference, difference - margin, difference + margin])
    logs[:, control] = np.nan
    median, low, high = np.expm1(logs)
    return median, low, high


def stratified_posterior(exposures: ArrayLike, conversions: ArrayLike) -> tuple[Floats, Floats]:
    """Give (alpha, beta) per arm for experiments.bandit, with the drift of the base rate taken out.

    Rates are at the experiment's average base rate. Alpha is the effective number of conversions: the inverse of the
    arm's quasi-variance [2]. Without drift and with many conversions this is Beta(conversions, the rest); a new arm
    enters at the average of the others with up to 1 / 0.25^2 = 16 conversions, not at one half.
    """
    exposed, converted = _counts(exposures, conversions)
    fit = _fit(exposed, converted)
    relative = np.exp(fit.log_lift)
    # Half a conversion and one visitor: with none at all there is no base rate to speak of.
    base = (converted.sum() + 0.5) / ((exposed @ relative).sum() + 1.0)
    rate = np.minimum(base * relative, 1 - 1 / (exposed.sum() + 2))
    alpha = 1 / _quasi_variances(fit)
    return alpha, alpha * (1 - rate) / rate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    log_lift: Floats  # lambda, summing to 0
    expected_conversions: Floats
    information: Floats  # of the posterior, for Poisson counts
    covariance: Floats  # for binomial counts


def _fit(exposed: Floats, converted: Floats) -> _Fit:
    """Maximise the conditional likelihood with the prior lambda_k ~ N(mu, 0.25^2), mu free.

    The likelihood knows only differences of lambda, and mu takes up their mean. So the mean may be held at 0 by a prior
    of the same strength, and the whole prior becomes a ridge I / 0.25^2, which also makes every system solvable.
    """
    telling = converted.sum(axis=1) > 0
    exposed, converted = exposed[telling], converted[telling]
    total = converted.sum(axis=1)
    log_lift = np.zeros(exposed.shape[1])
    height = _log_posterior(log_lift, exposed, converted)
    for _ in range(MOST_NEWTON_STEPS):
        split = _split(log_lift, exposed)
        slope = converted.sum(axis=0) - total @ split - log_lift / PRIOR_DEVIATION**2
        step = np.linalg.solve(_information(split, total), slope)
        step *= min(1.0, LARGEST_STEP / max(np.abs(step).max(), STEP_TOLERANCE))
        if np.abs(step).max() < STEP_TOLERANCE:
            break
        # The posterior is concave: a short enough step along Newton's direction always climbs.
        while (new_height := _log_posterior(log_lift + step, exposed, converted)) < height - 1e-9 * abs(height):
            step /= 2
        log_lift, height = log_lift + step, new_height
    split = _split(log_lift, exposed)
    information = _information(split, total)
    return _Fit(
        log_lift=log_lift,
        expected_conversions=total @ split,
        information=information,
        covariance=_sandwich(information, split, exposed, total),
    )


def _split(log_lift: Floats, exposed: Floats) -> Floats:
    weighted: Floats = exposed * np.exp(log_lift)
    split: Floats = weighted / weighted.sum(axis=1, keepdims=True)
    return split


def _log_posterior(log_lift: Floats, exposed: Floats, converted: Floats) -> float:
    in_epochs = converted.sum(axis=1) @ np.log(exposed @ np.exp(log_lift))
    return float(converted.sum(axis=0) @ log_lift - in_epochs - log_lift @ log_lift / (2 * PRIOR_DEVIATION**2))


def _information(split: Floats, total: Floats) -> Floats:
    """Give sum_e m_e (diag q_e - q_e q_e') + I / 0.25^2."""
    own: Floats = np.diag(total @ split + 1 / PRIOR_DEVIATION**2)
    return own - split.T @ (total[:, None] * split)


def _sandwich(information: Floats, split: Floats, exposed: Floats, total: Floats) -> Floats:
    """Give the covariance A^-1 (V + I / 0.25^2) A^-1, A the information and V the variance of the score.

    The score of epoch e is (I - q 1') s. With binomial s its variance is (I - q 1') D (I - 1 q') for
    D = diag(m q (1 - p)), p the arm's rate in the epoch; at small rates that is the information itself, at large ones
    less, as a binomial varies less than a Poisson count. One epoch gives the textbook (1 - p) / s for each arm.
    """
    visitors = exposed.sum(axis=0)
    rate = np.divide(total[:, None] * split, exposed, out=np.zeros_like(split), where=exposed > 0)
    # At a rate of 1 the variance is not 0 but that of Beta(visitors + 1, 1).
    spread = total[:, None] * split * np.maximum(1 - rate, 1 / (2 + visitors))
    cross = split.T @ spread
    score = np.diag(spread.sum(axis=0)) - cross - cross.T + split.T @ (spread.sum(axis=1)[:, None] * split)
    inverse: Floats = np.linalg.inv(information)
    covariance: Floats = inverse @ (score + np.eye(len(score)) / PRIOR_DEVIATION**2) @ inverse
    return covariance


def _variance_of_differences(covariance: Floats) -> Floats:
    own = np.diag(covariance)
    return np.maximum(own[:, None] + own - 2 * covariance, 0.0)


def _quasi_variances(fit: _Fit) -> Floats:
    """Give v with v_i + v_j nearest to var(lambda_i - lambda_j) over all pairs, by least squares [2].

    The normal equations (K - 2) v_i + sum v = sum_j var_ij have a closed solution. No arm is known better than if the
    base rate were known. With two arms there is one equation for two unknowns: they share as in that case.
    """
    if_base_known = 1 / (fit.expected_conversions + 1 / PRIOR_DEVIATION**2)
    arms = len(if_base_known)
    differences = _variance_of_differences(np.linalg.inv(fit.information))
    if arms == 1:
        return if_base_known
    if arms == 2:  # noqa: PLR2004  # the case named above
        shared: Floats = differences[0, 1] * if_base_known / if_base_known.sum()
        return shared
    rows = differences.sum(axis=1)
    return np.maximum((rows - rows.sum() / (2 * arms - 2)) / (arms - 2), if_base_known)


# --- The split of traffic ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatio:
    p_value: float
    ok: bool


def sample_ratio(exposures: ArrayLike, shares: ArrayLike) -> SampleRatio:
    """Test whether arms received the visitors their shares promised, epoch by epoch.

    Chi-square of each arm's visitors against sum_e (visitors of epoch e) share_ek; arms expecting fewer than five are
    one cell. Comparing with today's shares instead would call every bandit broken.
    """
    exposed, promised = _matrix("exposures", exposures), _matrix("shares", shares)
    if promised.shape != exposed.shape:
        raise ValueError(f"shares must have the shape of exposures, {exposed.shape}, but has {promised.shape}")
    if not np.allclose(promised.sum(axis=1), 1.0, rtol=0, atol=1e-6):
        epoch = int(np.argmax(np.abs(promised.sum(axis=1) - 1)))
        raise ValueError(f"shares must sum to 1 in every epoch, but sum to {promised[epoch].sum()} in epoch {epoch}")
    observed, expected = exposed.sum(axis=0), exposed.sum(axis=1) @ promised
    if (observed[expected == 0] > 0).any():
        return SampleRatio(p_value=0.0, ok=False)  # visitors where none were sent
    observed, expected = _pooled_cells(observed, expected)
    if len(expected) < 2:  # noqa: PLR2004  # one cell always fits
        return SampleRatio(p_value=1.0, ok=True)
    # Approximation: over epochs with different shares the totals vary a little less than one multinomial, so that the
    # p-value errs on the large side.
    statistic = float(((observed - expected) ** 2 / expected).sum())
    p_value = float(stats.chi2.sf(statistic, len(expected) - 1))
    return SampleRatio(p_value=p_value, ok=p_value >= MISMATCH_P_VALUE)


def _pooled_cells(observed: Floats, expected: Floats) -> tuple[Floats, Floats]:
    small = expected < FEWEST_EXPECTED
    if not small.any():
        return observed, expected
    rest_observed, rest_expected = observed[small].sum(), expected[small].sum()
    observed, expected = observed[~small], expected[~small]
    if rest_expected >= FEWEST_EXPECTED or not len(expected):
        return np.append(observed, rest_observed), np.append(expected, rest_expected)
    # Still too small to stand alone: it joins the smallest of the others.
    smallest = int(np.argmin(expected))
    observed[smallest] += rest_observed
    expected[smallest] += rest_expected
    return observed, expected


# --- Evidence ----------------------------------------------------------------------------------------------------


def e_values(exposures: ArrayLike, conversions: ArrayLike) -> Floats:
    """Give the matrix e_ij: evidence that arm i is better than arm j; 1 on the diagonal and without common epochs.

    If j is as good as i, the chance that e_ij ever exceeds c is at most 1 / c, whatever the drift, the allocation (as
    long as it looks only at the past) and however often one looks [3]. At most exp(700).
    """
    exposed, converted = _counts(exposures, conversions)
    return np.stack([_evidence_for(arm, exposed, converted) for arm in range(exposed.shape[1])])


def evidence_for(arm: int, exposures: ArrayLike, conversions: ArrayLike) -> Floats:
    """Give one row of `e_values`, for a K-th of its cost."""
    exposed, converted = _counts(exposures, conversions)
    if not _is_place(arm, exposed.shape[1]):
        raise ValueError(f"arm must be between 0 and {exposed.shape[1] - 1}, but got {arm!r}")
    return _evidence_for(arm, exposed, converted)


def winner_threshold(arms: int) -> float:
    """Give c: an arm whose smallest e-value against all others exceeds it has won.

    Each of the K arms wins falsely with a chance of at most 1 / c, hence K / 0.05.
    """
    return arms / FALSE_WINNER_RATE


def _evidence_for(arm: int, exposed: Floats, converted: Floats) -> Floats:
    """Mix the likelihood ratio exp(d U - d^2 V / 2) over a half-normal log lift d > 0 of scale tau.

    Of the m = s_i + s_j conversions of an epoch, i expects q = n_i / (n_i + n_j) if it is no better:
    U = sum_e (s_i - m q), V = sum_e m q (1 - q), and with W = V + 1 / tau^2

        e_ij = 2 / sqrt(1 + tau^2 V) exp(U^2 / 2W) Phi(U / sqrt W)
    """
    own = exposed[:, [arm]]
    q = np.divide(own, own + exposed, out=np.zeros_like(exposed), where=own + exposed > 0)
    both = converted + converted[:, [arm]]
    u = (converted[:, [arm]] - both * q).sum(axis=0)
    v = (both * q * (1 - q)).sum(axis=0)
    w = v + 1 / EVIDENCE_SCALE**2
    log_e = np.log(2.0) - 0.5 * np.log1p(EVIDENCE_SCALE**2 * v) + u**2 / (2 * w) + special.log_ndtr(u / np.sqrt(w))
    log_e[arm] = 0.0  # against itself
    capped: Floats = np.minimum(log_e, 700.0)
    return np.exp(capped)


# --- Verdict -----------------------------------------------------------------------------------------------------


class VerdictState(StrEnum):
    COLLECTING = "collecting"
    LEANING = "leaning"
    DECIDED = "decided"
    NO_DIFFERENCE = "no_difference"
    CANNOT_BE_TRUSTED = "cannot_be_trusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What may be said today, with the numbers a sentence about it needs. The sentence is the report's."""

    state: VerdictState
    leader: int | None  # None while collecting and when the data cannot be trusted
    probability_best: float | None  # the leader's
    evidence: float | None  # smallest e-value of the leader against any other arm
    evidence_needed: float
    # Of keeping the control, relative to the leader's rate.
    control_relative_loss: float | None
    exposures_missing: float  # until the least exposed of leader and control reaches the minimum
    sample_ratio_p_value: float


def verdict(
    exposures: ArrayLike,
    conversions: ArrayLike,
    *,
    control: int,
    probability_best: ArrayLike,
    expected_loss: ArrayLike,
    sample_ratio: SampleRatio,
    minimum_exposures: int,
) -> Verdict:
    """Judge in this order: can the data be trusted, are they enough, has an arm won, does it matter, who leads.

    Decided by the e-value alone: "probability best > 95 %", looked at hourly, names a winner in most experiments whose
    arms are all equal. "No difference" means that keeping the control loses less than half a percent of the rate.
    """
    exposed, converted = _counts(exposures, conversions)
    best, loss = (
        _per_arm("probability_best", probability_best, exposed),
        _per_arm("expected_loss", expected_loss, exposed),
    )
    arms = exposed.shape[1]
    if not _is_place(control, arms):
        raise ValueError(f"control must be an arm between 0 and {arms - 1}, but got {control!r}")
    leader = int(np.argmax(best))
    visitors, converts = exposed.sum(axis=0), converted.sum(axis=0)
    missing = max(0.0, minimum_exposures - float(visitors[[leader, control]].min()))
    evidence = float(np.delete(_evidence_for(leader, exposed, converted), leader).min(initial=np.inf))
    relative_loss = float(loss[control] * visitors[leader] / converts[leader]) if converts[leader] else None
    state = _state(
        trusted=sample_ratio.ok,
        enough=missing == 0 and relative_loss is not None and arms > 1,
        won=evidence > winner_threshold(arms),
        matters=relative_loss is None or relative_loss >= NEGLIGIBLE_LOSS,
    )
    told = state not in {VerdictState.COLLECTING, VerdictState.CANNOT_BE_TRUSTED}
    return Verdict(
        state=state,
        leader=leader if told else None,
        probability_best=float(best[leader]) if told else None,
        evidence=evidence if told else None,
        evidence_needed=winner_threshold(arms),
        control_relative_loss=relative_loss if told else None,
        exposures_missing=missing,
        sample_ratio_p_value=sample_ratio.p_value,
    )


def _state(*, trusted: bool, enough: bool, won: bool, matters: bool) -> VerdictState:
    if not trusted:
        return VerdictState.CANNOT_BE_TRUSTED
    if not enough:
        return VerdictState.COLLECTING
    if won:
        return VerdictState.DECIDED
    return VerdictState.LEANING if matters else VerdictState.NO_DIFFERENCE


# --- What the arguments must be ----------------------------------------------------------------------------------


def _matrix(name: str, values: ArrayLike) -> Floats:
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number per epoch and arm, but got {values!r}") from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:  # noqa: PLR2004  # epochs x arms
        raise ValueError(f"{name} must have a row per epoch and a column per arm, but has shape {matrix.shape}")
    bad = ~np.isfinite(matrix) | (matrix < 0)
    if bad.any():
        epoch, arm = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} must be finite and not negative, but has {matrix[epoch, arm]} at epoch {epoch}, arm {arm}"
        )
    return matrix


def _counts(exposures: ArrayLike, conversions: ArrayLike) -> tuple[Floats, Floats]:
    exposed, converted = _matrix("exposures", exposures), _matrix("conversions", conversions)
    if exposed.shape != converted.shape:
        raise ValueError(f"conversions must have the shape of exposures, {exposed.shape}, but has {converted.shape}")
    if (converted > exposed).any():
        epoch, arm = np.argwhere(converted > exposed)[0]
        pair = f"{converted[epoch, arm]} of {exposed[epoch, arm]}"
        raise ValueError(f"conversions cannot exceed exposures, but epoch {epoch}, arm {arm} has {pair}")
    return exposed, converted


def _is_place(arm: object, arms: int) -> bool:
    return isinstance(arm, int | np.integer) and bool(0 <= arm < arms)


def _per_arm(name: str, values: ArrayLike, exposed: Floats) -> Floats:
    vector = np.array(values, dtype=np.float64)
    if vector.shape != exposed.shape[1:] or not np.isfinite(vector).all():
        raise ValueError(
            f"{name} must be finite with one entry per arm ({exposed.shape[1]}), but got {vector.tolist()}"
        )
    return vector
