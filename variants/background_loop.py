"""An event loop in a thread of its own, so that calls to the model wait there and the database never meets it.

Django's database connections belong to the thread that opened them and refuse to work where a loop runs. Here the loop
knows nothing but coroutines, and whoever starts them gets an ordinary Future.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

WIND_UP_SECONDS = 5.0  # for cancelled calls to close their connections


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundLoop:
    loop: asyncio.AbstractEventLoop

    def start[Answer](self, coroutine: Coroutine[Any, Any, Answer]) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)


@contextmanager
def background_loop() -> Iterator[BackgroundLoop]:
    """Run a loop while the block runs; what is still under way at its end is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="model", daemon=True)
    thread.start()
    running = BackgroundLoop(loop=loop)
    try:
        yield running
    finally:
        running.start(_cancel_all()).result(WIND_UP_SECONDS * 2)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.wait(others, timeout=WIND_UP_SECONDS) if others else None
