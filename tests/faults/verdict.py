"""Compare what visitors were answered with what was counted: one by one, never totals alone.

Equal totals can hide one loss and one double; so every visitor, conversion and lead is looked for by name, and the sums
that reports are made of are added up again from the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scipy import stats

from tests.faults.counted import FIRST_EVENT, Counted, CountedExposure
from tests.faults.daemons import PostgresDaemon
from tests.faults.visitors import Deed, Ledger, Page

SHOWN = 8  # pieces of evidence of each kind in a message
# Visitors an arm should have got in an epoch, for the chi-square approximation to hold so far out: with five, what it
# calls one in a million can come seventy times as often.
LEAST_EXPECTED = 20.0
# So rare that it is wrong, not unlucky: shares are right or they are not, and a test that fails each thousandth time
# teaches people to run it again. A run asks thirty times, so that chance spoils about one run in ten million.
ODDS = 1e-9

type Stratum = tuple[str, int, datetime, str]  # arm, epoch, hour of exposure, measure


@dataclass(slots=True)
class Verdict:
    """What is wrong, by kind: nothing, if all is well."""

    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not any(self.faults.values())

    def note(self, kind: str, found: Iterable[object]) -> None:
        self.faults[kind] += [str(each) for each in found]

    def numbers(self) -> dict[str, int]:
        return {kind: len(found) for kind, found in self.faults.items() if found}

    def __str__(self) -> str:
        lines = [f"{self.figures}"]
        for kind, found in self.faults.items():
            lines += [f"{kind}: {len(found)}", *(f"    {each}" for each in found[:SHOWN])] if found else []
        return "\n".join(lines)


def judge(ledger: Ledger, counted: Counted) -> Verdict:
    """Compare a ledger with rows."""
    verdict = Verdict(figures=ledger.figures())
    _judge_exposures(ledger, counted.exposures, verdict)
    _judge_deeds(ledger, counted.deeds, verdict)
    if counted.leads is not None:
        _judge_leads(ledger, Counter(counted.leads), verdict)
    verdict.note("another arm was shown than the cookie's", ledger.unstuck)
    return verdict


def _judge_exposures(ledger: Ledger, rows: list[CountedExposure], verdict: Verdict) -> None:
    counts = Counter(row.visitor for row in rows)
    verdict.note("lost exposures", (v for name, v in ledger.visitors.items() if name not in counts))
    verdict.note("doubled exposures", (name for name, number in counts.items() if number > 1))
    for row in rows:
        visitor = ledger.visitors.get(row.visitor)
        if visitor is None:
            if row.mark not in ledger.unanswered:
                verdict.note("exposures nobody was answered", [row])
        elif (row.arm, row.epoch, row.exposed_ms, row.mark) != (
            visitor.arm, visitor.epoch, visitor.exposed_ms, visitor.mark,
        ):  # fmt: skip
            verdict.note("exposures counted wrongly", [f"{row} but {visitor}"])
    strangers = Counter(row.mark for row in rows if row.visitor not in ledger.visitors)
    verdict.note("unanswered visits counted twice", (mark for mark, number in strangers.items() if number > 1))
    verdict.figures["unanswered_but_counted"] = strangers.total()


def _judge_deeds(ledger: Ledger, rows: list[Deed], verdict: Verdict) -> None:
    counts = Counter(rows)
    verdict.note("lost conversions", ledger.deeds - set(counts))
    verdict.note("doubled conversions", (deed for deed, number in counts.items() if number > 1))
    verdict.note("conversions nobody was answered", set(counts) - ledger.deeds - ledger.unanswered_deeds)


def _judge_leads(ledger: Ledger, counts: Counter[str], verdict: Verdict) -> None:
    """A form that was sent again because no answer came may make two leads: people read them and see it."""
    verdict.note("lost leads", (mail for mail, number in ledger.leads.items() if counts[mail] < number))
    most = ledger.leads + ledger.unanswered_leads
    verdict.note("leads nobody was answered", (mail for mail, number in counts.items() if number > most[mail]))


def judge_sums(postgres: PostgresDaemon, page: Page, ledger: Ledger, verdict: Verdict) -> None:
    """Add the epoch counts up again from the rows; both are written by one transaction and must never differ."""
    rows, sums = _strata_of_rows(postgres, page), _strata_of_sums(postgres, page)
    verdict.note(
        "sums that are not those of the rows",
        (f"{key}: {sums.get(key)} but rows {rows.get(key)}" for key in rows | sums if rows.get(key) != sums.get(key)),
    )
    worth = sum(value for deed, value in ledger.values.items() if deed in ledger.deeds)
    unsure = sum(value for deed, value in ledger.values.items() if deed not in ledger.deeds)
    found = sum(value for (*_, measure), (_, value) in sums.items() if measure == "revenue")
    if not worth <= found <= worth + unsure:
        verdict.note("wrong revenue", [f"counted {found}, answered {worth}, unanswered {unsure}"])


def _strata_of_sums(postgres: PostgresDaemon, page: Page) -> dict[Stratum, tuple[int, float]]:
    rows = postgres.rows(
        "SELECT key, epoch, hour, measure, count, value FROM experiments_epochcount c"
        " JOIN experiments_arm a ON a.id = c.arm_id WHERE a.experiment_id = %s",
        page.number,
    )
    return {(arm, epoch, hour, measure): (count, value) for arm, epoch, hour, measure, count, value in rows}


def _strata_of_rows(postgres: PostgresDaemon, page: Page) -> dict[Stratum, tuple[int, float]]:
    exposures = postgres.rows(
        "SELECT key, epoch, date_trunc('hour', exposed_at), count(*) FROM experiments_exposure e"
        " JOIN experiments_arm a ON a.id = e.arm_id WHERE e.experiment_id = %s GROUP BY 1, 2, 3",
        page.number,
    )
    conversions = postgres.rows(
        "SELECT a.key, epoch, date_trunc('hour', exposed_at), g.key,"
        " count(*) FILTER (WHERE g.kind <> 'revenue' OR event_id = %s), coalesce(sum(value), 0)"
        " FROM experiments_conversion c JOIN experiments_arm a ON a.id = c.arm_id"
        " JOIN experiments_goal g ON g.id = c.goal_id WHERE c.experiment_id = %s GROUP BY 1, 2, 3, 4",
        FIRST_EVENT, page.number,
    )  # fmt: skip
    found = {(arm, epoch, hour, "exposures"): (count, 0.0) for arm, epoch, hour, count in exposures}
    return found | {(arm, epoch, hour, goal): (count, value) for arm, epoch, hour, goal, count, value in conversions}


def judge_shares(postgres: PostgresDaemon, page: Page, ledger: Ledger, verdict: Verdict) -> None:
    """Compare the arms of new visitors with the shares published in their epoch, by chi-square over all epochs."""
    sql = "SELECT epoch, shares FROM experiments_allocation WHERE experiment_id = %s"
    shares = dict(postgres.rows(sql, page.number))
    statistic, freedom = 0.0, 0
    for epoch, published in shares.items():
        shown = Counter(visitor.arm for visitor in ledger.visitors.values() if visitor.epoch == epoch)
        verdict.note("arms without a share", (f"{arm} in epoch {epoch}" for arm in shown if not published.get(arm)))
        cells = _cells(shown, published)
        statistic += sum((seen - expected) ** 2 / expected for seen, expected in cells)
        freedom += max(0, len(cells) - 1)
    odds = float(stats.chi2.sf(statistic, freedom)) if freedom else 1.0
    verdict.figures["shares_p"] = round(odds, 4)
    if odds < ODDS:
        verdict.note("shares not as published", [f"p = {odds:.2g}, chi-square {statistic:.1f} at {freedom}"])


def _cells(shown: Counter[str], published: dict[str, float]) -> list[tuple[float, float]]:
    """Pair what was seen with what was to be expected; arms too rare to judge by themselves are judged together."""
    number = shown.total()
    cells = [(float(shown[arm]), share * number) for arm, share in published.items()]
    judged = [cell for cell in cells if cell[1] >= LEAST_EXPECTED]
    rest = [cell for cell in cells if cell[1] < LEAST_EXPECTED]
    together = (sum(seen for seen, _ in rest), sum(expected for _, expected in rest))
    return [*judged, together] if together[1] >= LEAST_EXPECTED else judged


def judge_report(report: dict[str, Any], counted: Counted, page: Page, verdict: Verdict) -> None:
    """Compare what the report tells people with the rows."""
    arms = Counter(row.arm for row in counted.exposures)
    told = {arm["key"]: arm["exposures"] for arm in report["arms"]}
    if {arm: number for arm, number in told.items() if number} != dict(arms):
        verdict.note("report", [f"exposures {told}, rows {dict(arms)}"])
    signups = len([deed for deed in counted.deeds if deed.goal == "form"])
    if (converted := sum(arm["conversions"] for arm in report["arms"])) != signups:
        verdict.note("report", [f"conversions {converted}, rows {signups}"])
