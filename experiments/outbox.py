"""Write down what people should know of, in the transaction of its cause; delivering.py sends it.

A cause is told once: as long as it lasts its notice is open, and nothing more is said. What comes back within a day is
the same cause still.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from experiments.models import Delivery, Destination, Experiment, Notice

Topic = Notice.Topic
FLUTTER: Final = timedelta(days=1)
NOTICES_KEPT: Final = timedelta(days=90)  # after their end, with what was sent of them; retention.py deletes them then
ID_BYTES: Final = 16
OF_THE_HOUSE: Final = frozenset({Topic.DIGEST})  # tells of all experiments at once
TOLD: Final = tuple(topic for topic in Topic if topic != Topic.TEST)  # what a destination may be told of


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is so now, and that people should know of."""

    topic: Topic
    text: str


def tell(topic: Topic, cause: str, text: str, *, experiment: Experiment | None = None) -> bool:
    """Write a notice and its deliveries; nothing, and False, while the same cause is told of already."""
    return _tell(topic, cause, text, experiment.pk if experiment else None)


def _tell(topic: Topic, cause: str, text: str, experiment_id: int | None) -> bool:
    now, cause = timezone.now(), cause[:100]
    same = Notice.objects.filter(experiment=experiment_id, cause=cause)
    if same.filter(ended_at__isnull=True).exists():
        return False
    try:
        with transaction.atomic():
            if recent := same.filter(ended_at__gt=now - FLUTTER).last():
                Notice.objects.filter(pk=recent.pk).update(ended_at=None, text=text)
                return False
            notice = Notice.objects.create(
                experiment_id=experiment_id, topic=topic, cause=cause, text=text, created_at=now
            )
            _address(notice, _destinations(notice), now)
    except IntegrityError:  # Race: another worker told of it a moment ago.
        return False
    return True


def tell_one(destination: Destination, topic: Topic, text: str) -> Delivery:
    """Write a notice for one destination alone, such as a test."""
    now = timezone.now()
    with transaction.atomic():
        cause = f"{topic} {secrets.token_hex(4)}"
        notice = Notice.objects.create(
            experiment=destination.experiment, topic=topic, cause=cause, text=text, created_at=now, ended_at=now
        )
        return _address(notice, [destination], now)[0]


def _address(notice: Notice, destinations: Iterable[Destination], now: datetime) -> list[Delivery]:
    return Delivery.objects.bulk_create(
        Delivery(
            notice=notice,
            destination=destination,
            message_id=f"msg_{secrets.token_hex(ID_BYTES)}",
            next_at=now,
            created_at=now,
        )
        for destination in destinations
    )


def _destinations(notice: Notice) -> list[Destination]:
    """Return who is told: the house's destinations and the experiment's own, each address once."""
    whose = Q(experiment=None) if notice.experiment_id is None else Q(experiment=None) | Q(experiment=notice.experiment)
    found = Destination.objects.filter(whose, is_on=True)
    by_address = {(found.kind, found.address): found for found in found if notice.topic in found.topics}
    return list(by_address.values())


def keep(topics: Collection[Topic], found: Mapping[tuple[int | None, str], Finding]) -> None:
    """Open a notice for each cause in `found`, by experiment and cause, and end those of these topics that are over."""
    open_ones = Notice.objects.filter(topic__in=topics, ended_at__isnull=True)
    known = {(experiment, cause): pk for pk, experiment, cause in open_ones.values_list("pk", "experiment", "cause")}
    over = [pk for key, pk in known.items() if key not in found]
    Notice.objects.filter(pk__in=over).update(ended_at=timezone.now())
    for key in found.keys() - known.keys():
        experiment_id, cause = key
        _tell(found[key].topic, cause, found[key].text, experiment_id)
