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
which an arm (even the control) had no visitors simply says nothing of that arm. The fit itself is in `pooling`.

References
    [1] N. Breslow (1981), Odds ratio estimators when the data are sparse; P. McCullagh, J. Nelder, Generalized Linear
        Models, 7.2: conditional likelihood for a common ratio over strata.
    [2] J. ter Schure et al. (2024), The anytime-valid logrank test: error control under continuous monitoring.
    [3] A. Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments.
    [4] A. Swaminathan, T. Joachims (2015), The self-normalized estimator for counterfactual learning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from numbers import Real
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from experiments import pooling

type Floats = NDArray[np.float64]

# Log lifts that evidence is collected for, in steps of a quarter: the nearest grows at 98 % of the true one's speed.
EVIDENCE_LIFTS: Final = np.geomspace(0.008, 0.9, 22)
# Evidence comes fastest for a lift of about 10 %, give or take a factor of 1.4. Any weights are valid; against a
# half-normal mixture of scale 0.1 these found lifts of 5, 10 and 20 % more often (docs/bandit.md).
USUAL_LIFT: Final = 0.1
LIFT_SPREAD: Final = 0.35  # of its logarithm

# Chance that an experiment whose arms are all equal ever names a winner, however often one looks.
FALSE_WINNER_RATE: Final = 0.05

# Below this p-value the split is called broken [3]. The first looks tell most apart, so they ask for more: looked at
# hourly for a fortnight, 0.001 from the first hour on called 1.1% (two arms) and 2.2% (ten) of sound splits broken.
MISMATCH_P_VALUE: Final = 0.001
EARLY_MISMATCH_P_VALUE: Final = 0.0001
EARLY_VISITORS: Final = 5_000
FEWEST_EXPECTED: Final = 5.0  # per cell of the chi-square test: the textbook bound

# A loss this small, relative to the rate, is not worth more visitors.
NEGLIGIBLE_LOSS: Final = 0.005

# --- Lifts -------------------------------------------------------------------------------------------------------


