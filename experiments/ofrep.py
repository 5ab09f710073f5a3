"""OpenFeature's remote evaluation protocol: an app of the marketer's asks for its arm, and reports what came of it.

    POST /ofrep/v1/evaluate/flags/{slug}   one experiment: which arm          (servers' providers)
    POST /ofrep/v1/evaluate/flags          all that the key opens, with an ETag (web and mobile providers)
    GET  /ofrep/v1/configuration           what there is to know about us
    POST /ofrep/v1/track                   the arm was shown, a goal was reached: not in the protocol, ours

The specification is open-feature/protocol's service/openapi.yaml. A key that apps and web pages may hold says which
experiments are meant; from a browser it works on the sites its owner named. docs/apps.md tells an app's author more.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from experiments import flags
from experiments.models import AppKey, Experiment
from experiments.splitter.attributes import CLICK_IDS, attributes_of
from experiments.splitter.bots import is_bot
from experiments.splitter.clock import monotonic_ms
from experiments.splitter.config import from_environ
from experiments.splitter.rates import RateLimit
from experiments.splitter.requests import address, has_opted_out

SHOWN: Final = "greenhouse.exposure"  # the tracking event that says an arm was shown; no goal can be called that
MOST_BYTES: Final = 64 * 1024
NUL: Final = "\\u0000"  # as JSON writes it
PREFLIGHT_SECONDS: Final = 3600
POLLING_MS: Final = 60_000
PARSE_ERROR, INVALID_CONTEXT, GENERAL = "PARSE_ERROR", "INVALID_CONTEXT", "GENERAL"
FLAG_NOT_FOUND, TARGETING_KEY_MISSING = "FLAG_NOT_FOUND", "TARGETING_KEY_MISSING"
CONFIGURATION: Final = {
    "name": "Greenhouse",
    "capabilities": {
        "cacheInvalidation": {"polling": {"enabled": True, "minPollingIntervalMs": POLLING_MS}},
        "flagEvaluation": {"supportedTypes": ["object"]},
        "caching": {"enabled": False},
    },
}

type View = Callable[..., HttpResponse]


class Refused(Exception):
    """A request that gets an error's answer."""

    def __init__(self, status: HTTPStatus, code: str, details: str) -> None:
        super().__init__(details)
        self.status, self.code, self.details = status, code, details

    def body(self, key: str = "") -> dict[str, str]:
        """Give the error as the protocol writes it."""
        named = {"key": key} if key else {}
        return {**named, "errorCode": self.code, "errorDetails": self.details}


class Details(BaseModel):
    """What an app says about a tracking event; OpenFeature's `value` is the event's worth."""

    model_config = ConfigDict(extra="ignore")

    flag: str = ""  # an experiment's slug; without it every experiment that has the goal
    value: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] | None = None
    event_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{0,100}$")] = ""


class Event(BaseModel):
    """A tracking event."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    details: Details = Details()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was understood as far as all requests are alike."""

    key: AppKey
    person: flags.Person
    body: dict[str, Any]
    if_none_match: str = ""


# --- the doorstep ---------------------------------------------------------------------------------------------------


@cache
def _limit() -> RateLimit:
    """Return the visitor tier's own limit per address, for this process."""
    config = from_environ({**os.environ, "SECRET_KEY": settings.SECRET_KEY})
    return RateLimit(config.rate_per_second, exempt=config.rate_exempt, monotonic_ms=monotonic_ms)


def for_apps(method: str) -> Callable[[View], View]:
    """Let in apps with a key, and browsers from that key's sites; answer errors as the protocol writes them."""

    def decorated(view: View) -> View:
        @csrf_exempt  # nothing here is done by the right of a cookie
        @wraps(view)
        def guarded(request: HttpRequest, **place: str) -> HttpResponse:
            if request.method == "OPTIONS":
                return _preflight(request)
            try:
                key = _admitted(request, method)
                answer = view(_asked(request, key), **place)
            except Refused as refused:
                answer = JsonResponse(refused.body(place.get("slug", "")), status=refused.status)
                if refused.status == HTTPStatus.TOO_MANY_REQUESTS:
                    answer["Retry-After"] = "1"
            return _for_browsers(request, answer)

        return guarded

    return decorated


