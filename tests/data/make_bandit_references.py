"""Turn a list of hard cases into bandit_references.json, in 30-digit arithmetic with mpmath. Takes about half an hour.

    python tests/data/make_bandit_references.py

What is shared with experiments.bandit is the integral, and logit(rate) as the variable. All else differs: arithmetic of
30 digits, log B(alpha, beta) as it stands, panels half as wide with twenty nodes, ends at exp(-50), products of
distribution functions instead of sums of logarithms, the loss as E[highest rate] - mean, and quantiles of ratios on the
union of both arms' panels. The program checks itself: every density integrates to 1, probabilities sum to 1, and two
arms with whole counts agree with Miller's closed form.
"""

import itertools
import json
import random
from bisect import bisect_right
from pathlib import Path

import mpmath as mp
from mpmath import mpf

mp.mp.dps = 30
DEVIANCE = 50
ENOUGH = mpf(10) ** -17  # what the self-checks allow


def gauss_legendre(size):
    nodes, weights = [], []
    for k in range(size, 0, -1):
        x = mp.cos(mp.pi * mpf(4 * k - 1) / (4 * size + 2))
        for _ in range(8):  # Newton from five digits
            slope = size * (x * mp.legendre(size, x) - mp.legendre(size - 1, x)) / (x * x - 1)
            x -= mp.legendre(size, x) / slope
        nodes.append(x)
        weights.append(2 / ((1 - x * x) * slope * slope))
    return nodes, weights


def legendre_integral(m, x, values):
    """Give the integral of P_m from -1 to x, with values = P_0(x), P_1(x), ..."""
    return x + 1 if m == 0 else (values[m + 1] - values[m - 1]) / (2 * m + 1)


class Rule:
    """Gauss-Legendre on panels of `width` scales, with the integrals from a panel's start to each of its nodes."""

    def __init__(self, size, width):
        self.size, self.width = size, mpf(width)
        self.x, self.w = gauss_legendre(size)
        self.p = [[mp.legendre(m, x) for x in self.x] for m in range(size + 1)]
        columns = list(zip(*self.p, strict=True))
        self.cumulative = [
            [
                mp.fsum(
                    (2 * m + 1) * self.w[j] * self.p[m][j] * legendre_integral(m, x, column) / 2 for m in range(size)
                )
                for j in range(size)
            ]
            for x, column in zip(self.x, columns, strict=True)
        ]

    def edges(self, low, arms):
        edges = [low]
        last = max(arm.high for arm in arms)
        while edges[-1] < last:
            edges.append(edges[-1] + self.width * min(arm.scale for arm in arms if arm.high > edges[-1]))
        return edges


FINE = Rule(20, "0.8")  # 25 digits
PLAIN = Rule(12, "2")  # nine digits: enough for quantiles, which need many evaluations


def log1p_exp(t):
    return mp.log1p(mp.exp(t)) if t < 0 else t + mp.log1p(mp.exp(-t))


class Arm:
    def __init__(self, alpha, beta):
        self.a, self.b = mpf(alpha), mpf(beta)
        self.log_beta = mp.loggamma(self.a) + mp.loggamma(self.b) - mp.loggamma(self.a + self.b)
        self.peak = mp.log(self.a / self.b)
        self.mean = self.a / (self.a + self.b)
        self.scale = 1 / mp.sqrt(1 + self.a * self.b / (self.a + self.b))
        self.low, self.high = self.end(-1), self.end(1)

    def log_density(self, t):
        return -self.a * log1p_exp(-t) - self.b * log1p_exp(t) - self.log_beta

    def density(self, t):
        return mp.exp(self.log_density(t))

    def end(self, sign):
        goal = self.log_density(self.peak) - DEVIANCE
        inside, outside = mpf(0), self.scale
        while self.log_density(self.peak + sign * outside) > goal:
            outside *= 2
        for _ in range(20):
            middle = (inside + outside) / 2
            if self.log_density(self.peak + sign * middle) > goal:
                inside = middle
            else:
                outside = middle
        return self.peak + sign * outside


