"""Turn a page's content and its frame (brand, links, form) into one HTML document and its security policy.

Pure: the same content and frame give the same bytes. The document holds its own style sheet and drawings and asks
nobody else for anything. Words are data: Django's template engine escapes every one of them, and what reaches the
style sheet are colours that were checked to be colours.

    render_page        the page
    render_form_page   the page with its form shown again: places between NUL bytes, filled by the splitter
    render_thanks      the page after the form
"""

import base64
import functools
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from django.template import Context, Engine
from pydantic import TypeAdapter, ValidationError

from variants.brief import FormField
from variants.colours import Colours, palette_of
from variants.content import Benefits, CallToAction, FormSection, Layout, PageContent, Section
from variants.stylesheet import stylesheet
from variants.text import Link

PAGES: Final = Path(__file__).resolve().parent.parent / "templates" / "pages"

# An engine of its own: pages must not change with a project's template settings, tags or context processors.
ENGINE: Final = Engine(dirs=[str(PAGES)])

RIGHT_TO_LEFT: Final = frozenset({"ar", "fa", "he", "ur"})


class BadFrame(ValueError):
    """The frame holds something that must not stand in a page."""


_COLOUR: Final = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_FILE: Final = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{2,5}")
_OWN_LINK: Final = re.compile(r"#form|go/[A-Za-z0-9_-]+")
_LINK: Final[TypeAdapter[str]] = TypeAdapter(Link)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageImage:
    file: str  # "<sha256 of the bytes>.png": what the visitor tier serves under i/
    alt: str
    width: int
    height: int

    def __post_init__(self) -> None:
        _require(_FILE, self.file, "image file")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLink:
    label: str
    href: str  # as in PageFrame.call_to_action_href

    def __post_init__(self) -> None:
        _require(_OWN_LINK, self.href, "link")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFrame:
    """What stands around the words: the same for all variants of an experiment."""

    brand_name: str
    primary_colour: str  # "#rrggbb"
    accent_colour: str  # "#rrggbb"
    call_to_action_href: str  # "#form", or "go/<link>" relative to the page
    logo: PageImage | None = None
    legal_footer: str = ""
    privacy_url: str | None = None
    language: str = "en"
    secondary_link: PageLink | None = None
    form_fields: tuple[FormField, ...] = ()
    has_form: bool = True
    thank_you: str = "Thank you."
    images: Mapping[str, PageImage] = field(default_factory=dict)
    asks_consent: bool = False

    def __post_init__(self) -> None:
        _require(_COLOUR, self.primary_colour, "primary_colour")
        _require(_COLOUR, self.accent_colour, "accent_colour")
        _require(_OWN_LINK, self.call_to_action_href, "call_to_action_href")
        if self.privacy_url is not None:
            _require_address(self.privacy_url)
        _refuse_nul(self.brand_name, self.legal_footer, self.thank_you, *(image.alt for image in self.images.values()))
        if self.has_form and not self.form_fields:
            raise BadFrame("has_form is true but form_fields is empty: a form needs at least one field")
        if self.call_to_action_href == "#form" and not self.has_form:
            raise BadFrame("call_to_action_href is '#form' but has_form is false: the button would lead nowhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    html: bytes
    csp: str  # the value of the Content-Security-Policy header this document needs


def _require(pattern: re.Pattern[str], value: str, name: str) -> None:
    if not pattern.fullmatch(value):
        raise BadFrame(f"{name}: {value!r} does not match {pattern.pattern}")


def _require_address(value: str) -> None:
    try:
        _LINK.validate_python(value)
    except ValidationError as error:
        raise BadFrame(f"privacy_url: {value!r} is not a link") from error


def _refuse_nul(*texts: str) -> None:
    for text in texts:
        if "\0" in text:  # it delimits the places of a form page
            raise BadFrame(f"{text!r} contains a NUL character")


def render_page(content: PageContent, frame: PageFrame) -> Rendered:
    return _document(content.theme.layout, _page_values(content, frame, is_again=False), content, frame)


def render_form_page(content: PageContent, frame: PageFrame) -> Rendered:
    """Render the page with its form shown again.

    Split at b"\\0", the odd pieces name places: `value:<field>`, `error:<field>`, `form_error`,
    `selected:<field>:<option index>`, `checked:<field>`. Attribute places hold ` selected` and ` checked`, with
    the space, or nothing.
    """
    if not frame.has_form:
        raise BadFrame("has_form is false: there is no form to show again")
    return _document(content.theme.layout, _page_values(content, frame, is_again=True), content, frame)


def render_thanks(content: PageContent, frame: PageFrame) -> Rendered:
    return _document("thanks", _thanks_values(frame), content, frame)


def _document(look: str, values: dict[str, object], content: PageContent, frame: PageFrame) -> Rendered:
    """Render templates/pages/layouts/<look>.html with css/<look>.css."""
    theme = content.theme
    parts = (look, "consent") if frame.asks_consent else (look,)
    css = stylesheet(parts, theme.palette, theme.typography, primary=frame.primary_colour, accent=frame.accent_colour)
    # Numbers are formatted without a locale, so that a width of 1200 never becomes "1,200".
    context = Context(_shared_values(content, frame) | values | {"css": css}, autoescape=True, use_l10n=False)
    html = ENGINE.get_template(f"layouts/{look}.html").render(context)
    return Rendered(html=_without_indentation(html).encode(), csp=_policy(css, frame))


def _without_indentation(html: str) -> str:
    return "\n".join(line.strip(" \t") for line in html.split("\n") if line.strip(" \t"))


def _policy(css: str, frame: PageFrame) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    directives = [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        # Without a logo the icon is the empty data: address, which spares each visitor a request for /favicon.ico.
        "img-src 'self'" if frame.logo else "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "script-src 'self'",
        "connect-src 'self'",
    ]
    return "; ".join(directives)


# --- what the templates are given -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A section below the hero, with its place in the page."""

    id: str
    template: str
    tone: str  # the surface it stands on: "", "band" or "deep"
    section: Section


def _shared_values(content: PageContent, frame: PageFrame) -> dict[str, object]:
    language = frame.language.split("-")[0].lower()
    return {
        "content": content,
        "frame": frame,
        "words": _words().get(language, _words()["en"]),
        "direction": "rtl" if language in RIGHT_TO_LEFT else "ltr",
        "theme_colour": _colours(content, frame).page.ground,
    }


def _page_values(content: PageContent, frame: PageFrame, *, is_again: bool) -> dict[str, object]:
    hero, layout, colours = content.hero, content.theme.layout, _colours(content, frame)
    image = frame.images.get(hero.image) if hero.image else None
    blocks = _blocks(content, frame)
    hero_form = _hero_form(layout, blocks) if image is None else None
    tone = _hero_tone(layout, colours)
    return {
        "hero": hero,
        "headline_size": _headline_size(hero.headline),
        "hero_tone": tone,
        "theme_colour": {"": colours.page, "on-hero": colours.hero, "deep": colours.deep}[tone].ground,
        "image": image,
        "hero_form": hero_form,
        "art": art(f"{frame.brand_name}\n{content.angle}"),
        "blocks": [block for block in blocks if block.section is not hero_form],
        "icons": [f"icons/{icon}.svg" for icon in _icons(blocks)],
        "answers_are_open": layout in {"editorial", "ledger"},
        "fields": [_field_values(each, is_again=is_again) for each in frame.form_fields],
        "is_again": is_again,
        "is_aside": is_again,
        "form_error_place": _place("form_error"),
    }


_THANKS_TITLE: Final = 90  # characters that still make a headline
_FIRST_SENTENCE: Final = re.compile(rf"(.{{1,{_THANKS_TITLE}}}?)(?:(?<=[.!?؟।])\s+|(?<=[。！？])|\n)\s*(.+)", re.DOTALL)


def _thanks_values(frame: PageFrame) -> dict[str, object]:
    """Let the first sentence be the headline, where it is short enough to be one."""
    found = _FIRST_SENTENCE.fullmatch(frame.thank_you)
    if found:
        title, text = found.groups()
    elif len(frame.thank_you) <= _THANKS_TITLE:
        title, text = frame.thank_you, ""
    else:
        title, text = frame.brand_name, frame.thank_you
    return {"thanks_title": title.strip(), "thanks_text": text, "is_aside": True}


def _colours(content: PageContent, frame: PageFrame) -> Colours:
    return palette_of(content.theme.palette, primary=frame.primary_colour, accent=frame.accent_colour)


@functools.cache
def _words() -> dict[str, dict[str, str]]:
    """Return the few words that are the page's own (skip link, "optional"), by language."""
    return cast("dict[str, dict[str, str]]", json.loads((PAGES / "words.json").read_text("utf-8")))


def _hero_tone(layout: Layout, palette: Colours) -> str:
    if layout == "spotlight" and not palette.is_dark:
        return "deep"
    return "on-hero" if layout in {"split", "spotlight"} else ""


_LONG, _MEDIUM = 52, 28  # in columns, where a letter takes one and a Chinese character two


def _headline_size(headline: str) -> str:
    columns = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in headline)
    if columns > _LONG:
        return "long"
    return "medium" if columns > _MEDIUM else "short"


