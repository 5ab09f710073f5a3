"""Read numbers written as words: "twelve hundred", "half", "twice", "zwei Tage", "quatre-vingts", "media hora".

    text ──▶ Reading: the text with digits in place of the words, and where each character came from

So one set of patterns for digits serves every spelling, and what is reported is still what stands on the page.
English, German, French and Spanish have their words; every language has digits.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    text: str
    starts: tuple[int, ...]  # of each character's origin
    ends: tuple[int, ...]
    original: str

    @classmethod
    def of(cls, text: str) -> Self:
        places = range(len(text))
        return cls(text=text, starts=tuple(places), ends=tuple(place + 1 for place in places), original=text)

    def with_changed(self, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str]) -> Self:
        """Return this reading with every match replaced; what replaces it comes from where the match stood."""
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for found in pattern.finditer(self.text):
            start, end, new = found.start(), found.end(), change(found)
            parts += [self.text[done:start], new]
            starts += [*self.starts[done:start], *[self.starts[start]] * len(new)]
            ends += [*self.ends[done:start], *[self.ends[end - 1]] * len(new)]
            done = end
        parts.append(self.text[done:])
        new_starts, new_ends = (*starts, *self.starts[done:]), (*ends, *self.ends[done:])
        return type(self)(text="".join(parts), starts=new_starts, ends=new_ends, original=self.original)

    def words(self, start: int, end: int) -> str:
        """Return what stands on the page for a stretch of the reading."""
        return self.original[self.starts[start] : self.ends[end - 1]] if end > start else ""


# fmt: off
def _numbered(words: str, first: int = 0, step: int = 1) -> dict[str, int]:
    return {word: first + place * step for place, word in enumerate(words.split())}


ENGLISH = _numbered(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
) | _numbered("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10) | {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}

_GERMAN_UNITS = _numbered("null ein zwei drei vier fünf sechs sieben acht neun")
_GERMAN_TEENS = _numbered("zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn", 10)
_GERMAN_TENS = _numbered("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig", 20, 10)
_GERMAN_SMALL = _GERMAN_UNITS | _GERMAN_TEENS | _GERMAN_TENS | {
    f"{unit}und{ten}": one + tens for unit, one in _GERMAN_UNITS.items() if one
    for ten, tens in _GERMAN_TENS.items()}
GERMAN = {word: value for word, value in _GERMAN_SMALL.items() if word != "ein"} | {
    "eins": 1, "hundert": 100, "tausend": 1000, "million": 10**6, "millionen": 10**6, "milliarde": 10**9,
    "milliarden": 10**9} | {
    f"{word}{name}": value * size for word, value in _GERMAN_SMALL.items() if value
    for name, size in (("hundert", 100), ("tausend", 1000))}

_FRENCH_TEENS = _numbered("dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf", 10)
FRENCH = _numbered("zéro un deux trois quatre cinq six sept huit neuf") | _FRENCH_TEENS | _numbered(
    "vingt trente quarante cinquante soixante", 20, 10) | {
    f"soixante-{word}": 50 + value for word, value in _FRENCH_TEENS.items()} | {
    f"quatre-vingt-{word}": 70 + value for word, value in _FRENCH_TEENS.items()} | {
    "quatre-vingt": 80, "quatre-vingts": 80, "cent": 100, "cents": 100, "mille": 1000, "million": 10**6,
    "millions": 10**6, "milliard": 10**9, "milliards": 10**9}

SPANISH = _numbered(
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
    "veintiocho veintinueve"
) | _numbered("treinta cuarenta cincuenta sesenta setenta ochenta noventa", 30, 10) | _numbered(
    "cien doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos", 100, 100
) | {"ciento": 100, "mil": 1000, "millón": 10**6, "millones": 10**6}

NAMES: Mapping[str, Mapping[str, int]] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH}
JOINED_BY = {"en": "and", "de": "und", "fr": "et", "es": "y"}
# Words that count only before a larger one: "a hundred", "un millier".
ARTICLES = {"en": "a", "de": "ein", "fr": "un", "es": "un"}
# Magnitudes whose name alone is no number: "hundred" is, after "a"; "cent" and "mil" are by themselves.
ALONE = {"fr": frozenset({"cent", "mille"}), "es": frozenset({"cien", "mil"}),
         "de": frozenset({"hundert", "tausend"}), "en": frozenset[str]()}

type Said = tuple[tuple[str, str], ...]

# What is said with a number in mind, as digits would say it. {} is a number in digits.
SAID: Mapping[str, Said] = {
    "en": (
        (r"half an? (hour|day|week|month|year|mile|minute)", r"0.5 \1"), (r"half[- ](price)", r"50% \1"),
        (r"(\d+|an?) (hour|day|week|month|year|minute|mile)s? and a half", r"\1.5 \2"), (r"(\d+) and a half", r"\1.5"),
        (r"half a dozen", "6"), (r"an? dozen(?: of)?", "12"), (r"2 dozen", "24"), (r"3 dozen", "36"),
        (r"a (?:fortnight|couple of weeks)", "2 weeks"), (r"fortnight", "2 weeks"), (r"a decade", "10 years"),
        (r"(?:twice|double[sd]?|doubling|twofold)", "2 times"), (r"(?:thrice|triple[sd]?|tripling|threefold)",
        "3 times"),
        (r"(?:quadruple[sd]?|fourfold)", "4 times"), (r"tenfold", "10 times"), (r"hundredfold", "100 times"),
        (r"(?:by |in )?half|halv(?:e[sd]?|ing)", "50%"), (r"(?:an?|1)[ -]third", "33.33%"), (r"2[ -]thirds", "66.67%"),
        (r"(?:an?|1)[ -]quarter(?= of| off| less| more|$)", "25%"), (r"3[ -]quarters", "75%"),
        (r"(?:an?|1)[ -]fifth", "20%"), (r"2[ -]fifths", "40%"), (r"3[ -]fifths", "60%"), (r"4[ -]fifths", "80%"),
        (r"(?:an?|1)[ -]tenth", "10%"), (r"9[ -]tenths", "90%"),
        (r"(within|after|in|for|under|over|takes|take|lasts|every) an? (second|minute|hour|day|week|month"
        r"|year)(?! and a half)",
         r"\1 1 \2"),
    ),
    "de": (
        (r"eine[rn]? halben? (stunde|minute)", r"0.5 \1"), (r"halben? (stunde|minute)", r"0.5 \1"),
        (r"(?:ein(?:en|em)?|das) halbe[sn]? (jahr)", r"0.5 \1"), (r"anderthalb|eineinhalb", "1.5"),
        (r"ein(?:em|es)? dutzend", "12"), (r"zwei wochen", "2 wochen"), (r"doppelt|verdoppel\w{1,3}|zweimal", "2 mal"),
        (r"dreifach\w{0,2}|verdreifach\w{1,3}|dreimal", "3 mal"), (r"zehnfach\w{0,2}|verzehnfach\w{1,3}", "10 mal"),
        (r"halbier\w{1,3}|(?:die )?hälfte", "50%"), (r"ein(?:em)? drittel", "33.33%"), (r"2 drittel", "66.67%"),
        (r"ein(?:em)? viertel", "25%"), (r"drei ?viertel|3 viertel", "75%"), (r"ein(?:em)? fünftel", "20%"),
        (r"(in|innerhalb|nach|binnen) (?:eine[srmn]?|einem) (sekunde|minute|stunde|tag|tage|tages|woche|monat"
        r"|monats|jahr|jahres)",
         r"\1 1 \2"),
    ),
    "fr": (
        (r"(?:une? )?demi-(heure|journée)", r"0.5 \1"), (r"une (heure|journée) et demie", r"1.5 \1"),
        (r"(\d+) (heures|jours|mois|ans) et demie?", r"\1.5 \2"), (r"(?:une )?demi-douzaine", "6"),
        (r"une douzaine", "12"), (r"une quinzaine", "15"), (r"une centaine", "100"), (r"un millier", "1000"),
        (r"(?:le )?doubl(?:e|er|ez)", "2 fois"), (r"(?:le )?tripl(?:e|er|ez)", "3 fois"),
        (r"(?:la )?moitié", "50%"), (r"(?:un|1) tiers", "33.33%"), (r"2 tiers", "66.67%"), (r"(?:un|1) quart", "25%"),
        (r"3 quarts", "75%"), (r"une (semaine|heure|minute|journée|année) (?:par)", r"1 \1 par"),
        (r"(en|dans|après|pendant|avant) une? (seconde|minute|heure|jour|journée|semaine|mois|an|année)", r"\1 1 \2"),
        (r"une (heure|minute) par", r"1 \1 par"),
    ),
    "es": (
        (r"media (hora|jornada)", r"0.5 \1"), (r"una (hora) y media", r"1.5 \1"), (r"media docena", "6"),
        (r"una docena", "12"), (r"un centenar", "100"), (r"un millar", "1000"), (r"(?:el )?doble", "2 veces"),
        (r"(?:el )?triple", "3 veces"), (r"(?:la )?mitad", "50%"), (r"(?:un|1) tercio", "33.33%"), (r"2 tercios",
        "66.67%"),
        (r"(?:un|1) cuarto de", "25% de"),
        (r"(en|tras|durante|dentro de) una? (segundo|minuto|hora|día|semana|mes|año)", r"\1 1 \2"),
    ),
}
# fmt: on
HUNDRED = 100
LONGEST_NUMBER = 12  # words


def read(text: str, language: str) -> Reading:
    """Return `text` with digits where it has words for numbers, in a language that has them here."""
    reading = Reading.of(text)
    if language not in NAMES:
        return reading
    reading = reading.with_changed(_sequence(language), lambda found: _value_or_self(found, language))
    return reading.with_changed(_said(language), lambda found: _as_digits(found, language))


@lru_cache
def _sequence(language: str) -> re.Pattern[str]:
    names = "|".join(sorted(map(re.escape, NAMES[language]), key=len, reverse=True))
    # German writes a number as one word; elsewhere the parts stand apart.
    link = rf"(?:[ -]|\s{JOINED_BY[language]}\s){'?' if language == 'de' else ''}"
    article = rf"(?:{ARTICLES[language]}\s(?=\w))?"
    more = rf"(?:{link}(?:{names})){{0,{LONGEST_NUMBER - 1}}}+"
    return re.compile(rf"(?<![\w-])(?<!pour ){article}(?:{names}){more}(?!\w)", re.IGNORECASE)


def _value_or_self(found: re.Match[str], language: str) -> str:
    words = found[0].casefold()
    names = NAMES[language]
    parts = _parts(language).findall(words)
    values = [names[part] for part in parts if part in names]
    has_article = parts[0] not in names
    is_magnitude_alone = values[0] >= HUNDRED and not has_article and parts[0] not in ALONE[language]
    article = ""
    if has_article and values[0] < HUNDRED:  # "a ten-week course": the article is the course's
        article, words = f"{parts[0]} ", words.removeprefix(parts[0]).lstrip()
    if is_magnitude_alone and language != "de" and len(values) == 1:
        return found[0]
    if not _is_one_number(values):
        return article + _each(words, names)
    return f"{article}{_composed(values)}"


@lru_cache
def _parts(language: str) -> re.Pattern[str]:
    return re.compile("|".join([*sorted(map(re.escape, NAMES[language]), key=len, reverse=True), r"\w+"]))


def _is_one_number(values: list[int]) -> bool:
    """Tell whether the words make one number: "twenty five" does, "three four" and "seven and fourteen" do not."""
    return all(
        after >= HUNDRED or (before >= HUNDRED and after < before) or (before % 10 == 0 and before > 10 and after < 10)  # noqa: PLR2004 (tens and units)
        for before, after in pairwise(values)
    )


def _each(words: str, names: Mapping[str, int]) -> str:
    return re.sub(r"[^\W\d_]+(?:-[^\W\d_]+)*", lambda word: str(names.get(word[0].casefold(), word[0])), words)


def _composed(values: list[int]) -> int:
    total, current = 0, 0
    for value in values:
        if value < HUNDRED:
            current += value
        elif value == HUNDRED:
            current = max(current, 1) * HUNDRED
        elif value < 1000:  # noqa: PLR2004 (Spanish has names for 200 to 900)
            current += value
        else:
            total, current = total + max(current, 1) * value, 0
    return total + current


@lru_cache
def _said(language: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<!\w)(?:{pattern})(?!\w)" for pattern in _patterns(language)), re.IGNORECASE)


@lru_cache
def _patterns(language: str) -> tuple[str, ...]:
    # Groups are numbered through the whole alternation otherwise, so here they are not captured.
    return tuple(re.sub(r"\((?!\?)", "(?:", pattern) for pattern, _ in SAID[language])


@lru_cache
def _each_said(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in SAID[language])


def _as_digits(found: re.Match[str], language: str) -> str:
    for pattern, instead in _each_said(language):
        said = pattern.fullmatch(found[0])
        if said:
            return re.sub(r"^an?(?=\.)", "1", said.expand(instead), flags=re.IGNORECASE)
    # A look-ahead needs what follows the match, which only the alternation saw: "a quarter of", "within a day".
    return "25%" if "quarter" in found[0].casefold() else re.sub(r"\ban?\b", "1", found[0], flags=re.IGNORECASE)
