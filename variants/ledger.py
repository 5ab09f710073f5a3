"""Hold budgets: set money aside before a call to the model, settle what it cost after. The only writer of ModelCall.

    reserve ──▶ under way, at the most it can cost ──▶ settle ──▶ used, unusable, refused or failed, at what it cost
                                                  └──▶ lose ────▶ lost, at the most it can cost: its bill is unknown

A budget is held by the sum of these rows, so what is set aside by one worker is out of reach of every other one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from variants.models import MICRO_USD, Breeding, Generation, ModelCall, Nursery

Outcome = ModelCall.Outcome


class OverBudget(Exception):
    """The call could cost more than what is left; the message says of what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A sum that may not be passed, and what is spent or set aside of it."""

    name: str  # as it follows "the next page could have cost more than what is left of …"
    most_micro_usd: int
    used_micro_usd: int
    is_daily: bool = False  # there is more of it tomorrow

    @property
    def left_micro_usd(self) -> int:
        return max(0, self.most_micro_usd - self.used_micro_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What came of a call."""

    outcome: ModelCall.Outcome
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: int


def reserve(
    generation: Generation, *, purpose: ModelCall.Purpose, model: str, prompt_version: str, cost_micro_usd: int
) -> ModelCall:
    """Set aside the most a call can cost, and enter it as under way; raise OverBudget when a limit would be passed."""
    with transaction.atomic():
        _take_turns(generation)
        for limit in limits(generation.nursery_id, generation=generation, user_id=generation.requested_by_id):
            if cost_micro_usd > limit.left_micro_usd:
                raise OverBudget(
                    f"Stopped: the next page could have cost more than what is left of {limit.name} of "
                    f"${dollars(limit.most_micro_usd)}."
                )
        return ModelCall.objects.create(
            generation=generation,
            user_id=generation.requested_by_id,
            purpose=purpose,
            model=model[:100],
            prompt_version=prompt_version,
            cost_micro_usd=cost_micro_usd,
        )


def _take_turns(generation: Generation) -> None:
    # Race: without this, two workers would both read the sum before either has added to it. In this order everywhere.
    if settings.ENVIRONMENT.model_usd_per_user_per_day is not None and generation.requested_by_id:
        User.objects.select_for_update(no_key=True).get(pk=generation.requested_by_id)
    Nursery.objects.select_for_update(no_key=True).get(pk=generation.nursery_id)


def limits(nursery_id: int, *, generation: Generation | None, user_id: int | None) -> Iterator[Limit]:
    """Yield every limit there is, for a generation or for one that is yet to be asked for."""
    if generation is not None and generation.budget_micro_usd is not None:
        used = _sum(ModelCall.objects.filter(generation=generation))
        yield Limit(name="the budget", most_micro_usd=generation.budget_micro_usd, used_micro_usd=used)
    most = Nursery.objects.values_list("budget_micro_usd", flat=True).get(pk=nursery_id)
    if most is not None:
        yield Limit(name="this experiment’s budget", most_micro_usd=most, used_micro_usd=spent(nursery_id))
    if generation is not None and Breeding.objects.filter(generation=generation).exists():
        yield from breeding_limit(nursery_id)
    daily = settings.ENVIRONMENT.model_usd_per_user_per_day
    if daily is not None and user_id is not None:
        today = _today()
        used = _sum(ModelCall.objects.filter(user_id=user_id, asked_at__gte=today))
        yield Limit(name="your account’s daily limit", most_micro_usd=micro(daily), used_micro_usd=used, is_daily=True)


def set_budget(nursery_id: int, usd: Decimal | None) -> None:
    """Limit what all calls of a nursery together may cost; None lifts the limit."""
    limit = None if usd is None else micro(usd)
    Nursery.objects.filter(pk=nursery_id).update(budget_micro_usd=limit)


def breeding_limit(nursery_id: int) -> Iterator[Limit]:
    """Yield what breeding may spend today, if that is limited."""
    most = Nursery.objects.values_list("breeding_micro_usd_per_day", flat=True).get(pk=nursery_id)
    if most is not None:
        bred = ModelCall.objects.filter(
            generation__nursery=nursery_id, generation__breeding__isnull=False, asked_at__gte=_today()
        )
        name = "what breeding may spend in a day"
        yield Limit(name=name, most_micro_usd=most, used_micro_usd=_sum(bred), is_daily=True)


def _today() -> datetime:
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


def spent(nursery_id: int) -> int:
    """Return what the nursery's calls cost, with what is set aside for those under way."""
    return _sum(ModelCall.objects.filter(generation__nursery=nursery_id))


def _sum(calls: QuerySet[ModelCall]) -> int:
    return calls.aggregate(cost=Sum("cost_micro_usd"))["cost"] or 0


def settle(call_id: int, bill: Bill) -> None:
    """Enter what a call cost. One that was given up as lost is put right when its answer comes after all."""
    with transaction.atomic():
        call = ModelCall.objects.select_for_update().filter(pk=call_id).first()
        if call is None or call.outcome not in {Outcome.UNDER_WAY, Outcome.LOST}:
            return
        entered = call.cost_micro_usd if call.outcome == Outcome.LOST else 0
        ModelCall.objects.filter(pk=call_id).update(
            outcome=bill.outcome,
            model=bill.model[:100],
            prompt_tokens=bill.prompt_tokens,
            completion_tokens=bill.completion_tokens,
            cost_micro_usd=bill.cost_micro_usd,
            ended_at=timezone.now(),
        )
        Generation.objects.filter(pk=call.generation_id).update(
            prompt_tokens=F("prompt_tokens") + bill.prompt_tokens,
            completion_tokens=F("completion_tokens") + bill.completion_tokens,
            cost_micro_usd=F("cost_micro_usd") + bill.cost_micro_usd - entered,
        )


def lose(calls: Iterable[ModelCall]) -> None:
    """Give up calls whose answer nobody waits for any more: whether they are charged for is unknown."""
    for call in calls:
        settle(
            call.pk,
            Bill(
                outcome=Outcome.LOST,
                model=call.model,
                prompt_tokens=0,
                completion_tokens=0,
                cost_micro_usd=call.cost_micro_usd,
            ),
        )


def open_calls(generation_id: int) -> QuerySet[ModelCall]:
    return ModelCall.objects.filter(generation=generation_id, outcome=Outcome.UNDER_WAY)


def orphans(*, silent_for: timedelta) -> QuerySet[ModelCall]:
    """Return the calls under way of generations that are over and that no worker has worked on for a while."""
    silent_since = timezone.now() - silent_for
    over = (Generation.Status.FINISHED, Generation.Status.FAILED, Generation.Status.CANCELLED)
    return ModelCall.objects.filter(
        outcome=Outcome.UNDER_WAY, generation__status__in=over, generation__worked_at__lt=silent_since
    )


def dollars(micro_usd: int) -> str:
    """Return an amount as it was typed, without zeros at its end."""
    return f"{(micro_usd / MICRO_USD).normalize():f}"


def micro(usd: Decimal) -> int:
    """Return an amount in millionths of a dollar; what is left of one is dropped, so that no limit grows."""
    return int(usd * MICRO_USD)
