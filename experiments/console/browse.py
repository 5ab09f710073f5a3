"""Which variants the gallery shows: by status, direction, what the gates found, and what says much the same.

One query reads what the choices need of all variants, however many there are; only the cards of one page are made.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from experiments.models import Experiment
from variants import likeness
from variants.models import Variant

MISFIT: Final = "misfit"
FINDINGS: Final = {
    MISFIT: "no longer match the brief", "blocked": "cannot be approved yet", "remarks": "worth a look",
    "clean": "without remarks",
}  # fmt: skip
ALIKE: Final = {"own": "say something of their own", "repeats": "say what another says"}
LONGEST_SEARCH: Final = 100
LONGEST_DIRECTION: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asked to see; empty texts leave a choice open."""

    show: str = ""  # a status
    direction: str = ""
    found: str = ""  # a key of FINDINGS
    alike: str = ""  # a key of ALIKE
    search: str = ""

    @property
    def query(self) -> str:
        """The choices as they stand in an address."""
        return "&".join(part for part in (f"show={self.show}" if self.show else "", self.rest) if part)

    @property
    def rest(self) -> str:
        """The choices without the status."""
        chosen = {name: getattr(self, name) for name in ("direction", "found", "alike", "search")}
        return urlencode({name: value for name, value in chosen.items() if value})

    @property
    def is_narrow(self) -> bool:
        return bool(self.direction or self.found or self.alike or self.search)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One entry of a list to choose from."""

    value: str
    words: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    ids: Sequence[int]
    directions: Sequence[Choice]
    findings: Sequence[Choice]
    alike: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    id: int
    status: str
    direction: str
    finding: str
    said: str  # its name and headline, in small letters


def wanted(sent: Mapping[str, str]) -> Wanted:
    """Return what an address asks for; what makes no sense asks for nothing."""
    found, alike, show = sent.get("found", ""), sent.get("alike", ""), sent.get("show", "")
    return Wanted(
        show=show if show in Variant.Status.values else "",
        direction=sent.get("direction", "")[:LONGEST_DIRECTION],
        found=found if found in FINDINGS else "",
        alike=alike if alike in ALIKE else "",
        search=sent.get("search", "").strip()[:LONGEST_SEARCH],
    )


def browse(experiment: Experiment, asked: Wanted) -> Browsed:
    """Return the variants that are asked for, and what else may be asked for, with how many there are of each."""
    rows = _rows(experiment)
    of_status = [row for row in rows if not asked.show or row.status == asked.show]
    repeats = _repeats(experiment) if asked.alike else frozenset()
    directions = Counter(row.direction for row in of_status)
    findings = Counter(row.finding for row in of_status)
    return Browsed(
        ids=[row.id for row in of_status if _is_wanted(row, asked, repeats)],
        directions=[Choice(value=name, words=name, number=number) for name, number in directions.most_common()],
        findings=[Choice(value=key, words=words, number=findings[key]) for key, words in FINDINGS.items()],
        alike=list(ALIKE.items()),
    )


def _rows(experiment: Experiment) -> list[_Row]:
    read = ("pk", "status", "content__angle", "findings", "misfit", "name", "content__sections__0__headline")
    found = experiment.nursery.variants.values_list(*read)
    return [
        _Row(
            id=pk,
            status=status,
            direction=angle,
            finding=MISFIT if misfit and status == Variant.Status.APPROVED else _finding(findings),
            said=f"{name}\n{headline or ''}".lower(),
        )
        for pk, status, angle, findings, misfit, name, headline in found
    ]


def _finding(findings: Sequence[Mapping[str, Any]]) -> str:
    if any(finding.get("blocks", True) for finding in findings):
        return "blocked"
    return "remarks" if findings else "clean"


def _is_wanted(row: _Row, asked: Wanted, repeats: Collection[int]) -> bool:
    return (
        asked.direction in {"", row.direction}
        and asked.found in {"", row.finding}
        and (not asked.alike or (row.id in repeats) == (asked.alike == "repeats"))
        and asked.search.lower() in row.said
    )


def _repeats(experiment: Experiment) -> frozenset[int]:
    """Return the variants that say what an earlier one says. Half a second for 500: only when it is asked for."""
    look = likeness.look_at(experiment.nursery)
    return frozenset(look.variants[place].pk for place, leader in enumerate(look.leaders) if leader != place)