def _icons(blocks: Sequence[Block]) -> list[str]:
    sections = [block.section for block in blocks if isinstance(block.section, Benefits)]
    return sorted({item.icon for section in sections for item in section.items})


def _blocks(content: PageContent, frame: PageFrame) -> list[Block]:
    sections = [_fitting(section, frame) for section in content.sections[1:]]
    if frame.has_form and content.form is None:
        hero = content.hero
        sections.append(FormSection(title=hero.call_to_action, submit=hero.call_to_action))
    alternates = content.theme.layout in {"split", "spotlight"}
    return [
        Block(
            id="form" if section.kind == "form" else f"s{number}",
            template=f"sections/{section.kind}.html",
            tone=_tone(section, number) if alternates or section.kind == "call_to_action" else "",
            section=section,
        )
        for number, section in enumerate(sections, start=1)
    ]


def _fitting(section: Section, frame: PageFrame) -> Section:
    """Keep a form's words as a call to action where the page has no form."""
    if isinstance(section, FormSection) and not frame.has_form:
        return CallToAction(title=section.title, text=section.text, call_to_action=section.submit)
    return section


def _tone(section: Section, number: int) -> str:
    if isinstance(section, CallToAction):
        return "deep"
    return "" if number % 2 else "band"


def _hero_form(layout: Layout, blocks: Sequence[Block]) -> FormSection | None:
    """Return the form that moves up beside the headline: the split layout's, when it comes first."""
    first = blocks[0].section if blocks else None
    return first if layout == "split" and isinstance(first, FormSection) else None


