"""Turn what is wrong with a page as it is shown into findings in a marketer's words.

    bytes ──static_faults──▶ [Fault]                          what can be told without a browser
    chromium.py ────────────▶ [Fault]  ──findings_of──▶ [Finding]

A fault says what is wrong, with which words, where in the document and at which width. Of an imported page only what a
variant adds counts (`added`): its own faults are its owner's, and today's visitors live with them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from variants.gates import Finding
from variants.markup import Tag, TooManyTags, items_of

MOST_BYTES: Final = 60_000  # of a page's HTML, before compression
MOST_REQUESTS: Final = 1  # before images: our own script
MOST_OF_A_KIND: Final = 5  # findings: whoever mends five of a kind sees the others at the next look
LEAST_SHARED: Final = 8  # characters: less may stand in any text by accident
WIDTHS: Final = (320, 768, 1280)
WIDTH_WORDS: Final = {
    320: "on a small phone (320 pixels wide)",
    390: "on a phone",
    768: "on a tablet (768 pixels wide)",
    1280: "on a desktop screen (1,280 pixels wide)",
}
SAFE_SCHEMES: Final = frozenset({"http", "https", "mailto", "tel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: str  # a key of KINDS
    words: str = ""  # what is shown there
    place: str = ""  # the way to the element, to compare by; empty for the page as a whole
    detail: str = ""
    width: int = 0  # pixels; 0 where it does not matter
    document: str = "page"  # page, form (shown again with its errors), thanks


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    reason: str
    blocks: bool = True


KINDS: Final[Mapping[str, Kind]] = {
    "overflow": Kind(reason="This sticks out {where}. Use shorter words or say less."),
    "clipped": Kind(reason="This is cut off {where}. Use shorter words or say less."),
    "overlap": Kind(reason="This and “{detail}” are written over each other {where}. Say less in one of them."),
    "first_screen": Kind(
        reason="The button cannot be seen on a phone without scrolling. Shorten what stands above it, or choose "
        "another layout."
    ),
    "contrast": Kind(
        reason="This is hard to read: its contrast with the ground is {detail}, and 4.5 is the least. Choose another "
        "palette or other brand colours."
    ),
    "headings": Kind(reason="The page needs one main heading (h1), and has {detail}."),
    "labels": Kind(reason="This field has no label, so nobody who cannot see it knows what to write. Give it one."),
    "title": Kind(reason="The page has no title for the browser’s tab and for search engines. Give it one."),
    "page_language": Kind(reason="The page does not say its language, so screen readers pronounce it wrongly."),
    "alt": Kind(reason="A picture has no description for people who cannot see it. Add one."),
    "links": Kind(reason="This link leads nowhere ({detail}). Set where it goes, or take it out."),
    "weight": Kind(reason="The page has {detail} kB; more than 60 kB load slowly on a phone. Say less."),
    "requests": Kind(reason="The browser has to fetch {detail} files before it can show the page; one is the most."),
    "third_party": Kind(reason="The page asks another site ({detail}) for something, which tells it who visits."),
    "keyboard": Kind(reason="{detail} People who use no mouse are lost there."),
    "access": Kind(reason="People with screen readers or keyboards have trouble here: {detail}."),
    "sending": Kind(reason="The form cannot be sent: {detail}."),
    "elsewhere": Kind(
        reason="Its styles and pictures lie on {detail} and were not fetched, so how it looks was judged without them.",
        blocks=False,
    ),
    "practice": Kind(reason="Screen readers would have it easier: {detail}.", blocks=False),
    "goals": Kind(reason="The goal “{detail}” is not counted when a visitor does what it stands for on this page."),
    "unchecked": Kind(reason="This page could not be looked at in a browser: {detail}.", blocks=False),
}

# Rules of axe-core (dequeuniversity.com/rules/axe) that have words of their own here; the others are "access".
RULES: Final = {
    "color-contrast": "contrast", "label": "labels", "select-name": "labels", "input-button-name": "labels",
    "image-alt": "alt", "document-title": "title", "html-has-lang": "page_language", "html-lang-valid": "page_language",
}  # fmt: skip
# What axe-core finds too, and knows better: labels by script, pictures of a role.
BETTER_SEEN: Final = frozenset({"labels", "alt", "title", "page_language"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a page's links and form may lead to. None: an imported page, whose links are its owner's."""

    links: Collection[str] = ()  # what may follow go/
    fields: Collection[str] = ()  # what its form may send
    is_form: bool = False


