"""Turn a report into what its page shows: every number already in words, every chart drawn.

Templates only place what is here, so that the page, its tests and the JSON cannot drift apart.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from experiments.reporting import wording
from experiments.reporting.bars import rate_bar, rate_scale
from experiments.reporting.charts import all_charts
from experiments.reporting.family import Family, family_of
from experiments.reporting.paper import Chart
from experiments.reporting.sections import (
    EffectTable,
    GoalRow,
    Health,
    Money,
    goal_rows,
    health_of,
    money_of,
    segment_tables,
    slot_tables,
)
from experiments.reporting.sentences import looks_best
from experiments.reporting.values import LEFT, ArmReport, ProofReport, Report

REFRESH_SECONDS = 5
REFRESH_AFTER_THE_END_SECONDS = 60  # late conversions still come in

HEADLINES = {
    "collecting": "Too early to say",
    "leaning": "Not sure yet",
    "decided": "There is a winner",
    "no_difference": "No page is noticeably better",
    "cannot_be_trusted": "Do not act on these numbers",
}
STATUSES = {
    "draft": "Draft", "running": "Running", "paused": "Paused", "finished": "Finished", "promoted": "Promoted",
}  # fmt: skip
POLICIES = {
    "earn": "most new visitors see what converts best",
    "learn": "more visitors are spent on being sure",
    "quick": "still more visitors are spent on being sure soon",
    "equal": "every page gets the same share",
}
PROOF_POLICY = "during the proof round half of them see its page and half today's, and the other pages wait"
PAUSED_POLICY = "while it is paused, they see today's page"
FROZEN_POLICY = "shares stand still, because visitors are not split as planned"
MATURING = 0.02  # part of the conversions still to come from which a reader is told
TOO_EARLY = "collecting"  # the state in which a single number of a lift would mislead
NOT_COMPARABLE = "cannot_be_trusted"
NO_COMPARING = {
    TOO_EARLY: "It is too early to give a lift as one number. Shown is the range it very probably (95 in 100) lies in.",
    NOT_COMPARABLE: "Lifts and probabilities are left out: with visitors who were not split as planned they mislead.",
}
MOST_ROWS_SENT = 120  # at once: more take seconds to load on a phone, and nobody reads them
SHOWN_OF_MANY = 13  # rows of a long table: today's page and the twelve likeliest; the others at a click
_EXACT = ("exposures", "conversions", "rate", "probability_best", "lift", "lift_raw", "share")
# What the splitter answered without counting it, in a reader's words.
VISITS_NOT_COUNTED = {
    "bot": "Robots and crawlers",
    "opted_out": "People who asked not to be tracked",
    "no_consent": "People who had not agreed to be counted",
    "outside": "Visitors outside this experiment's part of the traffic",
    "paused": "New visitors while it was paused",
    "unconfirmed": "Visits whose page never ran in a browser",
    "prefetch": "Pages a browser loaded ahead of time and never showed",
    "head": "Technical checks of the page",
    "limited": "Requests over the rate limit",
    "journal_refused": "Visits that could not be written down safely",
}
CONVERSIONS_NOT_COUNTED = {
    "late": "Conversions after the goal's time window",
    "early": "Conversions dated before the visit",
    "repeated": "Conversions repeated by the same visitor, which count once",
    "unattributed": "Conversions by nobody who was counted",
    "too_soon": "Conversions by visitors whose page never ran in a browser",
    "forged": "Conversions with a forged or damaged cookie or token",
    "foreign": "Conversions meant for another experiment or goal",
    "after_forgetting": "Conversions by people who had asked to be forgotten",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number as it is and as it is read."""

    label: str
    text: str
    exact: float | int | None = None
    key: str = ""  # where the JSON has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The number that the verdict stands on."""

    what: str
    text: str
    guess: str
    low: str  # in full, as the JSON has them
    high: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One arm's line in the table."""

    arm: ArmReport
    exact: dict[str, str]  # each number in full, as the JSON has it; empty where it is not known
    angle: str
    is_tagged: bool  # as today's page, where its own name does not say so
    exposures: str
    conversions: str
    rate: str
    rate_interval: str
    bar: str
    probability_best: str
    lift: str
    lift_interval: str
    lift_raw: str
    lift_proof: str  # of its proof round, if it had one
    share: str
    is_leader: bool
    picture: str = ""  # address of the page's picture, if there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    report: Report
    status: str
    headline: str
    state: str
    policy: str
    share_title: str
    key_numbers: Sequence[Number]
    caption: str  # of the table of live pages
    most_rows: int  # of a table, before the rest is folded away
    unsent: int  # pages that no table here holds
    live: Sequence[Row]
    held: Sequence[Row]  # live pages that get no visitors while a proof round runs
    retired: Sequence[Row]
    charts: Sequence[Chart]
    split: str
    not_counted: Sequence[Number]
    forgotten: str
    other_goals: Sequence[GoalRow]
    goals: Sequence[str]
    goal_counts: Sequence[Sequence[str]]
    refresh_seconds: int
    maturing: str
    figure: Figure | None
    parts: Sequence[tuple[str, str, str]]  # of the verdict: key, what it answers, the answer
    comparing: str  # why the table compares less than it could; empty where it does not
    lift_of: str  # what lifts are of, where that is not the rate
    slots: Sequence[EffectTable]
    segments: Sequence[EffectTable]
    health: Health | None
    money: Money | None
    family: Family | None  # where pages came from; None where none was bred


