"""Turn a variant into its texts, each with what the gates say of it, marked in its words; and take one back, changed.

A text is a field of the form that edits the whole page (variants/console), so both know the same places and limits.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms

from variants import review
from variants.console.page_form import PageForm
from variants.console.patch_form import PatchForm
from variants.models import Variant

type Form = PageForm | PatchForm

PLACE_WORDS: Final = {
    "headline": "headline", "subheadline": "text below the headline", "call_to_action": "button", "title": "title",
    "text": "text", "description": "description", "answer": "answer", "question": "question", "note": "small print",
}  # fmt: skip
TOKENS: Final = re.compile(r"\w+|[^\w\s]")
PATCHED: Final = "texts."  # before the id of a text in the findings about an imported page


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a gate found, with the text in which it found it: before, words and after are that text, whole."""

    place: str
    where: str
    words: str
    reason: str
    blocks: bool
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A piece of a text; a bad one is what a gate complains of."""

    words: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text of a variant, to be read and changed in place."""

    place: str
    label: str
    group: str
    text: str
    limit: int | None
    remarks: tuple[Remark, ...]

    @property
    def marks(self) -> tuple[Mark, ...]:
        return tuple(marked(self.text, [remark.words for remark in self.remarks]))

    @property
    def is_blocked(self) -> bool:
        return any(remark.blocks for remark in self.remarks)


def remark_of(finding: Mapping[str, Any], content: Mapping[str, Any]) -> Remark:
    """Return a finding with the text around the words in question."""
    field, words = str(finding.get("field", "")), str(finding.get("words", ""))
    *_, last = field.split(".")
    place = field.removeprefix(PATCHED)
    before, after = _around(_text_at(content, field), words)
    return Remark(
        place=place,
        where=PLACE_WORDS.get(last, ""),
        words=words,
        reason=str(finding.get("reason", "")),
        blocks=bool(finding.get("blocks", True)),
        before=before,
        after=after,
    )


def _text_at(content: Mapping[str, Any], field: str) -> str:
    node: Any = content
    for step in field.split("."):
        if isinstance(node, Mapping) and step in node:
            node = node[step]
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return ""
    return node if isinstance(node, str) else ""


def _around(text: str, words: str) -> tuple[str, str]:
    """Return what stands before and after the words; nothing where they stand otherwise, or are the whole text."""
    found = re.search(_pattern(words), text, re.IGNORECASE) if words.strip() else None
    return (text[: found.start()], text[found.end() :]) if found else ("", "")


def _pattern(words: str) -> str:
    """Return what finds words however they are spaced: gates give them back as they read them."""
    return r"\s*".join(re.escape(token) for token in TOKENS.findall(words))


def marked(text: str, wanted: Sequence[str]) -> Iterator[Mark]:
    """Yield the text in pieces, those that are wanted being bad."""
    patterns = [_pattern(words) for words in sorted({*wanted}, key=len, reverse=True) if words.strip()]
    if not patterns:
        yield Mark(words=text)
        return
    for number, piece in enumerate(re.split(f"({'|'.join(patterns)})", text, flags=re.IGNORECASE)):
        if piece:
            yield Mark(words=piece, is_bad=number % 2 == 1)


# --- all texts of a variant -----------------------------------------------------------------------------------------


def form_of(variant: Variant, posted: Mapping[str, Any] | None = None) -> Form:
    """Return the form that edits the variant."""
    if patch := variant.patch:
        kept = variant.nursery.imported_pages.defer("source").get(pk=patch.page)
        return PatchForm(patch, review.page_texts(kept), posted)
    images = list(variant.nursery.brief.brand.images.values_list("name", flat=True))
    return PageForm(variant.page, images, posted)


def texts_of(variant: Variant, form: Form | None = None) -> list[Text]:
    """Return the texts of a variant in the order in which they are read."""
    remarks = [remark_of(finding, variant.content) for finding in variant.findings]
    return [
        Text(
            place=bound.name,
            label=str(bound.label),
            group=group,
            text=str(bound.initial or ""),
            limit=_limit(bound.field),
            remarks=tuple(remark for remark in remarks if _is_at(remark.place, bound.name)),
        )
        for group, fields in (form or form_of(variant)).groups
        for bound in fields
        if isinstance(bound.field, forms.CharField)
    ]


def _is_at(place: str, name: str) -> bool:
    return place == name or place.startswith(f"{name}.")  # a list of short texts is one field


def _limit(field: forms.Field) -> int | None:
    limit = field.widget.attrs.get("data-limit")
    return int(limit) if limit else None


def text_at(variant: Variant, place: str) -> Text | None:
    return next((text for text in texts_of(variant) if text.place == place), None)


class NotSaid(ValueError):
    """The new text cannot stand there; the message says why in words."""


def changed(variant: Variant, place: str, words: str) -> dict[str, Any]:
    """Return the content in which one text says something else. Raise NotSaid."""
    shown = form_of(variant)
    values = {bound.name: "" if bound.initial is None else bound.initial for bound in shown}
    form = form_of(variant, {**values, place: words})
    if form.is_valid() and form.content is not None:
        return form.content.model_dump(mode="json")
    raise NotSaid(" ".join(dict.fromkeys(str(fault) for faults in form.errors.values() for fault in faults)))
