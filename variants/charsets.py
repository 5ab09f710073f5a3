"""Turn the bytes of a web page into text, and say what they were.

The order is the browsers' (html.spec.whatwg.org, 13.2.3): byte order mark, header, <meta>, guess. But what is UTF-8 by
its bytes is taken as that whatever it says of itself: other encodings produce such bytes by accident next to never.

Bytes that are no UTF-8 in a page that otherwise is stay what they are: they stand in the text as surrogates (PEP 383),
and `encoded` gives them back. Every other encoding becomes UTF-8, in which any text can be said.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final

UTF_8: Final = "utf-8"
BYTE_ORDER_MARKS: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
LOOKED_AT: Final = 1024  # bytes in which a page may name its encoding
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_IN_HEADER: Final = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
# Browsers read these as what they mostly are (encoding.spec.whatwg.org, 4.2).
_MEANT: Final = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030"}
# Python knows more, among them UTF-7, in which harmless letters spell markup.
_KNOWN: Final = re.compile(
    r"utf-8|utf-16(-[bl]e)?|cp125\d|cp874|cp932|cp949|iso8859-\d+|koi8-[ru]|mac-(roman|cyrillic)|shift_jis|euc_(jp|kr)|"
    r"big5(hkscs)?|gb18030|gbk|iso2022_jp"
)
# How files begin that are sometimes sent in place of a page.
_MAGIC: Final = {
    b"%PDF": "a PDF file", b"\x89PNG": "a picture", b"GIF8": "a picture", b"\xff\xd8\xff": "a picture",
    b"RIFF": "a picture, a film or a sound", b"PK\x03\x04": "a packed file", b"\x1f\x8b": "a packed file",
    b"OggS": "a sound", b"\x7fELF": "a program", b"MZ": "a program",
}  # fmt: skip


class NotText(ValueError):
    """The bytes are no text; the message says what they are, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    text: str  # may hold surrogates, see above
    charset: str  # what it was: "utf-8", "cp1252", …
    strange_bytes: int = 0  # bytes that are no UTF-8 in a page that is


def decoded(data: bytes, content_type: str = "") -> Decoded:
    """Read a page; `content_type` is the header it came with. Raise NotText."""
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise NotText(f"This is {what}, not a web page.")
    charset = _charset(data, content_type)
    if not charset.startswith("utf-16") and b"\0" in data:
        raise NotText("This is no text: it holds bytes that stand in no web page.")
    if charset == UTF_8:
        text = data.decode(UTF_8, "surrogateescape")
        return Decoded(text=text, charset=UTF_8, strange_bytes=sum("\udc80" <= sign <= "\udcff" for sign in text))
    return Decoded(text=data.decode(charset, "replace").removeprefix("\ufeff"), charset=charset)


def encoded(text: str) -> bytes:
    return text.encode(UTF_8, "surrogateescape")


def readable(text: str) -> str:
    """Return a part of a page's text for people and databases: what is no text becomes a replacement sign."""
    return text.encode(UTF_8, "surrogateescape").decode(UTF_8, "replace")


def _charset(data: bytes, content_type: str) -> str:
    for mark, name in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return name
    if _is_utf_8(data):
        return UTF_8
    named = _named(_IN_HEADER.search(content_type)) or _named(_META.search(data[:LOOKED_AT]))
    if named and named != UTF_8:
        return named
    # It claims to be UTF-8, or nothing. A page with some letters beyond ASCII in order is one with a few bad bytes.
    loose = data.decode(UTF_8, "surrogateescape")
    is_mostly = any(not sign.isascii() and not "\udc80" <= sign <= "\udcff" for sign in loose)
    return UTF_8 if is_mostly else "cp1252"


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode(UTF_8)
    except UnicodeDecodeError:
        return False
    return True


def _named(found: "re.Match[str] | re.Match[bytes] | None") -> str:
    """Return Python's name of an encoding that a page may have; empty for others."""
    if found is None:
        return ""
    label = found[1] if isinstance(found[1], str) else found[1].decode("ascii", "replace")
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return ""
    name = _MEANT.get(name, name)
    # A page whose <meta> was read byte by byte is not UTF-16, whatever it says there.
    return "" if name.startswith("utf-16") or not _KNOWN.fullmatch(name) else name
