"""Breed pages: parents' contents become a child's content, or an instruction for whoever writes it.

    crossover    survivors' genes, mixed                        content
    mutation     one gene of a survivor, written anew           instruction; the answer's gene is set in by `mutated`
    fresh        a page in a direction that was tried least     instruction
    edit         a person's change of a page                    content

Pure: every draw comes from the generator passed in. A child never says the same as a parent, and differs from the first
one only in slots that may vary. Parents are named by whatever number the caller gives them.

Some slots hang together. The headline says what the angle promises, so that they cross as one, with the words that
repeat the headline elsewhere; the button brings its small print. The order of sections brings the sections themselves:
what a page proves, and in which order, is one argument.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from variants.content import SLOT_WORDS, CallToAction, PageContent, Section, genes
from variants.outline import PageText, TextKind
from variants.patches import BadPatch, PatchContent, genes_of, patch_of

__all__ = [
    "SLOTS", "BadPatch", "Child", "Content", "Instruction", "Known", "Operator", "SlotIsWalled", "Walls", "changed",
    "crossover", "edited", "fresh", "mixtures", "mutated", "mutation", "recombined",
]  # fmt: skip

type Content = PageContent | PatchContent
type Locus = tuple[str, ...]  # slots that cross as one
type Taken = dict[Locus, int]  # from which page
type Worth = Callable[[Mapping[str, str]], float]  # of what some slots hold; of all slots the sum

SLOTS: Final = ("angle", "headline", "offer", "call_to_action", "order", "layout", "palette", "typography")
LOCI: Final[tuple[Locus, ...]] = (("angle", "headline"), *((slot,) for slot in SLOTS[2:]))  # what crosses as one
# Which slot a text of an imported page belongs to; all others argue for the page, as the offer does.
SLOT_OF_TEXT: Final[Mapping[TextKind, str]] = {
    "headline": "headline", "browser title": "headline", "description": "headline",
    "button": "call_to_action", "link": "call_to_action",
}  # fmt: skip
# What a gene is called where a writer is told what comes with it.
WORDS: Final = {
    **SLOT_WORDS,
    "angle": "direction and headline",
    "order": "sections below the opening, and their order",
}
FEWEST_LOCI: Final = 2  # that differ between two: with one, each child is a copy
NUMBERS_RULE: Final = (
    "An interval that holds 0% says little. Repeat none of these words; find out why they did what they did."
)
MOST_TOLD: Final = 5  # of what worked, and of what did not: a writer heeds a few


class Operator(StrEnum):
    FIRST = "first"
    CROSSOVER = "crossover"
    MUTATION = "mutation"
    FRESH = "fresh"
    EDIT = "edit"


class SlotIsWalled(ValueError):
    """A slot that may not vary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What may vary."""

    slots: frozenset[str] = frozenset(SLOTS)
    angles: frozenset[str] | None = None  # None: every one

    def allows(self, slots: Collection[str], angle: str) -> bool:
        return self.slots.issuperset(slots) and ("angle" not in slots or self.angles is None or angle in self.angles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    content: Content
    operator: Operator
    parents: tuple[int, ...]
    changed: tuple[str, ...]  # slots in which it differs from the first parent


# --- Crossover ---------------------------------------------------------------------------------------------------


def crossover(
    pages: Sequence[tuple[int, Content]], walls: Walls, worth: Worth, *, texts: Sequence[PageText] = ()
) -> Iterator[Child]:
    """Mix pages: the first one, with whatever any of the others holds that is worth more and may vary.

    The best child comes first, then those that take one locus otherwise; none is a copy. `texts` are those of the
    imported page, for patches; mixtures that do not fit it are left out.
    """
    alike = [(key, content) for key, content in pages if _are_alike(pages[0][1], content)]
    held = [_options(content, texts) for _, content in alike]
    for taken in mixtures(held, _givers([content for _, content in alike], walls, texts), worth):
        with suppress(BadPatch):
            child = _mixed(alike, taken, texts)
            if _options(child.content, texts) not in held:
                yield child


def _givers(pages: Sequence[Content], walls: Walls, texts: Sequence[PageText]) -> dict[Locus, list[int]]:
    """Name for each locus the pages that may give it to the first one, which comes first."""
    differing = [changed(pages[0], page, texts=texts) for page in pages]
    return {
        locus: [
            place
            for place, page in enumerate(pages)
            if walls.allows([slot for slot in locus if slot in differing[place]], page.angle)
        ]
        for locus in LOCI
    }


def _mixed(pages: Sequence[tuple[int, Content]], taken: Mapping[Locus, int], texts: Sequence[PageText]) -> Child:
    """Graft onto the first page what is taken from others. Raise BadPatch."""
    key, stock = pages[0]
    content, givers = stock, sorted(set(taken.values()) - {0})
    for giver in givers:
        scion = pages[giver][1]
        given = {slot for locus in LOCI if taken[locus] == giver for slot in locus}
        content = _grafted(content, scion, given.intersection(changed(stock, scion, texts=texts)), texts)
    return Child(
        content=content,
        operator=Operator.CROSSOVER,
        parents=(key, *(pages[giver][0] for giver in givers)),
        changed=changed(stock, content, texts=texts),
    )


def mixtures(held: Sequence[Mapping[str, str]], givers: Mapping[Locus, Sequence[int]], worth: Worth) -> Iterator[Taken]:
    """Say from which of the pages that hold these genes each locus is taken, among those that may give it.

    First whatever is worth most of each; then, one locus at a time, something else, by what that costs. Of those that
    hold the same, or something worth the same, the one named first gives it.
    """
    ranked = {locus: _ranked(held, locus, places, worth) for locus, places in givers.items()}
    best = {locus: options[0][1] for locus, options in ranked.items()}
    yield best
    others = [
        (options[0][0] - value, locus, place) for locus, options in ranked.items() for value, place in options[1:]
    ]
    for _, locus, place in sorted(others, key=lambda other: other[0]):
        yield {**best, locus: place}


def _ranked(
    held: Sequence[Mapping[str, str]], locus: Locus, givers: Sequence[int], worth: Worth
) -> list[tuple[float, int]]:
    """Give the worth of each option of a locus and who gives it, the best first."""
    options: dict[tuple[str, ...], int] = {}
    for place in givers:
        options.setdefault(tuple(held[place][slot] for slot in locus), place)
    found = [(worth(dict(zip(locus, option, strict=True))), place) for option, place in options.items()]
    return sorted(found, key=lambda option: -option[0])


def recombined(
    first: Mapping[str, str], second: Mapping[str, str], slots: Collection[str], generator: np.random.Generator
) -> dict[str, str] | None:
    """Toss for each slot in which two sets of genes differ whose is taken. None where all children would be copies."""
    differing = [slot for slot in first if slot in slots and first[slot] != second[slot]]
    if len(differing) < FEWEST_LOCI:
        return None
    taken = _taken(len(differing), generator)
    return {**first, **{slot: second[slot] for slot, is_taken in zip(differing, taken, strict=True) if is_taken}}


def _taken(loci: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Toss a fair coin per locus; a child that would be a copy of one parent takes one locus after the other."""
    taken: NDArray[np.bool_] = generator.integers(2, size=loci).astype(bool)
    if taken.all() or not taken.any():
        taken[generator.integers(loci)] ^= True
    return taken