def tabulate(arm, edges):
    """Give the density and the integral from the first edge at every node, and the integral over all."""
    density, cumulative, total = [], [], mpf(0)
    for left, right in itertools.pairwise(edges):
        half = (right - left) / 2
        if left > arm.high:
            density += [mpf(0)] * FINE.size
            cumulative += [total] * FINE.size
            continue
        values = [arm.density(left + half * (1 + x)) for x in FINE.x]
        density += values
        cumulative += [total + half * mp.fdot(row, values) for row in FINE.cumulative]
        total += half * mp.fdot(FINE.w, values)
    return density, cumulative, total


def others(factors):
    """Give the product of all other factors, for each."""
    before, after = [mpf(1)], [mpf(1)]
    for left, right in zip(factors[:-1], factors[:0:-1], strict=True):
        before.append(before[-1] * left)
        after.append(after[-1] * right)
    return [x * y for x, y in zip(before, reversed(after), strict=True)]


def contest(arms):
    low = max(arm.low for arm in arms)
    contenders = [k for k, arm in enumerate(arms) if arm.high > low]
    edges = FINE.edges(low, [arms[k] for k in contenders])
    nodes = [left + (right - left) / 2 * (1 + x) for left, right in itertools.pairwise(edges) for x in FINE.x]
    weights = [(right - left) / 2 * w for left, right in itertools.pairwise(edges) for w in FINE.w]
    tables = [tabulate(arms[k], edges) for k in contenders]
    below = [1 - total for _, _, total in tables]
    assert all(mass > -ENOUGH for mass in below)
    best = [mpf(0)] * len(arms)
    rate_at_low = 1 / (1 + mp.exp(-low))
    highest = rate_at_low
    for n, (t, w) in enumerate(zip(nodes, weights, strict=True)):
        factors = [max(mpf(0), mass + table[1][n]) for mass, table in zip(below, tables, strict=True)]
        products = others(factors)
        for k, table, product in zip(contenders, tables, products, strict=True):
            best[k] += w * table[0][n] * product
        x = 1 / (1 + mp.exp(-t))
        highest += w * x * (1 - x) * (1 - factors[0] * products[0])
    assert abs(sum(best) - 1) < ENOUGH, mp.nstr(sum(best) - 1)
    return best, [highest - arm.mean for arm in arms]


class Distribution:
    """One arm's distribution function at any logit, from panels of Legendre series."""

    def __init__(self, arm):
        self.edges = PLAIN.edges(arm.low, [arm])
        self.panels = []
        total = mpf(0)
        for left, right in zip(self.edges, self.edges[1:], strict=False):
            half = (right - left) / 2
            values = [arm.density(left + half * (1 + x)) for x in PLAIN.x]
            series = [
                (2 * m + 1) * mp.fdot(PLAIN.w, [p * v for p, v in zip(PLAIN.p[m], values, strict=True)]) / 2
                for m in range(PLAIN.size)
            ]
            self.panels.append((total, half, series))
            total += half * mp.fdot(PLAIN.w, values)
        assert abs(total - 1) < mpf(10) ** -9, mp.nstr(total - 1)

    def __call__(self, t):
        if t <= self.edges[0]:
            return mpf(0)
        if t >= self.edges[-1]:
            return mpf(1)
        k = bisect_right(self.edges, t) - 1
        total, half, series = self.panels[k]
        x = (t - self.edges[k]) / half - 1
        values = [mpf(1), x]
        for m in range(1, PLAIN.size):
            values.append(((2 * m + 1) * x * values[m] - m * values[m - 1]) / (m + 1))
        return total + half * sum(c * legendre_integral(m, x, values) for m, c in enumerate(series))


def logit_of_log_rate(u):
    return u - mp.log(-mp.expm1(u))


def log_rate(t):
    return -log1p_exp(-t)


