"""Turn arm counts into traffic shares. Beta-Bernoulli model, Thompson sampling, no sampling.

Every function is pure: no clock, no database, no randomness; the same input gives the same bits. Arrays are 1-D
float64 with one entry per arm, in the order the caller chose:

    exposures    visitors who saw the arm; need not be whole (effective counts)
    conversions  of those, how many converted; 0 <= conversions <= exposures
    alpha, beta  the arm's conversion rate has the posterior Beta(alpha, beta)
    shares       fraction of new visitors, in [0, 1], summing to 1

The numbers come from quadrature in t = logit(rate). There the posterior density

    f(t) = x^alpha (1 - x)^beta / B(alpha, beta),    x = 1 / (1 + e^-t)

is log-concave, smooth on the whole line and without end-point singularities, for *every* alpha, beta > 0: no data, no
conversions and nothing but conversions are ordinary cases. It peaks at x = alpha / (alpha + beta), and has fallen from
there by the factor exp(-D), where

    D(x) = (alpha + beta) KL(alpha / (alpha + beta) || x)

is the deviance: the whole module measures "how far from the peak" by D. The nontrivial parts are `_panels` (where to
integrate) and `_Contest` (all arms against each other on one grid).

Accuracy and timing, measured against 30-digit references: docs/bandit.md.

References
    [1] S. L. Scott (2010), A modern Bayesian look at the multi-armed bandit. Shares = probability of being best.
    [2] D. Russo (2016), Simple Bayesian algorithms for best arm identification. The top-two mixture.
    [3] Abramowitz & Stegun 26.2.49. The Cornish-Fisher expansion to the sixth cumulant.
    [4] C. Loader (2000), Fast and accurate computation of binomial probabilities. Peak height by Stirling's error.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Final

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy import special

type Floats = NDArray[np.float64]

# exp(-36) = 2e-16: what lies beyond, even summed over a thousand arms, is below the accuracy we promise.
DEVIANCE_OF_NOTHING: Final = 36.0

# Gauss-Legendre panels: with 12 nodes on 1.6 standard deviations a normal density is integrated to 1e-13; a wider panel
# with the same nodes loses two digits, a narrower one gains none and costs time.
NODES_PER_PANEL: Final = 12
PANEL_WIDTH_IN_SCALES: Final = 1.6

# A distribution function this small at the window's lower edge is rounding error of 1 - (integral over the window).
ROUNDING: Final = 1e-12

# Alpha and beta of both arms from which Cornish-Fisher to the sixth cumulant is within 1e-5 of the interval's width,
# over all shapes tried; at 20 it is within 6e-5.
COUNT_FOR_EXPANSION: Final = 40.0

STIRLING_FROM: Final = 16.0  # from here on the first omitted term of the series is below 1e-16
MOST_NEWTON_STEPS: Final = 60  # five is usual; bisection alone would need fifty
END_TOLERANCE: Final = 1e-9  # relative, of a density's end: far finer than a panel
QUANTILE_TOLERANCE: Final = 1e-6  # in standard deviations of the log ratio
SCORE_TOLERANCE: Final = 1e-4  # in normal scores
TOTAL_FLOOR: Final = 0.02  # of all traffic, however many arms: a fixed share each would leave nothing to win at 100
FEWEST_EXPOSURES: Final = 50  # until an arm has as many, it gets at least half an equal share
CERTAIN: Final = 1e-12  # chance of all others together below which their proportions are lost
MUCH_NARROWER: Final = 3.0  # ratio of two standard deviations
# Of `_deviance_nodes`. Halving it changes no limit by more than 1e-8 of the width, doubling it by 1e-4 at alpha = 0.1.
DEVIANCE_STEP: Final = 0.25


# --- Posterior ---------------------------------------------------------------------------------------------------


def posterior(
    exposures: ArrayLike, conversions: ArrayLike, *, prior: tuple[float, float] = (1.0, 1.0)
) -> tuple[Floats, Floats]:
    """Give (alpha, beta) = prior + (conversions, exposures - conversions)."""
    exposed = _counts("exposures", exposures)
    converted = _counts("conversions", conversions, like=exposed)
    if (converted > exposed).any():
        arm = int(np.argmax(converted > exposed))
        raise ValueError(f"conversions cannot exceed exposures, but arm {arm} has {converted[arm]} of {exposed[arm]}")
    prior_alpha, prior_beta = _prior(prior)
    return prior_alpha + converted, prior_beta + (exposed - converted)


def credible_interval(alpha: ArrayLike, beta: ArrayLike, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Give the equal-tailed (low, high) of each arm's rate."""
    a, b = _arms(alpha, beta)
    tail = (1 - _level(level)) / 2
    # The upper limit by symmetry: 1 - tail would round a tail of 1e-17 away.
    return special.betaincinv(a, b, tail), special.betainccinv(a, b, tail)


