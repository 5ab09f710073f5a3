"""Report the goals that do not decide: what the page in front does to them, beside today's page."""

from collections.abc import Sequence

import numpy as np

from experiments import bandit, inference, stratified
from experiments.evidence import Evidence, Floats
from experiments.models import EpochCount, Experiment, Goal
from experiments.reporting import wording
from experiments.reporting.values import ArmReport, GoalReport, ReachReport
from experiments.reporting.why import FEWEST_CONVERSIONS, FEWEST_VISITORS, LEVEL, compared_page

RISES, FALLS = "rises", "falls"


def goals(experiment: Experiment, known: Evidence, arms: Sequence[ArmReport]) -> list[GoalReport]:
    """Return the goals beside the one that decides, in the order of their keys; none where no page can be compared."""
    page, today = compared_page(arms), next((arm for arm in arms if arm.is_control and arm.exposures), None)
    decide = {goal.key for goal in experiment.goals.all() if goal.is_primary or goal.weight}
    beside = sorted((goal for goal in experiment.goals.all() if goal.key not in decide), key=lambda goal: goal.key)
    if page is None or today is None or not beside:
        return []
    column_of = {arm.key: place for place, arm in enumerate(known.arms)}
    pair = [column_of[page.key], column_of[today.key]]
    reached = _reached(known, pair, [goal.key for goal in beside])
    threshold = inference.winner_threshold(len(arms))  # the page in front was chosen from all
    return [_goal(goal, (page, today), known.exposures[:, pair], reached[goal.key], threshold) for goal in beside]


def _reached(known: Evidence, pair: Sequence[int], keys: Sequence[str]) -> dict[str, Floats]:
    """Return by goal what was counted, as (strata, the two pages)."""
    row_of = {stratum: place for place, stratum in enumerate(known.strata)}
    column_of = {known.arms[place].pk: column for column, place in enumerate(pair)}
    rows = EpochCount.objects.filter(arm__in=column_of, measure__in=keys)
    found = {key: np.zeros((len(known.strata), len(pair))) for key in keys}
    for arm, epoch, hour, key, number in rows.values_list("arm_id", "epoch", "hour", "measure", "count"):
        row = row_of.get((epoch, int(hour.timestamp())))
        if row is not None:  # else of an epoch that was set aside, or counted since `known` was read
            found[key][row, column_of[arm]] = number
    return found


def _goal(
    goal: Goal, pair: tuple[ArmReport, ArmReport], shown: Floats, reached: Floats, threshold: float
) -> GoalReport:
    reached = np.minimum(reached, shown)  # as the evidence: a conversion can be counted before its exposure
    ours, theirs = (_reach(arm, shown[:, column], reached[:, column]) for column, arm in enumerate(pair))
    both = (shown > 0).all(axis=1)  # elsewhere there is nothing to compare with
    is_thin = any(
        shown[both, column].sum() < FEWEST_VISITORS or reached[both, column].sum() < FEWEST_CONVERSIONS
        for column in (0, 1)
    )
    counts = np.column_stack([shown[:, 0], reached[:, 0], shown[:, 1], reached[:, 1]])
    lift, low, high = (None, None, None) if is_thin else stratified.mantel_haenszel(counts)
    interval = None if low is None or high is None else (low, high)
    turn = "" if interval is None else _turn(shown, reached, threshold)
    should_not_rise = goal.guard == Goal.Guard.RISE
    return GoalReport(
        goal=goal.key,
        does=goal.does,
        page=ours,
        today=theirs,
        lift=lift,
        lift_interval=interval,
        should_not_rise=should_not_rise,
        is_worse=turn == (RISES if should_not_rise else FALLS) and not _earns_more(goal, *pair),
        text=_text(pair[0].name, goal, turn, (lift, interval)),
    )


def _reach(arm: ArmReport, shown: Floats, reached: Floats) -> ReachReport:
    visitors, number = float(shown.sum()), float(reached.sum())
    low, high = bandit.credible_interval(*bandit.posterior([visitors], [number]), level=LEVEL)
    return ReachReport(
        arm=arm.key,
        name=arm.name,
        exposures=int(visitors),
        reached=int(number),
        rate=number / visitors if visitors else None,
        rate_interval=(float(low[0]) if number else 0.0, float(high[0])) if visitors else None,
    )


def _turn(shown: Floats, reached: Floats, threshold: float) -> str:
    """Say where a goal went, by the evidence that guardrails go by: it holds however often one looks."""
    if inference.evidence_for(0, shown, reached)[1] > threshold:
        return RISES
    # Being chosen for what it wins makes a page look better in other goals as well, never worse: one page's threshold.
    return FALLS if inference.evidence_against(0, shown, reached)[1] > inference.winner_threshold(1) else ""


def _earns_more(goal: Goal, page: ArmReport, today: ArmReport) -> bool:
    """Whether fewer buyers left more money per visitor: nobody is warned of that."""
    ours, theirs = (arm.goal_values.get(goal.key, 0.0) / arm.exposures for arm in (page, today))
    return ours > theirs


def _text(name: str, goal: Goal, turn: str, change: tuple[float | None, tuple[float, float] | None]) -> str:
    lift, interval = change
    if lift is None or interval is None:
        return "Too few visitors so far to compare the two pages in it."
    if not turn:
        return "No sure difference between the two pages yet."
    words = {RISES: "more often", FALLS: "less often"}[turn]
    rest = " Money is not compared here." if goal.kind == Goal.Kind.REVENUE else ""
    return (
        f"on “{name}” it is very probably reached {words} than on today's page: {wording.lift(lift, interval)} "
        f"({wording.lift_interval(interval)}).{rest}"
    )
