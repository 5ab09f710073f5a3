"""Counting and retention on PostgreSQL, whatever database the suite runs on."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SAME_ON_BOTH = ("test_counting.py", "test_retention.py", "test_erasure.py")
LONGEST_SECONDS = 300


def test_what_is_counted_and_forgotten_is_the_same_on_postgresql(postgres_url: str):
    files = [str(HERE / name) for name in (*SAME_ON_BOTH, "on_postgres.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env={**os.environ, "DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-5000:]