# --- without a browser ----------------------------------------------------------------------------------------------


def static_faults(page: bytes, expected: Expected | None = None) -> list[Fault]:
    """Return what is wrong with a page's bytes. `expected` is None for an imported page."""
    source = page.decode("utf-8", "replace")
    reader = _Reader()
    try:
        for item in items_of(source):
            if isinstance(item, Tag):
                reader.take(item)
    except TooManyTags:
        return [Fault(kind="unchecked", detail="it is larger than any page for people")]
    reader.has_title = _has_title(source)
    found = [*_size(page, reader), *_structure(reader)]
    return found if expected is None else [*found, *_leads(reader, expected)]


@dataclass(slots=True)
class _Reader:
    """What is met while reading a page's tags in order."""

    language: str = ""
    has_title: bool = False
    headings: int = 0
    pictures_without_words: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)  # before images
    others: list[str] = field(default_factory=list)  # addresses of pictures and the like
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=set)
    fields: list[tuple[str, str, bool]] = field(default_factory=list)  # id, name, whether something names it
    forms: list[tuple[str, str]] = field(default_factory=list)  # action, method
    open_labels: int = 0

    def take(self, tag: Tag) -> None:
        if tag.name == "label":
            self.open_labels = max(0, self.open_labels + (-1 if tag.is_end else 1))
        if tag.is_end or tag.is_foreign:
            return
        self.ids.add(tag.get("id"))
        reading = _READERS.get(tag.name)
        if reading:
            reading(self, tag)

    def html(self, tag: Tag) -> None:
        self.language = self.language or tag.get("lang")

    def heading(self, _tag: Tag) -> None:
        self.headings += 1

    def script(self, tag: Tag) -> None:
        if tag.get("src"):
            self.fetched.append(tag.get("src"))

    def link(self, tag: Tag) -> None:
        if {"stylesheet", "preload", "modulepreload", "import"} & set(tag.get("rel").lower().split()):
            self.fetched.append(tag.get("href"))

    def frame(self, tag: Tag) -> None:
        self.fetched.append(tag.get("src") or tag.get("data"))

    def picture(self, tag: Tag) -> None:
        self.others.append(tag.get("src"))
        if tag.find("alt") is None and tag.get("role") not in {"presentation", "none"}:
            self.pictures_without_words.append(tag.get("src"))

    def anchor(self, tag: Tag) -> None:
        if tag.find("href"):
            self.links.append(tag.get("href").strip())

    def label(self, tag: Tag) -> None:
        self.labelled.add(tag.get("for"))

    def form(self, tag: Tag) -> None:
        self.forms.append((tag.get("action"), tag.get("method").lower()))

    def control(self, tag: Tag) -> None:
        if tag.get("type").lower() in {"hidden", "submit", "button", "image", "reset"}:
            return
        is_named = bool(self.open_labels or tag.get("aria-label") or tag.get("aria-labelledby") or tag.get("title"))
        self.fields.append((tag.get("id"), tag.get("name"), is_named))


_READERS: Final = {
    "html": _Reader.html, "h1": _Reader.heading, "script": _Reader.script, "link": _Reader.link,
    "iframe": _Reader.frame, "object": _Reader.frame, "embed": _Reader.frame, "img": _Reader.picture,
    "a": _Reader.anchor, "label": _Reader.label, "form": _Reader.form, "input": _Reader.control,
    "select": _Reader.control, "textarea": _Reader.control,
}  # fmt: skip


def _has_title(source: str) -> bool:
    return any(
        item.holder == "title" and source[item.start : item.end].strip()
        for item in items_of(source)
        if not isinstance(item, Tag) and hasattr(item, "holder")
    )


def _size(page: bytes, reader: _Reader) -> Iterator[Fault]:
    if len(page) > MOST_BYTES:
        yield Fault(kind="weight", detail=f"{len(page) / 1000:,.0f}")
    if len(reader.fetched) > MOST_REQUESTS:
        yield Fault(kind="requests", detail=str(len(reader.fetched)))
    for host in sorted({_host(address) for address in [*reader.fetched, *reader.others]} - {""}):
        yield Fault(kind="third_party", detail=host)


def _host(address: str) -> str:
    try:
        return urlsplit(address.strip()).netloc
    except ValueError:
        return ""


