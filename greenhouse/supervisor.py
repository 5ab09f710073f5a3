"""Run the processes of a Procfile as one, with Redis under them.

    Redis ──▶ web ──▶ release ──▶ worker, model, beat       Redis is stopped when all others are gone

The web server comes before the release: visitors need no database, so they do not wait for its migration.

A process that dies is started again, at once the first time. What it left behind is killed first: a worker of a dead
web server would keep the port and serve on unwatched. Every process leads a group of its own, so that Ctrl-C reaches
the supervisor alone and the order of stopping is ours: a Redis that goes before the workers fails their last tasks.

Output goes to one rotated file per process; the terminal sees errors, warnings that somebody can act on, and what the
supervisor does.
"""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

TICK_SECONDS = 0.05
STOP_SECONDS = 15.0  # from asking a process to stop until killing it; Kubernetes gives 30, Docker 10
OUTPUT_END_SECONDS = 2.0  # for the last words of a killed group, and for its sockets to be closed
STEADY_SECONDS = 10.0  # who lived that long, or was killed from outside, did not fail by starting
LONGEST_BACK_OFF_SECONDS = 15.0
FIRST_BACK_OFF_SECONDS = 0.5
LOG_BYTES = 10 * 1024 * 1024
LOG_FILES_KEPT = 3
LINES_OF_REASON = 5  # of a failed release, for the terminal
# Nobody at the terminal can act on a visitor's wrong address or form (Django warns of every 4xx), on what a library
# will change one day, or on Granian's threads beyond the cores "which you can safely ignore": they are for requests
# that wait.
NOTEWORTHY = re.compile(
    r"(?<![%@])\b(?:(?:ERROR|CRITICAL|FATAL)\b"
    r"|WARNING\b(?! django\.(?:request|security)\b)(?!.*(?:safely ignore|DeprecationWarning)))"
)
LEASH = Path(__file__).with_name("leash.py")

Say = Callable[[str], None]


class ReleaseFailed(Exception):
    """The release command ended with an error, so what needs its work cannot be started."""


class BadProcfile(Exception):
    """A line of the Procfile is not `name: command`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A process as the Procfile names it."""

    name: str
    command: Sequence[str]
    is_quiet: bool = False  # its warnings are for its log alone


def read_procfile(text: str) -> list[Program]:
    """Return the programs in their order; each command is run by the shell, for its variables."""
    programs = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, command = line.partition(":")
        if not colon or not re.fullmatch(r"[a-z][a-z0-9_-]*", name) or not command.strip():
            raise BadProcfile(f"not `name: command`: {line!r}")
        programs.append(Program(name=name, command=["sh", "-c", command.strip()]))
    return programs


def back_off_seconds(failures: int) -> float:
    """Return how long to wait before the next start: not at all after the first failure, then ever longer."""
    if failures <= 1:
        return 0.0
    return min(FIRST_BACK_OFF_SECONDS * 2.0 ** (failures - 2), LONGEST_BACK_OFF_SECONDS)


class Child:
    """One program, kept alive."""

    def __init__(self, program: Program, *, environ: Mapping[str, str], log_dir: Path, say: Say) -> None:
        self.name = program.name
        self.restarts = 0
        self._program = program
        self._environ = environ
        self._say = say
        self._log_handler = _log_handler(log_dir / f"{self.name}.log")
        # A logger of our own, outside the tree that Django configures.
        self._log = logging.Logger(self.name)
        self._log.addHandler(self._log_handler)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._started = 0.0  # by the monotonic clock
        self._failures = 0  # in a row: ended by itself soon after it started
        self._due = 0.0  # when to start again, by the monotonic clock
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        self._process = subprocess.Popen(
            [*leash, *self._program.command],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._started = time.monotonic()
        self._reader = threading.Thread(target=self._read, args=[self._process], name=f"read-{self.name}", daemon=True)
        self._reader.start()

    def tend(self) -> None:
        """Start again what has died, when it is due."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._bury(self._process)
        if time.monotonic() >= self._due:
            self.restarts += 1
            self.start()

    def ask_to_stop(self) -> None:
        self._is_stopping = True
        if self._process is not None:
            self._process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait until it has ended; at the deadline, by the monotonic clock, kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._say(f"{self.name} did not stop in time and is killed")
        self._kill_group(self._process)
        self._process = None
        self._log_handler.close()

    def _bury(self, process: "subprocess.Popen[str]") -> None:
        self._kill_group(process)
        self._process = None
        lived_seconds = time.monotonic() - self._started
        was_killed = process.returncode < 0
        self._failures = 0 if was_killed or lived_seconds >= STEADY_SECONDS else self._failures + 1
        wait_seconds = back_off_seconds(self._failures)
        self._due = time.monotonic() + wait_seconds
        when = f"in {wait_seconds:g} s" if wait_seconds else "now"
        log = self._log_handler.baseFilename
        self._say(f"{self.name} {_ending(process.returncode)} and is started again {when} (its log: {log})")

    def _kill_group(self, process: "subprocess.Popen[str]") -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # The pipe ends when the last of the group is gone: only then is the port free.
        if self._reader is not None:
            self._reader.join(OUTPUT_END_SECONDS)

    def _read(self, process: "subprocess.Popen[str]") -> None:
        if process.stdout is None:  # unreachable: a pipe was asked for
            return
        with process.stdout as output:
            for line in output:
                text = line.rstrip("\n")
                self._log.info("%s | %s", self.name, text)
                if NOTEWORTHY.search(text) and not self._program.is_quiet and not self._is_stopping:
                    self._say(f"{self.name} | {text}")


class Supervisor:
    """Starts, tends and stops everything. `stop` may be called from any thread and from a signal's handler."""

    def __init__(self, *, environ: Mapping[str, str], log_dir: Path, say: Say) -> None:
        self.stopping = threading.Event()
        self.children: list[Child] = []  # in order of starting
        self._environ = environ
        self._log_dir = log_dir
        self._say = say
        log_dir.mkdir(parents=True, exist_ok=True)

    def start(self, program: Program) -> Child:
        child = Child(program, environ=self._environ, log_dir=self._log_dir, say=self._say)
        child.start()
        self.children.append(child)
        return child

    def release(self, program: Program) -> None:
        """Run a program to its end, before anything that needs its work."""
        done = subprocess.run(
            program.command, env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        log = self._log_dir / f"{program.name}.log"
        log.write_text(done.stdout + done.stderr)
        if done.returncode:
            reason = "\n".join(done.stderr.rstrip().splitlines()[-LINES_OF_REASON:])
            raise ReleaseFailed(f"{program.name} failed; all it said is in {log}:\n{reason}")

    def stop(self) -> None:
        self.stopping.set()

    def tend_until_stopped(self) -> None:
        while not self.stopping.wait(TICK_SECONDS):
            for child in self.children:
                child.tend()

    def stop_all(self, *, last: Child | None, seconds: float = STOP_SECONDS) -> None:
        """Ask everything to stop, wait, kill what does not; `last` is asked when all others are gone."""
        first = [child for child in self.children if child is not last]
        for group in (first, [last] if last else []):
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + seconds
            for child in group:
                child.wait(deadline)


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with code {returncode}"


def _log_handler(path: Path) -> RotatingFileHandler:
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES_KEPT, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler
