"""`manage.py check`: each fault of the environment is a message with a way out, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenhouse.environment import BASE_DIR

GOOD = {"SECRET_KEY": "a-key-that-is-long-enough-to-sign-with-0123456789abcdef"}


def check(tmp_path: Path, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={"PATH": os.environ["PATH"], "STATE_DIR": str(tmp_path), **GOOD, **environ},
        cwd=BASE_DIR, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environ", "identifier", "words"),
    [
        ({"SECRET_KEY": ""}, "greenhouse.E002", "SECRET_KEY is not set"),
        ({"PORT": "eighty"}, "greenhouse.E001", "PORT"),
        ({"VISITOR_RATE_PER_SECOND": "many"}, "greenhouse.E001", "VISITOR_RATE_PER_SECOND"),
        ({"PUBLIC_URL": "pages.example.com"}, "greenhouse.E003", "such as https://pages.example.com"),
        ({"PUBLIC_URL": "http://pages.example.com", "DEBUG": "true"}, "greenhouse.E004", "Unset DEBUG"),
        ({"REDIS_URL": "http://127.0.0.1"}, "greenhouse.E005", "redis://"),
        ({"DATABASE_URL": "nonsense"}, "greenhouse.E001", "DATABASE_URL"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "greenhouse.W001", "OPENAI_MODEL"),
        ({"PUBLIC_URL": "https://pages.example.com"}, "greenhouse.W002", "TRUSTED_PROXY_COUNT"),
        ({"SHARES_CHANGE_EVERY_SECONDS": "5"}, "greenhouse.W003", "REVIEW_EVERY_SECONDS"),
    ],
)
def test_a_fault_is_named_with_what_to_do(tmp_path, environ, identifier, words):
    output = check(tmp_path, **environ)
    assert identifier in output
    assert words in output


def test_nothing_is_said_of_an_environment_in_order(tmp_path):
    proxied = {"PUBLIC_URL": "https://pages.example.com", "TRUSTED_PROXY_COUNT": "1"}
    assert "no issues" in check(tmp_path, **proxied)
