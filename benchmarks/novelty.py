"""Novelty: which pages say the same in other words, measured on labelled pages (tests/data/novelty/README.md).

Ways to tell, on the half that nothing was tuned on, each at the limit that serves it best on the other half:

    ours                   variants/novelty.py
    token_set_ratio        rapidfuzz, all words of two pages
    tf-idf                 cosine over the pages of a brief, words of the whole page
    weighted parts         what Greenhouse had before: token_set_ratio and letters, headline, text and benefits weighted
    embeddings             as ours, with the meanings that the server of OPENAI_EMBEDDING_MODEL gives, if it is set

Then a server that repeats itself: every other answer is a paraphrase or a light edit of a page it gave before. How many
of the accepted pairs say the same, how many repeats are missed and how many pages that say something new are refused
with them: on the held-out pages, and, so that sets may be large, on a grid of promises and proofs that nothing was
tuned on. Then sets of hundreds of pages that all differ; and how long it takes. One JSON object a line.
"""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from statistics import median

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from greenhouse.environment import Environment
from tests.labelled_pages import HELD_OUT, TUNING, Labelled, briefs, grid, pairs
from tests.model_server import answered
from variants import novelty
from variants.content import Benefits, texts
from variants.llm import embedder_for
from variants.matching import words_of
from variants.meaning import unit, vector_of

type Floats = NDArray[np.float64]
type Measure = Callable[[list[Labelled]], Floats]

ORDERS = 200  # in which a server's answers may come
PAGES = 500
TIMES = 5


def ours(pages: list[Labelled]) -> Floats:
    alike = novelty.matrix([novelty.fingerprint(page.content) for page in pages], about=vector_of(pages[0].about))
    return alike.astype(np.float64)


def copy_of(page: Labelled) -> str:
    return " ".join(words for _, words in texts(page.content)).casefold()


def token_set_ratio(pages: list[Labelled]) -> Floats:
    copies = [copy_of(page) for page in pages]
    return np.array([[fuzz.token_set_ratio(one, other) / 100 for other in copies] for one in copies])


def tf_idf(pages: list[Labelled]) -> Floats:
    counts = [Counter(words_of(copy_of(page))) for page in pages]
    known = {word: place for place, word in enumerate(sorted(set().union(*counts)))}
    table = np.zeros((len(pages), len(known)))
    for row, counted in enumerate(counts):
        for word, count in counted.items():
            table[row, known[word]] = count
    table *= np.log((1 + len(pages)) / (1 + (table > 0).sum(axis=0))) + 1
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return np.asarray(table @ table.T)


def weighted_parts(pages: list[Labelled]) -> Floats:
    return np.array([[_weighted(one, other) for other in pages] for one in pages])


def _weighted(one: Labelled, other: Labelled) -> float:
    mine, yours = _parts(one), _parts(other)
    words: float = sum(weight * _alike(mine[name], yours[name]) for name, weight in WEIGHTS.items())
    one_dress, other_dress = one.content.theme, other.content.theme
    dress = [
        one_dress.layout == other_dress.layout,
        one_dress.palette == other_dress.palette,
        one_dress.typography == other_dress.typography,
    ]
    return words + 0.05 + 0.1 * sum(dress) / 3  # these pages have their sections in one order


WEIGHTS = {"headline": 0.35, "subheadline": 0.20, "benefits": 0.15, "body": 0.15}


def _parts(page: Labelled) -> dict[str, str]:
    hero = page.content.hero
    items = [item for section in page.content.sections if isinstance(section, Benefits) for item in section.items]
    benefits = " ".join(f"{item.title} {item.text}" for item in items).casefold()
    return {
        "headline": hero.headline.casefold(), "subheadline": hero.subheadline.casefold(), "benefits": benefits,
        "body": copy_of(page),
    }  # fmt: skip


def _alike(one: str, other: str) -> float:
    return (fuzz.token_set_ratio(one, other) / 100 + Indel.normalized_similarity(one, other)) / 2


def embeddings(pages: list[Labelled]) -> Floats:
    """Compare pages by the server that OPENAI_EMBEDDING_MODEL names."""
    embedder = embedder_for(Environment())
    assert embedder is not None
    told = [novelty.told(page.content) for page in pages]
    texts = [pages[0].about, *(text for one in told for text in one)]
    about, *rows = unit(np.array(answered(embedder.embed(texts)).vectors, dtype=np.float32))
    parts = np.split(np.stack(rows), np.cumsum([len(one) for one in told]))[:-1]
    return novelty.matrix(list(map(novelty.fingerprint_from, parts)), about=about).astype(np.float64)


MEASURES: dict[str, Measure] = {
    "ours": ours, "token_set_ratio": token_set_ratio, "tf-idf": tf_idf, "weighted parts": weighted_parts,
}  # fmt: skip


