"""Turn a verdict into one plain sentence, or two: what is known and what to do about it.

A page is called best here in one state only, `decided`; in every other the words leave it open.
"""

from collections.abc import Sequence

from experiments.inference import Verdict, VerdictState
from experiments.models import Experiment, Goal
from experiments.reporting import wording
from experiments.reporting.values import ArmReport, FigureReport, ProofReport, VerdictReport

CONTROL = "today's page"
FEWEST_ARMS = 2  # to compare
LOOKS_BEST = 0.95  # probability from which a lead is called more than a lead

_ALONE = "Only today's page is live, so there is nothing to compare it with. Approve more pages to start learning."
_TRY_BOLDER = "Keep today's page, or try bolder ideas."
_CANNOT_BE_TRUSTED = (
    "These numbers cannot be trusted: visitors were not split between the pages as planned, so a page may look better "
    "only because of who was sent to it. Promote nothing. Shares stand still until somebody has looked for a "
    "redirect, a cache or robots in front of the pages, and has set these numbers aside in the console."
)

_COUNTED = {Goal.Kind.FORM: "leads", Goal.Kind.CLICK: "clicks", Goal.Kind.REVENUE: "money"}

Status = Experiment.Status


def sentence(
    experiment: Experiment, arms: Sequence[ArmReport], judged: Verdict | None, proofs: Sequence[ProofReport] = ()
) -> VerdictReport:
    """Say what the counts mean and what to do. `arms` are in the order `judged` was computed in."""
    state = judged.state if judged and experiment.status != Status.DRAFT else VerdictState.COLLECTING
    result = next((proof for proof in proofs if proof.is_reported), None)
    return VerdictReport(
        state=state.value,
        text=_promoted(result) if result is not None else _text(experiment, arms, judged),
        better_than_control=judged is not None and judged.leader is not None and arms[judged.leader].is_better,
        best_of_all=state == VerdictState.DECIDED,
        figure=_figure(experiment, arms, judged, result),
    )


def _figure(
    experiment: Experiment, arms: Sequence[ArmReport], judged: Verdict | None, result: ProofReport | None
) -> FigureReport | None:
    """Return the lift of what everybody sees now as its proof round found it, else of the page in front."""
    found = result
    if found is None:
        ahead = None if judged is None or judged.leader is None else arms[judged.leader]
        if ahead is None or ahead.is_control or experiment.status == Status.DRAFT:
            return None
        return _figure_of(experiment, ahead.key, ahead.lift, ahead.lift_interval)
    return _figure_of(experiment, found.arm, found.lift, found.lift_interval)


def _figure_of(
    experiment: Experiment, arm: str, lift: float | None, interval: tuple[float, float] | None
) -> FigureReport | None:
    if lift is None or interval is None:
        return None
    return FigureReport(arm=arm, lift=lift, lift_interval=interval, what=_what_counts(experiment))


def _what_counts(experiment: Experiment) -> str:
    goals = list(experiment.goals.all())
    if any(goal.weight for goal in goals):
        return "goals reached per visitor, by their weights"
    kind = next((goal.kind for goal in goals if goal.is_primary), None)
    return f"{_COUNTED.get(Goal.Kind(kind), 'conversions') if kind else 'conversions'} per visitor"


def _promoted(proof: ProofReport) -> str:
    """Tell the result of a page that everybody sees: the lift of its proof round, which nobody chose for being high."""
    visitors = wording.count_of(sum(proof.exposures), "visitor")
    lift = f"{wording.lift(proof.lift, proof.lift_interval)} ({wording.lift_interval(proof.lift_interval)})"
    rest = "" if proof.is_proved else ", likely but not proved"
    return (
        f"Everybody sees “{proof.name}” now. In its proof round, {visitors} counted from zero, it turned out {lift} "
        f"against today's page{rest if proof.lift and proof.lift > 0 else ''}. This is the lift to report."
    )


def _text(experiment: Experiment, arms: Sequence[ArmReport], judged: Verdict | None) -> str:
    if experiment.status == Status.DRAFT:
        return "Not started yet: nobody has seen these pages."
    if judged is None:
        return _nothing_yet(experiment)
    if judged.leader is None:
        return _without_leader(experiment, arms, judged)
    ahead, control = arms[judged.leader], next(arm for arm in arms if arm.is_control)
    if judged.state == VerdictState.DECIDED:
        return _decided(experiment, arms, ahead, control)
    if judged.state == VerdictState.NO_DIFFERENCE:
        return _no_difference(experiment, ahead, control)
    return _leaning(experiment, arms, ahead, control)


