"""Grow variants: plan directions, ask the writer, check, compare, save. The only caller of llm.py.

    QUEUED ── run ──▶ RUNNING ──▶ FINISHED   every page was had, or was given up, or the budget is used up
       │                │  ▲ ├──▶ FAILED     the model cannot be used, or not one page came of it
       └── cancel ──────┼──┼─┴──▶ CANCELLED  a person stopped it; answers under way are still kept
                        └──┘ run again, by another worker, when the first one died

Every page asked for ends as accepted, blocked or failed; a finished generation has accepted + blocked + failed =
requested, unless its budget or time ran out or nothing new came. Answers that repeat a page are counted as duplicates
and asked again.

1. `run` takes the lease (lease.py). A nursery without directions gets them first: the writer's plan.
2. Up to MODEL_IN_FLIGHT calls are under way at a time, in an event loop of their own (background_loop.py). Before each,
   the most it can cost is set aside (ledger.py), so that no number of workers passes a budget.
3. Each answer is settled at what it cost, checked (gates), compared (novelty) and saved with its counters in one
   transaction whose UPDATE also checks that this worker still holds the generation. So a crash keeps every finished
   page, and none is half saved.
4. An answer that cannot be used is asked for again with its faults quoted; a page that has had MOST_TRIES answers is
   given up. When the model cannot be used any more, no new call starts; those under way are waited for and kept.

A page that was paid for but not yet saved when the worker died is asked for, and paid for, again: at most
MODEL_IN_FLIGHT of them. The ledger has them as lost, at the most they can have cost.
"""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from time import monotonic

from celery import signature
from django.conf import settings
from django.db import transaction
from django.db.models import Max, Sum
from django.utils import timezone
from pydantic import ValidationError

from variants import children, ledger, novelty, review
from variants.background_loop import BackgroundLoop, background_loop
from variants.breeding import Content
from variants.brief import BriefSpec
from variants.children import Order, Upbringing
from variants.directions import DirectionSpec, turn_for
from variants.importing import original_of
from variants.lease import HEARTBEAT_SECONDS, Lease, LeaseLost, claim
from variants.ledger import Bill, OverBudget
from variants.likeness import Prints
from variants.llm import (
    LLMBadOutput,
    LLMError,
    LLMMisconfigured,
    LLMRefused,
    LLMUnavailable,
    Planned,
    Usage,
    Writer,
    Written,
    composed,
    embedder_for,
    writer_for,
)
from variants.meanings import FELL_BACK, Meanings
from variants.models import (
    MOST_VARIANTS_PER_GENERATION,
    Brand,
    Direction,
    Generation,
    Image,
    ModelCall,
    Nursery,
    Variant,
)
from variants.offline import propose, speaks
from variants.prompts import PROMPT_VERSION, PlanRequest, WriteRequest
from variants.rewriting import Original

logger = logging.getLogger(__name__)

GENERATE_TASK = "variants.tasks.generate"
LONGEST_RUN = timedelta(minutes=30)
# After this long a generation is given up, however often it was taken over: something about it kills workers.
LONGEST_LIFE = timedelta(hours=6)
MOST_TRIES = 3  # answers per page: the first, and two that repair it or replace one that repeats another page
MOST_UNAVAILABLE = 3  # calls in a row, each after the SDK's own retries
MOST_REFUSED = 3  # pages in a row
MOST_REPEATS = 50  # answers in a row: nothing new is to be had
DIRECTIONS_PER_PLAN = 12
# What the offline twin looks at for each page, about 10 ms each; far apart, so that the next lap looks at others.
LAPS_LOOKED_AT = range(0, 84, 7)
MOST_LESSONS = 20  # each is paid for with every page

Status = Generation.Status
Outcome = ModelCall.Outcome


def request_generation(nursery: Nursery, count: int, *, budget_usd: Decimal | None, by: review.Person) -> Generation:
    """Ask for `count` more variants; a worker starts on them once this transaction is committed."""
    if isinstance(count, bool) or not 1 <= count <= MOST_VARIANTS_PER_GENERATION:
        raise ValueError(f"count: ask for 1 to {MOST_VARIANTS_PER_GENERATION} variants, not {count}")
    return _request(nursery, count, budget_usd, by)


