"""The study is resumable, writes only between its markers, and writes what it has computed."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from experiments.management.commands.bandit_study import END, START, Store, fingerprint, missing, write_between
from experiments.study import figures, proving, tables

CELL = "split/2 arms/0% lost"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(proving, "SHORT", proving.TINY)
    return proving.cells(proving.TINY)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "bandit.md"
    path.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    return path


def study(document: Path, **options: object) -> str:
    told = StringIO()
    call_command("bandit_study", out=document.parent, document=document, workers=1, stdout=told, **options)
    return told.getvalue()


def test_a_study_computes_what_is_missing_and_writes_it_between_the_markers(tiny, document):
    cell = next(cell for cell in tiny if cell.name == CELL)
    assert f"{cell.blocks} blocks to compute" in study(document, only=CELL)
    written = document.read_text()
    assert written.startswith(f"before\n{START}\nWritten by `manage.py bandit_study`")
    assert "| 2 arms | 0% lost |" in written
    assert written.endswith(f"{END}\nafter\n")
    assert "0 blocks to compute" in study(document, only=CELL)


def test_a_part_that_does_not_exist_is_named(tiny, document):
    with pytest.raises(CommandError, match="No cell's name contains 'nonsense'"):
        study(document, only="nonsense")


def test_a_document_without_markers_is_left_alone(tmp_path):
    path = tmp_path / "other.md"
    path.write_text("words")
    with pytest.raises(CommandError, match="to write between"):
        write_between(path, "tables")
    assert path.read_text() == "words"


def test_a_torn_line_and_what_other_code_computed_are_computed_again(tmp_path):
    store = Store(tmp_path / "short.jsonl")
    store.add(CELL, 0, {"alarm": [0.0]})
    with store.path.open("a") as file:
        file.write('{"code": "other", "cell": "split/2 arms/0% lost", "block": 1, "found": {"alarm": [1.0]}}\n{"code')
    assert store.read() == {CELL: {0: {"alarm": [0.0]}}}


def test_a_comment_makes_no_result_stale_and_a_number_does(tmp_path):
    code, commented, changed = (tmp_path / name for name in ("code.py", "commented.py", "changed.py"))
    code.write_text("LIMIT = 1\n")
    commented.write_text("LIMIT = 1  # not more\n")
    changed.write_text("LIMIT = 2\n")
    assert fingerprint([code]) == fingerprint([commented]) != fingerprint([changed])


def test_loss_over_time_is_drawn_with_a_line_and_a_name_for_each_policy():
    cells = [cell for cell in proving.cells(proving.SHORT) if cell.name in {"regret/C/ours, earn", "regret/C/UCB1"}]
    rising = np.linspace(0.05, 1.0, proving.CURVE_POINTS)
    results = {cell.name: {0: {"curve": [*(rising * 0.2), *(rising * 0.4)]}} for cell in cells}
    (figure,) = figures.figures(cells, results)
    assert figure.file == "study-loss-c.svg"
    assert figure.svg.count('class="line') == 2
    assert "ours, earn: 0.30" in figure.svg
    assert "UCB1: 0.30" in figure.svg


def test_calibration_is_drawn_with_a_dot_for_each_tenth_that_was_said():
    cells = [cell for cell in proving.cells(proving.SHORT) if cell.table == "calibration"][:1]
    results = {cells[0].name: {0: {"said": [0.25, 0.75, 0.79], "was": [0.0, 1.0, 1.0]}}}
    (figure,) = figures.figures(cells, results)
    assert figure.svg.count('class="dot"') == 2


def test_the_first_blocks_of_all_cells_come_first():
    cells = proving.cells(proving.SHORT)[:3]
    order = missing(cells, {cells[0].name: {0: {}}})
    assert order[:3] == [(cells[1].name, 0), (cells[2].name, 0), (cells[0].name, 1)]


def test_a_block_is_the_same_whenever_it_is_computed(tiny):
    cell = next(cell for cell in tiny if cell.name == "regret/B/equal split")
    assert cell.compute(3) == cell.compute(3) != cell.compute(4)


def test_tables_show_means_with_their_standard_errors():
    cells = [cell for cell in proving.cells(proving.SHORT) if cell.table in {"split", "calibration"}]
    results = {
        CELL: {0: {"alarm": [0.0, 0.0, 1.0, 0.0]}},
        "calibration/2 arms, 500 visitors each/ours": {0: {"said": [0.25, 0.75, 0.95], "was": [0.0, 1.0, 1.0]}},
    }
    text = tables.markdown("short", cells, results)
    assert "| 2 arms | 0% lost | 25.00% ± 21.65 |" in text
    assert "| 70% to 80% | +25.0 ± 0.0 (1) |" in text
    assert "| 0% to 10% | – |" in text