def _place(name: str) -> str:
    return f"\0{name}\0"


# https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#autofill
_AUTOCOMPLETE: Final = {
    "name": "name", "full_name": "name", "first_name": "given-name", "last_name": "family-name",
    "company": "organization", "organisation": "organization", "organization": "organization",
    "job_title": "organization-title", "role": "organization-title", "phone": "tel", "telephone": "tel",
    "website": "url", "street": "street-address", "city": "address-level2", "postcode": "postal-code",
    "zip": "postal-code", "zip_code": "postal-code", "country": "country-name",
}  # fmt: skip


def _field_values(spec: FormField, *, is_again: bool) -> dict[str, object]:
    def place(name: str) -> str:
        return _place(name) if is_again else ""

    of_kind = {"email": "email", "tel": "tel"}.get(spec.kind, "")
    options = [
        {"label": label, "selected_place": place(f"selected:{spec.name}:{index}")}
        for index, label in enumerate(spec.options)
    ]
    return {
        "name": spec.name,
        "label": spec.label,
        "kind": spec.kind,
        "is_required": spec.is_required,
        "max_length": spec.max_length,
        "autocomplete": of_kind or _AUTOCOMPLETE.get(spec.name, ""),
        "inputmode": of_kind,
        "options": options,
        "value_place": place(f"value:{spec.name}"),
        "error_place": place(f"error:{spec.name}"),
        "checked_place": place(f"checked:{spec.name}"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    x: int
    y: int
    shape: int
    colour: int
    turn: int  # degrees


_COLUMNS, _SIDE, _SHAPES, _ART_COLOURS = 5, 100, 6, 4


def art(seed: str) -> list[Tile]:
    """Lay a mosaic of 5 by 6 tiles for pages without a picture: each angle of each brand has its own."""
    digest = hashlib.sha256(seed.encode()).digest()[:30]
    return [
        Tile(
            x=index % _COLUMNS * _SIDE,
            y=index // _COLUMNS * _SIDE,
            shape=byte % _SHAPES,
            colour=byte // _SHAPES % _ART_COLOURS,
            turn=byte // (_SHAPES * _ART_COLOURS) % 4 * 90,
        )
        for index, byte in enumerate(digest)
    ]
