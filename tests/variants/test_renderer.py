import functools
import html
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from selectolax.lexbor import LexborHTMLParser, LexborNode

from variants.brief import EMAIL_FIELD, FormField
from variants.colours import PART_CONTRAST, TEXT_CONTRAST, Colours, Surface, contrast, mix, palette_of, readable
from variants.content import Icon, Layout, PageContent, Palette, Typography
from variants.renderer import (
    PAGES,
    BadFrame,
    PageFrame,
    PageImage,
    PageLink,
    Rendered,
    render_form_page,
    render_page,
    render_thanks,
)
from variants.stylesheet import stylesheet

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
PALETTES: tuple[Palette, ...] = get_args(Palette)
FIELDS = (
    FormField(name="name", label="Your name"),
    EMAIL_FIELD,
    FormField(name="phone", label="Phone", kind="tel", is_required=False),
    FormField(name="size", label="How many?", kind="select", options=["Few", "Many"]),
    FormField(name="message", label="Anything else?", kind="textarea", max_length=2000),
    FormField(name="terms", label="I have read the terms", kind="checkbox"),
)
LETTERS = PageImage(file="a" * 64 + ".png", alt="A stack of letters", width=1200, height=900)


def make_content(
    words: str = "Words",
    *,
    layout: str = "split",
    palette: str = "brand",
    typography: str = "grotesk",
    sections: list[object] | None = None,
    **hero: str,
) -> PageContent:
    opening = {"kind": "hero", "headline": words, "subheadline": words, "call_to_action": "Start", **hero}
    return PageContent.model_validate(
        {
            "angle": "Speed",
            "meta": {"title": words[:70], "description": words},
            "theme": {"layout": layout, "palette": palette, "typography": typography},
            "sections": [opening, *(every_section(words) if sections is None else sections)],
        }
    )


def every_section(words: str) -> list[object]:
    plan = {"name": words[:40], "price": "9 €", "period": "a month", "features": [words], "is_highlighted": True}
    return [
        {"kind": "benefits", "title": words, "items": [{"icon": "bolt", "title": words[:60], "text": words}] * 2},
        {"kind": "how_it_works", "title": words, "steps": [{"title": words[:60], "text": words}] * 2},
        {
            "kind": "proof",
            "title": words,
            "figures": [{"value": "12", "label": words}],
            "quotes": [{"text": words, "source": words}],
        },
        {"kind": "pricing", "title": words, "plans": [plan, plan], "note": words},
        {"kind": "faq", "title": words, "items": [{"question": words, "answer": words}]},
        {"kind": "form", "title": words, "text": words, "submit": words[:40], "note": words},
        {"kind": "call_to_action", "title": words, "text": words, "call_to_action": words[:40]},
    ]


def make_frame(**changes: Any) -> PageFrame:
    values: dict[str, Any] = {
        "brand_name": "Brand",
        "primary_colour": "#17541f",
        "accent_colour": "#f5a623",
        "call_to_action_href": "#form",
        "form_fields": FIELDS,
    }
    return PageFrame(**values | changes)


def parse(rendered: Rendered) -> LexborHTMLParser:
    return LexborHTMLParser(rendered.html.decode())


def first(page: LexborHTMLParser, selector: str) -> LexborNode:
    found = page.css_first(selector)
    assert found is not None, selector
    return found


def skeleton(rendered: Rendered) -> list[object]:
    """Return what decides how a browser acts: every element, its attributes' names, and every address."""
    addresses = ("href", "src", "action", "method", "rel", "type", "name")
    return [
        (node.tag, sorted(node.attributes), [node.attributes.get(name) for name in addresses])
        for node in parse(rendered).css("*")
    ]


# --- words are only words -------------------------------------------------------------------------------------------


def hostile_words() -> list[str]:
    folder = os.environ.get("CORPORA_DIR")
    if not folder:
        pytest.skip("CORPORA_DIR is not set")
    lines = (Path(folder) / "xss" / "vectors.jsonl").read_text("utf-8").splitlines()
    return [" ".join(json.loads(line)["payload"].split())[:90].strip() for line in lines]


