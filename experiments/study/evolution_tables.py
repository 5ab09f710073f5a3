"""Turn the measurements of the study of evolution into the tables of docs/evolution.md. Pure: text out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from experiments.simulation import Floats
from experiments.study.evolution_proving import BANDITS, LEARNERS, OTHERS, OURS, PRIORS, ROWS, Row
from experiments.study.proving import Measurements

type Blocks = Mapping[str, Mapping[int, Measurements]]  # by cell's name and block
type Found = Mapping[str, Floats]  # all runs of one world, by measure

REACHABLE: Final = 0.6
EQUAL_EARNINGS: Final = 6_000  # conversions of today's page alone


def markdown(results: Blocks) -> str:
    """Return every table of which something is computed."""
    found = {
        row.key: _all_runs(results[name].values()) for row in ROWS if (name := f"evolution/{row.key}/all") in results
    }
    rows = [row for row in ROWS if row.key in found]
    parts = [f"Written by `manage.py evolution_study` as it computed them, {_runs(found.values())}. {ERRORS}", WORLDS]
    parts += [_worlds(rows), TARGETS, _targets(found), EARNED, _earned(rows, found)]
    return "\n\n".join([*parts, BRED, _bred(rows, found)])


def _all_runs(blocks: Iterable[Measurements]) -> Found:
    blocks = list(blocks)
    return {measure: np.concatenate([np.array(block[measure]) for block in blocks]) for measure in blocks[0]}


def _runs(found: Iterable[Found]) -> str:
    numbers = [len(world["children"]) for world in found] or [0]
    least, most = min(numbers), max(numbers)
    return f"from {least} runs of each world" if least == most else f"from {least} to {most} runs of each world"


ERRORS: Final = "After ± stands one standard error."
WORLDS: Final = "**Worlds**"
TARGETS: Final = "**What was to be reached**"
EARNED: Final = "**Conversions, and the true lift over today's page of what is called best at the end**"
BRED: Final = "**What breeding did**"


def _worlds(rows: Sequence[Row]) -> str:
    return _lines(["world", "what it is"], ([row.key, row.says] for row in rows))


def best_bandit(found: Found) -> str:
    """Return the bandit without breeding that earned most."""
    return max(BANDITS, key=lambda name: float(found[f"earned: {name}"].mean()))


def _gain(found: Found, ours: str, other: str) -> Floats:
    gain: Floats = found[f"earned: {ours}"] / found[f"earned: {other}"] - 1
    return gain


def _targets(found: Mapping[str, Found]) -> str:
    rows = []
    if (world := found.get("reachable +60%")) is not None:
        rows += _of_reachable(world)
    if (world := found.get("planted gene")) is not None:
        rows.append(["planted gene ranks first", "90% of runs", _part(world["planted first"])])
    for key in ("model only harms", "every child is worse"):
        if (world := found.get(key)) is not None:
            rows += _of_harm(key, world)
    if (world := found.get("no effects")) is not None:
        rows.append(["no effects: “breeding works” is said", "at most 5% of runs", _part(world["works"])])
    return _lines(["measure", "to reach", "reached"], rows)


def _of_reachable(world: Found) -> list[list[str]]:
    top = best_bandit(world)
    champion = world[f"champion: {OURS}"] / REACHABLE
    rows = [
        [f"conversions above the best bandit without breeding ({top})", "+15%", _mean(_gain(world, OURS, top))],
        ["champion's true lift, as part of what is reachable", "50%", _mean(champion)],
    ]
    if "earned: wrong priors" in world:
        compared = _mean(_gain(world, "wrong priors", "flat priors"))
        rows.append(["wrong parents' priors against flat ones: conversions", "at least -2%", compared])
    return rows


def _of_harm(key: str, world: Found) -> list[list[str]]:
    top = best_bandit(world)
    return [
        [f"{key}: conversions against {top}", "at least -1%", _mean(_gain(world, OURS, top))],
        [f"{key}: breeding stops by itself", "yes", _part(world["stopped"])],
    ]


def _earned(rows: Sequence[Row], found: Mapping[str, Found]) -> str:
    lines = []
    for row in rows:
        world = found[row.key]
        lines.append(
            [row.key, "best page of the first generation, from the first visitor", "", _mean(world["best founder"])]
        )
        lines += [
            _line(row.key, name, world)
            for name in (*BANDITS, OURS, *OTHERS, *LEARNERS, *PRIORS)
            if f"earned: {name}" in world
        ]
    return _lines(["world", "policy", "conversions above today's page alone", "lift of the one called best"], lines)


def _line(key: str, name: str, world: Found) -> list[str]:
    champion = f"champion: {name}"
    # Who knows the truth calls nothing best by counts.
    lift = _mean(world[champion]) if champion in world and name != "perfect breeder" else "–"
    return [key, name, _mean(world[f"earned: {name}"] / EQUAL_EARNINGS - 1), lift]


def _bred(rows: Sequence[Row], found: Mapping[str, Found]) -> str:
    head = [
        "world",
        "children",
        "of them written",
        "visitors on them",
        "“works” said",
        "“harms” said",
        "stopped",
        "visitors until then",
        "runs",
    ]
    lines = []
    for row in rows:
        world = found[row.key]
        until = world["visitors until stop"]
        until = until[np.isfinite(until)]
        lines.append(
            [
                row.key,
                f"{world['children'].mean():.0f}",
                f"{world['written'].mean():.0f}",
                _part(world["bred share"]),
                _part(world["works"]),
                _part(world["harms"]),
                _part(world["stopped"]),
                f"{until.mean():,.0f}" if len(until) else "–",
                f"{len(world['children'])}",
            ]
        )
    return _lines(head, lines)


def _error(values: Floats) -> float:
    return float(values.std() / np.sqrt(len(values)))


def _mean(values: Floats) -> str:
    return f"{values.mean() * 100:+.1f}% ± {_error(values) * 100:.1f}"


def _part(values: Floats) -> str:
    return f"{values.mean() * 100:.0f}% ± {_error(values) * 100:.0f}"


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruled = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)
