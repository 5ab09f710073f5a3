"""Hold the variants that are there against a brief that was changed, so that what no longer fits is seen.

    a brief is saved ──▶ hold(brief), in batches ──▶ findings, traces and misfit of its variants
    each minute      ──▶ due() ──▶ the same, for what nobody was told of: a brand, a picture, a task that was lost

A variant keeps which state of its brief it was held against (`Variant.held_against`); one whose brief has another state
now is to be held again. So it does not matter how often, in which order or by how many workers it is done, nor where
one dies: what is left to do stands in the rows. Nothing but what the gates say is changed: what was approved stays
approved, and what is live stays live, until people decide.
"""

import logging
from time import monotonic
from typing import Any, Final

from celery import current_app
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import QuerySet
from pydantic import ValidationError

from variants.models import Brief, Variant
from variants.review import KEPT, Judgement, judge, measure_of

logger = logging.getLogger(__name__)

HOLD_TASK: Final = "variants.tasks.hold"
BATCH: Final = 20  # variants: about a fifth of a second
PASS_SECONDS: Final = 5.0  # after which the next pass goes on, so that counting comes in between


def request(brief: Brief) -> None:
    """Have a worker hold the brief's variants against it once the transaction is committed, if there is any to hold."""
    if not to_hold(brief).exists():
        return
    # By name: the task stands in a door. Robust: with the broker down, the timetable comes round to it.
    task = current_app.signature(HOLD_TASK, args=(brief.pk,))
    transaction.on_commit(task.apply_async, robust=True)


def state_of(brief: Brief) -> str:
    """Return what changes with whatever the gates read of a brief and its brand; empty while the brief is at fault."""
    try:
        return measure_of(brief).state
    except ValidationError:
        return ""


def to_hold(brief: Brief) -> QuerySet[Variant]:
    """Return the variants that were held against another state of the brief. Rejected ones are, when taken back."""
    state = state_of(brief)
    grown = Variant.objects.filter(nursery__brief=brief).exclude(status=Variant.Status.REJECTED)
    return grown.exclude(held_against=state).order_by("pk") if state else grown.none()


def due() -> list[int]:
    """Return the briefs that have variants to hold."""
    held = Variant.objects.exclude(status=Variant.Status.REJECTED).order_by()
    by_brief: dict[int, set[str]] = {}
    for pk, state in held.values_list("nursery__brief", "held_against").distinct():
        by_brief.setdefault(pk, set()).add(state)
    briefs = Brief.objects.select_related("brand").filter(pk__in=by_brief)
    return [brief.pk for brief in briefs if (state := state_of(brief)) and by_brief[brief.pk] != {state}]


def hold(brief_id: int, *, seconds: float = PASS_SECONDS) -> bool:
    """Hold what is to be held, for about `seconds`; tell whether more is left."""
    stop_at = monotonic() + seconds
    while batch := _batch(brief_id):
        for variant in batch:
            _hold(variant)
        if monotonic() > stop_at:
            return bool(_batch(brief_id))
    return False


def hold_all_of(brief: Brief) -> None:
    """Hold what is to be held now, however long it takes: for whoever is about to show it to visitors."""
    while hold(brief.pk):
        continue


def _batch(brief_id: int) -> list[Variant]:
    # Race: the brief is read anew for each batch, so of two that save it the last one's words are what is left to hold.
    brief = Brief.objects.select_related("brand").filter(pk=brief_id).first()
    if brief is None:
        return []
    return list(to_hold(brief).select_related("nursery__brief__brand")[:BATCH])


def _hold(variant: Variant) -> None:
    """Store what the gates say of a variant now, unless it or what they say of it was changed meanwhile."""
    judged = _judged(variant)
    with transaction.atomic():
        # Race: whoever held it meanwhile may have read a newer brief; if theirs was older, the next batch has it again.
        free = Variant.objects.select_for_update().filter(pk=variant.pk, held_against=variant.held_against)
        stored = free.first()
        if stored is None or stored.content != variant.content:
            return
        new: dict[str, Any] = {"held_against": state_of(variant.nursery.brief)}
        if judged:
            kept = [finding for finding in stored.findings if finding["gate"] in KEPT]
            new = {**judged.stored, "findings": [*judged.stored["findings"], *kept]}
        Variant.objects.filter(pk=variant.pk).update(**new)


def _judged(variant: Variant) -> Judgement | None:
    """Judge a variant; None for what no version of Greenhouse can read any more, which would be in the way for ever."""
    try:
        return judge(variant.typed, variant.nursery)
    except (ValidationError, ObjectDoesNotExist):
        logger.exception("variant %s cannot be held against its brief", variant.pk)
        return None