def request_child(nursery: Nursery, order: Order, *, by: review.Person) -> Generation:
    """Ask for one child, a mutation or a fresh idea; its round says the rest."""
    with transaction.atomic():
        generation = _request(nursery, 1, None, by)
        children.note(generation, order)
    return generation


def request_plan(nursery: Nursery, *, budget_usd: Decimal | None, by: review.Person) -> Generation:
    """Ask for directions alone, to be looked at before any page is written."""
    return _request(nursery, 0, budget_usd, by)


def _request(nursery: Nursery, count: int, budget_usd: Decimal | None, by: review.Person) -> Generation:
    if budget_usd is not None and (not budget_usd.is_finite() or budget_usd < 0):
        raise ValueError(f"budget_usd: give an amount of 0 or more, or none for no limit, not {budget_usd}")
    budget = None if budget_usd is None else ledger.micro(budget_usd)
    generation = Generation.objects.create(
        nursery=nursery, requested=count, budget_micro_usd=budget, requested_by=by, prompt_version=PROMPT_VERSION
    )
    # By name, because tasks.py imports this module. Robust: with the broker down the row is there, and rescue finds it.
    task = signature(GENERATE_TASK, args=[generation.pk], immutable=True)
    transaction.on_commit(task.apply_async, robust=True)
    return generation


def cancel(generation: Generation) -> Generation:
    """Ask for nothing more. What is under way is still taken in, because it is paid for; over is over."""
    waiting = Generation.objects.filter(pk=generation.pk, status=Status.QUEUED)
    if not waiting.update(status=Status.CANCELLED, message=CANCELLED, finished_at=timezone.now()):
        Generation.objects.filter(pk=generation.pk, status=Status.RUNNING).update(status=Status.CANCELLED)
    generation.refresh_from_db()
    return generation


CANCELLED = "Cancelled. The pages made so far are kept."


def run(generation_id: int, writer: Writer | None = None) -> None:
    """Work on a generation until it is over; return at once when another worker has it or it is over."""
    lease = claim(generation_id)
    if lease is None:
        return
    generation = Generation.objects.select_related("nursery__brief__brand").get(pk=generation_id)
    if timezone.now() - generation.created_at > LONGEST_LIFE:
        lease.end(Status.FAILED, "This generation was taken up again and again for hours. Ask for the pages anew.")
        return
    ledger.lose(ledger.open_calls(generation_id))  # of a worker that died
    try:
        with background_loop() as loop:
            work = _prepare(generation, lease, writer or writer_for(settings.ENVIRONMENT), loop)
            _plan_if_needed(work)
            _grow(work)
            _finish(work)
    except LeaseLost:
        logger.warning("generation %s was taken over by another worker", generation_id)
    except (LLMError, OverBudget, NoDirection, ValidationError) as error:
        lease.end(Status.FAILED, _told(error))
    except Exception:
        told = (
            "Something went wrong inside Greenhouse; the pages made so far are kept. Your operator finds it in the log."
        )
        lease.end(Status.FAILED, told)
        raise
    finally:
        _give_up_calls(generation_id, lease)


def _give_up_calls(generation_id: int, lease: Lease) -> None:
    if lease.is_lost:
        return  # whoever holds the generation now has given them up, and may have calls of their own
    ledger.lose(ledger.open_calls(generation_id))


class NoDirection(Exception):
    """Every direction of the nursery is struck."""


@dataclass(slots=True, kw_only=True)
class _Page:
    """A page that is still to be had."""

    tries: int = 0  # answers it has had
    mend: WriteRequest | None = None  # asks for the last answer again, with its faults
    repeated: tuple[str, ...] = ()  # headlines of the pages that its answers came out like


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    page: _Page
    request: WriteRequest
    call_id: int | None  # in the ledger; a writer that is free needs none


