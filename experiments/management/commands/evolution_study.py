"""`manage.py evolution_study`: let pages breed in known worlds and write what was found into docs/evolution.md.

Results are kept as those of the bandit study are: a study that is stopped goes on where it was, and a change of the
arithmetic makes its results stale.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from experiments import bandit, credit, evolving, pooling
from experiments.management.commands.bandit_study import Store, compute_missing, write_between
from experiments.study import evolution_limits, evolution_proving, evolution_tables, evolution_worlds
from experiments.study.proving import Measurements
from variants import breeding

MODULES = (bandit, breeding, credit, evolution_limits, evolution_proving, evolution_worlds, evolving, pooling)
SOURCES = [Path(str(module.__file__)) for module in MODULES]
DOCUMENT = Path("docs/evolution.md")
RUNS = 100


class Command(BaseCommand):
    help = (
        "Measure what breeding earns in known worlds. It may be stopped and goes on where it was. Tables are written "
        "into docs/evolution.md exactly as they were computed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=int, default=RUNS, help=f"of each world; {RUNS} unless given")
        parser.add_argument("--out", type=Path, default=settings.STATE_DIR / "evolution_study", help="results' folder")
        parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
        parser.add_argument("--minutes", type=float, default=0.0, help="stop after about this long; 0 for never")
        parser.add_argument("--document", type=Path, default=settings.BASE_DIR / DOCUMENT)

    def handle(self, *_args: object, **options: Any) -> None:
        runs = options["runs"]
        store = Store(options["out"] / "runs.jsonl", SOURCES)
        compute_missing(evolution_proving.cells(runs), partial(compute, runs), store, options, tell=self.stdout.write)
        write_between(options["document"], evolution_tables.markdown(store.read()))


def compute(runs: int, name: str, number: int) -> Measurements:
    """Compute one block. By name: worlds hold functions, which do not travel between processes."""
    return next(cell for cell in evolution_proving.cells(runs) if cell.name == name).compute(number)
