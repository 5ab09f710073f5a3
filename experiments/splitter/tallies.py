"""Turn "this happened" into totals for /metrics and into tally records for the report.

A tally says how many requests were answered without being counted, and why. It is written each second by a background
thread, so a killed process may lose a second of tallies; exposures and conversions never wait here.
"""

import threading
from collections import Counter

from experiments.splitter.records import Tally

# Why a request for a page or a conversion was not counted.
BOT = "bot"
OPTED_OUT = "opted_out"
HEAD = "head"
NO_CONSENT = "no_consent"
OUTSIDE = "outside"  # of the traffic share
PAUSED = "paused"
JOURNAL_REFUSED = "journal_refused"
LIMITED = "limited"  # refused by the rate limit
# Given a cookie that waits until the page is seen, and how many of those were: the report shows the difference.
UNCONFIRMED, CONFIRMED = "unconfirmed", "confirmed"  # where an experiment counts only what ran in a browser
PREFETCH, SHOWN = "prefetch", "shown"  # everywhere else

# Why something that a visitor did was not counted.
UNATTRIBUTED = "unattributed"  # no cookie, or one of somebody outside
FORGED = "forged"  # a cookie or token that we did not sign
FOREIGN = "foreign"  # signed, but for another experiment or goal
TOO_SOON = "too_soon"  # by somebody who is not confirmed yet, where that is asked for
EARLY = "early"  # dated before the visitor saw the page
LATE = "late"  # after its window


class Tallies:
    """Counts by kind. Any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._pending: Counter[tuple[int, str]] = Counter()

    def count(self, kind: str, number: int = 1) -> None:
        """Add to the totals alone."""
        with self._lock:
            self._totals[kind] += number

    def add(self, experiment: int, kind: str) -> None:
        """Add to the totals and to what the next tally of the experiment says."""
        with self._lock:
            self._totals[kind] += 1
            self._pending[experiment, kind] += 1

    def totals(self) -> dict[str, int]:
        """Give the totals since the start."""
        with self._lock:
            return dict(self._totals)

    def take(self, at_ms: int) -> list[Tally]:
        """Give what came together since the last call, one tally an experiment."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
        counts: dict[int, dict[str, int]] = {}
        for (experiment, kind), number in pending.items():
            counts.setdefault(experiment, {})[kind] = number
        return [Tally(experiment=experiment, at_ms=at_ms, counts=kinds) for experiment, kinds in counts.items()]

    def give_back(self, tallies: list[Tally]) -> None:
        """Keep for later what could not be written."""
        with self._lock:
            for tally in tallies:
                for kind, number in tally.counts.items():
                    self._pending[tally.experiment, kind] += number
