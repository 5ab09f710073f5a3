"""The two clocks, as callables that are passed in so that tests can move time.

Wall time dates what visitors did. Monotonic time measures how long something has lasted: a clock set back by an hour
must not keep a stalled journal from being shipped again for that hour.
"""

import time
from collections.abc import Callable

Milliseconds = Callable[[], int]


def wall_ms() -> int:
    """Give milliseconds since 1970 in UTC."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Give milliseconds since some fixed moment; never steps back."""
    return time.monotonic_ns() // 1_000_000
