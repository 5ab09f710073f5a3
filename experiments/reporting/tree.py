"""Draw a family tree: a row for each variant, under the parent it takes after, in the column of its generation.

Rows keep names readable however many there are; a second parent is a dashed line. How a variant came to be is told by
the shape of its mark, what became of it by its filling, so that nothing hangs on a colour alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.reporting import svg, wording
from experiments.reporting.lineage import OPERATOR_WORDS
from experiments.reporting.svg import Point
from experiments.reporting.values import Member

TITLE = "Family tree"
STATUS_WORDS: Mapping[str, str] = {
    "control": "today's page", "live": "live", "waiting": "about to go live", "approved": "approved",
    "draft": "to be looked at", "retired": "retired", "paused": "stopped", "rejected": "rejected",
}  # fmt: skip
LOOKS: Mapping[str, str] = {
    "control": "control", "live": "live", "waiting": "young", "approved": "young", "draft": "young",
    "retired": "gone", "paused": "gone", "rejected": "gone",
}  # fmt: skip
RADIUS = 6.0
LEFT = 14.0
NARROWEST_STEP = 7.0
CAME_AT, BECAME_AT, VISITORS_END, LIFT_END, HEAD_LINE = 690, 850, 1020, 1094, 14  # of the columns, where there are any
MOST_SECOND_LINES = 40  # variants; of more, the lines to second parents would be a thicket


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    name: str
    width: float
    row_height: float
    widest_step: float  # between generations
    most_indent: float  # of all generations together
    name_length: int  # characters
    columns: bool  # what is said of a variant stands beside its name, else below

    @property
    def head_height(self) -> float:
        return 24.0 if self.columns else 0.0


WIDE = Sheet(name="wide", width=1100, row_height=26, widest_step=26, most_indent=200, name_length=58, columns=True)
NARROW = Sheet(name="narrow", width=340, row_height=42, widest_step=16, most_indent=72, name_length=30, columns=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a variant stands in the drawing."""

    member: Member
    row: int
    generation: int


def places(members: Sequence[Member]) -> list[Place]:
    """Return the variants in the order of rows: each after its first parent, brothers and sisters by their number."""
    known = {member.id for member in members}
    parents = {member.id: [one for one in member.parents if one in known] for member in members}
    children: dict[int, list[Member]] = {member.id: [] for member in members}
    for member in members:
        if parents[member.id]:
            children[parents[member.id][0]].append(member)
    depth: dict[int, int] = {}
    for member in sorted(members, key=lambda one: one.number):  # a child's number is higher than its parents'
        depth[member.id] = 1 + max((depth.get(parent, 0) for parent in parents[member.id]), default=-1)
    roots = [member for member in members if not parents[member.id]]
    open_ones = sorted(roots, key=_rank, reverse=True)
    found: list[Place] = []
    while open_ones:
        member = open_ones.pop()
        found.append(Place(member=member, row=len(found), generation=depth[member.id]))
        open_ones += sorted(children[member.id], key=_rank, reverse=True)
    return found


def _rank(member: Member) -> tuple[bool, int]:
    return member.status != "control", member.number


def drawing(members: Sequence[Member], sheet: Sheet) -> str:
    rows = places(members)
    step = _step(rows, sheet)
    at = {place.member.id: _point(place, step, sheet) for place in rows}
    text_at = LEFT + max((place.generation for place in rows), default=0) * step + 2 * RADIUS + 6
    height = sheet.head_height + len(rows) * sheet.row_height + 8
    return svg.picture(
        *(_head(text_at) if sheet.columns else ()),
        *(line for place in rows for line in _lines(place.member, at, has_second=len(rows) <= MOST_SECOND_LINES)),
        *(_mark(place.member, at[place.member.id]) for place in rows),
        *(word for place in rows for word in _words(place.member, at[place.member.id], text_at, sheet)),
        name=f"tree-{sheet.name}",
        size=(sheet.width, height),
        title=TITLE,
        description=_description(rows),
        class_=f"drawing tree {sheet.name}",
    )


def _step(rows: Sequence[Place], sheet: Sheet) -> float:
    generations = max((place.generation for place in rows), default=0)
    return max(NARROWEST_STEP, min(sheet.widest_step, sheet.most_indent / max(generations, 1)))


def _point(place: Place, step: float, sheet: Sheet) -> Point:
    return LEFT + place.generation * step, sheet.head_height + 4 + (place.row + 0.5) * sheet.row_height


