"""Keep what looking at variants' pages found, and say when to look again.

The timetable asks every few seconds what is due, so nobody has to order a look: new pages, edited ones, those whose
look was cut short, and once in a while all others of experiments that are not over, because a brief, a brand or a goal
may have changed what is served. A page that is still what it was costs a rendering and no browser.

A worker takes up one page at a time, by a conditional UPDATE: one that dies leaves the others untouched, and its own
to whoever comes after LEASE. A page that ends its workers is given up after MOST_TRIES.

What blocks here blocks like every gate's finding: at approval (variants/review.py) and at the start (`faults`). A page
that nobody has looked at yet, or that could not be looked at, blocks nothing; the console says so.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, perf_counter

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from experiments.models import Experiment
from experiments.rehearsal.page_looks import Looks, Seen, failed
from variants.browser import LookAt, find_chromium
from variants.console.pictures import packed
from variants.content import texts
from variants.gates import Finding
from variants.models import PageCheck, Picture, Variant
from variants.page_health import KINDS, findings_of
from variants.patches import copy_of
from variants.review import page_texts

logger = logging.getLogger(__name__)

Outcome = PageCheck.Outcome
Status = Experiment.Status

PASS_SECONDS = 120.0  # after which a pass takes up no other page: the next tick goes on
LEASE = timedelta(minutes=5)  # longer than the longest look, tried twice
MOST_TRIES = 3
LOOK_AGAIN = timedelta(hours=1)
OPEN = (Status.DRAFT, Status.RUNNING, Status.PAUSED)
PICTURE_BYTES = 60_000


# --- what is due ----------------------------------------------------------------------------------------------------


def due(now: datetime) -> list[int]:
    """Return the variants to look at, those that nobody looked at first."""
    variants = Variant.objects.filter(nursery__experiment__status__in=OPEN).exclude(status=Variant.Status.REJECTED)
    is_free = Q(page_check__tries=0) | Q(page_check__taken_at__lt=now - LEASE)
    is_unseen, is_changed = Q(page_check__looked_at=None), Q(reviewed_at__gt=F("page_check__looked_at"))
    is_old = Q(page_check__looked_at__lt=now - LOOK_AGAIN)
    found = variants.filter(Q(page_check=None) | is_free & (is_unseen | is_changed | is_old))
    return list(found.order_by(F("page_check__looked_at").asc(nulls_first=True), "pk").values_list("pk", flat=True))


def check_due(executable: str | None = None) -> int:
    """Look at what is due, for about PASS_SECONDS; return at how many pages. `executable` is empty for no browser."""
    waiting = due(timezone.now())
    if not waiting:
        return 0
    stop_at = monotonic() + PASS_SECONDS
    chosen = find_chromium(settings.ENVIRONMENT.chromium) if executable is None else executable
    number = 0
    with _browser(chosen) as look_at:
        looks = Looks(look_at)
        for pk in waiting:
            if monotonic() > stop_at:
                break
            number += _check(pk, looks)
    return number


@contextmanager
def _browser(executable: str) -> Iterator[LookAt | None]:
    if not executable:
        yield None
        return
    # Here alone: the console and the other workers import this module too, and Playwright takes 24 MB.
    from variants.chromium import chromium  # noqa: PLC0415

    with chromium(executable) as browser:
        yield browser.look


def _check(pk: int, looks: Looks) -> bool:
    """Look at one variant, unless somebody else does; tell whether it was looked at."""
    variant = Variant.objects.filter(pk=pk).first()
    begun_at, started = timezone.now(), perf_counter()
    check = take(variant, begun_at) if variant else None
    if variant is None or check is None:
        return False
    is_hopeless = check.tries > MOST_TRIES
    seen = failed("it ended every program that looked at it") if is_hopeless else looks.at(variant, check)
    if seen is None:
        PageCheck.objects.filter(pk=check.pk).update(looked_at=begun_at, tries=0)
    else:
        _keep(variant, check, seen, begun_at=begun_at, seconds=perf_counter() - started)
    return True


def take(variant: Variant, now: datetime) -> PageCheck | None:
    """Take a page up; None when another worker has it."""
    try:
        with transaction.atomic():
            check, is_new = PageCheck.objects.get_or_create(variant=variant, defaults={"taken_at": now, "tries": 1})
    except IntegrityError:  # the variant was deleted a moment ago
        return None
    if is_new:
        return check
    # Race: of two workers that see the same row free, one changes it.
    is_free = Q(tries=0) | Q(taken_at__lt=now - LEASE)
    mine = PageCheck.objects.filter(is_free, pk=check.pk, taken_at=check.taken_at)
    if not mine.update(taken_at=now, tries=F("tries") + 1):
        return None
    check.refresh_from_db()
    return check


def _keep(variant: Variant, check: PageCheck, seen: Seen, *, begun_at: datetime, seconds: float) -> None:
    """Store what was seen, unless the page was changed meanwhile: then it is due again."""
    found = [finding.as_dict() for finding in _findings(variant, seen)]
    pictures = {width: packed(png, most_bytes=PICTURE_BYTES) for width, png in seen.pictures.items()}
    with transaction.atomic():
        stored = Variant.objects.select_for_update().filter(pk=variant.pk).first()
        if stored is None:
            return
        known = {"outcome": seen.outcome, "sha256": seen.sha256, "tries": 0, "seconds": round(seconds, 2)}
        PageCheck.objects.filter(pk=check.pk).update(**known, looked_at=begun_at)
        if stored.content != variant.content:
            return
        others = [finding for finding in stored.findings if finding["gate"] not in KINDS]
        Variant.objects.filter(pk=variant.pk).update(findings=[*others, *found])
        Picture.objects.filter(variant=variant).delete()
        Picture.objects.bulk_create(
            Picture(variant=variant, width=width, height=picture.height, sha256=picture.sha256, data=picture.data)
            for width, picture in pictures.items()
        )


def _findings(variant: Variant, seen: Seen) -> list[Finding]:
    patch = variant.patch
    if patch is None:
        return findings_of(seen.faults, texts(variant.page))
    places = copy_of(patch, page_texts(variant.nursery.imported_pages.get(pk=patch.page)), is_whole=True)
    return findings_of(seen.faults, places, is_remark=not patch.texts)


# --- what is known ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckState:
    """How far a variant's page was looked at, for people."""

    words: str
    is_in_browser: bool = False
    is_pending: bool = False
    looked_at: datetime | None = None


