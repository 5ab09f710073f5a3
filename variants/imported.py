"""Turn an imported page and a patch into the bytes that visitors get, and the policy that keeps them in bounds.

The page is served as it came, byte for byte, but for these changes, which `edits_of` lists:

    base       <base href>, where the page names things relative to the address it came from
    ours       <script src=…/greenhouse.js>
    words      the texts that the patch replaces
    goals      addresses of picked links become go/<key>; other picked places get data-greenhouse="<key>"
    in-page    links to a place on the same page name our address, because <base> would send them away
    forms      a form that was sent to the page's own address is sent to that address still
    silence    hints to connect to other sites, unless loading from others was chosen

Scripts of its own are in the page only if whoever imported it may bring them in; then it is served from a host that is
not the console's. Without them, the policy lets no script run but ours.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import urljoin, urlsplit

from variants.charsets import encoded
from variants.disarm import GONE, disarmed
from variants.outline import Outline, PageButton, PageForm, PageLink, PageText, is_relative
from variants.patches import PatchContent
from variants.renderer import Rendered

SCRIPT: Final = "greenhouse.js"
MARK: Final = "data-greenhouse"
FOLLOWED: Final = frozenset({"http", "https", "mailto", "tel"})  # what go/<link> may lead to
FORM_ANCHOR: Final = "#form"  # a link of the visitor tier that leads nowhere else: only the click is of interest


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An imported page, ready to be served."""

    source: str
    outline: Outline
    address: str = ""  # where it came from; empty if nobody said
    keeps_scripts: bool = False
    allows_others: bool = False  # may load from other sites than the one it came from

    @property
    def base(self) -> str | None:
        """The address that relative ones stand to; None where there is none, or none is needed."""
        own = self.outline.own_base
        base = urljoin(self.address, own) if own else self.address
        is_absolute = urlsplit(base).scheme in {"http", "https"}
        return base if is_absolute and (own is not None or self.outline.has_relative_addresses) else None

    @property
    def site(self) -> str:
        """The origin it came from, which is no third party to it."""
        parts = urlsplit(self.base or self.address)
        return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} else ""

    def destination(self, link: PageLink) -> str:
        """Return where following a link leads; empty for one that leaves its reader on the page."""
        address = link.address if not is_relative(link.address) else urljoin(self.base or self.address, link.address)
        parts = urlsplit(address)
        is_whole = bool(parts.netloc) or parts.scheme in {"mailto", "tel"}
        return address if parts.scheme in FOLLOWED and is_whole else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    start: int
    end: int
    text: str
    kind: str  # as in the module's list


def render_import(page: Import, patch: PatchContent, *, picked: Mapping[str, str], address: str) -> Rendered:
    """Return the page as visitors get it at `address`, such as https://pages.example.com/p/spring/.

    `picked` says under which key what is done at a link, button or form is counted.
    """
    edits = edits_of(page, patch, picked=picked, address=address)
    return Rendered(html=encoded(applied(page.source, edits)), csp=policy(page))


def render_preview(page: Import, patch: PatchContent) -> Rendered:
    """Return the page as it looks: nothing of ours in it, and shut off from the site that shows it."""
    edits = [*_base(page, script=""), *_words(page.outline.texts, patch), *_silence(page)]
    rights = "sandbox allow-scripts" if page.keeps_scripts else "sandbox"
    return Rendered(html=encoded(applied(page.source, edits)), csp=_shown_policy(page, rights, script=None))


def render_picker(page: Import, patch: PatchContent, *, script: str, nonce: str) -> Rendered:
    """Return the page without scripts but `script`, each link, button and form marked with its id."""
    outline = page.outline
    places: list[PageLink | PageButton | PageForm] = [*outline.links, *outline.buttons, *outline.forms]
    marks = [_mark(place.name_end, place.id) for place in places]
    edits = [*_base(page, script=""), *_words(outline.texts, patch), *_silence(page), *marks]
    source = disarmed(applied(page.source, edits)).source
    ours = f'<script nonce="{nonce}">{script}</script>'
    csp = _shown_policy(page, "sandbox allow-scripts", script=f"'nonce-{nonce}'")
    return Rendered(html=encoded(source + ours), csp=csp)


# --- what is changed ------------------------------------------------------------------------------------------------


def edits_of(page: Import, patch: PatchContent, *, picked: Mapping[str, str], address: str) -> list[Edit]:
    """Return every change, in no order."""
    # Relative to <base>, our own addresses would lead to the other site.
    ours = address if _has_base(page) else ""
    script = f'<script src="{escape(ours + SCRIPT)}" defer></script>'
    return [
        *_base(page, script=script),
        *_words(page.outline.texts, patch),
        *_links(page, picked, ours),
        *_marks(page, picked),
        *_forms(page),
        *_silence(page),
    ]


