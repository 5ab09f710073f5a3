"""Turn a lineage into what the report's page shows of it: the drawing, its key, the table and the credit, in words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.reporting import tree, wording
from experiments.reporting.bars import effect_bar
from experiments.reporting.lineage import OPERATOR_PLURALS, OPERATOR_WORDS
from experiments.reporting.values import CreditReport, Lineage, Member
from variants.content import SLOT_WORDS

MOST_GENES = 12
LONGEST_OPTION = 80
NOTE = "Each page stands below the parent it takes after, one step to the right for each generation."
SECOND = "A dashed line leads to a second parent."
SECOND_IN_TABLE = "Second parents are named in the table below it."
LEAST_SCALE, LARGEST_SCALE = 0.05, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditRow:
    label: str
    detail: str
    lift: str
    interval: str
    exact: str  # as the JSON has it
    bar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTable:
    key: str
    title: str
    against: str
    rows: Sequence[CreditRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    mark: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    note: str  # how to read the drawing
    pages: int
    wide: str
    narrow: str
    keys: Sequence[Key]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    tables: Sequence[CreditTable]
    learnt: Sequence[str]
    works: str


def family_of(found: Lineage | None, *, is_early: bool = False) -> Family | None:
    """Arrange a lineage for reading; None where nothing was bred. As in the table, no single lift is told too early."""
    if found is None or not found.is_bred:
        return None
    drawn = [replace(member, lift=None) for member in found.members] if is_early else found.members
    return Family(
        note=f"{NOTE} {SECOND if len(drawn) <= tree.MOST_SECOND_LINES else SECOND_IN_TABLE}",
        pages=len(drawn),
        wide=tree.drawing(drawn, tree.WIDE),
        narrow=tree.drawing(drawn, tree.NARROW),
        keys=_keys(found.members),
        head=["Page", "How it came to be", "Parents", "What changed", "What became of it", "Visitors", "Lift",
              "Written by", "Cost"],
        rows=_rows(drawn),
        tables=_tables(found.credit),
        learnt=found.learnt,
        works=found.works,
    )  # fmt: skip


def _keys(members: Sequence[Member]) -> list[Key]:
    there = {member.operator for member in members}
    return [Key(mark=tree.mark(one), words=words) for one, words in OPERATOR_WORDS.items() if one in there]


def _rows(members: Sequence[Member]) -> list[list[str]]:
    names = {member.id: member.name for member in members}
    return [
        [
            place.member.name,
            OPERATOR_WORDS.get(place.member.operator, place.member.operator),
            ", ".join(names[parent] for parent in place.member.parents if parent in names) or wording.UNKNOWN,
            ", ".join(SLOT_WORDS.get(slot, slot) for slot in place.member.changed) or wording.UNKNOWN,
            tree.STATUS_WORDS.get(place.member.status, place.member.status),
            wording.whole(place.member.exposures),
            _lift(place.member),
            " ".join(part for part in (place.member.model, place.member.prompt_version) if part) or "hand",
            wording.UNKNOWN
            if place.member.cost_usd is None
            else f"${place.member.cost_usd:.4f}".rstrip("0").rstrip("."),
        ]
        for place in tree.places(members)
    ]


def _lift(member: Member) -> str:
    if member.lift is None:
        return wording.lift_interval(member.lift_interval)
    return f"{wording.lift(member.lift, member.lift_interval)} ({wording.lift_interval(member.lift_interval)})"


def _tables(rows: Sequence[CreditReport]) -> list[CreditTable]:
    genes = [row for row in rows if row.kind == "gene"]
    telling = sorted(genes, key=lambda row: -abs(row.chance_better - 0.5))[:MOST_GENES]
    shown = [*(row for row in rows if row.kind != "gene"), *telling]
    scale = max([LEAST_SCALE, *(min(LARGEST_SCALE, max(map(abs, row.lift_interval))) for row in shown)])
    titles = {
        "operator": ("How children came to be", "a child against its parents, counted from its first visitor on"),
        "direction": ("Directions", "against the mean of all other pages"),
        "gene": (
            "Parts of a page",
            "pages with it against pages with another choice, whatever else they hold; the surest ones",
        ),
    }
    return [
        CreditTable(
            key=kind,
            title=title,
            against=against,
            rows=[_credit_row(row, scale) for row in shown if row.kind == kind],
        )
        for kind, (title, against) in titles.items()
        if any(row.kind == kind for row in shown)
    ]


def _credit_row(row: CreditReport, scale: float) -> CreditRow:
    label = (
        OPERATOR_PLURALS.get(row.name, row.name) if row.kind == "operator" else wording.option_words(row.slot, row.name)
    )
    slot = f"{SLOT_WORDS.get(row.slot, row.slot).capitalize()}: " if row.slot else ""
    return CreditRow(
        label=f"{slot}{wording.shortened(label, LONGEST_OPTION)}",
        detail=f"{wording.count_of(row.pages, 'page')}, {wording.count_of(row.visitors, 'visitor')}",
        lift=wording.lift(row.lift, row.lift_interval),
        interval=wording.lift_interval(row.lift_interval),
        exact=repr(row.lift),
        bar=effect_bar(row.lift, row.lift_interval, scale),
    )
