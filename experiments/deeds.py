"""Who did what to an experiment, when, and what was there before: the admin's own log, written in words.

Console, API and timetable all write here, so a history leaves nothing out. What nobody did (the reviews, what a
guardrail stopped) stands in allocations and arms.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet

from experiments.models import Experiment

LONGEST_VALUE: Final = 140  # characters of a text that are shown on each side of the arrow
MOST_CHANGES: Final = 12
NOTHING: Final = "nothing"
WHERE: Final = "Where: "  # begins a line that only those see who may set notifications: whom a deed was about


def record(about: Model, by: User | None, what: str) -> None:
    """Write down who did what, to an experiment or to something of the house; nothing where nobody did."""
    if by is None:
        return
    LogEntry.objects.create(
        user_id=by.pk,
        content_type=ContentType.objects.get_for_model(about),
        object_id=str(about.pk),
        object_repr=str(about)[:200],
        action_flag=CHANGE,
        change_message=what,
    )


def told(entry: LogEntry, *, shows_where: bool) -> str:
    """Return what somebody did, in words; where notifications go is only for those who may send them there."""
    words = entry.get_change_message() or ("Created." if entry.is_addition() else "Saved without a change.")
    lines = str(words).split("\n")
    return "\n".join(line for line in lines if shows_where or not line.startswith(WHERE))


def about(experiment: Experiment) -> QuerySet[LogEntry]:
    """Return what people did to the experiment, its brief and its brand, the newest first."""
    entries = _entries(experiment, experiment.nursery.brief, experiment.nursery.brief.brand)
    return entries.select_related("user", "content_type").order_by("-action_time", "-pk")


def changers(*kept: Model, since: datetime | None) -> set[int]:
    """Return the people who changed one of these since then, or ever, by primary key."""
    entries = _entries(*kept)
    found = entries.filter(action_time__gt=since) if since else entries
    return set(found.values_list("user_id", flat=True))


def _entries(*kept: Model) -> QuerySet[LogEntry]:
    wanted = Q()
    for each in kept:
        wanted |= Q(content_type=ContentType.objects.get_for_model(each), object_id=str(each.pk))
    return LogEntry.objects.filter(wanted)


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Say in words what differs, such as: Control share: 10% → 20%. Both sides are already as people read them."""
    found = every_change(before, after, longest=LONGEST_VALUE)
    rest = len(found) - MOST_CHANGES
    return [*found[:MOST_CHANGES], f"and {rest} more"] if rest > 0 else found


def every_change(before: Mapping[str, object], after: Mapping[str, object], *, longest: int | None = None) -> list[str]:
    """Say all that differs, and unless `longest` is given to its last letter: for who has to agree to it."""
    return [
        f"{name}: {_shown(before.get(name), longest)} → {_shown(after.get(name), longest)}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _shown(value: object, longest: int | None) -> str:
    text = " ".join(str(value).split()) if value not in {None, ""} else ""
    if not text:
        return NOTHING
    return f"“{text[: longest - 1]}…”" if longest and len(text) > longest else f"“{text}”"


def edited(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say what an edit changed on a page: each text before and after, one a line."""
    told = changes(dict(_texts(before)), dict(_texts(after)))
    return "\n".join([f"Edited “{name}”.", *told]) if told else f"Saved “{name}” unchanged."


def _texts(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a page's content under a name for where it stands, such as “hero: headline”."""
    if isinstance(value, Mapping):
        kind = value.get("kind")
        inside = str(kind).replace("_", " ") if isinstance(kind, str) and place else place
        for key, part in value.items():
            if key != "kind":
                yield from _texts(part, _joined(inside, str(key).replace("_", " ")))
    elif isinstance(value, list):
        for number, part in enumerate(value, start=1):
            yield from _texts(part, place if _is_section(part) else f"{place} {number}".strip())
    elif value is not None:
        yield place, str(value)


def _is_section(part: object) -> bool:
    return isinstance(part, Mapping) and "kind" in part


def _joined(outer: str, inner: str) -> str:
    return inner if outer in {"", "sections"} else f"{outer}: {inner}"
