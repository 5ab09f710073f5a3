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
LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # the shape of BCP 47's common tags
LINE_BREAKS = frozenset("\n\r\t")
LINK_SCHEMES = frozenset({"http", "https", "mailto", "tel"})


def _normalise(value: object) -> object:
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


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
Link = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2000),
    AfterValidator(_refuse_hidden_characters),
    AfterValidator(_safe_link),
]
Language = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(_language)]
