"""What only a browser can say of a rendered page: whether it fits, what can be seen, and what the policy refuses."""

import io
import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args
from urllib.parse import parse_qs

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route

from variants.brief import FormField
from variants.browser import Answered, Asked, Visit
from variants.chromium import Chromium
from variants.chromium import chromium as chromium_door
from variants.colours import TEXT_CONTRAST, contrast
from variants.content import Icon, Layout, PageContent, Palette, Typography, texts
from variants.gates import Finding
from variants.page_health import Expected, findings_of, static_faults
from variants.renderer import (
    PageFrame,
    PageImage,
    PageLink,
    Rendered,
    render_form_page,
    render_page,
    render_thanks,
)

pytestmark = pytest.mark.browser

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
ADDRESS = "http://page.test/p/example/"
IMAGE = PageImage(file="a" * 64 + ".png", alt="A picture", width=1600, height=1200)
LONGEST_LOOK_SECONDS = 180.0
PROSE = "Landschaftsarchitekturbüro and the considerably longer story of what it does for people "
KINDS = ("email", "text", "tel", "textarea", "select", "checkbox")


def filled(limit: int, words: str = PROSE) -> str:
    """Return a text as long as its limit allows."""
    text = (words * limit)[:limit].strip()
    return text + "x" * (limit - len(text))


def make_content(
    words: str = PROSE, *, layout: Layout = "split", form_first: bool = False, **theme: str
) -> PageContent:
    """Return a page with every field at its limit."""

    def of(limit: int) -> str:
        return filled(limit, words)

    plan = {"name": of(40), "price": of(24), "period": of(24), "features": [of(90)] * 8, "is_highlighted": True}
    form = {"kind": "form", "title": of(90), "text": of(240), "submit": of(40), "note": of(160)}
    hero = {"eyebrow": of(60), "headline": of(90), "subheadline": of(240), "call_to_action": of(40), "note": of(120)}
    items = [{"icon": icon, "title": of(60), "text": of(240)} for icon in get_args(Icon)[:6]]
    sections = [
        {"kind": "benefits", "title": of(90), "items": items},
        {"kind": "how_it_works", "title": of(90), "steps": [{"title": of(60), "text": of(240)}] * 5},
        {
            "kind": "proof",
            "title": of(90),
            "figures": [{"value": of(24), "label": of(90)}] * 4,
            "quotes": [{"text": of(300), "source": of(90)}] * 3,
        },
        {"kind": "pricing", "title": of(90), "plans": [plan] * 3, "note": of(160)},
        {"kind": "faq", "title": of(90), "items": [{"question": of(140), "answer": of(600)}] * 8},
        {"kind": "call_to_action", "title": of(90), "text": of(240), "call_to_action": of(40)},
    ]
    return PageContent.model_validate(
        {
            "angle": of(120),
            "meta": {"title": of(70), "description": of(160)},
            "theme": {"layout": layout, **theme},
            "sections": [{"kind": "hero", **hero}, *([form, *sections] if form_first else [*sections, form])],
        }
    )


def make_field(kind: str) -> FormField:
    options = [filled(80)] if kind == "select" else []
    return FormField.model_validate({"name": "n" * 30 + kind, "label": filled(80), "kind": kind, "options": options})


def make_frame(**changes: Any) -> PageFrame:
    values: dict[str, Any] = {
        "brand_name": "Brand of some length",
        "primary_colour": "#17541f",
        "accent_colour": "#f5a623",
        "call_to_action_href": "#form",
        "secondary_link": PageLink(label=filled(40), href="go/demo"),
        "legal_footer": filled(400),
        "privacy_url": "https://brand.example/privacy",
        "form_fields": tuple(make_field(kind) for kind in KINDS),
    }
    return PageFrame(**values | changes)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), "#888888").save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def opened(
    chromium: Browser, rendered: Rendered, *, width: int, height: int = 844, complaints: list[str] | None = None
) -> Iterator[Page]:
    """Show a page under its own policy, as the visitor tier sends it; nothing else can be reached."""
    answers = {f"{ADDRESS}i/{IMAGE.file}": (picture(), "image/png"), ADDRESS: (rendered.html, "text/html")}
    answers[f"{ADDRESS}greenhouse.js"] = (b"window.loaded = true", "text/javascript")

    def answer(route: Route) -> None:
        if route.request.url not in answers:
            route.abort()
            return
        body, kind = answers[route.request.url]
        route.fulfill(body=body, headers={"Content-Type": kind, "Content-Security-Policy": rendered.csp})

    page = chromium.new_page(viewport={"width": width, "height": height})
    try:
        page.route("**/*", answer)
        if complaints is not None:
            page.on("console", lambda message: complaints.append(message.text))
            page.on("requestfailed", lambda request: complaints.append(request.url))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(ADDRESS)
        yield page
    finally:
        page.close()


@pytest.fixture(scope="module")
def looker() -> Iterator[Chromium]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed")
    with chromium_door(executable, longest_seconds=LONGEST_LOOK_SECONDS) as kept:
        yield kept


