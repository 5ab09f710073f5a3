"""Turn pydantic's errors about briefs and pages into sentences for the person who typed them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

PLACE_IN_MESSAGE = re.compile(r"([a-z_]+): (.+)", re.DOTALL)

FILL_IN = "Please fill this in"
TEXT_REASONS = {
    "string_too_short": FILL_IN,
    "too_short": FILL_IN,
    "string_too_long": "This has {length} characters; the most is {max_length}",
    "too_long": "This has {length} characters; the most is {max_length}",
    "string_pattern_mismatch": "This is not in the form that is needed",
}
REASONS = {
    "missing": FILL_IN,
    "string_type": FILL_IN,
    "too_long": "These are {actual_length}; the most is {max_length}",
    "too_short": "Give at least {min_length}",
    "literal_error": "Choose one of {expected}",
    "value_error": "{error}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    place: tuple[str | int, ...]  # the path to the value, such as ("facts", 2, "text"); empty for the whole
    reason: str


def complaints(error: ValidationError) -> Iterator[Complaint]:
    """Yield each fault with its place; a fault of the whole names its field first, as in "form_fields: …"."""
    for fault in error.errors(include_url=False):
        place, reason = fault["loc"], _reason(fault)
        named = PLACE_IN_MESSAGE.fullmatch(reason)
        if fault["type"] == "value_error" and named:
            place, reason = (*place, named[1]), named[2]
        yield Complaint(place=place, reason=reason[:1].upper() + reason[1:].rstrip(".") + ".")


def _reason(fault: ErrorDetails) -> str:
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    if isinstance(given, str) and not given.strip():
        return FILL_IN
    # pydantic says "too_long" of lists, and also of texts whose limit stands apart from their other rules.
    if isinstance(given, str) and kind in TEXT_REASONS:
        return TEXT_REASONS[kind].format(length=len(given), **context)
    return REASONS[kind].format(**context) if kind in REASONS else fault["msg"]
