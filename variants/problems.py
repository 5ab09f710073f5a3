"""Errors as RFC 9457 problem documents: what is wrong, in which field, and how to mend it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from ninja.pagination import LimitOffsetPagination
from pydantic import Field, ValidationError

CONTENT_TYPE = "application/problem+json"
_NAMES_ITS_FIELD = re.compile(r"([a-z_]+): (.+)", re.DOTALL)


class Paged(LimitOffsetPagination):
    """Pages of a list, by `limit` and `offset`."""

    class Input(LimitOffsetPagination.Input):
        offset: int = Field(0, ge=0, le=10**9)  # beyond that a database's integers end


class Problem(Exception):
    """An answer that is an error; `errors` are {"field", "reason"} pairs."""

    def __init__(self, status: HTTPStatus, detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, list(errors)


class Invalid(Problem):
    """Input that cannot be taken (422)."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        detail = " ".join(f"{error['field']}: {error['reason']}" for error in errors)
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors)


class Conflict(Problem):
    """A step that the present state does not allow (409)."""

    def __init__(self, detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(HTTPStatus.CONFLICT, detail, errors)


def field_errors(error: ValidationError, *, under: str = "") -> list[dict[str, str]]:
    """Return pydantic's faults as field and reason."""
    return located(error.errors(include_url=False, include_context=False), under=under)


def located(faults: Iterable[Mapping[str, Any]], *, under: str = "", skip: int = 0) -> list[dict[str, str]]:
    """Return faults with a `loc` as field and reason, leaving out the first `skip` parts of the location."""
    return [_located(fault, [under] if under else [], skip) for fault in faults]


def _located(fault: Mapping[str, Any], under: list[str], skip: int) -> dict[str, str]:
    reason = str(fault["msg"]).removeprefix("Value error, ")
    place = [*under, *(str(part) for part in fault["loc"][skip:])]
    # A check of several fields together starts its message with the one to mend.
    if named := _NAMES_ITS_FIELD.fullmatch(reason):
        place.append(named[1])
        reason = named[2]
    return {"field": ".".join(place) or "body", "reason": reason}


def response(problem: Problem) -> JsonResponse:
    """Return the problem as the answer to a request."""
    body = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "errors": problem.errors,
    }
    return JsonResponse(body, status=problem.status, content_type=CONTENT_TYPE)


def require(request: HttpRequest, *permissions: str) -> User:
    """Return the user if they hold one of the permissions, such as "variants.add_brief"; otherwise answer 403."""
    user = request.user
    if not isinstance(user, User) or not any(map(user.has_perm, permissions)):
        lacking = " or ".join(permissions)
        raise Problem(HTTPStatus.FORBIDDEN, f"Your account lacks the permission {lacking}. Ask an administrator.")
    return user
