"""A variant of an imported page as a form: each text that can be changed, with today's words beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from variants.outline import PageText
from variants.patches import BadPatch, PatchContent, limit_of, patch_of

ANGLE: Final = "angle"
LONG_TEXT: Final = 90  # characters; more gets several lines
MOST_FIELDS: Final = 150  # in the order of the groups; more is no form for people
GROUPS: Final = (
    ("Read first", ("headline", "title", "button")),
    ("Texts", ("text", "item")),
    ("In search results and the browser", ("browser title", "description")),
    ("Links and labels", ("link", "label")),
)


class PatchForm(forms.Form):
    """Edits the texts of an imported page. `content` is the outcome."""

    def __init__(self, patch: PatchContent, texts: Sequence[PageText], data: Mapping[str, Any] | None) -> None:
        super().__init__(data)
        self.patch, self.texts = patch, texts
        self.content: PatchContent | None = None
        self.fields[ANGLE] = forms.CharField(
            label="Direction", initial=patch.angle, max_length=120, widget=UnfoldAdminTextInputWidget
        )
        ordered = [text for _, kinds in GROUPS for text in texts if text.kind in kinds]
        self.shown = ordered[:MOST_FIELDS]
        for text in self.shown:
            self.fields[text.id] = _field(text, patch.texts.get(text.id, text.text))

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        members = [(name, [self[text.id] for text in self.shown if text.kind in kinds]) for name, kinds in GROUPS]
        return [("The page", [self[ANGLE]]), *((name, fields) for name, fields in members if fields)]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        # What has no field here keeps the words that it has; an emptied field says today's again.
        said = {**self.patch.texts, **{text.id: values.get(text.id) or text.text for text in self.shown}}
        try:
            self.content = patch_of(self.patch.page, self.texts, said, angle=values.get(ANGLE) or self.patch.angle)
        except BadPatch as error:
            for id_, reason in error.faults.items():
                self.add_error(id_ if id_ in self.fields else None, reason)
        return values


def _field(text: PageText, said: str) -> forms.Field:
    most = limit_of(text)
    limit = {"data-limit": str(most)}
    widget = (
        UnfoldAdminTextareaWidget({**limit, "rows": "2"}) if most > LONG_TEXT else UnfoldAdminTextInputWidget(limit)
    )
    return forms.CharField(
        label=text.kind.capitalize(),
        initial=said,
        required=False,
        widget=widget,
        help_text=f"Today: {text.text}" if said != text.text else "",
    )
