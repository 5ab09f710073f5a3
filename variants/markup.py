"""Turn HTML source into tags, texts and comments that know where they stand, so that a page can be changed in places.

    source ──▶ Tag | Text | Other, in order, without gaps: source[item.start:item.end] joined is the source again

It follows the tokenizer of the HTML standard (html.spec.whatwg.org, 13.2.5), with scripting on, as far as that decides
where a tag begins and ends. No tree is built: parsers that build one (html5lib, lexbor) do not say where a thing stood,
and html.parser says it in lines and columns and reads scripts by rules of its own that changed between its releases.
Nothing here recurses or looks at a character more than a few times, however broken the page is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from typing import Final

MOST_TAGS: Final = 200_000  # a landing page has hundreds; it bounds the time a hostile one takes

VOID: Final = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
})  # fmt: skip
# What these hold is no markup. With scripting on, that goes for noscript as well.
RAW: Final = frozenset({
    "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp",
})  # fmt: skip
FOREIGN: Final = frozenset({"svg", "math"})
# Inside a drawing or formula these hold HTML again ...
INTEGRATION: Final = frozenset({"foreignobject", "desc", "title", "mi", "mo", "mn", "ms", "mtext", "annotation-xml"})
# ... and these end it (13.2.6.5).
BREAKOUT: Final = frozenset({
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
    "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var",
})  # fmt: skip

_NAME: Final = re.compile(r"[A-Za-z][^\t\n\f\r />]*")
_GAP: Final = re.compile(r"[\t\n\f\r /]*")
_ATTRIBUTE_NAME: Final = re.compile(r"=?[^\t\n\f\r />=]*")
_EQUALS: Final = re.compile(r"[\t\n\f\r ]*=[\t\n\f\r ]*")
_UNQUOTED: Final = re.compile(r"[^\t\n\f\r >]*")
_COMMENT_END: Final = re.compile(r"--!?>")
_SCRIPT_PART: Final = re.compile(r"<!--|-->|<(/?)script(?=[\t\n\f\r />])", re.IGNORECASE)
_RAW_END: Final = {name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE) for name in RAW - {"plaintext"}}


class TooManyTags(ValueError):
    """The page has more tags than any page for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    name: str  # in small letters
    value: str  # with character references resolved
    start: int  # of the name
    value_start: int  # of the value with its quotes; where there is none, the end of the name
    end: int


