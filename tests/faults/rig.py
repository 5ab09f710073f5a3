"""Greenhouse whole, on servers that can be broken under it.

    with running_rig(folder) as rig:                     # PostgreSQL, Redis and `manage.py up`: about fifteen seconds
        page = rig.plant()                               # an experiment: five arms; goals form, click, event, revenue
        visitors = rig.visitors(page, per_second=100)
        with visitors.coming():                          # steady load from threads until the block is left
            time.sleep(2)
            rig.kill_one("worker")                       # or "web", "model", "beat": a process of that group
            rig.redis.kill(); time.sleep(2); rig.redis.start()
        verdict = rig.verdict(visitors)                  # waits until counting has caught up, then compares one by one
        assert verdict.is_clean, verdict

What there is to break:

    rig.redis, rig.postgres      kill() stop() start() frozen(); redis.forget() full(); postgres.cut_connections()
    rig.pids(name)               the processes of a program of the Procfile; the supervisor starts them again
    rig.frozen(name)             a context in which that program stands still: frozen("beat") stops all counting
    rig.stop() rig.start()       `manage.py up` on the same folder
    rig.renew()                  all programs started anew by the running `manage.py up`, as for new code
    rig.leave_journal(lines)     the journal of a process that died
    rig.visitor_tier(...)        one more visitor process, with folders, port and Redis of its own

What there is to look at: rig.port, rig.folder, rig.journals() (name -> size), rig.cursors() (name -> counted bytes),
rig.metrics(), rig.ready(), rig.api(method, path, body), rig.postgres.rows(sql, ...), visitors.ledger (visitors.py).
`running_rig(folder, JOURNAL_DIR=...)` sets variables of the environment; the journal folders that settle() waits for
are rig.journal_dirs. Faults belong into the test's own thread: see daemons.py.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from experiments.splitter.journal import SUFFIX
from tests.factories import page as content
from tests.faults.counted import counted_by_greenhouse
from tests.faults.daemons import PostgresDaemon, RedisDaemon, postgres_daemon, redis_daemon
from tests.faults.verdict import Verdict, judge, judge_report, judge_shares, judge_sums
from tests.faults.visitors import Page, Visitors
from tests.servers import free_port
from tests.stack import ROOT, START_SECONDS, Stack, leashed, stack

SECRET_KEY = "only-for-the-tests-of-faults-and-long-enough-0123456789"
PROGRAMS = {"web": "greenhouse.wsgi:application", "worker": "worker@", "model": "model@", "beat": " beat "}
SETTLE_SECONDS = 300.0  # a kill may leave a transaction to time out, an emptied Redis takes ten seconds to notice
QUIET_SECONDS = 0.6  # for which nothing may move: longer than a shipper's interval
SERVED_SECONDS = 120.0
REFRESHED_SECONDS = 1.5  # after which the last of several workers has looked for new snapshots
LINES_SHOWN = 15
# Quick enough for shares to change under load, so that visitors of several epochs are counted.
PACE = {"REVIEW_EVERY_SECONDS": "2", "SHARES_CHANGE_EVERY_SECONDS": "4"}

TIER = (
    str(Path(sys.executable).with_name("granian")), "experiments.splitter.wsgi:application", "--interface", "wsgi",
    "--workers", "1", "--blocking-threads", "8", "--http", "1", "--no-ws", "--respawn-failed-workers",
    "--respawn-interval", "0.1", "--workers-kill-timeout", "5",
)  # fmt: skip

HEADLINES = (
    "Find any letter in seconds",
    "Your paper leaves the drawer",
    "An archive that stays at home",
    "Scan once and search for ever",
    "Less paper on every shelf",
)
BRIEF = {
    "name": "Archive guide",
    "product": "Paperwork turns scanned letters into a searchable archive.",
    "audience": "Households with too much paper, who fear losing a letter.",
    "offer": "A free set-up guide by e-mail.",
    "facts": ["It runs on your own computer.", "It reads scanned letters."],
    "call_to_action": {"label": "Send me the guide", "kind": "form"},
    "secondary_link": {"label": "See how it works", "url": "https://example.org/how"},
}
GOALS = [
    {"key": "form", "kind": "form", "primary": True},
    {"key": "click", "kind": "click", "link": "more"},
    {"key": "event", "kind": "event"},
    {"key": "revenue", "kind": "revenue"},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One visitor process and its worker."""

    port: int
    process: "subprocess.Popen[bytes]"
    journal_dir: Path

    def pids(self) -> list[int]:
        return _group(self.process.pid)