def hostile_page(words: str) -> Rendered:
    select = FormField(name="size", label=words[:80].strip(), kind="select", options=[words[:80].strip()])
    image = PageImage(file="b" * 64 + ".png", alt=words, width=10, height=10)
    frame = make_frame(
        brand_name=words, legal_footer=words, logo=image, images={"x": image}, form_fields=(EMAIL_FIELD, select)
    )
    return render_page(make_content(words, eyebrow=words[:60].strip(), note=words, image="x"), frame)


@functools.cache
def harmless(length: int) -> list[object]:
    return skeleton(hostile_page("W" * length))


@pytest.mark.corpora
def test_hostile_words_add_no_element_attribute_or_address():
    refused, vectors = 0, hostile_words()
    for words in vectors:
        try:
            rendered = hostile_page(words)
        except ValidationError:  # hidden characters: the content refuses them before the renderer could see them
            refused += 1
            continue
        assert skeleton(rendered) == harmless(len(words)), words
    assert refused < len(vectors) / 10


@pytest.mark.corpora
def test_hostile_words_are_shown_literally():
    for words in hostile_words():
        try:
            headline = make_content(words).hero.headline
        except ValidationError:
            continue
        page = parse(render_page(make_content(words), make_frame()))
        places = ("h1", ".benefits h3", ".answer p", ".form-words h2")
        shown = [first(page, place).text() for place in places]
        assert all(text in {headline, headline[:60].strip()} for text in shown), words


def test_template_syntax_is_shown_literally():
    words = "{{ frame }} {% now 'Y' %} {# gone #} {{ words|safe }}"
    assert first(parse(render_page(make_content(words), make_frame())), "h1").text() == words


def test_only_the_style_sheet_is_put_in_unescaped():
    unescaped = [name for name in PAGES.rglob("*.html") for _ in re.findall(r"\|\s*safe|autoescape", name.read_text())]
    assert unescaped == [PAGES / "base.html"]


@pytest.mark.parametrize(
    "fault",
    [
        {"primary_colour": "red;}*{display:none"},
        {"accent_colour": "#fff"},
        {"call_to_action_href": "https://elsewhere.example"},
        {"call_to_action_href": "go/../../admin"},
        {"privacy_url": "javascript:alert(1)"},
        {"legal_footer": "Street 1\0form_error\0"},
        {"form_fields": ()},
        {"has_form": False},
    ],
)
def test_a_frame_that_would_break_the_page_is_refused(fault):
    with pytest.raises(BadFrame):
        make_frame(**fault)


def test_an_image_has_the_name_of_its_bytes_only():
    with pytest.raises(BadFrame, match=re.escape("https://elsewhere.example/a.png")):
        PageImage(file="https://elsewhere.example/a.png", alt="", width=1, height=1)


# --- the document ---------------------------------------------------------------------------------------------------

EVERY_LOOK = list(itertools.product(LAYOUTS, ["en", "ar"]))


def test_the_same_input_gives_the_same_bytes():
    pages = {render_page(make_content(layout="split"), make_frame()).html for _ in range(3)}
    assert len(pages) == 1


