"""What an operator can set is written down where operators look."""

from pathlib import Path

import pytest

from greenhouse.environment import Environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("document", ["README.md", ".env.example"])
@pytest.mark.parametrize("name", [name.upper() for name in Environment.model_fields])
def test_every_setting_is_documented(name: str, document: str):
    assert name in (ROOT / document).read_text("utf-8")
