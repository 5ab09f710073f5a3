"""Turn a study's measurements, a number per run, into the tables of docs/bandit.md. Pure: text out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from experiments.simulation import Floats
from experiments.study.proving import WORLDS, Cell, Measurements

DECILES: Final = 10

type Blocks = Mapping[str, Mapping[int, Measurements]]  # by cell's name and block
type Column = tuple[str, Callable[["Found"], str]]


class Found:
    """All runs of one cell."""

    def __init__(self, blocks: Iterable[Measurements]) -> None:
        self._blocks = list(blocks)

    def __getitem__(self, measure: str) -> Floats:
        return np.concatenate([np.array(block[measure], dtype=np.float64) for block in self._blocks])


def markdown(form: str, cells: Sequence[Cell], results: Blocks) -> str:
    """Return every table of which something is computed."""
    command = "manage.py bandit_study --full" if form == "full" else "manage.py bandit_study"
    parts = [f"Written by `{command}` as it computed them. After ± stands one standard error."]
    for table, title, columns in TABLES:
        rows = [cell for cell in cells if cell.table == table and cell.name in results]
        if rows:
            parts.append(f"**{title}**\n\n{_table(rows, columns, results)}")
    calibrated = [cell for cell in cells if cell.table == "calibration" and cell.name in results]
    if calibrated:
        parts.append(f"**{CALIBRATION_TITLE}**\n\n{_calibration(calibrated, results)}")
    return "\n\n".join(parts)


def _table(cells: Sequence[Cell], columns: Sequence[Column], results: Blocks) -> str:
    head = ["world", "policy", *(name for name, _ in columns), "runs"]
    rows = []
    for cell in sorted(cells, key=lambda cell: _first_place(cell, cells)):
        found = Found(results[cell.name].values())
        runs = len(results[cell.name]) * cell.block
        rows.append([_says(cell), cell.policy, *(show(found) for _, show in columns), f"{runs:,}"])
    return _lines(head, rows)


def _first_place(cell: Cell, cells: Sequence[Cell]) -> int:
    """Sort a world's policies together, worlds in the order in which they are first named."""
    return next(place for place, other in enumerate(cells) if other.world == cell.world)


def _says(cell: Cell) -> str:
    said = {world.key: f"{world.key}: {world.says}" for world in WORLDS}
    return said.get(cell.world, cell.world) if cell.table == "regret" else cell.world


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruled = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


# --- Numbers in words --------------------------------------------------------------------------------------------


def _mean(measure: str, digits: int) -> Callable[[Found], str]:
    def show(found: Found) -> str:
        values = found[measure]
        values = values[np.isfinite(values)]
        if not len(values):
            return "–"
        return f"{values.mean():.{digits}f} ± {values.std() / np.sqrt(len(values)):.{digits}f}"

    return show


def _percent(measure: str, digits: int = 1) -> Callable[[Found], str]:
    def show(found: Found) -> str:
        values = found[measure] * 100
        return f"{values.mean():.{digits}f}% ± {values.std() / np.sqrt(len(values)):.{digits}f}"

    return show


def _ninetieth(found: Found) -> str:
    return f"{np.quantile(found['regret'], 0.9):,.0f}"


def _errors_apart(found: Found) -> str:
    """Give the mean error in its own standard errors."""
    errors = found["error"]
    return f"{errors.mean() / (errors.std() / np.sqrt(len(errors))):+.1f}"


def _either(found: Found) -> str:
    declared = np.maximum(found["right"], found["wrong"]) * 100
    return f"{declared.mean():.2f}% ± {declared.std() / np.sqrt(len(declared)):.2f}"


TABLES: Final[Sequence[tuple[str, str, Sequence[Column]]]] = (
    (
        "regret",
        "Conversions lost against always showing the best",
        (
            ("lost", _mean("regret", 0)),
            ("÷ equal split", _mean("ratio", 3)),
            ("90th percentile", _ninetieth),
            ("right arm leads", _percent("right")),
            ("slope ÷ Lai–Robbins", _mean("slope", 2)),
        ),
    ),
    (
        "slope",
        "Slope of the loss over the last decade of visitors, easy gaps",
        (
            ("lost", _mean("regret", 0)),
            ("slope ÷ Lai–Robbins", _mean("slope", 2)),
            ("right arm leads", _percent("right")),
        ),
    ),
    (
        "delay",
        "World C with conversions that take their time (exponential)",
        (
            ("lost", _mean("regret", 0)),
            ("÷ equal split", _mean("ratio", 3)),
            ("90th percentile", _ninetieth),
            ("right arm leads", _percent("right")),
        ),
    ),
    (
        "genes",
        "200 arms of 4 slots × 5 options, mean 3%, sd 0.6 points, 50k visitors in batches of 500",
        (("conversions over equal split", _percent("gain")), ("÷ equal split", _mean("ratio", 3))),
    ),
    (
        "lift",
        "Reported lift, 2 arms, truly +10%, 14 days, shares moving: corrected, and as pooled counts have it",
        (
            ("error, points", _percent("error")),
            ("95% interval covers", _percent("covered")),
            ("pooled: error", _percent("pooled error")),
            ("pooled: covers", _percent("pooled covered")),
            ("replay covers", _percent("replay covered")),
        ),
    ),
    (
        "A/A",
        "All arms equal, a look every hour for 14 days: a winner was declared",
        (("right (last arm)", _percent("right", 2)), ("any other", _percent("wrong", 2)), ("either", _either)),
    ),
    (
        "power",
        "One arm better, a look every hour for 14 days, 100k visitors: a winner was declared",
        (("right", _percent("right")), ("wrong", _percent("wrong", 2)), ("mean day", _mean("day", 1))),
    ),
    (
        "split",
        "Sample ratio, a look every hour for 14 days, shares moving twice a day, visitors of one arm lost: an alarm",
        (("alarms", _percent("alarm", 2)),),
    ),
    (
        "proof",
        "A winner chosen by the bandit, then a proof round of 40,000 visitors",
        (
            ("error of the bandit's lift, points", _percent("chosen error", 2)),
            ("error of the proof's lift, points", _percent("error", 2)),
            ("in standard errors", _errors_apart),
            ("proof's 95% interval covers", _percent("covered")),
        ),
    ),
)
CALIBRATION_TITLE: Final = "How often an arm is best, by what probability best said (rates drawn from the prior)"


def _calibration(cells: Sequence[Cell], results: Blocks) -> str:
    head = ["said", *(cell.world for cell in cells)]
    columns = [_deciles(Found(results[cell.name].values())) for cell in cells]
    rows = [
        [f"{decile / DECILES:.0%} to {(decile + 1) / DECILES:.0%}", *(column[decile] for column in columns)]
        for decile in range(DECILES)
    ]
    return _lines(head, rows)


def _deciles(found: Found) -> list[str]:
    """Give, for each tenth of what was said, how far it was off: was minus said, in points."""
    said, was = found["said"], found["was"]
    place = np.minimum((said * DECILES).astype(int), DECILES - 1)
    return [_off(said[place == decile], was[place == decile]) for decile in range(DECILES)]


def _off(said: Floats, was: Floats) -> str:
    if not len(said):
        return "–"
    off = (was - said) * 100
    return f"{off.mean():+.1f} ± {off.std() / np.sqrt(len(off)):.1f} ({len(off):,})"
