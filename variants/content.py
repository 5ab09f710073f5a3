"""The genome of a page: typed sections, copy and theme, each within limits.

`PageContent` is everything a variant may say. It holds no markup and no addresses: where a link goes is the brief's
business, how a section looks the renderer's. A slot that may vary is a gene; `genes` lists them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from variants.text import Line, Paragraph

Layout = Literal["split", "spotlight", "editorial", "ledger"]
Palette = Literal["brand", "ink", "forest", "dusk", "clay", "ocean"]
Typography = Literal["grotesk", "serif", "humanist", "mono"]
Icon = Literal[
    "bolt", "shield", "clock", "chart", "heart", "globe", "lock", "search", "spark", "tag", "tools", "users",
]  # fmt: skip


class Part(BaseModel):
    """A piece of content: unknown keys are refused, so a typing error is never silently dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Meta(Part):
    title: Line = Field(max_length=70, description="The page's title in a browser tab and in search results")
    description: Line = Field(max_length=160, description="One sentence for search results and shared links")


class Theme(Part):
    layout: Layout = "split"
    palette: Palette = "brand"
    typography: Typography = "grotesk"


class Hero(Part):
    kind: Literal["hero"] = "hero"
    eyebrow: Line | None = Field(default=None, max_length=60, description="A few words above the headline")
    headline: Line = Field(max_length=90)
    subheadline: Line = Field(max_length=240)
    call_to_action: Line = Field(max_length=40, description="The main button")
    note: Line | None = Field(default=None, max_length=120, description="Small print under the button")
    image: Line | None = Field(default=None, max_length=60, description="The name of one of the brand's images")


class Benefit(Part):
    icon: Icon = "spark"
    title: Line = Field(max_length=60)
    text: Line = Field(max_length=240)


class Benefits(Part):
    kind: Literal["benefits"] = "benefits"
    title: Line = Field(max_length=90)
    items: list[Benefit] = Field(min_length=2, max_length=6)


class Step(Part):
    title: Line = Field(max_length=60)
    text: Line = Field(max_length=240)


class HowItWorks(Part):
    kind: Literal["how_it_works"] = "how_it_works"
    title: Line = Field(max_length=90)
    steps: list[Step] = Field(min_length=2, max_length=5)


class Quote(Part):
    text: Line = Field(max_length=300)
    source: Line = Field(max_length=90, description="Who said it")


class Figure(Part):
    value: Line = Field(max_length=24, description="The number, with its unit")
    label: Line = Field(max_length=90)


class Proof(Part):
    kind: Literal["proof"] = "proof"
    title: Line = Field(max_length=90)
    figures: list[Figure] = Field(default_factory=list, max_length=4)
    quotes: list[Quote] = Field(default_factory=list, max_length=3)

    @model_validator(mode="after")
    def _not_empty(self) -> "Proof":
        if not self.figures and not self.quotes:
            raise ValueError("a proof section needs at least one figure or one quote")
        return self


class Plan(Part):
    name: Line = Field(max_length=40)
    price: Line = Field(max_length=24)
    period: Line | None = Field(default=None, max_length=24)
    features: list[Annotated[Line, Field(max_length=90)]] = Field(min_length=1, max_length=8)
    is_highlighted: bool = False


class Pricing(Part):
    kind: Literal["pricing"] = "pricing"
    title: Line = Field(max_length=90)
    plans: list[Plan] = Field(min_length=1, max_length=3)
    note: Line | None = Field(default=None, max_length=160)


class Question(Part):
    question: Line = Field(max_length=140)
    answer: Paragraph = Field(max_length=600)


class FAQ(Part):
    kind: Literal["faq"] = "faq"
    title: Line = Field(max_length=90)
    items: list[Question] = Field(min_length=1, max_length=8)


class FormSection(Part):
    """The words around the form; its fields are the brief's."""

    kind: Literal["form"] = "form"
    title: Line = Field(max_length=90)
    text: Line | None = Field(default=None, max_length=240)
    submit: Line = Field(max_length=40, description="The form's button")
    note: Line | None = Field(default=None, max_length=160, description="Small print under the form")