def changed(before: Content, after: Content, *, texts: Sequence[PageText] = ()) -> tuple[str, ...]:
    """Return the slots in which two pages differ; of patches also those that their genes leave out."""
    held, holds = _genes(before), _genes(after)
    different = {slot for slot in SLOTS if held[slot] != holds[slot]}
    if isinstance(before, PatchContent) and isinstance(after, PatchContent):
        different |= {_slot_of(text) for text in texts if before.texts.get(text.id) != after.texts.get(text.id)}
    return tuple(slot for slot in SLOTS if slot in different)


def _genes(content: Content) -> dict[str, str]:
    return genes(content) if isinstance(content, PageContent) else genes_of(content)


def _options(content: Content, texts: Sequence[PageText]) -> dict[str, str]:
    """Return what a page holds in each slot; of a patch also the texts that its genes leave out."""
    held = _genes(content)
    if isinstance(content, PatchContent):
        offered = [content.texts.get(text.id, text.text) for text in texts if _slot_of(text) == "offer"]
        held["offer"] = "\n".join(offered)
    return held


def _slot_of(text: PageText) -> str:
    return SLOT_OF_TEXT.get(text.kind, "offer")


def _are_alike(first: Content, second: Content) -> bool:
    """Tell whether two pages are of one make: a patch fits its own page alone."""
    if isinstance(first, PatchContent) and isinstance(second, PatchContent):
        return first.page == second.page
    return isinstance(first, PageContent) and isinstance(second, PageContent)


