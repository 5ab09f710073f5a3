"""`manage.py check`: each fault of the environment is a message with a way out, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenhouse.environment import BASE_DIR, Environment, database

GOOD = {"SECRET_KEY": "a-key-that-is-long-enough-to-sign-with-0123456789abcdef"}


def manage(tmp_path: Path, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "manage.py", command],
        env={"PATH": os.environ["PATH"], "STATE_DIR": str(tmp_path), **GOOD, **environ},
        cwd=BASE_DIR, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def check(tmp_path: Path, **environ: str) -> str:
    done = manage(tmp_path, "check", **environ)
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
        ({"REDIS_URL": "redis+cluster://127.0.0.1:7000"}, "greenhouse.E005", "Set STORE_URL to the cluster"),
        ({"STORE_URL": "http://127.0.0.1"}, "greenhouse.E006", "redis+cluster://"),
        ({"STORE_URL": "redis+cluster://127.0.0.1:7000/3"}, "greenhouse.E001", "STORE_URL"),
        ({"JOURNAL_SHARDS": "17"}, "greenhouse.E001", "JOURNAL_SHARDS"),
        ({"DATABASE_URL": "nonsense"}, "greenhouse.E001", "DATABASE_URL"),
        ({"DATABASE_URL": "mysql://me:pass@host/x"}, "greenhouse.E001", "mysql:// is not supported"),
        ({"WEB_WORKERS": "0"}, "greenhouse.E001", "WEB_WORKERS"),
        ({"EMAIL_URL": "mail.example.com"}, "greenhouse.E001", "smtp+tls://user:password@"),
        ({"TIME_ZONE": "Mars/Olympus"}, "greenhouse.E001", "such as Europe/Berlin"),
        ({"WEB_THREADS": "abc"}, "greenhouse.E001", "WEB_THREADS"),
        ({"SECRET_KEY": "short"}, "greenhouse.W004", "at least 32"),
        ({"CHROMIUM": "/nowhere/chromium"}, "greenhouse.W006", "there is no such program"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "greenhouse.W001", "OPENAI_MODEL"),
        ({"PUBLIC_URL": "https://pages.example.com"}, "greenhouse.W002", "TRUSTED_PROXY_COUNT"),
        ({"PAGES_HOST": "http://pages.example.net/"}, "greenhouse.E007", "not the name of a host"),
        ({"PAGES_HOST": "pages.example.net:999999999"}, "greenhouse.E007", "not the name of a host"),
        ({"PAGES_HOST": "127.0.0.1"}, "greenhouse.E007", "so is the console's"),
        ({"PAGES_HOST": "LOCALHOST:8000"}, "greenhouse.E007", "so is the console's"),
        (
            {"PAGES_HOST": "pages.example.com", "PUBLIC_URL": "http://console.example.com"},
            "greenhouse.W005",
            "they can set cookies",
        ),
        ({"SHARES_CHANGE_EVERY_SECONDS": "5"}, "greenhouse.W003", "REVIEW_EVERY_SECONDS"),
    ],
)
def test_a_fault_is_named_with_what_to_do(tmp_path, environ, identifier, words):
    output = check(tmp_path, **environ)
    assert identifier in output
    assert words in output


@pytest.mark.parametrize("scheme", ["sqlite", "postgres", "postgresql", "pgsql"])
def test_the_databases_it_runs_on_are_not_refused(scheme):
    problems: list[str] = []
    database(Environment(database_url=f"{scheme}:///name"), problems)
    assert problems == []


def test_a_refused_database_is_told_without_its_password(tmp_path):
    assert "geheim" not in check(tmp_path, DATABASE_URL="mysql://me:geheim@host/name")


@pytest.mark.parametrize(
    ("command", "environ", "words"),
    [
        ("up", {"PORT": "abc"}, "PORT"),
        ("up", {"WEB_THREADS": "0"}, "WEB_THREADS"),
        ("up", {"STATE_DIR": "/proc/nowhere"}, "cannot be made"),
        ("up", {"DATABASE_URL": "mysql://x"}, "mysql:// is not supported"),
        ("demo", {"PORT": "abc"}, "PORT"),
        ("demo", {"VISITORS": "abc"}, "VISITORS must be a whole number"),
        ("demo", {"VISITORS": "-1"}, "VISITORS must be a whole number"),
        ("demo", {"VARIANTS": "0"}, "VARIANTS must be a whole number"),
    ],
)
def test_nothing_starts_on_a_fault(tmp_path, command, environ, words):
    done = manage(tmp_path, command, SECRET_KEY="", **environ)
    assert done.returncode == 1
    assert words in done.stderr
    assert "SECRET_KEY" not in done.stderr
    assert not (tmp_path / "secret_key").exists()


def test_nothing_is_said_of_an_environment_in_order(tmp_path):
    proxied = {"PUBLIC_URL": "https://pages.example.com", "TRUSTED_PROXY_COUNT": "1"}
    assert "no issues" in check(tmp_path, **proxied)
