"""Turn two texts into what they share and what only one of them says, word by word, as a reader would mark it.

Whole words are compared, never letters. A blank or a comma between two changed words changes with them, and two texts
that share next to nothing are shown as wholly different: scattered marks would hide that.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Final, Literal

type Kind = Literal["same", "only"]
type Run = tuple[Kind, list[str], list[str]]  # the tokens of the left and of the right

# A word, a mark, or a blank; scripts that are written without blanks are taken sign by sign.
TOKENS: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[\w’']+|\s+|[^\w\s]")
WORD: Final = re.compile(r"\w")
LEAST_SHARED: Final = 0.3  # of the words: below it the texts are different texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    words: str
    is_shared: bool


type Pieces = tuple[Piece, ...]


def compare(left: str, right: str) -> tuple[Pieces, Pieces]:
    """Return both texts in pieces, each shared with the other text or not."""
    ours, theirs = TOKENS.findall(left), TOKENS.findall(right)
    if _shared(ours, theirs) < LEAST_SHARED:
        return _whole(left), _whole(right)
    runs = list(_mended(_runs(ours, theirs)))
    return _pieces((kind, tokens) for kind, tokens, _ in runs), _pieces((kind, tokens) for kind, _, tokens in runs)


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> float:
    said, beside = ([token for token in tokens if WORD.match(token)] for tokens in (ours, theirs))
    return SequenceMatcher(None, said, beside, autojunk=False).ratio() if said and beside else float(ours == theirs)


def _whole(text: str) -> Pieces:
    return (Piece(words=text, is_shared=False),) if text else ()


def _runs(ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Run]:
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        yield "same" if tag == "equal" else "only", list(ours[i1:i2]), list(theirs[j1:j2])


def _mended(runs: Iterator[Run]) -> Iterator[Run]:
    """Let what stands between two changes, and holds no word, change with them."""
    found = list(runs)
    for place, (kind, left, right) in enumerate(found):
        is_between = 0 < place < len(found) - 1
        holds_word = any(WORD.match(token) for token in left)
        yield ("only" if kind == "same" and is_between and not holds_word else kind), left, right


def _pieces(runs: Iterator[tuple[Kind, list[str]]]) -> Pieces:
    joined = [
        (kind == "same", "".join(token for _, tokens in same for token in tokens))
        for kind, same in groupby(runs, key=lambda run: run[0])
    ]
    return tuple(Piece(words=words, is_shared=is_shared) for is_shared, words in _trimmed(joined) if words)


def _trimmed(pieces: Sequence[tuple[bool, str]]) -> Iterator[tuple[bool, str]]:
    """Leave the blanks around a change to what is shared, so that no mark begins or ends with one."""
    for is_shared, words in pieces:
        if is_shared or not words.strip():
            yield is_shared, words
            continue
        bare = words.strip()
        before, _, after = words.partition(bare)
        yield from ((True, before), (False, bare), (True, after))
