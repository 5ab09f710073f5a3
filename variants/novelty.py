"""How alike two pages are, from 0 (nothing in common) to 1 (the same), and how many different pages a set holds.

A page is compared gene by gene and the genes are weighted by how much of what a visitor notices they carry. Words are
compared as sets of words (rapidfuzz's token_set_ratio, so that reordering hides nothing) and as sequences of letters
(so that "analyse" and "analyze" do not count as different); the mean of the two is taken.

`Fingerprint` holds what a comparison needs, worked out once: n pages need n(n-1)/2 comparisons.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from variants.content import Benefits, PageContent, texts

# Weights sum to 1. Two pages with the same words in another dress differ by the theme's and order's 0.15 at most, so
# with the limit below they are duplicates; another headline alone (0.35) is enough to be a page of its own.
WEIGHTS = {"headline": 0.35, "subheadline": 0.20, "benefits": 0.15, "body": 0.15, "order": 0.05, "theme": 0.10}
CHEAPEST_FIRST = ("theme", "order", "headline", "subheadline", "benefits", "body")

# Chosen between the two neighbours a marketer would name: the same page with one word swapped in the headline
# (above 0.9) and another headline over the same facts (below 0.8).
DUPLICATE_LIMIT = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    headline: str
    subheadline: str
    benefits: str
    body: str
    order: str
    theme: tuple[str, str, str]


def fingerprint(content: PageContent) -> Fingerprint:
    hero, theme = content.hero, content.theme
    benefits = [item for section in content.sections if isinstance(section, Benefits) for item in section.items]
    return Fingerprint(
        headline=hero.headline.casefold(),
        subheadline=hero.subheadline.casefold(),
        benefits=" ".join(f"{item.title} {item.text}" for item in benefits).casefold(),
        body=" ".join(words for _, words in texts(content)).casefold(),
        order=" ".join(section.kind for section in content.sections),
        theme=(theme.layout, theme.palette, theme.typography),
    )


def similarity(one: PageContent, other: PageContent) -> float:
    return likeness(fingerprint(one), fingerprint(other))


def likeness(one: Fingerprint, other: Fingerprint) -> float:
    """Return the similarity of two pages given by their fingerprints."""
    return sum(weight * _part(name, one, other) for name, weight in WEIGHTS.items())


def _part(name: str, one: Fingerprint, other: Fingerprint) -> float:
    if name == "theme":
        return sum(mine == yours for mine, yours in zip(one.theme, other.theme, strict=True)) / len(one.theme)
    if name == "order":
        return float(one.order == other.order)
    return _alike(getattr(one, name), getattr(other, name))


def _repeats(one: Fingerprint, other: Fingerprint) -> bool:
    """Tell whether two pages reach the limit.

    Optimization: parts are compared from the cheapest on, and no further than the limit can still be reached. Most
    pairs are told apart by theme and headline, a tenth of the whole comparison.
    """
    reachable = 1.0
    for name in CHEAPEST_FIRST:
        reachable -= WEIGHTS[name] * (1 - _part(name, one, other))
        if reachable < DUPLICATE_LIMIT:
            return False
    return True


def _alike(one: str, other: str) -> float:
    if one == other:
        return 1.0
    by_words = fuzz.token_set_ratio(one, other) / 100
    return (by_words + Indel.normalized_similarity(one, other)) / 2


def is_duplicate(candidate: PageContent, others: Sequence[PageContent]) -> int | None:
    """Return the position of the first page in `others` that `candidate` repeats, None when it repeats none."""
    return repeated(fingerprint(candidate), [fingerprint(other) for other in others])


def repeated(candidate: Fingerprint, others: Sequence[Fingerprint]) -> int | None:
    """`is_duplicate` for pages given by their fingerprints."""
    found = (position for position, other in enumerate(others) if _repeats(candidate, other))
    return next(found, None)


def distinct_count(contents: Iterable[PageContent]) -> int:
    """Return how many of the pages are left when each that repeats an earlier one is dropped."""
    kept: list[Fingerprint] = []
    for content in contents:
        print_ = fingerprint(content)
        if repeated(print_, kept) is None:
            kept.append(print_)
    return len(kept)