def _lines(member: Member, at: Mapping[int, Point], *, has_second: bool) -> list[str]:
    there = [parent for parent in member.parents if parent in at][: None if has_second else 1]
    (x, y), drawn = at[member.id], []
    for number, parent in enumerate(there):
        left, top = at[parent]
        if number == 0:
            drawn.append(svg.path([(left, top), (left, y), (x, y)], "kin"))
        else:
            bend = f"M{left:.1f} {top:.1f}C{x:.1f} {top:.1f} {x:.1f} {(top + y) / 2:.1f} {x:.1f} {y:.1f}"
            drawn.append(svg.tag("path", d=bend, class_="kin second"))
    return drawn


def _mark(member: Member, at: Point) -> str:
    look = f"mark {LOOKS.get(member.status, 'gone')}"
    x, y = at
    corners = _corners(member.operator)
    if not corners:
        return svg.tag("circle", cx=x, cy=y, r=RADIUS, class_=look)
    return svg.path([(x + RADIUS * dx, y + RADIUS * dy) for dx, dy in corners], look, closed=True)


_CORNERS: Mapping[str, tuple[Point, ...]] = {
    "crossover": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "mutation": ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    "fresh": ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)),
    "edit": ((-1.1, 0), (-0.55, -1), (0.55, -1), (1.1, 0), (0.55, 1), (-0.55, 1)),
}


def _corners(operator: str) -> tuple[Point, ...]:
    return _CORNERS.get(operator, ())


def mark(operator: str, status: str = "live") -> str:
    """Return a mark by itself, for the key of the drawing."""
    member = Member(
        id=0, number=0, key="", name="", operator=operator, round=None, parents=(), changed=(), direction="", reason="",
        model="", prompt_version="", cost_usd=None, status=status, exposures=0, conversions=0, rate=None, lift=None,
        lift_interval=None,
    )  # fmt: skip
    side = 2 * RADIUS + 4
    drawn = _mark(member, (side / 2, side / 2))
    return svg.tag("svg", drawn, viewBox=f"0 0 {side:g} {side:g}", class_="key", aria_hidden="true")


def _head(text_at: float) -> list[str]:
    return [
        svg.words("Page", text_at, HEAD_LINE, "tick"),
        svg.words("How it came to be", CAME_AT, HEAD_LINE, "tick"),
        svg.words("What became of it", BECAME_AT, HEAD_LINE, "tick"),
        svg.words("Visitors", VISITORS_END, HEAD_LINE, "tick", "end"),
        svg.words("Lift", LIFT_END, HEAD_LINE, "tick", "end"),
    ]


def _words(member: Member, at: Point, text_at: float, sheet: Sheet) -> list[str]:
    tone = " control" if member.status == "control" else " leader" if _is_better(member) else ""
    name = wording.shortened(member.name, sheet.name_length)
    if not sheet.columns:
        told = f"{_came_to_be(member)}, {_became(member)}"
        return [
            svg.words(name, text_at, at[1] - 3, f"name{tone}"),
            svg.words(told, text_at, at[1] + 12, "tick"),
        ]
    y = at[1] + 4
    return [
        svg.words(name, text_at, y, f"name{tone}"),
        svg.words(_came_to_be(member), CAME_AT, y, "tick"),
        svg.words(STATUS_WORDS.get(member.status, member.status), BECAME_AT, y, "tick"),
        svg.words(wording.whole(member.exposures) if member.exposures else "", VISITORS_END, y, "tick", "end"),
        svg.words(wording.lift(member.lift, member.lift_interval), LIFT_END, y, f"value{tone}", "end"),
    ]


def _came_to_be(member: Member) -> str:
    return OPERATOR_WORDS.get(member.operator, member.operator)


def _became(member: Member) -> str:
    lift = f", {wording.lift(member.lift, member.lift_interval)}" if member.lift is not None else ""
    return f"{STATUS_WORDS.get(member.status, member.status)}{lift}"


def _is_better(member: Member) -> bool:
    return member.lift_interval is not None and member.lift_interval[0] > 0


def _description(rows: Sequence[Place]) -> str:
    generations = 1 + max((place.generation for place in rows), default=0)
    told = f"{wording.count_of(len(rows), 'variant')} in {wording.count_of(generations, 'generation')}."
    return f"{told} The table below says the same."