def _preflight(request: HttpRequest) -> HttpResponse:
    """Answer what a browser asks before it sends a key: it does not say which, so no site is turned away yet."""
    answer = _for_browsers(request, HttpResponse(status=HTTPStatus.NO_CONTENT))
    answer["Access-Control-Allow-Methods"] = "GET, POST"
    answer["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-None-Match, X-API-Key"
    answer["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return answer


def _for_browsers(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """Let a page of another site read the answer; what is in it was given out by the key, not by cookies."""
    origin = request.headers.get("Origin", "")
    answer["Vary"] = "Origin"
    answer.headers.setdefault("Cache-Control", "private, no-store")
    if origin and origin.isprintable():
        answer["Access-Control-Allow-Origin"] = origin
        answer["Access-Control-Expose-Headers"] = "ETag, Retry-After"
    return answer


def _admitted(request: HttpRequest, method: str) -> AppKey:
    if not _limit().allows(address(request.META, settings.ENVIRONMENT.trusted_proxy_count)):
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, GENERAL, "Too many requests from this address.")
    if request.method != method:
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, GENERAL, f"This address takes {method}.")
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    key = flags.key_of(bearer or request.headers.get("X-API-Key", "").strip())
    if key is None:
        raise Refused(
            HTTPStatus.UNAUTHORIZED, GENERAL, "Send an app's key: Authorization: Bearer gh_app_… (or X-API-Key)."
        )
    origin = request.headers.get("Origin")
    if origin is not None and origin not in key.origins.split():
        raise Refused(HTTPStatus.FORBIDDEN, GENERAL, f"This key is not for pages of {origin!r}; its owner can add it.")
    return key


def _asked(request: HttpRequest, key: AppKey) -> Asked:
    if request.method == "GET":
        return Asked(key=key, person=flags.Person(), body={}, if_none_match=request.headers.get("If-None-Match", ""))
    body = _body(request)
    context = body.get("context", {})
    if not isinstance(context, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, INVALID_CONTEXT, "The context is not an object.")
    person = _person(request, context)
    return Asked(key=key, person=person, body=body, if_none_match=request.headers.get("If-None-Match", ""))


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        raw = request.body or b"{}"
        parsed = json.loads(raw) if len(raw) <= MOST_BYTES else None
    except (RequestDataTooBig, ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise Refused(
            HTTPStatus.BAD_REQUEST, PARSE_ERROR, f"The body is not a JSON object of at most {MOST_BYTES} bytes."
        )
    return parsed


def _person(request: HttpRequest, context: dict[str, Any]) -> flags.Person:
    """Read a context: the targeting key, and what servers pass on of the browser they answer."""
    key = context.get("targetingKey", "")
    if not isinstance(key, str) or len(key) > flags.LONGEST_KEY:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            INVALID_CONTEXT,
            f"targetingKey is not a text of at most {flags.LONGEST_KEY} characters.",
        )
    consent = context.get("consent")
    agent = _agent(request, context)
    return flags.Person(
        targeting_key=key,
        # Without a name of the visitor's own browser there is nothing to judge: servers and apps ask, too.
        is_program=bool(agent) and is_bot(agent),
        has_opted_out=has_opted_out(request.META) or consent is False,
        has_consented=consent is True,
        attributes=attributes_of(_circumstances(request, context, agent)),
    )


def _agent(request: HttpRequest, context: dict[str, Any]) -> str:
    """Return what the visitor's browser calls itself: as the app says, or by the header if a browser is asking."""
    named = _text(context, "userAgent")
    return named or (request.headers.get("User-Agent", "") if "Origin" in request.headers else "")


def _circumstances(request: HttpRequest, context: dict[str, Any], agent: str) -> dict[str, str]:
    """Return the request by which the visitor would have asked for a page, as far as the app tells."""
    campaign = {
        name: value
        for name, value in context.items()
        if isinstance(value, str) and (name in CLICK_IDS or name.startswith("utm_"))
    }
    language = _text(context, "language")
    return {
        "QUERY_STRING": urlencode(campaign, errors="replace"),
        "HTTP_REFERER": _text(context, "referrer"),
        "HTTP_USER_AGENT": agent,
        "HTTP_ACCEPT_LANGUAGE": language or (request.headers.get("Accept-Language", "") if agent else ""),
    }


def _text(context: dict[str, Any], name: str) -> str:
    value = context.get(name)
    return value if isinstance(value, str) else ""


# --- the protocol ---------------------------------------------------------------------------------------------------


@for_apps("POST")
def evaluate_one(asked: Asked, slug: str) -> HttpResponse:
    """Answer which arm of an experiment a person gets."""
    return JsonResponse(_evaluated(_experiment(asked, slug), asked.person))


@for_apps("POST")
def evaluate_all(asked: Asked) -> HttpResponse:
    """Answer which arms a person gets in everything the key opens; what cannot be told is told one by one."""
    found = []
    for experiment in flags.experiments_of(asked.key):
        try:
            found.append(_evaluated(experiment, asked.person))
        except Refused as refused:
            found.append(refused.body(experiment.slug))
    return _tagged({"flags": found}, asked)


@for_apps("GET")
def configuration(asked: Asked) -> HttpResponse:
    """Answer what a provider may want to know before it asks."""
    return _tagged(CONFIGURATION, asked)


def _experiment(asked: Asked, slug: str) -> Experiment:
    experiment = next((found for found in flags.experiments_of(asked.key) if found.slug == slug), None)
    if experiment is None:
        raise Refused(HTTPStatus.NOT_FOUND, FLAG_NOT_FOUND, f"This key opens no started experiment {slug!r}.")
    return experiment


def _evaluated(experiment: Experiment, person: flags.Person) -> dict[str, Any]:
    try:
        found = flags.evaluate(experiment, person, now=timezone.now())
    except flags.TargetingKeyMissing as error:
        raise Refused(HTTPStatus.BAD_REQUEST, TARGETING_KEY_MISSING, str(error)) from error
    return {
        "key": found.slug,
        "value": found.choice.value,
        "variant": found.choice.key,
        "reason": found.reason,
        "metadata": found.metadata,
    }


def _tagged(document: dict[str, Any], asked: Asked) -> HttpResponse:
    body = json.dumps(document).encode()
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    if tag in asked.if_none_match:
        answer = HttpResponse(status=HTTPStatus.NOT_MODIFIED)
    else:
        answer = HttpResponse(body, content_type="application/json")
    answer["ETag"] = tag
    return answer


# --- what becomes of it ---------------------------------------------------------------------------------------------


@for_apps("POST")
def track(asked: Asked) -> HttpResponse:
    """Take a tracking event: an arm was shown, or a goal was reached."""
    event = _event(asked.body)
    try:
        results = _shown(asked, event) if event.name == SHOWN else _reached(asked, event)
    except flags.TargetingKeyMissing as error:
        raise Refused(HTTPStatus.BAD_REQUEST, TARGETING_KEY_MISSING, str(error)) from error
    return JsonResponse({"tracked": [_result(slug, tracked) for slug, tracked in results]})


def _event(body: dict[str, Any]) -> Event:
    if NUL in json.dumps([body.get("name"), body.get("details")]):
        raise Refused(HTTPStatus.BAD_REQUEST, PARSE_ERROR, "name and details hold a NUL, which no database keeps.")
    try:
        return Event.model_validate(
            {"details": {}, **{name: body[name] for name in ("name", "details") if name in body}}
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise Refused(HTTPStatus.BAD_REQUEST, PARSE_ERROR, f"{place}: {fault['msg']}") from error


def _shown(asked: Asked, event: Event) -> list[tuple[str, flags.Tracked]]:
    if not event.details.flag:
        raise Refused(HTTPStatus.BAD_REQUEST, PARSE_ERROR, "details.flag: name the experiment whose arm was shown.")
    experiment = _experiment(asked, event.details.flag)
    return [(experiment.slug, flags.expose(experiment, asked.person, now=timezone.now()))]


def _reached(asked: Asked, event: Event) -> list[tuple[str, flags.Tracked]]:
    details, now = event.details, timezone.now()
    named = [_experiment(asked, details.flag)] if details.flag else flags.experiments_of(asked.key)
    goals = flags.goals_called(named, event.name)
    if not goals:
        raise Refused(HTTPStatus.BAD_REQUEST, GENERAL, f"None of the key's experiments has a goal {event.name!r}.")
    return [
        (
            goal.experiment.slug,
            flags.convert(goal.experiment, asked.person, goal, value=details.value, event_id=details.event_id, now=now),
        )
        for goal in goals
    ]


def _result(slug: str, tracked: flags.Tracked) -> dict[str, Any]:
    found: dict[str, Any] = {"flag": slug, "counted": tracked.is_counted}
    if tracked.why_not:
        found["reason"] = tracked.why_not
    return found | ({"token": tracked.token} if tracked.token else {})


urlpatterns = [
    path("evaluate/flags", evaluate_all, name="evaluate_all"),
    path("evaluate/flags/<str:slug>", evaluate_one, name="evaluate_one"),
    path("configuration", configuration, name="configuration"),
    path("track", track, name="track"),
]