def what_blocks(looker: Chromium, content: PageContent, frame: PageFrame) -> list[Finding]:
    """Look at the page, the page with its form shown again, and the page after it."""
    page, again, thanks = (render(content, frame) for render in (render_page, render_form_page, render_thanks))
    with_errors = re.sub(rb"\0(error:|form_error)[^\0]*\0", b"Look at this again", again.html)

    def fetch(asked: Asked) -> Answered:
        sent = parse_qs(asked.body.decode(), keep_blank_values=True)
        if asked.path.endswith("/greenhouse.js"):
            return Answered(status=200, headers={"content-type": "text/javascript"}, body=b"")
        if asked.method == "POST" and any(value != [""] for value in sent.values()):
            return Answered(status=303, headers={}, body=b"")
        shown = thanks if asked.path.endswith("/thanks") else page
        html = re.sub(rb"\0[^\0]*\0", b"", with_errors) if asked.method == "POST" else shown.html
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": shown.csp}
        return Answered(status=422 if asked.method == "POST" else 200, headers=headers, body=html)

    visit = Visit(address=ADDRESS, thanks=f"{ADDRESS}thanks", button="a.button[href='#form']", form="form")
    look = looker.look(visit, fetch)
    expected = Expected(links={"demo"}, fields=[field.name for field in frame.form_fields], is_form=True)
    faults = [*static_faults(page.html, expected), *look.faults]
    return [finding for finding in findings_of(faults, texts(content)) if finding.blocks]


@pytest.mark.parametrize(("layout", "typography"), list(zip(LAYOUTS, get_args(Typography), strict=True)))
def test_a_page_with_every_field_at_its_limit_has_nothing_that_blocks_it(looker, layout, typography):
    content = make_content(layout=layout, typography=typography, form_first=layout == "split")
    assert what_blocks(looker, content, make_frame(thank_you=filled(600))) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_words_without_an_end_push_the_button_down_at_most(looker, layout):
    found = what_blocks(looker, make_content("W", layout=layout), make_frame())
    assert {(finding.gate, finding.field) for finding in found} <= {("first_screen", "sections.0.call_to_action")}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_page_breaks_no_policy_and_asks_for_nothing_it_does_not_get(chromium, layout):
    frame = make_frame(logo=IMAGE, images={"x": IMAGE})
    content = make_content(layout=layout)
    hero = content.hero.model_copy(update={"image": "x"})
    rendered = render_page(content.model_copy(update={"sections": [hero, *content.sections[1:]]}), frame)
    complaints: list[str] = []
    with opened(chromium, rendered, width=1280, complaints=complaints) as page:
        assert complaints == []
        assert page.evaluate("window.loaded")
        assert page.evaluate("getComputedStyle(document.querySelector('.button')).cursor") == "pointer"


def test_a_style_sheet_other_than_ours_is_refused(chromium):
    rendered = render_page(make_content(), make_frame())
    altered = Rendered(html=rendered.html.replace(b"</style>", b"*{color:red}</style>"), csp=rendered.csp)
    with opened(chromium, altered, width=1280) as page:
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_error_summary_has_the_focus_and_empty_errors_take_no_space(chromium, layout):
    rendered = render_form_page(make_content(layout=layout), make_frame())
    shown = re.sub(rb"\0([^\0]*)\0", lambda place: b"Look again" if place[1] == b"form_error" else b"", rendered.html)
    with opened(chromium, Rendered(html=shown, csp=rendered.csp), width=390) as page:
        assert page.evaluate("document.activeElement.textContent") == "Look again"
        assert page.locator(".error:visible").count() == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_keyboard_reaches_the_skip_link_first_and_sees_it(chromium, layout):
    with opened(chromium, render_page(make_content(layout=layout), make_frame()), width=1280) as page:
        page.keyboard.press("Tab")
        box = page.locator(".skip:focus").bounding_box()
        assert box is not None
        assert box["y"] >= 0


# The colour of each text and of the nearest opaque ground below it.
PAIRS = """() => {
    const ground = node => {
        for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor
            if (!colour.startsWith("rgba")) return colour
        }
        return "rgb(255, 255, 255)"
    }
    const found = {}
    for (const node of document.querySelectorAll("body *")) {
        const speaks = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())
        if (!speaks || !node.checkVisibility()) continue
        const pair = [getComputedStyle(node).color, ground(node)]
        found[pair.join("|")] = [...pair, node.tagName + "." + node.className]
    }
    return Object.values(found)
}"""


def hexadecimal(colour: str) -> str:
    return "#{:02x}{:02x}{:02x}".format(*(int(channel) for channel in re.findall(r"\d+", colour)[:3]))


def faint_texts(chromium: Browser, rendered: Rendered) -> list[list[str]]:
    with opened(chromium, rendered, width=1280) as page:
        pairs: list[list[str]] = page.evaluate(PAIRS)
    assert pairs
    return [pair for pair in pairs if contrast(hexadecimal(pair[0]), hexadecimal(pair[1])) < TEXT_CONTRAST]


@pytest.mark.parametrize(("layout", "palette"), list(itertools.product(LAYOUTS, get_args(Palette))))
def test_every_text_is_readable_where_it_is_shown(chromium, layout, palette):
    content = make_content(layout=layout, palette=palette, form_first=True)
    assert faint_texts(chromium, render_page(content, make_frame())) == []


@pytest.mark.parametrize("palette", get_args(Palette))
def test_the_thanks_are_readable(chromium, palette):
    assert faint_texts(chromium, render_thanks(make_content(palette=palette), make_frame())) == []
