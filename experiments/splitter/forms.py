"""Turn a posted form into a lead's fields or into messages, and a form page into one that shows what was wrong.

A form page is stored with named places in it, each delimited by NUL bytes, which no content can hold. It is cut into
pieces once, when its snapshot is loaded; filling it is then joining bytes, and needs no template engine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl

Kind = Literal["email", "text", "tel", "textarea", "select", "checkbox"]

DEFAULT_MAX_LENGTH = 1000  # characters of a field whose definition says nothing
MAX_POSTED_FIELDS = 200
CHECKED = "yes"  # what a ticked box is stored as, whatever value the browser sent

# Shape only: the addresses that HTML's own e-mail input accepts, and a dot in the domain.
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(\.[\w-]+)+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# A snapshot may bring these in the language of its pages.
MESSAGES = {
    "required": "Please fill in this field.",
    "too_long": "Please use at most {max_length} characters.",
    "email": "Please enter an e-mail address such as name@example.com.",
    "option": "Please choose one of the options.",
    "not_sent": "Your form was not sent, because of a fault on our side. Please try again in a moment.",
    "invalid": "Your form was not sent. Please look at the fields marked below.",
}


class NotAForm(ValueError):
    """The body of a request is not an urlencoded form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a form."""

    name: str
    kind: Kind
    required: bool = False
    max_length: int = DEFAULT_MAX_LENGTH
    options: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        """Give what is kept of the text a visitor sent."""
        if self.kind == "checkbox":
            return CHECKED if text else ""
        unified = text.replace("\r\n", "\n").replace("\r", "\n")
        if self.kind != "textarea":
            unified = unified.replace("\n", " ").replace("\t", " ")
        return _CONTROLS.sub("", unified).strip()

    def fault(self, value: str) -> str:
        """Give the key of the message about a cleaned value, or the empty text when nothing is wrong with it."""
        if not value:
            return "required" if self.required else ""
        if self.kind == "select":
            return "" if value in self.options else "option"
        if len(value) > self.max_length:
            return "too_long"
        return "email" if self.kind == "email" and not _EMAIL.fullmatch(value) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """An experiment's form: its fields, and the goals that sending it reaches."""

    goals: tuple[str, ...]
    fields: tuple[Field, ...]
    messages: Mapping[str, str] = field(default_factory=lambda: dict(MESSAGES))

    def check(self, posted: Mapping[str, str]) -> "Submission":
        """Judge what a visitor sent; fields nobody asked for are dropped."""
        values = {each.name: each.clean(posted.get(each.name, "")) for each in self.fields}
        faults = {each.name: each.fault(values[each.name]) for each in self.fields}
        errors = {
            each.name: self.messages[faults[each.name]].replace("{max_length}", str(each.max_length))
            for each in self.fields
            if faults[each.name]
        }
        return Submission(form=self, values=values, errors=errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a visitor sent, cleaned, and what is wrong with it."""

    form: Form
    values: Mapping[str, str]
    errors: Mapping[str, str]

    def places(self, form_error: str) -> dict[str, bytes]:
        """Give what belongs in each named place of the form page; a place without an entry stays empty."""
        filled = {"form_error": _escaped(form_error)}
        for each in self.form.fields:
            value = self.values[each.name]
            filled[f"value:{each.name}"] = _escaped(value)
            filled[f"error:{each.name}"] = _escaped(self.errors.get(each.name, ""))
            if each.kind == "checkbox" and value:
                filled[f"checked:{each.name}"] = b" checked"
            if each.kind == "select" and value in each.options:
                filled[f"selected:{each.name}:{each.options.index(value)}"] = b" selected"
        return filled


@dataclass(frozen=True, slots=True)
class FormPage:
    """A form page cut at its places: literal, place name, literal, …, literal."""

    literals: tuple[bytes, ...]
    places: tuple[str, ...]

    def filled(self, values: Mapping[str, bytes]) -> bytes:
        """Give the page with its places filled."""
        parts = [self.literals[0]]
        for place, literal in zip(self.places, self.literals[1:], strict=True):
            parts += (values.get(place, b""), literal)
        return b"".join(parts)


def form_page_of(page: bytes) -> FormPage:
    """Cut a form page at its NUL bytes, or raise ValueError when a place is not closed."""
    pieces = page.split(b"\0")
    if len(pieces) % 2 == 0:
        raise ValueError("a place in the form page is not closed")
    return FormPage(tuple(pieces[0::2]), tuple(name.decode() for name in pieces[1::2]))


def form_of(document: Mapping[str, Any]) -> Form:
    """Read the form of a snapshot, or raise ValueError, KeyError or TypeError."""
    return Form(
        goals=tuple(str(goal) for goal in document["goals"]),
        fields=tuple(_field_of(each) for each in document["fields"]),
        messages=MESSAGES | {str(key): str(text) for key, text in (document.get("messages") or {}).items()},
    )


def posted_fields(body: bytes) -> dict[str, str]:
    """Read an urlencoded body; of a repeated name the last value counts. Bytes that are no UTF-8 become U+FFFD."""
    text = body.decode("utf-8", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_POSTED_FIELDS)
    except ValueError as error:
        raise NotAForm(str(error)) from error
    return dict(pairs)


def _field_of(document: Mapping[str, Any]) -> Field:
    if document["kind"] not in get_args(Kind):
        raise ValueError(f"unknown kind of field: {document['kind']!r}")
    return Field(
        name=str(document["name"]),
        kind=cast("Kind", document["kind"]),
        required=bool(document.get("required", False)),
        max_length=int(document.get("max_length") or DEFAULT_MAX_LENGTH),
        options=_texts(document.get("options") or ()),
    )


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _escaped(text: str) -> bytes:
    return escape(text).encode("utf-8", "replace")
