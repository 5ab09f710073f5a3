"""Turn a function into a thread that calls it again and again until it is told to stop."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

JOIN_SECONDS = 5.0


class Repeater:
    """Calls `work` every `interval_seconds` in a thread of its own."""

    def __init__(
        self, work: Callable[[], None], *, interval_seconds: float, on_failure: Callable[[], None], name: str
    ) -> None:
        self._work = work
        self._interval_seconds = interval_seconds
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start calling."""
        self._thread.start()

    def stop(self) -> None:
        """Stop calling, and wait for the last call to end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            try:
                self._work()
            except Exception:  # the thread must outlive a mistake of ours; it is logged and counted
                logger.exception("%s failed", self._thread.name)
                self._on_failure()
