"""Read the process environment once, into typed values; keep what is wrong as messages for `manage.py check`.

Settings must import even when a variable is nonsense: a person then reads a list of faults, not a traceback.
"""

import hashlib
import os
import tempfile
from decimal import Decimal
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
LONGEST_SOCKET_PATH = 100  # bytes; Linux allows 107 in sockaddr_un, macOS 103


class Environment(BaseSettings):
    """Every variable Greenhouse reads, with its default. README.md lists them for operators."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    secret_key: str = ""
    secret_key_fallbacks: str = ""  # comma separated: old keys, still accepted for reading
    state_dir: Path = BASE_DIR / "var"  # the embedded database, Redis, journals and snapshots
    database_url: str = ""
    redis_url: str = ""
    journal_dir: Path | None = None
    snapshot_dir: Path | None = None
    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    public_url: str = ""  # how people reach the console, such as https://pages.example.com
    port: int = Field(default=8000, ge=1, le=65535)
    debug: bool = False
    trusted_proxy_count: int = Field(default=0, ge=0, le=10)

    openai_api_key: str = ""
    openai_base_url: str = ""
    openai_model: str = "gpt-5-mini"
    model_timeout_seconds: float = Field(default=60, gt=0)
    model_in_flight: int = Field(default=8, ge=1, le=64)  # requests to the model at a time, per generation
    model_price_input_usd: Decimal = Field(default=Decimal("0.25"), ge=0)  # per million tokens
    model_price_output_usd: Decimal = Field(default=Decimal("2.00"), ge=0)  # per million tokens

    count_every_seconds: float = Field(default=1, gt=0)
    review_every_seconds: float = Field(default=60, gt=0)
    shares_change_every_seconds: float = Field(default=600, ge=0)


def read_environment() -> tuple[Environment, list[str]]:
    """Return the environment and what is wrong with it; a wrong variable falls back to its default."""
    try:
        return Environment(), []
    except ValidationError as error:
        problems = [f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        broken = {str(fault["loc"][0]) for fault in error.errors()}
        defaults = {name: Environment.model_fields[name].default for name in broken}
        return Environment(**defaults), problems


def secret_key(environment: Environment) -> str:
    """Return SECRET_KEY, or the key `manage.py up` made for this folder; empty when there is neither."""
    made_here = environment.state_dir / "secret_key"
    if environment.secret_key or not made_here.is_file():
        return environment.secret_key
    return made_here.read_text().strip()


def socket_path(state_dir: Path) -> Path:
    """Return where the embedded Redis listens: beside its data, or in the temporary folder if that path is too long."""
    beside = state_dir / "redis" / "redis.sock"
    if len(os.fsencode(beside)) <= LONGEST_SOCKET_PATH:
        return beside
    name = hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"greenhouse-{name}.sock"
