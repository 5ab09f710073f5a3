"""Put two variants side by side: place by place, with the words marked that only one of them says."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.console.differences import Pieces, compare
from variants import review
from variants.console.page_form import slots
from variants.content import CHOICE_WORDS, SECTION_WORDS, SLOT_WORDS, PageContent
from variants.models import Variant
from variants.patches import PatchContent

SECTION: Final = "sections"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One place of both variants; a side that lacks it has no pieces."""

    label: str
    left: Pieces
    right: Pieces
    is_same: bool


def lines(left: Variant, right: Variant) -> list[Line]:
    """Return every place of either variant, in the order in which the left one is read."""
    ours, theirs = _places(left, right), _places(right, left)
    return [_line(label, ours.get(label, ""), theirs.get(label, "")) for label in _in_order(ours, theirs)]


def _line(label: str, left: str, right: str) -> Line:
    ours, theirs = compare(left, right)
    return Line(label=label, left=ours, right=theirs, is_same=left == right)


def _in_order(ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    """Return the labels of both; what only the right one has follows what comes before it there."""
    order, at = list(ours), 0
    for label in theirs:
        if label in order:
            at = order.index(label) + 1
        else:
            order.insert(at, label)
            at += 1
    return order


def _places(variant: Variant, other: Variant) -> Mapping[str, str]:
    """Return what a variant says, by a label that means the same place in the other."""
    content, beside = variant.patch or variant.page, other.patch or other.page
    if isinstance(content, PageContent) and isinstance(beside, PageContent):
        return _of_page(content)
    if isinstance(content, PatchContent) and isinstance(beside, PatchContent) and content.page == beside.page:
        return _of_patch(variant, content)
    # One of our pages beside somebody else's: only the slots that both kinds have can be compared.
    return {SLOT_WORDS[name].capitalize(): said for name, said in variant.genes.items() if name in SLOT_WORDS}


def _of_page(page: PageContent) -> dict[str, str]:
    kinds = [section.kind for section in page.sections]
    nth = [kinds[: place + 1].count(kind) for place, kind in enumerate(kinds)]
    found = {}
    for slot in slots(page):
        value = "\n".join(slot.value) if isinstance(slot.value, list) else slot.value
        if value in (None, "") or isinstance(value, bool):
            continue
        found[f"{_heading(slot.place, kinds, nth)}{slot.label}"] = (
            CHOICE_WORDS.get(value, value.capitalize()) if slot.choices else value
        )
    return found


def _heading(place: str, kinds: Sequence[str], nth: Sequence[int]) -> str:
    first, _, rest = place.partition(".")
    if first != SECTION:
        return ""
    at = int(rest.partition(".")[0])
    again = f" {nth[at]}" if nth[at] > 1 else ""
    return f"{SECTION_WORDS[kinds[at]]}{again} · "


def _of_patch(variant: Variant, patch: PatchContent) -> dict[str, str]:
    page = variant.nursery.imported_pages.defer("source").get(pk=patch.page)
    seen: Counter[str] = Counter()
    found = {"Direction": patch.angle}
    for text in review.page_texts(page):
        seen[text.kind] += 1
        found[f"{text.kind.capitalize()} {seen[text.kind]}"] = patch.texts.get(text.id, text.text)
    return found
