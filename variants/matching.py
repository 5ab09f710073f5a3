"""Fold texts so that words which mean the same compare equal: case, accents, look-alike letters, common endings.

Used to decide whether a page says a forbidden word, a required one, or something its brief also says.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Unicode UTS 39's confusables, the part met in practice: Cyrillic and Greek letters drawn like Latin ones, and the
# several apostrophes and hyphens. One character to one, so that places in a text stay where they are.
LOOK_ALIKES = str.maketrans(
    "аеорсухкмтвнгіѕјһԁԛԝАЕОРСУХКМТВНІЅЈαοερικντυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ’‘ʼ‐‑‒",
    "aeopcyxkmtbhrisjhdqwAEOPCYXKMTBHISJaoepikvtuxwABEZHIKMNOPTYX'''---",
)
LETTERS_FOR_DIGITS = str.maketrans("013457@$", "oieastas")
SPACED_LETTERS = re.compile(r"(?<!\w)(?:[^\W\d_][\s.*_-]){3,}[^\W\d_](?!\w)")
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Scripts written without spaces between words: there a word is found anywhere in the text.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
ENDINGS = (
    ("ing", 3),
    ("ed", 3),
    ("est", 4),
    ("er", 4),
    ("ly", 4),
    ("es", 3),
    ("s", 3),
)  # ending, letters that must stay
SHORTEST_STEM = 3


def unmasked(text: str) -> str:
    """Return `text` with look-alike letters, ligatures and invisible characters replaced by what a reader sees."""
    normal = unicodedata.normalize("NFKC", text)
    seen = "".join(character for character in normal if unicodedata.category(character) != "Cf")
    if not seen.isascii() and re.search(r"[A-Za-z]", seen):
        # A text wholly in another script has no masked Latin words, and its own letters must stay themselves.
        seen = seen.translate(LOOK_ALIKES)
    return SPACED_LETTERS.sub(lambda found: re.sub(r"[\s.*_-]", "", found[0]), seen)


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of `text`, folded: small letters, no accents, no possessive."""
    bare = unicodedata.normalize("NFKD", unmasked(text).casefold())
    plain = "".join(character for character in bare if not unicodedata.combining(character))
    return tuple(word.removesuffix("'s") for word in WORD.findall(plain))


def stem(word: str) -> str:
    """Return an English word without its inflection: guarantees, guaranteed, guaranteeing become "guarant".

    Approximation: no dictionary. It may join words that only look alike ("number", "numb") and never splits the forms
    of one, which is the safe side when the question is whether a forbidden word is said.
    """
    for ending, least in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    while word.endswith("e") and len(word) > SHORTEST_STEM:
        word = word[:-1]
    if word.endswith("i") and len(word) >= SHORTEST_STEM:
        word = f"{word[:-1]}y"
    doubled = len(word) > SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aeiouls"
    return word[:-1] if doubled else word


@lru_cache(maxsize=4096)
def stems_of(text: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in words_of(text))


def places_of(needle: Sequence[str], hay: Sequence[str]) -> list[int]:
    """Return where the words `needle` stand next to each other in `hay`."""
    size = len(needle)
    return [start for start in range(len(hay) - size + 1) if tuple(hay[start : start + size]) == tuple(needle)]


def contains(text: str, phrase: str) -> bool:
    """Tell whether `text` says `phrase` in exactly these words, whatever the case, punctuation and line breaks."""
    if UNSPACED.search(phrase):
        return "".join(words_of(phrase)) in "".join(words_of(text))
    return bool(places_of(words_of(phrase), words_of(text)))


def says(text: str, phrase: str) -> bool:
    """Tell whether `text` says `phrase` in any form: inflected, in look-alike letters, with digits for letters."""
    if UNSPACED.search(phrase):
        return contains(text, phrase)
    needle = stems_of(phrase)
    if not needle:
        return phrase.strip() in text
    return bool(places_of(needle, stems_of(text)) or places_of(needle, _stems_behind_digits(text)))


@lru_cache(maxsize=4096)
def _stems_behind_digits(text: str) -> tuple[str, ...]:
    tokens = [token.strip('.,;:!?()"“”') for token in unmasked(text).split()]
    letters = [token.translate(LETTERS_FOR_DIGITS) if re.search(r"[^\W\d_]", token) else token for token in tokens]
    return tuple(found for letter in letters for found in stems_of(letter))
