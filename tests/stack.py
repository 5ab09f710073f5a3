"""The whole of Greenhouse as an operator starts it, in a folder and on a port of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import free_port, postgres_server, redis_server

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 300.0  # fifteen where nothing else runs; among twenty busy processes it took more than 180
STOP_SECONDS = 60.0
# What the surrounding run may have set for itself.
OTHERS = (
    "DATABASE_URL", "REDIS_URL", "STORE_URL", "JOURNAL_SHARDS", "SECRET_KEY", "JOURNAL_DIR", "SNAPSHOT_DIR",
    "OPENAI_API_KEY", "OPENAI_BASE_URL",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Stack:
    """A running `manage.py up` or `manage.py demo`, and what it has printed."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def announced(self, word: str, *, seconds: float) -> dict[str, Any]:
        """Wait for the line `WORD {json}` and return its values."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            for line in list(self.lines):
                if line.startswith(f"{word} {{"):
                    return dict(json.loads(line.removeprefix(word)))
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"no {word}; it printed:\n" + "\n".join(self.lines[-40:]))

    def program(self, name: str) -> int:
        """Return the process id of the child whose command line names `name`."""
        found = self.find_program(name)
        assert found is not None, f"no child runs {name}"
        return found

    def find_program(self, name: str) -> int | None:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                command = (stat.parent / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if parent == self.process.pid and name in command:
                return int(stat.parent.name)
        return None


def leashed(command: Sequence[str]) -> list[str]:
    """Return the command that ends with this process, however it ends, where the system knows how."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "SIGTERM", *command] if setpriv else [*command]


@contextmanager
def stack(command: str, **environ: str) -> Iterator[Stack]:
    """Run `manage.py COMMAND`, on real servers if the tests run on them, and stop it with Ctrl-C."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="greenhouse-stack-")))
        values = {name: value for name, value in os.environ.items() if name not in OTHERS}
        values |= {"STATE_DIR": str(folder / "state"), "PYTHONUNBUFFERED": "1", **environ}
        if "DATABASE_URL" in os.environ and "DATABASE_URL" not in environ:
            (folder / "redis").mkdir()
            values["DATABASE_URL"] = held.enter_context(postgres_server()).url
            values["REDIS_URL"] = held.enter_context(redis_server(folder / "redis")).url
        # Last: a port that nobody has taken yet is given to PostgreSQL, too, once in ten thousand runs.
        values["PORT"] = environ.get("PORT") or str(free_port())
        yield held.enter_context(_running(command, values))


@contextmanager
def _running(command: str, environ: dict[str, str]) -> Iterator[Stack]:
    arguments = leashed([sys.executable, str(ROOT / "manage.py"), command])
    with subprocess.Popen(
        arguments, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        running = Stack(process=process)
        reader = threading.Thread(target=_read, args=(running,), daemon=True)
        reader.start()
        try:
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join()


def _read(running: Stack) -> None:
    assert running.process.stdout is not None
    for line in running.process.stdout:
        running.lines.append(line.rstrip("\n"))
