"""Turn a stored link and the page's query string into the address a click leads to.

The host and path always come from the snapshot; a visitor's request can only add parameters, and never replace one
that the stored address has: whoever sends a visitor the page's address must not be able to steer the next site.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit

FORM = "#form"
OWN_PREFIX = "gh_"  # our parameters (a preview's key, a token) do not travel on
CARRYING_SCHEMES = ("http", "https")

# What may stand in a header and an address as it is. The rest, above all line feeds and quotes, is percent-encoded.
ADDRESS_CHARACTERS = "!#$%&'()*+,-./:;=?@[]_~"


class BadLink(ValueError):
    """A link that cannot be followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A stored destination in three parts, and what following it means."""

    base: str  # everything before the query
    query: str
    fragment: str  # with its "#", or empty
    carries_query: bool
    is_form: bool  # leads to the form on the same page
    wants_token: bool
    goals: tuple[str, ...]

    def destination(self, page_query: str, token: str) -> str:
        """Give the address, with the page's query string and, where it is asked for, the conversion token."""
        if not self.carries_query:
            return f"{self.base}{'?' if self.query else ''}{self.query}{self.fragment}"
        parts = [self.query] if self.query else []
        parts += added_parameters(page_query, parameter_names(self.query))
        if token and self.wants_token:
            parts.append(f"gh_token={token}")
        return f"{self.base}{'?' if parts else ''}{'&'.join(parts)}{self.fragment}"


def link_of(document: Mapping[str, Any]) -> Link:
    """Read a link of a snapshot, or raise BadLink."""
    url = header_safe(str(document["url"]))
    rest, hash_sign, fragment = url.partition("#")
    base, _, query = rest.partition("?")
    scheme = urlsplit(base).scheme
    if url != FORM and scheme not in {*CARRYING_SCHEMES, "mailto", "tel"}:
        raise BadLink(f"neither {FORM!r} nor an address we follow: {url!r}")
    return Link(
        base=base,
        query=query,
        fragment=f"{hash_sign}{fragment}",
        carries_query=scheme in CARRYING_SCHEMES,
        is_form=url == FORM,
        wants_token=bool(document.get("token", False)),
        goals=tuple(str(goal) for goal in document.get("goals") or ()),
    )


def page_query(referer: str, *, host: str, path: str) -> str:
    """Give the query string of the page a request came from, or nothing if it came from elsewhere."""
    try:
        page = urlsplit(referer)
    except ValueError:
        return ""
    if page.netloc.lower() != host.lower() or page.path != path:
        return ""
    return wsgi_safe(page.query)


def with_query(path: str, query: str) -> str:
    """Give a path on this site with a query string that is already safe."""
    return f"{path}?{query}" if query else path


def added_parameters(query: str, taken: Iterable[str]) -> list[str]:
    """Give the parameters of `query` as they stand, but for our own and those whose names are taken."""
    refused = set(taken)
    pairs = ((part, unquote_plus(part.partition("=")[0])) for part in query.split("&") if part)
    return [part for part, name in pairs if name not in refused and not name.startswith(OWN_PREFIX)]


def parameter_names(query: str) -> list[str]:
    """Give the names of a query string's parameters."""
    return [unquote_plus(part.partition("=")[0]) for part in query.split("&") if part]


def header_safe(text: str) -> str:
    """Percent-encode whatever may not stand in an address or a header, as UTF-8."""
    return quote(text, safe=ADDRESS_CHARACTERS, errors="replace")


def wsgi_safe(text: str) -> str:
    """Do the same for a text from a WSGI environment, which is bytes dressed up as Latin-1 (PEP 3333)."""
    return quote(text.encode("latin-1", "replace"), safe=ADDRESS_CHARACTERS)