# --- Which arm is best -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    probability_best: Floats  # sums to 1
    expected_loss: Floats  # E[highest rate - this arm's rate], in rate units


def standing(alpha: ArrayLike, beta: ArrayLike) -> Standing:
    """Give probability_best and expected_loss for little more than the price of one.

    Arms are sorted and equal ones counted once, so that relabelling arms relabels the results bit for bit, equal arms
    get equal results, and a thousand new arms cost as much as one.
    """
    a, b = _arms(alpha, beta)
    distinct, place, copies = np.unique(np.stack([a, b], axis=1), axis=0, return_inverse=True, return_counts=True)
    contest = _Contest(distinct[:, 0], distinct[:, 1], copies.astype(np.float64))
    return Standing(probability_best=contest.probability_best()[place], expected_loss=contest.expected_loss()[place])


def probability_best(alpha: ArrayLike, beta: ArrayLike) -> Floats:
    """Give each arm's probability of having the highest rate: integral of f_i(t) prod_{j != i} F_j(t) dt.

    Absolute error below 1e-9 for up to 1000 arms; sums to 1.
    """
    return standing(alpha, beta).probability_best


def expected_loss(alpha: ArrayLike, beta: ArrayLike) -> Floats:
    """Give E[highest rate - this arm's rate], in rate units: integral of F_i(x) (1 - prod_{j != i} F_j(x)) dx.

    Absolute error below 1e-9 for up to 1000 arms.
    """
    return standing(alpha, beta).expected_loss


class _Contest:
    """Every arm's density and distribution function on one shared grid.

    The highest rate lies, but for exp(-36), in a window from L (`_window_start`) to U, the highest of the arms' upper
    ends. Arms that end below L cannot be best and stay off the grid. Rows are arms, columns are nodes in ascending t.
    """

    def __init__(self, alpha: Floats, beta: Floats, copies: Floats) -> None:
        lower, upper = _ends(alpha, beta)
        self.low = _window_start(alpha, beta, copies, float(lower.max()))
        self.contends = upper > self.low
        self.mean = alpha / (alpha + beta)
        self.copies = copies[self.contends, None]
        a, b = alpha[self.contends], beta[self.contends]
        edges = _panels(self.low, a, b, upper[self.contends])
        half_widths = np.diff(edges) / 2
        nodes = (edges[:-1, None] + half_widths[:, None] * (1 + _NODES)).ravel()
        self.weight = (half_widths[:, None] * _WEIGHTS).ravel()
        # dx = x (1 - x) dt turns integrals over t into integrals over the rate.
        self.rate_weight = self.weight * special.expit(nodes) * special.expit(-nodes)
        self.density = _density(a, b, self.low, nodes - self.low)
        self._integrate(half_widths)

    def _integrate(self, half_widths: Floats) -> None:
        """Set the distribution functions from both sides: a small one is never 1 minus a large one."""
        panels = self.density.reshape(len(self.density), -1, NODES_PER_PANEL)
        inside = (panels @ _CUMULATIVE) * half_widths[:, None]
        whole = (panels @ _WEIGHTS) * half_widths
        before = _sums_before(whole.T).T
        after = _sums_before(whole.T[::-1])[::-1].T
        mass = whole.sum(axis=1)
        # What an arm has below the window, where it can no longer be best.
        self.below = np.where(mass < 1 - ROUNDING, 1 - mass, 0.0)
        shape = self.density.shape
        self.cdf = (inside[..., :NODES_PER_PANEL] + (self.below[:, None] + before)[..., None]).reshape(shape)
        self.survival = (inside[..., NODES_PER_PANEL:] + after[..., None]).reshape(shape).clip(0.0, 1.0)
        self.cdf = self.cdf.clip(np.finfo(np.float64).tiny, 1.0)

    @cached_property
    def log_cdf(self) -> Floats:
        low = self.cdf < self.survival
        logs = np.log(self.cdf, out=np.empty_like(self.cdf), where=low)
        return np.log1p(-self.survival, out=logs, where=~low)

    @cached_property
    def log_cdf_of_others(self) -> Floats:
        """log prod_{j != i} F_j by sums from both ends, since (sum of all) - (own) would lose a small remainder."""
        if (self.copies == 1).all():
            return _sums_of_others(self.log_cdf)
        return _sums_of_others(self.copies * self.log_cdf) + (self.copies - 1) * self.log_cdf

    def probability_best(self) -> Floats:
        best = np.zeros(len(self.contends))
        best[self.contends] = (self.density * np.exp(self.log_cdf_of_others)) @ self.weight
        return best / (best[self.contends] @ self.copies[:, 0])

    def expected_loss(self) -> Floats:
        """Split the loss at the window's lower edge.

        Below it the others' product is 0 and the integrand F_i, whose integral is E[(L - x)+] = L - mean + E[(x - L)+].
        """
        edge = float(special.expit(self.low))
        loss = edge - self.mean
        # An arm off the grid has F_i = 1 there, and the highest rate is among the others.
        loss[~self.contends] += -np.expm1((self.copies * self.log_cdf).sum(axis=0)) @ self.rate_weight
        head = loss[self.contends] + self.survival @ self.rate_weight
        inside = (self.cdf * -np.expm1(self.log_cdf_of_others)) @ self.rate_weight
        # The head of an arm with nothing below the window is 0, and its rounding may exceed the leader's whole loss.
        loss[self.contends] = np.where(self.below > 0, np.maximum(head, 0.0), 0.0) + inside
        return loss


