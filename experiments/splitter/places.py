"""Where an experiment's page stands: /p/{slug}/ on any of our hosts, and at an address of the marketer's own.

An address is a host, its root or a path on it. Whoever sends requests on to us keeps the Host that the visitor asked
for; by that alone we know under which path the visitor's browser sees the page, whether the path was kept or changed
to /p/{slug}/ on the way. Cookies, redirects and the page's own query string all follow from it.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from experiments.splitter.requests import Environ, text

PREFIX = "/p/"
USUAL_PORTS = {"http": ":80", "https": ":443"}


class BadAddress(ValueError):
    """An address that no page can stand at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of a page, as its visitors' browsers see it."""

    host: str  # as a Host header has it, in small letters; empty for every host
    base: str  # the page's path, with a slash at either end; all else stands below it
    path_attribute: str  # of cookies
    cookie_attributes: str  # all of them, of the cookie by which a visitor is known


def usual_place(slug: str, *, cookie_seconds: int) -> Place:
    """Give the place that every experiment has."""
    return _place("", f"{PREFIX}{slug}/", cookie_seconds)


def own_place(address: str, *, cookie_seconds: int) -> Place:
    """Give the place at an address such as https://shop.example/offer/, or raise BadAddress."""
    try:
        parts = urlsplit(address)
        usual_port = USUAL_PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise BadAddress(f"not the address of a page: {address!r}") from None
    if not parts.netloc or not parts.path.endswith("/") or parts.query or parts.fragment:
        raise BadAddress(f"neither a host's root nor a path that ends with a slash: {address!r}")
    return _place(parts.netloc.lower().removesuffix(usual_port), parts.path, cookie_seconds)


def _place(host: str, base: str, cookie_seconds: int) -> Place:
    path = f"; Path={base}"
    attributes = f"; Max-Age={cookie_seconds}{path}; HttpOnly; SameSite=Lax"
    return Place(host=host, base=base, path_attribute=path, cookie_attributes=attributes)


def host_asked(environ: Environ) -> str:
    """Give the host a request is for, with its port unless that is the usual one."""
    host = text(environ, "HTTP_HOST").lower()
    return host.removesuffix(":80").removesuffix(":443")
