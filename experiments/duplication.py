"""Make a new draft of an experiment: its brief, directions, goals and approved variants, and nothing it has counted.

The brief is copied too. Sharing it would let whoever writes in the copy change the words of pages that visitors see.
Whoever copies is not the only author: those who wrote and set up what was copied are authors of the copy as well.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from experiments import lifecycle
from experiments.models import Experiment, Goal
from variants import review
from variants.models import Brief, Direction, ImportedPage, Nursery, Variant
from variants.patches import is_patch

LONGEST_NAME, LONGEST_SLUG = 120, 60
LEFT_OUT = frozenset({"id", "name", "slug"})
KEPT_OF_GOAL = ("key", "kind", "is_primary", "window_hours", "link", "weight", "guard")
KEPT_OF_DIRECTION = ("number", "angle", "insight", "promise", "proof", "objection", "weight", "is_struck", "origin")
KEPT_OF_PAGE = ("address", "source", "outline", "keeps_scripts", "allows_others", "remarks", "goals")
KEPT_OF_VARIANT = ("number", "name", "is_control", "origin", "model", "prompt_version", "findings", "traces")


def duplicate(experiment: Experiment, *, by: User, approves: bool) -> Experiment:
    """Return the new draft. Its variants wait for a review, unless `approves`: then they pass the gates once more."""
    with transaction.atomic():
        nursery = Nursery.objects.create(
            brief=_brief(experiment.nursery.brief, by), budget_micro_usd=experiment.nursery.budget_micro_usd
        )
        made = Experiment.objects.create(
            nursery=nursery,
            name=copied_name(experiment.name),
            slug=free_slug(experiment.slug),
            created_by=by,
            earlier_authors=lifecycle.authors(experiment),
            **_settings(experiment),
        )
        Goal.objects.bulk_create(
            Goal(experiment=made, **_kept(goal, KEPT_OF_GOAL)) for goal in experiment.goals.order_by("pk")
        )
        Direction.objects.bulk_create(
            Direction(nursery=nursery, created_by=by, **_kept(direction, KEPT_OF_DIRECTION))
            for direction in experiment.nursery.directions.all()
        )
        variants = _variants(experiment.nursery, nursery, by)
    if approves:
        _approve(variants, by)
    return made


def copied_name(name: str) -> str:
    return f"{name[: LONGEST_NAME - len(' (copy)')]} (copy)"


def free_slug(slug: str) -> str:
    """Return an address that no experiment has: this one, or with a number after it."""
    base = slug[: LONGEST_SLUG - 5].strip("-") or "page"
    taken = set(Experiment.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(free for free in (base, *(f"{base}-{number}" for number in range(2, 9_999))) if free not in taken)


def _kept(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _settings(experiment: Experiment) -> dict[str, Any]:
    """Return what a marketer set, and whatever settings are added later; never what an experiment comes by."""
    fields = [field for field in experiment._meta.concrete_fields if field.editable and field.name not in LEFT_OUT]
    return {field.name: getattr(experiment, field.name) for field in fields}


def _brief(brief: Brief, by: User) -> Brief:
    kept = [field.attname for field in brief._meta.concrete_fields if field.name not in LEFT_OUT and field.editable]
    values = {name: getattr(brief, name) for name in kept if name != "created_by_id"}
    return Brief.objects.create(**values, name=copied_name(brief.name), created_by=by)


def _variants(before: Nursery, nursery: Nursery, by: User) -> list[Variant]:
    pages: dict[int, int] = {}
    for page in before.imported_pages.order_by("pk"):
        copy = ImportedPage.objects.create(nursery=nursery, imported_by=by, **_kept(page, KEPT_OF_PAGE))
        pages[page.pk] = copy.pk
    approved = before.variants.filter(status=Variant.Status.APPROVED).select_related("generation").order_by("number")
    # Not one by one through review.add_variant, which would compare each with all others again: they are known.
    return Variant.objects.bulk_create(
        Variant(nursery=nursery, created_by=by, earlier_authors=review.authors(variant),
                content=_content(variant.content, pages), **_kept(variant, KEPT_OF_VARIANT))
        for variant in approved
    )  # fmt: skip


def _content(content: dict[str, Any], pages: dict[int, int]) -> dict[str, Any]:
    return {**content, "page": pages[content["page"]]} if is_patch(content) else content


def _approve(variants: list[Variant], by: User) -> None:
    for variant in variants:
        try:
            review.approve(variant, by=by)
        except (review.Blocked, review.WrongVariantStatus):
            continue  # it stays a draft with its findings, which the gallery shows