class Ratio:
    def __init__(self, top, base):
        self.top, self.base = top, base
        self.distribution = Distribution(top)
        self.base_edges = PLAIN.edges(base.low, [base])

    def probability(self, y):
        """Give P(log(top / base) <= y) and its derivative."""
        mapped = [log_rate(edge) - y for edge in self.distribution.edges] + [-y]
        corners = [logit_of_log_rate(u) for u in mapped if u < 0]
        inner = [t for t in corners if self.base_edges[0] < t < self.base_edges[-1]]
        edges = sorted(set(self.base_edges + inner))
        value = slope = mpf(0)
        for left, right in itertools.pairwise(edges):
            half = (right - left) / 2
            for x, w in zip(PLAIN.x, PLAIN.w, strict=True):
                t = left + half * (1 + x)
                mass = half * w * self.base.density(t)
                u = log_rate(t) + y
                if u >= 0:
                    value += mass
                    continue
                s = logit_of_log_rate(u)
                value += mass * self.distribution(s)
                slope += mass * self.top.density(s) / -mp.expm1(u)  # ds / du = 1 / (1 - x)
        return value, slope

    def quantile(self, p, y):
        """Solve by Newton's method; by bisection where its step leaves the bracket or the slope is infinite."""
        low, high = log_rate(self.top.low) - log_rate(self.base.high), log_rate(self.top.high) - log_rate(self.base.low)
        y = min(max(y, low), high)
        for _ in range(200):
            value, slope = self.probability(y)
            if abs(value - p) < mpf(10) ** -10 or high - low < mpf(10) ** -10:
                return y
            low, high = (y, high) if value < p else (low, y)
            newton = y - (value - p) / slope if slope else low
            stalled = abs(newton - y) < (high - low) / 10**12
            y = newton if low < newton < high and not stalled else (low + high) / 2
        raise ArithmeticError("no convergence")


def lift(arm, control, level="0.95"):
    """Give median, low and high."""
    tail = (1 - mpf(level)) / 2
    ratio = Ratio(arm, control)
    start = mp.log(arm.mean / control.mean)
    return [mp.expm1(ratio.quantile(p, start)) for p in (mpf("0.5"), tail, 1 - tail)]