def _nothing_yet(experiment: Experiment) -> str:
    if experiment.status == Status.RUNNING:
        return "Running, and waiting for the first visitors."
    return "Nobody was counted while this experiment ran, so it says nothing about its pages."


def _without_leader(experiment: Experiment, arms: Sequence[ArmReport], judged: Verdict) -> str:
    if judged.state == VerdictState.CANNOT_BE_TRUSTED:
        return _CANNOT_BE_TRUSTED
    if len(arms) < FEWEST_ARMS:
        return _ALONE
    visitors = wording.count_of(sum(arm.exposures for arm in arms), "visitor")
    conversions = wording.count_of(sum(arm.conversions for arm in arms), "conversion")
    if lacking := _lacking(arms, judged):
        return f"{visitors} and {conversions} so far. {_lacking_words(experiment, *lacking)}"
    if _is_over(experiment):
        return (
            f"It ended before the pages could be told apart: {visitors} and {conversions} are too few. "
            f"{_closing(experiment, None, 'Start a new one, with fewer pages or more visitors.')}"
        )
    return f"{visitors} and {conversions} so far are too few to say which page is better. {_keep_going(experiment)}"


def _lacking(arms: Sequence[ArmReport], judged: Verdict) -> tuple[ArmReport, int] | None:
    """Return the page that has had too few visitors to be judged, and how many it needs; None where none has."""
    if not judged.exposures_missing:
        return None
    leader = max(arms, key=lambda arm: arm.probability_best or 0.0)
    control = next(arm for arm in arms if arm.is_control)
    fewest = min(control, leader, key=lambda arm: arm.exposures)
    return fewest, fewest.exposures + round(judged.exposures_missing)


def _lacking_words(experiment: Experiment, arm: ArmReport, needed: int) -> str:
    who = CONTROL if arm.is_control else _name(arm)
    has = wording.count_of(arm.exposures, "visitor")
    if _is_over(experiment):
        advice = _closing(experiment, None, "Start a new one, with fewer pages or more visitors.")
        return f"It ended too early: {who} had {has}; {needed:,} are needed to compare pages. {advice}"
    lacks = f"{who[:1].upper()}{who[1:]} has had {has}; {needed:,} are needed before this says more."
    return f"{lacks} {_keep_going(experiment)}"


def _leaning(experiment: Experiment, arms: Sequence[ArmReport], ahead: ArmReport, control: ArmReport) -> str:
    who = "Today's page" if ahead.is_control else _name(ahead)
    against = (
        _against_challenger(experiment, arms) if ahead.is_control else f"{CONTROL} {_short_rate(experiment, control)}"
    )
    rates = f"{_rate(experiment, ahead)}, {against}"
    if ahead.is_better:
        return _better(experiment, ahead, rates)
    return f"{who} {_how_far_ahead(ahead)}: {rates}.{_possible_gain(ahead)} {_keep_going(experiment)}"


def _better(experiment: Experiment, ahead: ArmReport, rates: str) -> str:
    """Keep two claims apart: better than today's page, which is sure, and best of all pages, which is not."""
    chance = wording.chance(ahead.probability_best)
    best = (
        f"Whether it is the best of all pages is not sure yet ({chance})."
        if not looks_best(ahead)
        else f"It looks best of all pages, too ({chance}), though that is not sure yet."
    )
    gain = _possible_gain(ahead) if ahead.lift_interval is not None and ahead.lift_interval[0] > 0 else ""
    return f"{_name(ahead)} is surely better than today's page: {rates}.{gain} {best} {_go_on(experiment, ahead)}"


def _go_on(experiment: Experiment, better: ArmReport) -> str:
    if experiment.status == Status.RUNNING and experiment.proof_arm_id is None:
        rest = "." if looks_best(better) else "; let it run to find a still better one."
        return f"Showing it to everybody would be a gain already{rest}"
    if _is_over(experiment):
        return _closing(experiment, better, "Showing it to everybody is a gain.")
    return _keep_going(experiment)


def looks_best(arm: ArmReport) -> bool:
    """Tell whether a page's lead is more than a lead, though it need not be evidence."""
    return (arm.probability_best or 0.0) >= LOOKS_BEST


def _how_far_ahead(ahead: ArmReport) -> str:
    chance = wording.chance(ahead.probability_best)
    if not looks_best(ahead):
        return f"is ahead, but whether it is the best page is not sure yet ({chance})"
    # The chance alone reaches 95% in many experiments whose pages are all equal, when one looks every hour.
    return f"looks best ({chance}), but the evidence is not yet strong enough to rely on"