def _grafted(stock: Content, scion: Content, slots: Collection[str], texts: Sequence[PageText]) -> Content:
    """Return `stock` with the slots of `scion`; both are of one make."""
    if isinstance(stock, PageContent) and isinstance(scion, PageContent):
        return _grafted_page(stock, scion, frozenset(slots))
    if isinstance(stock, PatchContent) and isinstance(scion, PatchContent):
        return _grafted_patch(stock, scion, frozenset(slots), texts)
    raise TypeError(f"a {type(scion).__name__} has no slot for a {type(stock).__name__}")


def _grafted_page(stock: PageContent, scion: PageContent, slots: frozenset[str]) -> PageContent:
    words: dict[str, str | None] = {}
    other = scion.hero
    if "headline" in slots:
        words |= {"headline": other.headline, "eyebrow": other.eyebrow}
    if "offer" in slots:
        words |= {"subheadline": other.subheadline}
    if "call_to_action" in slots:
        words |= {"call_to_action": other.call_to_action, "note": other.note}
    hero = stock.hero.model_copy(update=words)
    body = (scion if "order" in slots else stock).sections[1:]
    buttons = {page.hero.call_to_action: hero.call_to_action for page in (stock, scion)}
    look = {slot: held for slot, held in scion.theme.model_dump().items() if slot in slots}
    return stock.model_copy(
        update={
            "angle": scion.angle if "angle" in slots else stock.angle,
            "meta": scion.meta if "headline" in slots else stock.meta,
            "theme": stock.theme.model_copy(update=look),
            "sections": [hero, *(_with_button(section, buttons) for section in body)],
        }
    )


def _with_button(section: Section, buttons: Mapping[str, str]) -> Section:
    """Let a button further down that reads like the main one go on doing so."""
    if isinstance(section, CallToAction) and section.call_to_action in buttons:
        return section.model_copy(update={"call_to_action": buttons[section.call_to_action]})
    return section


def _grafted_patch(
    stock: PatchContent, scion: PatchContent, slots: frozenset[str], texts: Sequence[PageText]
) -> PatchContent:
    words = {}
    for text in texts:
        source = scion if _slot_of(text) in slots else stock
        words[text.id] = source.texts.get(text.id, text.text)
    angle = scion.angle if "angle" in slots else stock.angle
    return patch_of(stock.page, texts, words, angle=angle)


