"""The genome of a variant of an imported page: which of its texts say something else.

Everything a patch does not name stays as it is, byte for byte (imported.py). Like PageContent it holds words only,
never markup or addresses, and it may not make a text much longer than the place it stands in was made for.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from variants.content import Part
from variants.outline import PageText, TextKind
from variants.text import Line

KIND: Final = "patch"
MOST_TEXTS: Final = 200
# A text may be half as long again as today's, and short ones as long as a short sentence.
STRETCH, SHORTEST_LIMIT = 1.5, 40
LIMITS: Final = {"browser title": 70, "description": 160, "button": 40, "link": 60, "headline": 120}
LONGEST_TEXT: Final = 4_000
HEADINGS: Final[tuple[TextKind, ...]] = ("headline", "title")
COPY: Final[tuple[TextKind, ...]] = ("text", "item")
ROOM_FOR_SENTENCE: Final = 60  # characters: where there is less, it is a label


class PatchContent(Part):
    """A variant of an imported page. `headline` and `call_to_action` repeat what its reader sees, for lists."""

    kind: Literal["patch"] = "patch"
    page: int = Field(ge=1, description="The imported page that it changes")
    angle: Line = Field(max_length=120, description="The direction this page takes: the promise it leads with")
    headline: str = Field(max_length=LONGEST_TEXT)
    call_to_action: str = Field(max_length=LONGEST_TEXT)
    texts: dict[str, Line] = Field(default_factory=dict, max_length=MOST_TEXTS)


class BadPatch(ValueError):
    """A patch that does not fit its page; `faults` says why, by the id of the text."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(" ".join(faults.values()))
        self.faults = dict(faults)


def is_patch(content: Mapping[str, Any]) -> bool:
    return content.get("kind") == KIND


def limit_of(text: PageText) -> int:
    """Return how many characters may stand in place of a text."""
    today = len(text.text)
    return max(today, min(LIMITS.get(text.kind, LONGEST_TEXT), max(SHORTEST_LIMIT, int(today * STRETCH))))


def heading_of(texts: Iterable[PageText]) -> PageText | None:
    """Return what readers of a page read first: its h1, or without one the first text that is no link or label."""
    found = list(texts)
    headline = next((text for text in found if text.kind == "headline"), None)
    return headline or next((text for text in found if text.kind in {"title", "text"}), None)


def below_heading(texts: Sequence[PageText]) -> PageText | None:
    """Return the sentence that follows the heading, if one does before the next heading."""
    heading = heading_of(texts)
    after = texts[texts.index(heading) + 1 :] if heading else ()
    for text in after:
        if text.kind in COPY and limit_of(text) >= ROOM_FOR_SENTENCE:
            return text
        if text.kind in HEADINGS:
            break
    return None


def patch_of(page: int, texts: Iterable[PageText], words: Mapping[str, str], *, angle: str) -> PatchContent:
    """Return the patch that says `words` in place of the page's own. Raise BadPatch."""
    known = {text.id: text for text in texts}
    changed = {id_: said for id_, said in words.items() if id_ not in known or said != known[id_].text}
    shown = {id_: changed.get(id_, text.text) for id_, text in known.items()}
    heading = heading_of(known.values())
    read_first = shown[heading.id][:LONGEST_TEXT] if heading else _first(known.values(), shown, "browser title")
    headline = read_first or "Imported page"
    button = _first(known.values(), shown, "button", "link") or "none"
    try:
        patch = PatchContent(page=page, angle=angle, headline=headline, call_to_action=button, texts=changed)
    except ValidationError as error:
        raise BadPatch({str(fault["loc"][-1]): str(fault["msg"]) for fault in error.errors()}) from error
    if faults := faults_of(patch, known):
        raise BadPatch(faults)
    return patch


def faults_of(patch: PatchContent, known: Mapping[str, PageText]) -> dict[str, str]:
    """Return what is wrong with a patch, by the id of the text."""
    faults = {}
    for id_, said in patch.texts.items():
        if id_ not in known:
            faults[id_] = f"The page has no text {id_}."
        elif len(said) > (most := limit_of(known[id_])):
            faults[id_] = f"Use at most {most} characters here: there was room for {len(known[id_].text)}."
    return faults


def copy_of(patch: PatchContent, texts: Iterable[PageText], *, is_whole: bool) -> list[tuple[str, str]]:
    """Return what a patch says with its places: the words it changes, or all that the page then says."""
    if not is_whole:
        return [(f"texts.{id_}", said) for id_, said in patch.texts.items()]
    return [(f"texts.{text.id}", patch.texts.get(text.id, text.text)) for text in texts]


def genes_of(patch: PatchContent) -> dict[str, str]:
    """Return its slots under the names of content.genes, so that both kinds of page may compete in one experiment."""
    same = dict.fromkeys(("order", "layout", "palette", "typography"), f"imported page {patch.page}")
    said = {"angle": patch.angle, "headline": patch.headline, "offer": "", "call_to_action": patch.call_to_action}
    return {**said, **same}


def _first(texts: Iterable[PageText], shown: Mapping[str, str], *kinds: str) -> str:
    found = list(texts)
    shown_first = (shown[text.id] for kind in kinds for text in found if text.kind == kind)
    return next(shown_first, "")[:LONGEST_TEXT]
