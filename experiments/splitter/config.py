"""Turn environment variables into the visitor tier's settings. Defaults live here and nowhere else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.splitter.requests import host_name
from experiments.splitter.stores import SHARDS, cluster_nodes, is_cluster

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
DEFAULT_STATE_DIR = "var"
DEFAULT_RATE_PER_SECOND = 400.0
DEFAULT_THREADS = 32
DEFAULT_RATE_EXEMPT = "127.0.0.1,::1"


_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")


class BadSetting(ValueError):
    """A setting is missing or cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What one visitor process needs to know."""

    secret_key: str
    secret_key_fallbacks: tuple[str, ...] = ()
    store_url: str = DEFAULT_REDIS_URL
    journal_shards: int | None = None  # streams that journals use; None leaves it to the store
    journal_dir: Path = Path(DEFAULT_STATE_DIR, "journal")
    snapshot_dir: Path = Path(DEFAULT_STATE_DIR, "snapshot")
    rate_per_second: float = DEFAULT_RATE_PER_SECOND  # requests of one address; 0 turns the limit off
    rate_exempt: frozenset[str] = frozenset(DEFAULT_RATE_EXEMPT.split(","))
    threads: int = DEFAULT_THREADS  # that the server answers with
    pages_host: str = ""  # the only host for pages with scripts of their own; without it they are not served
    country_header: str = ""  # in which a proxy names the visitor's country, as the environ has it: HTTP_CF_IPCOUNTRY
    trusted_proxy_count: int = 0  # X-Forwarded-For and -Proto are believed only when this is above 0


def from_environ(environ: Mapping[str, str]) -> Config:
    """Read the settings, or raise BadSetting naming the one at fault."""
    secret_key = environ.get("SECRET_KEY", "")
    if not secret_key:
        raise BadSetting("SECRET_KEY is not set: cookies cannot be signed without it")
    state_dir = Path(environ.get("STATE_DIR") or DEFAULT_STATE_DIR)
    return Config(
        secret_key=secret_key,
        secret_key_fallbacks=tuple(_words(environ.get("SECRET_KEY_FALLBACKS", ""))),
        store_url=_store_url(environ),
        journal_shards=_shards(environ),
        journal_dir=Path(environ.get("JOURNAL_DIR") or state_dir / "journal"),
        snapshot_dir=Path(environ.get("SNAPSHOT_DIR") or state_dir / "snapshot"),
        rate_per_second=_number(environ, "VISITOR_RATE_PER_SECOND", DEFAULT_RATE_PER_SECOND),
        rate_exempt=frozenset(_words(environ.get("VISITOR_RATE_EXEMPT", DEFAULT_RATE_EXEMPT))),
        threads=int(_number(environ, "WEB_THREADS", DEFAULT_THREADS)),
        pages_host=host_name(environ.get("PAGES_HOST", "")),
        country_header=_header(environ.get("COUNTRY_HEADER", "")),
        trusted_proxy_count=int(_number(environ, "TRUSTED_PROXY_COUNT", 0)),
    )


def _store_url(environ: Mapping[str, str]) -> str:
    url = environ.get("STORE_URL") or environ.get("REDIS_URL") or DEFAULT_REDIS_URL
    if is_cluster(url):
        try:
            cluster_nodes(url)
        except ValueError as error:
            raise BadSetting(f"STORE_URL: {error}") from None
    return url


def _shards(environ: Mapping[str, str]) -> int | None:
    text = environ.get("JOURNAL_SHARDS")
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= SHARDS:
        raise BadSetting(f"JOURNAL_SHARDS must be a whole number from 1 to {SHARDS}, got {text!r}")
    return int(text)


def _header(name: str) -> str:
    """Return the key under which the environ has a header, such as CF-IPCountry."""
    if name and not _HEADER.fullmatch(name):
        raise BadSetting(f"COUNTRY_HEADER must be the name of a header, such as CF-IPCountry, got {name!r}")
    return f"HTTP_{name.upper().replace('-', '_')}" if name else ""


def _words(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise BadSetting(f"{name} must be a number of at least 0, got {text!r}")
    return number