def scored(measure: Measure, half: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Return every pair's likeness, and whether it says the same."""
    likeness, same = [], []
    for pages in briefs(half):
        alike = measure(pages)
        for one, other, is_same in pairs(pages):
            likeness.append(alike[one, other])
            same.append(is_same)
    return np.array(likeness), np.array(same)


def area(likeness: Floats, same: NDArray[np.bool_]) -> float:
    """Return the ROC area: how often a pair that says the same is more alike than one that does not."""
    gaps = likeness[same][:, None] - likeness[~same][None]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def at_limit(likeness: Floats, same: NDArray[np.bool_], limit: float) -> dict[str, float]:
    found = likeness >= limit
    hits = int((found & same).sum())
    return {
        "precision": hits / max(int(found.sum()), 1),
        "recall": hits / int(same.sum()),
        "false_alarms": float(found[~same].mean()),
    }


def best_limit(likeness: Floats, same: NDArray[np.bool_]) -> float:
    """Return the limit with the highest F1."""

    def f1(limit: float) -> float:
        at = at_limit(likeness, same, limit)
        return 2 * at["precision"] * at["recall"] / max(at["precision"] + at["recall"], 1e-9)

    return max(map(float, np.unique(likeness)), key=f1)


if embedder_for(Environment()) is not None:
    MEASURES["embeddings"] = embeddings


def figures() -> dict[str, dict[str, float]]:
    told = {}
    for name, measure in MEASURES.items():
        limit = novelty.DUPLICATE_LIMIT if name == "ours" else best_limit(*scored(measure, TUNING))
        likeness, same = scored(measure, HELD_OUT)
        told[name] = {"area": area(likeness, same), **at_limit(likeness, same, limit), "limit": limit}
    return told


# A server that repeats itself


def answers(pages: list[Labelled], chance: np.random.Generator) -> Iterator[Labelled]:
    """Give new pages and, as often, a paraphrase or light edit of one that was given before."""
    new = [page for page in pages if page.kind in {"original", "same facts"}]
    again = [page for page in pages if page.kind in {"paraphrase", "light edit"}]
    chance.shuffle(new)
    given: set[str] = set()
    while new:
        repeats = [page for page in again if page.group in given]
        if repeats and chance.random() < 0.5:
            yield repeats[int(chance.integers(len(repeats)))]
        else:
            page = new.pop()
            given.add(page.group)
            yield page


def accepted(pages: list[Labelled], chance: np.random.Generator) -> tuple[list[Labelled], int, int]:
    """Return the pages let through, how many new ones were refused, and how many new ones there were."""
    known, kept = novelty.PageSet(about=vector_of(pages[0].about)), list[Labelled]()
    refused = new = 0
    for page in answers(pages, chance):
        is_new = page.kind in {"original", "same facts"}
        new += is_new
        print_ = novelty.fingerprint(page.content)
        nearest = known.nearest(print_)
        if nearest is not None and nearest.is_repeat:
            refused += is_new
            continue
        known.add(print_)
        kept.append(page)
    return kept, refused, new


def repeating_server() -> dict[str, float]:
    chance, counts = np.random.default_rng(1), Counter[str]()
    for pages in briefs(HELD_OUT):
        for _ in range(ORDERS):
            kept, refused, new = accepted(pages, chance)
            found = [is_same for _, _, is_same in pairs(kept)]
            counts.update(pairs=len(found), same=sum(found), refused=refused, new=new, kept=len(kept))
    return {
        "same": counts["same"] / counts["pairs"],
        "new_refused": counts["refused"] / counts["new"],
        "kept_per_set": counts["kept"] / ORDERS / len(briefs(HELD_OUT)),
    }


# Larger sets: every promise of one brief with every proof, so that there are hundreds of pages which all differ

SIZES = {8: 200, 20: 60, 100: 10}  # accepted pages, and how often they are asked for
DRAWS = 2_000  # of the interval
LEVEL = (2.5, 97.5)  # percent

type Place = tuple[int, int, int]  # promise, proof, wording


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One set that was grown on a server that repeats itself."""

    pairs: int
    same: int  # pairs that say the same
    repeats: int  # answers that were repeats
    missed: int  # of those, let through
    new: int  # answers that were new
    refused: int  # of those, refused


@cache
def grid_prints() -> dict[Place, novelty.Fingerprint]:
    cells = grid()
    places = product(range(len(cells.promises)), range(len(cells.proofs)), (0, 1))
    return {place: novelty.fingerprint(cells.page(*place)) for place in places}


def grid_answers(chance: np.random.Generator) -> Iterator[tuple[Place, bool]]:
    """Give pages without end: new ones, and as often a page given before, in either wording."""
    new = sorted({(promise, proof) for promise, proof, _ in grid_prints()})
    chance.shuffle(new)
    given: list[tuple[int, int]] = []
    while new:
        is_new = not given or chance.random() < 0.5
        given += [new.pop()] if is_new else []
        promise, proof = given[-1] if is_new else given[int(chance.integers(len(given)))]
        yield (promise, proof, int(chance.integers(2))), is_new


def served(size: int, seed: int) -> Served:
    """Grow a set of so many pages on a server that repeats itself."""
    known, kept, counts = novelty.PageSet(about=vector_of(grid().about)), Counter[tuple[int, int]](), Counter[str]()
    for place, is_new in grid_answers(np.random.default_rng(seed)):
        print_ = grid_prints()[place]
        nearest = known.nearest(print_)
        is_refused = nearest is not None and nearest.is_repeat
        counts.update(
            new=is_new, repeats=not is_new, refused=is_new and is_refused, missed=not is_new and not is_refused
        )
        if not is_refused:
            known.add(print_)
            kept[place[:2]] += 1
        if kept.total() == size:
            break
    same = sum(math.comb(count, 2) for count in kept.values())
    return Served(pairs=math.comb(size, 2), same=same, **counts)


def share(sets: Sequence[Served], part: str, whole: str) -> tuple[float, float, float]:
    """Return a share over all sets, and its interval over sets drawn anew from these."""
    counted = np.array([[getattr(one, part), getattr(one, whole)] for one in sets])
    drawn = counted[np.random.default_rng(1).integers(len(sets), size=(DRAWS, len(sets)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], LEVEL)
    return float(counted[:, 0].sum() / counted[:, 1].sum()), float(low), float(high)


def tell_servers() -> None:
    for size, times in SIZES.items():
        sets = [served(size, seed) for seed in range(times)]
        same, low, high = share(sets, "same", "pairs")
        unit = f"fraction, 95% interval {low:.4f} to {high:.4f}, {sum(one.pairs for one in sets)} pairs in {times} sets"
        tell(f"novelty.accepted_pairs_that_repeat.{size}", same, 0.02, "limit", unit)
        tell(f"novelty.repeats_missed.{size}", share(sets, "missed", "repeats")[0], 0.0, "ideal", "fraction")
        tell(f"novelty.new_pages_refused.{size}", share(sets, "refused", "new")[0], 0.0, "ideal", "fraction")


def tell_large_sets() -> None:
    """Tell how many of hundreds of pages that all differ are told to."""
    places = sorted({(promise, proof) for promise, proof, _ in grid_prints()})
    np.random.default_rng(1).shuffle(places)
    prints = [grid_prints()[promise, proof, wording % 2] for wording, (promise, proof) in enumerate(places)]
    about = vector_of(grid().about)
    for size in (100, 200, 400):
        distinct = len(set(novelty.groups(novelty.matrix(prints[:size], about=about))))
        tell(f"novelty.distinct_of_different.{size}", float(distinct), float(size), "ideal", "pages")


# Time


def timed(call: Callable[[], object]) -> float:
    """Return the median milliseconds of a call."""
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return median(taken)


def five_hundred() -> list[Labelled]:
    pages = [page for half in (TUNING, HELD_OUT) for brief in briefs(half) for page in brief]
    return (pages * (PAGES // len(pages) + 1))[:PAGES]


def tell(bench: str, ours: float, peer: float, peer_name: str, unit: str) -> None:
    ratio = ours / peer if peer else None
    line = {"bench": bench, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio, "unit": unit}
    print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}))


def tell_figures() -> None:
    told = figures()
    mine = told.pop("ours")
    for peer, theirs in told.items():
        tell("novelty", mine["area"], theirs["area"], peer, "ROC area, held out")
        for what in ("precision", "recall", "false_alarms"):
            tell(f"novelty.{what}", mine[what], theirs[what], peer, "fraction, held out")
        if peer == "embeddings":
            tell("novelty.limit", mine["limit"], theirs["limit"], peer, "likeness")


def tell_times() -> None:
    pages = five_hundred()
    prints = [novelty.fingerprint(page.content) for page in pages]
    known = novelty.PageSet(prints)
    new = pages[0]
    copies = [copy_of(page) for page in pages]
    mine = timed(lambda: known.nearest(novelty.fingerprint(new.content)))
    theirs = timed(lambda: [fuzz.token_set_ratio(copies[0], copy) for copy in copies])
    tell("novelty.one_with_500", mine, theirs, "token_set_ratio", "ms")
    tell("novelty.map_of_500", timed(lambda: novelty.matrix(prints)), 2_000.0, "limit", "ms")


def main() -> None:
    tell_figures()
    told = repeating_server()
    tell("novelty.accepted_pairs_that_repeat", told["same"], 0.02, "limit", "fraction")
    tell("novelty.new_pages_refused", told["new_refused"], 0.0, "ideal", "fraction")
    tell("novelty.pages_kept_of_a_set", told["kept_per_set"], 8.0, "ideal", "pages")
    tell_servers()
    tell_large_sets()
    tell_times()


if __name__ == "__main__":
    main()
