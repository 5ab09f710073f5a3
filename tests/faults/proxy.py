"""A slow way to Redis: a TCP port of the loopback address in front of its socket, with a delay in each direction."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 65536


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Passes on what it is sent after `delay_seconds`, which may change at any time."""

    url: str
    delay_seconds: float = 0.0


@contextmanager
def proxy(target: Path) -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Proxy(url=f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        threading.Thread(target=_accept, args=(listener, target, made), daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: Path, made: Proxy) -> None:
    while True:
        try:
            near, _ = listener.accept()
            far = socket.socket(socket.AF_UNIX)
        except OSError:
            return
        try:
            far.connect(str(target))
        except OSError:
            near.close()
            far.close()
            continue
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_pass_on, args=(source, sink, made), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, made: Proxy) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK_BYTES):
            time.sleep(made.delay_seconds)
            sink.sendall(block)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