def _possible_gain(ahead: ArmReport) -> str:
    if ahead.lift_interval is not None and ahead.lift_interval[0] > 0:
        return _range(ahead, "The gain over today's page is probably between {low} and {high}.")
    return _range(ahead, "The true difference may be anything from {low} to {high}.")


def _decided(experiment: Experiment, arms: Sequence[ArmReport], best: ArmReport, control: ArmReport) -> str:
    chance = wording.chance(best.probability_best)
    if best.is_control:
        rates = f"{_rate(experiment, best)}, {_against_challenger(experiment, arms)}"
        return f"Today's page is very likely best ({chance}): {rates}. {_closing(experiment, best, 'Keep it.')}"
    return (
        f"{_name(best)} is very likely best ({chance}): {_comparison(experiment, best, control)}."
        f"{_range(best, 'Expect {low} to {high}.')} {_closing(experiment, best, 'Safe to promote.')}"
    )


def _no_difference(experiment: Experiment, ahead: ArmReport, control: ArmReport) -> str:
    if ahead.is_control:
        compared = _rate(experiment, control)
    else:
        compared = f"{_name(ahead)} is nearest, {_comparison(experiment, ahead, control)}"
    return f"No page is noticeably better than today's: {compared}. {_closing(experiment, control, _TRY_BOLDER)}"


def _comparison(experiment: Experiment, arm: ArmReport, control: ArmReport) -> str:
    return f"{_rate(experiment, arm)}, {CONTROL} {_short_rate(experiment, control)}"


def _against_challenger(experiment: Experiment, arms: Sequence[ArmReport]) -> str:
    """Return the rate of the control's strongest rival."""
    challenger = max((arm for arm in arms if not arm.is_control), key=lambda arm: arm.probability_best or 0.0)
    return f"{_name(challenger)} {_short_rate(experiment, challenger)}"


def _rate(experiment: Experiment, arm: ArmReport) -> str:
    goal, rate = _primary(experiment), _short_rate(experiment, arm)
    if goal is None or goal.kind == Goal.Kind.FORM:
        return f"it turns {rate} of visitors into leads"
    if goal.kind == Goal.Kind.CLICK:
        return f"{rate} of its visitors click"
    if goal.kind == Goal.Kind.REVENUE:
        return f"it brings {rate} per visitor"
    return f"{rate} of its visitors reach the goal {goal.key}"


def _short_rate(experiment: Experiment, arm: ArmReport) -> str:
    """Return what pages are compared by: the rate, or where money decides, what a visitor brings."""
    goal = _primary(experiment)
    if goal is not None and goal.kind == Goal.Kind.REVENUE and arm.exposures:
        return wording.money(arm.value / arm.exposures, experiment.currency)
    return wording.rate(arm.rate, arm.rate_interval)


def _primary(experiment: Experiment) -> Goal | None:
    return next((goal for goal in experiment.goals.all() if goal.is_primary), None)


def _range(arm: ArmReport, words: str) -> str:
    """Put the corrected lift's interval into `words`; nothing where it is not known."""
    if arm.lift_interval is None:
        return ""
    low, high = (wording.lift(end, arm.lift_interval) for end in arm.lift_interval)
    return f" {words.format(low=low, high=high)}"


def _keep_going(experiment: Experiment) -> str:
    if experiment.status == Status.PAUSED:
        return "It is paused: resume it to learn more."
    if experiment.status == Status.RUNNING and experiment.proof_arm_id is not None:
        return "A proof round is running: wait for what it says."
    if _is_over(experiment):
        return "It has ended: treat this as a hint, not as a result."
    return "Let it run."


def _closing(experiment: Experiment, arm: ArmReport | None, advice: str) -> str:
    """Say what to do, or, once somebody has promoted a page, what was done."""
    if experiment.status == Status.RUNNING and experiment.proof_arm_id is not None:
        return _keep_going(experiment)
    if experiment.status != Status.PROMOTED or experiment.winner is None:
        return advice
    promoted = experiment.winner
    if arm is not None and promoted.key == arm.key:
        return "Everybody sees it now."
    return f"Everybody now sees “{promoted.variant.name}”."


def _is_over(experiment: Experiment) -> bool:
    return experiment.status in {Status.FINISHED, Status.PROMOTED}


def _name(arm: ArmReport) -> str:
    return f"“{arm.name}”"
