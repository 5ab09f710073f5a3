"""The report's shape for the API's description (OpenAPI): the values of experiments/reporting, named once, there."""

import dataclasses
from typing import Any, get_type_hints

from ninja import Schema
from pydantic import create_model

from experiments.reporting.values import ProofReport, Report

NOT_TOLD = frozenset({"lineage"})  # has an address of its own


def _fields(*left_out: str) -> dict[str, Any]:
    hints = get_type_hints(Report)
    told = [field.name for field in dataclasses.fields(Report) if field.name not in {*NOT_TOLD, *left_out}]
    return {"id": (int, ...), **{name: (hints[name], ...) for name in told}, "proof": (ProofReport | None, ...)}


ReportOut = create_model("ReportOut", __base__=Schema, **_fields())
ReportOut.__doc__ = "Everything a report says. Rates, shares and lifts are fractions; what is not known is null."
NumbersOut = create_model("NumbersOut", __base__=Schema, **_fields("history"))
NumbersOut.__doc__ = "Status and numbers of an experiment."
