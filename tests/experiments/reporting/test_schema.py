"""The report as the API describes it, and as every other form of it says the same."""

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client
from openpyxl import load_workbook

from experiments.models import Experiment
from experiments.report_schema import ReportOut
from experiments.reporting.export import BYTE_ORDER_MARK
from experiments.reporting.share import share_url
from experiments.reporting.workbook import HEADS, PERCENT
from experiments.tokens import token_digest
from tests.experiments.reporting.made import make_reasoned
from tests.experiments.reporting.test_views import Shown

pytestmark = pytest.mark.django_db

NOBODY = Client()
NUMBERS = ("exposures", "conversions", "rate", "probability_best", "lift", "lift_raw", "share")


@pytest.fixture
def ask(owner):
    owner.api_tokens.create(digest=token_digest("secret"))
    return lambda method, path: Client().generic(method, f"/api/v1{path}", headers={"Authorization": "Bearer secret"})


def forms_of(experiment: Experiment, ask: Any) -> tuple[dict[str, Any], Shown, list[dict[str, str]], list[list[Any]]]:
    """Return the report by the API, as a page, as CSV and as the workbook's sheet of pages."""
    address = "/" + share_url(experiment, by=None).split("/", 3)[3]
    shown = Shown()
    shown.feed(NOBODY.get(address).content.decode())
    text = NOBODY.get(f"{address}report.csv").content.decode().removeprefix(BYTE_ORDER_MARK)
    book = load_workbook(io.BytesIO(NOBODY.get(f"{address}report.xlsx").content))
    return (
        ask("GET", f"/experiments/{experiment.pk}/report").json(),
        shown,
        list(csv.DictReader(io.StringIO(text, newline=""))),
        [list(row) for row in book["Pages"].iter_rows(values_only=True)],
    )


def test_page_csv_workbook_and_api_say_the_same_to_the_digit(ask):
    told, shown, lines, [head, *cells] = forms_of(make_reasoned(), ask)
    for arm, line, row in zip(told["arms"], lines, cells, strict=True):
        for name in NUMBERS:
            by_page = json.loads(shown.values[arm["key"], name] or "null")
            by_csv = json.loads(line[name] or "null")
            assert arm[name] == by_page == by_csv == row[head.index(HEADS[name])], (arm["key"], name)


def test_a_workbook_shows_fractions_as_percentages_and_keeps_them_whole(ask):
    experiment = make_reasoned()
    address = "/" + share_url(experiment, by=None).split("/", 3)[3]
    book = load_workbook(io.BytesIO(NOBODY.get(f"{address}report.xlsx").content))
    told = ask("GET", f"/experiments/{experiment.pk}/report").json()["arms"][1]
    head = [cell.value for cell in book["Pages"][1]]
    rate, visitors = (book["Pages"][3][head.index(HEADS[name])] for name in ("rate", "exposures"))
    assert (rate.value, rate.number_format) == (told["rate"], PERCENT)
    assert (visitors.value, visitors.number_format) == (told["exposures"], "General")
    assert [sheet.title for sheet in book if "_" in str([cell.value for cell in sheet[1]])] == []


def test_what_the_api_answers_is_what_it_describes(ask):
    told = ask("GET", f"/experiments/{make_reasoned().pk}/report").json()
    assert told["slots"] and told["breakdown"] and told["gained"] and told["money"]  # noqa: PT018 - a full one
    assert set(told) == set(ReportOut.model_fields)
    ReportOut.model_validate(told)
    described = ask("GET", "/openapi.json").json()
    answer = described["paths"]["/api/v1/experiments/{experiment_id}/report"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ReportOut")
    assert "probability_best" in described["components"]["schemas"]["ArmReport"]["properties"]


@pytest.mark.parametrize(
    ("path", "allowed"), [("/experiments/1/report", "GET"), ("/experiments", "GET, POST"), ("/conversions", "POST")]
)
def test_a_method_that_an_address_does_not_take_is_a_problem_that_says_which_it_does(ask, path, allowed):
    answer = ask("DELETE", path)
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
    assert answer.json()["status"] == 405
    assert answer["Allow"] == allowed
