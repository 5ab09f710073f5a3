"""`manage.py evolution_study`: let pages breed in known worlds and write what was found into docs/evolution.md.

Results are kept as those of the bandit study are: a study that is stopped goes on where it was, and a change of the
arithmetic makes its results stale.
"""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from experiments import bandit, credit, evolution_proving, evolution_tables, evolution_worlds, evolving, pooling
from experiments.management.commands.bandit_study import PATIENT, Store, fingerprint, missing, write_between
from experiments.proving import Measurements
from variants import breeding

MODULES = (bandit, breeding, credit, evolution_proving, evolution_worlds, evolving, pooling)
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
        store = Store(options["out"] / "runs.jsonl")
        store.code = fingerprint(SOURCES)
        self._compute(store, options["runs"], workers=options["workers"], seconds=options["minutes"] * 60)
        write_between(options["document"], evolution_tables.markdown(store.read()))

    def _compute(self, store: Store, runs: int, *, workers: int, seconds: float) -> None:
        pending = missing(evolution_proving.cells(runs), store.read())
        self.stdout.write(f"{len(pending)} blocks to compute")
        started = time.monotonic()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=os.nice, initargs=(PATIENT,)) as pool:
            futures = {pool.submit(compute, runs, *block): block for block in pending}
            for done in as_completed(futures):
                store.add(*futures[done], done.result())
                if seconds and time.monotonic() - started > seconds:
                    pool.shutdown(cancel_futures=True)
                    self.stdout.write("stopped; the rest is computed next time")
                    return


def compute(runs: int, name: str, number: int) -> Measurements:
    """Compute one block. By name: worlds hold functions, which do not travel between processes."""
    return next(cell for cell in evolution_proving.cells(runs) if cell.name == name).compute(number)
