"""Take variants in and through review: add, edit, approve, reject. The only writer of Variant.status.

    DRAFT ── approve ──▶ APPROVED        edit: back to DRAFT, because what was approved is no longer what stands there
      │  ◀──── edit ────────┘
      └──── reject ──▶ REJECTED          edit, or reconsider as it stands: back to DRAFT

Each step is one conditional UPDATE, so of two people who decide at once, one wins and the other is told.
Approval looks at the page afresh: the brief may have changed since the page was written.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from variants.brief import BriefSpec
from variants.claims import Trace
from variants.content import PageContent, texts
from variants.gates import Finding, examine, examine_copy, is_blocked, ledger_of_copy, ledger_of_page, misfit_of
from variants.likeness import NOVELTY, repeat_of
from variants.models import Brief, Direction, Generation, Image, ImportedPage, Nursery, Variant
from variants.outline import PageText, outline_from_json
from variants.page_health import KINDS
from variants.patches import BadPatch, PatchContent, copy_of, is_patch, patch_of

LONGEST_NAME = 120
KEPT = frozenset({NOVELTY, *KINDS})  # gates whose findings approval takes as they are

type Person = User | None


class Blocked(Exception):
    """The page may not go live as it stands; `findings` say why."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        reasons = "; ".join(f"{finding.words or finding.gate}: {finding.reason}" for finding in self.findings)
        super().__init__(f"this page cannot be approved yet: {reasons}")


class LiveVariant(Exception):
    """Visitors see this variant, so its content must stay as it is."""


class SecondControl(Exception):
    """The nursery has a control already."""


class WrongVariantStatus(Exception):
    """The variant is not in a status from which this step leads."""


class OwnWork(WrongVariantStatus):
    """Somebody else has to approve it: this person wrote it, asked for it or changed it."""


def add_variant(
    nursery: Nursery,
    content: Mapping[str, Any],
    *,
    name: str | None = None,
    is_control: bool = False,
    origin: Variant.Origin = Variant.Origin.HAND,
    by: Person = None,
    generation: Generation | None = None,
    direction: Direction | None = None,
    model: str = "",
    prompt_version: str = "",
) -> Variant:
    """Store a page as a draft with its findings; pydantic's ValidationError names every fault of the content.

    `by` is who typed it in; nobody has reviewed it yet.
    """
    page = content_of(content, nursery)
    # A generated page was compared with all others before it came here.
    judged = judge(page, nursery) if generation else _compared(judge(page, nursery), page, nursery)
    with transaction.atomic():
        # Race: two writers of one nursery wait for each other here, so that numbers never collide.
        Nursery.objects.select_for_update().get(pk=nursery.pk)
        if is_control and nursery.variants.filter(is_control=True).exists():
            raise SecondControl("there is a control already; edit that one, or take its mark away first")
        last = nursery.variants.aggregate(last=Max("number"))["last"] or 0
        return Variant.objects.create(
            nursery=nursery,
            number=last + 1,
            name=name[:LONGEST_NAME] if name else _named_after(page),
            content=page.model_dump(mode="json"),
            is_control=is_control,
            origin=origin,
            generation=generation,
            direction=direction,
            model=model[:100],
            prompt_version=prompt_version,
            created_by=by,
            **judged.stored,
        )


def _named_after(page: PageContent | PatchContent) -> str:
    """Return the name of a page that nobody gave one."""
    return page.headline[:LONGEST_NAME]


def content_of(content: Mapping[str, Any], nursery: Nursery) -> PageContent | PatchContent:
    """Return the content as a typed value. Raise pydantic's ValidationError or BadPatch, which name every fault."""
    if not is_patch(content):
        return PageContent.model_validate(dict(content))
    page, words = content.get("page"), content.get("texts", {})
    found = nursery.imported_pages.filter(pk=page).first() if isinstance(page, int) else None
    if found is None:
        raise BadPatch({"page": f"There is no imported page {page!r} here."})
    if not isinstance(words, Mapping) or not all(isinstance(said, str) for said in words.values()):
        raise BadPatch({"texts": "Give the new words by the id of the text they replace."})
    angle = str(content.get("angle") or "Other words on today's page")
    return patch_of(found.pk, page_texts(found), words, angle=angle)


