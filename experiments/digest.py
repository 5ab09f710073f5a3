"""The week in short: one notice a week for the whole house, from Monday morning on.

Its cause is the week's own number, so it is written once, and a timetable that stood still on Monday writes it later.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F, Sum

from experiments import outbox, standing
from experiments.models import EXPOSURES, Destination, EpochCount, Experiment, Notice

Topic = Notice.Topic
FROM_HOUR: Final = 7  # of Monday, on the house's clocks
WEEK: Final = timedelta(days=7)
MOST_LINES: Final = 10  # of each list
TOO_EARLY: Final = "It is too early to say how many conversions were gained by moving visitors to better pages"


def write_if_due(now: datetime) -> bool:
    """Write the week's digest, if it is not written yet and anybody wants it."""
    there = now.astimezone(ZoneInfo(settings.HOUSE_TIME_ZONE)) - timedelta(hours=FROM_HOUR)
    year, week, _ = there.isocalendar()
    cause = f"week {year}-{week:02}"
    if Notice.objects.filter(experiment=None, cause=cause).exists():
        return False
    wanted = Destination.objects.filter(experiment=None, is_on=True).values_list("topics", flat=True)
    if not any(Topic.DIGEST in topics for topics in wanted):
        return False
    return outbox.tell(Topic.DIGEST, cause, text(now))


def text(now: datetime) -> str:
    return "\n".join(_lines(now))


def _lines(now: datetime) -> Iterator[str]:
    running = Experiment.objects.filter(status=Experiment.Status.RUNNING).count()
    visitors, conversions = _totals(now - WEEK)
    yield f"In the last seven days {visitors:,} visitors came and {conversions:,} converted."
    yield f"{running} experiment{'' if running == 1 else 's'} running."
    yield gain_words(standing.gain(Experiment.objects.values_list("standing", flat=True)))
    open_ones = Notice.objects.filter(ended_at__isnull=True).select_related("experiment").order_by("-pk")
    for title, topics in {
        "Better than today's page for sure": [Topic.WINNER],
        "Waits for a decision": [Topic.DECISION],
        "Needs a look": [Topic.UNHEALTHY, Topic.BUDGET],
    }.items():
        found = list(open_ones.filter(topic__in=topics)[: MOST_LINES + 1])
        if found:
            yield f"\n{title}:"
        yield from (f"- {notice.experiment or 'Greenhouse'}: {notice.text}" for notice in found[:MOST_LINES])
        if len(found) > MOST_LINES:
            yield "- and more, on the console’s first page"


def _totals(since: datetime) -> tuple[int, int]:
    counts = EpochCount.objects.filter(hour__gte=since)
    deciding = counts.filter(arm__experiment__goals__is_primary=True, arm__experiment__goals__key=F("measure"))
    visitors = counts.filter(measure=EXPOSURES).aggregate(n=Sum("count"))["n"] or 0
    return visitors, deciding.aggregate(n=Sum("count"))["n"] or 0


def gain_words(gained: standing.Gain | None) -> str:
    """Say what the bandit brought, and how sure that is."""
    if gained is None:
        return f"{TOO_EARLY}."
    about, low, high = round(gained.extra), round(gained.low), round(gained.high)
    if not gained.is_sure:
        return f"{TOO_EARLY}: anything from {low:,} to {high:,} would fit."
    than = "more" if about >= 0 else "fewer"
    ends = f"{low:,} to {high:,}" if about >= 0 else f"{-high:,} to {-low:,}"
    return (
        f"Moving visitors to better pages has brought about {abs(about):,} conversions {than} than showing every page "
        f"equally often would have ({ends})."
    )