# --- The grid ----------------------------------------------------------------------------------------------------


def _ends(alpha: Floats, beta: Floats, deviance: ArrayLike = DEVIANCE_OF_NOTHING) -> tuple[Floats, Floats]:
    """Give the two logits at which the density has fallen by exp(-deviance) from its peak."""
    lower, upper = _upper_end(np.stack([beta, alpha]), np.stack([alpha, beta]), deviance)
    return -lower, upper


def _upper_end(alpha: Floats, beta: Floats, deviance: ArrayLike) -> Floats:
    """Solve D(x) = deviance for x above the peak, as a logit; arguments broadcast.

    In y = -log(1 - x) the deviance is convex and becomes a straight line, so Newton's method from beyond the root comes
    back without overshooting, whatever the shape. Two bounds lie beyond the root: the line's own, and, near for many
    counts, the one that follows from the third derivative of log f(t) being at most the second.
    """
    size = alpha + beta
    entropy = -special.xlogy(alpha, alpha / size) - special.xlogy(beta, beta / size)
    target = np.asarray(deviance, dtype=np.float64)
    ratio = target * size / (alpha * beta)
    reach = np.log(alpha / beta) + ratio + np.sqrt(2 * ratio)
    y = np.minimum((target + entropy) / beta, np.logaddexp(0.0, reach))
    for _ in range(MOST_NEWTON_STEPS):
        rate = -np.expm1(-y)
        excess = beta * y - alpha * np.log(rate) - entropy - target
        step = excess / (beta - alpha * np.exp(-y) / rate)
        y = y - step
        if (np.abs(step) <= END_TOLERANCE * y).all():
            break
    return y + np.log(-np.expm1(-y))


def _window_start(alpha: Floats, beta: Floats, copies: Floats, low: float) -> float:
    """Give a logit below which the highest rate lies with a probability of at most exp(-36); at least `low`.

    Chernoff's bound for a Beta variable is F(x) <= exp(-D(x)). So if m arms have their lower ends for the deviance
    36 / m above L, then prod F_i(L) <= exp(-36). One arm alone gives the highest of the full lower ends; many alike
    arms share the burden, and a hundred arms without a conversion need 3 units of logit instead of 300.
    """
    sharing = 2.0 ** np.arange(1, int(np.log2(copies.sum())) + 1, 2)
    if not sharing.size:
        return low
    ends = -_upper_end(beta, alpha, DEVIANCE_OF_NOTHING / sharing[:, None])
    order = np.argsort(-ends, axis=1)
    above = np.cumsum(copies[order], axis=1)
    reached = np.argmax(above >= sharing[:, None], axis=1)
    highest = np.take_along_axis(ends, np.take_along_axis(order, reached[:, None], axis=1), axis=1)
    return max(low, float(highest.max()))