@dataclass(slots=True, kw_only=True)
class _Work:
    """What one run knows and counts; only its own thread touches it."""

    generation: Generation
    lease: Lease
    writer: Writer
    loop: BackgroundLoop
    plan_request: PlanRequest
    images: tuple[str, ...]
    upbringing: Upbringing | None  # of a child, where the generation was bred
    original: Original | None  # today's page, where variants are to change its words
    prints: Prints
    known: novelty.PageSet
    meanings: Meanings | None  # where the server has embeddings
    headlines: list[str]
    next_index: int
    to_ask: list[_Page]
    stop_at: float  # monotonic seconds
    directions: list[Direction] = field(default_factory=list)
    specs: list[DirectionSpec] = field(default_factory=list)
    under_way: dict[Future[Written], _Ask] = field(default_factory=dict)
    unavailable_in_a_row: int = 0
    refused_in_a_row: int = 0
    repeats_in_a_row: int = 0
    stopped_by: LLMError | None = None
    out_of_budget: str = ""
    notes: list[str] = field(default_factory=list)


def _prepare(generation: Generation, lease: Lease, writer: Writer, loop: BackgroundLoop) -> _Work:
    nursery = generation.nursery
    brief, brand = nursery.brief.spec(), nursery.brief.brand
    pages = [variant.typed for variant in nursery.variants.all()]
    prints = Prints(nursery)
    last = nursery.variants.aggregate(last=Max("number"))["last"] or 0
    repeats = nursery.generations.aggregate(repeats=Sum("duplicates"))["repeats"] or 0
    settled = generation.accepted + generation.blocked + generation.failed
    return _Work(
        generation=generation,
        lease=lease,
        writer=writer,
        loop=loop,
        plan_request=PlanRequest(
            brief=brief, count=DIRECTIONS_PER_PLAN, brand=brand.name, voice=brand.voice, lessons=lessons_of(brand)
        ),
        images=tuple(Image.objects.filter(brand=brand).order_by("name").values_list("name", flat=True)),
        upbringing=children.upbringing(generation),
        original=original_of(nursery),
        prints=prints,
        known=_known(brief, map(prints.of, pages), writer),
        meanings=_meanings(generation, lease, loop, [prints.told(page) for page in pages]) if writer.is_model else None,
        headlines=[page.headline for page in pages],
        # Every page and every repeat of this nursery took a turn; go on behind them.
        next_index=last + repeats + generation.failed,
        to_ask=[_Page() for _ in range(generation.requested - settled)],
        stop_at=monotonic() + LONGEST_RUN.total_seconds(),
    )


def lessons_of(brand: Brand) -> tuple[str, ...]:
    """Return what the brand's earlier experiments taught, the newest first; people may edit it."""
    return tuple(brand.lessons.filter(is_used=True).values_list("text", flat=True)[:MOST_LESSONS])


def _known(brief: BriefSpec, prints: Iterable[novelty.Fingerprint], writer: Writer) -> novelty.PageSet:
    """Return the pages that new ones must differ from; formulas can only be asked not to repeat their words."""
    limit = novelty.DUPLICATE_LIMIT if writer.is_model else novelty.SAME_WORDS_LIMIT
    return novelty.PageSet(prints, about=novelty.about(brief), limit=limit)


def _meanings(
    generation: Generation, lease: Lease, loop: BackgroundLoop, pages: Sequence[novelty.Told]
) -> Meanings | None:
    embedder = embedder_for(settings.ENVIRONMENT)
    if embedder is None:
        return None
    about = novelty.told_by_brief(generation.nursery.brief.spec())
    return Meanings(
        generation=generation, lease=lease, loop=loop, embedder=embedder, about=about, there_before=list(pages)
    )


# The plan


def _plan_if_needed(work: _Work) -> None:
    """Have the writer propose directions, unless there are some or pages of this generation are written already."""
    directions = list(work.generation.nursery.directions.all())
    if not directions or work.generation.requested == 0:
        _plan(work, known=[direction.angle for direction in directions])
        directions = list(work.generation.nursery.directions.all())
    work.directions = [direction for direction in directions if not direction.is_struck]
    work.specs = [direction.spec() for direction in work.directions]
    if work.to_ask and not work.directions:
        raise NoDirection("Every direction is struck. Take one back, or add one of your own.")


