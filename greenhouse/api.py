"""The API's root: who may call, and how errors look."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI, Router
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from experiments.api import evolution, experiments, imports, outside, running
from experiments.lifecycle import WrongStatus
from experiments.models import APIToken
from experiments.splitter.stores import StoreUnavailable
from experiments.tokens import token_digest
from variants.api import router as variants_router
from variants.problems import Invalid, Problem, located, response

MEGABYTE = 1_000_000
BODY_PARTS = 2  # django-ninja locates a fault in the body under ("body", parameter name)


class Token(HttpBearer):
    """`Authorization: Bearer TOKEN`, made by `manage.py create_api_token`."""

    def authenticate(self, request: HttpRequest, token: str) -> APIToken | None:
        tokens = APIToken.objects.select_related("user").filter(user__is_active=True)
        found = tokens.filter(digest=token_digest(token)).first()
        if found is not None:
            request.user = found.user
        return found


logger = logging.getLogger(__name__)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

api = NinjaAPI(title="Greenhouse", version="1", auth=Token(), docs_url=None, urls_namespace="api")
api.add_router("", variants_router)
api.add_router("", experiments.router)
api.add_router("", imports.router)
api.add_router("", running.router)
api.add_router("", evolution.router)
api.add_router("", outside.router)
fallback = Router()


@fallback.api_operation(list(METHODS), "/{path:anything}", include_in_schema=False, auth=None)
def _nothing_here(request: HttpRequest, anything: str) -> None:
    raise Problem(HTTPStatus.NOT_FOUND, f"The API has nothing at {request.path}; see /api/v1/openapi.json.")


api.add_router("", fallback)  # last: it takes what no other router has


def addresses() -> tuple[list[URLPattern | URLResolver], str, str]:
    """Return the API's addresses; a method that one does not take is answered as every other error is."""
    patterns, app_name, namespace = api.urls
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            pattern.callback = _saying_what_is_allowed(pattern.callback)
    return patterns, app_name, namespace


def _saying_what_is_allowed(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    # django-ninja answers 405 in plain text before any handler of ours is asked.
    @wraps(view)
    def with_problem(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = view(request, *args, **kwargs)
        if answer.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            return answer
        allowed = ", ".join(sorted(word.strip() for word in answer["Allow"].split(",")))
        problem = response(
            Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"This address takes {allowed}, not {request.method}.")
        )
        problem["Allow"] = allowed
        return problem

    return with_problem


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return response(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side; it is in the log."))


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE / MEGABYTE
    detail = f"At most {most:.1f} MB are taken in one request. Give a large page by its address, or in the console."
    return response(Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail))


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return response(error)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [
        entry
        for fault in error.errors
        for entry in located([fault], skip=BODY_PARTS if fault["loc"][0] == "body" else 1)
    ]
    return response(Invalid(faults))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return response(Problem(HTTPStatus.NOT_FOUND, "There is nothing at this address."))


@api.exception_handler(AuthenticationError)
def _unauthorised(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    detail = "Send a valid token: Authorization: Bearer TOKEN. Make one with manage.py create_api_token."
    answer = response(Problem(HTTPStatus.UNAUTHORIZED, detail))
    answer["WWW-Authenticate"] = "Bearer"
    return answer


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return response(Problem(HTTPStatus(error.status_code), str(error)))


@api.exception_handler(WrongStatus)
def _wrong_status(request: HttpRequest, error: WrongStatus) -> HttpResponse:
    return response(experiments.wrong_status(error))


@api.exception_handler(StoreUnavailable)
def _store_unavailable(request: HttpRequest, error: StoreUnavailable) -> HttpResponse:
    return response(experiments.store_unavailable(error))