# Returns the addresses of some pages' pictures, by the arm's key.
type Pictures = Callable[[Collection[str]], Mapping[str, str]]


def page_of(report: Report, pictures: Pictures | None = None, *, is_whole: bool = False) -> Page:
    """Arrange the report for reading; `pictures` is asked for those of the pages that are sent.

    Of hundreds of pages the likeliest are sent, unless it is to be the whole.
    """
    rows = _rows(report, pictures or (lambda _: {}), len(report.arms) if is_whole else MOST_ROWS_SENT)
    live = [row for row in rows if row.arm.status not in LEFT]
    held = [row for row in live if _is_held(report, row.arm)]
    goals = sorted({goal for arm in report.arms for goal in arm.goals})
    return Page(
        report=report,
        status=STATUSES.get(report.status, report.status),
        headline=headline_of(report),
        state=state_of(report),
        policy=_policy(report),
        share_title="Last share of new visitors" if report.finished_at else "Share of new visitors",
        key_numbers=_key_numbers(report),
        caption=_caption(report),
        most_rows=SHOWN_OF_MANY,
        unsent=len(report.arms) - len(rows),
        live=[row for row in live if row not in held],
        held=held,
        retired=[row for row in rows if row.arm.status in LEFT],
        charts=all_charts(report),
        split=_split(report),
        not_counted=_not_counted(report),
        forgotten=_forgotten(report),
        other_goals=goal_rows(report),
        goals=goals,
        goal_counts=[
            [row.arm.name, *(wording.whole(row.arm.goals.get(goal, 0)) for goal in goals)] for row in rows if goals[1:]
        ],
        refresh_seconds=REFRESH_SECONDS if report.status in {"running", "paused"} else REFRESH_AFTER_THE_END_SECONDS,
        maturing=_maturing(report),
        figure=_figure(report),
        parts=_parts(report),
        comparing=NO_COMPARING.get(report.verdict.state, "") if report.exposures else "",
        lift_of=_lift_of(report),
        slots=slot_tables(report),
        family=family_of(report.lineage, is_early=report.is_early),
        segments=segment_tables(report),
        health=health_of(report.health, report.exposures) if report.health and report.exposures else None,
        money=_money(report),
    )


def _money(report: Report) -> Money | None:
    if report.money is None or not report.exposures:
        return None
    control = next((arm.key for arm in report.arms if arm.is_control), "")
    return money_of(report.money, control=control, leader=report.leader.key if report.leader else "")


def _parts(report: Report) -> list[tuple[str, str, str]]:
    verdict = report.verdict
    told = [
        ("action", "What to do", verdict.action),
        ("sure", "How sure", verdict.sure),
        ("unknown", "Still unknown", verdict.unknown),
        ("when", "How long", verdict.when),
    ]
    return [part for part in told if part[2]]