def _plan(work: _Work, *, known: list[str]) -> None:
    request = replace(work.plan_request, known=tuple(known))
    for _ in range(MOST_TRIES):
        try:
            planned = _planned(work, request)
        except LLMBadOutput as error:
            request = replace(request, faults=(error.fault,)) if error.fault else request
            continue
        origin = Direction.Origin.MODEL if work.writer.is_model else Direction.Origin.OFFLINE
        _keep(work, planned.directions, origin, known)
        return
    work.notes.append("The language model’s plan could not be used, so the directions are the brief’s own.")
    _keep(work, propose(request.brief, request.count), Direction.Origin.OFFLINE, known)


def _planned(work: _Work, request: PlanRequest) -> Planned:
    """Return the writer's plan; its cost is entered, whatever comes."""
    call_id = _reserve(work, ModelCall.Purpose.PLAN, work.writer.most_cost_micro_usd(request))
    future = work.loop.start(work.writer.plan(request))
    while not wait([future], timeout=HEARTBEAT_SECONDS).done:
        work.lease.renew()
    try:
        planned = future.result()
    except LLMError as error:
        _settle_call(call_id, _outcome_of(error), error.usage)
        raise
    _settle_call(call_id, Outcome.USED, planned.usage)
    work.lease.renew(model=planned.usage.model)
    return planned


def _keep(work: _Work, proposed: Sequence[DirectionSpec], origin: Direction.Origin, known: list[str]) -> None:
    """Store what the plan has not got yet. Angles that the marketer gave lead a direction whatever the writer did."""
    given = {angle.casefold(): angle for angle in work.plan_request.brief.angles}
    plan = {folded: DirectionSpec(angle=angle) for folded, angle in given.items()}
    for spec in proposed:
        folded = spec.angle.casefold()
        plan[folded] = spec.model_copy(update={"angle": given.get(folded, spec.angle)})
    present = {angle.casefold() for angle in known}
    fresh = [spec for folded, spec in plan.items() if folded not in present]
    nursery = work.generation.nursery
    with transaction.atomic():
        work.lease.renew()
        first = nursery.next_direction()
        Direction.objects.bulk_create(
            Direction(
                nursery=nursery,
                number=first + place,
                origin=origin,
                created_by=work.generation.requested_by,
                **{name: value or "" for name, value in spec.model_dump().items()},
            )
            for place, spec in enumerate(fresh)
        )


# Calls and what they cost


def _reserve(work: _Work, purpose: ModelCall.Purpose, cost_micro_usd: int) -> int | None:
    """Set aside the most the call can cost; raise OverBudget when it could pass a limit."""
    if not work.writer.is_model:
        return None
    call = ledger.reserve(
        work.generation,
        purpose=purpose,
        model=work.writer.name,
        prompt_version=PROMPT_VERSION,
        cost_micro_usd=cost_micro_usd,
    )
    return call.pk


def _settle_call(call_id: int | None, outcome: ModelCall.Outcome, usage: Usage) -> None:
    if call_id is None:
        return
    bill = Bill(
        outcome=Outcome.LOST if usage.is_lost else outcome,
        model=usage.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_micro_usd=usage.cost_micro_usd,
    )
    ledger.settle(call_id, bill)


def _outcome_of(error: LLMError) -> ModelCall.Outcome:
    if isinstance(error, LLMBadOutput):
        return Outcome.UNUSABLE
    return Outcome.REFUSED if isinstance(error, LLMRefused) else Outcome.FAILED


# The pages


