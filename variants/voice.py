"""How a page speaks: in which language, how hard it reads, and whether it keeps the tone that was asked for.

    copy + brief ──▶ [Remark]

Only the language can block: the rest is for the reviewer's eye, because a formula cannot tell a good sentence.

Reading ease is Flesch's (R. Flesch, "A new readability yardstick", Journal of Applied Psychology 32, 1948), and its
fittings to other languages: German by T. Amstad (1978), French by L. Kandel and A. Moles (1958), Spanish by
J. Fernández Huerta (1959). None is defined for other languages, so none is used there. All four run from 100 (easy)
down, and below 30 stands what Flesch calls very difficult. Syllables are counted as groups of vowels.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from variants.languages import base, name_of, other_language


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    gate: Literal["language", "reading", "tone"]
    field: str
    words: str
    reason: str
    blocks: bool


def remarks(copy: Sequence[tuple[str, str]], *, language: str, tone: str) -> list[Remark]:
    return [*_language(copy, language), *_reading(copy, language), *_tone(copy, language, tone)]


# Language

FEWEST_WORDS_OF_A_FIELD = 12  # a foreign name or motto is no page in another language


def _language(copy: Sequence[tuple[str, str]], asked: str) -> list[Remark]:
    whole = other_language("\n".join(text for _, text in copy), asked)
    if whole is not None:
        return [_foreign("", "", whole, asked)]
    return [
        _foreign(place, text, other, asked)
        for place, text in copy
        if len(text.split()) >= FEWEST_WORDS_OF_A_FIELD and (other := other_language(text, asked))
    ]


def _foreign(place: str, text: str, other: str, asked: str) -> Remark:
    what = "This text" if place else "This page"
    reason = f"{what} seems to be in {name_of(other)}; the brief asks for {name_of(asked)}. Write it in that language."
    return Remark(gate="language", field=place, words=text, reason=reason, blocks=True)


# Reading ease

# Of the mean number of words per sentence and of syllables per word.
EASE: Mapping[str, Callable[[float, float], float]] = {
    "en": lambda words, syllables: 206.835 - 1.015 * words - 84.6 * syllables,
    "de": lambda words, syllables: 180 - words - 58.5 * syllables,
    "fr": lambda words, syllables: 207 - 1.015 * words - 73.6 * syllables,
    "es": lambda words, syllables: 206.84 - 1.02 * words - 60 * syllables,
}
VERY_DIFFICULT = 30
FEWEST_WORDS_TO_JUDGE = 100  # Flesch's own sample
WORD = re.compile(r"[^\W\d_]+")
VOWELS = re.compile(r"[aeiouyäöüáéíóúàâèêëîïôùûœæ]+", re.IGNORECASE)
SILENT_E = re.compile(r"(?<=[^aeiouyl])es?$", re.IGNORECASE)
SENTENCE = re.compile(r"[.!?]+(?:\s|$)|\n")


def ease(text: str, language: str) -> float | None:
    """Return how easily a text reads, from about 100 (easy) down; None where no formula is defined."""
    formula, words = EASE.get(base(language)), WORD.findall(text)
    if formula is None or not words:
        return None
    sentences = sum(1 for part in SENTENCE.split(text) if WORD.search(part))
    syllables = sum(_syllables(word, base(language)) for word in words)
    return formula(len(words) / max(1, sentences), syllables / len(words))


def _syllables(word: str, language: str) -> int:
    spoken = SILENT_E.sub("", word) if language in {"en", "fr"} else word
    return max(1, len(VOWELS.findall(spoken)))


def _reading(copy: Sequence[tuple[str, str]], language: str) -> list[Remark]:
    # Each field is a sentence at least: titles and buttons have no full stop.
    text = "\n".join(words for _, words in copy)
    score = ease(text, language)
    if score is None or score >= VERY_DIFFICULT or len(WORD.findall(text)) < FEWEST_WORDS_TO_JUDGE:
        return []
    reason = (
        "This page is hard to read: its sentences and words are as long as those of a contract. "
        "Shorter sentences and everyday words would help."
    )
    return [Remark(gate="reading", field="", words="", reason=reason, blocks=False)]


# Tone

MOST_EXCLAMATIONS = 2
CALM = re.compile(
    r"\b(?:calm|plain|clear|sober|serious|factual|matter-of-fact|exact|quiet|modest|honest|understated|warm|trustworthy"
    r"|sachlich|ruhig|klar|seriös|sobre|clair|calme|sérieux|serio|sereno|claro)\b", re.IGNORECASE)  # fmt: skip
FORMAL = re.compile(r"\b(?:formal|formell|formel|förmlich|sie-form|vouvoiement|usted)\b", re.IGNORECASE)
INFORMAL = re.compile(r"\b(?:informal|casual|du-form|tutoiement|tuteo|locker|familier)\b", re.IGNORECASE)
HYPE = re.compile(
    r"\b(?:game-?chang\w+|supercharg\w+|skyrocket\w*|turbocharg\w+|mind-?blowing|insane(?:ly)?|unleash\w*|unlock "
    r"the power"
    r"|revolutioni[sz]e\w*|epic|jaw-?dropping|next-level|crush(?:es|ing)? it|explosiv\w*)\b",
    re.IGNORECASE,
)
SLANG = re.compile(r"\b(?:gonna|wanna|gotta|hey|yeah|awesome|cool|folks|guys|y'all|kinda|stuff)\b", re.IGNORECASE)
SHOUTED = re.compile(r"\b[A-ZÄÖÜ]{4,}(?:\s+[A-ZÄÖÜ]{2,}){2,}\b")
ADDRESS: Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]] = {  # formal, informal
    "de": (re.compile(r"\b(?:Sie|Ihnen|Ihre?[nmrs]?)\b"), re.compile(r"\b(?i:du|dich|dir|deine?[nmrs]?)\b")),
    "fr": (re.compile(r"\b(?i:vous|votre|vos)\b"), re.compile(r"\b(?i:tu|toi|ton|ta|tes)\b")),
    "es": (re.compile(r"\b(?i:usted(?:es)?)\b"), re.compile(r"\b(?i:tú|tu|tus|te|ti)\b")),
}  # fmt: skip


def _tone(copy: Sequence[tuple[str, str]], language: str, tone: str) -> list[Remark]:
    found = [
        _jars(place, words[0], why)
        for pattern, why in _jarring(base(language), tone)
        for place, text in copy
        if (words := pattern.search(text))
    ]
    exclamations = sum(text.count("!") for _, text in copy)
    if CALM.search(tone) and exclamations > MOST_EXCLAMATIONS:
        found.append(
            _jars("", "!", f"There are {exclamations} exclamation marks, and the brief asks to sound “{tone}”.")
        )
    return found


def _jarring(language: str, tone: str) -> list[tuple[re.Pattern[str], str]]:
    asked = f"The brief asks to sound “{tone}”; this does not."
    patterns = [(SHOUTED, "This is in capitals throughout, which reads as shouting.")]
    if CALM.search(tone) and language == "en":
        patterns.append((HYPE, asked))
    is_formal = FORMAL.search(tone) and not INFORMAL.search(tone)
    if is_formal and language == "en":
        patterns.append((SLANG, asked))
    formal, informal = ADDRESS.get(language, (None, None))
    if is_formal and informal is not None:
        patterns.append((informal, asked))
    if INFORMAL.search(tone) and formal is not None:
        patterns.append((formal, asked))
    return patterns


def _jars(place: str, words: str, reason: str) -> Remark:
    return Remark(gate="tone", field=place, words=words, reason=f"{reason} Reword it.", blocks=False)
