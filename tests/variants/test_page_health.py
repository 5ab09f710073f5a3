"""What can be told of a page without a browser, and how faults are put in words."""

import pytest

from variants.page_health import Expected, Fault, added, field_of, findings_of, static_faults

OWN = Expected(links={"cta", "more"}, fields={"email"}, is_form=True)
PAGE = """<!doctype html><html lang="en"><head><title>Letters</title><link rel="icon" href="data:,">
<script src="greenhouse.js" defer></script></head><body><h1>Find letters</h1><img src="i/a.png" alt="A letter">
<a href="go/more">More</a> <a href="#form">Send</a> <a href="https://brand.example/privacy">Privacy</a>
<form id="form" method="post" action="form"><label for="e">E-mail</label><input id="e" name="email" type="email">
<label>Agreed <input type="checkbox" hidden></label><button>Send</button></form></body></html>"""
PAGE = PAGE.replace('<label>Agreed <input type="checkbox" hidden></label>', "")


def kinds(page: str, expected: Expected | None = OWN) -> list[str]:
    return [fault.kind for fault in static_faults(page.encode(), expected)]


PLANTED = {
    "70 kB": (PAGE.replace("</form>", f"</form><p>{'words ' * 11_700}</p>"), "weight"),
    "a style sheet to fetch": (PAGE.replace("<title>", '<link rel="stylesheet" href="a.css"><title>'), "requests"),
    "a frame to fetch": (PAGE.replace("<form", '<iframe src="a.html"></iframe><form'), "requests"),
    "a font from elsewhere": (PAGE.replace("greenhouse.js", "https://fonts.example/a.js"), "third_party"),
    "a picture from elsewhere": (PAGE.replace("i/a.png", "//cdn.example/a.png"), "third_party"),
    "two main headings": (PAGE.replace("<img", "<h1>Again</h1><img"), "headings"),
    "no main heading": (PAGE.replace("h1>", "h2>"), "headings"),
    "no title": (PAGE.replace("Letters", " "), "title"),
    "no language": (PAGE.replace(' lang="en"', ""), "page_language"),
    "a picture without words": (PAGE.replace(' alt="A letter"', ""), "alt"),
    "a field without a label": (PAGE.replace('for="e"', ""), "labels"),
    "a link to a part that is not there": (PAGE.replace("#form", "#elsewhere"), "links"),
    "a link that is not known": (PAGE.replace("go/more", "go/less"), "links"),
    "a link with a script": (PAGE.replace("go/more", "javascript:alert(1)"), "links"),
    "a link without an address": (PAGE.replace("go/more", ""), "links"),
    "a form sent elsewhere": (PAGE.replace('action="form"', 'action="https://x.example/"'), "sending"),
    "a form sent by its address": (PAGE.replace('method="post"', ""), "sending"),
    "a field that the brief has not got": (PAGE.replace('name="email"', 'name="mail"'), "sending"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_fault_is_named_and_nothing_else_is(name):
    page, kind = PLANTED[name]
    assert set(kinds(page)) == {kind}


def test_a_page_without_faults_has_none():
    assert kinds(PAGE) == []


def test_a_page_as_light_as_it_may_be_heavy_passes():
    filled = PAGE.replace("</body>", "<!--" + "x" * (60_000 - len(PAGE) - 7) + "--></body>")
    assert len(filled) == 60_000
    assert kinds(filled) == []


def test_an_imported_pages_links_are_its_owners_business():
    assert kinds(PAGE.replace("go/more", "about.html"), None) == []


def test_more_tags_than_any_page_for_people_has_are_not_read():
    assert kinds("<b>" * 300_000) == ["unchecked"]


def test_the_same_fault_at_several_widths_is_one_finding_that_names_them():
    faults = [Fault(kind="overflow", words="Far too long", place="a", width=width) for width in (320, 768)]
    (finding,) = findings_of(faults, [("sections.0.headline", "far  too long")])
    assert finding.field == "sections.0.headline"
    assert "a small phone (320 pixels wide) and on a tablet" in finding.reason
    assert finding.blocks


def test_of_one_kind_five_are_told():
    assert len(findings_of([Fault(kind="contrast", words=str(n), place=str(n)) for n in range(9)])) == 5


def test_what_was_there_before_is_not_added_and_the_same_elsewhere_is():
    before = [Fault(kind="contrast", place="p:1", words="Old")]
    now = [Fault(kind="contrast", place="p:1", words="New"), Fault(kind="contrast", place="p:2", words="New")]
    assert added(now, before) == now[1:]


@pytest.mark.parametrize(
    ("words", "field"), [("Buy now", "a"), ("Buy", ""), ("something longer", "b"), ("nowhere at all", ""), ("", "")]
)
def test_words_are_traced_to_the_field_that_says_them(words, field):
    assert field_of(words, [("a", "Buy now"), ("b", "There is something longer here")]) == field
