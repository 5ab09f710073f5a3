"""Turn a published snapshot document and its blobs into an Experiment that can be served without further thought.

An Experiment is immutable. Everything a request could ask of it is worked out when it is loaded: the answers in each
encoding, the cumulative shares, the destinations. Replacing one is a single assignment into a dictionary, so a request
sees the old one or the new one and never a mix.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from experiments.splitter.assignment import BadShares, Split, salted_hash, split_of
from experiments.splitter.cookies import cookie_name
from experiments.splitter.forms import Form, FormPage, form_of, form_page_of
from experiments.splitter.links import Link, link_of
from experiments.splitter.places import Place, host_asked, own_place, usual_place
from experiments.splitter.requests import Environ
from experiments.splitter.responses import IMMUTABLE, Answer, Headers, answer_of, page_headers
from experiments.splitter.stores import Blob

# CNIL's longest period for a cookie that measures an audience: thirteen months.
MAX_COOKIE_SECONDS = 13 * 30 * 24 * 3600


# What cookies can carry; an arm they cannot carry would be forgotten at once and its visitors counted anew.
_ARM_KEY = re.compile(r"(?!-$)[a-z0-9-]{1,100}")
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,200}")


class BadSnapshot(ValueError):
    """A snapshot that cannot be served."""


class Status(StrEnum):
    """What becomes of visitors; the states before RUNNING have no snapshot."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    PROMOTED = "promoted"
    GONE = "gone"


