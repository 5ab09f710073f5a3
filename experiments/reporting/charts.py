"""Turn a report into its charts: drawings as SVG text, each with the table behind it. Pure; no clock, no database."""

from experiments.reporting.arm_charts import lifts, rates
from experiments.reporting.gain_chart import gains
from experiments.reporting.paper import Chart
from experiments.reporting.rate_chart import has_lines, rates_over_time
from experiments.reporting.share_chart import shares
from experiments.reporting.values import Report


def all_charts(report: Report) -> list[Chart]:
    """Draw everything there is something to draw for."""
    if not report.exposures:
        return []
    is_over_time = len(report.history) > 1
    compares = len(report.arms) > 1
    drawings = [
        (rates, True),
        (lifts, compares and report.verdict.state != "cannot_be_trusted"),
        (shares, compares and is_over_time),
        (rates_over_time, is_over_time and has_lines(report)),
        (gains, is_over_time and len(report.gained) > 1),
    ]
    return [draw(report) for draw, is_there in drawings if is_there]