def _grow(work: _Work) -> None:
    while True:
        _start_calls(work)
        if not work.under_way:
            return
        done, _ = wait(work.under_way, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
        work.lease.renew()
        finished = [(work.under_way.pop(future), future) for future in done]
        pages = [page for ask, future in finished if (page := _answer(work, ask, future))]
        # Optimization: the model works on the next pages while these are looked at.
        _start_calls(work)
        for ask, written in sorted(pages, key=lambda one: one[0].request.turn.index):
            _settle(work, ask, written)


def _start_calls(work: _Work) -> None:
    # Formulas answer at once, and each page is chosen with all before it in sight.
    most = settings.ENVIRONMENT.model_in_flight if work.writer.is_model else 1
    while work.to_ask and len(work.under_way) < most:
        if work.stopped_by or work.lease.is_cancelled or work.repeats_in_a_row >= MOST_REPEATS:
            return
        if monotonic() > work.stop_at:
            work.stopped_by = LLMUnavailable(
                f"This took longer than {LONGEST_RUN.total_seconds() / 60:.0f} minutes and was stopped. "
                "Ask for the missing pages anew."
            )
            return
        page = work.to_ask[0]
        request = page.mend or _request_for(work, page)
        purpose = ModelCall.Purpose.REPAIR if page.mend else ModelCall.Purpose.PAGE
        try:
            call_id = _reserve(work, purpose, work.writer.most_cost_micro_usd(request))
        except OverBudget as error:
            work.out_of_budget = str(error)  # what is under way may turn out cheaper, and leave room again
            return
        work.out_of_budget = ""
        work.to_ask.pop(0)
        work.next_index += page.mend is None
        ask = _Ask(page=page, request=request, call_id=call_id)
        work.under_way[work.loop.start(work.writer.write(request))] = ask


def _request_for(work: _Work, page: _Page) -> WriteRequest:
    if work.upbringing is not None:
        return work.upbringing.asked(_request_at(work, page, work.next_index))
    if work.writer.is_model:
        return _request_at(work, page, work.next_index)
    # Formulas cost nothing: of what they make of this direction in its next laps, take what is least like the others.
    cycle = sum(direction.weight for direction in work.directions)
    laps = (_request_at(work, page, work.next_index + lap * cycle) for lap in LAPS_LOOKED_AT)
    return min(laps, key=lambda request: work.known.likeness_of(work.prints.of(composed(request))))


def _request_at(work: _Work, page: _Page, index: int) -> WriteRequest:
    plan = work.plan_request
    weights = [direction.weight for direction in work.directions]
    return WriteRequest(
        brief=plan.brief,
        turn=turn_for(work.specs, index, weights=weights),
        plan=tuple(spec.angle for spec in work.specs),
        brand=plan.brand,
        voice=plan.voice,
        images=work.images,
        used_headlines=tuple(work.headlines),
        repeated=page.repeated,
        original=work.original,
        lessons=plan.lessons,
    )


def _answer(work: _Work, ask: _Ask, future: Future[Written]) -> tuple[_Ask, Written] | None:
    """Enter what the call cost; return the page that was written, or deal with the error there was instead."""
    try:
        written = future.result()
    except LLMError as error:
        _settle_call(ask.call_id, _outcome_of(error), error.usage)
        _settle_error(work, ask, error)
        return None
    _settle_call(ask.call_id, Outcome.USED, written.usage)
    work.unavailable_in_a_row = work.refused_in_a_row = 0
    return ask, written


def _repeated(work: _Work, content: Content) -> str | None:
    """Return the headline of the page that this one repeats; None where it says something new."""
    if work.upbringing is not None and not work.upbringing.is_compared_by_meaning:
        return None
    nearest = work.meanings.nearest(work.prints.told(content)) if work.meanings else None
    if work.meanings is None or work.meanings.has_failed:
        nearest = work.known.nearest(work.prints.of(content))
    return work.headlines[nearest.position] if nearest is not None and nearest.is_repeat else None


def _settle(work: _Work, ask: _Ask, written: Written) -> None:
    content = written.content if work.upbringing is None else work.upbringing.child(written.content)
    repeated = written.content.headline if content is None else _repeated(work, content)
    if content is None or repeated is not None:
        work.repeats_in_a_row += 1
        again = _Page(tries=ask.page.tries, repeated=(*ask.page.repeated, repeated or ""))
        work.lease.renew(model=written.usage.model, duplicates=1, failed=_asked_out(work, again))
        return
    work.repeats_in_a_row = 0
    variant = _save(work, ask, replace(written, content=content))
    work.known.add(work.prints.of(content))
    if work.meanings is not None:
        work.meanings.add(work.prints.told(content))
    work.headlines.append(content.headline)
    logger.info("generation %s: variant %s saved", work.generation.pk, variant.number)


def _asked_out(work: _Work, page: _Page) -> int:
    """Ask for the page again; return 1 instead when it had its tries. What costs nothing may be asked on and on."""
    page.tries += 1
    if page.tries >= MOST_TRIES and work.writer.is_model:
        return 1
    # First come those that have waited longest.
    work.to_ask.insert(0, page)
    return 0


def _settle_error(work: _Work, ask: _Ask, error: LLMError) -> None:
    logger.warning("generation %s: %s: %s", work.generation.pk, type(error).__name__, error)
    again = replace(ask.page, mend=None)
    if isinstance(error, LLMBadOutput):
        work.unavailable_in_a_row = 0
        if error.fault is not None:
            again.mend = replace(ask.request, faults=(error.fault,))
        work.lease.renew(failed=_asked_out(work, again))
        return
    work.unavailable_in_a_row += isinstance(error, LLMUnavailable)
    work.refused_in_a_row += isinstance(error, LLMRefused)
    is_the_end = (
        isinstance(error, LLMMisconfigured)
        or work.unavailable_in_a_row >= MOST_UNAVAILABLE
        or work.refused_in_a_row >= MOST_REFUSED
    )
    if is_the_end:
        work.stopped_by = work.stopped_by or error
    if isinstance(error, LLMRefused):
        note = f"{error} The direction was “{ask.request.turn.direction.angle}”."
        work.notes = [*work.notes, note] if not is_the_end and note not in work.notes else work.notes
    may_succeed_later = isinstance(error, LLMUnavailable) and not is_the_end
    work.lease.renew(failed=_asked_out(work, again) if may_succeed_later else 1)


def _save(work: _Work, ask: _Ask, written: Written) -> Variant:
    with transaction.atomic():
        variant = review.add_variant(
            work.generation.nursery,
            written.content.model_dump(mode="json"),
            name=children.named(written.content, work.generation.nursery),
            origin=Variant.Origin.MODEL if work.writer.is_model else Variant.Origin.OFFLINE,
            generation=work.generation,
            by=work.generation.requested_by,
            direction=_direction(work, ask),
            model=written.usage.model,
            prompt_version=PROMPT_VERSION,
        )
        blocked = any(finding["blocks"] for finding in variant.findings)
        if work.upbringing is not None:
            work.upbringing.take_in(variant)
        work.lease.renew(model=written.usage.model, blocked=int(blocked), accepted=int(not blocked))
    return variant


def _direction(work: _Work, ask: _Ask) -> Direction | None:
    if work.upbringing is not None and work.upbringing.direction is not None:
        return work.upbringing.direction
    return work.directions[ask.request.turn.position]


# The end


def _finish(work: _Work) -> None:
    generation = work.generation
    generation.refresh_from_db()
    made = generation.accepted + generation.blocked
    fell_back = FELL_BACK if work.meanings and work.meanings.has_failed else ""
    notes = [_stopped(work), _shortfall(generation), *work.notes, fell_back, _twin(work)]
    failed = work.stopped_by is not None or (made == 0 and generation.requested > 0)
    message = " ".join(note for note in notes if note)
    work.lease.end(Status.FAILED if failed else Status.FINISHED, message)


def _stopped(work: _Work) -> str:
    if work.lease.is_cancelled:
        return CANCELLED
    if work.repeats_in_a_row >= MOST_REPEATS:
        return f"Stopped: {MOST_REPEATS} answers in a row repeated a page. Add facts to the brief, or directions."
    return _told(work.stopped_by) if work.stopped_by is not None else work.out_of_budget


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
    language = work.plan_request.brief.language
    if speaks(language):
        return told
    return f"{told} Its phrases are English, so for a brief in “{language}” it used the brief's own words alone."


def _told(error: LLMError | OverBudget | NoDirection | ValidationError) -> str:
    """Say what happened and what to do, without the key or the address."""
    if isinstance(error, ValidationError):
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return f"The brief is not complete. {faults}"
    if isinstance(error, LLMBadOutput):
        return f"The language model's answer could not be used. {error}"
    return str(error)
