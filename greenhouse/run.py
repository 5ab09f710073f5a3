"""Turn a program of the Procfile into one run of it: a process, those it starts, and what they print.

A run leads a process group of its own, so that Ctrl-C at the terminal reaches the supervisor alone and what a dead
process leaves behind can be found. A program that serves is given the listening socket as systemd gives it (descriptor
3, `LISTEN_FDS`), and a pipe to tell that it answers, or that it never will (`READY_FD`). One that is to replace
another (`STANDS_BY`) leaves the connections to that one until then.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OUTPUT_END_SECONDS = 2.0  # for the last words of a killed group, and for its sockets to be closed
LEASH = Path(__file__).with_name("leash.py")
READY, FAILED = b"\n", b"!"  # what a program tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A process as the Procfile names it."""

    name: str
    command: Sequence[str]
    is_quiet: bool = False  # its warnings are for its log alone
    is_lasting: bool = False  # it is not ours, so new code of ours is no reason to start it anew
    listener: socket.socket | None = None  # it answers connections to this socket, as may other runs of it


class Run:
    """One run of a program, from its start until the last process of its group is gone."""

    def __init__(
        self, program: Program, *, environ: Mapping[str, str], heard: Callable[[str], None], stands_by: bool = False
    ) -> None:
        self._heard = heard
        self._started = time.monotonic()
        self._ready, ready_writer = os.pipe()
        os.set_blocking(self._ready, False)
        self._is_ready = False
        self.has_failed = False  # it lives, and says that it cannot do all of its work
        listener = program.listener.fileno() if program.listener else None
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), "-" if listener is None else str(listener)]
        try:
            self.process = subprocess.Popen(
                [*leash, *program.command],
                env={**environ, "READY_FD": str(ready_writer), "STANDS_BY": "1" if stands_by else ""},
                pass_fds=[ready_writer] if listener is None else [ready_writer, listener],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,
            )
        finally:
            os.close(ready_writer)
        self._reader = threading.Thread(target=self._read, name=f"read-{program.name}", daemon=True)
        self._reader.start()

    @property
    def lived_seconds(self) -> float:
        return time.monotonic() - self._started

    def has_ended(self) -> bool:
        """Tell whether the process is gone; others of its group may live on."""
        return self.process.poll() is not None

    def is_empty(self) -> bool:
        """Tell whether the whole group is gone: the pipe ends with the last of it."""
        return self.has_ended() and not self._reader.is_alive()

    def is_ready(self) -> bool:
        """Tell whether the program has said that it answers."""
        if self._is_ready:
            return True
        with suppress(BlockingIOError):
            told = os.read(self._ready, 1)
            self._is_ready, self.has_failed = told == READY, told == FAILED
        if self._is_ready:
            os.close(self._ready)  # so that a worker that is started later knows that nobody waits to hear of it
        return self._is_ready

    def ask_to_stop(self) -> None:
        """Ask the process to stop; it asks its own."""
        if not self.has_ended():
            self.process.terminate()

    def ask_orphans_to_stop(self) -> None:
        """Ask what a dead process left behind."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group at once, and give up what belongs to it."""
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        self._reader.join(OUTPUT_END_SECONDS)
        if not self._is_ready:
            os.close(self._ready)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _read(self) -> None:
        if self.process.stdout is None:  # unreachable: a pipe was asked for
            return
        with self.process.stdout as output:
            for line in output:
                self._heard(line.rstrip("\n"))
