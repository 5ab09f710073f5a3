"""Turn an exposure's request into the few facts that reports may split by: where from, what device, which language.

An allow-list: no address, no full referrer, no other parameter is kept. The country is what a proxy in front says in a
header of the operator's choice. "Returning" says that the browser brought a cookie of this site along, one that is not
ours; which one, nobody looks.
"""

import json
import re
from functools import lru_cache
from urllib.parse import urlsplit

from experiments.splitter.requests import Environ, text

MAX_VALUE = 200  # characters
MAX_ENCODED = 6 * MAX_VALUE  # characters of a value that are decoded: enough for letters of two bytes each
MAX_PARAMETERS = 100  # of a query string; one with more is nobody's ad
MAX_QUERY = 4096  # characters; the same
MAX_HEADER = 512  # characters looked at and kept in a cache
MAX_COUNTRY = 8  # characters
MAX_COOKIES = 4096  # characters
OUR_COOKIES = ("gh_", "__Host-gh_", "__Secure-gh_")
NO_COUNTRY = frozenset({"XX", "T1", "ZZ"})  # Cloudflare: not known, Tor; others: not known
CLICK_IDS = ("gclid", "fbclid")

_UTM = re.compile(r"utm_[a-z_]{1,24}")
_BARE_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"\s*([a-zA-Z]{2,3})(?![a-zA-Z])")
_TABLET = re.compile(r"iPad|Tablet|PlayBook|Silk/|Android(?!.*Mobile)")
_PHONE = re.compile(r"Mobi|iPhone|iPod|Android|Windows Phone|BlackBerry|Opera Mini")


def attributes_of(environ: Environ, country_header: str = "") -> str:
    """Give the attributes of an exposure as a JSON object; what is unknown has no entry.

    `country_header` is a key of the environ, such as HTTP_CF_IPCOUNTRY.
    """
    circumstances = _circumstances(
        text(environ, "HTTP_USER_AGENT")[:MAX_HEADER],
        text(environ, "HTTP_ACCEPT_LANGUAGE")[:MAX_HEADER],
        text(environ, "HTTP_REFERER")[:MAX_HEADER],
        text(environ, country_header)[:MAX_COUNTRY] if country_header else "",
        is_returning=_is_returning(text(environ, "HTTP_COOKIE")),
    )
    campaign = _campaign(text(environ, "QUERY_STRING"))
    return f"{_to_json(campaign)[:-1]},{circumstances[1:]}" if campaign else circumstances


_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@lru_cache(maxsize=4096)
def _circumstances(user_agent: str, language: str, referer: str, country: str, *, is_returning: bool) -> str:
    """Give what the headers tell, as JSON. Optimization: kept, because most visitors share it with others."""
    found = {
        "device": _device(user_agent),
        "language": _language(language),
        "referrer": _host(referer),
        "country": _country(country),
        "visitor": "returning" if is_returning else "",
    }
    return _to_json({name: value for name, value in found.items() if value})


def _campaign(query: str) -> dict[str, str]:
    if "utm_" not in query and "clid=" not in query:
        return {}
    # Optimization: only what is kept is decoded; urllib's parse_qsl takes four times as long for an ad's click.
    if len(query) > MAX_QUERY or query.count("&") >= MAX_PARAMETERS:
        return {}
    pairs = (pair.partition("=") for pair in query.split("&"))
    return {name: _decoded(value) for name, _, value in pairs if value and (name in CLICK_IDS or _UTM.fullmatch(name))}


def _decoded(value: str) -> str:
    """Undo the encoding of a query as urllib's unquote_plus does.

    Optimization: as escapes of Python's own, which its decoder reads in an eighth of the time. What is malformed must
    not cost us much more than an honest visit.
    """
    value = value[:MAX_ENCODED]
    if not value.isascii() or "%" in value or "+" in value:
        escapes = _BARE_PERCENT.sub("%25", value.replace("+", " ").replace("\\", "%5c")).replace("%", "\\x")
        value = (
            escapes.encode("latin-1", "replace").decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
        )
    return _shortened(value)


def _shortened(value: str) -> str:
    if not value.isprintable():
        value = "".join(filter(str.isprintable, value))
    return value[:MAX_VALUE]


def _device(user_agent: str) -> str:
    if _TABLET.search(user_agent):
        return "tablet"
    return "phone" if _PHONE.search(user_agent) else "desktop"


def _language(header: str) -> str:
    match = _LANGUAGE.match(header)
    return match[1].lower() if match else ""


def _country(header: str) -> str:
    """Give a country's two letters. What proxies say of those they do not know is no country."""
    code = header.strip().upper()
    return code if _COUNTRY.fullmatch(code) and code not in NO_COUNTRY else ""


def _is_returning(cookies: str) -> bool:
    """Tell whether the browser has been on this site: it has a cookie beside ours, which are set on the first visit."""
    return bool(cookies) and any(
        name and not name.startswith(OUR_COOKIES)
        for name in (part.partition("=")[0].strip() for part in cookies[:MAX_COOKIES].split(";"))
    )


def _host(referer: str) -> str:
    try:
        return _shortened(urlsplit(referer).hostname or "")
    except ValueError:
        return ""
