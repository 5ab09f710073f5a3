"""Turn a text into a vector that says what it is about, so that texts which say the same in other words lie close.

A text is the weighted sum of its words' vectors; rare words weigh more (Arora, Liang, Ma 2017, "A simple but
tough-to-beat baseline for sentence embeddings"). The words' vectors come from data/word_vectors.npz, 40,000 English
words; tests/data/make_word_vectors.py says how it is made. A word that is not there, a number or a word of another
language, gets a direction of its own from its letters, so that texts which share it lie closer too. In scripts without
spaces neighbouring characters stand for words.
"""

import re
import zlib
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from variants.matching import UNSPACED, stem, words_of

type Vector = NDArray[np.float32]

TABLE: Final = Path(__file__).parent / "data" / "word_vectors.npz"
DIMENSIONS: Final = 100
# A word of rank r makes up about 0.1 / r of English text (Zipf); it weighs DAMPING / (DAMPING + that).
DAMPING: Final = 3e-4
ZIPF: Final = 0.1
WEIGHT_OF_UNKNOWN: Final = 0.25  # names and numbers tell pages of one product less apart than what is said of them


def vector_of(text: str) -> Vector:
    """Return the direction of a text, of length 1; zeros when it holds no word."""
    summed = np.zeros(DIMENSIONS, dtype=np.float32)
    for token in _tokens(text):
        summed += _word(token)
    return unit(summed)


def unit(vectors: Vector) -> Vector:
    """Scale vectors (the last axis) to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def _tokens(text: str) -> list[str]:
    if not UNSPACED.search(text):
        return list(words_of(text))
    bare = re.sub(r"\W", "", text)
    return ["".join(two) for two in pairwise(bare)] or [bare]


@lru_cache(maxsize=50_000)
def _word(word: str) -> Vector:
    ranks, vectors = _table()
    rank = ranks.get(word, ranks.get(stem(word)))
    if rank is None or word.isdigit():
        return WEIGHT_OF_UNKNOWN * _own_direction(stem(word))
    return np.asarray(vectors[rank] * np.float32(DAMPING / (DAMPING + ZIPF / (rank + 1))))


def _own_direction(word: str) -> Vector:
    drawn = np.random.default_rng(zlib.crc32(word.encode())).standard_normal(DIMENSIONS)
    return unit(drawn.astype(np.float32))


@cache
def _table() -> tuple[dict[str, int], Vector]:
    """Return each word's rank, and the vectors by rank. Optimization: read once, 0.1 s and 16 MB, when first needed."""
    with np.load(TABLE) as kept:
        words = kept["words"].tobytes().decode().split("\n")
        vectors = unit(kept["vectors"].astype(np.float32))
    return {word: rank for rank, word in enumerate(words)}, vectors