def _structure(reader: _Reader) -> Iterator[Fault]:
    if reader.headings != 1:
        yield Fault(kind="headings", detail=str(reader.headings) if reader.headings else "none")
    if not reader.has_title:
        yield Fault(kind="title")
    if not reader.language.strip():
        yield Fault(kind="page_language")
    for address in reader.pictures_without_words:
        yield Fault(kind="alt", place=address)
    for id_, name, is_named in reader.fields:
        if not is_named and (not id_ or id_ not in reader.labelled):
            yield Fault(kind="labels", words=name, place=name or id_)


def _leads(reader: _Reader, expected: Expected) -> Iterator[Fault]:
    for address in dict.fromkeys(reader.links):
        if why := _leads_nowhere(address, reader.ids, expected):
            yield Fault(kind="links", place=address, detail=why)
    if not expected.is_form:
        return
    if reader.forms != [("form", "post")]:
        yield Fault(kind="sending", detail="the page has none" if not reader.forms else "it is sent somewhere else")
    for name in sorted({name for _, name, _ in reader.fields} ^ set(expected.fields)):
        yield Fault(kind="sending", place=name, detail=f"“{name}” is a field of the page or of the brief, not of both")


def _leads_nowhere(address: str, ids: Collection[str], expected: Expected) -> str:
    """Return what is wrong with a link's address, for a person; empty if nothing is."""
    if address.startswith("#"):
        return "" if address[1:] in ids and address != "#" else "it points at no part of the page"
    kind, _, name = address.partition("/")
    if kind == "go" and name in expected.links:
        return ""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "its address cannot be read"
    if parts.scheme in SAFE_SCHEMES:
        return ""
    return "it has no address" if not address else "nothing is known by its address"


def without_better_seen(faults: Iterable[Fault]) -> list[Fault]:
    """Return what is left to tell once a browser has looked as well."""
    return [fault for fault in faults if fault.kind not in BETTER_SEEN]


# --- in words -------------------------------------------------------------------------------------------------------


def added(faults: Iterable[Fault], before: Iterable[Fault]) -> list[Fault]:
    """Return the faults that a page has and the one it was made from has not."""
    known = {(fault.kind, fault.place, fault.document) for fault in before}
    return [fault for fault in faults if (fault.kind, fault.place, fault.document) not in known]


def findings_of(
    faults: Iterable[Fault], places: Sequence[tuple[str, str]] = (), *, is_remark: bool = False
) -> list[Finding]:
    """Return findings, one for what is wrong with the same words at several widths.

    `places` are the page's texts by their fields; with `is_remark` nothing blocks.
    """
    together: dict[tuple[str, str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        together[fault.kind, fault.place, fault.words].append(fault)
    numbers: dict[str, int] = defaultdict(int)
    found = []
    for same in together.values():
        numbers[same[0].kind] += 1
        if numbers[same[0].kind] <= MOST_OF_A_KIND:
            found.append(_finding(same, places, is_remark=is_remark))
    return found


def _finding(same: Sequence[Fault], places: Sequence[tuple[str, str]], *, is_remark: bool) -> Finding:
    first = same[0]
    kind = KINDS[first.kind]
    where = _where({fault.width for fault in same}, {fault.document for fault in same})
    return Finding(
        gate=first.kind,
        field="hero.call_to_action" if first.kind == "first_screen" and not places else field_of(first.words, places),
        words=first.words,
        reason=kind.reason.format(where=where, detail=first.detail),
        blocks=kind.blocks and not is_remark,
    )


def _where(widths: Collection[int], documents: Collection[str]) -> str:
    known = sorted(set(widths) & WIDTH_WORDS.keys())
    if set(WIDTHS) <= set(known):
        told = "at every width"
    elif len(known) > 1:
        told = f"{', '.join(WIDTH_WORDS[width] for width in known[:-1])} and {WIDTH_WORDS[known[-1]]}"
    else:
        told = WIDTH_WORDS[known[0]] if known else "on the page"
    return told if "page" in documents else f"{told}, {_DOCUMENTS['form' if 'form' in documents else 'thanks']}"


_DOCUMENTS: Final = {"form": "when the form is shown again with its errors", "thanks": "on the page after the form"}


def field_of(words: str, places: Sequence[tuple[str, str]]) -> str:
    """Return which field of the page says these words; empty when none or only some of them do."""
    said = _plain(words)
    if not said:
        return ""
    plain = [(place, _plain(text)) for place, text in places]
    exact = next((place for place, text in plain if text == said), "")
    if exact or len(said) < LEAST_SHARED:
        return exact
    inside = next((place for place, text in plain if said in text), "")
    return inside or next((place for place, text in plain if len(text) >= LEAST_SHARED and text in said), "")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