_WORDS = {
    Outcome.BROWSER: "Looked at in a browser, at phone, tablet and desktop width.",
    Outcome.BYTES: "Looked at without a browser: none is installed where Greenhouse runs.",
    Outcome.FAILED: "Could not be looked at in a browser.",
}
PENDING = CheckState(words="Not looked at in a browser yet.", is_pending=True)


def states(variant_ids: Iterable[int]) -> dict[int, CheckState]:
    """Return how far each of these variants was looked at."""
    ids = list(variant_ids)
    checks = PageCheck.objects.filter(variant__in=ids).select_related("variant").defer("variant__content")
    found = {check.variant_id: _state(check) for check in checks}
    return {pk: found.get(pk, PENDING) for pk in ids}


def _state(check: PageCheck) -> CheckState:
    if check.outcome == Outcome.UNDER_WAY or is_stale(check):
        return PENDING
    return CheckState(
        words=_WORDS[Outcome(check.outcome)],
        is_in_browser=check.outcome == Outcome.BROWSER,
        looked_at=check.looked_at,
    )


def is_stale(check: PageCheck) -> bool:
    """Tell whether the page was edited since. What changed around it is found within LOOK_AGAIN."""
    edited_at = check.variant.reviewed_at if check.variant.status == Variant.Status.DRAFT else None
    return check.looked_at is None or (edited_at is not None and edited_at > check.looked_at)


def unchecked(experiment: Experiment) -> list[Variant]:
    """Return the approved variants that were not looked at in a browser, for the launch checklist."""
    approved = experiment.nursery.variants.filter(status=Variant.Status.APPROVED)
    return list(approved.exclude(page_check__outcome=Outcome.BROWSER))


def what_next(variants: Sequence[Variant]) -> str:
    """Say what becomes of variants that were not looked at in a browser."""
    outcomes = set(PageCheck.objects.filter(variant__in=variants).values_list("outcome", flat=True))
    if Outcome.BYTES in outcomes:
        return "No browser is installed where Greenhouse runs; your operator can add one."
    return "Some could not be; their cards say why." if Outcome.FAILED in outcomes else "It happens by itself."


def broken(experiment: Experiment) -> list[tuple[Variant, list[Finding]]]:
    """Return the approved variants whose look found what blocks: they were approved before it ended."""
    approved = experiment.nursery.variants.filter(status=Variant.Status.APPROVED)
    found = [(variant, [Finding(**finding) for finding in variant.findings]) for variant in approved]
    standing = [(variant, [each for each in all_ if each.gate in KINDS and each.blocks]) for variant, all_ in found]
    return [(variant, findings) for variant, findings in standing if findings]