def _panels(low: float, alpha: Floats, beta: Floats, upper: Floats) -> Floats:
    """Give panel edges from `low` to the highest upper end: each as wide as the narrowest arm still alive there allows.

    Every contender reaches from `low` or below to its upper end, so one alive far from `low` is wide: panels grow
    geometrically, and an arm with 100 000 times the data of another costs a few panels, not 300 times as many.
    """
    # The curvature at the peak is alpha beta / (alpha + beta). The 1: the steep side of a density falls as exp(-e^t),
    # on a scale of 1 however flat the peak is.
    scale = 1 / np.sqrt(1 + alpha * beta / (alpha + beta))
    order = np.argsort(upper)
    ends = upper[order].tolist()
    narrowest = np.minimum.accumulate(scale[order][::-1])[::-1].tolist()
    edges = [low]
    while edges[-1] < ends[-1]:
        edges.append(edges[-1] + PANEL_WIDTH_IN_SCALES * narrowest[bisect_right(ends, edges[-1])])
    return np.array(edges)


def _density(alpha: Floats, beta: Floats, origin: float, offset: Floats) -> Floats:
    """Give f(origin + offset) for each arm (rows) and offset (columns).

    log f = log f(peak) + alpha log(x / peak) + beta log((1 - x) / (1 - peak)), the logarithms by way of the origin.
    Written with log B(alpha, beta) instead, ten million visitors would leave nine digits; like this every term is of
    the order of sqrt(alpha) or sqrt(beta), because all contenders are near the origin on their own scale.
    """
    size = alpha + beta
    peak = np.log(alpha / beta)
    log_at_origin = (
        _log_peak(alpha, beta)
        + alpha * _log_rate_ratio(peak, origin - peak, beta / size)
        + beta * _log_rate_ratio(-peak, peak - origin, alpha / size)
    )
    start = np.float64(origin)
    up = _log_rate_ratio(start, offset, special.expit(-start))
    down = _log_rate_ratio(-start, -offset, special.expit(start))
    return np.exp(log_at_origin[:, None] + alpha[:, None] * up + beta[:, None] * down)


def _log_rate_ratio(start: Floats | np.float64, offset: Floats, complement: Floats | np.float64) -> Floats:
    """Give log(x(start + offset) / x(start)), where complement = 1 - x(start).

    Near the start, -log(1 + complement (e^-offset - 1)) keeps all digits of a small offset. Far from it, that form
    cancels or overflows, and the plain difference is good: only arms with few counts are alive so far away.
    """
    near = -np.log1p(complement * np.expm1(-offset.clip(-1.0, 1.0)))
    return np.where(np.abs(offset) <= 1.0, near, np.logaddexp(0.0, -start) - np.logaddexp(0.0, -start - offset))


def _log_peak(alpha: Floats, beta: Floats) -> Floats:
    """Give log f at the peak: log sqrt(alpha beta / (2 pi size)) and the errors of Stirling's formula [4]."""
    size = alpha + beta
    stirling = _stirling_error(size) - _stirling_error(alpha) - _stirling_error(beta)
    return 0.5 * np.log(alpha / size * beta / (2 * np.pi)) + stirling


def _stirling_error(x: Floats) -> Floats:
    """Give log Gamma(x) - [(x - 1/2) log x - x + log sqrt(2 pi)], to 1e-14."""
    small = np.minimum(x, STIRLING_FROM)
    exact = special.gammaln(small) - (small - 0.5) * np.log(small) + small - 0.5 * np.log(2 * np.pi)
    r = 1 / np.maximum(x, STIRLING_FROM)
    series = r * (1 / 12 - r**2 * (1 / 360 - r**2 * (1 / 1260 - r**2 * (1 / 1680 - r**2 / 1188))))
    return np.where(x < STIRLING_FROM, exact, series)


def _sums_before(rows: Floats) -> Floats:
    """Give the sum of all earlier rows, never as (running sum) - (own), which would lose a small remainder."""
    sums = np.zeros_like(rows)
    np.cumsum(rows[:-1], axis=0, out=sums[1:])
    return sums


