"""Errors as RFC 9457 problem documents: what is wrong, in which field, and how to mend it."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from pydantic import ValidationError

CONTENT_TYPE = "application/problem+json"


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
    return [
        {
            "field": ".".join([*([under] if under else []), *(str(part) for part in fault["loc"][skip:])]) or "body",
            "reason": str(fault["msg"]).removeprefix("Value error, "),
        }
        for fault in faults
    ]


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


def require(request: HttpRequest, permission: str) -> User:
    """Return the user if they hold the permission, such as "variants.add_brief"; otherwise answer 403."""
    user = request.user
    if not isinstance(user, User) or not user.has_perm(permission):
        raise Problem(HTTPStatus.FORBIDDEN, f"Your account lacks the permission {permission}. Ask an administrator.")
    return user