@pytest.mark.parametrize(("layout", "language"), EVERY_LOOK)
def test_each_layout_has_one_main_headline_and_its_landmarks(layout, language):
    page = parse(render_page(make_content(layout=layout), make_frame(language=language)))
    assert [len(page.css(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    assert first(page, "html").attributes["dir"] == {"en": "ltr", "ar": "rtl"}[language]
    assert first(page, "a.skip").attributes["href"] == "#main"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_are_unique_and_every_reference_leads_somewhere(layout):
    page = parse(render_form_page(make_content(layout=layout), make_frame()))
    ids = [node.attributes["id"] for node in page.css("[id]")]
    assert len(ids) == len(set(ids))
    names = ("aria-labelledby", "aria-describedby", "for")
    wanted = {node.attributes[name] for name in names for node in page.css(f"[{name}]")}
    wanted |= {str(node.attributes["href"]).removeprefix("#") for node in page.css("[href^='#']")}
    assert wanted <= set(ids)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_field_has_a_label_and_its_limits(layout):
    page = parse(render_page(make_content(layout=layout), make_frame()))
    fields = page.css("form input, form select, form textarea")
    assert [field.attributes["name"] for field in fields] == [field.name for field in FIELDS]
    assert all(first(page, f"label[for='{field.attributes['id']}']") for field in fields)
    assert ["required" in field.attributes for field in fields] == [field.is_required for field in FIELDS]
    assert first(page, "[name=message]").attributes["maxlength"] == "2000"


def test_fields_tell_the_browser_what_they_are_for():
    page = parse(render_page(make_content(), make_frame()))
    of_email, of_phone = (first(page, f"[name={name}]").attributes for name in ("email", "phone"))
    assert (of_email["type"], of_email["autocomplete"], of_email["inputmode"]) == ("email", "email", "email")
    assert (of_phone["type"], of_phone["autocomplete"], of_phone["inputmode"]) == ("tel", "tel", "tel")
    assert first(page, "[name=name]").attributes["autocomplete"] == "name"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_page_asks_nobody_else_for_anything(layout):
    frame = make_frame(images={"x": LETTERS}, logo=LETTERS)
    page = parse(render_page(make_content(layout=layout, image="x"), frame))
    sources = [node.attributes["src"] for node in page.css("[src]")] + [
        node.attributes["href"] for node in page.css("link")
    ]
    assert set(sources) == {f"i/{LETTERS.file}", "greenhouse.js"}
    assert not page.css("[style], iframe, object, embed, base")
    assert "url(" not in first(page, "style").text()
    assert "@import" not in first(page, "style").text()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pages_with_every_section_stay_below_sixty_kilobytes(layout):
    assert len(render_page(make_content("W" * 90, layout=layout), make_frame()).html) < 60_000


def test_the_policy_names_the_style_sheet_and_admits_our_own_script_alone():
    rendered = render_page(make_content(), make_frame())
    assert rendered.csp.startswith("default-src 'none'; style-src 'sha256-")
    assert rendered.csp.endswith("script-src 'self'; connect-src 'self'")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_page_that_needs_consent_asks_for_it_in_its_own_language(layout):
    frame = make_frame(asks_consent=True, language="de", privacy_url="https://paperwork.example/privacy")
    page = parse(render_page(make_content(layout=layout), frame))
    bar = first(page, "#consent")
    assert "hidden" in bar.attributes  # until the script, without which nobody could answer
    assert [button.text() for button in bar.css("button")] == ["Einverstanden", "Ablehnen"]
    assert first(page, "#consent a").attributes["href"] == "https://paperwork.example/privacy"
    assert first(page, "footer #consent-choices").text() == "Einwilligung ändern"


def test_other_pages_do_not_ask():
    assert b"consent" not in render_page(make_content(), make_frame()).html


def test_every_language_has_every_word():
    words = json.loads((PAGES / "words.json").read_text("utf-8"))
    assert {language for language, own in words.items() if set(own) != set(words["en"])} == set()


def test_a_logo_is_also_the_icon_and_spares_the_policy_data_addresses():
    rendered = render_page(make_content(), make_frame(logo=LETTERS))
    assert "img-src 'self';" in rendered.csp
    assert first(parse(rendered), "link[rel=icon]").attributes["href"] == f"i/{LETTERS.file}"


def test_a_picture_that_the_brand_does_not_have_is_left_out():
    assert not parse(render_page(make_content(image="missing"), make_frame())).css("img")


def test_each_angle_of_a_brand_has_a_mosaic_of_its_own():
    speed = make_content()
    safety = speed.model_copy(update={"angle": "Safety"})
    mosaics = {first(parse(render_page(content, make_frame())), ".art").html for content in (speed, safety)}
    assert len(mosaics) == 2


def test_every_icon_of_the_content_is_drawn():
    assert {path.stem for path in (PAGES / "icons").glob("*.svg")} == set(get_args(Icon))


def test_only_the_icons_in_use_are_sent():
    page = parse(render_page(make_content(), make_frame()))
    assert [symbol.attributes["id"] for symbol in page.css("symbol")] == ["i-bolt"]


def test_an_unknown_language_gets_english_words():
    page = parse(render_page(make_content(), make_frame(language="tlh")))
    assert first(page, "a.skip").text() == "Skip to content"


# --- the form -------------------------------------------------------------------------------------------------------


def test_a_page_without_a_form_section_gets_a_plain_form():
    page = parse(render_page(make_content(sections=[]), make_frame()))
    assert first(page, "form").attributes["action"] == "form"
    assert first(page, "form button").text() == "Start"


def test_where_the_action_is_a_link_a_form_section_becomes_a_call_to_action():
    frame = make_frame(has_form=False, call_to_action_href="go/cta", form_fields=())
    page = parse(render_page(make_content(), frame))
    assert not page.css("form")
    assert {node.attributes["href"] for node in page.css("a.button")} == {"go/cta"}


def test_the_brand_does_not_lead_away_from_the_page():
    page = parse(render_page(make_content(), make_frame(logo=LETTERS, privacy_url="https://brand.example/privacy")))
    foreign = [link.attributes["href"] for link in page.css("a") if link.attributes["href"] != "#form"]
    assert foreign == ["#main", "https://brand.example/privacy"]


def test_the_secondary_link_stands_beside_the_main_one():
    frame = make_frame(secondary_link=PageLink(label="See a demo", href="go/demo"))
    assert first(parse(render_page(make_content(), frame)), "a.quiet").text() == "See a demo"


def fill(rendered: Rendered, values: dict[str, str]) -> LexborHTMLParser:
    pieces = rendered.html.decode().split("\0")
    assert len(pieces) % 2 == 1
    return LexborHTMLParser("".join(values.get(each, "") if at % 2 else each for at, each in enumerate(pieces)))


def test_the_form_page_has_a_place_for_every_value_and_error():
    places = render_form_page(make_content(), make_frame()).html.decode().split("\0")[1::2]
    expected = ["form_error", *(f"error:{field.name}" for field in FIELDS)]
    expected += [f"value:{name}" for name in ("name", "email", "phone", "message")]
    expected += ["selected:size:0", "selected:size:1", "checked:terms"]
    assert sorted(places) == sorted(expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_filled_places_come_back_as_typed(layout):
    typed = "\"> onfocus=alert(1) <script>alert('x')</script>"
    values = {"value:name": html.escape(typed), "value:message": html.escape(typed), "error:name": html.escape(typed)}
    values |= {"selected:size:1": " selected", "checked:terms": " checked", "form_error": "Look again"}
    page = fill(render_form_page(make_content(layout=layout), make_frame()), values)
    assert first(page, "[name=name]").attributes["value"] == typed
    assert first(page, "[name=message]").text() == typed
    assert first(page, "#e-name").text() == typed
    assert first(page, "option[selected]").text() == "Many"
    assert "checked" in first(page, "[name=terms]").attributes
    assert first(page, "[role=alert]").text() == "Look again"


def test_each_error_is_tied_to_its_field_and_empty_until_filled():
    page = fill(render_form_page(make_content(), make_frame()), {})
    for field in FIELDS:
        assert first(page, f"[name={field.name}]").attributes["aria-describedby"] == f"e-{field.name}"
        assert page.css(f"#e-{field.name}:empty")


def test_a_page_shown_for_the_first_time_has_no_places():
    assert b"\0" not in render_page(make_content(), make_frame()).html


def test_a_form_page_needs_a_form():
    with pytest.raises(BadFrame):
        render_form_page(make_content(), make_frame(has_form=False, call_to_action_href="go/cta"))


@pytest.mark.parametrize(
    ("thank_you", "title"),
    [("Thank you! We will write soon.", "Thank you!"), ("Thank you", "Thank you"), ("谢谢。我们会联系你。", "谢谢。")],
)
def test_the_first_sentence_of_the_thanks_is_its_headline(thank_you, title):
    page = parse(render_thanks(make_content(), make_frame(thank_you=thank_you)))
    assert first(page, "h1").text() == title
    assert "".join(first(page, "main").text().split()).startswith("".join(thank_you.split()))


def test_the_thanks_are_named_in_the_browsers_tab_and_the_page_keeps_its_own_title():
    thanks = parse(render_thanks(make_content(), make_frame(thank_you="Thank you. We call tomorrow.")))
    assert first(thanks, "title").text() == first(thanks, "h1").text() == "Thank you."
    page = parse(render_page(make_content(), make_frame()))
    assert first(page, "title").text() == make_content().meta.title


def test_thanks_too_long_for_a_headline_stand_below_the_brand():
    page = parse(render_thanks(make_content(), make_frame(thank_you="word " * 99 + "word")))
    assert first(page, "h1").text() == "Brand"
    assert first(page, ".lede").text() == "word " * 99 + "word"


# --- colours --------------------------------------------------------------------------------------------------------

HEX = st.integers(min_value=0, max_value=0xFFFFFF).map("#{:06x}".format)


def faults(surface: Surface) -> list[str]:
    grounds = {"ground": surface.ground, "panel": surface.panel, "field": surface.field}
    texts = {"text": surface.text, "muted": surface.muted, "accent": surface.accent, "danger": surface.danger}
    pairs = [(f"{text} on {on}", contrast(texts[text], grounds[on]), TEXT_CONTRAST) for text in texts for on in grounds]
    for name, button in (("button", surface.button), ("button_hover", surface.button_hover)):
        pairs.append((f"text on {name}", contrast(surface.button_text, button), TEXT_CONTRAST))
    for on in ("ground", "panel"):
        pairs.append((f"button on {on}", contrast(surface.button, grounds[on]), PART_CONTRAST))
        pairs.append((f"edge on {on}", contrast(surface.edge, grounds[on]), PART_CONTRAST))
    return [f"{name}: {ratio:.2f}" for name, ratio, least in pairs if ratio < least]


def surfaces(colours: Colours) -> list[Surface]:
    return [colours.page, colours.band, colours.hero, colours.deep]


@pytest.mark.parametrize("palette", PALETTES)
def test_text_is_readable_on_every_surface_of_every_palette(palette):
    colours = palette_of(palette, primary="#17541f", accent="#f5a623")
    assert [faults(surface) for surface in surfaces(colours)] == [[], [], [], []]


@given(primary=HEX, accent=HEX)
@settings(max_examples=300, deadline=None)
def test_any_two_colours_make_a_readable_brand_palette(primary, accent):
    colours = palette_of("brand", primary=primary, accent=accent)
    assert [faults(surface) for surface in surfaces(colours)] == [[], [], [], []]


def test_contrast_agrees_with_the_published_extremes():
    # WCAG 2.2: black on white is 21:1; #767676 is the lightest grey that passes 4.5:1 on white.
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)
    assert contrast("#777777", "#ffffff") < TEXT_CONTRAST


@given(colour=HEX, ground=HEX)
def test_a_colour_that_is_readable_already_is_left_alone(colour, ground):
    if contrast(colour, ground) >= TEXT_CONTRAST:
        assert readable(colour, [ground]) == colour
    else:
        assert contrast(readable(colour, [ground]), ground) >= TEXT_CONTRAST


@given(one=HEX, other=HEX)
def test_mixing_none_and_all_gives_the_colours_themselves(one, other):
    assert (mix(one, other, 0), mix(one, other, 1)) == (one, other)


@pytest.mark.parametrize("typography", get_args(Typography))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_token_a_style_sheet_uses_is_defined(layout, typography):
    css = stylesheet((layout,), "brand", typography, primary="#17541f", accent="#f5a623")
    assert set(re.findall(r"var\((--[a-z0-9-]+)", css)) <= set(re.findall(r"(--[a-z0-9-]+):", css))
    assert css.count("{") == css.count("}")