def applied(source: str, edits: Iterable[Edit]) -> str:
    """Return the source with the edits, which may touch but not overlap; of two at one place the first comes first."""
    parts, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < at:
            raise ValueError(f"an edit at {edit.start} overlaps one that ends at {at}")
        parts += [source[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, source[at:]])


def _has_base(page: Import) -> bool:
    return page.base is not None or page.outline.own_base is not None


def _base(page: Import, *, script: str) -> Iterator[Edit]:
    at = page.outline.head_at
    if page.base is not None:
        yield Edit(start=at, end=at, text=f'<base href="{escape(page.base)}">', kind="base")
    if script:
        yield Edit(start=at, end=at, text=script, kind="ours")


def _words(texts: Iterable[PageText], patch: PatchContent) -> Iterator[Edit]:
    for text in texts:
        said = patch.texts.get(text.id)
        if said is not None:
            escaped = f'"{escape(said)}"' if text.is_attribute else escape(said, quote=False)
            yield Edit(start=text.start, end=text.end, text=escaped, kind="words")


def _links(page: Import, picked: Mapping[str, str], ours: str) -> Iterator[Edit]:
    for link in page.outline.links:
        if link.id in picked and page.destination(link):
            address, kind = f"{ours}go/{picked[link.id]}", "goals"
        elif ours and (link.address.startswith("#") or not link.address):
            address, kind = ours + link.address, "in-page"
        else:
            continue
        yield Edit(start=link.start, end=link.end, text=f'href="{escape(address)}"', kind=kind)


def _marks(page: Import, picked: Mapping[str, str]) -> Iterator[Edit]:
    """Mark what is picked and leads nowhere by itself: greenhouse.js tells us of it."""
    outline = page.outline
    staying = [link for link in outline.links if not page.destination(link)]
    places: list[PageLink | PageButton | PageForm] = [*staying, *outline.buttons, *outline.forms]
    for place in places:
        if place.id in picked:
            yield _mark(place.name_end, picked[place.id])


def _mark(at: int, key: str) -> Edit:
    return Edit(start=at, end=at, text=f' {MARK}="{key}"', kind="goals")


def _forms(page: Import) -> Iterator[Edit]:
    for form in page.outline.forms:
        if form.action is None and page.address:
            text = f' action="{escape(page.address)}"'
            yield Edit(start=form.name_end, end=form.name_end, text=text, kind="forms")


def _silence(page: Import) -> Iterator[Edit]:
    if page.allows_others:
        return
    for hint in page.outline.hints:
        if urlsplit(urljoin(page.base or page.address, hint.address)).netloc != urlsplit(page.site).netloc:
            yield Edit(start=hint.start, end=hint.end, text=GONE, kind="silence")


# --- what it may do -------------------------------------------------------------------------------------------------


def policy(page: Import) -> str:
    """Return the Content-Security-Policy of the page: itself, the site it came from, and others if that was chosen."""
    script = ["'self'", *(["'unsafe-inline'", "'unsafe-eval'", *_sites(page)] if page.keeps_scripts else [])]
    connect = ["'self'", *(_sites(page) if page.keeps_scripts else [])]
    return _joined({**_loading(page), "script-src": script, "connect-src": connect, "frame-ancestors": ["'none'"]})


def _shown_policy(page: Import, rights: str, *, script: str | None) -> str:
    """Return the policy of a preview: an origin of its own, that may ask the console for nothing."""
    scripts = [script] if script else ["'unsafe-inline'", "'unsafe-eval'", *_sites(page)] if page.keeps_scripts else []
    directives = {
        **_loading(page),
        "script-src": scripts or ["'none'"],
        # Not even where others were allowed: a preview stands on the console's host, and any address may be that.
        "connect-src": [page.site] if page.site else ["'none'"],
        "frame-src": [page.site] if page.site else ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'self'"],
    }
    return f"{rights}; {_joined(directives)}"


def _sites(page: Import) -> list[str]:
    return [*([page.site] if page.site else []), *(["https:", "http:"] if page.allows_others else [])]


def _loading(page: Import) -> dict[str, list[str]]:
    sites = _sites(page)
    return {
        "default-src": ["'none'"],
        "style-src": ["'unsafe-inline'", *sites],
        "img-src": ["data:", "blob:", *sites],
        "font-src": ["data:", *sites],
        "media-src": ["data:", "blob:", *sites],
        "frame-src": sites or ["'none'"],
        "manifest-src": sites or ["'none'"],
        "form-action": ["'self'", "https:", "http:", "mailto:"],
        "base-uri": [page.site] if page.site else ["'none'"],
    }


def _joined(directives: dict[str, list[str]]) -> str:
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())