def spread(seed, arms, most):
    """Give arms with rates from 1 to 10 % and from a thousand to `most` visitors, as equally spread logarithms."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(arms):
        visitors = round(10 ** draw.uniform(3, most))
        pairs.append((1 + round(visitors * draw.uniform(0.01, 0.1)), 1 + visitors - round(visitors * 0.05)))
    return pairs


def close(seed, arms, low=4.0, high=4.6, rate=0.04):
    draw = random.Random(seed)
    pairs = []
    for _ in range(arms):
        visitors = round(10 ** draw.uniform(low, high))
        converted = round(visitors * rate * draw.gauss(1, 0.05))
        pairs.append((1 + converted, 1 + visitors - converted))
    return pairs


WITH_LIFT = {
    "no data": [(1, 1), (1, 1), (1, 1)],
    "no data, prior 0.1": [(0.1, 0.1), (0.1, 0.1)],
    "no data, prior 0.1, one visitor": [(0.1, 0.1), (0.1, 1.1), (1.1, 0.1)],
    "no data, prior 0.5": [(0.5, 0.5), (0.5, 0.5), (0.5, 3.5)],
    "one visitor": [(1, 2), (2, 1)],
    "one visitor, mirrored": [(2, 1), (1, 2)],
    "few against many": [(3, 300), (900, 90000)],
    "many against few": [(900, 90000), (3, 300)],
    "few conversions of two": [(6, 280), (9, 310)],
    "no conversions": [(1, 101), (1, 1001), (1, 51)],
    "all convert": [(101, 1), (51, 1), (1001, 1)],
    "all against none": [(101, 1), (1, 101)],
    "none against all": [(1, 101), (101, 1)],
    "few conversions": [(3, 300), (6, 280), (9, 310), (2, 40)],
    "usual two": [(401, 9601), (441, 9561)],
    "usual ten": close(1, 10),
    "near identical": [(40001, 960001), (40002, 960000), (40001, 960002)],
    "identical": [(41, 961), (41, 961), (41, 961), (41, 961)],
    "new arm beside ten million": [(400001, 9600001), (1, 1)],
    "ten million beside a new arm": [(1, 1), (400001, 9600001)],
    "ten million beside a hundred": [(400001, 9600001), (5, 97)],
    "ten million each": [(400001, 9600001), (400501, 9599501), (399001, 9601001)],
    "ten million at half": [(5000001, 5000001), (5001001, 4999001)],
    "ten million nearly all": [(9999991, 11), (9999981, 21)],
    "parts per million": [(11, 9999991), (16, 9999986), (6, 4999996)],
    "parts per million, prior 0.1": [(3.1, 9999997.1), (0.1, 1000000.1)],
    "small counts": [(2, 3), (4, 2), (3, 5), (1, 4)],
    "at the expansion's edge": [(20, 500), (25, 480), (21, 20)],
    "expansion with few failures": [(500, 20), (480, 25)],
    "different sizes": [(40001, 960001), (45, 957)],
    "certain": [(201, 9801), (401, 9601)],
}

WITHOUT_LIFT = {
    "one arm": [(3, 7)],
    "ten, one new": [*close(2, 9), (1, 1)],
    "ten, sizes from ten to ten million": [
        (1 + round(0.04 * 10 ** (1 + k * 0.6667)), 1 + round(0.96 * 10 ** (1 + k * 0.6667))) for k in range(10)
    ],
    "hundred close": close(3, 100),
    "hundred spread": spread(4, 100, 6),
    "hundred, sizes from one to ten million": close(5, 100, 0, 7),
    "hundred, prior 0.1, no conversions": [(0.1, 50.1 + 5 * k) for k in range(100)],
    "hundred and one with 100 000 times the data": [(400001, 9600001), *[(1 + k % 9, 101) for k in range(99)]],
    "hundred nearly all convert": [(1000 + 10 * k, 1 + k % 5) for k in range(100)],
    "three hundred spread": spread(6, 300, 6),
    "five hundred close": close(7, 500),
    "thousand spread": spread(8, 1000, 6),
    "thousand close": close(9, 1000),
    "hundred with ten visitors": [(1 + k % 4, 11 - k % 4 + 0.01 * k) for k in range(100)],
}


def miller(a1, b1, a2, b2):
    """Give P(second > first) for whole counts, exactly (E. Miller 2014)."""
    return mp.fsum(mp.beta(a1 + i, b1 + b2) / ((b2 + i) * mp.beta(1 + i, b2) * mp.beta(a1, b1)) for i in range(a2))


def check():
    for first, second in (((3, 5), (4, 6)), ((41, 961), (52, 950)), ((1, 11), (101, 30001)), ((501, 3), (450, 9))):
        best, _ = contest([Arm(*first), Arm(*second)])
        assert abs(best[1] - miller(*first, *second)) < ENOUGH


def as_floats(values):
    return [float(value) for value in values]


def reference(name, pairs, *, with_lift):
    arms = [Arm(*pair) for pair in pairs]
    best, loss = contest(arms)
    row = {
        "name": name,
        "alpha": [pair[0] for pair in pairs],
        "beta": [pair[1] for pair in pairs],
        "probability_best": as_floats(best),
        "expected_loss": as_floats(loss),
    }
    if with_lift:
        row["lift_of_arm_1"] = as_floats(lift(arms[1], arms[0]))
    return row


def main():
    check()
    rows = [reference(name, pairs, with_lift=True) for name, pairs in WITH_LIFT.items()]
    rows += [reference(name, pairs, with_lift=False) for name, pairs in WITHOUT_LIFT.items()]
    text = ",\n".join(json.dumps(row) for row in rows)
    Path(__file__).with_name("bandit_references.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