def stratified_lift(
    exposures: ArrayLike, conversions: ArrayLike, *, control: int, level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Give (median, low, high) of rate / control's rate - 1 per arm, equal-tailed; NaN at the control only.

    Unmoved by any drift of the base rate between epochs, and in no need of a model of it. The product shows and uses
    `pooling.fit`, which agrees with this where there is drift and is narrower where there is none. An arm without data
    has the interval of the prior (log lifts N(mean of the arms, 0.25^2)); without any data all have it.
    """
    exposed, converted = _counts(exposures, conversions)
    if not _is_place(control, exposed.shape[1]):
        raise ValueError(f"control must be an arm between 0 and {exposed.shape[1] - 1}, but got {control!r}")
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), but got {level!r}")
    return pooling.fit_within_epochs(exposed, converted).lift(control=control, level=level)


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
    limit = MISMATCH_P_VALUE if observed.sum() >= EARLY_VISITORS else EARLY_MISMATCH_P_VALUE
    return SampleRatio(p_value=p_value, ok=p_value >= limit)


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
    long as it looks only at the past) and however often one looks [2]. At most exp(700).
    """
    exposed, converted = _counts(exposures, conversions)
    return np.stack([_evidence_for(arm, exposed, converted) for arm in range(exposed.shape[1])])


def evidence_for(arm: int, exposures: ArrayLike, conversions: ArrayLike) -> Floats:
    """Give one row of `e_values`, for a K-th of its cost."""
    exposed, converted = _counts(exposures, conversions)
    return _evidence_for(_place("arm", arm, exposed), exposed, converted)


def evidence_against(arm: int, exposures: ArrayLike, conversions: ArrayLike) -> Floats:
    """Give one column of `e_values`: evidence that each arm is better than `arm`."""
    exposed, converted = _counts(exposures, conversions)
    ratios = _log_likelihood_ratios(_place("arm", arm, exposed), exposed, converted, of_others=True)
    return _mixed(np.stack([ratio.sum(axis=0) for ratio in ratios]), arm)


def evidence_path(arm: int, exposures: ArrayLike, conversions: ArrayLike) -> Floats:
    """Give `evidence_for` as it was after each epoch, a row per epoch: all looks of an experiment at once."""
    exposed, converted = _counts(exposures, conversions)
    ratios = _log_likelihood_ratios(_place("arm", arm, exposed), exposed, converted)
    return _mixed(np.stack([np.cumsum(ratio, axis=0) for ratio in ratios]), arm)


def winner_threshold(arms: int) -> float:
    """Give c: an arm whose smallest e-value against all others exceeds it has won.

    Each of the K arms wins falsely with a chance of at most 1 / c, hence K / 0.05.
    """
    return arms / FALSE_WINNER_RATE


def _evidence_for(arm: int, exposed: Floats, converted: Floats) -> Floats:
    ratios = _log_likelihood_ratios(arm, exposed, converted)
    return _mixed(np.stack([ratio.sum(axis=0) for ratio in ratios]), arm)


def _log_likelihood_ratios(
    arm: int, exposed: Floats, converted: Floats, *, of_others: bool = False
) -> Iterator[Floats]:
    """Yield log P(split | lift) / P(split | no lift) of `arm` against each other, (epochs, arms), for each lift.

    `of_others`: of each other against `arm`. Of the m = s_i + s_j conversions of an epoch, i expects the part
    q = n_i / (n_i + n_j) if it is no better, and q e^d / (1 - q + q e^d) if it is better by d, so that the logarithm is
    d s_i - m log(1 - q + q e^d). Exact for Poisson counts. For binomial ones s_i given m is hypergeometric, which
    varies less than the binomial law here, so that the expectation stays at most 1 (Hoeffding): nothing is asymptotic.
    """
    own, reached = exposed[:, [arm]], converted[:, [arm]]
    better, won = (exposed, converted) if of_others else (own, reached)
    q = np.divide(better, own + exposed, out=np.zeros_like(exposed), where=own + exposed > 0)
    for lift in EVIDENCE_LIFTS:
        yield lift * won - (reached + converted) * np.log1p(q * np.expm1(lift))


def _mixed(log_likelihoods: Floats, arm: int) -> Floats:
    """Mix over the lifts, the first axis. A mixture is evidence as good as each lift's own, whichever the true lift."""
    log_e = special.logsumexp(log_likelihoods, axis=0, b=_LIFT_WEIGHTS.reshape(-1, *[1] * (log_likelihoods.ndim - 1)))
    log_e[..., arm] = 0.0  # against itself
    return np.exp(np.minimum(log_e, 700.0))


def _weights_of_lifts() -> Floats:
    weights = np.exp(-((np.log(EVIDENCE_LIFTS / USUAL_LIFT) / LIFT_SPREAD) ** 2) / 2)
    summed: Floats = weights / weights.sum()
    return summed


_LIFT_WEIGHTS: Final = _weights_of_lifts()


# --- Replay ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What another split of the same visitors would have earned, in conversions."""

    earned: float  # by the shares that were in force
    equal: float  # by an equal split among the arms that were live
    low: float
    high: float


def replay(exposures: ArrayLike, conversions: ArrayLike, shares: ArrayLike, *, level: float = 0.95) -> Replay:
    """Estimate what an equal split would have earned, from the shares that visitors were really assigned by.

    Each visitor stands for (equal share / share in force) visitors of the equal split: inverse propensities, made to
    sum to the visitors there were [4]. It needs no model of the rates. An arm that was shown seldom stands for many, so
    that the interval is wide where the shares were extreme.
    """
    exposed, converted = _counts(exposures, conversions)
    promised = _matrix("shares", shares)
    if promised.shape != exposed.shape:
        raise ValueError(f"shares must have the shape of exposures, {exposed.shape}, but has {promised.shape}")
    live = promised > 0
    even = live / np.maximum(live.sum(axis=1, keepdims=True), 1)
    weight = np.divide(even, promised, out=np.zeros_like(even), where=live)
    visitors = float(exposed[live].sum())
    stood_for = max(float((weight * exposed).sum()), np.finfo(np.float64).tiny)
    rate = float((weight * converted).sum()) / stood_for
    # Of a ratio of two sums over visitors, by its linear part: weight (converted - rate).
    squares = weight**2 * (converted * (1 - rate) ** 2 + (exposed - converted) * rate**2)
    margin = -float(special.ndtri((1 - level) / 2)) * visitors * float(squares.sum()) ** 0.5 / stood_for
    equal = visitors * rate
    return Replay(earned=float(converted[live].sum()), equal=equal, low=max(equal - margin, 0.0), high=equal + margin)


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


def _place(name: str, arm: int, exposed: Floats) -> int:
    if not _is_place(arm, exposed.shape[1]):
        raise ValueError(f"{name} must be between 0 and {exposed.shape[1] - 1}, but got {arm!r}")
    return arm


def _per_arm(name: str, values: ArrayLike, exposed: Floats) -> Floats:
    vector = np.array(values, dtype=np.float64)
    if vector.shape != exposed.shape[1:] or not np.isfinite(vector).all():
        raise ValueError(
            f"{name} must be finite with one entry per arm ({exposed.shape[1]}), but got {vector.tolist()}"
        )
    return vector
