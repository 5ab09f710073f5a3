"""What counts as text: visible, normal, without tricks."""

import pytest
from pydantic import TypeAdapter, ValidationError

from variants.text import Language, Line, Link

line = TypeAdapter[str](Line)


@pytest.mark.parametrize("nothing", ["", "  ", "\u200b", " \u200d ", "\ufeff\u2060", "\t\n"])
def test_what_cannot_be_seen_is_no_text(nothing: str):
    with pytest.raises(ValidationError, match="is empty"):
        line.validate_python(nothing)


@pytest.mark.parametrize("hidden", ["a\x00b", "a\u202eb", "a\u2066b", "\ud800"])
def test_hidden_characters_are_refused(hidden: str):
    with pytest.raises(ValidationError):
        line.validate_python(hidden)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  two \n words ", "two words"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("pass\u200bword", "pass\u200bword"),
        ("word\u200d.", "word."),
        ("\u200dword", "word"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
    ],
)
def test_words_are_kept_and_what_surrounds_them_is_tidied(given: str, kept: str):
    assert line.validate_python(given) == kept


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "//example.org",
        "https://",
        "https://a b/",
        "https://a\r\nX: y",
        "ftp://a/",
        "https://shop.example:page@elsewhere.example/",
        "https://@elsewhere.example/",
    ],
)
def test_only_plain_links_are_links(address: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Link).validate_python(address)


@pytest.mark.parametrize("code", ["klingon!", "english", "", "en_US"])
def test_a_language_is_named_by_its_code(code: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Language).validate_python(code)
