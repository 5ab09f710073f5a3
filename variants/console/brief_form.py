"""The brief as a form without any notation to learn: one thing per line.

Lists are text areas with an entry a line; a fact may be followed by its source after a dash; a field of the page's
form by its kind. BriefSpec decides what is valid: this module only translates, both ways.
"""

import re
from typing import Any, ClassVar

from django import forms
from django.urls import reverse
from django.utils.html import format_html
from pydantic import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from variants.brief import EMAIL_FIELD, BriefSpec
from variants.console.complaints import Complaint, complaints
from variants.models import Brand, Brief

# Not the shorter dash: writers use that within sentences, and half a fact would become its source.
SOURCE_DASH = re.compile(r"\s+(?:—|--)\s+")
KINDS = {
    "email": "e-mail", "text": "text", "tel": "phone", "textarea": "long text", "select": "choice",
    "checkbox": "tick box",
}  # fmt: skip
KIND_OF_WORD = {word: kind for kind, word in KINDS.items()} | {kind: kind for kind in KINDS}
LIMITS = {"email": 254, "textarea": 2000}  # characters; RFC 5321 section 4.5.3.1.3 for addresses
USUAL_LIMIT = 200
OPTIONAL_WORDS = frozenset({"optional", "not required"})
LONGEST_NAME = 40
WAITS = "Pages that are live stay as they are until somebody puts the change there, on the experiment’s own page."
# Where BriefSpec's names differ from the form's.
PLACES = {
    ("call_to_action", "label"): "call_to_action_label",
    ("call_to_action", "kind"): "call_to_action_kind",
    ("call_to_action", "url"): "call_to_action_url",
    ("secondary_link", "label"): "secondary_label",
    ("secondary_link", "url"): "secondary_url",
    ("call_to_action",): "call_to_action_url",
}


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    def __init__(self, *, rows: int = 4, placeholder: str = "", **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget({"rows": rows, "placeholder": placeholder})
        super().__init__(widget=widget, required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(self.line(entry) for entry in value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether other lines stand there: a history that names fields nobody touched alarms people."""
        return _lines(self.prepare_value(initial)) != _lines(data)

    def clean(self, value: Any) -> Any:
        return [self.entry(line) for line in _lines(value)]

    def line(self, entry: Any) -> str:
        return str(entry)

    def entry(self, line: str) -> Any:
        return line


def _lines(value: Any) -> list[str]:
    return [line.strip() for line in str(value or "").splitlines() if line.strip()]


class FactsField(LinesField):
    """Facts, one a line, each with its source after a dash if there is one."""

    def line(self, entry: Any) -> str:
        if isinstance(entry, str):
            return entry
        source = entry.get("source", "")
        return str(entry["text"]) if source in {"", "from the brief"} else f"{entry['text']} -- {source}"

    def entry(self, line: str) -> Any:
        *before, source = SOURCE_DASH.split(line)
        return {"text": line[: -len(source)].rstrip(" —-"), "source": source} if before else {"text": line}


class FormFieldsField(LinesField):
    """The fields of the page's form: "Company | text | optional"."""

    def line(self, entry: Any) -> str:
        parts = [entry["label"], KINDS[entry["kind"]], "required" if entry["is_required"] else "optional"]
        return " | ".join([*parts, *([", ".join(entry["options"])] if entry.get("options") else [])])

    def entry(self, line: str) -> Any:
        label, *rest = [part.strip() for part in line.split("|")]
        kind_word = rest[0].lower() if rest else ""
        kind = KIND_OF_WORD.get(kind_word) if kind_word else _likely_kind(label)
        if kind is None:
            words = ", ".join(KINDS.values())
            raise forms.ValidationError(f"“{label}”: “{kind_word}” is not a kind of field. Write one of: {words}.")
        options = [option.strip() for option in "|".join(rest[2:]).split(",") if option.strip()]
        return {
            "name": EMAIL_FIELD.name if kind == "email" else field_name(label),
            "label": label,
            "kind": kind,
            "is_required": not (len(rest) > 1 and rest[1].lower() in OPTIONAL_WORDS),
            "max_length": LIMITS.get(kind, USUAL_LIMIT),
            "options": options,
        }


def _likely_kind(label: str) -> str:
    lowered = label.lower()
    if "mail" in lowered:
        return "email"
    return "tel" if "phone" in lowered else "text"


def field_name(label: str) -> str:
    """Return what leads call a field with this label: "Your company" is your_company."""
    letters = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return (letters if letters[:1].isalpha() else f"field_{letters}".strip("_"))[:LONGEST_NAME].rstrip("_")


class BriefForm(forms.ModelForm[Brief]):
    facts = FactsField(
        rows=6,
        label="Facts",
        help_text="Everything pages may claim, one fact a line. A number, price or promise that is not here "
        "cannot appear on a page. Add where it comes from after two hyphens: "
        "<em>Rated 4.8 by 2,300 customers -- Trustpilot, May 2026</em>.",
    )
    angles = LinesField(
        label="Directions",
        help_text="Promises a page could lead with, one a line. Pages take them in turn. "
        "Leave it empty and Greenhouse finds its own.",
    )
    must_say = LinesField(rows=2, label="Must say", help_text="Words that have to stand on every page, one a line.")
    never_say = LinesField(rows=2, label="Never say", help_text="Words no page may use, one a line.")
    secondary_label = forms.CharField(
        max_length=40,
        required=False,
        label="Second link",
        widget=UnfoldAdminTextInputWidget,
        help_text="Optional: a quieter link beside the button, such as <em>See how it works</em>.",
    )
    secondary_url = forms.CharField(
        max_length=2000,
        required=False,
        label="Its address",
        widget=UnfoldAdminTextInputWidget({"placeholder": "https://"}),
    )
    form_fields = FormFieldsField(
        rows=3,
        label="Fields of the form",
        placeholder="E-mail address | e-mail | required",
        help_text="What the form asks for, one field a line: its label, its kind (e-mail, text, phone, long text, "
        "choice, tick box) and whether it is required or optional, with <strong>|</strong> between them. A choice "
        "lists its options last: <em>Team size | choice | optional | 1–10, 11–50, more</em>. "
        "Leave it empty to ask for the e-mail address only.",
    )

    class Meta:
        model = Brief
        fields = (
            "brand", "name", "product", "audience", "offer", "facts", "angles", "must_say", "never_say", "tone",
            "language", "call_to_action_label", "call_to_action_kind", "call_to_action_url", "form_fields", "thank_you",
        )  # fmt: skip
        labels: ClassVar = {
            "name": "Name of this brief",
            "call_to_action_label": "Words on the button",
            "call_to_action_kind": "Pressing it lets people",
            "call_to_action_url": "Where the link goes",
            "thank_you": "Thank-you text",
        }
        help_texts: ClassVar = {
            "name": "For you and your colleagues; visitors never see it.",
            "tone": "How the pages should sound, in a few words.",
            "language": "The language pages are written in, as a code: en, de, fr, pt-BR …",
            "call_to_action_label": "Such as <em>Start my free trial</em>. Pages may word it a little differently.",
            "call_to_action_url": "Only for a link: the page that follows, such as your shop or sign-up.",
            "thank_you": "What people read after they sent the form. The first sentence becomes the headline.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        link = self.instance.secondary_link or {}
        self.fields["secondary_label"].initial = link.get("label", "")
        self.fields["secondary_url"].initial = link.get("url", "")
        self.spec: BriefSpec | None = None
        if not Brand.objects.exists():
            self.fields["brand"].help_text = format_html(
                'There is no brand yet. <a href="{}">Add a brand</a> first.', reverse("admin:variants_brand_add")
            )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        self._keep_field_names(values)
        self.keep_four_eyes(values)
        if values.get("call_to_action_kind") == Brief.CallToActionKind.LINK and not values.get("call_to_action_url"):
            self.add_error("call_to_action_url", self._no_address())
        draft = Brief()
        for name in self.Meta.fields:
            if name in values:
                setattr(draft, name, values[name])
        if values.get("secondary_label") or values.get("secondary_url"):
            draft.secondary_link = {"label": values.get("secondary_label"), "url": values.get("secondary_url") or ""}
        try:
            self.spec = draft.spec()
        except ValidationError as error:
            for complaint in complaints(error):
                self._complain(complaint)
        return values

    def _no_address(self) -> str:
        form, kind = Brief.CallToActionKind.FORM.label, self.fields["call_to_action_kind"].label
        return f"Say where the link goes, such as https://example.com/, or choose “{form}” under “{kind}”."

    def keep_four_eyes(self, values: dict[str, Any]) -> None:
        """Refuse to move a brief from or to a brand that asks for four eyes: its pages passed, or would pass, two."""
        brand = values.get("brand")
        if not self.instance.pk or "brand" in self.errors or brand == self.instance.brand:
            return
        strict = next((one for one in (self.instance.brand, brand) if one and one.asks_four_eyes), None)
        if strict is not None:
            told = f"“{strict}” asks for four eyes, so a brief does not change to or from it. Begin a new one instead."
            self.add_error("brand", told)

    def _keep_field_names(self, values: dict[str, Any]) -> None:
        """Let a field keep the name leads already know it by, as long as its label stays."""
        known = {field["label"]: field["name"] for field in self.instance.form_fields or []}
        taken: set[str] = set()
        for field in values.get("form_fields", []):
            name = known.get(field["label"], field["name"])
            # Two e-mail addresses on one form: the second is named by its label.
            field["name"] = field_name(field["label"]) if name in taken else name
            taken.add(field["name"])

    def _complain(self, complaint: Complaint) -> None:
        place = complaint.place
        words = tuple(str(part) for part in place)
        name = PLACES.get(words[:2]) or PLACES.get(words[:1]) or words[0]
        if name not in self.fields:
            self.add_error(None, complaint.reason)
        elif name not in self.errors:
            is_entry = len(place) > 1 and isinstance(place[1], int)
            self.add_error(name, f"Line {int(place[1]) + 1}: {complaint.reason}" if is_entry else complaint.reason)