class CallToAction(Part):
    kind: Literal["call_to_action"] = "call_to_action"
    title: Line = Field(max_length=90)
    text: Line | None = Field(default=None, max_length=240)
    call_to_action: Line = Field(max_length=40)


Section = Annotated[
    Hero | Benefits | HowItWorks | Proof | Pricing | FAQ | FormSection | CallToAction, Field(discriminator="kind")
]


class PageContent(Part):
    """One page, whole."""

    angle: Line = Field(max_length=120, description="The direction this page takes: the promise it leads with")
    meta: Meta
    theme: Theme = Theme()
    sections: list[Section] = Field(min_length=1, max_length=12)

    @model_validator(mode="after")
    def _opens_with_its_only_hero(self) -> "PageContent":
        kinds = [section.kind for section in self.sections]
        if kinds[0] != "hero" or kinds.count("hero") != 1:
            raise ValueError("sections: start with one hero section, and have no other")
        if kinds.count("form") > 1:
            raise ValueError("sections: have at most one form section")
        return self

    @property
    def hero(self) -> Hero:
        first = self.sections[0]
        if not isinstance(first, Hero):  # unreachable after validation; tells the type checker so
            raise TypeError(f"the first section is a {first.kind}, not a hero")
        return first

    @property
    def headline(self) -> str:
        return self.hero.headline

    @property
    def form(self) -> FormSection | None:
        return next((section for section in self.sections if isinstance(section, FormSection)), None)


# What people call genes and what these hold, on every screen.
SLOT_WORDS: Final[Mapping[str, str]] = {
    "angle": "direction", "headline": "headline", "offer": "text below the headline", "call_to_action": "button",
    "order": "sections and their order", "layout": "layout", "palette": "colours", "typography": "lettering",
}  # fmt: skip
SECTION_WORDS: Final[Mapping[str, str]] = {
    "hero": "Top of the page", "benefits": "Benefits", "how_it_works": "How it works", "proof": "Proof",
    "pricing": "Prices", "faq": "Questions and answers", "form": "Form", "call_to_action": "Call to action",
}  # fmt: skip
CHOICE_WORDS: Final[Mapping[str, str]] = {
    "split": "Split: words left, form right", "spotlight": "Spotlight: large and centred",
    "editorial": "Editorial: like a magazine", "ledger": "Ledger: plain and factual",
    "brand": "Your brand’s", "grotesk": "Modern", "serif": "Classic", "humanist": "Friendly", "mono": "Technical",
}  # fmt: skip


def genes(content: PageContent) -> dict[str, str]:
    """Return what a variant's slots hold, by the gene's name: the alphabet of pooling and breeding."""
    hero, theme = content.hero, content.theme
    return {
        "angle": content.angle,
        "headline": hero.headline,
        "offer": hero.subheadline,
        "call_to_action": hero.call_to_action,
        "order": " ".join(section.kind for section in content.sections),
        "layout": theme.layout,
        "palette": theme.palette,
        "typography": theme.typography,
    }


def stored_genes(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the same of a page as it is stored: of hundreds of pages, checking each anew takes most of the time."""
    hero, theme = content["sections"][0], Theme.model_validate(content.get("theme", {}))
    return {
        "angle": content["angle"],
        "headline": hero["headline"],
        "offer": hero["subheadline"],
        "call_to_action": hero["call_to_action"],
        "order": " ".join(section["kind"] for section in content["sections"]),
        "layout": theme.layout,
        "palette": theme.palette,
        "typography": theme.typography,
    }


def texts(content: PageContent) -> list[tuple[str, str]]:
    """Return every piece of copy with its place, such as ("sections.0.headline", "Find any letter")."""
    return list(_walk(content.model_dump(mode="json", exclude={"theme"}), ""))


_NOT_COPY = frozenset({"kind", "icon", "image"})


def _walk(node: object, place: str) -> list[tuple[str, str]]:
    if isinstance(node, str):
        return [(place, node)]
    children: list[tuple[str, object]] = []
    if isinstance(node, dict):
        children = [(key, child) for key, child in node.items() if key not in _NOT_COPY]
    elif isinstance(node, list):
        children = [(str(index), child) for index, child in enumerate(node)]
    return [found for key, child in children for found in _walk(child, f"{place}.{key}".lstrip("."))]
