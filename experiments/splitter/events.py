"""Turn the body of POST /event into a goal reached, or into the reason why it is none."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.splitter.snapshot import Goal, GoalKind

MAX_BODY_BYTES = 8 * 1024
MAX_EVENT_ID = 100  # characters
MAX_VALUE = 1e12
REPORTABLE = frozenset({GoalKind.EVENT, GoalKind.REVENUE})  # the other kinds are seen by ourselves


class BadEvent(ValueError):
    """What was sent is not an event; the message says why, in words for the page's author."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A goal that a page reports as reached."""

    goal: Goal
    value: float | None
    event_id: str  # empty: the goal counts once per visitor


def event_of(body: bytes, goals: Mapping[str, Goal]) -> Event:
    """Read an event strictly, or raise BadEvent. Unknown keys are ignored."""
    document = _object(body)
    key = document.get("goal")
    goal = goals.get(key) if isinstance(key, str) else None
    if goal is None or goal.kind not in REPORTABLE:
        raise BadEvent("goal is not one of this experiment's event or revenue goals")
    event_id = _event_id(document.get("event_id"))
    return Event(
        goal=goal,
        value=_value(document.get("value")),
        event_id=event_id if goal.kind is GoalKind.REVENUE else "",
    )


def _object(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadEvent("the body is not JSON") from error
    if not isinstance(document, dict):
        raise BadEvent("the body is not a JSON object")
    return document


def _refuse_constant(name: str) -> float:
    raise BadEvent(f"{name} is not JSON")


def _value(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadEvent("value is not a number")
    # Compared before it is converted: a whole number of a thousand digits has no float.
    if not 0 <= value <= MAX_VALUE or not math.isfinite(value):
        raise BadEvent(f"value is not between 0 and {MAX_VALUE:.0f}")
    return float(value)


def _event_id(event_id: object) -> str:
    if event_id is None:
        return ""
    if not isinstance(event_id, str) or len(event_id) > MAX_EVENT_ID or not event_id.isprintable():
        raise BadEvent(f"event_id is not a text of at most {MAX_EVENT_ID} printable characters")
    return event_id
