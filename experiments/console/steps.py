"""The five steps from an idea to a running experiment: where one is, what is done, and what is missing.

    brief ─▶ directions ─▶ generate ─▶ gallery ─▶ launch

Nothing is kept of how far somebody came: each step looks at what there is. So a step that was done elsewhere, by the
API or by a colleague, is done here too, and whoever comes back stands at the first one that is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Count
from django.urls import reverse

from experiments.models import Experiment
from variants.models import BriefDraft, Generation, Variant

BRIEF, DIRECTIONS, GENERATE, GALLERY, LAUNCH = "brief", "directions", "generate", "gallery", "launch"
LABELS: Final = {
    BRIEF: "Brief", DIRECTIONS: "Directions", GENERATE: "Generate", GALLERY: "Gallery", LAUNCH: "Launch",
}  # fmt: skip
VIEWS: Final = {
    BRIEF: "brief_step", DIRECTIONS: "directions", GENERATE: "generate", GALLERY: "gallery", LAUNCH: "launch",
}  # fmt: skip
NAMES: Final = tuple(LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as the bar shows it."""

    number: int
    label: str
    note: str  # what is done or missing, in a few words
    url: str  # empty where it cannot be opened yet
    is_done: bool
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the steps go by."""

    is_started: bool
    has_open_brief: bool
    directions: int
    growing: Generation | None
    drafts: int
    approved: int
    variants: int
    goals: int


def url_of(experiment_id: int, name: str) -> str:
    """Return the address of a step."""
    return reverse(f"admin:experiments_{VIEWS[name]}", args=[experiment_id])


def bar(experiment: Experiment, here: str = "") -> Sequence[Step]:
    """Return the five steps of an experiment; `here` is the one that is open."""
    found = _found(experiment)
    return [
        Step(
            number=number,
            label=LABELS[name],
            note=note,
            url=url_of(experiment.pk, name),
            is_done=is_done,
            is_here=name == here,
        )
        for number, (name, (is_done, note)) in enumerate(_standing(found).items(), start=1)
    ]


def bar_before(note: str) -> Sequence[Step]:
    """Return the steps of what is no experiment yet: only its brief is open."""
    return [
        Step(number=number, label=label, note=note if name == BRIEF else "", url="", is_done=False,
             is_here=name == BRIEF)
        for number, (name, label) in enumerate(LABELS.items(), start=1)
    ]  # fmt: skip


def first_unfinished(experiment: Experiment) -> str:
    """Return the step to go on with; the last one when all are done."""
    standing = _standing(_found(experiment))
    return next((name for name, (is_done, _) in standing.items() if not is_done), LAUNCH)


def _found(experiment: Experiment) -> _Found:
    nursery = experiment.nursery
    counted = nursery.variants.order_by().values_list("status").annotate(Count("pk"))
    numbers = dict.fromkeys(Variant.Status.values, 0) | dict(counted)
    latest = nursery.generations.order_by("-pk").first()
    return _Found(
        is_started=experiment.status != Experiment.Status.DRAFT,
        has_open_brief=BriefDraft.objects.filter(brief=nursery.brief_id).exists(),
        directions=nursery.directions.filter(is_struck=False).count(),
        growing=latest if latest is not None and not latest.is_over else None,
        drafts=numbers[Variant.Status.DRAFT],
        approved=numbers[Variant.Status.APPROVED],
        variants=sum(numbers.values()),
        goals=experiment.goals.count(),
    )


def _standing(found: _Found) -> dict[str, tuple[bool, str]]:
    """Return of each step whether it is done, and a note."""
    return {
        BRIEF: (not found.has_open_brief, "Changes not taken over" if found.has_open_brief else "Written"),
        DIRECTIONS: _directions(found),
        GENERATE: _generate(found),
        # What was left out of an experiment that runs is no step to take: it may stay where it is.
        GALLERY: (found.approved > 0 and (found.is_started or not found.drafts), _gallery_note(found)),
        LAUNCH: (found.is_started, _launch_note(found)),
    }


def _directions(found: _Found) -> tuple[bool, str]:
    if found.directions:
        return True, f"{found.directions} chosen"
    return found.variants > 0, "Left to the writer" if found.variants else "None yet"


def _generate(found: _Found) -> tuple[bool, str]:
    growing = found.growing
    if growing is not None and growing.requested:
        return False, f"Writing {growing.accepted} of {growing.requested}"
    return found.variants > 0, f"{found.variants} written" if found.variants else "None yet"


def _gallery_note(found: _Found) -> str:
    if not found.variants:
        return "Nothing to look at yet"
    return f"{found.approved} approved, {found.drafts} to look at" if found.drafts else f"{found.approved} approved"


def _launch_note(found: _Found) -> str:
    if found.is_started:
        return "Started"
    return "Not yet" if not found.approved else "Almost there" if found.goals else "A goal is missing"
