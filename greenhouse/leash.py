"""Run a command that ends when the process that started it ends, even by `kill -9`.

    python leash.py PARENT_PID COMMAND [ARGUMENT …]

Linux sends the signal asked for here when the parent is gone, and the wish survives `exec`, but not a fork: a program
that forks workers has them ask for themselves. Done in a program of its own because Python code between fork and exec
(preexec_fn) may deadlock where there are threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Have this process asked to stop when its parent is gone; elsewhere than on Linux, do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(parent: int, command: list[str]) -> None:
    end_with_parent()
    # Race: a parent that died before the call above sends nothing.
    if os.getppid() == parent:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
