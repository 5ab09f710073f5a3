"""Turn faults of the environment into messages of `manage.py check`, each with an id and what to do about it.

greenhouse.E001  a variable cannot be understood        greenhouse.W001  a model's address, but not its name
greenhouse.E002  SECRET_KEY is missing                  greenhouse.W002  TLS, but no trusted proxy
greenhouse.E003  PUBLIC_URL is not an address           greenhouse.W003  shares may change before a review
greenhouse.E004  DEBUG in public
greenhouse.E005  REDIS_URL is not Redis's               greenhouse.W004  SECRET_KEY is short
greenhouse.E006  STORE_URL is not Redis's               greenhouse.W005  PAGES_HOST shares the console's cookies
greenhouse.E007  PAGES_HOST is no host of its own        greenhouse.W006  CHROMIUM is not there
"""

import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's own name for it
from django.core.management.base import CommandError

from experiments.splitter.config import BadSetting, from_environ
from experiments.splitter.requests import host_name
from experiments.splitter.stores import CLUSTER_SCHEMES, is_cluster
from greenhouse.environment import Environment
from variants.browser import find_chromium

REDIS_SCHEMES = {"redis", "rediss", "unix"}
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")
SHORTEST_KEY = 32  # characters
README = "README.md lists every variable with its default."


@register()
def check_environment(**_kwargs: object) -> list[CheckMessage]:
    environment: Environment = settings.ENVIRONMENT
    found = [Error(problem, hint=README, id="greenhouse.E001") for problem in settings.ENVIRONMENT_PROBLEMS]
    return [
        *found,
        *_visitor_tier(),
        *_secret_key(),
        *_addresses(environment),
        *_pages_host(environment),
        *_redis(environment),
        *_model(environment),
        *_pace(environment),
        *_browser(environment),
    ]


def refuse_faults() -> None:
    """Raise CommandError with what keeps Greenhouse from starting. A missing key does not: the start makes one."""
    faults = [message for message in check_environment() if message.is_serious() and message.id != "greenhouse.E002"]
    if faults:
        hints = [fault.hint for fault in faults if fault.hint]
        raise CommandError("\n".join([*(fault.msg for fault in faults), *dict.fromkeys(hints)]))


def _visitor_tier() -> Iterator[CheckMessage]:
    try:
        from_environ({**os.environ, "SECRET_KEY": settings.SECRET_KEY})
    except BadSetting as error:
        yield Error(str(error), hint=README, id="greenhouse.E001")


def _secret_key() -> Iterator[CheckMessage]:
    if not settings.SECRET_KEY_IS_SET:
        yield Error(
            "SECRET_KEY is not set: cookies and logins cannot be signed with a key that outlives the process.",
            hint="Set it to 50 random characters and keep it: visitors lose their arms when it changes. "
            "`manage.py up` makes one for its folder by itself.",
            id="greenhouse.E002",
        )
    elif len(settings.SECRET_KEY) < SHORTEST_KEY:
        yield Warning(
            f"SECRET_KEY has {len(settings.SECRET_KEY)} characters: whoever guesses it can sign logins and reports' "
            "addresses.",
            hint=f"Use at least {SHORTEST_KEY} random characters.",
            id="greenhouse.W004",
        )


def _addresses(environment: Environment) -> Iterator[CheckMessage]:
    address = urlsplit(environment.public_url)
    is_address = address.scheme in {"http", "https"} and address.hostname and address.path in {"", "/"}
    if environment.public_url and not is_address:
        yield Error(
            f"PUBLIC_URL is {environment.public_url!r}, which is not the address of a site.",
            hint="Give scheme and host, such as https://pages.example.com.",
            id="greenhouse.E003",
        )
    if environment.debug and environment.public_url:
        yield Error(
            "DEBUG is on and PUBLIC_URL is set: error pages would show settings and code to everybody.",
            hint="Unset DEBUG.",
            id="greenhouse.E004",
        )
    if settings.OVER_TLS and not environment.trusted_proxy_count:
        yield Warning(
            "PUBLIC_URL is https://, but TRUSTED_PROXY_COUNT is 0: every request looks unencrypted, so that the "
            "console redirects to itself for ever.",
            hint="Set TRUSTED_PROXY_COUNT to the number of proxies in front, usually 1.",
            id="greenhouse.W002",
        )


