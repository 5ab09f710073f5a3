"""Start Granian on a listening socket that somebody else holds, if one was passed; the arguments are Granian's own.

    python -m greenhouse.server --interface wsgi greenhouse.wsgi:application --port 8000 …

A socket comes as systemd passes it (sd_listen_fds(3)), from `manage.py up` or from a systemd socket unit. Its holder
keeps it open while the server is started anew, after a kill or for new code: connections wait in its queue instead of
being refused. Without one, Granian binds its own, as under any other process manager.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from granian import cli
from granian.net import SocketHolder  # type: ignore[attr-defined]  # imported there without saying so
from granian.server.mp import MPServer

import experiments.splitter.app  # noqa: F401 - imported before the fork, so that a worker started later answers at once
from greenhouse.leash import LISTEN_FDS_START

BACKLOG = 4096  # connections that wait while no process answers; the kernel caps it at net.core.somaxconn

IS_UNIX = False


def passed_socket() -> int | None:
    """Return the descriptor of the listening socket meant for this process, if there is one."""
    is_for_us = os.environ.get("LISTEN_PID") == str(os.getpid())
    return LISTEN_FDS_START if is_for_us and os.environ.get("LISTEN_FDS", "0") != "0" else None


class InheritingServer(MPServer):
    """Granian's server, accepting from the passed socket, and patient with workers that were killed."""

    def _init_shared_socket(self) -> None:
        descriptor = passed_socket()
        if descriptor is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        self._ssp, self._sso = None, None
        # Granian declares neither the holder's arguments (descriptor, is Unix socket, backlog) nor these attributes.
        self._shd, self._sfd = SocketHolder(descriptor, IS_UNIX, BACKLOG), descriptor  # type: ignore[assignment, call-arg]

    def _respawn_workers(
        self,
        workers: Sequence[int],
        spawn_target: Callable[..., None],
        target_loader: Callable[..., Any],
        delay: float = 0,
    ) -> None:
        """Start dead workers again. Granian gives up on one that dies twice in 5.5 s, unless it has forgotten.

        Who was killed from outside did not fail by starting: giving up would stop the other workers as well.
        """
        killed = [index for index in workers if (self.wrks[index].inner.exitcode or 0) < 0]
        super()._respawn_workers(workers, spawn_target, target_loader, delay)
        for index in killed:
            self.respawned_wrks.pop(index, None)


if __name__ == "__main__":
    # Granian's command line makes whatever server class it knows by this name; it has no option for another one.
    cli.Server = InheritingServer  # type: ignore[attr-defined]  # imported there without saying so
    cli.entrypoint()  # type: ignore[no-untyped-call]