def _sums_of_others(rows: Floats) -> Floats:
    """Give the sum of all other rows, from both ends."""
    sums = _sums_before(rows)
    sums += _sums_before(rows[::-1])[::-1]
    return sums


def _cumulative_matrix(nodes: Floats, weights: Floats) -> Floats:
    """Give M with (values @ M) = integrals of the interpolant from -1 to each node, then from each node to 1.

    The interpolant's Legendre coefficients are c_m = (2m + 1)/2 sum_j w_j P_m(x_j) f_j, and the integral of P_m from -1
    to x is (P_{m+1}(x) - P_{m-1}(x)) / (2m + 1), with P_{-1} = -1.
    """
    size = len(nodes)
    legendre_at = legendre.legvander(nodes, size)
    degree = 2 * np.arange(size) + 1
    lower = np.column_stack([-np.ones(size), legendre_at[:, : size - 1]])
    from_left = (legendre_at[:, 1:] - lower) / degree
    coefficients = (legendre_at[:, :size] * degree / 2) * weights[:, None]
    left = coefficients @ from_left.T
    return np.hstack([left, weights[:, None] - left])


_NODES, _WEIGHTS = legendre.leggauss(NODES_PER_PANEL)
_CUMULATIVE: Final = _cumulative_matrix(_NODES, _WEIGHTS)


# --- Traffic -----------------------------------------------------------------------------------------------------


def reviewed_shares(
    alpha: ArrayLike,
    beta: ArrayLike,
    exposures: ArrayLike,
    *,
    control: int,
    control_share: float,
    top_two: float | None = None,
) -> Floats:
    """Give the shares of the next epoch: Thompson's over a floor, then newcomers' and the control's part.

    This is the whole rule. The product, its outlook and the study call it, so that what is measured is what runs.
    """
    arms = np.size(alpha)
    shares = thompson_shares(alpha, beta, floor=TOTAL_FLOOR / arms, top_two=top_two)
    shares = with_newcomers(shares, exposures, minimum=FEWEST_EXPOSURES)
    return with_control_share(shares, control=control, control_share=control_share)


def thompson_shares(alpha: ArrayLike, beta: ArrayLike, *, floor: float = 0.0, top_two: float | None = None) -> Floats:
    """Give shares = probability best [1], mixed by `top_two` [2] if given, with at least `floor` for every arm.

    `top_two` in (0, 1] is the part of traffic for the best; the rest goes to whoever is best among the others. 1 is
    Thompson sampling; 0.9 finds out faster for a little more regret.
    """
    a, b = _arms(alpha, beta)
    weights = probability_best(a, b)
    if top_two is not None:
        weights = _top_two(a, b, weights, top_two)
    return _with_floor(weights, floor)


def _with_floor(weights: Floats, floor: float) -> Floats:
    """Give p = f + (1 - K f) w.

    Additive, so that above the floor shares stay in proportion to the posterior. Clipping to the floor and rescaling
    would take the difference from the middle arms and push some below the floor again.
    """
    arms = len(weights)
    if not 0 <= _real(floor) * arms <= 1:
        raise ValueError(f"floor must be between 0 and 1 / arms = {1 / arms:g}, but got {floor!r}")
    return floor + (1 - arms * floor) * weights


def _top_two(alpha: Floats, beta: Floats, best: Floats, top_two: float) -> Floats:
    """Give psi_i = p_i [b + (1 - b) sum_{j != i} p_j / (1 - p_j)].

    1 - p_j is summed from the others, and each term written as p_j times the chance p_i / (1 - p_j) <= 1 that i is best
    if j is not: nothing cancels or overflows as p_j -> 1. Once that chance is 0 / 0 in all but name, it is taken from a
    contest without j, so that the runner-up of a certain winner is still found.
    """
    if not 0 < _real(top_two) <= 1:
        raise ValueError(f"top_two must be in (0, 1], but got {top_two!r}")
    if len(best) == 1:
        return best
    others = _sums_of_others(best)
    runner_up = best / np.maximum(others, CERTAIN)[:, None]
    leader = int(np.argmax(best))
    if others[leader] < CERTAIN:
        rest = probability_best(np.delete(alpha, leader), np.delete(beta, leader))
        runner_up[leader] = np.insert(rest, leader, 0.0)
    np.fill_diagonal(runner_up, 0.0)
    mixed: Floats = top_two * best + (1 - top_two) * (best @ runner_up)
    return mixed / float(mixed.sum())


