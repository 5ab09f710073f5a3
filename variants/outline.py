"""Turn a page's source into what people and models may work with: texts, links, buttons, forms, and where they stand.

Everything has an id of its kind and its number on the page: t12, a3, b1, f1. Places are in characters of the source, so
that `imported.py` can change exactly them. What cannot be seen as text (scripts, styles, drawings, icon fonts) is left
out. Approximation: nothing is known of style sheets, so a text that they hide is a text here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final, Literal, cast
from urllib.parse import urljoin, urlsplit

from pydantic import TypeAdapter

from variants.charsets import readable
from variants.disarm import is_script, is_script_address
from variants.markup import INTEGRATION, VOID, Attribute, Item, Other, Tag, Text, items_of

MOST_TEXTS: Final = 1_000  # what people can look through; the rest of a page stays as it is
MOST_LINKS: Final = 1_000
LONGEST_LABEL: Final = 80
BYTE_ORDER_MARK: Final = "\ufeff"

TextKind = Literal["browser title", "description", "headline", "title", "text", "item", "button", "link", "label"]
HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# Inside a heading these only shape its words.
SHAPING: Final = frozenset({
    "abbr", "b", "bdi", "br", "em", "font", "i", "mark", "small", "span", "strong", "sub", "sup", "u", "wbr",
})  # fmt: skip
UNSEEN: Final = frozenset({"svg", "math", "template", "select", "datalist", "object", "video", "audio", "canvas"})
KINDS: Final[dict[str, TextKind]] = {
    "button": "button", "a": "link", "li": "item", "label": "label", "legend": "label", "th": "label", "dt": "title",
    "summary": "title", "figcaption": "text", "p": "text", "h1": "headline", "h2": "title", "h3": "title",
    "h4": "title", "h5": "title", "h6": "title",
}  # fmt: skip
_BUTTON_CLASS: Final = re.compile(r"(?:^|[\s_-])(?:btn|button|cta)(?:$|[\s_-])", re.IGNORECASE)
_ICON_CLASS: Final = re.compile(r"(?:^|[\s_-])(?:icons?|fa|glyphicon)(?:$|[\s_-])", re.IGNORECASE)
_IN_STYLE: Final = re.compile(r"""(?:url\(\s*|@import\s+)["']?\s*([^"')\s]+)""", re.IGNORECASE)
_FIRST_OF_SET: Final = re.compile(r"[^\s,]\S*")
LOADING: Final = {  # what a browser fetches by itself, by tag and attribute
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "image": ("href", "xlink:href"), "img": ("src", "srcset"),
    "input": ("src",), "link": ("href",), "object": ("data",), "script": ("src",), "source": ("src", "srcset"),
    "track": ("src",), "use": ("href", "xlink:href"), "video": ("src", "poster"), "body": ("background",),
}  # fmt: skip
HINTS: Final = frozenset({"preconnect", "dns-prefetch", "prefetch", "prerender"})  # no policy forbids all of these
# Kinds of <link> that fetch nothing.
QUIET_LINKS: Final = frozenset({"alternate", "author", "canonical", "help", "license", "next", "prev", "search", "me"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PageText:
    """A text that may be replaced: source[start:end], as markup or as an attribute's value with its quotes."""

    id: str
    kind: TextKind
    text: str  # as people read it
    start: int
    end: int
    is_attribute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLink:
    id: str
    label: str
    looks_like_button: bool
    address: str  # as it stands, resolved against nothing
    start: int  # of the attribute with the address
    end: int
    name_end: int  # of the tag, where an attribute can be put


@dataclass(frozen=True, slots=True, kw_only=True)
class PageButton:
    id: str
    label: str
    name_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageForm:
    id: str
    label: str  # of its button
    fields: tuple[str, ...]  # names of what it asks for, as people read them
    action: str | None
    name_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A <link> that has the browser connect to another site before anything is asked of it."""

    address: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    language: str
    title: str
    headline: str  # of its first h1
    texts: tuple[PageText, ...]
    links: tuple[PageLink, ...]
    buttons: tuple[PageButton, ...]
    forms: tuple[PageForm, ...]
    head_at: int  # where something can be put that has to come first
    own_base: str | None  # the page's own <base>, if it has one
    has_relative_addresses: bool
    addresses: tuple[str, ...]  # of what it loads by itself
    hints: tuple[Hint, ...]
    has_scripts: bool

    def others(self, base: str | None) -> tuple[str, ...]:
        """Return the names of other sites that the page loads something from; `base` is the page's own address."""
        own = urlsplit(base).netloc.lower() if base else ""
        hosts = {_host(address, base) for address in self.addresses}
        return tuple(sorted(hosts - {"", own}))


def _host(address: str, base: str | None) -> str:
    try:
        parts = urlsplit(urljoin(base or "", address))
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in {"http", "https", ""} else ""


@dataclass(slots=True)
class _Element:
    """An element that is open while the page is read."""

    tag: Tag
    label: list[str] = field(default_factory=list)  # its text, and names for what shows none
    first_text: int = 0  # how many texts were found before it
    is_plain: bool = True  # a heading whose tags only shape its words


@dataclass(slots=True)
class _Reader:
    source: str
    texts: list[PageText] = field(default_factory=list)
    links: list[PageLink] = field(default_factory=list)
    buttons: list[PageButton] = field(default_factory=list)
    forms: list[PageForm] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    stack: list[_Element] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    # The innermost open element of these, so that no text has to look for them.
    labelled: list[_Element] = field(default_factory=list)
    form: Tag | None = None
    form_label: str = ""
    title: str = ""
    headline: str = ""
    language: str = ""
    own_base: str | None = None
    has_scripts: bool = False
    has_relative: bool = False
    unseen: int = 0

    # --- tags ---

    def start(self, tag: Tag) -> None:
        if tag.name == "html" and not self.language:
            self.language = tag.get("lang").strip()
        if tag.name == "base" and self.own_base is None and tag.find("href"):
            self.own_base = tag.get("href").strip()
        self._note_addresses(tag)
        self._note_scripts(tag)
        if not tag.is_foreign:
            self._leave_drawing(tag)
        if tag.name in {"a", "button"} or tag.name in HEADINGS:
            self._close_same(tag)
        self._spoil_headings(tag)
        self._note_attributes(tag)
        if tag.name == "form" and self.form is None:
            self.form, self.form_label, self.fields = tag, "", []
        if not (tag.is_foreign and tag.is_self_closing) and tag.name not in VOID:
            self._open(tag)

    def _leave_drawing(self, tag: Tag) -> None:
        """Close a drawing that was never closed: an element of the page ends it."""
        while self.stack and self.stack[-1].tag.is_foreign and self.stack[-1].tag.name not in INTEGRATION:
            self.end(self.stack[-1].tag.name, tag.start)

    def _close_same(self, tag: Tag) -> None:
        names = HEADINGS if tag.name in HEADINGS else {tag.name}
        for name in names:
            if self.numbers.get(name):
                self.end(name, tag.start)

    def _spoil_headings(self, tag: Tag) -> None:
        if tag.name not in SHAPING and self.labelled:
            for element in self.labelled:
                element.is_plain = False

    def _open(self, tag: Tag) -> None:
        element = _Element(tag=tag, first_text=len(self.texts))
        self.stack.append(element)
        self.numbers[tag.name] = self.numbers.get(tag.name, 0) + 1
        if tag.name in LABELLED:
            self.labelled.append(element)
        self.unseen += tag.name in UNSEEN

    def end(self, name: str, at: int) -> None:
        if name == "form":
            self._end_form()
        if not self.numbers.get(name):
            return
        while True:
            element = self.stack.pop()
            self.numbers[element.tag.name] -= 1
            self.unseen -= element.tag.name in UNSEEN
            self._closed(element, at)
            if element.tag.name == name:
                return

    def _closed(self, element: _Element, at: int) -> None:
        tag = element.tag
        if tag.name not in LABELLED:
            return
        self.labelled.pop()
        label = _one_line(" ".join(element.label))
        if self.labelled:
            self.labelled[-1].label.append(label)
        if tag.name == "a":
            self._add_link(tag, label)
        elif tag.name == "button":
            self._add_button(tag, label)
        elif tag.name in HEADINGS:
            self._join_heading(element, at, label)

    def _join_heading(self, element: _Element, at: int, label: str) -> None:
        """Make one text of a heading whose words are only shaped, and remember the first headline."""
        if element.tag.name == "h1" and not self.headline:
            self.headline = label
        runs = self.texts[element.first_text :]
        if len(runs) < 2 or not element.is_plain or element.tag.name not in HEADINGS:  # noqa: PLR2004
            return
        inner = self.source[element.tag.end : at]
        start = element.tag.end + len(inner) - len(inner.lstrip())
        first = runs[0]
        whole = PageText(id=first.id, kind=first.kind, text=label, start=start, end=start + len(inner.strip()))
        self.texts[element.first_text :] = [whole]

    # --- what tags say ---

    def _add_link(self, tag: Tag, label: str) -> None:
        href = tag.find("href")
        if href is None or len(self.links) >= MOST_LINKS:
            return
        self.links.append(
            PageLink(
                id=f"a{len(self.links) + 1}",
                label=_cut(label or _name_of(tag)),
                looks_like_button=_looks_like_button(tag),
                address=readable(href.value.strip()),
                start=href.start,
                end=href.end,
                name_end=tag.name_end,
            )
        )

    def _add_button(self, tag: Tag, label: str) -> None:
        label = _cut(label or _name_of(tag))
        if len(self.buttons) < MOST_LINKS:
            self.buttons.append(PageButton(id=f"b{len(self.buttons) + 1}", label=label, name_end=tag.name_end))
        if self.form is not None and tag.get("type").lower() in {"", "submit", "image"}:
            self.form_label = self.form_label or label

    def _end_form(self) -> None:
        if self.form is None or len(self.forms) >= MOST_LINKS:
            return
        action = self.form.find("action")
        self.forms.append(
            PageForm(
                id=f"f{len(self.forms) + 1}",
                label=self.form_label,
                fields=tuple(self.fields),
                action=readable(action.value.strip()) if action else None,
                name_end=self.form.name_end,
            )
        )
        self.form = None

    def _note_attributes(self, tag: Tag) -> None:
        kind = tag.get("type").lower()
        if tag.name == "input" and kind in {"submit", "button", "image", "reset"}:
            self._add_button(tag, _one_line(readable(tag.get("value"))) or kind.capitalize())
            self._add_attribute(tag.find("value"), "button")
        elif tag.name in {"input", "textarea", "select"} and kind != "hidden":
            self.fields.append(_cut(_name_of(tag)))
            self._add_attribute(tag.find("placeholder"), "label")
        elif tag.name == "meta" and tag.get("name").lower() == "description":
            self._add_attribute(tag.find("content"), "description")
        elif tag.name in {"img", "area"} and self.labelled and (alt := tag.get("alt")):
            self.labelled[-1].label.append(readable(alt))
        if tag.name == "area":
            self._add_link(tag, "")

    def _add_attribute(self, attribute: Attribute | None, kind: TextKind) -> None:
        if attribute is None or not attribute.value.strip() or self.unseen:
            return
        self._add_text(attribute.value_start, attribute.end, attribute.value, kind, is_attribute=True)

    def _note_addresses(self, tag: Tag) -> None:
        for name in ("href", "src", "action"):
            if (found := tag.find(name)) and not tag.is_foreign and tag.name != "base":
                self.has_relative = self.has_relative or is_relative(found.value)
        self.addresses += [readable(found) for found in _IN_STYLE.findall(tag.get("style"))]
        rels = set(tag.get("rel").lower().split())
        if tag.name == "link" and rels & HINTS:
            self.hints.append(Hint(address=readable(tag.get("href")).strip(), start=tag.start, end=tag.end))
        if tag.name not in LOADING or (tag.name == "link" and rels and rels <= QUIET_LINKS):
            return
        for name in LOADING[tag.name]:
            if value := readable(tag.get(name)).strip():
                self.addresses += _FIRST_OF_SET.findall(value) if name == "srcset" else [value]

    def _note_scripts(self, tag: Tag) -> None:
        runs = is_script(tag) or any(
            attribute.name.startswith("on") or is_script_address(attribute.value) for attribute in tag.attributes
        )
        self.has_scripts = self.has_scripts or runs

    # --- text ---

    def text(self, item: Text) -> None:
        raw = self.source[item.start : item.end]
        if item.holder == "style":
            self.addresses += [readable(found) for found in _IN_STYLE.findall(raw)]
        is_title = item.holder == "title" and not self.title
        if item.holder and not is_title:
            return
        inner = raw.strip()
        if not inner or self.unseen:
            return
        start = item.start + len(raw) - len(raw.lstrip())
        words = _one_line(readable(unescape(inner)))
        if is_title:
            self.title = words
        if self.labelled and not is_title:
            self.labelled[-1].label.append(words)
        if self._is_icon():
            return
        self._add_text(start, start + len(inner), words, "browser title" if is_title else self._kind())

    def _add_text(self, start: int, end: int, text: str, kind: TextKind, *, is_attribute: bool = False) -> None:
        words = _one_line(readable(text))
        if len(self.texts) < MOST_TEXTS and any(sign.isalnum() for sign in words):
            self.texts.append(PageText(id="", kind=kind, text=words, start=start, end=end, is_attribute=is_attribute))

    def _is_icon(self) -> bool:
        tag = self.stack[-1].tag if self.stack else None
        return tag is not None and _ICON_CLASS.search(tag.get("class")) is not None

    def _kind(self) -> TextKind:
        """Return what the text is to its reader: the innermost element that says it."""
        for element in reversed(self.stack[-_LOOKED_UP:]):
            if element.tag.name == "a" and _looks_like_button(element.tag):
                return "button"
            if element.tag.name in KINDS:
                return KINDS[element.tag.name]
        return "text"


_LOOKED_UP: Final = 6  # elements around a text; the next one says little of it
LABELLED: Final = HEADINGS | {"a", "button"}


_OUTLINE: Final = TypeAdapter(Outline)


def outline_of(source: str) -> Outline:
    """Return what stands where in a page. Raise TooManyTags of markup.py."""
    reader, items = _Reader(source), list(items_of(source))
    for item in items:
        if isinstance(item, Text):
            reader.text(item)
        elif isinstance(item, Tag) and item.is_end:
            reader.end(item.name, item.start)
        elif isinstance(item, Tag):
            reader.start(item)
    while reader.stack:
        reader.end(reader.stack[-1].tag.name, len(source))
    reader.end("form", len(source))
    texts = tuple(_numbered(reader.texts))
    return Outline(
        language=readable(reader.language),
        title=reader.title,
        headline=reader.headline,
        texts=texts,
        links=tuple(reader.links),
        buttons=tuple(reader.buttons),
        forms=tuple(reader.forms),
        head_at=_head_at(source, items),
        own_base=readable(reader.own_base) if reader.own_base is not None else None,
        has_relative_addresses=reader.has_relative,
        hints=tuple(reader.hints),
        addresses=tuple(dict.fromkeys(reader.addresses)),
        has_scripts=reader.has_scripts,
    )


def outline_as_json(outline: Outline) -> dict[str, Any]:
    return cast("dict[str, Any]", _OUTLINE.dump_python(outline, mode="json"))


def outline_from_json(stored: object) -> Outline:
    return _OUTLINE.validate_python(stored)


def _numbered(texts: list[PageText]) -> Iterator[PageText]:
    for number, text in enumerate(texts, start=1):
        yield PageText(
            id=f"t{number}", kind=text.kind, text=text.text, start=text.start, end=text.end,
            is_attribute=text.is_attribute,
        )  # fmt: skip


def _head_at(source: str, items: list[Item]) -> int:
    """Return where the head begins; a page need not say it."""
    at = len(BYTE_ORDER_MARK) if source.startswith(BYTE_ORDER_MARK) else 0
    for item in items:
        if isinstance(item, Text):
            if source[item.start : item.end].strip(f" \t\n\f\r{BYTE_ORDER_MARK}"):
                break
        elif isinstance(item, Other):
            at = item.end if item.is_doctype else at
        elif item.is_end or item.name not in {"html", "head"}:
            break
        else:
            at = item.end
            if item.name == "head":
                break
    return at


def is_relative(address: str) -> bool:
    """Tell whether an address depends on where the page is."""
    address = address.strip()
    if not address or address.startswith("#"):
        return False
    return re.match(r"[a-z][a-z0-9+.-]*:", address, re.IGNORECASE) is None


def _looks_like_button(tag: Tag) -> bool:
    return tag.get("role") == "button" or _BUTTON_CLASS.search(tag.get("class")) is not None


def _name_of(tag: Tag) -> str:
    """Return how an element without text of its own is called."""
    named = (tag.get(name) for name in ("aria-label", "title", "placeholder", "alt", "value", "name", "id"))
    return _one_line(readable(next((name for name in named if name.strip()), "")))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1].rstrip() + "…"
