"""The reader of HTML source: everything keeps its place, and tags begin and end where browsers say."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variants.markup import MOST_TAGS, Tag, Text, TooManyTags, items_of

PIECES = ["<", ">", "/", "a", "<b", "</b>", "<script>", "</script>", "<!--", "-->", "--!>", '"', "'", "=", " ", "\n",
          "<svg>", "<style>", "</style>", "<![CDATA[", "]]>", "<title>", "<p x=", "ü", "🌱",
          "<!doctype html>", "&lt;", "<?", "</", "<textarea>", "<noscript>"]  # fmt: skip


def names(source: str) -> list[str]:
    return [f"/{item.name}" if item.is_end else item.name for item in items_of(source) if isinstance(item, Tag)]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60))
def test_the_items_are_the_source_without_gaps(source: str):
    items = list(items_of(source))
    assert "".join(source[item.start : item.end] for item in items) == source
    assert all(before.end == after.start for before, after in pairwise(items))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b <c", []),
        ("<p>a<b>c</B >d", ["p", "b", "/b"]),
        ("<!-- <p> --><b>", ["b"]),
        ("<!--><b>", ["b"]),
        ("<!-- <p> --!><b>", ["b"]),
        ("<? <b> ?><i>", ["i"]),
        ("</ b><i>", ["i"]),
        ("<script>'<b>'</script x><i>", ["script", "/script", "i"]),
        ("<script></scripts></script><i>", ["script", "/script", "i"]),
        ("<script><!--<script></script>--></script><i>", ["script", "/script", "i"]),
        ("<script><!--></script><i>", ["script", "/script", "i"]),
        ("<style><b></style><i>", ["style", "/style", "i"]),
        ("<svg><style><i></style>", ["svg", "style", "i", "/style"]),
        ("<svg><![CDATA[<b>]]></svg>", ["svg", "/svg"]),
        ("<![CDATA[<b>]]><i>", ["i"]),
        ("<svg><desc><style><b></style>", ["svg", "desc", "style", "/style"]),
        ("<noscript><b></noscript>", ["noscript", "/noscript"]),
        ("<plaintext><b></plaintext>", ["plaintext"]),
        ("<a href='>'><b x=\">\">", ["a", "b"]),
        ('<a href="', []),
    ],
)
def test_tags_are_those_of_the_standard(source: str, expected: list[str]):
    assert names(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<a b>", [("b", "")]),
        ("<a b = c/d e='f' g=\"&amp;h\">", [("b", "c/d"), ("e", "f"), ("g", "&h")]),
        ("<a/b/c=d>", [("b", ""), ("c", "d")]),
        ("<a =b=c>", [("=b", "c")]),
        ("<a b=>", [("b", "")]),
        ('<a HREF="x"onclick=y>', [("href", "x"), ("onclick", "y")]),
    ],
)
def test_attributes_are_those_of_the_standard(source: str, expected: list[tuple[str, str]]):
    tag = next(item for item in items_of(source) if isinstance(item, Tag))
    assert [(attribute.name, attribute.value) for attribute in tag.attributes] == expected
    for attribute in tag.attributes:
        assert source[attribute.start : attribute.end].lower().startswith(attribute.name)


def test_of_two_attributes_the_first_counts():
    tag = next(item for item in items_of("<a href=x href=y>") if isinstance(item, Tag))
    assert tag.get("href") == "x"


@pytest.mark.parametrize(
    "hostile",
    ["<" * 2_000_000, "<a " * 60_000, "<!--" * 500_000, "</x" * 500_000, '<a b="' * 300_000, "<div>" * 5_000,
     "<script>" * 200_000, "<p>" + "&" * 1_000_000, "<svg>" * 50_000 + "<p>", "<a" + " b" * 500_000 + ">",
     "<x" + "y" * 5_000_000, "<script><!--" + "<script" * 300_000],
    ids=lambda hostile: hostile[:12],
)  # fmt: skip
def test_hostile_pages_take_no_more_time_than_their_length(hostile: str):
    began = time.process_time()
    items = list(items_of(hostile))
    assert items[-1].end == len(hostile)
    assert time.process_time() - began < 300  # each would take hours if it were read over and over


def test_more_tags_than_any_page_has_are_refused():
    with pytest.raises(TooManyTags):
        list(items_of("<b>" * (MOST_TAGS + 1)))


def test_text_in_raw_elements_says_whose_it_is():
    held = [item.holder for item in items_of("<title>a</title>b<script>c</script>") if isinstance(item, Text)]
    assert held == ["title", "", "script"]
