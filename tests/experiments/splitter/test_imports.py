"""The visitor tier stands on the standard library, redis and one data package."""

import subprocess
import sys
from pathlib import Path

FOREIGN = {"django", "celery", "numpy", "scipy", "pydantic", "structlog"}


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=180)


def test_a_fresh_interpreter_loads_nothing_of_the_console(tmp_path: Path):
    program = (
        "import sys, experiments.splitter.wsgi as tier; tier.application.close();"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    nobody = "redis://127.0.0.1:1/0"
    folders = {"JOURNAL_DIR": str(tmp_path / "journal"), "SNAPSHOT_DIR": str(tmp_path / "snapshot")}
    found = run(program, SECRET_KEY="k", REDIS_URL=nobody, **folders)
    loaded = set(found.stdout.split())
    assert {"redis", "crawleruseragents", "experiments"} <= loaded
    assert FOREIGN & loaded == set()


def test_the_visitor_tier_alone_names_the_setting_it_lacks():
    found = run("import experiments.splitter.wsgi")
    assert found.returncode == 1
    assert found.stderr == "greenhouse: SECRET_KEY is not set: cookies cannot be signed without it\n"
