"""Turn counts and the model's ledger into money: what a visitor is worth, and what an extra conversion cost."""

import math

from scipy import special

from experiments.evidence import Evidence
from experiments.models import Arm, Experiment, Goal
from experiments.reporting import gained, wording
from experiments.reporting.values import MoneyReport, ValueReport
from variants import ledger
from variants.models import MICRO_USD

LEVEL = 0.95
NOT_TRUSTED = "How many extra conversions there are cannot be said of numbers that cannot be trusted."
FEWEST_ORDERS = 10  # of a page, before the spread of its orders' values says anything


def money(experiment: Experiment, known: Evidence, *, is_trusted: bool) -> MoneyReport:
    """Report what is known of money."""
    spent = float(ledger.spent(experiment.nursery_id) / MICRO_USD)
    extra, interval = _extra(known) if is_trusted else (None, None)
    is_told = extra is not None and interval is not None and interval[0] > 0
    cost = spent / extra if is_told and extra else None
    reach = (spent / interval[1], spent / interval[0]) if is_told and interval else None
    return MoneyReport(
        currency=experiment.currency,
        values=_values(known) if _is_of_revenue(experiment) else [],
        model_usd=spent,
        extra=extra,
        extra_interval=interval,
        usd_per_extra=cost,
        usd_per_extra_interval=reach,
        text=_text(spent, extra, interval, cost, reach) if is_trusted else NOT_TRUSTED,
    )


def _is_of_revenue(experiment: Experiment) -> bool:
    return any(goal.is_primary and goal.kind == Goal.Kind.REVENUE for goal in experiment.goals.all())


def _extra(known: Evidence) -> tuple[float | None, tuple[float, float] | None]:
    """Return the conversions above what today's page alone would have brought; None while it is too early to say."""
    told = gained.with_known_shares(known)
    if len(told.arms) < gained.FEWEST_ARMS or told.conversions.sum() < gained.FEWEST_CONVERSIONS:
        return None, None
    if told.conversions[:, told.control].sum() < gained.FEWEST_CONVERSIONS:
        return None, None
    found = gained.imagine(told, gained.control_alone(told))
    middle, margin = float(found.earned[-1] - found.instead[-1]), float(found.margin[-1])
    return middle, (middle - margin, middle + margin)


def _values(known: Evidence) -> list[ValueReport]:
    shown, orders = known.total_exposures, known.total_conversions
    sums, squares = known.values.sum(axis=0), known.value_squares.sum(axis=0)
    return [
        _value(arm, float(shown[k]), float(orders[k]), float(sums[k]), float(squares[k]))
        for k, arm in enumerate(known.arms)
        if shown[k]
    ]


def _value(arm: Arm, shown: float, orders: float, total: float, squares: float) -> ValueReport:
    mean = total / shown
    deviation = math.sqrt(max(squares / shown - mean**2, 0.0) / shown)
    margin = -float(special.ndtri((1 - LEVEL) / 2)) * deviation
    return ValueReport(
        arm=arm.key,
        name=arm.variant.name,
        value=total,
        per_visitor=mean,
        interval=(max(mean - margin, 0.0), mean + margin) if orders >= FEWEST_ORDERS else None,
        per_order=total / orders if orders else None,
    )


def _text(
    spent: float,
    extra: float | None,
    interval: tuple[float, float] | None,
    cost: float | None,
    reach: tuple[float, float] | None,
) -> str:
    if extra is None or interval is None:
        return "It is too early to say how many extra conversions there are."
    low, high = (round(end) for end in interval)
    if cost is None or reach is None:
        return (
            f"It is too early to say what an extra conversion costs: there may be anything from {_signed(low)} to "
            f"{_signed(high)} more conversions than today's page alone would have brought."
        )
    start = f"About {round(extra):,} conversions more than today's page alone would have brought ({low:,} to {high:,})."
    if not spent:
        return f"{start} Writing the pages cost nothing."
    if reach[1] < wording.CENT:
        return f"{start} Writing the pages cost less than a cent for each of them."
    least, most = (wording.usd(end) for end in reach)
    return f"{start} Writing the pages cost {wording.usd(cost)} for each of them ({least} to {most})."


def _signed(number: int) -> str:
    return f"{number:,}".replace("-", wording.MINUS)
