"""Run the processes of a Procfile as one, with Redis under them.

    Redis ──▶ web ──▶ release ──▶ worker, model, beat       Redis is stopped when all others are gone

The web server comes before the release: visitors need no database, so they do not wait for its migration.

A process that dies is started again, at once the first time. What it left behind is killed first, but for a program
that serves a socket of ours: connections wait in that socket's queue for the next run, which starts beside what is left
of the dead one, so that requests under way are still answered. In the same way `renew` replaces a run that is well.

Output goes to one rotated file per process; the terminal sees errors, warnings that somebody can act on, and what the
supervisor does.
"""

import logging
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path

from greenhouse.run import Program, Run

TICK_SECONDS = 0.05
STOP_SECONDS = 15.0  # from asking a process to stop until killing it; Kubernetes gives 30, Docker 10
READY_SECONDS = 60.0  # for a new run to answer; until then the old one does
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

Say = Callable[[str], None]


class ReleaseFailed(Exception):
    """The release command ended with an error, so what needs its work cannot be started."""


class BadProcfile(Exception):
    """A line of the Procfile is not `name: command`."""


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
        self._run: Run | None = None
        self._next: Run | None = None  # started beside the run that it replaces as soon as it answers
        self._leaving: list[tuple[Run, float]] = []  # with the time to kill it, by the monotonic clock
        self._failures = 0  # in a row: ended by itself soon after it started
        self._due = 0.0  # when to start again, by the monotonic clock
        self._is_renewing = False  # it was asked to end only to be started again
        self.is_renewed = False  # what was asked for last has come to pass
        self._is_stopping = False

    @property
    def _log_path(self) -> str:
        return self._log_handler.baseFilename

    @property
    def pid(self) -> int | None:
        return self._run.process.pid if self._run else None

    @property
    def is_ready(self) -> bool:
        return self._run is not None and self._run.is_ready()

    @property
    def is_serving(self) -> bool:
        return self._program.listener is not None

    @property
    def is_changing(self) -> bool:
        return self._next is not None

    def start(self) -> None:
        self._is_renewing = False
        self._run = self._start_run()

    def renew(self) -> None:
        """Start it anew, for new code: beside the old run where both can answer, else after it."""
        if self._next is not None or self._program.is_lasting:
            return
        self.is_renewed = self._run is None  # the next start is one of new code
        if self._run is None:
            return
        if self.is_serving:
            self._next = self._start_run(stands_by=True)
        else:
            self._is_renewing = True
            self._run.ask_to_stop()

    def tend(self) -> None:
        """Start again what has died, when it is due; bring in what is to replace it."""
        self._leaving = [(run, until) for run, until in self._leaving if not _is_gone(run, until)]
        if self._next is not None:
            self._judge(self._next)
        if self._run is not None:
            if not self._run.has_ended():
                self._replace_if_failed(self._run)
                return
            self._bury(self._run)
        if self._run is None and time.monotonic() >= self._due:
            self.restarts += 1
            self.start()

    def ask_to_stop(self) -> None:
        self._is_stopping = True
        for run in (self._run, self._next):
            if run is not None:
                run.ask_to_stop()

    def wait(self, deadline: float) -> None:
        """Wait until it has ended; at the deadline, by the monotonic clock, kill it."""
        runs = [run for run in (self._run, self._next, *(run for run, _ in self._leaving)) if run is not None]
        for run in runs:
            try:
                run.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{self.name} did not stop in time and is killed")
            run.kill()
        self._run, self._next, self._leaving = None, None, []
        self._log_handler.close()

    def _start_run(self, *, stands_by: bool = False) -> Run:
        return Run(self._program, environ=self._environ, heard=self._note, stands_by=stands_by)

    def _replace_if_failed(self, run: Run) -> None:
        """Try another run beside one that serves only part of what it should, and again for as long as it takes."""
        if self._next is not None or run.is_ready() or not run.has_failed or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + LONGEST_BACK_OFF_SECONDS
        self._say(f"ERROR: {self.name} could not load all of itself; another try (its log: {self._log_path})")
        self._next = self._start_run(stands_by=True)

    def _judge(self, new: Run) -> None:
        """Replace the old run if the new one answers; give the new one up if it ended or takes too long."""
        if new.is_ready():
            old, self._run, self._next = self._run, new, None
            self.is_renewed = True
            self._say(f"{self.name} was started anew; the old one finishes what it has begun")
            if old is not None:
                old.ask_to_stop()
                self._let_leave(old)
        elif new.has_ended() or new.has_failed or new.lived_seconds >= READY_SECONDS:
            self._next = None
            new.kill()
            self._say(f"ERROR: the new {self.name} does not answer; the old one stays (its log: {self._log_path})")

    def _bury(self, run: Run) -> None:
        code = run.process.returncode
        did_fail = not (self._is_renewing or code < 0 or run.is_ready() or run.lived_seconds >= STEADY_SECONDS)
        self._failures = self._failures + 1 if did_fail else 0
        wait_seconds = back_off_seconds(self._failures)
        self._due = time.monotonic() + wait_seconds
        when = f"in {wait_seconds:g} s" if wait_seconds else "now"
        if not self._is_renewing:
            self._say(f"{self.name} {_ending(code)} and is started again {when} (its log: {self._log_path})")
        if self._program.listener is None:
            run.kill()
        else:
            run.ask_orphans_to_stop()
            self._let_leave(run)
        self._run, self._next = self._next, None

    def _let_leave(self, run: Run) -> None:
        self._leaving.append((run, time.monotonic() + STOP_SECONDS))

    def _note(self, line: str) -> None:
        self._log.info("%s | %s", self.name, line)
        if NOTEWORTHY.search(line) and not self._program.is_quiet and not self._is_stopping:
            self._say(f"{self.name} | {line}")


