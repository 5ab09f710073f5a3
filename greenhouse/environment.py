"""Read the process environment once, into typed values; keep what is wrong as messages for `manage.py check`.

Settings must import even when a variable is nonsense: a person then reads a list of faults, not a traceback.
"""

import hashlib
import json
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import dj_database_url
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from experiments.splitter.stores import SHARDS

BASE_DIR = Path(__file__).resolve().parent.parent
SQLITE = "django.db.backends.sqlite3"
CONNECTION_SECONDS = 60  # how long a connection to the database is kept
LONGEST_SOCKET_PATH = 100  # bytes; Linux allows 107 in sockaddr_un, macOS 103
DATABASE_SCHEMES = {"sqlite", "postgres", "postgresql", "pgsql"}


class Price(BaseModel):
    """Dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


def _json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


# As JSON: {"gpt-5-mini": {"input": 0.25, "output": 2}, …}. Read here, so that nonsense is a fault among the others.
Prices = Annotated[dict[str, Price], NoDecode, BeforeValidator(_json)]


def _zone(name: object) -> object:
    try:
        ZoneInfo(str(name))
    except (KeyError, OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"{name} is no time zone; use a name such as Europe/Berlin") from error
    return name


Zone = Annotated[str, BeforeValidator(_zone)]
MAIL_PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
SMTP = "django.core.mail.backends.smtp.EmailBackend"
MAIL_SECONDS = 10  # for a mail server to answer


class Environment(BaseSettings):
    """Every variable Greenhouse reads, with its default. README.md lists them for operators."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    secret_key: str = ""
    secret_key_fallbacks: str = ""  # comma separated: old keys, still accepted for reading
    state_dir: Path = BASE_DIR / "var"  # the embedded database, Redis, journals and snapshots
    database_url: str = ""
    redis_url: str = ""  # of Celery's broker, and of snapshots and journals unless STORE_URL says otherwise
    store_url: str = ""  # of snapshots and journals; may be a cluster
    journal_shards: int | None = Field(default=None, ge=1, le=SHARDS)  # streams that this host's journals use
    journal_dir: Path | None = None
    snapshot_dir: Path | None = None
    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    public_url: str = ""  # how people reach the console, such as https://pages.example.com
    pages_private_addresses: bool = False  # looks at pages' addresses may reach our own network, as on an intranet
    pages_host: str = ""  # a host of its own for imported pages with scripts, such as pages.example.net
    port: int = Field(default=8000, ge=1, le=65535)
    web_workers: int = Field(default=1, ge=1)
    web_threads: int = Field(default=32, ge=4)
    debug: bool = False
    trusted_proxy_count: int = Field(default=0, ge=0, le=10)
    country_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]{0,64}$")  # in which a proxy names the country

    openai_api_key: str = ""
    openai_base_url: str = ""
    openai_model: str = "gpt-5-mini"
    openai_embedding_model: str = ""  # compares pages by the server's embeddings; empty: by the word table alone
    embedding_repeat_limit: float = Field(default=0.4, gt=0, le=1)  # from which likeness they say the same
    model_timeout_seconds: float = Field(default=60, gt=0)
    model_in_flight: int = Field(default=16, ge=1, le=64)  # requests to the model at a time, per generation
    model_price_input_usd: Decimal = Field(default=Decimal("0.25"), ge=0)  # per million tokens
    model_price_output_usd: Decimal = Field(default=Decimal("2.00"), ge=0)  # per million tokens
    model_prices: Prices = Field(default_factory=dict)  # by model; others cost what the two above say
    model_usd_per_user_per_day: Decimal | None = Field(default=None, ge=0)  # days are UTC's

    count_every_seconds: float = Field(default=1, gt=0)
    review_every_seconds: float = Field(default=60, gt=0)
    shares_change_every_seconds: float = Field(default=600, ge=0)
    evolve_every_seconds: float = Field(default=60, gt=0)  # how often breeding is looked at
    # 24 months: with the month that PostgreSQL drops as a whole, nothing is older than the 25 months that the French
    # authority (CNIL) allows for measuring audiences.
    event_retention_days: int = Field(default=730, ge=1)
    lead_retention_days: int = Field(default=760, ge=0)  # what people wrote into forms: 25 months; 0 keeps it

    chromium: str = ""  # name or path of the browser that looks at pages; "none" for none, empty to look for one

    four_eyes: bool = False  # for all brands; without it each brand says for itself
    time_zone: Zone = "UTC"  # in which starts and ends are planned first, and in which a week begins
    email_url: str = ""  # such as smtp+tls://user:password@mail.example.com:587; without it no e-mail is sent
    email_from: str = "Greenhouse <greenhouse@localhost>"
    notify_private_addresses: bool = False  # whether webhooks may lead into the network Greenhouse runs in
    notify_give_up_days: int = Field(default=5, ge=1, le=60)  # after which a dead destination is switched off


