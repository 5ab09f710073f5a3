"""Say before it is asked for what a number of variants will cost: about, and at most."""

from dataclasses import dataclass, replace

from django.conf import settings
from django.db.models import Avg
from pydantic import ValidationError

from variants import ledger
from variants.directions import of_angles, turn_for
from variants.generation import DIRECTIONS_PER_PLAN, MOST_TRIES, lessons_of
from variants.importing import original_of
from variants.llm import (
    LONGEST_ANSWER_QUOTED,
    MOST_FAULTS_QUOTED,
    LLMMisconfigured,
    Writer,
    embedder_for,
    writer_for,
)
from variants.models import ModelCall, Nursery
from variants.prompts import MOST_HEADLINES_SHOWN, Fault, PlanRequest, WriteRequest

CALLS_REMEMBERED = 50
LONGEST_HEADLINE = 90  # characters
LONGEST_REASON = 150
LONGEST_PART = 240
# Characters sent for a page's embeddings: each text of it stands alone, in its half of the page and in the whole.
LIKELY_TOLD = 3 * 2_000
LONGEST_TOLD = 3 * 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a request will cost, in millionths of a dollar."""

    is_free: bool
    likely_micro_usd: int
    most_micro_usd: int  # never more, whatever the model does: also what limits leave
    is_limited: bool  # whether a limit could end it before every page is had
    unlimited_micro_usd: int = 0  # the most it could cost if there were no limits


def estimate(nursery: Nursery, count: int, *, user_id: int | None, writer: Writer | None = None) -> Estimate:
    """Return what `count` variants (0: a plan alone) will cost; raise NoEstimate with what has to be mended first."""
    try:
        return _estimate(nursery, count, user_id, writer or writer_for(settings.ENVIRONMENT))
    except LLMMisconfigured as error:
        raise NoEstimate(str(error)) from error
    except ValidationError as error:
        raise NoEstimate("The brief is not complete, so nothing can be written from it yet.") from error


def most_of_a_page(nursery: Nursery, writer: Writer | None = None) -> int:
    """Return what one more page can cost at most, in millionths of a dollar; raise NoEstimate where none can be had."""
    return estimate(nursery, 1, user_id=None, writer=writer).unlimited_micro_usd


class NoEstimate(Exception):
    """Nothing can be written yet; the message says why."""


def _estimate(nursery: Nursery, count: int, user_id: int | None, writer: Writer) -> Estimate:
    if not writer.is_model:
        return Estimate(is_free=True, likely_micro_usd=0, most_micro_usd=0, is_limited=False)
    likely, most = count * _likely(writer, nursery), count * _most(writer, nursery)
    if count == 0 or not nursery.directions.exists():
        request = _plan_request(nursery)
        again = replace(request, faults=(_longest_fault(),))
        likely += writer.likely_cost_micro_usd(request)
        most += writer.most_cost_micro_usd(request) + (MOST_TRIES - 1) * writer.most_cost_micro_usd(again)
    if count and (embedder := embedder_for(settings.ENVIRONMENT)) is not None:
        there = nursery.variants.count() + 1  # and the brief
        likely += (count + there) * embedder.most_cost_micro_usd(["x" * LIKELY_TOLD])
        most += (MOST_TRIES * count + there) * embedder.most_cost_micro_usd(["x" * LONGEST_TOLD])
    limits = ledger.limits(nursery.pk, generation=None, user_id=user_id)
    left = min((limit.left_micro_usd for limit in limits), default=most)
    return Estimate(
        is_free=False,
        likely_micro_usd=min(likely, left),
        most_micro_usd=min(most, left),
        is_limited=left < most,
        unlimited_micro_usd=most,
    )


def _likely(writer: Writer, nursery: Nursery) -> int:
    """Return what a page has cost lately with this model, all its answers together; before the first, a guess."""
    used = ModelCall.objects.filter(purpose=ModelCall.Purpose.PAGE, outcome=ModelCall.Outcome.USED)
    # Servers add a date to the name they are asked for: gpt-5-mini answers as gpt-5-mini-2025-08-07.
    of_model = used.filter(model__startswith=writer.name).order_by("-pk")[:CALLS_REMEMBERED]
    lately = of_model.aggregate(cost=Avg("cost_micro_usd"))["cost"]
    return round(lately) if lately is not None else writer.likely_cost_micro_usd(_page_request(nursery))


def _most(writer: Writer, nursery: Nursery) -> int:
    """Return what a page can cost: MOST_TRIES answers, each as long as may be, the later ones with faults quoted."""
    headlines = ("x" * LONGEST_HEADLINE,) * MOST_HEADLINES_SHOWN
    longest = replace(_page_request(nursery), used_headlines=headlines, repeated=headlines[:MOST_TRIES])
    again = replace(longest, faults=(_longest_fault(),))
    return writer.most_cost_micro_usd(longest) + (MOST_TRIES - 1) * writer.most_cost_micro_usd(again)


def _longest_fault() -> Fault:
    return Fault(answer="x" * LONGEST_ANSWER_QUOTED, reasons=("x" * LONGEST_REASON,) * MOST_FAULTS_QUOTED)


def _plan_request(nursery: Nursery) -> PlanRequest:
    brand = nursery.brief.brand
    known = tuple(nursery.directions.values_list("angle", flat=True))
    return PlanRequest(
        brief=nursery.brief.spec(), count=DIRECTIONS_PER_PLAN, brand=brand.name, voice=brand.voice, known=known
    )


def _page_request(nursery: Nursery) -> WriteRequest:
    brief, brand = nursery.brief.spec(), nursery.brief.brand
    directions = [direction.spec() for direction in nursery.directions.filter(is_struck=False)]
    longest = "x" * LONGEST_PART
    full = [
        direction.model_copy(update=dict.fromkeys(("insight", "promise", "proof", "objection"), longest))
        for direction in directions or of_angles(brief)
    ]
    return WriteRequest(
        brief=brief,
        turn=turn_for(full, 0),
        plan=tuple(direction.angle for direction in full),
        brand=brand.name,
        voice=brand.voice,
        images=tuple(brand.images.order_by("name").values_list("name", flat=True)),
        original=original_of(nursery),
        lessons=lessons_of(brand),
    )
