"""Bring the whole of Greenhouse up in one folder, and say so when everything answers.

What a first start makes lies in the state folder, readable by its owner alone: `secret_key`, `admin_password` and
`api_token`, so that later starts print the same ones. While it runs, `url` holds its address, for other commands.
"""

import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from experiments.models import APIToken
from experiments.tokens import new_token, token_digest
from greenhouse import embedded_redis
from greenhouse.celery import app as celery
from greenhouse.environment import BASE_DIR, Environment
from greenhouse.run import Program
from greenhouse.server import BACKLOG
from greenhouse.supervisor import Supervisor, read_procfile

USERNAME = "admin"
OWNER_ONLY = 0o600
SECRET_BYTES = 32
PASSWORD_BYTES = 12  # 96 bits, 16 characters
REQUEST_SECONDS = 5.0
PING_SECONDS = 0.5
ASK_AGAIN_SECONDS = 0.1
SAY_AGAIN_SECONDS = 10.0
LOOPBACK = "127.0.0.1"
WORKERS = {"worker", "model"}


class Stopped(Exception):
    """It was told to stop before everything answered."""


class CannotStart(Exception):
    """Something outside Greenhouse stands in the way; the message says what and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What somebody needs to know to begin."""

    url: str
    console: str
    username: str
    password: str
    token: str


Work = Callable[[Welcome, Supervisor], None]


def say(line: str) -> None:
    """Print a line at once, whole even when several threads speak. That nobody reads any more stops nothing."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # As Python's documentation of SIGPIPE advises: else its own flush at the end fails once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def announce(word: str, values: object) -> None:
    """Print `WORD {json}` on one line, for programs that wait for it."""
    say(f"{word} {json.dumps(values)}")


def ensure_secret_key(state_dir: Path) -> None:
    """Make the folder's key at the first start. Settings were read without it, so the program begins anew."""
    if settings.SECRET_KEY_IS_SET:
        return
    keep(state_dir / "secret_key", lambda: secrets.token_urlsafe(SECRET_BYTES * 2))
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - no shell is wanted


def keep(path: Path, make: Callable[[], str]) -> str:
    """Return what the file holds; if there is none, make it, for its owner's eyes only."""
    if path.is_file():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    value = make()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
        file.write(f"{value}\n")
    return value


@contextmanager
def address_told(state_dir: Path, url: str) -> Iterator[None]:
    """Keep the address in the folder's `url`, so that `manage.py simulate` needs neither PORT nor PUBLIC_URL."""
    path = state_dir / "url"
    path.unlink(missing_ok=True)  # one that was killed could not remove its own
    keep(path, lambda: url)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def run(work: Work) -> None:
    """Start everything, call `work` once everything answers, and stay up until told to stop."""
    environment = settings.ENVIRONMENT
    # The terminal is for the supervisor; what product code says in this process would look like an answer to somebody.
    logging.getLogger().setLevel(logging.WARNING)
    ensure_secret_key(settings.STATE_DIR)
    with (
        only_one(settings.STATE_DIR),
        address_told(settings.STATE_DIR, settings.PUBLIC_URL),
        listening_socket(os.environ.get("HOST") or LOOPBACK, environment.port) as listener,
    ):
        supervisor = Supervisor(environ=child_environ(environment), log_dir=settings.STATE_DIR / "log", say=say)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: supervisor.stop())
        signal.signal(signal.SIGUSR2, lambda *_: supervisor.renew())
        redis = None if environment.redis_url else supervisor.start(redis_program())
        try:
            with suppress(Stopped):
                start_programs(supervisor, listener)
            tend(supervisor, lambda: work(welcome(supervisor), supervisor))
        finally:
            say("Stopping …")
            listener.close()  # else connections would wait for an answer that nobody will give
            supervisor.stop_all(last=redis)
    say("Stopped.")


def tend(supervisor: Supervisor, work: Callable[[], None]) -> None:
    """Keep everything running beside `work`; a failure of the work stops everything and is raised here."""
    with ThreadPoolExecutor(1, "work") as executor:
        future = executor.submit(work)
        future.add_done_callback(lambda done: supervisor.stop() if done.exception() else None)
        supervisor.tend_until_stopped()
    with suppress(Stopped):
        future.result()


def start_programs(supervisor: Supervisor, listener: socket.socket) -> None:
    programs = {program.name: program for program in read_procfile((BASE_DIR / "Procfile").read_text())}
    release = programs.pop("release")
    supervisor.start(replace(programs.pop("web"), listener=listener))
    supervisor.release(release)
    # Before it has read its data, Redis refuses tasks; before it answers at all, a worker complains loudly.
    wait_until("Redis", lambda: embedded_redis.answers(settings.REDIS_URL), supervisor)
    for program in programs.values():
        supervisor.start(program)


