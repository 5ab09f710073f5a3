"""Hold a generation: at any time at most one worker works on it, and says so again and again.

A lease is the time in `worked_at`. Whoever renews it must name the time that they left there; when another worker has
taken over, it is not there any more, and whatever was to be saved in the same transaction is not saved.
"""

from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from variants.models import Generation

LEASE = timedelta(seconds=20)
HEARTBEAT_SECONDS = 1.0  # also how soon a worker hears that its generation was cancelled

Status = Generation.Status


class LeaseLost(Exception):
    """Another worker has taken the generation over, or it was deleted."""


class Lease:
    def __init__(self, generation_id: int, held_at: datetime) -> None:
        self.generation_id = generation_id
        self.is_cancelled = False
        self.is_lost = False
        self._held_at = held_at

    def renew(self, *, model: str = "", **added: int) -> None:
        """Say that the worker lives, and add to the counters; raise LeaseLost when another one holds the generation."""
        now = max(timezone.now(), self._held_at + timedelta(microseconds=1))  # leases are told apart by their time
        renewed = self._mine().update(
            worked_at=now,
            **({"model": model[:100]} if model else {}),
            **{name: F(name) + number for name, number in added.items()},
        )
        if not renewed:
            self.is_lost = True
            raise LeaseLost
        self._held_at = now
        self.is_cancelled = self._mine().filter(status=Status.CANCELLED).exists()

    def end(self, status: Generation.Status, message: str) -> None:
        """Let go of the generation; one that a person has cancelled stays cancelled."""
        ended = {"message": message, "finished_at": timezone.now()}
        if not self._mine().filter(status=Status.RUNNING).update(status=status, **ended):
            self._mine().update(**ended)

    def _mine(self) -> QuerySet[Generation]:
        return Generation.objects.filter(
            pk=self.generation_id,
            status__in=(Status.RUNNING, Status.CANCELLED),
            worked_at=self._held_at,
            finished_at=None,
        )


def claim(generation_id: int) -> Lease | None:
    """Take hold of a generation that waits, or whose worker has fallen silent; None when there is nothing to take."""
    now = timezone.now()
    free = Q(status=Status.QUEUED) | Q(status=Status.RUNNING, worked_at__lt=now - LEASE)
    claimed = Generation.objects.filter(free, pk=generation_id).update(status=Status.RUNNING, worked_at=now)
    return Lease(generation_id, now) if claimed else None


def stalled() -> list[int]:
    """Return the generations no worker works on although one should."""
    now = timezone.now()
    silent = Q(status=Status.RUNNING, worked_at__lt=now - LEASE)
    # Its message may only be waiting behind others; a second one does no harm (the claim is conditional).
    forgotten = Q(status=Status.QUEUED, created_at__lt=now - 6 * LEASE)
    return list(Generation.objects.filter(silent | forgotten).values_list("pk", flat=True))