class Rig:
    """A running Greenhouse and the servers under it."""

    def __init__(self, *, folder: Path, postgres: PostgresDaemon, redis: RedisDaemon, environ: dict[str, str]) -> None:
        self.folder = folder
        self.postgres = postgres
        self.redis = redis
        self.port = int(environ["PORT"])
        self.environ = environ
        self.journal_dirs = [Path(environ.get("JOURNAL_DIR") or folder / "journal")]
        self._chance = random.Random(7)
        self._planted = 0
        self._stacks = ExitStack()
        self._stack: Stack | None = None
        self._token = ""

    # What operators do

    def start(self) -> None:
        """Start everything and wait until it answers."""
        self._stack = self._stacks.enter_context(stack("up", **self.environ))
        self._token = self._stack.announced("READY", seconds=START_SECONDS)["token"]

    def stop(self) -> None:
        """Stop everything but the servers, as Ctrl-C does."""
        self._stacks.close()
        self._stack = None

    def renew(self) -> None:
        """Have all programs started anew, as for new code, and wait until the old web processes are gone."""
        before, old = self._renewals(), set(self.pids("web"))
        os.kill(self._up, signal.SIGUSR2)
        self.wait_until(lambda: self._renewals() > before, "the new web answers", seconds=START_SECONDS)
        self.wait_until(lambda: not old & set(self.pids("web")), "the old web is gone")

    def _renewals(self) -> int:
        assert self._stack is not None, "Greenhouse is not running"
        return sum("web was started anew" in line for line in self._stack.lines)

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the API; a refusal is a failure of the test."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        status, answer = self.ask(method, f"/api/v1{path}", headers=headers, body=json.dumps(body) if body else None)
        assert status < HTTPStatus.MULTIPLE_CHOICES, f"{method} {path}: {status} {answer!r}\n{self.evidence()}"
        return json.loads(answer)

    def plant(self, *, arms: int = len(HEADLINES), **changes: Any) -> Page:
        """Set up an experiment, start it, and wait until the web process serves it."""
        self._planted += 1
        slug = f"page-{self._planted}"
        brief = self.api("POST", "/briefs", {**BRIEF, "name": f"Archive guide {self._planted}"})
        wanted = {"name": slug, "slug": slug, "brief_id": brief["id"], "goals": GOALS, "has_arm_budget": False}
        number = self.api("POST", "/experiments", wanted | changes)["id"]
        for place, headline in enumerate(HEADLINES[:arms]):
            variant = {"content": content(headline), "name": f"Variant {place + 1}", "is_control": place == 0}
            made = self.api("POST", f"/experiments/{number}/variants", variant)
            self.api("POST", f"/variants/{made['id']}/approve")
        self.api("POST", f"/experiments/{number}/start")
        keys = ["control", *(f"v{place + 1}" for place in range(1, arms))]
        page = Page(number=number, slug=slug, headlines=dict(zip(HEADLINES, keys, strict=False)))
        self.wait_until_served(page)
        return page

    def wait_until_served(self, page: Page, *, port: int | None = None) -> None:
        """Wait until whoever answers serves the page: workers learn of it one by one, within a second of each other."""
        served_since: float | None = None

        def is_served_by_all() -> bool:
            nonlocal served_since
            if not self.is_served(page, port=port):
                served_since = None
                return False
            served_since = served_since or time.monotonic()
            return time.monotonic() - served_since > REFRESHED_SECONDS

        self.wait_until(is_served_by_all, f"{page.path} is served")

    def is_served(self, page: Page, *, port: int | None = None) -> bool:
        """Tell whether a web process serves the page, without becoming a visitor."""
        with suppress(OSError):
            return self.ask("GET", f"{page.path}thanks", port=port)[0] == HTTPStatus.OK
        return False

    # Visitors and what became of them

    def visitors(self, page: Page, *, per_second: float = 100.0, ports: Sequence[int] = (), seed: int = 1) -> Visitors:
        return Visitors(page, ports or [self.port], per_second=per_second, seed=seed)

    def verdict(self, visitors: Visitors, *, seconds: float = SETTLE_SECONDS) -> Verdict:
        """Wait until counting has caught up, and compare."""
        self.settle(seconds=seconds)
        page, ledger = visitors.page, visitors.ledger
        counted = counted_by_greenhouse(self.postgres, page)
        verdict = judge(ledger, counted)
        judge_sums(self.postgres, page, ledger, verdict)
        judge_shares(self.postgres, page, ledger, verdict)
        judge_report(self.api("GET", f"/experiments/{page.number}/report"), counted, page, verdict)
        return verdict

    def settle(self, *, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until every journal is counted to its end and nothing moves any more."""
        give_up, still_since = time.monotonic() + seconds, time.monotonic()
        before: dict[str, int] = {}
        while time.monotonic() < give_up:
            sizes = self.journals()
            if sizes != before or self._behind(sizes):
                before, still_since = sizes, time.monotonic()
            elif time.monotonic() - still_since > QUIET_SECONDS:
                return
            time.sleep(0.1)
        raise AssertionError(f"not counted within {seconds:g} s: {self._behind(self.journals())}\n{self.evidence()}")

    def _behind(self, sizes: dict[str, int]) -> dict[str, str]:
        """Return the journals that are not counted to their end, and how far they are."""
        try:
            cursors = self.cursors()
        except psycopg.OperationalError as error:
            return {"PostgreSQL": str(error)}
        found = {name: f"{cursors.get(name, 0)} of {size}" for name, size in sizes.items()}
        return {name: far for name, far in found.items() if cursors.get(name, 0) < sizes[name]}

    def journals(self) -> dict[str, int]:
        """Return the size of each journal in bytes."""
        return {path.stem: path.stat().st_size for folder in self.journal_dirs for path in folder.glob(f"*{SUFFIX}")}

    def cursors(self) -> dict[str, int]:
        """Return how many bytes of each journal are counted."""
        return dict(self.postgres.rows('SELECT journal, "offset" FROM experiments_journalcursor'))

    def metrics(self, *, port: int | None = None) -> dict[str, float]:
        """Return /metrics of a web process, by name."""
        text = self.ask("GET", "/metrics", port=port)[1].decode()
        pairs = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def ready(self, *, port: int | None = None) -> list[str]:
        """Return the faults that /readyz names."""
        return list(json.loads(self.ask("GET", "/readyz", port=port)[1])["reasons"])

    def ask(
        self,
        method: str,
        path: str,
        *,
        port: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        server = HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            server.request(method, path, body=body, headers=dict(headers or {}))
            answer = server.getresponse()
            return answer.status, answer.read()
        finally:
            server.close()

    def wait_until(self, is_so: Callable[[], bool], what: str, *, seconds: float = SERVED_SECONDS) -> None:
        give_up = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > give_up:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{self.evidence()}")
            time.sleep(0.05)

    def evidence(self) -> str:
        """Return the last words of the supervisor and of each program."""
        said = self._stack.lines[-LINES_SHOWN:] if self._stack else []
        for log in sorted((self.folder / "log").glob("*.log")):
            said += [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-LINES_SHOWN:]]
        return "\n".join(said)

    def leave_journal(self, lines: bytes) -> int:
        """Leave a journal as a process that died would: nobody holds its lock. Return its size."""
        path = self.journal_dirs[0] / f"{uuid4().hex}{SUFFIX}"
        # Under another name first: whoever found half of it would take that for all.
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(lines)
        unfinished.rename(path)
        return len(lines)

    # What breaks

    def pids(self, name: str) -> list[int]:
        """Return the processes of a program: what the supervisor started, and what that forked."""
        started = [process for process in _processes() if process.parent == self._up]
        leaders = [process.pid for process in started if PROGRAMS[name] in process.command]
        return [pid for leader in leaders for pid in _group(leader)]

    def kill_one(self, name: str) -> int:
        """Kill one process of a program, chosen by chance; return its id, or 0 if none was there."""
        pids = self.pids(name)
        if not pids:
            return 0
        pid = self._chance.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def mend(self) -> None:
        """Start the servers that a failed test left stopped."""
        for daemon in (self.redis, self.postgres):
            if not daemon.is_running:
                daemon.start()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Have a program stand still: frozen("beat") stops all counting."""
        pids = self.pids(name)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def visitor_tier(self, name: str = "host", *, redis_url: str | None = None, **environ: str) -> Iterator[Tier]:
        """Run one more visitor process, as on a host of its own: experiments/splitter/wsgi.py with its own folders."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        port = free_port()
        values = {**os.environ, **self.environ, "STATE_DIR": str(folder), **environ}
        values["REDIS_URL"] = redis_url or self.redis.url
        journal_dir = Path(values.setdefault("JOURNAL_DIR", str(folder / "journal")))
        values.setdefault("SNAPSHOT_DIR", str(folder / "snapshot"))
        if journal_dir not in self.journal_dirs:
            self.journal_dirs.append(journal_dir)
        with (
            (folder / "web.log").open("ab") as log,
            subprocess.Popen(
                leashed([*TIER, "--port", str(port)]), env=values, cwd=ROOT, process_group=0, stdout=log, stderr=log
            ) as process,
        ):
            try:
                self.wait_until(lambda: _answers(port), f"the visitor process on port {port}")
                yield Tier(port=port, process=process, journal_dir=journal_dir)
            finally:
                _end(process)

    @property
    def _up(self) -> int:
        assert self._stack is not None, "Greenhouse is not running"
        return self._stack.process.pid


@contextmanager
def running_rig(folder: Path, **environ: str) -> Iterator[Rig]:
    """Run everything in a folder; `environ` adds to the environment of Greenhouse's processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with redis_daemon(folder) as redis, postgres_daemon() as postgres:
        values = {
            "STATE_DIR": str(folder), "PORT": str(free_port()), "SECRET_KEY": SECRET_KEY, "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url, "WEB_WORKERS": "2", "VISITOR_RATE_PER_SECOND": "0", **PACE,
            # On two processors a browser that looks at pages takes its share of those who see them.
            "CHROMIUM": "none", **environ,
        }  # fmt: skip
        rig = Rig(folder=folder, postgres=postgres, redis=redis, environ=values)
        try:
            rig.start()
            yield rig
        finally:
            rig.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    pid: int
    parent: int
    group: int
    command: str


def _processes() -> Iterator[_Process]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, group, *_ = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state != "Z":
            yield _Process(pid=int(stat.parent.name), parent=int(parent), group=int(group), command=command)


def _group(leader: int) -> list[int]:
    return [process.pid for process in _processes() if process.group == leader]


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process group to stop, and kill what is left of it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
