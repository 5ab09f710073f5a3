"""Draw the pages of an experiment as a map: what is near says much the same, and repeats are joined.

Places come from the likenesses by classical scaling (Torgerson 1952): the two directions in which pages differ most.
The same pages give the same map. Colours tell directions apart; a table says the same in words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.reporting import svg
from variants import likeness, novelty
from variants.models import Nursery, Variant

WIDTH, HEIGHT, MARGIN = 360.0, 300.0, 18.0
COLOURS = 8
FEWEST_MAPPED = 3
DOT_GAP = 24.0
PUSHES = 60
NUMBERED = 60  # more numbers would cover each other

type Places = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant that says what another says."""

    variant: Variant
    repeats: Variant
    likeness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    pages: int
    distinct: int
    repeats: tuple[Row, ...]
    directions: tuple[tuple[int, str], ...]  # colour and angle
    chart: str  # SVG; empty for too few pages


def of(nursery: Nursery) -> Likeness:
    """Return how alike the pages of a nursery are."""
    look = likeness.look_at(nursery)
    repeats = tuple(
        Row(
            variant=look.variants[place],
            repeats=look.variants[leader],
            likeness=min(float(look.alike[place, leader]), 1.0),
        )
        for place, leader in enumerate(look.leaders)
        if leader != place
    )
    angles = dict.fromkeys(str(variant.content["angle"]) for variant in look.variants)
    colours = {angle: number % COLOURS + 1 for number, angle in enumerate(angles)}
    return Likeness(
        pages=len(look.variants),
        distinct=look.distinct,
        repeats=repeats,
        directions=tuple((colour, angle) for angle, colour in colours.items()),
        chart=_chart(look, colours) if len(look.variants) >= FEWEST_MAPPED else "",
    )


def places(alike: novelty.Floats) -> Places:
    """Return a place in the plane for each page, from 0 to 1 both ways."""
    distances = (1 - np.clip(alike.astype(np.float64), 0, 1)) ** 2
    centred = distances - distances.mean(axis=0) - distances.mean(axis=1)[:, None] + distances.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    plane = vectors[:, -2:] * np.sqrt(values[-2:].clip(0))
    plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1, 1)  # the sign of a direction means nothing
    spread = np.ptp(plane, axis=0)
    return np.asarray((plane - plane.min(axis=0)) / np.where(spread > 0, spread, 1))


def _chart(look: likeness.Look, colours: dict[str, int]) -> str:
    room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    drawn = places(look.alike) * room
    drawn = _apart(drawn, room) if len(drawn) <= NUMBERED else drawn
    found: list[svg.Point] = [(float(x), float(y)) for x, y in drawn + MARGIN]
    joined = [
        svg.line(found[place], found[leader], "gh-join") for place, leader in enumerate(look.leaders) if leader != place
    ]
    dots = [_dot(look, place, found[place], colours) for place in range(len(found))]
    return svg.picture(
        *joined,
        *dots,
        name="likeness",
        size=(WIDTH, HEIGHT),
        title="Map of the variants",
        description=f"{look.distinct} different pages among {len(found)}; pages that say much the same lie close and "
        "repeats are joined by a line. The table below lists them.",
        class_="gh-map",
    )


def _apart(drawn: Places, room: Places) -> Places:
    """Push dots apart that cover each other, so that every number can be read."""
    turns = 2.4 * np.arange(len(drawn))  # directions for dots at one place: the golden angle
    aside = 0.01 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    for _ in range(PUSHES):
        apart = drawn + aside  # in each round: the edge of the drawing brings dots together again
        gaps = apart[:, None] - apart[None]
        far = np.linalg.norm(gaps, axis=2) + np.eye(len(drawn)) * DOT_GAP
        push = gaps / far[:, :, None] * np.maximum(DOT_GAP - far, 0)[:, :, None] / 2
        drawn = np.clip(drawn + push.sum(axis=1), 0, room)
    return np.asarray(drawn)


def _dot(look: likeness.Look, place: int, point: svg.Point, colours: dict[str, int]) -> str:
    variant = look.variants[place]
    is_numbered = len(look.variants) <= NUMBERED
    number = [svg.words(str(variant.number), point[0], point[1] + 3.5, "gh-dot-number", "middle")]
    return svg.tag(
        "g",
        svg.tag("title", svg.escaped(f"{variant.number}: {variant.name}")),
        svg.tag("circle", cx=point[0], cy=point[1], r=10 if is_numbered else 5),
        *(number if is_numbered else []),
        class_=f"gh-hue-{colours[str(variant.content['angle'])]}",
    )