def with_newcomers(shares: ArrayLike, exposures: ArrayLike, *, minimum: float) -> Floats:
    """Raise arms with fewer than `minimum` exposures towards half an equal share; all arms pay for it in proportion.

    Per arm: one that is slow to get its visitors holds up nobody else. Newcomers take half of all traffic at the most.
    """
    given, exposed = _shares(shares), _counts("exposures", exposures)
    if exposed.shape != given.shape:
        raise ValueError(f"exposures must have one entry per arm, but has {exposed.size} for {given.size} arms")
    lacking = np.where(exposed < minimum, np.maximum(0.5 / len(given) - given, 0.0), 0.0)
    raised: Floats = given * (1 - float(lacking.sum())) + lacking
    return raised


def with_control_share(shares: ArrayLike, *, control: int, control_share: float) -> Floats:
    """Raise the control to at least `control_share` and scale the others down; a share already higher stays.

    The others keep their proportions, not a floor: apply one that still holds after scaling by 1 - control_share.
    """
    given = _shares(shares)
    _control(control, len(given))
    if not 0 <= _real(control_share) <= 1:
        raise ValueError(f"control_share must be between 0 and 1, but got {control_share!r}")
    if given[control] >= control_share:
        return given
    others = np.delete(given, control).sum()
    raised = given * ((1 - control_share) / others)
    raised[control] = control_share
    return raised


# --- Lift over the control ---------------------------------------------------------------------------------------


def lift_interval(
    alpha: ArrayLike, beta: ArrayLike, *, control: int, level: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """Give (median, low, high) of rate / control's rate - 1 per arm, equal-tailed; NaN at the control.

    Limits are within 1e-5 of the interval's width. Infinite where the ratio exceeds the range of a double, which takes
    a control with alpha well below 1 and no conversions.
    """
    a, b = _arms(alpha, beta)
    _control(control, len(a))
    tail = (1 - _level(level)) / 2
    logs = np.full((len(a), 3), np.nan)
    arms = np.arange(len(a)) != control
    probabilities = np.array([0.5, tail, 1 - tail])
    logs[arms] = _expanded_quantiles(a, b, control, special.ndtri(probabilities))[arms]
    few = np.minimum(a, b) < COUNT_FOR_EXPANSION
    rough = arms & (few | few[control])
    if rough.any():
        own, base = np.stack([a, b], axis=1)[rough], np.array([a[control], b[control]])
        logs[rough] = _exact_quantiles(own, base, probabilities, logs[rough])
    with np.errstate(over="ignore"):
        lifts = np.expm1(logs)
    return lifts[:, 0], lifts[:, 1], lifts[:, 2]


def _expanded_quantiles(alpha: Floats, beta: Floats, control: int, z: Floats) -> Floats:
    """Give quantiles of log(rate / control's rate), a column per normal quantile z, by Cornish-Fisher [3].

    log rate has the cumulants polygamma(m - 1, alpha) - polygamma(m - 1, alpha + beta), exactly.
    """
    orders = np.arange(6)[:, None]
    own = special.polygamma(orders, alpha) - special.polygamma(orders, alpha + beta)
    sign = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0])[:, None]  # of the m-th cumulant of -log(control's rate)
    mean, variance, *higher = own + sign * own[:, [control]]
    deviation = np.sqrt(variance)
    g1, g2, g3, g4 = (k[:, None] / deviation[:, None] ** m for m, k in enumerate(higher, start=3))
    he1, he2, he3, he4, he5 = z, z**2 - 1, z**3 - 3 * z, z**4 - 6 * z**2 + 3, z**5 - 10 * z**3 + 15 * z
    first = g1 * he2 / 6
    second = g2 * he3 / 24 - g1**2 * (2 * he3 + he1) / 36
    third = g3 * he4 / 120 - g1 * g2 * (he4 + he2) / 24 + g1**3 * (12 * he4 + 19 * he2) / 324
    fourth = (
        g4 * he5 / 720
        - g2**2 * (3 * he5 + 6 * he3 + 2 * he1) / 384
        - g1 * g3 * (2 * he5 + 3 * he3) / 180
        + g1**2 * g2 * (14 * he5 + 37 * he3 + 8 * he1) / 288
        - g1**4 * (252 * he5 + 832 * he3 + 227 * he1) / 7776
    )
    quantiles: Floats = mean[:, None] + deviation[:, None] * (z + first + second + third + fourth)
    return quantiles