@dataclass(frozen=True, kw_only=True)
class Tag:
    start: int
    end: int
    name: str  # in small letters
    is_end: bool
    is_foreign: bool = False  # belongs to a drawing or formula
    is_self_closing: bool = False
    attributes: tuple[Attribute, ...] = ()

    @property
    def name_end(self) -> int:
        return self.start + len(self.name) + (2 if self.is_end else 1)

    @cached_property
    def _by_name(self) -> dict[str, Attribute]:
        # Of two attributes of one name the first counts.
        return {attribute.name: attribute for attribute in reversed(self.attributes)}

    def find(self, name: str) -> Attribute | None:
        return self._by_name.get(name)

    def get(self, name: str) -> str:
        found = self._by_name.get(name)
        return found.value if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    start: int
    end: int
    holder: str = ""  # the raw element whose content it is: "script", "title" …; empty for the page's own text


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A comment, a doctype, or what a browser drops."""

    start: int
    end: int
    is_doctype: bool = False


type Item = Tag | Text | Other


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    name: str
    holds_foreign: bool


@dataclass(slots=True)
class OpenElements:
    """The elements that are open where the reader stands, as far as that decides how the next tag is read."""

    stack: list[Open] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)  # how many of each name are open

    @property
    def is_foreign(self) -> bool:
        return bool(self.stack) and self.stack[-1].holds_foreign

    def starts(self, name: str, *, is_self_closing: bool) -> bool:
        """Take note of a start tag and tell whether it belongs to a drawing or formula."""
        if self.is_foreign and name in BREAKOUT:
            while self.is_foreign:
                self.pop()
        is_foreign = self.is_foreign or name in FOREIGN
        if (is_foreign and is_self_closing) or (not is_foreign and name in VOID):
            return is_foreign
        self.stack.append(Open(name=name, holds_foreign=is_foreign and name not in INTEGRATION))
        self.numbers[name] = self.numbers.get(name, 0) + 1
        return is_foreign

    def ends(self, name: str) -> int:
        """Close the innermost element of that name and what is open in it; return how many were closed."""
        if not self.numbers.get(name):
            return 0
        closed = 1
        while self.pop() != name:
            closed += 1
        return closed

    def pop(self) -> str:
        name = self.stack.pop().name
        self.numbers[name] -= 1
        return name


def items_of(source: str) -> Iterator[Item]:
    """Return what the source consists of. Raise TooManyTags."""
    elements, tags, at, text_from = OpenElements(), 0, 0, 0
    while (found := source.find("<", at)) >= 0:
        item = _item_at(source, found, elements)
        if item is None:  # a sign that means itself, as in "a < b"
            at = found + 1
            continue
        if text_from < found:
            yield Text(start=text_from, end=found)
        yield item
        at = text_from = item.end
        if isinstance(item, Tag):
            tags += 1
            if tags > MOST_TAGS:
                raise TooManyTags(f"the page has more than {MOST_TAGS:,} tags")
            if (raw := _raw_text(source, item)) is not None:
                yield raw
                at = text_from = raw.end
    if text_from < len(source):
        yield Text(start=text_from, end=len(source))


def _item_at(source: str, at: int, elements: OpenElements) -> Item | None:
    """Return what begins with the "<" at `at`; None where it is only a sign."""
    following = source[at + 1 : at + 2]
    if following == "!":
        return _declaration(source, at, is_foreign=elements.is_foreign)
    if following == "?":
        return _until(source, at, ">")
    if following == "/":
        if _is_letter(source[at + 2 : at + 3]):
            return _tag(source, at, elements, is_end=True)
        return _until(source, at, ">") if at + 2 < len(source) else None
    return _tag(source, at, elements, is_end=False) if _is_letter(following) else None


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _until(source: str, at: int, ending: str) -> Other:
    found = source.find(ending, at)
    return Other(start=at, end=found + len(ending) if found >= 0 else len(source))


def _declaration(source: str, at: int, *, is_foreign: bool) -> Item:
    if source.startswith("<!--", at):
        if source.startswith((">", "->"), at + 4):  # "<!-->" and "<!--->" are whole comments
            return _until(source, at, ">")
        ending = _COMMENT_END.search(source, at + 4)
        return Other(start=at, end=ending.end() if ending else len(source))
    if is_foreign and source.startswith("<![CDATA[", at):
        return _until(source, at, "]]>")
    end = _until(source, at, ">").end
    return Other(start=at, end=end, is_doctype=source[at + 2 : at + 9].lower() == "doctype")


def _tag(source: str, at: int, elements: OpenElements, *, is_end: bool) -> Item:
    name_start = at + (2 if is_end else 1)
    matched = _NAME.match(source, name_start)
    if matched is None:  # the caller saw its first letter
        raise ValueError(f"no tag at {at}")
    name = matched[0].lower()
    attributes, end, is_self_closing = _attributes(source, matched.end())
    if end < 0:  # the source ends inside the tag, so there is none
        return Other(start=at, end=len(source))
    is_foreign = elements.is_foreign
    if is_end:
        elements.ends(name)
    else:
        is_foreign = elements.starts(name, is_self_closing=is_self_closing)
    return Tag(
        start=at,
        end=end,
        name=name,
        is_end=is_end,
        is_foreign=is_foreign,
        is_self_closing=is_self_closing,
        attributes=tuple(attributes),
    )


def _attributes(source: str, at: int) -> tuple[list[Attribute], int, bool]:
    """Return a tag's attributes, where it ends (-1 if it does not), and whether it closes itself."""
    found: list[Attribute] = []
    while True:
        gap_start, at = at, _end_of(_GAP, source, at)
        if at >= len(source):
            return found, -1, False
        if source[at] == ">":
            return found, at + 1, at > gap_start and source[at - 1] == "/"
        attribute = _attribute(source, at)
        if attribute is None:
            return found, -1, False
        found.append(attribute)
        at = attribute.end


def _attribute(source: str, start: int) -> Attribute | None:
    """Return the attribute that begins at `start`; None if the source ends within it."""
    name_end = _end_of(_ATTRIBUTE_NAME, source, start)
    name = source[start:name_end].lower()
    equals = _EQUALS.match(source, name_end)
    if equals is None:
        return Attribute(name=name, value="", start=start, value_start=name_end, end=name_end)
    value_start = equals.end()
    quote = source[value_start : value_start + 1]
    if quote in {'"', "'"}:
        closing = source.find(quote, value_start + 1)
        if closing < 0:
            return None
        value, end = source[value_start + 1 : closing], closing + 1
    else:
        end = _end_of(_UNQUOTED, source, value_start)
        value = source[value_start:end]
    return Attribute(name=name, value=_resolved(value), start=start, value_start=value_start, end=end)


def _resolved(value: str) -> str:
    return unescape(value) if "&" in value else value


def _end_of(pattern: re.Pattern[str], source: str, at: int) -> int:
    matched = pattern.match(source, at)
    return matched.end() if matched else at


def _raw_text(source: str, tag: Tag) -> Text | None:
    """Return the content of an element that holds no markup."""
    if tag.is_end or tag.is_foreign or tag.name not in RAW:
        return None
    if tag.name == "plaintext":
        end = len(source)
    elif tag.name == "script":
        end = _end_of_script(source, tag.end)
    else:
        ending = _RAW_END[tag.name].search(source, tag.end)
        end = ending.start() if ending else len(source)
    return Text(start=tag.end, end=end, holder=tag.name)


def _end_of_script(source: str, at: int) -> int:
    """Return where a script's end tag begins; one inside `<!-- <script>` is not it (13.2.5.15 and on)."""
    is_escaped = is_twice_escaped = False
    while found := _SCRIPT_PART.search(source, at):
        at = found.end()
        if found[0] == "<!--":
            is_escaped = True
            at = found.start() + 2  # its own dashes may close it: "<!-->"
        elif found[0] == "-->":
            is_escaped = is_twice_escaped = False
        elif not found[1]:
            is_twice_escaped = is_escaped
        elif is_twice_escaped:
            is_twice_escaped = False
        else:
            return found.start()
    return len(source)
