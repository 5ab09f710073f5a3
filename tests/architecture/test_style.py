"""The house's measures of itself."""

import ast
from itertools import chain
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("greenhouse", "experiments", "variants")
LONGEST = 60
NINE_IN_TEN = 35
TYPICAL = 10
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "services.py", "common.py", "misc.py"}


def sources() -> list[Path]:
    found = chain.from_iterable((ROOT / package).rglob("*.py") for package in PACKAGES)
    return [path for path in found if "migrations" not in path.parts]


def function_lengths() -> dict[str, int]:
    lengths = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lengths[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = node.end_lineno - node.lineno + 1
    return lengths


def test_functions_are_short():
    lengths = function_lengths()
    assert [name for name, length in lengths.items() if length > LONGEST] == []
    assert median(lengths.values()) <= TYPICAL
    assert quantiles(lengths.values(), n=10)[-1] <= NINE_IN_TEN


def test_no_module_is_a_drawer_for_everything():
    assert [path.name for path in sources() if path.name in FORBIDDEN_NAMES] == []
