"""One way of writing numbers, wherever the product speaks: 4%, not 4 %."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPACED = re.compile(r"[0-9] %(?![a-z(}%])")
PACKAGES = ("experiments", "greenhouse", "variants")


def texts_of(path: Path) -> Iterator[str]:
    """Yield the strings of a module with every inserted value as 0, without docstrings: those are for us."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_of_the_product_sets_a_percent_sign_apart(package: str):
    found = [(path.name, text) for path in (ROOT / package).rglob("*.py") for text in texts_of(path)]
    assert len(found) > 100
    assert [(name, text) for name, text in found if SPACED.search(text)] == []


def test_no_template_sets_a_percent_sign_apart():
    values = re.compile(r"\{\{.*?\}\}")
    found = [path for kind in ("html", "js") for path in (ROOT / "templates").rglob(f"*.{kind}")]
    assert [path.name for path in found if SPACED.search(values.sub("0", path.read_text("utf-8")))] == []


def test_the_rule_finds_what_it_is_for():
    assert SPACED.search("gets 10 % of new visitors")
    assert not SPACED.search("{% if 1 %}10% of 100 %(count)s")
