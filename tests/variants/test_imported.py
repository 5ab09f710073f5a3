"""An imported page: what is read from it, what is changed in it, and that nothing else is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from variants.charsets import encoded
from variants.disarm import disarmed
from variants.imported import Import, applied, edits_of, policy, render_import, render_picker, render_preview
from variants.importing import CannotImport, Reading, read_page
from variants.outline import outline_as_json, outline_from_json, outline_of
from variants.patches import BadPatch, PatchContent, patch_of

ADDRESS = "https://pages.example.net/p/spring/"
SOURCE = """<!DOCTYPE html>
<html lang="de"><head><meta charset="utf-8"><title>Grüße &amp; mehr</title>
<link rel="stylesheet" href="css/a.css"><link rel=preconnect href="https://fonts.example">
</head><body>
<h1>Schöne <b>Pflanzen</b> 🌱</h1>
<p>Für jeden Garten &mdash; auch kleine.</p>
<a class="btn btn-primary" href="/buy?x=1&amp;y=2">Start free trial</a> <a href='#more'>More</a>
<form id=f><input name=email placeholder="Your e-mail"><button>Send it</button></form>
<p>Ende</p></body></html>
"""


def read(source: str | bytes = SOURCE, **options: object) -> Reading:
    data = source if isinstance(source, bytes) else source.encode()
    return read_page(data, **{"address": "https://www.example.com/a/page.html", **options})  # type: ignore[arg-type]


def patch(page: Import, **words: str) -> PatchContent:
    return patch_of(1, page.outline.texts, words, angle="speed")


def served(page: Import, picked: dict[str, str] | None = None, **words: str) -> str:
    return render_import(page, patch(page, **words), picked=picked or {}, address=ADDRESS).html.decode()


def test_what_stands_on_the_page_is_found():
    outline = read().page.outline
    assert (outline.title, outline.headline, outline.language) == ("Grüße & mehr", "Schöne Pflanzen 🌱", "de")
    assert [(text.kind, text.text) for text in outline.texts] == [
        ("browser title", "Grüße & mehr"), ("headline", "Schöne Pflanzen 🌱"),
        ("text", "Für jeden Garten — auch kleine."), ("button", "Start free trial"), ("link", "More"),
        ("label", "Your e-mail"), ("button", "Send it"), ("text", "Ende"),
    ]  # fmt: skip
    assert [link.label for link in outline.links] == ["Start free trial", "More"]
    assert [(form.label, form.fields) for form in outline.forms] == [("Send it", ("Your e-mail",))]


def test_places_are_right_behind_letters_of_any_width():
    for text in read().page.outline.texts:
        assert SOURCE[text.start : text.end].strip()
        assert text.text.split()[0].split("ü")[0] in SOURCE[text.start : text.end]


def test_a_page_without_relative_addresses_gets_one_insertion_and_nothing_else():
    source = "<html><head><title>Hi</title></head><body><h1>Hé</h1><a href=https://x.example/>x</a></body></html>"
    page = read(source, address="").page
    assert served(page) == source.replace("<head>", '<head><script src="greenhouse.js" defer></script>')


def test_every_difference_is_one_of_the_listed_changes():
    page = read().page
    after = served(page, {"a1": "a1-7", "f1": "f1-7"}, t2="Neu", t6='Ihre "E-Mail"')
    expected = SOURCE.replace(
        "<head>",
        f'<head><base href="https://www.example.com/a/page.html"><script src="{ADDRESS}greenhouse.js" defer></script>',
    )
    for before, now in {
        "Schöne <b>Pflanzen</b> 🌱": "Neu",
        '<link rel=preconnect href="https://fonts.example">': "<!---->",
        'href="/buy?x=1&amp;y=2"': f'href="{ADDRESS}go/a1-7"',
        "href='#more'": f'href="{ADDRESS}#more"',
        "<form id=f>": '<form data-greenhouse="f1-7" action="https://www.example.com/a/page.html" id=f>',
        '"Your e-mail"': '"Ihre &quot;E-Mail&quot;"',
    }.items():
        assert expected.count(before) == 1
        expected = expected.replace(before, now)
    assert sorted(after) == sorted(expected)
    assert (
        after.replace(
            ' action="https://www.example.com/a/page.html" data-greenhouse="f1-7"',
            ' data-greenhouse="f1-7" action="https://www.example.com/a/page.html"',
        )
        == expected
    )


def test_bytes_that_are_no_letters_stay_what_they_are():
    source = "<h1>Grün</h1><p>a".encode() + b"\xff\xfe" + b"b</p>"
    page = read(source, address="").page
    assert encoded(applied(page.source, [])) == source
    assert page.outline.texts[1].text == "a\ufffd\ufffdb"
    assert b"\xff\xfe" in render_import(page, patch(page), picked={}, address=ADDRESS).html


def test_another_encoding_becomes_utf_8_and_says_so():
    reading = read('<meta charset="iso-8859-1"><h1>Grün</h1>'.encode("latin-1"))
    assert reading.page.outline.headline == "Grün"
    assert any("cp1252" in remark for remark in reading.remarks)


@pytest.mark.parametrize(
    ("source", "header", "headline"),
    [
        ("<h1>Grün</h1>".encode(), "text/html; charset=iso-8859-1", "Grün"),
        ("<h1>Grün</h1>".encode("latin-1"), "text/html; charset=utf-8", "Grün"),
        ("<h1>Привет</h1>".encode("cp1251"), "text/html; charset=windows-1251", "Привет"),
        ("<h1>日本</h1>".encode("shift_jis"), "text/html; charset=Shift_JIS", "日本"),
        ("<h1>Grün</h1>".encode("utf-16"), "", "Grün"),
        ("\ufeff<h1>Grün</h1>".encode(), "", "Grün"),
        (b"+ADw-h1+AD4-<h1>x</h1>", "text/html; charset=utf-7", "x"),
    ],
)
def test_the_encoding_is_found(source: bytes, header: str, headline: str):
    assert read(source, content_type=header).page.outline.headline == headline


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "nothing"), (b" \n\t", "nothing"), (b"\0\0\0", "nothing"), (b"Just some words", "no HTML"),
        (b"%PDF-1.7 ...", "PDF"), (b"\x89PNG\r\n\x1a\n....", "picture"), (b"PK\x03\x04....", "packed"),
        (b"<p>\0\0\0\0</p>" + bytes(range(256)), "no text"),
        (b"<div id=root></div><script src=a.js></script>", "No text"),
        (b"x" * 10_000_001, "10.0 MB"), (b"<b>" * 300_000, "too much"),
        (b'{"json": true}', "no HTML"),
    ],
)  # fmt: skip
def test_hopeless_input_gets_a_message(source: bytes, said: str):
    with pytest.raises(CannotImport, match=said):
        read(source)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://u:p@x.example/", "ftp://x/", "//x", "x.example"])
def test_an_address_that_is_none_gets_a_message(address: str):
    with pytest.raises(CannotImport, match="https://"):
        read(address=address)


@pytest.mark.parametrize(
    "source",
    [
        "<div>" * 5_000 + "deep" + "</div>" * 5_000,
        "<b>" * 5_000 + "never closed",
        "<h1><a><button><p><li><td>all <i>open",
        "<table><tr><td>x<table><tr><td>y<h1>in a table",
        "</div></p></h1>closed <p>before it began",
        "<p>" + "x" * 9_900_000,
        "<svg>" * 3_000 + "<p>out",
        "<a href=x>" * 5_000 + "nested",
        "<title>never closed<h1>x",
    ],
    ids=lambda source: source[:12],
)
def test_broken_pages_come_out_whole(source: str):
    page = read(source, address="").page
    assert source in served(page) or source == page.source


def test_scripts_are_taken_out_and_counted():
    reading = read("<h1 onclick='x()'>a</h1><script>1</script><a href=javascript:x()>b</a><embed src=x>")
    assert reading.page.source == '<h1  >a</h1><!----><a  href="#">b</a><!---->'
    assert not reading.page.outline.has_scripts
    assert "scripts (1)" in reading.remarks[0]


@given(st.lists(st.sampled_from([
    "<script>", "</script>", "<", "scr", "ipt>", "<img src=x onerror=alert(1)>", "<svg>", "<style>", "</style>", "<!--",
    "-->", "<noscript>", "</noscript>", "<title>", "</title>", '"', "'", "<a href=", "javascript:x", ">", " onload=y",
    "<math>", "<mtext>", "<table>", "<template>", "<![CDATA[", "]]>", "<p>",
]), max_size=25).map("".join))  # fmt: skip
def test_what_was_disarmed_stays_disarmed(source: str):
    once = disarmed(source).source
    assert disarmed(once).source == once


def test_a_page_with_its_scripts_keeps_them():
    page = read(SOURCE.replace("</body>", "<script>a()</script></body>"), keeps_scripts=True).page
    assert page.keeps_scripts
    assert "<script>a()</script>" in served(page)
    assert "'unsafe-inline'" in policy(page).partition("script-src")[2].partition(";")[0]


def test_without_scripts_the_policy_lets_none_run():
    page = read().page
    assert "script-src 'self'; connect-src 'self'" in policy(page)
    assert "https: " not in policy(page).partition("form-action")[0]


def test_other_sites_are_asked_only_if_that_was_chosen():
    source = SOURCE.replace("</head>", "<link rel=stylesheet href=//cdn.example/x.css></head>")
    page = read(source).page
    assert page.outline.others(page.base) == ("cdn.example", "fonts.example")
    assert "cdn.example" in " ".join(read(source).remarks)
    assert " https: " not in policy(page).partition("form-action")[0]
    assert " https: " in policy(read(source, allows_others=True).page).partition("form-action")[0]


def test_previews_have_an_origin_of_their_own_and_nothing_of_ours():
    page = read(SOURCE.replace("</body>", "<script>a()</script></body>"), keeps_scripts=True).page
    shown = render_preview(page, patch(page))
    assert shown.csp.startswith("sandbox allow-scripts; ")
    assert "allow-same-origin" not in shown.csp
    assert "'self'" not in shown.csp.replace("frame-ancestors 'self'", "")
    assert b"greenhouse.js" not in shown.html
    assert render_preview(read().page, patch(read().page)).csp.startswith("sandbox; ")


def test_the_picker_marks_everything_that_can_be_picked_and_runs_only_ours():
    page = read(SOURCE.replace("</body>", "<script>a()</script></body>"), keeps_scripts=True).page
    shown = render_picker(page, patch(page), script="ours()", nonce="n")
    tree = LexborHTMLParser(shown.html)
    marked = [str(node.attributes["data-greenhouse"]) for node in tree.css("[data-greenhouse]")]
    assert sorted(marked) == ["a1", "a2", "b1", "f1"]
    assert [node.text() for node in tree.css("script")] == ["ours()"]
    assert "script-src 'nonce-n'" in shown.csp


def test_words_are_escaped_where_they_stand():
    page = read().page
    after = served(page, t1="</title><script>x", t2="<img onerror=x>", t6='"><b>')
    tree = LexborHTMLParser(after)
    assert tree.css("title")[0].text() == "</title><script>x"
    assert tree.css("h1")[0].text() == "<img onerror=x>"
    assert tree.css("input")[0].attributes["placeholder"] == '"><b>'
    assert tree.css_first("img") is None


@pytest.mark.parametrize(("id_", "words", "said"), [("t99", "x", "no text"), ("t4", "x" * 41, "at most 40")])
def test_a_patch_must_fit(id_: str, words: str, said: str):
    with pytest.raises(BadPatch, match=said):
        patch(read().page, **{id_: words})


def test_a_patch_drops_what_it_does_not_change():
    page = read().page
    made = patch(page, t2="Neu", t8="Ende")
    assert (made.texts, made.headline, made.call_to_action) == ({"t2": "Neu"}, "Neu", "Start free trial")


def test_the_outline_is_the_same_after_it_was_stored():
    outline = read().page.outline
    assert outline_from_json(outline_as_json(outline)) == outline


def test_edits_never_overlap_whatever_is_picked():
    page = read(SOURCE * 3).page
    draw = random.Random(1)
    ids = [text.id for text in page.outline.texts]
    outline = page.outline
    places = [*(a.id for a in outline.links), *(b.id for b in outline.buttons), *(f.id for f in outline.forms)]
    for _ in range(50):
        words = dict.fromkeys(draw.sample(ids, 5), "Neu")
        picked = {place: f"{place}-1" for place in draw.sample(places, 3)}
        applied(page.source, edits_of(page, patch(page, **words), picked=picked, address=ADDRESS))


def test_an_own_base_is_heeded():
    page = read('<head><base href="/deep/"></head><h1>x</h1><a href="y">z</a>').page
    assert page.base == "https://www.example.com/deep/"
    assert page.destination(page.outline.links[0]) == "https://www.example.com/deep/y"


def test_an_icon_font_is_no_text():
    assert [text.text for text in outline_of('<p><i class="material-icons">apps</i> Apps</p>').texts] == ["Apps"]
