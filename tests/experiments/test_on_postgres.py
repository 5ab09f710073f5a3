"""Counting, reading counts and retention on PostgreSQL, whatever database the suite runs on."""

from pathlib import Path

from tests.servers import suite_on

FILES = ("test_counting.py", "test_evidence.py", "test_retention.py", "test_erasure.py", "on_postgres.py")


def test_what_is_counted_and_forgotten_is_the_same_on_postgresql(postgres_url: str):
    done = suite_on(postgres_url, Path(__file__).parent, FILES)
    assert done.returncode == 0, done.stdout[-5000:]