def _pages_host(environment: Environment) -> Iterator[CheckMessage]:
    if not environment.pages_host:
        return
    name, console = host_name(environment.pages_host), urlsplit(settings.PUBLIC_URL).hostname or ""
    if not HOST.fullmatch(environment.pages_host.strip()):
        yield Error(
            f"PAGES_HOST is {environment.pages_host!r}, which is not the name of a host.",
            hint="Give the name alone, such as pages.example.net.",
            id="greenhouse.E007",
        )
    elif name in {console, *(host_name(host) for host in settings.ALLOWED_HOSTS)}:
        yield Error(
            f"PAGES_HOST is {name}, and so is the console's: a script in an imported page could act as its reader.",
            hint="Give pages with scripts a host that the console does not answer for.",
            id="greenhouse.E007",
        )
    elif site_of(name) == site_of(console):
        yield Warning(
            f"PAGES_HOST ({name}) and the console ({console}) belong to one site: scripts in imported pages cannot "
            "read the console, but they can set cookies for it.",
            hint="Use another domain, such as example.net beside example.com.",
            id="greenhouse.W005",
        )


def site_of(host: str) -> str:
    """Return the last two parts of a name. Approximation of the registrable domain: no list of suffixes is kept."""
    return host if host.replace(".", "").isdecimal() else ".".join(host.split(".")[-2:])


def _redis(environment: Environment) -> Iterator[CheckMessage]:
    if is_cluster(environment.redis_url):
        yield Error(
            "REDIS_URL is a cluster, but Celery's messages need a single Redis.",
            hint="Set STORE_URL to the cluster, and REDIS_URL to a Redis of its own for the messages.",
            id="greenhouse.E005",
        )
    elif environment.redis_url and urlsplit(environment.redis_url).scheme not in REDIS_SCHEMES:
        yield Error(
            f"REDIS_URL starts with none of {_listed(REDIS_SCHEMES)}.",
            hint="Such as redis://:password@host:6379/0. Leave it out to use the embedded Redis.",
            id="greenhouse.E005",
        )
    if environment.store_url and urlsplit(environment.store_url).scheme not in REDIS_SCHEMES | CLUSTER_SCHEMES:
        yield Error(
            f"STORE_URL starts with none of {_listed(REDIS_SCHEMES | CLUSTER_SCHEMES)}.",
            hint="Such as redis+cluster://host:7000,host:7001. Leave it out to use the Redis of REDIS_URL.",
            id="greenhouse.E006",
        )


def _listed(schemes: set[str]) -> str:
    return ", ".join(sorted(f"{scheme}://" for scheme in schemes))


def _model(environment: Environment) -> Iterator[CheckMessage]:
    if not environment.openai_base_url:
        return
    if "openai_model" not in environment.model_fields_set:
        yield Warning(
            f"OPENAI_BASE_URL is set, but OPENAI_MODEL is not: {environment.openai_model!r} is asked for.",
            hint="Name a model that your server has.",
            id="greenhouse.W001",
        )


def _pace(environment: Environment) -> Iterator[CheckMessage]:
    if 0 < environment.shares_change_every_seconds < environment.review_every_seconds:
        yield Warning(
            "SHARES_CHANGE_EVERY_SECONDS is below REVIEW_EVERY_SECONDS, and shares change only when they are reviewed.",
            hint="Lower REVIEW_EVERY_SECONDS as well.",
            id="greenhouse.W003",
        )


def _browser(environment: Environment) -> Iterator[CheckMessage]:
    if environment.chromium and environment.chromium != "none" and not find_chromium(environment.chromium):
        yield Warning(
            f"CHROMIUM is {environment.chromium!r}, and there is no such program: pages are read, but not looked at.",
            hint="Give the path of a Chromium or Chrome, or leave it out to have one looked for on PATH.",
            id="greenhouse.W006",
        )
