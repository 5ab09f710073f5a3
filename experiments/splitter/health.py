"""Turn the state of a visitor process into /readyz and /metrics.

/healthz says only that the process lives; a load balancer that asks it keeps sending visitors as long as pages can be
served. /readyz names every fault, whether visitors notice it or not.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.splitter.journal import Journal
from experiments.splitter.refresher import Refresher
from experiments.splitter.responses import OK, UNAVAILABLE, Reply, plain
from experiments.splitter.shipper import Shipper
from experiments.splitter.tallies import Tallies

# A fault is to be named within fifteen seconds. Redis is asked each second, and counting takes five at most when all is
# well.
UNREACHABLE_SECONDS = 5.0
BEHIND_SECONDS = 10.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What there is to look at."""

    refresher: Refresher
    journal: Journal
    shipper: Shipper
    tallies: Tallies

    def ready(self) -> Reply:
        """Answer /readyz."""
        reasons = self._reasons()
        document = json.dumps({"ready": not reasons, "reasons": reasons})
        return plain(UNAVAILABLE if reasons else OK, document, content_type="application/json")

    def metrics(self) -> Reply:
        """Answer /metrics in Prometheus' text format."""
        totals = self.tallies.totals()
        lines = ["# TYPE greenhouse_visitor_total counter"]
        lines += [f'greenhouse_visitor_total{{kind="{kind}"}} {number}' for kind, number in sorted(totals.items())]
        for name, value in self._gauges().items():
            lines += [f"# TYPE greenhouse_{name} gauge", f"greenhouse_{name} {value:g}"]
        return plain(OK, "\n".join([*lines, ""]), content_type=METRICS_TYPE)

    def _reasons(self) -> list[str]:
        behind_seconds = self.shipper.lag().seconds
        unreachable_seconds = self.refresher.unreachable_seconds
        found = {
            "no snapshot was ever loaded": not self.refresher.is_loaded,
            f"Redis has not answered for {unreachable_seconds:.0f} s": unreachable_seconds > UNREACHABLE_SECONDS,
            "the journal cannot be written": self.journal.is_failing,
            f"counting is {behind_seconds:.0f} s behind": behind_seconds > BEHIND_SECONDS,
        }
        return [reason for reason, applies in found.items() if applies]

    def _gauges(self) -> Mapping[str, float]:
        lag = self.shipper.lag()
        return {
            "experiments_served": len(self.refresher.experiments),
            "redis_unreachable_seconds": self.refresher.unreachable_seconds,
            "journal_failing": int(self.journal.is_failing),
            "journal_disk_free_bytes": _free_bytes(self.journal.directory),
            "uncounted_bytes": lag.uncounted_bytes,
            "uncounted_seconds": lag.seconds,
            "ready": int(not self._reasons()),
        }


def _free_bytes(directory: Path) -> int:
    """Give how much may still be written there; 0 for a folder that cannot be asked."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize
