"""Take variants in and through review: add, edit, approve, reject. The only writer of Variant.status.

    DRAFT ── approve ──▶ APPROVED        edit: back to DRAFT, because what was approved is no longer what stands there
      │  ◀──── edit ────────┘
      └──── reject ──▶ REJECTED          a rejected variant may be edited, and is a DRAFT again

Each step is one conditional UPDATE, so of two people who decide at once, one wins and the other is told.
Approval looks at the page afresh: the brief may have changed since the page was written.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from variants.content import PageContent
from variants.gates import Finding, examine, is_blocked
from variants.models import Generation, Image, Nursery, Variant

LONGEST_NAME = 120

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


def add_variant(
    nursery: Nursery,
    content: Mapping[str, Any],
    *,
    name: str | None = None,
    is_control: bool = False,
    origin: Variant.Origin = Variant.Origin.HAND,
    by: Person = None,
    generation: Generation | None = None,
) -> Variant:
    """Store a page as a draft with its findings; pydantic's ValidationError names every fault of the content.

    `by` is who typed it in; nobody has reviewed it yet.
    """
    page = PageContent.model_validate(dict(content))
    findings = findings_of(page, nursery)
    with transaction.atomic():
        # Race: two writers of one nursery wait for each other here, so that numbers never collide.
        Nursery.objects.select_for_update().get(pk=nursery.pk)
        if is_control and nursery.variants.filter(is_control=True).exists():
            raise SecondControl("there is a control already; edit that one, or take its mark away first")
        last = nursery.variants.aggregate(last=Max("number"))["last"] or 0
        return Variant.objects.create(
            nursery=nursery,
            number=last + 1,
            name=(name or page.hero.headline)[:LONGEST_NAME],
            content=page.model_dump(mode="json"),
            is_control=is_control,
            origin=origin,
            generation=generation,
            created_by=by,
            findings=[finding.as_dict() for finding in findings],
        )


def findings_of(page: PageContent, nursery: Nursery) -> list[Finding]:
    brief = nursery.brief
    images = set(Image.objects.filter(brand_id=brief.brand_id).values_list("name", flat=True))
    return examine(page, brief.spec(), images)


def approve(variant: Variant, by: Person) -> Variant:
    """Let a draft go live; raise Blocked with the findings that stand in the way. Approving twice changes nothing."""
    variant.refresh_from_db(fields=["status"])
    if variant.status == Variant.Status.APPROVED:
        return variant
    if variant.status == Variant.Status.REJECTED:
        raise WrongVariantStatus(f"“{variant.name}” is rejected; edit it to make it a draft again")
    findings = findings_of(variant.page, variant.nursery)
    stored = [finding.as_dict() for finding in findings]
    if is_blocked(findings):
        Variant.objects.filter(pk=variant.pk, content=variant.content).update(findings=stored)
        raise Blocked(finding for finding in findings if finding.blocks)
    return _move(variant, {Variant.Status.DRAFT}, Variant.Status.APPROVED, by=by, findings=stored)


def reject(variant: Variant, by: Person, *, is_live: bool = False) -> Variant:
    """Take a variant out of review; rejecting twice changes nothing."""
    variant.refresh_from_db(fields=["status"])
    if variant.status == Variant.Status.REJECTED:
        return variant
    if is_live:
        raise LiveVariant(f"“{variant.name}” is live; retire it in its experiment instead of rejecting it")
    return _move(variant, {Variant.Status.DRAFT, Variant.Status.APPROVED}, Variant.Status.REJECTED, by=by)


def edit(variant: Variant, content: Mapping[str, Any], by: Person, *, is_live: bool) -> Variant:
    """Replace the content; the variant is a draft again. The caller knows whether visitors see it."""
    if is_live:
        raise LiveVariant(f"“{variant.name}” is live and cannot be edited; add a new variant instead")
    page = PageContent.model_validate(dict(content))
    findings = [finding.as_dict() for finding in findings_of(page, variant.nursery)]
    new = {"content": page.model_dump(mode="json"), "findings": findings}
    return _move(variant, set(Variant.Status), Variant.Status.DRAFT, by=by, **new)


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
    return f"“{variant.name}” is {stored.status}; edit it to make it a draft again"
