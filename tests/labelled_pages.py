"""Pages labelled by which say the same: tests/data/novelty, whose README says how they were made."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from variants.content import PageContent

FOLDER = Path(__file__).parent / "data" / "novelty"
TUNING, HELD_OUT = "tuning", "held_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A page; those of one brief and group say the same."""

    brief: str
    group: str
    about: str  # what the brief says
    kind: str  # original, paraphrase, light edit, or same facts (as another group's, under another promise)
    content: PageContent


def briefs(half: str) -> list[list[Labelled]]:
    """Return the labelled pages of one half, brief by brief."""
    read = json.loads((FOLDER / f"{half}.json").read_text(encoding="utf-8"))
    return [[_labelled(brief, page) for page in brief["pages"]] for brief in read]


def _labelled(brief: dict[str, list[str]], page: dict[str, object]) -> Labelled:
    return Labelled(
        brief=str(brief["brief"]),
        about=str(brief["about"]),
        group=str(page["group"]),
        kind=str(page["kind"]),
        content=_content(brief, page),
    )


def _content(brief: dict[str, list[str]], page: dict) -> PageContent:  # type: ignore[type-arg]  # read from JSON
    layout, palette, typography = page["dress"].split()
    items = [{"title": title, "text": text} for title, text in page["benefits"]]
    hero = {
        "kind": "hero", "headline": page["headline"], "subheadline": page["sub"], "call_to_action": page["button"],
    }  # fmt: skip
    benefits = {"kind": "benefits", "title": "What you get", "items": items}
    form = {"kind": "form", "title": page["button"], "submit": page["button"]}
    return PageContent.model_validate(
        {
            "angle": brief["angles"][page["angle"]],
            "meta": {"title": page["headline"][:70], "description": page["sub"][:160]},
            "theme": {"layout": layout, "palette": palette, "typography": typography},
            "sections": [hero, benefits, form],
        }
    )


def pairs(pages: list[Labelled]) -> Iterator[tuple[int, int, bool]]:
    """Return each pair of pages by position, and whether they say the same."""
    for one, other in combinations(range(len(pages)), 2):
        yield one, other, pages[one].group == pages[other].group


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Promises and proofs of one brief, each in two wordings: any promise goes with any proof."""

    about: str
    promises: list[list[list[str]]]  # by number and wording: headline, text below
    proofs: list[list[list[list[str]]]]  # by number and wording: titles and texts

    def page(self, promise: int, proof: int, wording: int) -> PageContent:
        headline, sub = self.promises[promise][wording]
        button = ("Take a lesson", "Try it free")[wording]
        items = [{"title": title, "text": text} for title, text in self.proofs[proof][wording]]
        sections = [
            {"kind": "hero", "headline": headline, "subheadline": sub, "call_to_action": button},
            {"kind": "benefits", "title": "What you get", "items": items if wording else items[::-1]},
            {"kind": "form", "title": button, "submit": button},
        ]
        meta = {"title": headline[:70], "description": sub[:160]}
        return PageContent.model_validate({"angle": "any", "meta": meta, "sections": sections})


def grid() -> Grid:
    read = json.loads((FOLDER / "grid.json").read_text(encoding="utf-8"))
    return Grid(about=read["about"], promises=read["promises"], proofs=read["proofs"])
