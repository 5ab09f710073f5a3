"""Turn the texts of an imported page into a PageContent, as far as they can be read as one, and say what was left out.

The first headline and what follows it become the hero; each further heading with the texts below it becomes a section.
What a text is, is guessed from its element alone, so a person looks at the result. Numbers and quotations are not
sorted into proofs or prices: those claim something, and a guess must not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from textwrap import shorten
from typing import Any, Final

from variants.outline import Outline, PageText

COPY: Final = frozenset({"text", "item"})
MOST_SECTIONS, MOST_ITEMS, FEWEST_ITEMS = 8, 6, 2
UNTITLED: Final = "What you get"
LONGEST_TITLE, LONGEST_NAME, LONGEST_ITEM, LONGEST_BUTTON, LONGEST_SUBHEADLINE = 90, 60, 240, 40, 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    content: dict[str, Any]  # of a PageContent
    taken: tuple[PageText, ...]
    left: tuple[PageText, ...]


@dataclass(slots=True)
class _Group:
    heading: PageText
    below: list[PageText] = field(default_factory=list)


def mapped(outline: Outline, *, button: str, has_form: bool) -> Mapped:
    """Return the page as a PageContent would say it; `button` stands in where the page has none."""
    texts = [text for text in outline.texts if text.kind not in {"label", "link"}]
    groups = _groups(texts)
    taken: list[PageText] = []
    hero = _hero(texts, groups, button, taken)
    sections = list(islice(_sections(groups[1:], taken), MOST_SECTIONS))
    closing = [{"kind": "form", "title": _cut(button, LONGEST_TITLE), "submit": hero["call_to_action"]}]
    title = outline.title or hero["headline"]
    description = next((text.text for text in texts if text.kind == "description"), hero["subheadline"])
    content = {
        "angle": "Today's page",
        "meta": {"title": _cut(title, 70), "description": _cut(description, 160)},
        "sections": [hero, *sections, *(closing if has_form else [])],
    }
    seen = {text.id for text in taken}
    return Mapped(
        content=content,
        taken=tuple(text for text in outline.texts if text.id in seen),
        left=tuple(text for text in outline.texts if text.id not in seen and text.kind != "browser title"),
    )


def _groups(texts: Sequence[PageText]) -> list[_Group]:
    """Return each heading with what stands below it, the first headline's first."""
    first = next((place for place, text in enumerate(texts) if text.kind == "headline"), None)
    if first is None:
        first = next((place for place, text in enumerate(texts) if text.kind == "title"), 0)
    groups: list[_Group] = []
    for text in texts[first:]:
        if text.kind in {"headline", "title"} or not groups:
            groups.append(_Group(heading=text))
        else:
            groups[-1].below.append(text)
    return groups


def _hero(texts: Sequence[PageText], groups: Sequence[_Group], button: str, taken: list[PageText]) -> dict[str, Any]:
    heading = groups[0].heading if groups else None
    follow = next((text for group in groups[:2] for text in group.below if text.kind in COPY), None)
    action = next((text for text in texts if text.kind == "button"), None)
    taken += [text for text in (heading, follow, action) if text is not None]
    headline = heading.text if heading else button
    return {
        "kind": "hero",
        "headline": _cut(headline, LONGEST_TITLE),
        "subheadline": _cut(follow.text if follow else headline, LONGEST_SUBHEADLINE),
        "call_to_action": _cut(action.text if action else button, LONGEST_BUTTON),
    }


def _sections(groups: Sequence[_Group], taken: list[PageText]) -> Iterator[dict[str, Any]]:
    """Make sections: headings with a text each are benefits of one list, and so are the texts below one heading."""
    title: PageText | None = None
    items: list[_Group] = []
    known = {text.id for text in taken}
    for group in groups:
        copy = [text for text in group.below if text.kind in COPY and text.id not in known]
        if len(copy) == 1:
            items.append(_Group(heading=group.heading, below=copy))
            continue
        yield from _benefits(title, items, taken)
        title, items = (None if copy else group.heading), []
        if copy:
            yield from _benefits(group.heading, [_Group(heading=text, below=[text]) for text in copy], taken)
    yield from _benefits(title, items, taken)


def _benefits(title: PageText | None, items: Sequence[_Group], taken: list[PageText]) -> Iterator[dict[str, Any]]:
    kept = items[:MOST_ITEMS]
    if len(kept) < FEWEST_ITEMS:
        return
    taken += [text for item in kept for text in (item.heading, *item.below)]
    taken += [title] if title else []
    yield {
        "kind": "benefits",
        "title": _cut(title.text if title else UNTITLED, LONGEST_TITLE),
        "items": [
            {"title": _cut(item.heading.text, LONGEST_NAME), "text": _cut(item.below[0].text, LONGEST_ITEM)}
            for item in kept
        ],
    }


def _cut(text: str, most: int) -> str:
    return shorten(text, most, placeholder="…")
