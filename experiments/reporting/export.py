"""Turn a report and an experiment's leads into CSV that a spreadsheet opens as data, never as formulas.

UTF-8 with a byte order mark, without which Excel garbles every name with an accent; lines end as RFC 4180 says.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from experiments.models import Experiment
from experiments.reporting.values import ArmReport, Report

BYTE_ORDER_MARK = "\ufeff"
# What makes a spreadsheet read text as a formula, in either width, and the white space it drops before looking.
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_DANGEROUS_SPACE = ("\t", "\r", "\n", "\0")

ARM_COLUMNS = (
    "key", "name", "is_control", "status", "share", "exposures", "conversions", "value", "rate", "rate_low",
    "rate_high", "probability_best", "expected_loss", "lift", "lift_low", "lift_high", "lift_raw",
)  # fmt: skip


def report_csv(report: Report) -> str:
    """Return one line per arm, numbers in full: fractions, not percentages."""
    goals = sorted({goal for arm in report.arms for goal in arm.goals})
    head = ["experiment", *ARM_COLUMNS, *(f"goal_{goal}" for goal in goals)]
    lines = [[report.slug, *arm_cells(arm), *(arm.goals.get(goal, 0) for goal in goals)] for arm in report.arms]
    return BYTE_ORDER_MARK + "".join(csv_lines([head, *lines]))


def leads_csv(experiment: Experiment) -> Iterator[str]:
    """Yield one line per lead, newest first, with a column for every field anybody filled in."""
    leads = experiment.leads.select_related("arm__variant")
    fields = sorted({name for values in leads.values_list("values", flat=True).iterator() for name in values})
    yield BYTE_ORDER_MARK
    yield from csv_lines([["experiment", "submitted_at", "arm", "page", *fields]])
    yield from csv_lines(
        [
            experiment.slug,
            lead.submitted_at.isoformat(timespec="seconds"),
            lead.arm.key if lead.arm else "",
            lead.arm.variant.name if lead.arm else "",
            *(lead.values.get(name, "") for name in fields),
        ]
        for lead in leads.iterator(chunk_size=1000)
    )


def safe_cell(value: Any) -> Any:
    """Return text that a spreadsheet would run with a ' before it; anything else as it is."""
    if not isinstance(value, str):
        return value
    is_formula = value.lstrip().startswith(_STARTS_A_FORMULA)
    return f"'{value}" if is_formula or value.startswith(_DANGEROUS_SPACE) else value


def arm_cells(arm: ArmReport) -> list[Any]:
    """Return an arm's numbers in the order of ARM_COLUMNS."""
    rate_low, rate_high = arm.rate_interval or (None, None)
    lift_low, lift_high = arm.lift_interval or (None, None)
    values = {"rate_low": rate_low, "rate_high": rate_high, "lift_low": lift_low, "lift_high": lift_high}
    return [values[name] if name in values else getattr(arm, name) for name in ARM_COLUMNS]


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield each row as a line. The csv module writes to files only, so one small buffer is filled and emptied."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in rows:
        writer.writerow([safe_cell(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
