"""Grow variants: ask the writer, check, compare, save, and keep account of the cost. The only caller of llm.py.

    QUEUED ── run ──▶ RUNNING ──▶ FINISHED   every page was had, or was given up, or the budget is used up
                        │  ▲ └──▶ FAILED     the model cannot be used, or not one page came of it
                        └──┘ run again, by another worker, when the first one died

Every page asked for ends as accepted, blocked or failed; a finished generation has accepted + blocked + failed =
requested, unless its budget or time ran out. Answers that repeat a page are counted as duplicates and asked again.

1. `run` claims the generation by a conditional UPDATE. `worked_at` is renewed while it works: a second worker that
   finds it fresh leaves; one that finds it older than LEASE takes over.
2. Up to MODEL_IN_FLIGHT requests run at a time in threads. Threads never touch the database.
3. Each answer is checked (gates), compared (novelty) and saved with its counters in one transaction whose UPDATE also
   checks that this worker still holds the generation. So a crash keeps every finished page, and none is half saved.
4. When the model cannot be used any more, no new request starts; those under way are waited for and kept. The
   generation is FAILED with a message, and its pages stay.

A page that was paid for but not yet saved when the worker died is asked for, and paid for, again: at most
MODEL_IN_FLIGHT of them.
"""

import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from time import monotonic

from celery import signature
from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q, Sum
from django.utils import timezone
from pydantic import ValidationError

from variants import novelty, review
from variants.llm import (
    NOTHING_USED,
    LLMBadOutput,
    LLMError,
    LLMMisconfigured,
    LLMRefused,
    LLMUnavailable,
    Usage,
    Writer,
    Written,
    writer_for,
)
from variants.models import MICRO_USD, MOST_VARIANTS_PER_GENERATION, Generation, Image, Nursery, Variant
from variants.offline import speaks
from variants.prompts import PROMPT_VERSION, WriteRequest, direction_for

logger = logging.getLogger(__name__)

GENERATE_TASK = "variants.tasks.generate"
LEASE = timedelta(seconds=20)
HEARTBEAT_SECONDS = 4.0
LONGEST_RUN = timedelta(minutes=30)
# After this long a generation is given up, however often it was taken over: something about it kills workers.
LONGEST_LIFE = timedelta(hours=6)
MOST_TRIES = 3  # answers per page: repeats and unusable ones
MOST_UNAVAILABLE = 3  # requests in a row, each after the SDK's own retries


def request_generation(nursery: Nursery, count: int, *, budget_usd: Decimal | None, by: review.Person) -> Generation:
    """Ask for `count` more variants; a worker starts on them once this transaction is committed."""
    if isinstance(count, bool) or not 1 <= count <= MOST_VARIANTS_PER_GENERATION:
        raise ValueError(f"count: ask for 1 to {MOST_VARIANTS_PER_GENERATION} variants, not {count}")
    if budget_usd is not None and (not budget_usd.is_finite() or budget_usd < 0):
        raise ValueError(f"budget_usd: give an amount of 0 or more, or none for no limit, not {budget_usd}")
    budget = None if budget_usd is None else int((budget_usd * MICRO_USD).to_integral_value(ROUND_DOWN))
    generation = Generation.objects.create(
        nursery=nursery, requested=count, budget_micro_usd=budget, requested_by=by, prompt_version=PROMPT_VERSION
    )
    # By name, because tasks.py imports this module. Robust: with the broker down the row is there, and rescue finds it.
    task = signature(GENERATE_TASK, args=[generation.pk], immutable=True)
    transaction.on_commit(task.apply_async, robust=True)
    return generation


def stalled() -> list[int]:
    """Return the generations no worker works on although one should."""
    now = timezone.now()
    silent = Q(status=Generation.Status.RUNNING, worked_at__lt=now - LEASE)
    # Its message may only be waiting behind others; a second one does no harm (the claim is conditional).
    forgotten = Q(status=Generation.Status.QUEUED, created_at__lt=now - 6 * LEASE)
    return list(Generation.objects.filter(silent | forgotten).values_list("pk", flat=True))


def run(generation_id: int, writer: Writer | None = None) -> None:
    """Work on a generation until it is over; return at once when another worker has it or it is over."""
    lease = _claim(generation_id)
    if lease is None:
        return
    generation = Generation.objects.select_related("nursery__brief__brand").get(pk=generation_id)
    work = None
    if timezone.now() - generation.created_at > LONGEST_LIFE:
        told = "This generation was taken up again and again for hours. Ask for the pages anew."
        _end(generation_id, lease, Generation.Status.FAILED, told)
        return
    try:
        work = _prepare(generation, lease, writer or writer_for(settings.ENVIRONMENT))
        _grow(work)
    except LeaseLost:
        logger.warning("generation %s was taken over by another worker", generation_id)
    except (LLMError, ValidationError) as error:
        _end(generation_id, work.lease if work else lease, Generation.Status.FAILED, _told(error))
    except Exception:
        told = (
            "Something went wrong inside Greenhouse; the pages made so far are kept. Your operator finds it in the log."
        )
        _end(generation_id, work.lease if work else lease, Generation.Status.FAILED, told)
        raise
    else:
        _finish(work)