def redis_program() -> Program:
    # It warns of kernel settings that matter to large servers. What matters here, /readyz reports.
    return Program(name="redis", command=embedded_redis.command(settings.STATE_DIR), is_quiet=True, is_lasting=True)


def child_environ(environment: Environment) -> dict[str, str]:
    """Return the environment of all processes, with everything spelled out that has a default in settings."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "greenhouse.settings",
        "SECRET_KEY": settings.SECRET_KEY,
        "STATE_DIR": str(settings.STATE_DIR.absolute()),
        "REDIS_URL": settings.REDIS_URL,
        "JOURNAL_DIR": str(settings.JOURNAL_DIR.absolute()),
        "SNAPSHOT_DIR": str(settings.SNAPSHOT_DIR.absolute()),
        "PORT": str(environment.port),
        "WEB_WORKERS": str(environment.web_workers),
        "WEB_THREADS": str(environment.web_threads),
    }


@contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it when this process ends, however it ends."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise CannotStart(
                f"Greenhouse is already running in {state_dir} (process {lock.read().strip() or 'unknown'}). "
                "Stop it first, or set STATE_DIR to another folder and PORT to another number."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """Open the socket that all runs of the web server answer; while none runs, connections wait in its queue."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotStart(
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another one, such as PORT={port + 1}."
        ) from error


def welcome(supervisor: Supervisor) -> Welcome:
    """Wait until everything answers, then return what to tell whoever started it."""
    port = settings.ENVIRONMENT.port
    wait_until("the web process (1 of 3)", lambda: page_answers(port, "/readyz"), supervisor, lambda: unready(port))
    wait_until("the console (2 of 3)", lambda: page_answers(port, "/console/login/"), supervisor)
    wait_until("the workers (3 of 3)", workers_answer, supervisor)
    try:
        user, password = ensure_admin(settings.STATE_DIR)
        token = ensure_token(user, settings.STATE_DIR)
    finally:
        connection.close()
    url = settings.PUBLIC_URL
    return Welcome(url=url, console=f"{url}/console/", username=USERNAME, password=password, token=token)


def wait_until(
    what: str, is_so: Callable[[], bool], supervisor: Supervisor, how_far: Callable[[], str] = lambda: "it is starting"
) -> None:
    """Ask until it is so; say what is still missing now and then. Raise Stopped when told to stop meanwhile."""
    say_at = time.monotonic() + SAY_AGAIN_SECONDS
    while not is_so():
        if supervisor.stopping.wait(ASK_AGAIN_SECONDS):
            raise Stopped
        if time.monotonic() >= say_at:
            say(
                f"Still waiting for {what}: {how_far()}. It goes on by itself; logs are in {settings.STATE_DIR / 'log'}"
            )
            say_at += SAY_AGAIN_SECONDS


def page_answers(port: int, path: str) -> bool:
    """Tell whether the page is there, or sends browsers on to TLS, which is somebody else's to provide."""
    status, _ = _asked(port, path)
    return status == HTTPStatus.OK or (settings.OVER_TLS and status == HTTPStatus.MOVED_PERMANENTLY)


def unready(port: int) -> str:
    """Say why the web process does not serve visitors yet, in its own words where it has any."""
    status, document = _asked(port, "/readyz")
    if status != HTTPStatus.SERVICE_UNAVAILABLE:
        return "it is loading"
    try:
        return ", ".join(json.loads(document)["reasons"])
    except (ValueError, KeyError):  # of something before it
        return "it is loading"


def _asked(port: int, path: str) -> tuple[int | None, bytes]:
    """Return status and body of an answer; None where there is none."""
    host = urlsplit(settings.PUBLIC_URL).netloc
    server = HTTPConnection(os.environ.get("HOST") or LOOPBACK, port, timeout=REQUEST_SECONDS)
    try:
        server.request("GET", path, headers={"Host": host})
        answer = server.getresponse()
        return answer.status, answer.read()
    except (HTTPException, OSError):
        return None, b""
    finally:
        server.close()


def workers_answer() -> bool:
    answers = celery.control.ping(timeout=PING_SECONDS)
    return {name.partition("@")[0] for answer in answers or [] for name in answer} >= WORKERS


def ensure_admin(state_dir: Path) -> tuple[User, str]:
    """Return the first user, made at the first start, and the password it was given then."""
    password = keep(state_dir / "admin_password", lambda: secrets.token_urlsafe(PASSWORD_BYTES))
    user = User.objects.filter(username=USERNAME).first()
    if user is None:
        user = User.objects.create_superuser(USERNAME, password=password)
    return user, password


def ensure_token(user: User, state_dir: Path) -> str:
    token = keep(state_dir / "api_token", new_token)
    APIToken.objects.get_or_create(digest=token_digest(token), defaults={"user": user})
    return token
