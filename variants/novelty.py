"""How alike two pages are, from 1 (the same) to 0 and less (no more than any two), and how many of a set differ.

Pages of one brief sell the same thing, so they all share words and facts. What counts is what sets each apart from
the others: every text becomes a vector of its meaning (meaning.py), and what the pages of the set have in common is
taken out before directions are compared. A paraphrase then points where its original points, however few words the two
share, and another idea over the same facts points elsewhere.

Gene by gene:
    promise   headline, offer framing (the text below it), and both together
    proof     everything below: as a whole, and each benefit, step, figure, quotation, plan or answer beside the one
              most like it on the other page, whatever the order; and the page as a whole

A page repeats another when promise and proof are both alike: the lower of the two is the likeness. The same facts
under another promise are a page of their own, and so is the same promise proved in another way. Angle, call to action
and layout are left out on purpose: on labelled pages they told paraphrases from alternatives no better than chance
(benchmarks/novelty.py), because a model repeats itself under any angle and in any dress.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from variants.brief import BriefSpec
from variants.content import FAQ, Benefits, HowItWorks, PageContent, Pricing, Proof, Section
from variants.meaning import Vector, unit, vector_of
from variants.outline import PageText, TextKind
from variants.patches import LONGEST_TEXT, PatchContent, below_heading, heading_of

type Floats = NDArray[np.float32]

# Chosen on the tuning half of tests/data/novelty; what it does on the other half is in docs/novelty.md.
DUPLICATE_LIMIT: Final = 0.16
# A new page is compared with all there are, so that with one limit for all sets a large one would refuse nearly every
# page. Of labelled pairs that differ 1.3% reach 0.16, 0.5% 0.19 (tuning half) and 0.23 (the other), 0.1% 0.27 and 0.29:
# a limit that rises by this much each time the set doubles refuses about one different page in ten, however many there
# are. More paraphrases pass for it, but each is one pair among ever more.
PAGES_OF_LIMIT: Final = 8
LIMIT_PER_DOUBLING: Final = 0.03
# Above this two pages say the same in nearly the same words. Formulas cannot do better than that: asked again for
# another idea they have none, so that of the offline twin's pages only such repeats are refused.
SAME_WORDS_LIMIT: Final = 0.8
# What the pages of a set have in common shows in their mean. Of few pages the mean is mostly the pages themselves, so
# the brief, which they all draw on, counts as four pages, shortened because it does not hold all they have in common.
# Without a brief one page that says nothing is added; sets of fewer than eight then seem more different than they are.
PAGES_FOR_BRIEF: Final = 4.0
HELD_BY_BRIEF: Final = 0.8

GENES: Final = 5
HEADLINE, OFFER, PROMISE, PROOF, WHOLE = range(GENES)
PRINTS_KEPT: Final = 2_000  # about 6 kB each


def limit_for(pages: int) -> float:
    """Return from which likeness on two pages of a set of so many count as the same."""
    return DUPLICATE_LIMIT + LIMIT_PER_DOUBLING * math.log2(max(pages, PAGES_OF_LIMIT) / PAGES_OF_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fingerprint:
    """A page as vectors, worked out once."""

    genes: Vector  # (5, dimensions): headline, offer, promise, proof, whole
    points: Vector  # (points, dimensions): what the proof consists of; at least one row


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The page of a set that another is most like."""

    position: int
    likeness: float
    is_repeat: bool


type Told = tuple[str, ...]  # what a fingerprint is made of: a text for each gene, then the points of the proof


def told(content: PageContent) -> Told:
    points = tuple(point for section in content.sections for point in _points(section))
    return _told(content.hero.headline, content.hero.subheadline, points)


def told_by_patch(patch: PatchContent, page: Iterable[PageText]) -> Told:
    """Return what an imported page says as a patch words it: the texts that it changes, by what they are.

    Its heading and the text below stand for the promise, changed or not; what else it changes is the proof. Texts that
    stay are left out: all patches of a page share them.
    """
    texts = list(page)
    lead = [heading_of(texts), below_heading(texts)]
    promise = [patch.texts.get(text.id, text.text)[:LONGEST_TEXT] if text else "" for text in lead]
    rest = [text for text in texts if text not in lead and text.kind not in UNSEEN]
    changed = tuple(patch.texts[text.id] for text in rest if text.id in patch.texts)
    return _told(promise[0] or patch.headline, promise[1], changed)


UNSEEN: Final[tuple[TextKind, ...]] = ("browser title", "description", "button")  # of no use, as in pages


def _told(headline: str, offer: str, points: tuple[str, ...]) -> Told:
    promise, proof = f"{headline} {offer}", " ".join(points)
    return (headline, offer, promise, proof, f"{promise} {proof}", *(points or ("",)))


def fingerprint(content: PageContent) -> Fingerprint:
    return fingerprint_of(told(content))


# Optimization: the map of a set is drawn whenever its screen opens, and most of its pages are the same as before.
@lru_cache(maxsize=PRINTS_KEPT)
def fingerprint_of(texts: Told) -> Fingerprint:
    """Return the fingerprint by the shipped word vectors."""
    return fingerprint_from(np.stack([vector_of(text) for text in texts]))


def fingerprint_from(vectors: Vector) -> Fingerprint:
    """Return the fingerprint of texts whose meaning somebody else worked out: a row for each of what was `told`."""
    return Fingerprint(genes=vectors[:GENES], points=vectors[GENES:])


