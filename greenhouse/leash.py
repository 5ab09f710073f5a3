"""Run a command that ends when the process that started it ends, even by `kill -9`.

    python leash.py PARENT_PID LISTENER COMMAND [ARGUMENT …]

Linux sends the signal asked for here when the parent is gone, and the wish survives `exec`, but not a fork: a program
that forks workers has them ask for themselves. Done in a program of its own because Python code between fork and exec
(preexec_fn) may deadlock where there are threads.

LISTENER is an inherited listening socket's descriptor, or `-` for none. The command gets it the way systemd passes
sockets (sd_listen_fds(3)): as descriptor 3, with its own process id in LISTEN_PID, which only this process can know.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LISTEN_FDS_START = 3  # systemd/sd-daemon.h


def end_with_parent() -> None:
    """Have this process asked to stop when its parent is gone; elsewhere than on Linux, do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pass_on(listener: int) -> None:
    """Make the socket the command's first passed one."""
    if listener != LISTEN_FDS_START:
        os.dup2(listener, LISTEN_FDS_START)
        os.close(listener)
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}


def main(parent: int, listener: str, command: list[str]) -> None:
    end_with_parent()
    if listener != "-":
        pass_on(int(listener))
    # Race: a parent that died before the call above sends nothing.
    if os.getppid() == parent:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