def page_texts(page: ImportedPage) -> tuple[PageText, ...]:
    return outline_from_json(page.outline).texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the gates say of a page: what is wrong with it, and what in the brief its claims rest on."""

    findings: Sequence[Finding] = ()
    traces: Sequence[Trace] = ()
    misfit: str = ""  # see Variant.misfit
    against: str = ""  # the `state_of` the brief that it was held against

    @property
    def stored(self) -> dict[str, Any]:
        """Return the columns that keep it."""
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "traces": [asdict(trace) for trace in self.traces],
            "misfit": self.misfit,
            "held_against": self.against,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """All that the gates hold a page against, and what stands for it: two of one state judge alike."""

    spec: BriefSpec
    brand: str
    colours: tuple[str, str]
    images: frozenset[str]

    @property
    def state(self) -> str:
        said = [self.spec.model_dump(mode="json"), self.brand, *self.colours, sorted(self.images)]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def measure_of(brief: Brief) -> Measure:
    """Return what a brief's pages are held against now. Raise pydantic's ValidationError where it makes no sense."""
    brand = brief.brand
    images = Image.objects.filter(brand_id=brief.brand_id).values_list("name", flat=True)
    colours = (brand.primary_colour, brand.accent_colour)
    return Measure(spec=brief.spec(), brand=brand.name, colours=colours, images=frozenset(images))


def judge(page: PageContent | PatchContent, nursery: Nursery) -> Judgement:
    """Hold a page against its brief as it is now."""
    measure = measure_of(nursery.brief)
    judged = _judge_patch(page, nursery, measure) if isinstance(page, PatchContent) else _judge_page(page, measure)
    return replace(judged, against=measure.state)


def _judge_page(page: PageContent, measure: Measure) -> Judgement:
    ledger = ledger_of_page(page, measure.spec, brand=measure.brand)
    findings = examine(page, measure.spec, measure.images, colours=measure.colours, ledger=ledger)
    return Judgement(findings=findings, traces=ledger.traces, misfit=misfit_of(findings, texts(page)))


def _judge_patch(patch: PatchContent, nursery: Nursery, measure: Measure) -> Judgement:
    """Look at what a patch changes. What today's page says is its owner's business, and is there already."""
    if not patch.texts:
        return Judgement()
    shown = page_texts(nursery.imported_pages.get(pk=patch.page))
    changed, whole = copy_of(patch, shown, is_whole=False), copy_of(patch, shown, is_whole=True)
    ledger = ledger_of_copy(changed, measure.spec, brand=measure.brand)
    findings = examine_copy(changed, whole, measure.spec, ledger=ledger)
    return Judgement(findings=findings, traces=ledger.traces, misfit=misfit_of(findings, changed))


def _compared(judged: Judgement, page: PageContent | PatchContent, nursery: Nursery, own: int = 0) -> Judgement:
    """Add a remark when the page says what another of the nursery says; `own` is the variant that it belongs to."""
    if isinstance(page, PatchContent) and not page.texts:
        return judged  # today's page
    return replace(judged, findings=[*judged.findings, *repeat_of(page, nursery, besides=own)])


def mark(variant: Variant) -> str:
    """Return what changes with every change of a variant's content: what somebody has read, they may approve."""
    return hashlib.sha256(json.dumps(variant.content, sort_keys=True).encode()).hexdigest()[:16]


def approve(variant: Variant, by: Person, *, read: str = "") -> Variant:
    """Let a draft go live; raise Blocked with the findings that stand in the way. Approving twice changes nothing.

    `read` is the mark of what the person has seen, if they have seen it.
    """
    variant.refresh_from_db(fields=["status"])
    if read and read != mark(variant):
        raise WrongVariantStatus(f"“{variant.name}” was changed since you read it; look at it again")
    if variant.status == Variant.Status.APPROVED:
        return variant
    if variant.status == Variant.Status.REJECTED:
        raise WrongVariantStatus(f"“{variant.name}” is rejected; take it back into review in the console, or edit it")
    _refuse_own_work(variant, by)
    judged = judge(variant.patch or variant.page, variant.nursery)
    # Optimization: what it repeats was found when it came, and how it looks by a browser; to find out again for each
    # of 500 would take minutes. An edit drops both, so what is there is of what stands there.
    repeats = [Finding(**finding) for finding in variant.findings if finding["gate"] in KEPT]
    judged = replace(judged, findings=[*judged.findings, *repeats])
    if is_blocked(judged.findings):
        Variant.objects.filter(pk=variant.pk, content=variant.content).update(**judged.stored)
        raise Blocked(finding for finding in judged.findings if finding.blocks)
    return _move(variant, {Variant.Status.DRAFT}, Variant.Status.APPROVED, by=by, **judged.stored)