def _points(section: Section) -> list[str]:
    """Return what a section argues with, piece by piece."""
    match section:
        case Benefits():
            return [f"{item.title} {item.text}" for item in section.items]
        case HowItWorks():
            return [f"{step.title} {step.text}" for step in section.steps]
        case Proof():
            figures = [f"{figure.value} {figure.label}" for figure in section.figures]
            return [*figures, *(f"{quote.text} {quote.source}" for quote in section.quotes)]
        case Pricing():
            return [" ".join([plan.name, plan.price, *plan.features]) for plan in section.plans]
        case FAQ():
            return [f"{item.question} {item.answer}" for item in section.items]
    return []


class PageSet:
    """Pages to compare others with, in the order they came."""

    def __init__(
        self,
        prints: Iterable[Fingerprint] = (),
        *,
        about: Vector | None = None,
        limit: float = DUPLICATE_LIMIT,
        rises: bool = True,
    ) -> None:
        self._prints = list(prints)
        self._about = about
        self._limit = limit
        self._rises = rises  # with the number of pages: measured for the shipped word vectors alone

    def __len__(self) -> int:
        return len(self._prints)

    def add(self, print_: Fingerprint) -> None:
        self._prints.append(print_)

    def likeness_of(self, print_: Fingerprint) -> float:
        """Return how like the page most like it another is; less than any likeness when there is none yet."""
        nearest = self.nearest(print_)
        return -2.0 if nearest is None else nearest.likeness

    def nearest(self, print_: Fingerprint) -> Match | None:
        """Return the page most like this one; None when there is none yet."""
        if not self._prints:
            return None
        likeness = _rows([print_, *self._prints], self._about, first=1)[0, 1:]
        position = int(likeness.argmax())
        likeness_there = float(likeness[position])
        limit = max(self._limit, limit_for(len(self._prints) + 1)) if self._rises else self._limit
        return Match(position=position, likeness=likeness_there, is_repeat=likeness_there >= limit)


def matrix(prints: Sequence[Fingerprint], *, about: Vector | None = None) -> Floats:
    """Return the likeness of each page of a set to each: (pages, pages), symmetric."""
    if not prints:
        return np.zeros((0, 0), dtype=np.float32)
    return _rows(prints, about, first=len(prints))


def _rows(prints: Sequence[Fingerprint], about: Vector | None, *, first: int) -> Floats:
    """Return the likeness of the first pages to all of them: (first, pages)."""
    genes = _set_apart(np.stack([print_.genes for print_ in prints]), about)
    alike = np.einsum("igd,jgd->gij", genes[:first], genes, optimize=True)
    sizes = np.array([len(print_.points) for print_ in prints])
    points = _set_apart(np.concatenate([print_.points for print_ in prints]), about)
    proof = (alike[PROOF] + _pointwise(points, sizes, first) + alike[WHOLE]) / 3
    # A page that proves nothing is told by a few words, and any two nouns may reach the limit by chance. There both
    # halves of the promise must be alike, and the cube asks for a likeness of 0.54 where 0.16 would do, and keeps 1.
    has_proof = genes[:, PROOF].any(axis=1)
    proof = np.where(has_proof[:first, None] & has_proof[None], proof, np.minimum(alike[HEADLINE], alike[OFFER]) ** 3)
    promise = (alike[HEADLINE] + alike[OFFER] + alike[PROMISE]) / 3
    return np.asarray(np.minimum(promise, proof))


def _set_apart(vectors: Vector, about: Vector | None) -> Vector:
    """Take out what the rows have in common, gene by gene; rows of zeros stay zeros."""
    weight = 1.0 if about is None else PAGES_FOR_BRIEF
    known = 0.0 if about is None else about * np.float32(weight * HELD_BY_BRIEF)
    common = (vectors.sum(axis=0) + known) / np.float32(len(vectors) + weight)
    return unit(np.where(vectors.any(axis=-1, keepdims=True), vectors - common, np.float32(0)))


def _pointwise(points: Vector, sizes: NDArray[np.int64], first: int) -> Floats:
    """Return how well the points of two pages answer each other: the mean over both of each point's best match."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    mine = int(sizes[:first].sum())
    alike = points[:mine] @ points.T
    there = np.maximum.reduceat(alike, starts, axis=1)
    back = np.maximum.reduceat(alike, starts[:first], axis=0)
    there = np.add.reduceat(there, starts[:first], axis=0) / sizes[:first, None]
    back = np.add.reduceat(back, starts, axis=1) / sizes
    return np.asarray((there + back) / 2)


def about(brief: BriefSpec) -> Vector:
    """Return what all pages of a brief are about."""
    return vector_of(told_by_brief(brief))


def told_by_brief(brief: BriefSpec) -> str:
    return " ".join([brief.product, brief.audience, brief.offer, *(fact.text for fact in brief.facts)])


def groups(alike: Floats, *, limit: float = DUPLICATE_LIMIT) -> list[int]:
    """Return for each page of a likeness matrix the position of the first one that it repeats, or its own."""
    leaders: list[int] = []
    limit = max(limit, limit_for(len(alike)))
    for page in range(len(alike)):
        known = [other for other in dict.fromkeys(leaders) if alike[page, other] >= limit]
        leaders.append(max(known, key=lambda other: alike[page, other]) if known else page)
    return leaders


def distinct_count(
    contents: Iterable[PageContent], brief: BriefSpec | None = None, *, limit: float = DUPLICATE_LIMIT
) -> int:
    """Return how many of the pages are left when each that repeats an earlier one is dropped."""
    alike = matrix([fingerprint(content) for content in contents], about=about(brief) if brief else None)
    return len(set(groups(alike, limit=limit)))
