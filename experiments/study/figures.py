"""Turn a study's measurements into the drawings of docs/bandit.md. Pure: SVG text out.

A file of its own carries its own style: what a page's stylesheet does for the report's drawings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from experiments.reporting.axes import Axis, spread, ticks
from experiments.reporting.svg import line, path, picture, tag, words
from experiments.simulation import Floats
from experiments.study.proving import CURVE_POINTS, WORLDS, Cell
from experiments.study.tables import DECILES, Blocks, Found

type Labelled = Callable[[float], str]

DRAWN: Final = ("A", "C", "E")  # worlds: two, ten and a hundred arms
OURS: Final = "ours, earn"
TALLEST: Final = 1.25  # of the loss of an equal split
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 690.0, 320.0, 52.0, 470.0, 18.0, 280.0
SQUARE_RIGHT: Final = 340.0
LABEL_GAP: Final = 15.0
CERTAIN: Final = 1.96
STYLE: Final = """
svg { background: #fff } text { font: 12px system-ui, sans-serif; fill: #333 } text.title { font-weight: 600 }
.grid { stroke: #e3e3e3 } .line { fill: none; stroke: #8a8a8a; stroke-width: 1.2 }
.ours { stroke: #0b6e4f; stroke-width: 2.6 } text.ours { stroke: none; fill: #0b6e4f; font-weight: 600 }
.bar { stroke: #0b6e4f; stroke-width: 1.4 } .dot { fill: #0b6e4f } .right { stroke: #333; stroke-dasharray: 4 4 }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    file: str
    title: str
    svg: str


def figures(cells: Sequence[Cell], results: Blocks) -> list[Figure]:
    """Draw everything of which something is computed."""
    curves = [_loss(key, found) for key in DRAWN if (found := _curves(key, cells, results))]
    calibrated = [cell for cell in cells if cell.table == "calibration" and cell.name in results]
    return [*curves, *(_calibration(cell, Found(results[cell.name].values())) for cell in calibrated)]


# --- Loss over time ----------------------------------------------------------------------------------------------


def _curves(world: str, cells: Sequence[Cell], results: Blocks) -> dict[str, Floats]:
    """Give each policy's mean loss over time, as part of what an equal split loses in all."""
    return {
        cell.policy: Found(results[cell.name].values())["curve"].reshape(-1, CURVE_POINTS).mean(axis=0)
        for cell in cells
        if cell.table == "regret" and cell.world == world and cell.name in results
    }


def _loss(key: str, curves: Mapping[str, Floats]) -> Figure:
    world = next(world for world in WORLDS if world.key == key)
    across = Axis(low=0, high=world.visitors, start=LEFT, end=RIGHT)
    up = Axis(low=0, high=TALLEST, start=BOTTOM, end=TOP)
    title = f"World {key} ({world.says}): conversions lost, as part of what an equal split loses"
    drawn = [
        *_frame(across, up, lambda visitors: f"{visitors / 1000:,.0f}k", lambda part: f"{part:.2f}"),
        # Ours last, on top of the others.
        *(_curve(name, curves[name], across, up) for name in sorted(curves, key=OURS.__eq__)),
        *_names(curves, up),
    ]
    name = f"study-loss-{key.lower()}"
    return Figure(file=f"{name}.svg", title=title, svg=_drawing(drawn, name=name, title=title, width=WIDTH))


def _curve(name: str, curve: Floats, across: Axis, up: Axis) -> str:
    visitors = np.linspace(0, across.high, CURVE_POINTS + 1)
    heights = np.append(0.0, curve)
    points = [(across.place(x), up.held(y)) for x, y in zip(visitors, heights, strict=True)]
    return path(points, "line ours" if name == OURS else "line")


def _names(curves: Mapping[str, Floats], up: Axis) -> Iterator[str]:
    ends = [up.held(float(curve[-1])) for curve in curves.values()]
    places = spread(ends, LABEL_GAP, TOP, BOTTOM)
    for (name, curve), place in zip(curves.items(), places, strict=True):
        yield words(f"{name}: {curve[-1]:.2f}", RIGHT + 8, place + 4, "ours" if name == OURS else "")


# --- Calibration -------------------------------------------------------------------------------------------------


def _calibration(cell: Cell, found: Found) -> Figure:
    across = Axis(low=0, high=1, start=LEFT, end=SQUARE_RIGHT)
    up = Axis(low=0, high=1, start=BOTTOM, end=TOP)
    title = f"{cell.world}: how often an arm was best (up), by the probability best that was said (across)"
    drawn = [
        *_frame(across, up, lambda said: f"{said:.0%}", lambda was: f"{was:.0%}"),
        line((across.start, up.start), (across.end, up.end), "right"),
        *_deciles(found, across, up),
    ]
    name = f"study-calibration-{'-'.join(cell.world.replace(',', '').split())}"
    svg = _drawing(drawn, name=name, title=title, width=SQUARE_RIGHT + 20)
    return Figure(file=f"{name}.svg", title=title, svg=svg)


def _deciles(found: Found, across: Axis, up: Axis) -> Iterator[str]:
    said, was = found["said"], found["was"]
    place = np.minimum((said * DECILES).astype(int), DECILES - 1)
    for decile in np.unique(place):
        here = place == decile
        x, often = across.place(float(said[here].mean())), float(was[here].mean())
        margin = CERTAIN * float(was[here].std()) / np.sqrt(here.sum())
        yield line((x, up.held(often - margin)), (x, up.held(often + margin)), "bar")
        yield tag("circle", cx=x, cy=up.place(often), r=3.5, class_="dot")


# --- Paper -------------------------------------------------------------------------------------------------------


def _frame(across: Axis, up: Axis, say_across: Labelled, say_up: Labelled) -> Iterator[str]:
    for number in ticks(across.low, across.high, 5):
        x = across.place(number)
        yield line((x, up.start), (x, up.end), "grid")
        yield words(say_across(number), x, up.start + 18, anchor="middle")
    for number in ticks(up.low, up.high, 5):
        y = up.place(number)
        yield line((across.start, y), (across.end, y), "grid")
        yield words(say_up(number), across.start - 8, y + 4, anchor="end")


def _drawing(children: Sequence[str], *, name: str, title: str, width: float) -> str:
    return picture(
        tag("style", STYLE), *children, name=name, size=(width, HEIGHT), title=title, description=title, class_="study"
    )