class GoalKind(StrEnum):
    """How a goal is reached."""

    CLICK = "click"
    FORM = "form"
    EVENT = "event"
    REVENUE = "revenue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What counts as a conversion, and for how long after the exposure."""

    key: str
    kind: GoalKind
    window_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FormAnswer:
    """The page with its form in the state of being shown again."""

    blob: Blob
    page: FormPage

    def headers(self, body_bytes: int) -> Headers:
        """Give the headers of a filled page."""
        return page_headers(self.blob, body_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What one arm answers."""

    key: str
    page: Answer
    thanks: Answer
    form: FormAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment, ready to be served."""

    sequence: int
    number: int
    slug: str
    status: Status
    salt: "blake2b" = field(compare=False)  # hashes do not compare; the sequence tells documents apart
    traffic_share: float
    epoch: int
    split: Split | None  # of new visitors; None when no new visitor is assigned
    control: Arm
    arms: Mapping[str, Arm]  # live and retired ones
    consent_required: bool
    confirm_exposures: bool
    cookie: str  # the cookie's name
    place: Place
    own_place: Place | None  # at the address that the marketer gave it
    goals: Mapping[str, Goal]
    links: Mapping[str, Link]
    form: Form | None
    images: Mapping[str, Answer]
    everyone_gets: Arm | None  # whatever their cookie says; None while arms compete
    has_own_host: bool  # carries scripts of its own, so it is shown on PAGES_HOST alone
    blobs: frozenset[str]  # hashes of everything it is made of

    def place_asked(self, environ: Environ) -> Place:
        """Give the place at which a visitor sees the page."""
        own = self.own_place
        return own if own is not None and host_asked(environ) == own.host else self.place


def parse(document: str) -> dict[str, Any]:
    """Read a document as far as is needed to know its blobs, or raise BadSnapshot."""
    try:
        parsed = json.loads(document)
    except ValueError as error:
        raise BadSnapshot(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BadSnapshot(f"not an object: {document[:80]!r}")
    return parsed


def identity_of(document: Mapping[str, Any]) -> tuple[str, int]:
    """Give a document's slug and sequence, or raise BadSnapshot."""
    slug, sequence = document.get("slug"), document.get("sequence")
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug) or not isinstance(sequence, int):
        raise BadSnapshot(f"no slug or no sequence: {slug!r}, {sequence!r}")
    return slug, sequence


def blobs_of(document: Mapping[str, Any]) -> set[str]:
    """Give the hashes of all blobs that a document needs."""
    try:
        return set(_blob_hashes(document))
    except (KeyError, TypeError, AttributeError) as error:
        raise BadSnapshot(f"{type(error).__name__}: {error}") from error


def compile_experiment(document: Mapping[str, Any], blobs: Mapping[str, Blob]) -> Experiment:
    """Work out everything that requests will ask, or raise BadSnapshot naming the fault."""
    try:
        return _compiled(document, blobs)
    except (KeyError, TypeError, AttributeError, ValueError, BadShares) as error:
        raise BadSnapshot(f"{document.get('slug')!r}: {type(error).__name__}: {error}") from error


def _compiled(document: Mapping[str, Any], blobs: Mapping[str, Blob]) -> Experiment:
    status = Status(document["status"])
    address = str(document.get("address") or "")
    arms = {key: _arm(key, arm, blobs, address) for key, arm in document["arms"].items()}
    number, slug = int(document["experiment"]), str(document["slug"])
    winner, goals = document.get("winner"), _goals(document["goals"])
    # A cookie that dies before the last goal's window would lose conversions that count.
    cookie_seconds = max([int(document["cookie_seconds"]), *(goal.window_ms // 1000 for goal in goals.values())])
    cookie_seconds = min(cookie_seconds, MAX_COOKIE_SECONDS)
    if status is Status.PROMOTED and winner not in arms:
        raise BadSnapshot(f"promoted without a winner among its arms: {winner!r}")
    return Experiment(
        sequence=int(document["sequence"]),
        number=number,
        slug=slug,
        status=status,
        salt=salted_hash(str(document["salt"])),
        traffic_share=float(document.get("traffic_share", 1)),
        epoch=int(document["epoch"]),
        split=_split(document["shares"], arms) if status is Status.RUNNING else None,
        control=arms[document["control"]],
        arms=arms,
        consent_required=bool(document.get("consent_required", False)),
        confirm_exposures=bool(document.get("confirm_exposures", False)),
        cookie=cookie_name(number),
        place=usual_place(slug, cookie_seconds=cookie_seconds),
        own_place=own_place(address, cookie_seconds=cookie_seconds) if address else None,
        goals=goals,
        links={key: link_of(link) for key, link in document["links"].items()},
        form=form_of(document["form"]) if document.get("form") else None,
        images=_images(document, blobs),
        everyone_gets={Status.FINISHED: arms[document["control"]], Status.PROMOTED: arms.get(winner)}.get(status),
        has_own_host=bool(document.get("own_host", False)),
        blobs=frozenset(blobs),
    )


def _split(shares: Mapping[str, float], arms: Mapping[str, Arm]) -> Split:
    unknown = set(shares) - set(arms)
    if unknown:
        raise BadSnapshot(f"shares for arms without a page: {sorted(unknown)}")
    return split_of({arm: float(share) for arm, share in shares.items()})


def _arm(key: str, document: Mapping[str, Any], blobs: Mapping[str, Blob], address: str) -> Arm:
    if not _ARM_KEY.fullmatch(key):
        raise BadSnapshot(f"not an arm's key: {key!r}")
    form = document.get("form")
    return Arm(
        key=key,
        # Search engines may find the page at two addresses; this says which is meant (RFC 6596).
        page=answer_of(blobs[document["page"]], extra=[("Link", f'<{address}>; rel="canonical"')] if address else []),
        thanks=answer_of(blobs[document["thanks"]]),
        form=FormAnswer(blob=blobs[form], page=form_page_of(blobs[form].identity)) if form else None,
    )


def _goals(documents: list[dict[str, Any]]) -> dict[str, Goal]:
    goals = [
        Goal(key=str(goal["key"]), kind=GoalKind(goal["kind"]), window_ms=int(goal["window_seconds"] * 1000))
        for goal in documents
    ]
    return {goal.key: goal for goal in goals}


def _images(document: Mapping[str, Any], blobs: Mapping[str, Blob]) -> dict[str, Answer]:
    images = document.get("images") or {}
    return {name: answer_of(blobs[sha], cache_control=IMMUTABLE) for name, sha in images.items()}


def _blob_hashes(document: Mapping[str, Any]) -> Iterator[str]:
    for arm in document["arms"].values():
        yield arm["page"]
        yield arm["thanks"]
        if arm.get("form"):
            yield arm["form"]
    yield from (document.get("images") or {}).values()
