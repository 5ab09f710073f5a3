"""`manage.py bandit_study`: run the bandit and its rivals in known worlds and write what was found into docs/bandit.md.

Results are kept as JSON lines, one per block of runs, with a fingerprint of the code that computed them. A study that
is stopped goes on where it was; a change of the arithmetic makes its results stale, and they are computed anew.
"""

import ast
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments import bandit, delay, inference, pooling, simulation
from experiments.study import figures, proving, tables
from experiments.study.proving import Cell, Measurements, Size

SOURCES = [Path(str(module.__file__)) for module in (bandit, delay, inference, pooling, simulation, proving)]
DOCUMENT = Path("docs/bandit.md")
FIGURES = "pictures"  # beside the document
START, END = "<!-- study: start -->", "<!-- study: end -->"
PATIENT = 19  # a study takes the processor nobody else wants

type Results = dict[str, dict[int, Measurements]]  # by cell and block


class Command(BaseCommand):
    help = (
        "Measure regret and evidence in known worlds. The short form takes minutes; --full may be stopped and goes on "
        "where it was. Tables are written into docs/bandit.md exactly as they were computed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--full", action="store_true", help="many more runs, hours of computing")
        parser.add_argument("--only", default="", metavar="PART", help="compute only cells whose name contains this")
        parser.add_argument("--out", type=Path, default=settings.STATE_DIR / "bandit_study", help="results' folder")
        parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
        parser.add_argument("--minutes", type=float, default=0.0, help="stop after about this long; 0 for never")
        parser.add_argument("--document", type=Path, default=settings.BASE_DIR / DOCUMENT)

    def handle(self, *_args: object, **options: Any) -> None:
        form = "full" if options["full"] else "short"
        size = proving.FULL if options["full"] else proving.SHORT
        cells = list(_cells(size).values())
        store = Store(options["out"] / f"{form}.jsonl")
        wanted = [cell for cell in cells if options["only"] in cell.name]
        if not wanted:
            raise CommandError(f"No cell's name contains {options['only']!r}.")
        compute_missing(wanted, partial(compute, size), store, options, tell=self.stdout.write)
        results = store.read()
        drawn = figures.figures(cells, results)
        folder = options["document"].parent / FIGURES
        for figure in drawn:
            folder.mkdir(exist_ok=True)
            (folder / figure.file).write_text(figure.svg)
        shown = [f"![{figure.title}]({FIGURES}/{figure.file})" for figure in drawn]
        write_between(options["document"], "\n\n".join([tables.markdown(form, cells, results), *shown]))


@cache
def _cells(size: Size) -> dict[str, Cell]:
    return {cell.name: cell for cell in proving.cells(size)}


def compute(size: Size, name: str, number: int) -> Measurements:
    """Compute one block. By name: worlds hold functions, which do not travel between processes."""
    return _cells(size)[name].compute(number)


def compute_missing(
    cells: Iterable[Cell],
    compute_block: Callable[[str, int], Measurements],
    store: "Store",
    options: Mapping[str, Any],
    *,
    tell: Callable[[str], object],
) -> None:
    """Compute the blocks that the store has not, on `options["workers"]` processes for about `options["minutes"]`."""
    pending, seconds = missing(cells, store.read()), options["minutes"] * 60
    tell(f"{len(pending)} blocks to compute")
    started = time.monotonic()
    # New processes, not forks of this one: whatever threads its libraries hold would be copied half.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options["workers"], mp_context=context, initializer=os.nice, initargs=(PATIENT,)) as pool:
        futures = {pool.submit(compute_block, *block): block for block in pending}
        for done in as_completed(futures):
            name, number = futures[done]
            store.add(name, number, done.result())
            tell(f"{time.monotonic() - started:6.0f} s  {name} {number}")
            if seconds and time.monotonic() - started > seconds:
                pool.shutdown(cancel_futures=True)
                tell("stopped; the rest is computed next time")
                return


def missing(cells: Iterable[Cell], known: Results) -> list[tuple[str, int]]:
    """Return the blocks not computed yet, the first of every cell first: a study ended early has something of all."""
    blocks = [(number, place, cell) for place, cell in enumerate(cells) for number in range(cell.blocks)]
    blocks.sort(key=lambda block: block[:2])
    return [(cell.name, number) for number, _, cell in blocks if number not in known.get(cell.name, {})]


class Store:
    """Results on disk, one JSON line per block."""

    def __init__(self, path: Path, sources: Iterable[Path] = SOURCES) -> None:
        self.path = path
        self.code = fingerprint(sources)

    def read(self) -> Results:
        """Return what the present code has computed."""
        found: Results = {}
        for line in self._lines():
            if line["code"] == self.code:
                found.setdefault(line["cell"], {})[line["block"]] = line["found"]
        return found

    def add(self, cell: str, block: int, found: Measurements) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"code": self.code, "cell": cell, "block": block, "found": found}) + "\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for line in self.path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # torn by a kill: that block is computed again


def fingerprint(sources: Iterable[Path] = SOURCES) -> str:
    """Return what changes with the code that results depend on; comments do nothing to a result."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(ast.dump(ast.parse(source.read_text())).encode())
    return digest.hexdigest()[:12]


def write_between(document: Path, text: str) -> None:
    """Replace what stands between the markers."""
    written = document.read_text()
    if START not in written or END not in written:
        raise CommandError(f"{document} has no {START} and {END} to write between.")
    before, _, rest = written.partition(START)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{START}\n{text}\n{END}{after}")
