"""Generations and budgets on PostgreSQL, whatever database the suite runs on."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LONGEST_SECONDS = 300


def test_generations_and_their_budgets_are_the_same_on_postgresql(postgres_url: str):
    files = [str(HERE / name) for name in ("test_generation.py", "on_postgres.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env={**os.environ, "DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-5000:]
