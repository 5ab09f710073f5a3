"""Turn an exposure's request into the few facts that reports may split by: where from, what device, which language.

An allow-list: no address, no full referrer, no other parameter is kept.
"""

import re
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from experiments.splitter.requests import Environ, text

MAX_VALUE = 200  # characters
MAX_PARAMETERS = 100  # of a query string that are looked at
MAX_HEADER = 512  # characters looked at and kept in a cache
CLICK_IDS = ("gclid", "fbclid")

_UTM = re.compile(r"utm_[a-z_]{1,24}")
_LANGUAGE = re.compile(r"\s*([a-zA-Z]{2,3})(?![a-zA-Z])")
_TABLET = re.compile(r"iPad|Tablet|PlayBook|Silk/|Android(?!.*Mobile)")
_PHONE = re.compile(r"Mobi|iPhone|iPod|Android|Windows Phone|BlackBerry|Opera Mini")


def attributes_of(environ: Environ) -> dict[str, str]:
    """Give the attributes of an exposure; what is unknown has no entry."""
    found = _campaign(text(environ, "QUERY_STRING"))
    found["device"] = _device(text(environ, "HTTP_USER_AGENT")[:MAX_HEADER])
    if language := _language(text(environ, "HTTP_ACCEPT_LANGUAGE")[:MAX_HEADER]):
        found["language"] = language
    if referrer := _host(text(environ, "HTTP_REFERER")[:MAX_HEADER]):
        found["referrer"] = referrer
    return found


def _campaign(query: str) -> dict[str, str]:
    if "utm_" not in query and "clid=" not in query:
        return {}
    decoded = query.encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        pairs = parse_qsl(decoded, errors="replace", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        return {}
    return {name: _shortened(value) for name, value in pairs if name in CLICK_IDS or _UTM.fullmatch(name)}


def _shortened(value: str) -> str:
    return "".join(character for character in value if character.isprintable())[:MAX_VALUE]


@lru_cache(maxsize=4096)
def _device(user_agent: str) -> str:
    if _TABLET.search(user_agent):
        return "tablet"
    return "phone" if _PHONE.search(user_agent) else "desktop"


@lru_cache(maxsize=1024)
def _language(header: str) -> str:
    match = _LANGUAGE.match(header)
    return match[1].lower() if match else ""


@lru_cache(maxsize=1024)
def _host(referer: str) -> str:
    try:
        return _shortened(urlsplit(referer).hostname or "")
    except ValueError:
        return ""
