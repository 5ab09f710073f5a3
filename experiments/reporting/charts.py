"""Turn a report into its charts: drawings as SVG text, each with the table behind it. Pure; no clock, no database."""

from experiments.reporting.arm_charts import lifts, rates
from experiments.reporting.gain_chart import gains
from experiments.reporting.paper import Chart
from experiments.reporting.rate_chart import rates_over_time
from experiments.reporting.share_chart import shares
from experiments.reporting.values import Report


def all_charts(report: Report) -> list[Chart]:
    """Draw everything there is something to draw for."""
    if not report.exposures:
        return []
    compares = len(report.arms) > 1
    drawings = [rates, lifts] if compares else [rates]
    if report.history:
        drawings += [shares, rates_over_time] if compares else [rates_over_time]
        drawings += [gains] if len(report.gained) > 1 else []
    return [draw(report) for draw in drawings]
