import csv
import io
import json
import os
from pathlib import Path

import pytest
from django.utils import timezone

from experiments.reporting import export
from experiments.reporting.report import build
from tests.experiments.reporting.made import make_arm, make_counted, make_report

FORMULAS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\0=1", " =1+1", "＝1", "＋1", "－1", "＠SUM(1)"]
RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix(export.BYTE_ORDER_MARK), newline="")))


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_cell_that_would_run_is_disarmed_and_kept(cell):
    assert export.safe_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["plain", "", "a=b", "'=1", 5, -0.25, None])
def test_other_cells_are_left_as_they_are(cell):
    assert export.safe_cell(cell) == cell


def test_a_negative_number_stays_a_number():
    [head, row] = rows_of(export.report_csv(make_report([make_arm(lift=-0.25)])))
    assert row[head.index("lift")] == "-0.25"


def test_a_page_named_like_a_formula_is_disarmed():
    [head, row] = rows_of(export.report_csv(make_report([make_arm(name="=HYPERLINK(1)")])))
    assert row[head.index("name")] == "'=HYPERLINK(1)"


@pytest.mark.django_db
def test_the_report_as_a_table_has_the_reports_numbers():
    report = build(make_counted([(1000, 30), (1000, 50)]))
    head, *rows = rows_of(export.report_csv(report))
    for row, arm in zip(rows, report.arms, strict=True):
        cells = dict(zip(head, row, strict=True))
        assert float(cells["lift"] or "nan") == pytest.approx(arm.lift or float("nan"), abs=0, nan_ok=True)
        assert (int(cells["exposures"]), int(cells["goal_signup"])) == (arm.exposures, arm.conversions)


@pytest.mark.django_db
def test_leads_come_with_their_page_and_every_field_anybody_filled_in():
    experiment = make_counted([(1, 0), (1, 1)])
    arm = experiment.arms.get(key="v2")
    for number, values in enumerate([{"email": "a@example.com"}, {"email": "b@example.com", "company": "=cmd|x"}]):
        experiment.leads.create(lead_id=str(number), arm=arm, values=values, submitted_at=timezone.now())
    head, last, first = rows_of("".join(export.leads_csv(experiment)))
    assert head == ["experiment", "submitted_at", "arm", "page", "company", "email"]
    assert last[2:] == ["v2", "Variant 2", "'=cmd|x", "b@example.com"]
    assert first[2:] == ["v2", "Variant 2", "", "a@example.com"]


@pytest.mark.corpora
@pytest.mark.django_db
def test_no_known_attack_on_spreadsheets_survives():
    if "CORPORA_DIR" not in os.environ:
        pytest.skip("CORPORA_DIR is not set")
    lines = (Path(os.environ["CORPORA_DIR"]) / "extra/csv_cells.jsonl").read_text(encoding="utf-8").splitlines()
    cells = [json.loads(text)["cell"] for text in lines]
    report = make_report([make_arm(f"v{number}", name=cell) for number, cell in enumerate(cells, 1)])
    head, *rows = rows_of(export.report_csv(report))
    read = [row[head.index("name")] for row in rows]
    assert [row.removeprefix("'") if row != cell else row for row, cell in zip(read, cells, strict=True)] == cells
    assert not any(cell.lstrip(" ").startswith(RUNS) for cell in read)