class LeaseLost(Exception):
    """Another worker has taken the generation over, or it was deleted."""


def _claim(generation_id: int) -> datetime | None:
    now = timezone.now()
    free = Q(status=Generation.Status.QUEUED) | Q(status=Generation.Status.RUNNING, worked_at__lt=now - LEASE)
    claimed = Generation.objects.filter(free, pk=generation_id).update(status=Generation.Status.RUNNING, worked_at=now)
    return now if claimed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    request: WriteRequest
    tries: int  # answers this page has had, with this one
    reserved_micro_usd: int


@dataclass(slots=True, kw_only=True)
class _Work:
    """What one run knows and counts; only its own thread touches it."""

    generation: Generation
    lease: datetime
    writer: Writer
    blank: WriteRequest  # brief, brand and images; direction and headlines are filled in for each page
    known: list[novelty.Fingerprint]
    headlines: list[str]
    next_index: int
    to_ask: list[int]  # tries so far of each page still to be asked for
    spent_micro_usd: int
    stop_at: float  # monotonic seconds
    under_way: dict[Future[Written], _Ask] = field(default_factory=dict)
    unavailable_in_a_row: int = 0
    stopped_by: LLMError | None = None
    out_of_budget: bool = False


def _prepare(generation: Generation, lease: datetime, writer: Writer) -> _Work:
    nursery = generation.nursery
    brief, brand = nursery.brief.spec(), nursery.brief.brand
    pages = [variant.page for variant in nursery.variants.all()]
    last = nursery.variants.aggregate(last=Max("number"))["last"] or 0
    repeats = nursery.generations.aggregate(repeats=Sum("duplicates"))["repeats"] or 0
    settled = generation.accepted + generation.blocked + generation.failed
    blank = WriteRequest(
        brief=brief,
        direction=direction_for(brief, 0),
        brand=brand.name,
        voice=brand.voice,
        images=tuple(Image.objects.filter(brand=brand).order_by("name").values_list("name", flat=True)),
        may_repair=generation.budget_micro_usd is None,
    )
    return _Work(
        generation=generation,
        lease=lease,
        writer=writer,
        blank=blank,
        known=[novelty.fingerprint(page) for page in pages],
        headlines=[page.hero.headline for page in pages],
        # Every page and every repeat of this nursery took a direction; go on behind them.
        next_index=last + repeats + generation.failed,
        to_ask=[0] * (generation.requested - settled),
        spent_micro_usd=generation.cost_micro_usd,
        stop_at=monotonic() + LONGEST_RUN.total_seconds(),
    )