def read_environment() -> tuple[Environment, list[str]]:
    """Return the environment and what is wrong with it; a wrong variable falls back to its default."""
    try:
        return Environment(), []
    except ValidationError as error:
        problems = [f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        broken = {str(fault["loc"][0]) for fault in error.errors()}
        defaults = {name: Environment.model_fields[name].get_default(call_default_factory=True) for name in broken}
        return Environment(**defaults), problems


def pages_url(environment: Environment, public_url: str) -> str:
    """Return where pages with scripts of their own are: as the console, on another host; empty if there is none."""
    host = environment.pages_host.strip().lower()
    public = urlsplit(public_url)
    if not host:
        return ""
    # By hand: an address with nonsense for a port is a fault that `manage.py check` names, not a traceback.
    own, ours = (name.rpartition(":")[2] for name in (host, public.netloc))
    port = f":{ours}" if ours.isdecimal() and not own.isdecimal() else ""
    return f"{public.scheme}://{host}{port}"


def mailers(environment: Environment, problems: list[str]) -> dict[str, Any]:
    """Return Django's MAILERS; what is wrong with EMAIL_URL is added to `problems`, without the password in it.

    Without a server there are no options, and nothing is sent: Django wants a mailer named all the same.
    """
    nowhere = {"default": {"BACKEND": SMTP}}
    if not environment.email_url:
        return nowhere
    try:
        url = urlsplit(environment.email_url)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme not in MAIL_PORTS or not url.hostname:
        problems.append("EMAIL_URL: not an address, such as smtp+tls://user:password@mail.example.com:587")
        return nowhere
    options = {
        "host": url.hostname,
        "port": port or MAIL_PORTS[url.scheme],
        "username": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "use_tls": url.scheme == "smtp+tls",
        "use_ssl": url.scheme == "smtps",
        "timeout": MAIL_SECONDS,
    }
    return {"default": {"BACKEND": SMTP, "OPTIONS": options}}


def secret_key(environment: Environment) -> str:
    """Return SECRET_KEY, or the key `manage.py up` made for this folder; empty when there is neither."""
    made_here = environment.state_dir / "secret_key"
    if environment.secret_key or not made_here.is_file():
        return environment.secret_key
    return made_here.read_text().strip()


def database(environment: Environment, problems: list[str]) -> dict[str, Any]:
    """Return Django's settings of the database; what is wrong with it is added to `problems`."""
    url = environment.database_url
    scheme = url.partition("://")[0] if "://" in url else ""
    # dj_database_url knows more databases than Greenhouse is tested with; its own messages may hold the password.
    if url and scheme not in DATABASE_SCHEMES:
        problems.append(
            f"DATABASE_URL: {f'{scheme}://' if scheme else 'this'} is not supported; use PostgreSQL, such as "
            "postgres://user:password@host/name, or sqlite:///path/of/a/file"
        )
    elif url:
        try:
            return _completed(dict(dj_database_url.parse(url, conn_max_age=CONNECTION_SECONDS)), problems)
        except ValueError:
            problems.append("DATABASE_URL: not an address, such as postgres://user:password@host/name")
    return _completed({"ENGINE": SQLITE, "NAME": str(environment.state_dir / "greenhouse.sqlite3")}, problems)


def _completed(settings: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    if settings["ENGINE"] != SQLITE:
        return {**settings, "CONN_HEALTH_CHECKS": True}
    try:
        # Even `manage.py check` opens the database, so its folder has to be there before the first command.
        Path(settings["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(f"STATE_DIR: the folder of the database cannot be made: {error}")
        return {"ENGINE": SQLITE, "NAME": ":memory:"}
    # Without IMMEDIATE, a transaction that reads and then writes fails at once when another writes in between.
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    return {**settings, "CONN_MAX_AGE": CONNECTION_SECONDS, "OPTIONS": options}


def socket_path(state_dir: Path) -> Path:
    """Return where the embedded Redis listens: beside its data, or in the temporary folder if that path is too long."""
    beside = state_dir / "redis" / "redis.sock"
    if len(os.fsencode(beside)) <= LONGEST_SOCKET_PATH:
        return beside
    name = hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"greenhouse-{name}.sock"
