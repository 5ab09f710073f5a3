"""Turn what visitor processes say of their journals into how far counting is behind, over all hosts.

A journal's end is what its process last said; what is counted of it the database knows. So a host that has died still
shows what it holds uncounted, and a journal that another process took over does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from experiments.models import JournalCursor
from experiments.splitter.stores import JournalLag, StoreUnavailable
from experiments.store import store

BEHIND_SECONDS = 60.0  # far from the ordinary pulse of shipping and counting; /readyz tells machines sooner
SILENT_SECONDS = 60.0  # a living process says something each second


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far counting is behind."""

    is_known: bool = True  # False while Redis does not answer
    uncounted_bytes: int = 0
    seconds: float = 0.0  # for which the oldest uncounted record of a living host has waited
    silent_hosts: Sequence[str] = ()  # that hold uncounted records and say nothing any more

    @property
    def is_behind(self) -> bool:
        return self.seconds > BEHIND_SECONDS

    def counted_until(self, now: datetime) -> datetime:
        """Return the moment up to which everything is counted, as far as living hosts know."""
        return now - timedelta(seconds=self.seconds) if self.is_behind else now

    def sentences(self) -> list[str]:
        """Say what is not as it should be and what to do about it; nothing if all is well."""
        return list(self._sentences())

    def _sentences(self) -> Iterator[str]:
        if not self.is_known:
            yield (
                "Counts stand still because Redis does not answer. Visitors notice nothing and nothing is lost: what "
                "they do is kept on the web hosts and counted once Redis is back."
            )
        if self.is_behind:
            yield (
                f"Counting is {_words(self.seconds)} behind; nothing is lost. It catches up by itself as long as a "
                "worker and the timetable run. If this grows, start one more worker."
            )
        for host in self.silent_hosts:
            yield (
                f"The web host {host} has gone silent and holds visits that are not counted yet. They are counted as "
                "soon as Greenhouse runs again on that host's disk."
            )


def measure() -> Lag:
    """Ask the store and the database."""
    try:
        lags = store().lags()
    except StoreUnavailable:
        return Lag(is_known=False)
    uncounted = _uncounted(lags)
    now_ms = timezone.now().timestamp() * 1000
    spoke = {journal for journal in uncounted if now_ms - lags[journal].at_ms < SILENT_SECONDS * 1000}
    return Lag(
        uncounted_bytes=sum(uncounted.values()),
        seconds=max((lags[journal].seconds for journal in spoke), default=0.0),
        silent_hosts=sorted({lags[journal].host for journal in uncounted.keys() - spoke}),
    )


def forget_counted() -> None:
    """Drop from the store what was said of journals that are counted and whose process is gone or has let them go."""
    lags = store().lags()
    oldest_ms = timezone.now().timestamp() * 1000 - SILENT_SECONDS * 1000
    silent = {journal for journal, lag in lags.items() if lag.at_ms < oldest_ms}
    store().forget_lags(silent - _uncounted(lags).keys())


def _uncounted(lags: Mapping[str, JournalLag]) -> dict[str, int]:
    """Return how many bytes of each journal are not counted, for those that have any."""
    counted = dict(JournalCursor.objects.filter(journal__in=list(lags)).values_list("journal", "offset"))
    rest = {journal: lag.end - counted.get(journal, 0) for journal, lag in lags.items()}
    return {journal: size for journal, size in rest.items() if size > 0}


def _words(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:  # noqa: PLR2004 - two hours; below, minutes say more
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{round(minutes / 60)} hours"
