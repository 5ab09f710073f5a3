"""The kinds of text that people and models may write, each with its limits.

Text is data: no control characters (the renderer uses NUL to mark form places), no direction overrides
(they make a sentence read as another), trimmed, in Unicode NFC so that equal words are equal strings.
"""

import unicodedata
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

# Unicode TR36 section 3.2: characters that reorder what stands around them.
DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
LINE_BREAKS = frozenset("\n\r\t")
LINK_SCHEMES = frozenset({"http", "https", "mailto", "tel"})


def _normalise(value: object) -> object:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _refuse_hidden_characters(value: str) -> str:
    for character in value:
        hidden = unicodedata.category(character) in {"Cc", "Cs"} and character not in LINE_BREAKS
        if hidden or character in DIRECTION_OVERRIDES:
            raise ValueError(f"contains the hidden character U+{ord(character):04X}; remove it")
    return value


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _safe_link(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in LINK_SCHEMES or (parts.scheme in {"http", "https"} and not parts.hostname):
        raise ValueError(f"{value!r} is not a link; start it with https:// (or mailto:, tel:)")
    return value


# A single line: runs of white space become one space. Limits are given where the type is used.
Line = Annotated[
    str,
    BeforeValidator(_normalise),
    StringConstraints(strip_whitespace=True, min_length=1),
    AfterValidator(_refuse_hidden_characters),
    AfterValidator(_one_line),
]
# A longer text that may hold line breaks.
Paragraph = Annotated[
    str,
    BeforeValidator(_normalise),
    StringConstraints(strip_whitespace=True, min_length=1),
    AfterValidator(_refuse_hidden_characters),
]
Link = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(_refuse_hidden_characters),
    AfterValidator(_safe_link),
]
