"""What a marketer asks for, as data: the one place where a brief is validated, whoever typed it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from variants.text import Language, Line, Link, Paragraph


class BriefPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(BriefPart):
    """Something true that pages may say, and where it stands."""

    text: Line = Field(max_length=400)
    source: Line = Field(default="from the brief", max_length=400)


def _as_fact(value: object) -> object:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict | Fact):
        raise ValueError("a fact is a text, or an object with text and source")  # noqa: TRY004 - pydantic's protocol
    return value


class ActionLink(BriefPart):
    label: Line = Field(max_length=40)
    url: Link


class CallToActionSpec(BriefPart):
    """What a visitor is asked to do: fill in the page's form, or follow a link."""

    label: Line = Field(max_length=40)
    kind: Literal["form", "link"] = "form"
    url: Link | None = None

    @model_validator(mode="after")
    def _link_has_an_address(self) -> Self:
        if self.kind == "link" and self.url is None:
            raise ValueError("url: say where the link goes, or choose kind form")
        return self


class FormField(BriefPart):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    label: Line = Field(max_length=80)
    kind: Literal["email", "text", "tel", "textarea", "select", "checkbox"] = "text"
    is_required: bool = True
    max_length: int = Field(default=200, ge=1, le=4000)
    options: list[Annotated[Line, Field(max_length=80)]] = Field(default_factory=list, max_length=20)

    @model_validator(mode="after")
    def _select_has_options(self) -> Self:
        if self.kind == "select" and not self.options:
            raise ValueError("options: a select field needs at least one")
        return self


EMAIL_FIELD = FormField(name="email", label="E-mail address", kind="email", max_length=254)

Words = Annotated[Line, Field(max_length=200)]


class BriefSpec(BriefPart):
    """A brief, whole and valid."""

    name: Line = Field(max_length=120)
    product: Paragraph = Field(max_length=2000)
    audience: Paragraph = Field(max_length=1000)
    offer: Paragraph = Field(max_length=1000)
    facts: list[Annotated[Fact, BeforeValidator(_as_fact)]] = Field(default_factory=list, max_length=100)
    angles: list[Annotated[Line, Field(max_length=120)]] = Field(default_factory=list, max_length=50)
    must_say: list[Words] = Field(default_factory=list, max_length=50)
    never_say: list[Words] = Field(default_factory=list, max_length=200)
    tone: Line = Field(default="clear and friendly", max_length=200)
    language: Language = "en"
    call_to_action: CallToActionSpec
    secondary_link: ActionLink | None = None
    form_fields: list[FormField] = Field(default_factory=lambda: [EMAIL_FIELD], max_length=12)
    thank_you: Paragraph = Field(default="Thank you. We will be in touch shortly.", max_length=600)

    @model_validator(mode="after")
    def _field_names_differ(self) -> Self:
        names = [field.name for field in self.form_fields]
        if len(names) != len(set(names)):
            raise ValueError("form_fields: give every field a name of its own")
        if self.call_to_action.kind == "form" and not names:
            raise ValueError("form_fields: a form needs at least one field")
        return self