def _refuse_own_work(variant: Variant, by: Person) -> None:
    if not variant.nursery.brief.brand.asks_four_eyes:
        return
    if by is None or by.pk in authors(variant):
        raise OwnWork(f"“{variant.name}” is your own work, so somebody else has to approve it (four eyes)")


def authors(variant: Variant) -> list[int]:
    """Return the primary keys of those who wrote a variant, asked for it or changed it, or what it was copied from."""
    asked = variant.generation.requested_by_id if variant.generation else None
    known = {variant.created_by_id, variant.edited_by_id, asked, *variant.earlier_authors}
    return sorted(pk for pk in known if pk is not None)


def reject(variant: Variant, by: Person, *, is_live: bool = False) -> Variant:
    """Take a variant out of review; rejecting twice changes nothing."""
    variant.refresh_from_db(fields=["status"])
    if variant.status == Variant.Status.REJECTED:
        return variant
    if is_live:
        raise LiveVariant(f"“{variant.name}” is live; retire it in its experiment instead of rejecting it")
    return _move(variant, {Variant.Status.DRAFT, Variant.Status.APPROVED}, Variant.Status.REJECTED, by=by)


def reconsider(variant: Variant, by: Person) -> Variant:
    """Take a rejected variant back into review as it stands; it is compared anew, with what came since as well."""
    variant.refresh_from_db(fields=["status"])
    if variant.status == Variant.Status.DRAFT:
        return variant
    page = variant.patch or variant.page
    judged = _compared(judge(page, variant.nursery), page, variant.nursery, own=variant.pk)
    seen = [Finding(**finding) for finding in variant.findings if finding["gate"] in KINDS]
    judged = replace(judged, findings=[*judged.findings, *seen])
    return _move(variant, {Variant.Status.REJECTED}, Variant.Status.DRAFT, by=by, **judged.stored)


def edit(variant: Variant, content: Mapping[str, Any], by: Person, *, is_live: bool) -> Variant:
    """Replace the content; the variant is a draft again. The caller knows whether visitors see it."""
    if is_live:
        raise LiveVariant(f"“{variant.name}” is live and cannot be edited; add a new variant instead")
    page = content_of(content, variant.nursery)
    judged = _compared(judge(page, variant.nursery), page, variant.nursery, own=variant.pk)
    follows = variant.name == _named_after(variant.patch or variant.page)
    # Of two with one name nobody could tell in a report which is meant.
    is_free = not variant.nursery.variants.filter(name=_named_after(page)).exclude(pk=variant.pk).exists()
    new = {
        "name": _named_after(page) if follows and is_free else variant.name,
        "content": page.model_dump(mode="json"), "edited_by": by, "earlier_authors": authors(variant), **judged.stored
    }  # fmt: skip
    # Race: only from the status that the caller saw. What was approved meanwhile may be live by now.
    return _move(variant, {Variant.Status(variant.status)}, Variant.Status.DRAFT, by=by, **new)


def _move(variant: Variant, before: set[Variant.Status], after: Variant.Status, *, by: Person, **new: Any) -> Variant:
    with transaction.atomic():
        # Race: nobody may approve a text that somebody else replaced a moment ago, so the row is held and compared.
        stored = Variant.objects.select_for_update().get(pk=variant.pk)
        moved = stored.content == variant.content and Variant.objects.filter(pk=variant.pk, status__in=before).update(
            status=after, reviewed_by=by, reviewed_at=timezone.now(), **new
        )
    if not moved:
        raise WrongVariantStatus(_why_not(variant, stored, before))
    variant.refresh_from_db()
    return variant


def _why_not(variant: Variant, stored: Variant, before: set[Variant.Status]) -> str:
    if stored.status in before:
        return f"“{variant.name}” was changed by somebody a moment ago; look at it again"
    is_rejected = stored.status == Variant.Status.REJECTED
    way = "take it back into review in the console" if is_rejected else "edit it to make it a draft"
    return f"“{variant.name}” is {stored.status}; {way}"