class Supervisor:
    """Starts, tends and stops everything. `stop` and `renew` may be called from any thread and a signal's handler."""

    def __init__(self, *, environ: Mapping[str, str], log_dir: Path, say: Say) -> None:
        self.stopping = threading.Event()
        self.children: list[Child] = []  # in order of starting
        self._renewal_asked = threading.Event()
        self._is_renewing = False  # what serves is being renewed, the others come after it
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

    def renew(self) -> None:
        """Have every program of the Procfile started anew, without a pause in serving."""
        self._renewal_asked.set()

    def tend_until_stopped(self) -> None:
        while not self.stopping.wait(TICK_SECONDS):
            self._renew_if_asked()
            for child in self.children:
                child.tend()

    def _renew_if_asked(self) -> None:
        """Renew what serves, and then the others: new code that does not answer is not given to them either."""
        serving = [child for child in self.children if child.is_serving]
        if any(child.is_changing for child in serving):
            return
        if self._renewal_asked.is_set():
            self._renewal_asked.clear()
            self._is_renewing = True
            for child in serving:
                child.renew()
        elif self._is_renewing:
            self._is_renewing = False
            for child in self.children:
                if not child.is_serving and all(served.is_renewed for served in serving):
                    child.renew()

    def stop_all(self, *, last: Child | None, seconds: float = STOP_SECONDS) -> None:
        """Ask everything to stop, wait, kill what does not; `last` is asked when all others are gone."""
        first = [child for child in self.children if child is not last]
        for group in (first, [last] if last else []):
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + seconds
            for child in group:
                child.wait(deadline)


def _is_gone(run: Run, until: float) -> bool:
    """Give up a run that is leaving once all of it has left, or its time is over."""
    if not run.is_empty() and time.monotonic() < until:
        return False
    run.kill()
    return True


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with code {returncode}"


def _log_handler(path: Path) -> RotatingFileHandler:
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES_KEPT, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler
