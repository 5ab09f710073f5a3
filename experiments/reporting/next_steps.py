"""Turn a verdict into its parts for whoever reads on: what to do, how sure it is, what is unknown, how long still.

Each is a sentence or two that stands alone. What takes how long is said at today's traffic: that of the last day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from experiments.evidence import Evidence
from experiments.inference import Verdict, VerdictState
from experiments.models import Experiment
from experiments.reporting import wording
from experiments.reporting.sentences import looks_best
from experiments.reporting.values import ArmReport, OutlookReport, ProofReport, VerdictReport

Status = Experiment.Status
DAY = timedelta(days=1)
LEAST_AGE = timedelta(hours=1)  # before there is a traffic to speak of
FAR = 365  # days: beyond, nobody plans

_STRONG = "The evidence holds however often one looks."
_BY_LUCK = "Who looks often enough sees that much by luck alone, so it is not enough to rely on yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the parts are made of."""

    experiment: Experiment
    arms: Sequence[ArmReport]
    judged: Verdict | None
    verdict: VerdictReport
    proofs: Sequence[ProofReport]
    outlook: OutlookReport | None
    visitors_per_day: float | None

    @property
    def ahead(self) -> ArmReport | None:
        return None if self.judged is None or self.judged.leader is None else self.arms[self.judged.leader]

    @property
    def is_running(self) -> bool:
        return self.experiment.status == Status.RUNNING


def visitors_per_day(experiment: Experiment, known: Evidence, now: datetime) -> float | None:
    """Return today's traffic; None while the experiment is too young, or does not run."""
    if experiment.status != Status.RUNNING or experiment.started_at is None or now - experiment.started_at < LEAST_AGE:
        return None
    since = max(experiment.started_at, now - DAY)
    # Strata are cut at full hours: the first one counts whole, and so does the stretch it began in.
    start = since.replace(minute=0, second=0, microsecond=0)
    lately = [hour >= start.timestamp() for _, hour in known.strata]
    return float(known.exposures[lately].sum()) / ((now - start) / DAY)


def with_parts(known: Known) -> VerdictReport:
    """Return the verdict with its parts."""
    if known.experiment.status == Status.DRAFT:
        return replace(known.verdict, action="Start it once its pages are approved.")
    reported = next((proof for proof in known.proofs if proof.is_reported), None)
    if reported is not None:
        return replace(known.verdict, action="Nothing: everybody sees the page already.", sure=_proved(reported))
    action, sure, unknown, when = _PARTS[VerdictState(known.verdict.state)](known)
    return replace(known.verdict, action=_in_status(known, action), sure=sure, unknown=unknown, when=when)


type Parts = tuple[str, str, str, str]  # action, sure, unknown, when


def _collecting(known: Known) -> Parts:
    if len(known.arms) == 1:
        return "Approve more pages.", "", "How any other page does.", ""
    if not sum(arm.exposures for arm in known.arms):
        return "Nothing: the first visitors will show here.", "", "Everything.", _traffic(known)
    return "Let it run.", "Not at all yet: there are too few visitors.", "Which page is better.", _until_enough(known)


def _leaning(known: Known) -> Parts:
    ahead = known.ahead
    if ahead is None:
        return _collecting(known)
    best = wording.chance(ahead.probability_best)
    if ahead.is_better:
        wait = "" if looks_best(ahead) else ", or let it run to find a still better page"
        return (
            f"Show “{ahead.name}” to everybody now{wait}.",
            f"That it is better than today's page is sure. {_STRONG} That it is the best of all: {best}.",
            f"How large the gain is: {wording.lift_interval(ahead.lift_interval)}.",
            _until_best(known),
        )
    who = "today's page" if ahead.is_control else f"“{ahead.name}”"
    doubt = _BY_LUCK if looks_best(ahead) else "That is not enough to rely on."
    return "Let it run.", f"The chance that {who} is best: {best}. {doubt}", _unknown(ahead), _outlook(known)


def _unknown(ahead: ArmReport) -> str:
    if ahead.is_control:
        return "Whether any page is better than today's."
    reach = wording.lift_interval(ahead.lift_interval)
    if ahead.lift_interval is not None and ahead.lift_interval[0] > 0:
        return f"Whether it stays ahead of today's page: {reach} so far."
    return f"Whether it is better than today's page at all: {reach}."


