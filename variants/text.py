"""The kinds of text that people and models may write, each with its limits.

Text is data: no control characters (the renderer uses NUL to mark form places), no direction overrides
(they make a sentence read as another), trimmed, in Unicode NFC so that equal words are equal strings.
"""

import re
import unicodedata
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

# Unicode TR36 section 3.2: characters that reorder what stands around them.
DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
# Zero-width non-joiner and joiner (needed in Persian, Indic scripts and emoji), zero-width space, word joiner, BOM.
JOINERS = frozenset("\u200c\u200d\u200b\u2060\ufeff")
LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # the shape of BCP 47's common tags
LINE_BREAKS = frozenset("\n\r\t")
LINK_SCHEMES = frozenset({"http", "https", "mailto", "tel"})


def _normalise(value: object) -> object:
    if not isinstance(value, str):
        return value
    return _without_stray_joiners(unicodedata.normalize("NFC", value)).strip()


def _without_stray_joiners(value: str) -> str:
    """Drop joiners that join nothing: they show as nothing, and make equal words differ and empty words look full."""
    if not any(joiner in value for joiner in JOINERS):
        return value
    between = zip(f" {value}", value, f"{value[1:]} ", strict=False)
    return "".join(
        character
        for before, character, after in between
        if character not in JOINERS or (_can_join(before) and _can_join(after))
    )


def _can_join(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMS"  # letters, their marks, and symbols such as emoji


def _refuse_empty(value: str) -> str:
    # Format characters such as the zero-width space are no text either: a name of nothing else cannot be seen.
    if not any(unicodedata.category(character)[0] not in "CZ" for character in value):
        raise ValueError("is empty; write something")
    return value


def _refuse_hidden_characters(value: str) -> str:
    for character in value:
        hidden = unicodedata.category(character) in {"Cc", "Cs"} and character not in LINE_BREAKS
        if hidden or character in DIRECTION_OVERRIDES:
            raise ValueError(f"contains the hidden character U+{ord(character):04X}; remove it")
    return value


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _language(value: str) -> str:
    if not LANGUAGE_CODE.fullmatch(value):
        raise ValueError(f"{value!r} is no language code; use one such as en or de-CH")
    return value


def _safe_link(value: str) -> str:
    if any(character.isspace() for character in value):
        raise ValueError(f"{value!r} holds white space; a link has none")
    parts = urlsplit(value)
    if parts.scheme not in LINK_SCHEMES or (parts.scheme in {"http", "https"} and not parts.hostname):
        raise ValueError(f"{value!r} is not a link; start it with https:// (or mailto:, tel:)")
    if parts.scheme in {"http", "https"} and "@" in parts.netloc:
        # https://shop.example:page@elsewhere.example/ leads to elsewhere.example.
        raise ValueError(f"{value!r} names a user before its host, which hides where it leads; leave that out")
    return value


# A single line: runs of white space become one space. Limits are given where the type is used.
Line = Annotated[
    str,
    BeforeValidator(_normalise),
    AfterValidator(_refuse_hidden_characters),
    AfterValidator(_one_line),
    AfterValidator(_refuse_empty),
]
# A longer text that may hold line breaks.
Paragraph = Annotated[
    str, BeforeValidator(_normalise), AfterValidator(_refuse_hidden_characters), AfterValidator(_refuse_empty)
]
# The same, or nothing.
OptionalLine = Annotated[
    str, BeforeValidator(_normalise), AfterValidator(_refuse_hidden_characters), AfterValidator(_one_line)
]
Link = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2000),
    AfterValidator(_refuse_hidden_characters),
    AfterValidator(_safe_link),
]
Language = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(_language)]