def _figure(report: Report) -> Figure | None:
    figure = report.verdict.figure
    if figure is None:
        return None
    guess = wording.lift(figure.lift, figure.lift_interval)
    where = " in its proof round" if report.proof is not None and report.proof.is_reported else ""
    return Figure(
        what=f"{figure.what[:1].upper()}{figure.what[1:]}, against today's page",
        text=wording.lift_interval(figure.lift_interval),
        guess=f"Very probably (95 in 100) in this range{where}; best guess {guess}",
        low=_in_full(figure.lift_interval[0]),
        high=_in_full(figure.lift_interval[1]),
    )


def _lift_of(report: Report) -> str:
    what = report.verdict.figure.what if report.verdict.figure else ""
    return f"Here it is of {what}." if what.startswith(("money", "goals")) else ""


def _maturing(report: Report) -> str:
    if report.still_maturing < MATURING:
        return ""
    part = wording.share(report.still_maturing)
    return f"Some visitors will still convert: about {part} of the conversions of those seen so far are yet to come."


def headline_of(report: Report) -> str:
    """Return the verdict in a few words."""
    if report.status == "draft":
        return "Not started yet"
    if not report.exposures:
        return "No visitors yet"
    if len(report.arms) == 1:
        return "Nothing to compare yet"
    if report.proof is not None and report.proof.is_reported:
        return "A page is chosen"
    return _headline_of_leader(report, report.leader) or HEADLINES.get(report.verdict.state, report.verdict.state)


def _headline_of_leader(report: Report, leader: ArmReport | None) -> str:
    """Return the headline that says more than the state does; empty where there is none."""
    verdict = report.verdict
    if verdict.state == "leaning" and verdict.better_than_control:
        return "Better than today's page"
    if leader is None:
        return ""
    if verdict.state == "leaning" and looks_best(leader) and not leader.is_control:
        return "Likely better, but not sure yet"
    return "Today's page wins" if verdict.state == "decided" and leader.is_control else ""


def state_of(report: Report) -> str:
    """Return what the verdict's colour goes by: its state, and two that only the page knows."""
    if report.status == "draft":
        return "not_started"
    is_sure = report.verdict.better_than_control or (report.proof is not None and report.proof.is_reported)
    return "better" if is_sure and report.verdict.state == "leaning" else report.verdict.state


def _policy(report: Report) -> str:
    if report.frozen_at is not None and report.finished_at is None:
        return FROZEN_POLICY
    if report.status == "paused":
        return PAUSED_POLICY
    if _shown_in_proof(report):
        return PROOF_POLICY
    return POLICIES.get(report.policy, report.policy)


def _caption(report: Report) -> str:
    if report.status != "running":
        return "The pages"
    return "The two pages of the proof round" if _shown_in_proof(report) else "Pages that get new visitors"


def _shown_in_proof(report: Report) -> ProofReport | None:
    """Return the proof round by which new visitors are split now."""
    newest = next(iter(report.proofs), None)
    return newest if newest is not None and newest.is_shown else None


def _is_held(report: Report, arm: ArmReport) -> bool:
    proof = _shown_in_proof(report)
    return proof is not None and not arm.is_control and arm.key != proof.arm


def _rows(report: Report, pictures: Pictures, most: int) -> list[Row]:
    """Return today's page first, then the others, likeliest to be best first; retired ones after all others."""
    scale = rate_scale(report.arms)
    leader = report.leader
    ordered = sorted(
        report.arms,
        key=lambda arm: (arm.is_control, arm.status not in LEFT, arm.probability_best or 0.0, arm.rate or 0.0),
        reverse=True,
    )[:most]
    proved = {proof.arm: proof for proof in reversed(report.proofs) if proof.lift is not None}
    rows = (
        _row(arm, scale, proved.get(arm.key), is_leader=leader is not None and arm.key == leader.key) for arm in ordered
    )
    told = (_as_far_as_told(row, report) for row in rows)
    addresses = pictures([arm.key for arm in ordered])
    return [replace(row, picture=addresses.get(row.arm.key, "")) for row in told]


