"""Bring up bred variants: keep what crossover made, and tell generation.py what a child written anew has to be.

    order ──▶ Generation + Breeding ──▶ (crossover) the variant, at once
                                    └─▶ (mutation, fresh idea) generation.run asks the writer, through Upbringing

A child differs from its parents in a gene or two, so that compared by meaning it repeats them. What it must not repeat
is a genome: everything that was ever tried in the nursery, rejected and retired variants too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from variants import breeding, review
from variants.breeding import Content
from variants.content import PageContent
from variants.content import genes as genes_of_page
from variants.directions import DirectionSpec
from variants.models import Breeding, Direction, Generation, Nursery, Operator, Variant
from variants.outline import PageText
from variants.patches import PatchContent, genes_of
from variants.prompts import ChildTask, WriteRequest

type Genome = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A child to be had."""

    round: int
    operator: Operator
    against: Sequence[Variant]  # its parents; of a fresh idea, the survivor in whose place it is tried
    reason: str
    slot: str = ""  # that a mutation writes anew
    direction: Direction | None = None  # of a fresh idea, or of a mutation of the angle
    told: Mapping[str, Any] = field(default_factory=dict)


def genes_in(content: Content) -> dict[str, str]:
    return genes_of_page(content) if isinstance(content, PageContent) else genes_of(content)


def genome(content: Content) -> Genome:
    """Return all that a page is told from others by; of a patch also the words that its genes leave out."""
    words = content.texts.items() if isinstance(content, PatchContent) else ()
    return frozenset([*genes_in(content).items(), *words])


def texts_of(content: Content, nursery: Nursery) -> tuple[PageText, ...]:
    """Return the texts of the imported page that a patch changes; none for a page of our own."""
    if not isinstance(content, PatchContent):
        return ()
    return review.page_texts(nursery.imported_pages.only("outline").get(pk=content.page))


def named(content: Content, nursery: Nursery) -> str:
    """Return a name that no other variant has: a child may have its parent's headline, and two pages one opening."""
    headline = content.headline[:NAME_LENGTH]
    alike = nursery.variants.filter(name__startswith=headline).values_list("name", flat=True)
    taken, number = set(alike), 1
    name = headline
    while name in taken:
        number += 1
        name = f"{headline} ({number})"
    return name


NAME_LENGTH = 110  # leaves room for a number


def note(generation: Generation, order: Order) -> Breeding:
    """Write down how a generation is bred."""
    made = Breeding.objects.create(
        generation=generation,
        round=order.round,
        operator=order.operator,
        gene=order.slot,
        direction=order.direction,
        told=dict(order.told),
        reason=order.reason[:300],
    )
    made.parents.set(order.against)
    return made


def keep(nursery: Nursery, order: Order, content: Content) -> Variant:
    """Store a child that was made without a writer, as a draft with its findings."""
    now = timezone.now()
    with transaction.atomic():
        generation = Generation.objects.create(
            nursery=nursery,
            status=Generation.Status.FINISHED,
            requested=1,
            model=breeding.__name__.rpartition(".")[2],
            finished_at=now,
        )
        made = note(generation, order)
        variant = review.add_variant(
            nursery,
            content.model_dump(mode="json"),
            name=named(content, nursery),
            origin=_origin(order.against),
            generation=generation,
            direction=order.against[0].direction,
        )
        _take_in(variant, made)
        blocked = int(any(finding["blocks"] for finding in variant.findings))
        Generation.objects.filter(pk=generation.pk).update(accepted=1 - blocked, blocked=blocked)
    return variant


def _origin(parents: Sequence[Variant]) -> Variant.Origin:
    """Return where a mixture of pages came from: from the model if any of it did."""
    origins = {parent.origin for parent in parents}
    order = (Variant.Origin.MODEL, Variant.Origin.OFFLINE, Variant.Origin.HAND)
    return next((origin for origin in order if origin in origins), Variant.Origin.IMPORT)


def _take_in(variant: Variant, bred: Breeding) -> None:
    parents = [] if bred.operator == Operator.FRESH else list(bred.parents.select_related("generation"))
    # Their words stand in the child.
    variant.earlier_authors = sorted({pk for parent in parents for pk in review.authors(parent)})
    variant.operator = bred.operator
    variant.save(update_fields=["operator", "earlier_authors"])
    if bred.operator != Operator.FRESH:
        variant.parents.set(bred.parents.all())


class Upbringing:
    """What the writer is asked for when a generation is bred, and what of its answer becomes the child."""

    def __init__(self, bred: Breeding) -> None:
        self._bred = bred
        self._nursery = bred.generation.nursery
        self._tried = {genome(variant.typed) for variant in self._nursery.variants.all()}
        parent = bred.parents.first() if bred.operator == Operator.MUTATION else None
        self._parent = None if parent is None else (parent.pk, parent.typed)
        self.direction = bred.direction or (parent.direction if parent else None)

    def asked(self, request: WriteRequest) -> WriteRequest:
        """Return the request for a page as one for this child."""
        task = ChildTask(
            slot=self._bred.gene,
            parent=None if self._parent is None else self._parent[1].model_dump(mode="json"),
            told=tuple(self._bred.told.get("lines", ())),
        )
        return replace(request, child=task, turn=replace(request.turn, direction=self._spec(request)))

    def _spec(self, request: WriteRequest) -> DirectionSpec:
        if self.direction is not None:
            return self.direction.spec()
        if self._parent is not None:
            return DirectionSpec(angle=self._parent[1].angle)
        return request.turn.direction

    def child(self, written: Content) -> Content | None:
        """Return the child; None where it is no other than one that was tried."""
        content: Content | None = written
        if self._parent is not None:
            content = self._mutated(self._parent, written)
        return None if content is None or genome(content) in self._tried else content

    def _mutated(self, parent: tuple[int, Content], written: Content) -> Content | None:
        try:
            made = breeding.mutated(parent, self._bred.gene, written, texts=texts_of(written, self._nursery))
        except breeding.BadPatch:
            return None  # its words do not fit the parent's other ones
        return None if made is None else made.content

    @property
    def is_compared_by_meaning(self) -> bool:
        """Whether the child has to say something new: a mutation says what its parent says, but for one gene."""
        return self._parent is None

    def take_in(self, variant: Variant) -> None:
        _take_in(variant, self._bred)


def upbringing(generation: Generation) -> Upbringing | None:
    """Return how the generation's child is brought up; None where it was not bred."""
    bred = Breeding.objects.filter(generation=generation).select_related("generation__nursery", "direction").first()
    return None if bred is None else Upbringing(bred)
