"""The supervisor, with shell scripts as its processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenhouse.run import LEASH, Program
from greenhouse.supervisor import (
    LONGEST_BACK_OFF_SECONDS,
    NOTEWORTHY,
    BadProcfile,
    ReleaseFailed,
    Supervisor,
    back_off_seconds,
    read_procfile,
)

PATIENCE_SECONDS = 60.0


def shell(name: str, script: str) -> Program:
    return Program(name=name, command=["sh", "-c", script])


def eventually(is_so: Callable[[], bool]) -> bool:
    return eventually_in(PATIENCE_SECONDS, is_so)


def eventually_in(seconds: float, is_so: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + seconds
    while not is_so() and time.monotonic() < give_up:
        time.sleep(0.02)
    return is_so()


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter of one that goes while its file is open
        return False
    # A zombie is dead; in a container nobody may be there to reap it.
    return stat.rpartition(")")[2].split()[0] != "Z"


def serving(listener: socket.socket, script: str) -> Program:
    """Make a program that answers a socket; `answers()` in its script tells that it does."""
    tell = "import os, sys, time\ndef answers(): os.write(int(os.environ['READY_FD']), b'\\n')\n"
    return Program(name="web", command=[sys.executable, "-c", tell + script], listener=listener)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(environ=os.environ, log_dir=tmp_path / "log", say=said.append)
    yield made
    made.stop_all(last=None, seconds=1)


def tended(supervisor: Supervisor, is_so: Callable[[], bool]) -> bool:
    def tend() -> bool:
        for child in supervisor.children:
            child.tend()
        return is_so()

    return eventually(tend)


def tended_for(supervisor: Supervisor, seconds: float, is_so: Callable[[], bool]) -> bool:
    """Tend for so long at least, and tell whether it was ever so."""
    until = time.monotonic() + seconds
    return tended(supervisor, lambda: is_so() or time.monotonic() > until) and is_so()


def test_a_killed_process_is_started_again_at_once(supervisor, said):
    child = supervisor.start(shell("web", "exec sleep 60"))
    first = child.pid
    os.kill(first, signal.SIGKILL)
    assert tended(supervisor, lambda: child.pid not in {None, first})
    assert said[0].startswith("web was ended by SIGKILL and is started again now")


def test_what_a_dead_process_leaves_behind_is_killed(supervisor, tmp_path):
    script = f"sleep 60 & echo $! >> {tmp_path}/left; wait"
    child = supervisor.start(shell("web", script))
    assert eventually(lambda: (tmp_path / "left").exists() and (tmp_path / "left").read_text().endswith("\n"))
    left = int((tmp_path / "left").read_text().split()[0])
    os.kill(child.pid, signal.SIGKILL)
    assert tended(supervisor, lambda: not is_alive(left))


def test_a_process_that_cannot_start_is_tried_less_and_less_often():
    waits = [back_off_seconds(failures) for failures in range(1, 12)]
    assert waits[:4] == [0, 0.5, 1, 2]
    assert waits[-1] == LONGEST_BACK_OFF_SECONDS


def test_a_process_that_ends_by_itself_is_not_started_in_a_hurry(supervisor, tmp_path):
    started_at = time.monotonic()
    child = supervisor.start(shell("web", "exit 3"))
    assert tended(supervisor, lambda: child.restarts >= 3)
    assert time.monotonic() - started_at >= 0 + 0.5 + 1


def test_the_last_one_is_asked_to_stop_when_the_others_are_gone(supervisor, tmp_path):
    def noting(name: str) -> Program:
        trap = f"trap 'sleep 0.2; echo {name} >> {tmp_path}/order; exit 0' TERM; touch {tmp_path}/{name}"
        return shell(name, f"{trap}; while :; do sleep 0.05; done")

    redis = supervisor.start(noting("redis"))
    supervisor.start(noting("web"))
    assert eventually(lambda: (tmp_path / "redis").exists() and (tmp_path / "web").exists())
    supervisor.stop_all(last=redis)
    assert (tmp_path / "order").read_text().split() == ["web", "redis"]


def test_a_process_that_will_not_stop_is_killed(supervisor, tmp_path, said):
    child = supervisor.start(shell("web", f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"))
    assert eventually((tmp_path / "up").exists)
    pid = child.pid
    supervisor.stop_all(last=None, seconds=0.3)
    assert not is_alive(pid)
    assert said == ["web did not stop in time and is killed"]


def test_output_goes_to_a_log_and_only_warnings_to_the_terminal(supervisor, tmp_path, said):
    log = tmp_path / "log" / "web.log"
    supervisor.start(shell("web", "echo all is well; echo '[WARNING] disk is full'; exec sleep 60"))
    assert eventually(lambda: said != [])  # a line is said after it is logged
    assert said == ["web | [WARNING] disk is full"]
    assert "web | all is well" in log.read_text()
    assert "disk is full" in log.read_text()


@pytest.mark.parametrize(
    ("line", "is_noteworthy"),
    [
        ("2026-01-01 WARNING django.request Not Found: /r/1.x/", False),
        ("2026-01-01 WARNING django.security.csrf Forbidden (CSRF cookie not set.): /console/login/", False),
        ("[WARNING/MainProcess] consumer.py:507: CPendingDeprecationWarning: the setting will go", False),
        ("2026-01-01 WARNING experiments.tasks counting waits for Redis", True),
        ("2026-01-01 ERROR django.request Internal Server Error: /console/", True),
    ],
)
def test_what_nobody_can_act_on_stays_off_the_terminal(line, is_noteworthy):
    assert bool(NOTEWORTHY.search(line)) == is_noteworthy


def test_the_warnings_of_a_quiet_program_stay_in_its_log(supervisor, tmp_path, said):
    log = tmp_path / "log" / "redis.log"
    supervisor.start(Program(name="redis", command=["sh", "-c", "echo WARNING; exec sleep 60"], is_quiet=True))
    assert eventually(lambda: log.exists() and "WARNING" in log.read_text())
    assert said == []


def test_a_failed_release_says_why(supervisor):
    with pytest.raises(ReleaseFailed, match="no such table"):
        supervisor.release(shell("release", "echo no such table >&2; exit 1"))


def test_processes_end_with_a_supervisor_that_is_killed(tmp_path):
    note = tmp_path / "pid"
    start = (
        "import os, subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, {str(LEASH)!r}, str(os.getpid()), '-', "
        f"'sh', '-c', 'echo $$ > {note}; exec sleep 60']); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", start]) as parent:
        assert eventually(lambda: note.exists() and note.read_text().endswith("\n"))
        parent.kill()
    assert eventually(lambda: not is_alive(int(note.read_text())))


def test_a_renewed_program_answers_before_the_old_one_is_asked_to_leave(supervisor, listener, tmp_path, said):
    (tmp_path / "gate").touch()
    gate = f"while not os.path.exists({str(tmp_path / 'gate')!r}): time.sleep(0.02)\nanswers()\ntime.sleep(60)"
    child = supervisor.start(serving(listener, gate))
    assert tended(supervisor, lambda: child.is_ready)
    old = child.pid
    (tmp_path / "gate").unlink()
    child.renew()
    assert not tended_for(supervisor, 0.5, lambda: child.pid != old)
    (tmp_path / "gate").touch()
    assert tended(supervisor, lambda: child.pid != old and not is_alive(old))
    assert is_alive(child.pid)
    assert said == ["web was started anew; the old one finishes what it has begun"]


def test_a_new_run_that_fails_leaves_the_old_one_in_place(supervisor, listener, tmp_path, said):
    script = f"assert not os.path.exists({str(tmp_path / 'broken')!r}), 'broken'\nanswers()\ntime.sleep(60)"
    child = supervisor.start(serving(listener, script))
    assert tended(supervisor, lambda: child.is_ready)
    old = child.pid
    (tmp_path / "broken").touch()
    child.renew()
    assert tended(supervisor, lambda: any("does not answer; the old one stays" in line for line in said))
    assert child.pid == old
    assert is_alive(old)


def test_what_a_killed_server_leaves_behind_may_finish_its_answers(supervisor, listener, tmp_path):
    touch = f"(open({str(tmp_path / 'finished')!r}, 'w'), sys.exit())"
    catch = f"import signal; signal.signal(signal.SIGTERM, lambda *_: {touch})"
    script = f"if not os.fork(): {catch}; answers()\ntime.sleep(60)"
    child = supervisor.start(serving(listener, script))
    assert tended(supervisor, lambda: child.is_ready)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    assert tended(supervisor, (tmp_path / "finished").exists)
    assert child.pid not in {None, first}


def test_a_program_without_a_socket_is_renewed_by_one_after_the_other(supervisor, said):
    child = supervisor.start(shell("worker", "exec sleep 60"))
    first = child.pid
    child.renew()
    assert tended(supervisor, lambda: child.pid not in {None, first})
    assert not is_alive(first)


def test_what_is_not_ours_is_not_renewed(supervisor):
    child = supervisor.start(Program(name="redis", command=["sleep", "60"], is_lasting=True))
    first = child.pid
    child.renew()
    assert not tended_for(supervisor, 0.3, lambda: child.pid != first)


@pytest.fixture
def tending(supervisor: Supervisor) -> Iterator[Supervisor]:
    """Tends by itself, as in a running Greenhouse."""
    thread = threading.Thread(target=supervisor.tend_until_stopped)
    thread.start()
    yield supervisor
    supervisor.stop()
    thread.join()


def test_the_others_are_renewed_once_what_serves_has_been(tending, listener, tmp_path):
    script = f"answers() if not os.path.exists({str(tmp_path / 'broken')!r}) else sys.exit(1)\ntime.sleep(60)"
    worker, web = tending.start(shell("worker", "exec sleep 60")), tending.start(serving(listener, script))
    assert eventually(lambda: web.is_ready)
    before = worker.pid, web.pid
    (tmp_path / "broken").touch()
    tending.renew()
    assert not eventually_in(1.0, lambda: (worker.pid, web.pid) != before)
    (tmp_path / "broken").unlink()
    tending.renew()
    assert eventually(lambda: worker.pid not in {None, before[0]} and web.pid not in {None, before[1]})


def test_a_server_that_could_not_load_everything_is_replaced_by_one_that_can(supervisor, listener, tmp_path, said):
    (tmp_path / "broken").touch()
    script = (
        f"if os.path.exists({str(tmp_path / 'broken')!r}): os.write(int(os.environ['READY_FD']), b'!')\n"
        "else: answers()\ntime.sleep(60)"
    )
    child = supervisor.start(serving(listener, script))
    first = child.pid
    assert tended(supervisor, lambda: any("another try" in line for line in said))
    assert is_alive(first)
    (tmp_path / "broken").unlink()
    assert tended(supervisor, lambda: child.is_ready and child.pid != first)
    assert tended(supervisor, lambda: not is_alive(first))


def test_a_procfile_is_read_in_its_order_without_comments():
    programs = read_procfile("# all of it\nrelease: migrate\n\nweb: serve --port $PORT\n")
    assert [program.name for program in programs] == ["release", "web"]
    assert programs[1].command == ["sh", "-c", "serve --port $PORT"]


@pytest.mark.parametrize("line", ["web serve", "web:", ": serve", "Web Server: serve"])
def test_a_line_that_is_none_is_named(line):
    with pytest.raises(BadProcfile, match=line):
        read_procfile(line)
