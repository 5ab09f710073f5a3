"""Fifteen landing pages by other people come through an import as an independent parser saw them before."""

import time
from collections.abc import Sequence

import pytest
from selectolax.lexbor import LexborHTMLParser

from tests.variants.templates import TEMPLATES, Template, page
from variants.content import PageContent
from variants.imported import Import, policy, render_import
from variants.importing import read_page
from variants.mapping import mapped
from variants.patches import patch_of

pytestmark = pytest.mark.parametrize("template", TEMPLATES, ids=str)

ADDRESS = "https://www.example.com/page/index.html"
OURS = "https://pages.example.net/p/spring/"
MOST_SECONDS = 3.0  # of the processor; measured: 0.1
BUTTONS = "button, input[type=submit], input[type=button], input[type=reset], input[type=image]"


def seen(data: bytes) -> dict[str, object]:
    """Return what an independent parser sees."""
    tree = LexborHTMLParser(data)
    headline = tree.css_first("h1")
    return {
        "title": _one_line(tree.css("title")[0].text()),
        "h1": _one_line(headline.text()) if headline else "",
        "links": len(tree.css("a[href], area[href]")),
        "buttons": len(tree.css(BUTTONS)),
        "forms": len(tree.css("form")),
        "text": _one_line(tree.body.text()) if tree.body else "",
    }


def _one_line(text: str) -> str:
    return " ".join(text.split())


def imported(template: Template, *, keeps_scripts: bool) -> Import:
    return read_page(page(template), address=ADDRESS, keeps_scripts=keeps_scripts).page


def served(imported_page: Import, places: Sequence[str] = (), **words: str) -> bytes:
    patch = patch_of(1, imported_page.outline.texts, words, angle="Today's page")
    return render_import(imported_page, patch, picked={place: f"{place}-1" for place in places}, address=OURS).html


def test_it_is_served_as_an_independent_parser_saw_it(template: Template):
    assert seen(served(imported(template, keeps_scripts=True))) == seen(page(template))


def test_our_reader_agrees_with_the_independent_parser(template: Template):
    outline, expected = imported(template, keeps_scripts=True).outline, seen(page(template))
    assert (outline.title, outline.headline) == (expected["title"], expected["h1"])
    counted = {"links": outline.links, "buttons": outline.buttons, "forms": outline.forms}
    assert {name: len(found) for name, found in counted.items()} == {name: expected[name] for name in counted}


def test_without_its_scripts_it_loses_nothing_else(template: Template):
    before, after = seen(page(template)), seen(served(imported(template, keeps_scripts=False)))
    assert {**before, "text": ""} == {**after, "text": ""}
    assert LexborHTMLParser(served(imported(template, keeps_scripts=False))).css("script") != []


def test_no_script_is_left_but_ours(template: Template):
    tree = LexborHTMLParser(served(imported(template, keeps_scripts=False)))
    assert [node.attributes.get("src") for node in tree.css("script")] == [f"{OURS}greenhouse.js"]
    handlers = [name for node in tree.css("*") for name in node.attributes if name.startswith("on")]
    assert handlers == []


def test_its_policy_names_no_other_site(template: Template):
    named = policy(imported(template, keeps_scripts=False)).partition("form-action")[0]
    hosts = {word for word in named.replace(";", " ").split() if "." in word}
    assert hosts == {"https://www.example.com"}
    assert " https: " not in named


def test_every_text_can_be_replaced_and_only_it_changes(template: Template):
    found = imported(template, keeps_scripts=True)
    texts = [text for text in found.outline.texts if not text.is_attribute][:200]
    words = {text.id: f"Wort {number} ü" for number, text in enumerate(texts)}
    now = served(found, **words).decode()
    assert all(f"Wort {number} ü" in now for number in range(len(texts)))
    assert len(LexborHTMLParser(now).css("*")) >= len(LexborHTMLParser(page(template)).css("*")) - 20


def test_every_place_can_be_a_goal(template: Template):
    found = imported(template, keeps_scripts=True)
    outline = found.outline
    places = [*(a.id for a in outline.links), *(b.id for b in outline.buttons), *(f.id for f in outline.forms)]
    tree = LexborHTMLParser(served(found, places))
    counted = len(tree.css("[data-greenhouse]")) + len(tree.css(f'a[href^="{OURS}go/"]'))
    assert counted == len(places)


def test_it_takes_less_than_three_seconds(template: Template):
    data = page(template)
    began = time.process_time()
    served(read_page(data, address=ADDRESS).page)
    assert time.process_time() - began < MOST_SECONDS


def test_what_can_be_read_as_our_sections_is(template: Template):
    found = mapped(imported(template, keeps_scripts=False).outline, button="Get it", has_form=True)
    content = PageContent.model_validate(found.content)
    assert content.hero.headline
    assert found.taken
    assert not {text.id for text in found.taken} & {text.id for text in found.left}
