"""A page's content as a form: a field for every text and choice, grouped by section, made from PageContent itself.

Field names are places in the content ("sections.0.headline"), so an error of pydantic's finds its field by its `loc`,
and a new kind of section needs no new form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, cast, get_args, get_origin

from annotated_types import MaxLen
from django import forms
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from variants.console.complaints import Complaint, complaints
from variants.content import CHOICE_WORDS, SECTION_WORDS, SLOT_WORDS, PageContent

KIND_POSITION = 2  # in pydantic's place of a fault, such as ("sections", 0, "hero", "headline")
LONG_TEXT = 90  # characters; a longer text gets more than one line to type in
LABELS = {
    **{slot: words.capitalize() for slot, words in SLOT_WORDS.items()},
    "subheadline": SLOT_WORDS["offer"].capitalize(),
    "submit": SLOT_WORDS["call_to_action"].capitalize(),
    "eyebrow": "Line above the headline", "note": "Small print", "image": "Picture", "is_highlighted": "Stands out",
    "title": "Title", "source": "Who said it",
}  # fmt: skip
PLACES = {"meta.title": "Title in the browser tab", "meta.description": "Description in search results"}
ITEMS = {"items": "Item", "steps": "Step", "figures": "Figure", "quotes": "Quote", "plans": "Plan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One value of the content, and what may stand in it."""

    place: str  # such as "sections.0.headline"
    group: str
    label: str
    info: FieldInfo
    value: Any

    @property
    def choices(self) -> Sequence[str]:
        kind = self.info.annotation
        return get_args(kind) if get_origin(kind) is Literal else ()

    @property
    def longest(self) -> int | None:
        return next((found.max_length for found in self.info.metadata if isinstance(found, MaxLen)), None)


def slots(content: PageContent) -> Iterator[Slot]:
    """Yield every slot of a page, in the order in which they are read."""
    yield from _slots(content, "", "The page", "")


def _slots(part: BaseModel, prefix: str, group: str, item: str) -> Iterator[Slot]:
    for name, info in type(part).model_fields.items():
        value, place = getattr(part, name), f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from _slots(value, f"{place}.", "Look" if name == "theme" else group, "")
        elif isinstance(value, list) and all(isinstance(each, BaseModel) for each in value):
            yield from _slots_of_items(name, value, place, group)
        elif name != "kind":
            label = PLACES.get(place) or LABELS.get(name) or name.replace("_", " ").capitalize()
            yield Slot(place=place, group=group, label=f"{item}{label}", info=info, value=value)


def _slots_of_items(name: str, items: list[BaseModel], place: str, group: str) -> Iterator[Slot]:
    for index, item in enumerate(items):
        is_section = name == "sections"
        heading = f"{index + 1}. {SECTION_WORDS[getattr(item, 'kind', '')]}" if is_section else group
        yield from _slots(item, f"{place}.{index}.", heading, "" if is_section else f"{ITEMS[name]} {index + 1}: ")


class PageForm(forms.Form):
    """Edits the values of a page; which sections it has stays as it is. `content` is the outcome."""

    def __init__(self, page: PageContent, images: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.page = page
        self.content: PageContent | None = None
        self.slots = list(slots(page))
        for slot in self.slots:
            self.fields[slot.place] = _field(slot, images)

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields by section, in order."""
        return [
            (name, [self[slot.place] for slot in members])
            for name, members in groupby(self.slots, key=lambda slot: slot.group)
        ]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        document = self.page.model_dump(mode="json")
        for slot in self.slots:
            _put(document, slot.place, values.get(slot.place))
        try:
            self.content = PageContent.model_validate(document)
        except ValidationError as error:
            for complaint in complaints(error):
                self.complain(complaint)
        return values

    def complain(self, complaint: Complaint) -> None:
        """Show a fault beside its field; what has no field is shown above the form."""
        name = field_of(complaint.place, self.fields)
        if name is None or name not in self.errors:
            self.add_error(name, complaint.reason)


def field_of(place: Sequence[str | int], names: Any) -> str | None:
    """Return the field for a place in the content. pydantic adds a section's kind to it; a list is one field."""
    parts = [str(part) for part in place]
    if parts[0:1] == ["sections"]:
        del parts[KIND_POSITION : KIND_POSITION + 1]
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in names:
            return name
    return None


def _field(slot: Slot, images: Sequence[str]) -> forms.Field:
    if slot.choices:
        choices = [(choice, CHOICE_WORDS.get(choice, choice.capitalize())) for choice in slot.choices]
        return forms.ChoiceField(label=slot.label, initial=slot.value, choices=choices, widget=UnfoldAdminSelectWidget)
    if isinstance(slot.value, bool):
        return forms.BooleanField(label=slot.label, initial=slot.value, required=False, widget=UnfoldBooleanWidget)
    if slot.place.endswith(".image"):
        return _image_field(slot, images)
    return _text_field(slot)


def _image_field(slot: Slot, images: Sequence[str]) -> forms.Field:
    choices = [("", "A drawing of its own"), *((name, name) for name in images)]
    if slot.value and slot.value not in images:
        choices.append((slot.value, f"{slot.value} (missing from the brand’s pictures)"))
    return forms.ChoiceField(
        label=slot.label, initial=slot.value, choices=choices, required=False, widget=UnfoldAdminSelectWidget
    )


def _text_field(slot: Slot) -> forms.Field:
    is_list = isinstance(slot.value, list)
    is_long = is_list or (slot.longest or 0) > LONG_TEXT
    # The browser must not cut what is too long: people see by how much, and cut it themselves.
    limit = {"data-limit": str(slot.longest)} if slot.longest and not is_list else {}
    rows = {"rows": str(max(2, len(slot.value)) if is_list else 2)}
    widget = UnfoldAdminTextareaWidget({**limit, **rows}) if is_long else UnfoldAdminTextInputWidget(limit)
    return forms.CharField(
        label=slot.label,
        initial="\n".join(slot.value) if is_list else slot.value,
        required=slot.info.is_required(),
        strip=True,
        widget=widget,
        help_text="One a line." if is_list else "",
    )


def _put(document: dict[str, Any], place: str, value: Any) -> None:
    *way, last = place.split(".")
    node: Any = document
    for step in way:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if isinstance(node[last], list):
        value = [line.strip() for line in cast("str", value or "").splitlines() if line.strip()]
    node[last] = None if value == "" else value
