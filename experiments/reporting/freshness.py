"""Turn the state of an experiment into a short stamp that changes when its report does: the ETag of an open report.

A report says times as well ("4 days", "counted up to"), so the minute is part of it.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db.models import Aggregate, Max, OuterRef, QuerySet, Subquery, Sum

from experiments.models import Allocation, Arm, Breakdown, EpochCount, Experiment, Tally

LATELY = timedelta(days=1)


def stamp(experiment: Experiment, now: datetime) -> str:
    """Return a text that is the same as long as the report is."""
    numbers = Experiment.objects.filter(pk=experiment.pk).values_list(
        _one(Allocation.objects.all(), Max("epoch")),
        _one(Tally.objects.all(), Sum("count")),
        _one(Breakdown.objects.all(), Max("made_at")),
        # Arms move between statuses; their numbers tell one set of retired ones from another.
        _one(Arm.objects.exclude(status=Arm.Status.LIVE), Sum("pk")),
    )
    # Nearly all that is counted is of the last hours; a conversion that comes later shows within the minute.
    lately = EpochCount.objects.filter(arm__experiment=experiment, hour__gte=now - LATELY)
    counted = lately.aggregate(Sum("count"), Sum("value"))
    seen = (
        experiment.pk,
        experiment.status,
        experiment.name,
        experiment.policy,
        experiment.frozen_at,
        experiment.trusted_from_epoch,
        experiment.outlook,
        list(numbers),
        counted,
        f"{now:%Y-%m-%d %H:%M}",
    )
    return sha256(repr(seen).encode()).hexdigest()[:32]


def _one(rows: QuerySet[Any], value: Aggregate, *, of: str = "experiment") -> Subquery:
    """Return one number of the experiment's rows of another table, as part of a query of experiments."""
    own = rows.filter(**{of: OuterRef("pk")}).order_by().values(of)
    return Subquery(own.annotate(one=value).values("one"))
