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
    yield "Summary", ["what", "value"], _summary(report)
    goals = sorted({goal for arm in report.arms for goal in arm.goals})
    yield (
        "Pages",
        [*ARM_COLUMNS, *(f"goal_{goal}" for goal in goals)],
        ([*arm_cells(arm), *(arm.goals.get(goal, 0) for goal in goals)] for arm in report.arms),
    )
    yield "Over time", ["at", "epoch", "page", "share", "exposures", "conversions"], _over_time(report)
    if report.gained:
        rows: Rows = ([gain.at, gain.gained, *gain.interval] for gain in report.gained)
        yield "Gained", ["at", "gained", "gained_low", "gained_high"], rows
    if report.slots:
        yield "Why", ["gene", "option", "pages", "exposures", "effect", "low", "high", "too_few"], _options(report)
    if report.breakdown:
        head = ["group", "visitors", "exposures", "conversions", "rate", "lift", "lift_low", "lift_high", "too_few"]
        yield "Visitors", head, _segments(report)
    yield "Not counted", ["kind", "number"], sorted(report.not_counted.items())


def _summary(report: Report) -> Rows:
    verdict, money = report.verdict, report.money
    yield "experiment", report.name
    yield "address", report.slug
    yield "status", report.status
    yield "state", verdict.state
    yield "verdict", verdict.text
    yield "what to do", verdict.action
    yield "how sure", verdict.sure
    yield "still unknown", verdict.unknown
    yield "how long", verdict.when
    yield "counted until", report.counted_until
    yield "exposures", report.exposures
    yield "conversions", report.conversions
    yield "goal", report.goal
    if money is not None:
        yield "model cost in USD", money.model_usd
        yield "extra conversions", money.extra
        yield "USD per extra conversion", money.usd_per_extra


def _over_time(report: Report) -> Rows:
    for moment in report.history:
        for key, share in moment.shares.items():
            shown, converted = moment.counts.get(key, (0, 0))
            yield moment.at, moment.epoch, key, share, shown, converted


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
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: WriteOnlyWorksheet, value: Any, *, is_head: bool = False) -> Any:
    if isinstance(value, datetime):
        value = value.isoformat()  # a workbook's own times know no time zone
    if isinstance(value, float) and math.isfinite(value):
        number = WriteOnlyCell(sheet, repr(value))  # openpyxl itself writes 16 digits, one too few for some
        number.data_type = "n"
        return number
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)[:LONGEST_CELL])
    cell.data_type = "s"  # never "f", whatever it begins with
    cell.quotePrefix = True
    if is_head:
        cell.font = _HEAD
    return cell
