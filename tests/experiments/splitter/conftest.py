"""Fixtures of the visitor tier's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.splitter.planting import planted
from tests.experiments.splitter.serving import Browser, Site, serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running experiment with the arms control and v2, half of the traffic each."""
    with serving(tmp_path, planted()) as running:
        yield running


@pytest.fixture
def browser(site: Site) -> Browser:
    """A new visitor."""
    return site.browser()