def _grow(work: _Work) -> None:
    pool = ThreadPoolExecutor(max_workers=settings.ENVIRONMENT.model_in_flight, thread_name_prefix="writer")
    try:
        while True:
            _start_requests(work, pool)
            if not work.under_way:
                return
            done, _ = wait(work.under_way, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
            _count(work)
            finished = [(work.under_way.pop(future), future) for future in done]
            pages = [page for ask, future in finished if (page := _outcome(work, ask, future))]
            # Optimization: the model works on the next pages while these are looked at.
            _start_requests(work, pool)
            for ask, written in sorted(pages, key=lambda one: one[0].request.direction.index):
                _settle(work, ask, written)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _start_requests(work: _Work, pool: ThreadPoolExecutor) -> None:
    while work.to_ask and len(work.under_way) < settings.ENVIRONMENT.model_in_flight and not work.stopped_by:
        if monotonic() > work.stop_at:
            work.stopped_by = LLMUnavailable(
                f"This took longer than {LONGEST_RUN.total_seconds() / 60:.0f} minutes and was stopped. "
                "Ask for the missing pages anew."
            )
            return
        request = replace(
            work.blank,
            direction=direction_for(work.blank.brief, work.next_index),
            used_headlines=tuple(work.headlines),
        )
        cost = work.writer.most_cost_micro_usd(request)
        if not _affords(work, cost):
            work.out_of_budget = True
            return
        work.next_index += 1
        ask = _Ask(request=request, tries=work.to_ask.pop(0) + 1, reserved_micro_usd=cost)
        work.under_way[pool.submit(work.writer.write, request)] = ask


def _affords(work: _Work, cost_micro_usd: int) -> bool:
    budget = work.generation.budget_micro_usd
    reserved = sum(ask.reserved_micro_usd for ask in work.under_way.values())
    return budget is None or work.spent_micro_usd + reserved + cost_micro_usd <= budget


def _outcome(work: _Work, ask: _Ask, future: Future[Written]) -> tuple[_Ask, Written] | None:
    """Return the page that was written, or deal with the error there was instead."""
    try:
        written = future.result()
    except LLMError as error:
        _settle_error(work, ask, error)
        return None
    work.unavailable_in_a_row = 0
    work.spent_micro_usd += written.cost_micro_usd
    return ask, written


def _settle(work: _Work, ask: _Ask, written: Written) -> None:
    print_ = novelty.fingerprint(written.content)
    if novelty.repeated(print_, work.known) is not None:
        _count(work, usage=written.usage, model=written.model, duplicates=1, failed=_asked_out(work, ask))
        return
    variant = _save(work, written)
    work.known.append(print_)
    work.headlines.append(written.content.hero.headline)
    logger.info("generation %s: variant %s saved", work.generation.pk, variant.number)


def _asked_out(work: _Work, ask: _Ask) -> int:
    """Ask for the page again; return 1 instead when it had its tries."""
    if ask.tries >= MOST_TRIES:
        return 1
    work.to_ask.append(ask.tries)
    return 0


def _settle_error(work: _Work, ask: _Ask, error: LLMError) -> None:
    work.spent_micro_usd += error.usage.cost_micro_usd
    logger.warning("generation %s: %s: %s", work.generation.pk, type(error).__name__, error)
    if isinstance(error, LLMBadOutput):
        work.unavailable_in_a_row = 0
        _count(work, usage=error.usage, failed=_asked_out(work, ask))
        return
    work.unavailable_in_a_row += isinstance(error, LLMUnavailable)
    if not isinstance(error, LLMUnavailable) or work.unavailable_in_a_row >= MOST_UNAVAILABLE:
        work.stopped_by = work.stopped_by or error
    _count(work, usage=error.usage, failed=1)


def _save(work: _Work, written: Written) -> Variant:
    origin = Variant.Origin.MODEL if work.writer.is_model else Variant.Origin.OFFLINE
    with transaction.atomic():
        variant = review.add_variant(
            work.generation.nursery,
            written.content.model_dump(mode="json"),
            origin=origin,
            generation=work.generation,
            by=work.generation.requested_by,
        )
        blocked = any(finding["blocks"] for finding in variant.findings)
        _count(work, usage=written.usage, model=written.model, blocked=int(blocked), accepted=int(not blocked))
    return variant


def _count(work: _Work, *, usage: Usage = NOTHING_USED, model: str = "", **counts: int) -> None:
    """Add to the counters and renew the lease; raise LeaseLost when another worker holds the generation."""
    now = max(timezone.now(), work.lease + timedelta(microseconds=1))  # the lease is told apart by its time
    counted = Generation.objects.filter(
        pk=work.generation.pk, status=Generation.Status.RUNNING, worked_at=work.lease
    ).update(
        worked_at=now,
        prompt_tokens=F("prompt_tokens") + usage.prompt_tokens,
        completion_tokens=F("completion_tokens") + usage.completion_tokens,
        cost_micro_usd=F("cost_micro_usd") + usage.cost_micro_usd,
        **({"model": model[:100]} if model else {}),
        **{name: F(name) + count for name, count in counts.items()},
    )
    if not counted:
        raise LeaseLost
    work.lease = now


# The end


def _finish(work: _Work) -> None:
    generation = work.generation
    generation.refresh_from_db()
    made = generation.accepted + generation.blocked
    notes = [_stopped(work), _shortfall(generation), _twin(work)]
    failed = work.stopped_by is not None or made == 0
    status = Generation.Status.FAILED if failed else Generation.Status.FINISHED
    _end(generation.pk, work.lease, status, " ".join(note for note in notes if note))


def _stopped(work: _Work) -> str:
    if work.stopped_by is not None:
        return _told(work.stopped_by)
    if work.out_of_budget:
        budget = (work.generation.budget_micro_usd or 0) / MICRO_USD
        return (
            f"Stopped: the next page could have cost more than what is left of the budget of ${budget.normalize():f}."
        )
    return ""


def _shortfall(generation: Generation) -> str:
    made = generation.accepted + generation.blocked
    if made == generation.requested:
        return ""
    reasons = [
        f"{generation.failed} could not be used" if generation.failed else "",
        f"{generation.duplicates} answers repeated a page" if generation.duplicates else "",
    ]
    because = ", ".join(reason for reason in reasons if reason)
    return f"{made} of {generation.requested} pages were made" + (f" ({because})." if because else ".")


def _twin(work: _Work) -> str:
    if work.writer.is_model:
        return ""
    told = "Written by the offline twin from copywriting formulas, not by a language model: no OPENAI_API_KEY is set."
    language = work.blank.brief.language
    if speaks(language):
        return told
    return f"{told} Its phrases are English, so for a brief in “{language}” it used the brief's own words alone."


def _told(error: LLMError | ValidationError) -> str:
    """Say what happened and what to do, without the key, the address or the model's own words."""
    if isinstance(error, ValidationError):
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return f"The brief is not complete. {faults}"
    if isinstance(error, LLMMisconfigured | LLMRefused | LLMUnavailable):
        return str(error)
    return f"The language model's answer could not be used. {error}"


def _end(generation_id: int, lease: datetime, status: Generation.Status, message: str) -> None:
    Generation.objects.filter(pk=generation_id, status=Generation.Status.RUNNING, worked_at=lease).update(
        status=status, message=message, finished_at=timezone.now()
    )
