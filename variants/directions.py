"""Where pages should go: the directions of a plan, the approaches to them, and whose turn it is.

    directions with weights + index ──▶ Turn: direction, approach, theme

Directions take turns in the proportion of their weights, each spread evenly over the cycle. A direction meets another
approach each time it comes round, and another look: layout, palette and typography move at speeds of their own, so
that over a set of pages none of them goes with a direction, an approach or another of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import BeforeValidator, Field

from variants.brief import BriefPart, BriefSpec
from variants.content import Layout, Palette, Theme, Typography
from variants.text import Line

LAYOUTS: tuple[Layout, ...] = ("split", "spotlight", "editorial", "ledger")
PALETTES: tuple[Palette, ...] = ("brand", "ink", "forest", "dusk", "clay", "ocean")
TYPEFACES: tuple[Typography, ...] = ("grotesk", "serif", "humanist", "mono")

MOST_DIRECTIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """A way to build an argument; copywriters know them by these names."""

    name: str
    guidance: str


APPROACHES = (
    Approach(name="promise", guidance="Lead with the promise in plain words, then show what keeps it."),
    Approach(name="problem", guidance="Name the reader's problem, say what it costs them, then present the way out."),
    Approach(name="bridge", guidance="Describe today, describe the day after, then show the bridge between them."),
    Approach(name="question", guidance="Lead with the question the reader asks themselves and answer it at once."),
    Approach(name="proof", guidance="Lead with the strongest fact of the brief and build on facts alone."),
    Approach(name="features", guidance="Lead with what it does; for each feature say what the reader gets out of it."),
    Approach(name="objection", guidance="Lead with the doubt the reader has and settle it with facts of the brief."),
    Approach(name="offer", guidance="Lead with what the visitor gets for acting; keep everything else short."),
)

# What a writer is steered towards when the marketer gave no angles. They name directions, not claims.
DEFAULT_ANGLES = (
    "What becomes easier for the reader",
    "What the reader can stop worrying about",
    "What it does, plainly",
    "What the visitor gets for acting now",
)


def _none_for_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Part = Annotated[Annotated[Line, Field(max_length=240)] | None, BeforeValidator(_none_for_empty)]


class DirectionSpec(BriefPart):
    """A direction, whole and valid: what the reader knows of themselves × promise × proof × objection."""

    angle: Line = Field(max_length=120, description="The direction in a few words, as it could stand in a headline")
    insight: Part = Field(default=None, description="What this reader wants or fears, in their own words")
    promise: Part = Field(default=None, description="What the page promises them")
    proof: Part = Field(default=None, description="The fact of the brief that makes it believable")
    objection: Part = Field(default=None, description="The doubt that the page has to settle")


class Plan(BriefPart):
    """Directions that differ from each other."""

    directions: list[DirectionSpec] = Field(min_length=1, max_length=MOST_DIRECTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one page is to do, so that pages asked for together do not come out alike."""

    index: int  # 0, 1, 2 …: the how-manieth page asked for in its nursery
    position: int  # of the direction among those that take turns
    round: int  # how often this direction was taken before
    direction: DirectionSpec
    approach: Approach

    @property
    def theme(self) -> Theme:
        """Return a look: each direction goes through all of them, and meets each approach in several."""
        turned = self.round + 2 * self.position
        return Theme(
            layout=LAYOUTS[turned % len(LAYOUTS)],
            palette=PALETTES[(self.round + self.round // 12 + 5 * self.position) % len(PALETTES)],
            typography=TYPEFACES[(turned + self.round // 4 + self.position) % len(TYPEFACES)],
        )


def turn_for(directions: Sequence[DirectionSpec], index: int, *, weights: Sequence[int] = ()) -> Turn:
    """Return the turn of page `index`: directions by weight, and each direction with every approach in turn."""
    weights = tuple(weights) or (1,) * len(directions)
    order = _cycle(tuple(weights))
    lap, place = divmod(index, len(order))
    position = order[place]
    earlier = lap * weights[position] + order[:place].count(position)
    return Turn(
        index=index,
        position=position,
        round=earlier,
        direction=directions[position],
        approach=APPROACHES[(earlier + position) % len(APPROACHES)],
    )


@cache
def _cycle(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return positions, each as often as its weight and spread evenly: nginx's smooth weighted round robin."""
    owed = [0] * len(weights)
    order = []
    for _ in range(sum(weights)):
        owed = [debt + weight for debt, weight in zip(owed, weights, strict=True)]
        chosen = owed.index(max(owed))
        owed[chosen] -= sum(weights)
        order.append(chosen)
    return tuple(order)


def of_angles(brief: BriefSpec) -> list[DirectionSpec]:
    """Return a direction for each of the brief's angles, with no other part filled in."""
    return [DirectionSpec(angle=angle) for angle in brief.angles or DEFAULT_ANGLES]