def _exact_quantiles(own: Floats, base: Floats, probabilities: Floats, start: Floats) -> Floats:
    """Give quantiles of log(own rate / base rate): rows of `own` are (alpha, beta), columns are probabilities.

    P(own / base <= r) = integral of f_base(x) F_own(r x) dx. Wanted is a smooth F_own on the scale of f_base: integrate
    over the much narrower of the two. Of two alike, over the smaller rate, because F_own has a corner at r x = 1. The
    mirrored case is the same problem for base / own, negated.
    """
    shape = start.shape
    tops = np.repeat(own, shape[1], axis=0)
    bases = np.broadcast_to(base, tops.shape)
    wanted = np.tile(probabilities, shape[0])
    first = start.ravel()
    log_width = _log_rate_deviation(tops) / _log_rate_deviation(bases)
    alike = (log_width < MUCH_NARROWER) & (log_width > 1 / MUCH_NARROWER)
    mirror = np.where(alike, first > 0, log_width < 1)
    pairs = _Pairs(
        top=np.where(mirror[:, None], bases, tops),
        base=np.where(mirror[:, None], tops, bases),
        probability=np.where(mirror, 1 - wanted, wanted),
    )
    sign = np.where(mirror, -1.0, 1.0)
    return (sign * _bracketed_newton(pairs, sign * first)).reshape(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    """Independent problems: the given quantile of log(top rate / base rate)."""

    top: Floats  # rows (alpha, beta)
    base: Floats  # rows (alpha, beta)
    probability: Floats


def _bracketed_newton(pairs: _Pairs, start: Floats) -> Floats:
    """Solve P(log ratio <= y) = probability on the probit scale, on which it is nearly a straight line."""
    nodes, weights = _deviance_nodes(pairs.base)
    low, high = _ratio_bracket(pairs)
    tolerance = QUANTILE_TOLERANCE * np.hypot(_log_rate_deviation(pairs.top), _log_rate_deviation(pairs.base))
    target = special.ndtri(pairs.probability)
    y = np.clip(start, low, high)
    for _ in range(MOST_NEWTON_STEPS):
        score, slope = _probit_of_ratio(pairs.top, y, nodes, weights)
        miss = score - target
        low, high = np.where(miss < 0, y, low), np.where(miss > 0, y, high)
        newton = y - np.divide(miss, slope, out=np.full_like(y, np.inf), where=slope > 0)
        # Where alpha or beta sum to less than 1 the slope can be infinite: a step of 0 is then no sign of a root.
        stalled = (np.abs(newton - y) <= tolerance) & (np.abs(miss) > SCORE_TOLERANCE)
        moved = np.where((newton > low) & (newton < high) & ~stalled, newton, (low + high) / 2)
        moved = np.where(miss == 0, y, moved)
        settled = np.abs(moved - y) <= tolerance
        y = moved
        if settled.all():
            break
    return y


def _probit_of_ratio(top: Floats, y: Floats, nodes: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Give the normal score of P(log ratio <= y), and its derivative in y."""
    a, b = top[:, :1], top[:, 1:]
    log_rate = y[:, None] + nodes
    below_one = np.minimum(log_rate, -np.finfo(np.float64).tiny)
    rate = np.exp(below_one)
    probability = np.vecdot(weights, np.where(log_rate < 0, special.betainc(a, b, rate), 1.0))
    log_density = a * below_one + special.xlog1py(b - 1, -rate) - special.betaln(a, b)
    density = np.vecdot(weights, np.where(log_rate < 0, np.exp(np.minimum(log_density, 700.0)), 0.0))
    score: Floats = special.ndtri(probability.clip(1e-300, 1 - 1e-16))
    return score, density * np.sqrt(2 * np.pi) * np.exp(score**2 / 2)


def _deviance_nodes(arms: Floats) -> tuple[Floats, Floats]:
    """Give nodes (as log rates) and weights of expectations over each arm's posterior: rows are arms.

    In z, the signed root of twice the deviance, every Beta density is nearly a standard normal one, and equal steps of
    z integrate it with errors that vanish like exp(-(2 pi / step)^2 / 2): 68 nodes do for every alpha and beta.
    """
    distinct, place = np.unique(arms, axis=0, return_inverse=True)
    a, b = distinct[:, :1], distinct[:, 1:]
    deepest = np.sqrt(2 * DEVIANCE_OF_NOTHING)
    z = np.arange(DEVIANCE_STEP / 2, deepest, DEVIANCE_STEP)
    deviance = z**2 / 2
    lower, upper = _ends(a, b, deviance)
    logits = np.hstack([lower, upper])
    # dt/dz = z / (dD/dt), with dD/dt = size x - alpha.
    slope = np.abs((a + b) * special.expit(logits) - a)
    weights = np.exp(-np.tile(deviance, 2)) * np.tile(z, 2) / slope
    weights /= weights.sum(axis=1, keepdims=True)
    return special.log_expit(logits)[place], weights[place]


def _ratio_bracket(pairs: _Pairs) -> tuple[Floats, Floats]:
    top_low, top_high = (special.log_expit(end) for end in _ends(*pairs.top.T))
    base_low, base_high = (special.log_expit(end) for end in _ends(*pairs.base.T))
    return top_low - base_high, top_high - base_low


def _log_rate_deviation(arms: Floats) -> Floats:
    a, b = arms.T
    variance: Floats = special.polygamma(1, a) - special.polygamma(1, a + b)
    return np.sqrt(variance)


# --- What the arguments must be ----------------------------------------------------------------------------------


def _vector(name: str, values: ArrayLike) -> Floats:
    try:
        vector = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a number per arm, but got {values!r}") from error
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} must be a 1-D array with at least one arm, but has shape {vector.shape}")
    if not np.isfinite(vector).all():
        arm = int(np.argmin(np.isfinite(vector)))
        raise ValueError(f"{name} must be finite, but arm {arm} has {vector[arm]}")
    return vector


def _positive(name: str, values: ArrayLike) -> Floats:
    vector = _vector(name, values)
    if (vector <= 0).any():
        arm = int(np.argmax(vector <= 0))
        raise ValueError(f"{name} must be above 0, but arm {arm} has {vector[arm]}")
    return vector


def _counts(name: str, values: ArrayLike, *, like: Floats | None = None) -> Floats:
    vector = _vector(name, values)
    if (vector < 0).any():
        arm = int(np.argmax(vector < 0))
        raise ValueError(f"{name} must not be negative, but arm {arm} has {vector[arm]}")
    if like is not None and vector.shape != like.shape:
        raise ValueError(f"{name} must have one entry per arm, but has {vector.size} for {like.size} arms")
    return vector


def _arms(alpha: ArrayLike, beta: ArrayLike) -> tuple[Floats, Floats]:
    a, b = _positive("alpha", alpha), _positive("beta", beta)
    if a.shape != b.shape:
        raise ValueError(f"beta must have one entry per arm, but has {b.size} for {a.size} arms of alpha")
    return a, b


def _shares(shares: ArrayLike) -> Floats:
    given = _vector("shares", shares)
    if (given < 0).any() or not np.isclose(given.sum(), 1.0, rtol=0, atol=1e-9):
        raise ValueError(f"shares must not be negative and sum to 1, but got {given.tolist()}")
    return given


def _control(control: object, arms: int) -> None:
    if not isinstance(control, int | np.integer) or not 0 <= control < arms:
        raise ValueError(f"control must be an arm between 0 and {arms - 1}, but got {control!r}")


def _level(level: float) -> float:
    if not 0 < _real(level) < 1:
        raise ValueError(f"level must be in (0, 1), but got {level!r}")
    return level


def _prior(prior: tuple[float, float]) -> tuple[float, float]:
    try:
        alpha, beta = prior
    except (TypeError, ValueError):
        alpha = beta = np.nan
    if not (0 < _real(alpha) < np.inf and 0 < _real(beta) < np.inf):
        raise ValueError(f"prior must be two numbers above 0, but got {prior!r}")
    return alpha, beta


def _real(value: object) -> float:
    """Give NaN for what is no number: it lies in no range, so the caller's own message names argument and value."""
    return float(value) if isinstance(value, Real) else np.nan