# --- Mutation, fresh ideas, people's edits -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A gene and what visitors said of it by converting: its lift over the other options of its slot, with interval."""

    slot: str
    option: str
    lift: float
    low: float
    high: float
    visitors: float

    def line(self) -> str:
        # Quoted as data, and "<" escaped so that no text in it can close a block of the prompt.
        option = json.dumps(self.option, ensure_ascii=False).replace("<", "\\u003c")
        interval = f"between {self.low:+.0%} and {self.high:+.0%}"
        return f"- {WORDS[self.slot]} {option}: {self.lift:+.0%} conversions, {interval}, {self.visitors:,.0f} visitors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What a writer is asked for, and what it may know: numbers about our own words, nothing a visitor wrote."""

    operator: Operator
    parents: tuple[int, ...]
    slot: str | None  # that is written anew; None: a whole page
    angle: str | None  # that the page takes; None: its parent's
    worked: tuple[Known, ...]
    failed: tuple[Known, ...]

    def lines(self) -> list[str]:
        """Return the instruction in words, a line each."""
        task = (
            "Write a page." if self.slot is None else f"Write another {WORDS[self.slot]}; the rest of the page stays."
        )
        told = [task]
        if self.worked:
            told += [
                "What worked so far, against the other options of its place:",
                *(one.line() for one in self.worked),
            ]
        if self.failed:
            told += ["What did not:", *(one.line() for one in self.failed)]
        if self.worked or self.failed:
            told.append(NUMBERS_RULE)
        return told


def mutation(key: int, slot: str, known: Iterable[Known], walls: Walls) -> Instruction:
    """Ask for one gene of a page anew, told what is known of its slot. Raise SlotIsWalled."""
    if slot not in walls.slots:
        raise SlotIsWalled(f"{slot!r} may not vary; open are {', '.join(sorted(walls.slots)) or 'none'}")
    worked, failed = _told(one for one in known if one.slot == slot)
    return Instruction(operator=Operator.MUTATION, parents=(key,), slot=slot, angle=None, worked=worked, failed=failed)


def mutated(
    parent: tuple[int, Content], slot: str, written: Content, *, texts: Sequence[PageText] = ()
) -> Child | None:
    """Set the slot of what was written into the parent; None where that changes nothing. Raise BadPatch."""
    key, stock = parent
    if not _are_alike(stock, written):
        return None
    content = _grafted(stock, written, _with_linked(slot), texts)
    differs = changed(stock, content, texts=texts)
    if not differs:
        return None
    return Child(content=content, operator=Operator.MUTATION, parents=(key,), changed=differs)


def _with_linked(slot: str) -> tuple[str, ...]:
    """A new angle comes with its headline; a new headline may be written for the same angle."""
    return ("angle", "headline") if slot == "angle" else (slot,)


def fresh(
    angles: Sequence[str],
    tried: Mapping[str, int],
    known: Iterable[Known],
    walls: Walls,
    generator: np.random.Generator,
) -> Instruction | None:
    """Ask for a page in the direction that was tried least; None where no direction is open."""
    is_open = walls.slots.issuperset(("angle", "headline"))
    allowed = [angle for angle in angles if is_open and (walls.angles is None or angle in walls.angles)]
    if not allowed:
        return None
    fewest = min(tried.get(angle, 0) for angle in allowed)
    least = [angle for angle in allowed if tried.get(angle, 0) == fewest]
    worked, failed = _told(known)
    return Instruction(
        operator=Operator.FRESH,
        parents=(),
        slot=None,
        angle=least[int(generator.integers(len(least)))],
        worked=worked,
        failed=failed,
    )


def _told(known: Iterable[Known]) -> tuple[tuple[Known, ...], tuple[Known, ...]]:
    """Return what surely worked best and what surely did worst, by the nearer limit of the interval."""
    rows = list(known)
    worked = sorted((one for one in rows if one.lift > 0), key=lambda one: one.low, reverse=True)
    failed = sorted((one for one in rows if one.lift < 0), key=lambda one: one.high)
    return tuple(worked[:MOST_TOLD]), tuple(failed[:MOST_TOLD])


def edited(parent: tuple[int, Content], content: Content, *, texts: Sequence[PageText] = ()) -> Child:
    """Name a person's edit as what it is: a child of the page it began with."""
    key, before = parent
    differs = changed(before, content, texts=texts)
    return Child(content=content, operator=Operator.EDIT, parents=(key,), changed=differs)
