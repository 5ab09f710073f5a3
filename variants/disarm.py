"""Take out of a page what runs: scripts, event handlers, addresses that are scripts, plug-ins.

What is left stands where it stood, byte for byte. In place of an element stands an empty comment and in place of an
attribute a space, so that what stood around it does not grow together into something new. This is the first of two
walls: pages are also served with a policy under which no script but our own runs (imported.py).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from variants.markup import Item, Tag, items_of

GONE: Final = "<!---->"
MOST_PASSES: Final = 5

PLUGINS: Final = frozenset({"applet", "embed", "object"})
ADDRESSES: Final = frozenset({
    "action", "background", "cite", "data", "formaction", "from", "href", "longdesc", "lowsrc", "manifest", "ping",
    "poster", "src", "to", "values", "xlink:href",
})  # fmt: skip
KEPT: Final = frozenset({"action", "formaction", "href", "xlink:href"})
# What a browser leaves out of an address before it looks at its scheme.
_BLANKS: Final = re.compile(r"[\x00-\x20\x7f-\xa0]+")
_RUNS: Final = re.compile(r"(?:^|;)(?:javascript|vbscript|data:(?!image/(?!svg)|font/|audio/|video/))", re.IGNORECASE)
DATA_SCRIPTS: Final = frozenset({"application/ld+json"})


class CannotDisarm(ValueError):
    """Scripts are nested so that taking them out makes new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    start: int
    end: int
    what: str  # "script", "handler", "address", "plug-in" or "reload"
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarmed:
    source: str
    taken: dict[str, int]  # how often what was taken out


def disarmed(source: str) -> Disarmed:
    """Return the page without what runs. Raise CannotDisarm, and TooManyTags of markup.py."""
    taken: dict[str, int] = {}
    for _ in range(MOST_PASSES):
        cuts = cuts_of(items_of(source), len(source))
        if not cuts:
            return Disarmed(source=source, taken=taken)
        source = _without(source, cuts)
        for cut in cuts:
            taken[cut.what] = taken.get(cut.what, 0) + 1
    raise CannotDisarm("The scripts of this page are nested in a way that cannot be taken apart.")


def cuts_of(items: Iterable[Item], length: int) -> list[Cut]:
    """Return what runs in a page, in its order; the page ends at `length`."""
    cuts: list[Cut] = []
    script: Tag | None = None  # the script whose end is being looked for
    for item in items:
        if not isinstance(item, Tag):
            continue
        if script is not None:
            if item.is_end and item.name == "script":
                cuts.append(Cut(start=script.start, end=item.end, what="script", instead=GONE))
                script = None
        elif is_script(item):
            script = None if item.is_foreign and item.is_self_closing else item
            if script is None:
                cuts.append(Cut(start=item.start, end=item.end, what="script", instead=GONE))
        else:
            cuts += _of_tag(item)
    if script is not None:
        cuts.append(Cut(start=script.start, end=length, what="script", instead=GONE))
    return cuts


def is_script(tag: Tag) -> bool:
    is_data = tag.get("type").strip().lower() in DATA_SCRIPTS and tag.find("src") is None
    return tag.name == "script" and not tag.is_end and (tag.is_foreign or not is_data)


def is_plugin(tag: Tag) -> bool:
    return tag.name in PLUGINS and not tag.is_end


def _is_reload(tag: Tag) -> bool:
    """Tell whether a <meta> sends visitors elsewhere or sets what only a header should."""
    return tag.name == "meta" and tag.get("http-equiv").strip().lower() in {"refresh", "set-cookie"}


def _of_tag(tag: Tag) -> Iterator[Cut]:
    if tag.is_end:
        return
    if is_plugin(tag) or _is_reload(tag):
        yield Cut(start=tag.start, end=tag.end, what="plug-in" if is_plugin(tag) else "reload", instead=GONE)
        return
    for attribute in tag.attributes:
        what = _danger(attribute.name, attribute.value)
        if what:
            # A link stays a link, so that it looks like one.
            instead = f' {attribute.name}="#"' if attribute.name in KEPT else " "
            yield Cut(start=attribute.start, end=attribute.end, what=what, instead=instead)


def _danger(name: str, value: str) -> str:
    if name.startswith("on"):
        return "handler"
    if name == "srcdoc":
        return "address"
    return "address" if name in ADDRESSES and is_script_address(value) else ""


def is_script_address(value: str) -> bool:
    return _RUNS.search(_BLANKS.sub("", value)) is not None


def _without(source: str, cuts: Iterable[Cut]) -> str:
    parts, at = [], 0
    for cut in cuts:
        parts += [source[at : cut.start], cut.instead]
        at = cut.end
    return "".join([*parts, source[at:]])
