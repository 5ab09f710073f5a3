"""Turn a report into an Excel workbook: the same numbers as its page, in full, a sheet for each part.

Text is written as text: a name that begins with = stays a name (its cell is marked as quoted, so that it stays one when
somebody edits it or saves the sheet as CSV).
"""

import io
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from experiments.reporting import wording
from experiments.reporting.export import ARM_COLUMNS, arm_cells
from experiments.reporting.values import Report

type Rows = Iterable[Sequence[Any]]

TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# The columns of pages as the report's own table calls them; CSV, which programs read, keeps the API's names.
HEADS = {
    "key": "Key", "name": "Page", "is_control": "Today's page", "status": "Status", "share": "Share of new visitors",
    "exposures": "Visitors", "conversions": "Conversions", "value": "Value", "rate": "Rate", "rate_low": "Rate, from",
    "rate_high": "Rate, to", "probability_best": "Probability best", "expected_loss": "Expected loss", "lift": "Lift",
    "lift_low": "Lift, from", "lift_high": "Lift, to", "lift_raw": "Plain lift",
}  # fmt: skip
# Shown as percentages; the cells hold the fractions in full.
FRACTIONS = frozenset({
    "Share of new visitors", "Rate", "Rate, from", "Rate, to", "Probability best", "Expected loss", "Lift",
    "Lift, from", "Lift, to", "Plain lift", "Share", "Brings", "Brings, from", "Brings, to",
})  # fmt: skip
PERCENT, GENERAL = "0.00%", "General"
LONGEST_CELL = 32_767  # characters, Excel's limit
WIDTH = 18
_HEAD = Font(bold=True)


def report_xlsx(report: Report) -> bytes:
    """Return the workbook's bytes."""
    book = Workbook(write_only=True)
    for title, head, rows in _sheets(report):
        _add(book, title, head, rows)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _sheets(report: Report) -> Iterable[tuple[str, Sequence[str], Rows]]:
    yield "Summary", ["What", "Value"], _summary(report)
    goals = sorted({goal for arm in report.arms for goal in arm.goals})
    yield (
        "Pages",
        [*(HEADS[name] for name in ARM_COLUMNS), *(f"Reached “{goal}”" for goal in goals)],
        ([*arm_cells(arm), *(arm.goals.get(goal, 0) for goal in goals)] for arm in report.arms),
    )
    yield "Over time", ["Time", "Epoch", "Key", "Share", "Visitors", "Conversions"], _over_time(report)
    if report.gained:
        rows: Rows = ([gain.at, gain.gained, *gain.interval] for gain in report.gained)
        yield "Gained", ["Time", "Gained", "Gained, from", "Gained, to"], rows
    if report.other_goals:
        yield (
            "Other goals",
            ["Goal", "Page", "Visitors", "Reached", "Rate", "Lift", "Lift, from", "Lift, to"],
            _beside(report),
        )
    if report.slots:
        head = ["Part", "Option", "Pages", "Visitors", "Brings", "Brings, from", "Brings, to", "Too few to say"]
        yield "Why", head, _options(report)
    if report.breakdown:
        head = ["Kind", "Group", "Visitors", "Conversions", "Rate", "Lift", "Lift, from", "Lift, to", "Too few to say"]
        yield "Visitors", head, _segments(report)
    yield "Not counted", ["Kind", "Number"], sorted(report.not_counted.items())


def _summary(report: Report) -> Rows:
    verdict, money = report.verdict, report.money
    yield "Experiment", report.name
    yield "Address", report.slug
    yield "Status", report.status
    yield "State", verdict.state.replace("_", " ")
    yield "Verdict", verdict.text
    yield "What to do", verdict.action
    yield "How sure", verdict.sure
    yield "Still unknown", verdict.unknown
    yield "How long", verdict.when
    yield "Counted until", report.counted_until
    yield "Visitors", report.exposures
    yield "Conversions", report.conversions
    yield "Goal", report.goal
    if money is not None:
        yield "Model cost in USD", money.model_usd
        yield "Conversions beyond today's page alone", money.extra
        yield "USD for each of them", money.usd_per_extra


def _over_time(report: Report) -> Rows:
    for moment in report.history:
        for key, share in moment.shares.items():
            shown, converted = moment.counts.get(key, (0, 0))
            yield moment.at, moment.epoch, key, share, shown, converted


def _beside(report: Report) -> Rows:
    for goal in report.other_goals:
        for one in (goal.page, goal.today):
            told = (goal.lift, *(goal.lift_interval or (None, None))) if one is goal.page else (None, None, None)
            yield goal.goal, one.name, one.exposures, one.reached, one.rate, *told


def _options(report: Report) -> Rows:
    for slot in report.slots:
        for option in slot.options:
            values = (option.pages, option.exposures, option.effect, *option.interval, option.is_thin)
            yield slot.title, wording.option_words(slot.slot, option.option), *values


def _segments(report: Report) -> Rows:
    for dimension in report.breakdown.dimensions if report.breakdown else ():
        for one in dimension.segments:
            low, high = one.lift_interval or (None, None)
            values = (one.exposures, one.conversions, one.rate, one.lift, low, high, one.is_thin)
            yield dimension.title, one.value, *values


def _add(book: Workbook, title: str, head: Sequence[str], rows: Rows) -> None:
    sheet = book.create_sheet(title)
    for place in range(1, len(head) + 1):
        sheet.column_dimensions[get_column_letter(place)].width = WIDTH
    sheet.freeze_panes = "A2"
    sheet.append([_cell(sheet, name, is_head=True) for name in head])
    formats = [PERCENT if name in FRACTIONS else GENERAL for name in head]
    for row in rows:
        sheet.append([_cell(sheet, value, shown=shown) for value, shown in zip(row, formats, strict=True)])


def _cell(sheet: WriteOnlyWorksheet, value: Any, *, is_head: bool = False, shown: str = GENERAL) -> Any:
    if isinstance(value, datetime):
        value = value.isoformat()  # a workbook's own times know no time zone
    if isinstance(value, float) and math.isfinite(value):
        number = WriteOnlyCell(sheet, repr(value))  # openpyxl itself writes 16 digits, one too few for some
        number.data_type, number.number_format = "n", shown
        return number
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)[:LONGEST_CELL])
    cell.data_type = "s"  # never "f", whatever it begins with
    cell.quotePrefix = True
    if is_head:
        cell.font = _HEAD
    return cell
