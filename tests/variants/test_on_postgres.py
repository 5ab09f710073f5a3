"""Generations and budgets on PostgreSQL, whatever database the suite runs on."""

from pathlib import Path

from tests.servers import suite_on

FILES = ("test_generation.py", "test_recheck.py", "on_postgres.py")


def test_generations_and_their_budgets_are_the_same_on_postgresql(postgres_url: str):
    done = suite_on(postgres_url, Path(__file__).parent, FILES)
    assert done.returncode == 0, done.stdout[-5000:]
