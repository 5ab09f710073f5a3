"""The first of the five steps as a form: the brief, in groups a marketer knows, and a brand if there is none yet.

What is typed is kept as it is, sense or not (models.BriefDraft), whenever typing pauses. Only what makes sense becomes
a brief.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django import forms
from django.http import QueryDict
from pydantic import TypeAdapter, ValidationError

from variants.console.brief_form import BriefForm
from variants.models import Brand, Brief
from variants.text import Link

LONGEST_KEPT: Final = 20_000  # characters of one field; a brief's longest list has a fifth of that
PAGE: Final = "page_url"  # in a draft's values: the page that is to be brought in once there is an experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Fields that are shown under one heading."""

    title: str
    text: str
    names: tuple[str, ...]
    is_folded: bool = False


GROUPS: Final = (
    Group(title="What is it about?", text="", names=("name", "brand", "new_brand", "privacy_url")),
    Group(
        title="What you offer",
        text="As you would tell a friend. Every variant is written from this.",
        names=("product", "audience", "offer"),
    ),
    Group(
        title="Facts that pages may use",
        text="The most important part. A number, a price or a promise that is not in this list cannot appear on a "
        "page, so nothing has to be taken back later. Five to ten good facts make better pages than any adjective.",
        names=("facts",),
    ),
    Group(
        title="What visitors are asked to do",
        text="",
        names=("call_to_action_label", "call_to_action_kind", "call_to_action_url", "form_fields", "thank_you",
               "secondary_label", "secondary_url"),
    ),
    Group(
        title="Tone, and words to use or avoid",
        text="You may leave all of this as it is.",
        names=("tone", "language", "angles", "must_say", "never_say"),
        is_folded=True,
    ),
)  # fmt: skip
EXAMPLES: Final = {
    "name": "Spring offer",
    "product": "Bicycle repair at your door. A mechanic comes to you and repairs your bicycle on the spot.",
    "audience": "Commuters who need their bicycle tomorrow and have no time to carry it to a shop.",
    "offer": "A free check of your bicycle with every repair.",
    "facts": "A mechanic comes to you within 48 hours.\nRepairs start at 29 euros. -- price list, May\n"
    "Rated 4.8 by 2,300 customers. -- Trustpilot",
    "call_to_action_label": "Book a repair",
    "angles": "Your bicycle is ready tomorrow\nNo carrying it to the shop",
    "must_say": "Prices include VAT.",
    "never_say": "cheapest",
    "secondary_label": "See how it works",
}
# How brief.js shows a text area as a list: what one entry consists of.
LISTS: Final = {"facts": "facts", "angles": "lines", "must_say": "lines", "never_say": "lines", "form_fields": "fields"}


class BriefStepForm(BriefForm):
    """BriefForm, in which a brand may be named instead of chosen."""

    new_brand = forms.CharField(
        max_length=80,
        required=False,
        label="Your brand",
        help_text="Who speaks on the pages. Colours and a logo can follow later, under Brands.",
    )
    privacy_url = forms.CharField(
        max_length=200,
        required=False,
        label="Your privacy policy",
        help_text="Its address. Pages with a form link to it.",
        widget=forms.URLInput({"placeholder": "https://"}),
    )

    class Meta(BriefForm.Meta):
        labels: ClassVar = {
            **BriefForm.Meta.labels,
            "name": "Name", "product": "Product", "audience": "For whom", "offer": "What they get",
        }  # fmt: skip
        help_texts: ClassVar = {
            **BriefForm.Meta.help_texts,
            "name": "For you and your colleagues; visitors never see it.",
            "product": "What it is, in plain words.",
            "audience": "Who should read the page, and what they worry about.",
            "offer": "What a visitor gets for doing what you ask.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.has_brands = Brand.objects.exists()
        self.fields["brand"].required = False
        if self.has_brands:
            self.fields["new_brand"].label = "Or a new brand"
        self.fields["brand"].help_text = self.fields["facts"].help_text = ""  # the group says it
        self.fields["form_fields"].help_text = "If there is nothing here, it asks for the e-mail address alone."
        for name, field in self.fields.items():
            _dress(name, field)

    @property
    def groups(self) -> Iterator[tuple[Group, list[forms.BoundField]]]:
        left_out = {"privacy_url"} if self.has_brands else {"brand"}
        for group in GROUPS:
            yield group, [self[name] for name in group.names if name not in left_out]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.has_brands and values.get("new_brand"):
            values["brand"] = None  # whoever names a new brand wants it, whatever stands chosen above
            self.keep_four_eyes(values)
        elif not values.get("brand") and not values.get("new_brand"):
            self.add_error("brand" if self.has_brands else "new_brand", "Say whose page it is.")
        if values.get("privacy_url"):
            try:
                TypeAdapter(Link).validate_python(values["privacy_url"])
            except ValidationError:
                self.add_error("privacy_url", "Write the whole address, such as https://example.com/privacy.")
        return values

    def saved(self, *, by: Any) -> Brief:
        """Return the brief, saved, with its brand. Call it on a valid form only."""
        brief = self.save(commit=False)
        if self.spec is not None:
            brief.take(self.spec)
        if self.cleaned_data["brand"] is None:
            brief.brand = Brand.objects.create(
                name=self.cleaned_data["new_brand"], privacy_url=self.cleaned_data["privacy_url"]
            )
        if brief.pk is None:
            brief.created_by = by
        brief.save()
        return brief


def _dress(name: str, field: forms.Field) -> None:
    widget = field.widget
    kept = {key: value for key, value in widget.attrs.items() if key not in {"class", "cols"}}
    widget.attrs = {**kept, "class": "gh-input"}
    if isinstance(widget, forms.Textarea):
        widget.attrs["rows"] = 3
    if example := EXAMPLES.get(name):
        widget.attrs["placeholder"] = example
    if kind := LISTS.get(name):
        widget.attrs |= {"data-list": kind, "rows": 5}


def kept_values(sent: QueryDict) -> dict[str, str]:
    """Return what a form sent, field by field, cut to what can be kept."""
    # No database keeps NUL in a text.
    return {
        name: sent.get(name, "").replace("\0", "")[:LONGEST_KEPT] for name in BriefStepForm.base_fields if name in sent
    }


def form_with(values: Mapping[str, str], *, brief: Brief | None, checked: bool) -> BriefStepForm:
    """Return the form that holds `values`; complaints are shown only where it is `checked`."""
    if checked:
        return BriefStepForm(dict(values), instance=brief or Brief())
    brands = list(Brand.objects.values_list("pk", flat=True)[:2]) if brief is None else []
    # With several brands nobody can know whose page it is; with one it is that one's, or a new one's.
    only = {"brand": brands[0]} if len(brands) == 1 else {}
    return BriefStepForm(initial={**only, **values}, instance=brief or Brief())
