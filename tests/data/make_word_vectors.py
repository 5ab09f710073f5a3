"""Make variants/data/word_vectors.npz: `python tests/data/make_word_vectors.py glove.6B.100d.txt`.

GloVe (J. Pennington, R. Socher, C. D. Manning, 2014), trained on Wikipedia and Gigaword, is in the public domain (PDDL
1.0). Its file has a word and its numbers in each line, frequent words first. Kept are the most frequent words as
matching.py folds them. What all words have in common (their mean and first three principal components) is taken out,
because it tells nothing apart [Mu, Viswanath 2018, All-but-the-top]; each vector gets length 1 and is rounded to 8
bits.
"""

import sys
from pathlib import Path

import numpy as np

KEPT = 40_000
COMMON = 3  # principal components
OUT = Path(__file__).parents[2] / "variants" / "data" / "word_vectors.npz"
sys.path.insert(0, str(OUT.parents[2]))

from variants.matching import words_of  # noqa: E402 - the project's root is put on the path above


def make(source: Path) -> None:
    words, rows = [], []
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            word, *numbers = line.rstrip().split(" ")
            if words_of(word) == (word,) and not word.isdigit():
                words.append(word)
                rows.append(np.array(numbers, dtype=np.float32))
            if len(words) == KEPT:
                break
    vectors = np.array(rows) - np.mean(rows, axis=0)
    common = np.linalg.svd(vectors, full_matrices=False)[2][:COMMON]
    vectors -= vectors @ common.T @ common
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rounded = np.round(vectors * (127 / np.abs(vectors).max())).astype(np.int8)
    np.savez_compressed(OUT, words=np.frombuffer("\n".join(words).encode(), dtype=np.uint8), vectors=rounded)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