def _decided(known: Known) -> Parts:
    ahead = known.ahead
    if ahead is None:
        return _collecting(known)
    sure = f"{wording.chance(ahead.probability_best)} that it is the best page. {_STRONG}"
    if ahead.is_control:
        return "Keep today's page.", sure, "What a page would have to say to beat it.", "It is known now."
    unknown = f"How large the gain is: {wording.lift_interval(ahead.lift_interval)}."
    return f"Promote “{ahead.name}”.", sure, unknown, "It is known now; a proof round would tell the gain itself."


def _no_difference(_known: Known) -> Parts:
    return (
        "Keep today's page, or try bolder ideas.",
        "Keeping it costs less than half a percent of its conversions, on average.",
        "Differences too small to be worth the wait.",
        "It is known now: more visitors would hardly change what to do.",
    )


def _cannot_be_trusted(_known: Known) -> Parts:
    return (
        "Promote nothing. Have somebody look for a redirect, a cache or robots in front of the pages, and then set "
        "these numbers aside in the console.",
        "Not at all: visitors did not arrive as they were sent, and chance does not explain it.",
        "Which page is better.",
        "It cannot be said until the cause is found. Counting then begins anew.",
    )


_PARTS = {
    VerdictState.COLLECTING: _collecting,
    VerdictState.LEANING: _leaning,
    VerdictState.DECIDED: _decided,
    VerdictState.NO_DIFFERENCE: _no_difference,
    VerdictState.CANNOT_BE_TRUSTED: _cannot_be_trusted,
}


def _in_status(known: Known, action: str) -> str:
    """Return what to do in the experiment's status: nobody can let run what is paused or over."""
    status, state = known.experiment.status, VerdictState(known.verdict.state)
    if state == VerdictState.CANNOT_BE_TRUSTED:
        return action
    if status == Status.PROMOTED:
        return "Nothing: everybody sees the page that was chosen."
    if known.is_running and known.experiment.proof_arm_id is not None:
        return "Wait for what the proof round says."
    if action.startswith("Let it run"):
        return "Resume it to learn more." if status == Status.PAUSED else _over(status, action)
    return action


def _over(status: str, action: str) -> str:
    return "Start a new one, with fewer pages or more visitors." if status == Status.FINISHED else action


def _proved(proof: ProofReport) -> str:
    return f"It is proved. {_STRONG}" if proof.is_proved else "It is likely, but not proved."


# --- How long ----------------------------------------------------------------------------------------------------


def _outlook(known: Known) -> str:
    if not known.is_running:
        return "" if known.experiment.status == Status.PAUSED else "It has ended: nothing more will be known."
    if known.outlook is not None:
        return f"{known.outlook.text} {_traffic(known)}".strip()
    return f"It is too early to say. {_traffic(known)}".strip()


def _until_best(known: Known) -> str:
    """Say when it is known whether what is better than today's page is the best of all, too."""
    if known.is_running and known.outlook is None:
        known_now = "That it is better is known now; when it is surely the best, cannot be said yet."
        return f"{known_now} {_traffic(known)}".strip()
    return _outlook(known)


def _until_enough(known: Known) -> str:
    """Say when the pages that are compared will have had the visitors they need."""
    if not known.is_running:
        return _outlook(known)
    missing = known.judged.exposures_missing if known.judged else 0.0
    if not missing or not known.visitors_per_day:
        return _outlook(known)
    leader = max(known.arms, key=lambda arm: arm.probability_best or 0.0)
    fewest = min((arm for arm in known.arms if arm.is_control or arm is leader), key=lambda arm: arm.exposures)
    if not fewest.share:
        return _traffic(known)
    days = missing / (known.visitors_per_day * fewest.share)
    if days > FAR:
        return f"More than a year at today's traffic. {_traffic(known)}"
    return f"About {_days(days)} until pages can be compared. {_traffic(known)}"


def _days(days: float) -> str:
    if days < 1:
        return wording.count_of(max(round(days * 24), 1), "hour")
    return wording.count_of(round(days), "day")


def _traffic(known: Known) -> str:
    if known.visitors_per_day is None:
        return ""
    if round(known.visitors_per_day) == 0:
        return "Nobody came within the last day."
    return f"Today's traffic is {wording.count_of(round(known.visitors_per_day), 'visitor')} a day."
