"""Turn a report into what its page shows: every number already in words, every chart drawn.

Templates only place what is here, so that the page, its tests and the JSON cannot drift apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiments.reporting import wording
from experiments.reporting.charts import Chart, all_charts, rate_bar, rate_scale
from experiments.reporting.values import ArmReport, Report

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
LEFT = frozenset({"retired", "paused"})  # arms that new visitors are not sent to any more
MATURING = 0.02  # part of the conversions still to come from which a reader is told
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
COUNTED_ALL_THE_SAME = {
    "forgotten": "People who asked to be forgotten: erased, but still in the totals",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number as it is and as it is read."""

    label: str
    text: str
    exact: float | int | None = None
    key: str = ""  # where the JSON has it


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
    share: str
    is_leader: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    report: Report
    status: str
    headline: str
    state: str
    policy: str
    share_title: str
    key_numbers: Sequence[Number]
    live: Sequence[Row]
    retired: Sequence[Row]
    charts: Sequence[Chart]
    split: str
    not_counted: Sequence[Number]
    goals: Sequence[str]
    goal_rows: Sequence[Sequence[str]]
    refresh_seconds: int
    maturing: str


def page_of(report: Report) -> Page:
    """Arrange the report for reading."""
    rows = _rows(report)
    goals = sorted({goal for arm in report.arms for goal in arm.goals})
    return Page(
        report=report,
        status=STATUSES.get(report.status, report.status),
        headline=_headline(report),
        state="not_started" if report.status == "draft" else report.verdict.state,
        policy=POLICIES.get(report.policy, report.policy),
        share_title="Last share of new visitors" if report.finished_at else "Share of new visitors",
        key_numbers=_key_numbers(report),
        live=[row for row in rows if row.arm.status not in LEFT],
        retired=[row for row in rows if row.arm.status in LEFT],
        charts=all_charts(report),
        split=_split(report),
        not_counted=_not_counted(report),
        goals=goals,
        goal_rows=[[arm.name, *(wording.whole(arm.goals.get(goal, 0)) for goal in goals)] for arm in report.arms],
        refresh_seconds=REFRESH_SECONDS if report.status in {"running", "paused"} else REFRESH_AFTER_THE_END_SECONDS,
        maturing=_maturing(report),
    )


def _maturing(report: Report) -> str:
    if report.still_maturing < MATURING:
        return ""
    part = wording.share(report.still_maturing)
    return f"Some visitors will still convert: about {part} of the conversions of those seen so far are yet to come."


def _headline(report: Report) -> str:
    if report.status == "draft":
        return "Not started yet"
    if not report.exposures:
        return "No visitors yet"
    if len(report.arms) == 1:
        return "Nothing to compare yet"
    control_won = report.verdict.state == "decided" and report.leader is not None and report.leader.is_control
    return "Today's page wins" if control_won else HEADLINES.get(report.verdict.state, report.verdict.state)


def _rows(report: Report) -> list[Row]:
    scale = rate_scale(report.arms)
    leader = report.leader
    ordered = sorted(report.arms, key=lambda arm: (arm.probability_best or 0.0, arm.rate or 0.0), reverse=True)
    return [_row(arm, scale, is_leader=leader is not None and arm.key == leader.key) for arm in ordered]


def _row(arm: ArmReport, scale: tuple[float, float], *, is_leader: bool) -> Row:
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
        share=wording.share(arm.share),
        is_leader=is_leader,
    )


def _in_full(number: float | None) -> str:
    return "" if number is None else repr(number)


def _key_numbers(report: Report) -> list[Number]:
    visitors, conversions = report.exposures, report.conversions
    overall = conversions / visitors if visitors else None
    others = {*CONVERSIONS_NOT_COUNTED, *COUNTED_ALL_THE_SAME}
    uncounted = sum(number for kind, number in report.not_counted.items() if kind not in others)
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
    words = {**VISITS_NOT_COUNTED, **CONVERSIONS_NOT_COUNTED, **COUNTED_ALL_THE_SAME}
    most_first = sorted(report.not_counted.items(), key=lambda item: -item[1])
    return [
        Number(label=words.get(kind) or _readable(kind), text=wording.whole(number), exact=number, key=kind)
        for kind, number in most_first
    ]


def _readable(key: str) -> str:
    return key.replace("_", " ").capitalize()
