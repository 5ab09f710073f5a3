"""Reword an imported page from a brief with copywriting formulas: what writes patches when no model is configured.

    page + brief + turn ──▶ other words for its heading, the text below, its first button, its title and description

The words come from offline.py, so that every claim is a sentence of the brief, whole. All else of the page stays: what
its other texts are about, formulas cannot know.
"""

from variants.brief import BriefSpec
from variants.directions import Turn
from variants.offline import DESCRIPTION, lead
from variants.outline import PageText, TextKind
from variants.patches import HEADINGS, LONGEST_TEXT, PatchContent, below_heading, heading_of, limit_of, patch_of
from variants.rewriting import Original


def reword(original: Original, brief: BriefSpec, turn: Turn, *, brand: str = "") -> PatchContent:
    """Return the patch for `turn`."""
    heading, below = heading_of(original.texts), below_heading(original.texts)
    room = limit_of(heading) if heading else _room(original, "browser title")
    headline, text = lead(brief, turn, brand=brand, headline=room, text=limit_of(below) if below else DESCRIPTION)
    placed = [
        (heading, headline),
        (below, text),
        (_button(original, heading), brief.call_to_action.label),
        (_first(original, "browser title"), headline),
        (_first(original, "description"), text),
    ]
    said = {place.id: words for place, words in placed if place is not None and len(words) <= limit_of(place)}
    words = {**original.words, **said}
    return patch_of(original.page, original.texts, words, angle=turn.direction.angle)


def _button(original: Original, heading: PageText | None) -> PageText | None:
    """Return the button that goes with the heading: others unfold menus, lead to logins or send forms further down."""
    after = original.texts[original.texts.index(heading) + 1 :] if heading else ()
    for text in after:
        if text.kind == "button":
            return text
        if text.kind in HEADINGS:
            break
    return None


def _first(original: Original, kind: TextKind) -> PageText | None:
    return next((text for text in original.texts if text.kind == kind), None)


def _room(original: Original, kind: TextKind) -> int:
    found = _first(original, kind)
    return limit_of(found) if found else LONGEST_TEXT
