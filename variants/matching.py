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
    "аеорсухкмтвнгіѕјһԁԛԝАЕОРСУХКМТВНІЅЈαοερικντυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧ’‘ʼ‐‑‒ɑɡıɩօսհոցᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxkmtbhrisjhdqwAEOPCYXKMTBHISJaoepikvtuxwABEZHIKMNOPTYX'" + "''---agiiouhngabcdeghijklmnoprstuvwyz",
)
# What stands for a letter in "ch3ap" and "$ale"; a one is an i to some and an l to others.
LETTERS_FOR_DIGITS = str.maketrans("0134578@$!|€¢", "oieastbasilec")
OTHER_LETTERS_FOR_DIGITS = str.maketrans("0134578@$!|€¢69", "oleastbasliecbg")
SPACED_LETTERS = re.compile(r"(?<!\w)(?:[^\W\d_][\s.*_/|·~-]{1,3}){3,60}[^\W\d_](?!\w)")
BROKEN_WORD = re.compile(r"(?<=\w)[-.*_/|·~+'](?=\w)")
DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
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
    seen = text if text.isascii() else _seen(text)  # Optimization: most are, and have nothing to replace
    return SPACED_LETTERS.sub(lambda found: re.sub(r"[\s.*_/|·~-]", "", found[0]), seen)


def _seen(text: str) -> str:
    normal = unicodedata.normalize("NFKC", text)
    seen = "".join(character for character in normal if unicodedata.category(character) != "Cf")
    if not seen.isascii() and re.search(r"[A-Za-z]", seen):
        # A text wholly in another script has no masked Latin words, and its own letters must stay themselves.
        return seen.translate(LOOK_ALIKES)
    return seen


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of `text`, folded: small letters, no accents, no possessive."""
    bare = unicodedata.normalize("NFKD", unmasked(text).casefold())
    plain = "".join(character for character in bare if not unicodedata.combining(character))
    return tuple(word.removesuffix("'s") for word in WORD.findall(plain))


@lru_cache(maxsize=65_536)
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


# Endings that a word may take in languages whose words `stem` does not know.
INFLECTIONS = {
    "de": "e|en|er|es|em|n|s|ere|eren|erer|eres|ste|sten|ster|stes|este|esten|t|te|ten|st|et",
    "fr": "e|s|es|x|ment|ement|nt|ent|er|ez|ée|ées|é|és|ons|ais|ait",
    "es": "s|es|o|a|os|as|mente|do|da|dos|das|r|n|ísimo|ísima",
    "it": "i|e|o|a|mente|to|ta|ti|te|re|no",
    "nl": "e|en|er|ere|st|ste|s|t",
    "pt": "s|es|o|a|os|as|mente|do|da|dos|das|r|m",
}
SHORTEST_INFLECTED = 4


def says(text: str, phrase: str, language: str = "en") -> bool:
    """Tell whether `text` says `phrase` in any form: inflected, or disguised as `_readings` undoes it."""
    if UNSPACED.search(phrase):
        return contains(text, phrase)
    needle = words_of(phrase)
    if not needle:
        return phrase.strip() in text
    endings = INFLECTIONS.get(language.split("-", maxsplit=1)[0])
    return any(_stands_in(needle, words, endings) for words in _readings(text))


def _stands_in(needle: tuple[str, ...], words: tuple[str, ...], endings: str | None) -> bool:
    if endings is None:
        return bool(places_of(tuple(map(stem, needle)), tuple(map(stem, words))))
    forms = _forms(needle, endings)
    size = len(needle)
    return any(
        all(form.fullmatch(word) for form, word in zip(forms, words[start : start + size], strict=True))
        for start in range(len(words) - size + 1)
    )


@lru_cache(maxsize=1024)
def _forms(needle: tuple[str, ...], endings: str) -> tuple[re.Pattern[str], ...]:
    """Return what each word may look like: itself with an ending, or with its own last vowel replaced by one."""
    return tuple(
        re.compile(rf"{re.escape(word)}(?:{endings})?|{re.escape(word.rstrip('eoa'))}(?:{endings})")
        if len(word) >= SHORTEST_INFLECTED
        else re.compile(re.escape(word))
        for word in needle
    )


@lru_cache(maxsize=4096)
def _readings(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of a text as it stands, and as it reads with the disguises of its words taken off."""
    plain = unmasked(text)
    seen = DRAWN_OUT.sub(r"\1", plain)
    readings = {seen, BROKEN_WORD.sub("", seen)}
    readings |= {_with_letters(one, table) for one in tuple(readings) for table in TABLES}
    return tuple({words_of(one) for one in (plain, *readings)})


TABLES = (LETTERS_FOR_DIGITS, OTHER_LETTERS_FOR_DIGITS)


def _with_letters(text: str, table: dict[int, int]) -> str:
    tokens = [token.strip('.,;:?()"“”') for token in text.split()]
    return " ".join(token.translate(table) if re.search(r"[^\W\d_]", token) else token for token in tokens)
