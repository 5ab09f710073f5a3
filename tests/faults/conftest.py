"""One Greenhouse for the tests that may share one, and the figures of each ledger at the end of the run."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rig import Rig, running_rig
from tests.faults.verdict import Verdict
from tests.faults.visitors import Visitors
from tests.servers import find_postgres

HERE = Path(__file__).parent
SHORT_SECONDS = 2.0
IS_FULL = bool(os.environ.get("FAULT_SECONDS"))
PROPERTY = "ledger"

type Check = Callable[..., Verdict]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("faults")
    if not IS_FULL:
        unhurried = [item for item in items if item.get_closest_marker("unhurried")]
        config.hook.pytest_deselected(items=unhurried)
        items[:] = [item for item in items if item not in unhurried]


@pytest.fixture(scope="session")
def fault_seconds() -> float:
    """For how long a fault lasts: `make faults` says FAULT_SECONDS, the ordinary suite has little time."""
    return float(os.environ["FAULT_SECONDS"]) if IS_FULL else SHORT_SECONDS


@pytest.fixture(scope="package")
def _shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    if find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with running_rig(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def rig(_shared_rig: Rig) -> Rig:
    """A whole Greenhouse. Whoever breaks it leaves it running."""
    _shared_rig.mend()
    return _shared_rig


@pytest.fixture
def assert_exact(record_property: Callable[[str, object], None]) -> Check:
    """Return what waits for counting and fails unless everything answered was counted once, with the evidence."""

    def check(rig: Rig, visitors: Visitors, **figures: object) -> Verdict:
        verdict = rig.verdict(visitors)
        record_property(PROPERTY, json.dumps(figures | verdict.figures | {"wrong": verdict.numbers()}))
        assert verdict.is_clean, f"{verdict}\n{rig.evidence()}"
        return verdict

    return check


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, figures in report.user_properties if report.when == "call" else []:
            if name == PROPERTY:
                terminalreporter.write_line(f"{report.nodeid.rpartition('/')[2]} {figures}")
