"""What a writer is told of an imported page, and how its answer becomes a patch.

    texts of the page ──▶ Original ──▶ those a writer may change, each with its role and its room
    answer: ids and new words ──▶ PatchContent, or what is wrong with it

Of a page only copy is shown: navigation, labels of fields and very long texts stay as they are.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import Field

from variants.content import Part
from variants.outline import PageText, TextKind
from variants.patches import LONGEST_TEXT, BadPatch, PatchContent, heading_of, limit_of, patch_of
from variants.text import Line

# What readers see first comes first: a page may have more texts than a model should be paid to read.
SHOWN_KINDS: Final[tuple[TextKind, ...]] = (
    "headline", "browser title", "description", "button", "title", "text", "item",
)  # fmt: skip
MOST_SHOWN: Final = 60
MOST_CHARACTERS_SHOWN: Final = 10_000
LONGEST_SHOWN: Final = 800  # longer texts are terms, articles, fine print


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """Today's page: an imported page, and what its own patch, if it has one, makes it say."""

    page: int  # the number that patches give it
    texts: tuple[PageText, ...]
    words: Mapping[str, str] = field(default_factory=dict)  # by id of the text: what it says instead of the source's

    @property
    def shown(self) -> list[PageText]:
        """The texts that a writer may change, in the order of the page."""
        ranked = sorted(
            (text for text in self.texts if text.kind in SHOWN_KINDS and len(text.text) <= LONGEST_SHOWN),
            key=lambda text: SHOWN_KINDS.index(text.kind),
        )
        chosen, room = set(), MOST_CHARACTERS_SHOWN
        for text in ranked[:MOST_SHOWN]:
            room -= len(text.text)
            if room < 0:
                break
            chosen.add(text.id)
        return [text for text in self.texts if text.id in chosen]

    def now(self, text: PageText) -> str:
        """Return what stands in a text's place today."""
        return self.words.get(text.id, text.text)


class NewText(Part):
    id: str = Field(max_length=12, description="The id of a text of today's page")
    text: Line = Field(max_length=LONGEST_TEXT, description="What it says instead")


class Rewrite(Part):
    """The texts of today's page that say something else; all others stay as they are."""

    texts: list[NewText] = Field(min_length=1, max_length=MOST_SHOWN)


def patched(original: Original, rewrite: Rewrite, angle: str) -> tuple[PatchContent | None, list[str]]:
    """Return the patch that an answer stands for, or its faults, worded so that they can be quoted to the writer."""
    faults = list(_faults(original, rewrite))
    if faults:
        return None, faults
    said = {new.id: new.text for new in rewrite.texts}
    try:
        patch = patch_of(original.page, original.texts, {**original.words, **said}, angle=angle)
    except BadPatch as error:
        return None, [f"{id_}: {reason}" for id_, reason in error.faults.items()]
    if patch.texts == dict(original.words):
        return None, ["Nothing is changed: every text says what it says today."]
    heading = heading_of(original.shown)
    if heading is not None and said.get(heading.id, original.now(heading)) == original.now(heading):
        return None, [f"{heading.id} is what readers read first, and it says what it says today: change it too."]
    return patch, []


def _faults(original: Original, rewrite: Rewrite) -> list[str]:
    known = {text.id: text for text in original.shown}
    times = Counter(new.id for new in rewrite.texts)
    unknown = [f"{id_}: there is no text of this id; use the ids you were given." for id_ in times if id_ not in known]
    twice = [f"{id_}: stands {count} times; give each text once." for id_, count in times.items() if count > 1]
    long = [
        f"{new.id}: {len(new.text)} characters; there is room for {limit_of(known[new.id])}."
        for new in rewrite.texts
        if new.id in known and len(new.text) > limit_of(known[new.id])
    ]
    return [*unknown, *twice, *long]