def _as_far_as_told(row: Row, report: Report) -> Row:
    """Leave out what would mislead; the numbers in full stay, by which tables are sorted."""
    if not report.conversions:
        row = replace(row, probability_best=wording.UNKNOWN)
    if report.is_early:
        return replace(row, lift="", lift_raw=wording.UNKNOWN)
    if report.verdict.state == NOT_COMPARABLE:
        unknown = wording.UNKNOWN
        return replace(row, lift=unknown, lift_interval="", lift_raw=unknown, probability_best=unknown)
    return row


def _row(arm: ArmReport, scale: tuple[float, float], proof: ProofReport | None, *, is_leader: bool) -> Row:
    return Row(
        arm=arm,
        exact={name: _in_full(getattr(arm, name)) for name in _EXACT},
        angle=arm.genes.get("angle", ""),
        is_tagged=arm.is_control and "today's page" not in arm.name.lower(),
        exposures=wording.whole(arm.exposures),
        conversions=wording.whole(arm.conversions),
        rate=wording.rate(arm.rate, arm.rate_interval),
        rate_interval=wording.rate_interval(arm.rate_interval) if arm.exposures else "no visitors yet",
        bar=rate_bar(arm, scale, is_leader=is_leader) if arm.exposures else "",
        probability_best=wording.chance(arm.probability_best) if arm.exposures else wording.UNKNOWN,
        lift=wording.lift(arm.lift, arm.lift_interval) if arm.exposures else wording.UNKNOWN,
        lift_interval=wording.lift_interval(arm.lift_interval) if arm.exposures else "",
        lift_raw=wording.lift(arm.lift_raw, arm.lift_interval),
        lift_proof=wording.lift(proof.lift, proof.lift_interval) if proof else "",
        share=wording.share(arm.share),
        is_leader=is_leader,
    )


def _in_full(number: float | None) -> str:
    return "" if number is None else repr(number)


def _key_numbers(report: Report) -> list[Number]:
    visitors, conversions = report.exposures, report.conversions
    overall = conversions / visitors if visitors else None
    uncounted = sum(number for kind, number in report.not_counted.items() if kind not in CONVERSIONS_NOT_COUNTED)
    return [
        Number(label="Visitors", text=wording.whole(visitors), exact=visitors, key="exposures"),
        Number(label="Conversions", text=wording.whole(conversions), exact=conversions, key="conversions"),
        Number(label="Overall rate", text=wording.rate(overall), exact=overall, key="rate"),
        Number(label="Ran for" if report.finished_at else "Running for", text=_running_time(report), key="time"),
        Number(label="Visits not counted", text=wording.whole(uncounted), exact=uncounted, key="not_counted"),
    ]


def _running_time(report: Report) -> str:
    if report.started_at is None:
        return wording.UNKNOWN
    end: datetime = report.finished_at or report.generated_at
    return wording.duration(max(end - report.started_at, timedelta(0)))


def _split(report: Report) -> str:
    if report.sample_ratio.p_value is None:
        return "Nobody has been counted yet, so there is no split to check."
    if report.sample_ratio.ok:
        return "The split of visitors is as planned: each page got the visitors its share promised."
    return (
        "The split of visitors is not as planned: some page got far more or fewer visitors than its share promised. "
        "Something in front of the pages sorts visitors, so the pages' rates cannot be compared."
    )


def _not_counted(report: Report) -> list[Number]:
    words = {**VISITS_NOT_COUNTED, **CONVERSIONS_NOT_COUNTED}
    most_first = sorted(report.not_counted.items(), key=lambda item: -item[1])
    return [
        Number(label=words.get(kind) or _readable(kind), text=wording.whole(number), exact=number, key=kind)
        for kind, number in most_first
    ]


def _forgotten(report: Report) -> str:
    """Say who asked to be forgotten: what was kept of them is gone, and the totals, which name nobody, still hold."""
    if not report.forgotten:
        return ""
    people = "1 person" if report.forgotten == 1 else f"{report.forgotten:,} people"
    return f"{people} asked to be forgotten: what was kept of them is erased. The totals here still include them."


def _readable(key: str) -> str:
    return key.replace("_", " ").capitalize()
