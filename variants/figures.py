"""Find the figures in a text: counts, shares, prices, multiples, durations, dates, times of day.

    text ──▶ [Figure]: what it measures, its value in one unit per kind, and how it is qualified ("over", "up to")

`agree` says whether one figure may stand for another: "half" for 50%, "two weeks" for 14 days, "1.2k" for 1,200. It is
about arithmetic and wording alone; whether both speak of the same matter is for claims.py to say.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from variants.matching import stem, words_of
from variants.numerals import Reading, read

Kind = Literal["percent", "money", "times", "duration", "clock", "date", "ordinal", "plain"]
Bound = Literal["", "over", "least", "most", "under", "nearly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    words: str  # as on the page
    start: int  # in the reading's text
    end: int
    kind: Kind
    value: float
    high: float | None = None  # the other end of a range
    unit: float = 0.0  # seconds in the unit of a duration
    bound: Bound = ""
    currency: str = ""
    per: frozenset[str] = frozenset()  # "a user and a month" of a price
    after: tuple[str, ...] = ()  # stems of the words that follow: what is counted
    day: tuple[int | None, int | None, int | None] = (None, None, None)  # year, month, day of a date
    is_spelled: bool = False


# fmt: off
SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0
DURATIONS = {
    name: seconds
    for names, seconds in (
        ("second seconds sec secs sekunde sekunden seconde secondes segundo segundos", SECOND),
        ("minute minutes min mins minuten minuto minutos", MINUTE),
        ("hour hours hr hrs h stunde stunden heure heures hora horas", HOUR),
        ("day days tag tage tagen tages jour jours journée journées día días dia dias", DAY),
        ("week weeks woche wochen semaine semaines semana semanas", 7 * DAY),
        ("month months monat monate monaten monats mois mes meses", 30.4375 * DAY),
        ("year years jahr jahre jahren jahres an ans année années año años", 365.25 * DAY),
    )
    for name in names.split()
}
# "h" and "min" may also be read by people as something else, but not after a number.
PER_NAMES = {"monthly": "month", "yearly": "year", "annually": "year", "weekly": "week", "daily": "day",
             "monatlich": "monat", "jährlich": "jahr", "wöchentlich": "woche"}
CURRENCIES = {"euro": "€", "euros": "€", "eur": "€", "dollar": "$", "dollars": "$", "usd": "$", "bucks": "$",
              "pound": "£", "pounds": "£", "gbp": "£", "quid": "£", "libras": "£", "dólares": "$", "dólar": "$",
              "franken": "CHF", "francs": "CHF", "chf": "CHF", "kr": "kr", "zł": "zł", "pln": "zł", "yen": "¥",
              "livres": "£"}
MONTHS = {name: place for place, names in enumerate((
    "january jan januar jänner janvier enero", "february feb februar février febrero", "march mar märz mars marzo",
    "april apr avril abril", "may mai mayo", "june jun juni juin junio", "july jul juli juillet julio",
    "august aug août agosto", "september sep sept septembre septiembre", "october oct oktober okt octobre octubre",
    "november nov novembre noviembre",
    "december dec dezember dez décembre diciembre"), start=1) for name in names.split()}
# fmt: on
MAGNITUDES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "tsd": 1e3,
    "tausend": 1e3,
    "mille": 1e3,
    "mil": 1e3,
    "million": 1e6,
    "millions": 1e6,
    "m": 1e6,
    "mio": 1e6,
    "millionen": 1e6,
    "millones": 1e6,
    "billion": 1e9,
    "bn": 1e9,
}  # fmt: skip
MONTH_NAMES = "|".join(sorted(MONTHS, key=len, reverse=True))
UNIT_NAMES = "|".join(sorted(map(re.escape, DURATIONS), key=len, reverse=True))
CURRENCY_NAMES = "|".join(sorted(CURRENCIES, key=len, reverse=True))
MAGNITUDE_NAMES = "|".join(sorted(MAGNITUDES, key=len, reverse=True))
# Separators count as such only before three digits; a space only between digits.
NUMBER = r"\d{1,3}(?:[,.'’\u00a0\u202f ]\d{3}(?!\d)){1,4}(?:[.,]\d{1,2}(?!\d))?|\d{1,15}(?:[.,]\d{1,6})?"
FIGURE = re.compile(
    rf"(?<![\w.,/])(?<!\w-)(?P<sign>[$€£¥₹]|(?:USD|EUR|GBP|CHF)\s)?\s?(?P<low>{NUMBER})"
    rf"(?P<magnitude>\s?(?:k|m|bn|mio|tsd)\b\.?|\s(?:{MAGNITUDE_NAMES})\b)?"
    rf"(?:(?P<link>\s?[–—-]\s?|\s(?:to|bis|à|a|y|et|und|and|out of|of|in|(?:[^\W\d]{{1,20}}\s)?sur|von|de cada)\s"
    rf"|/)[$€£]?(?P<high>{NUMBER}))?"
    r"(?P<plus>\s?\+)?"
    r"\s?(?P<suffix>%|percent\b|per cent\b|prozent\b|pour cent\b|por ciento\b|[€£$¥₹¢]"
    rf"|(?:{CURRENCY_NAMES})\b|cents?\b|[x×](?!\w)|times\b|mal\b|fois\b|veces\b|-?fold\b"
    rf"|(?:st|nd|rd|th|er|ère|ème|e)\b|[\s-]?(?:{UNIT_NAMES})(?![\w-]*\d)\b)?",
    re.IGNORECASE,
)
CLOCK = re.compile(
    r"(?<![\w:.])(?P<hour>\d{1,2})(?:(?P<sign>[:h.])(?P<minute>\d{2}))?(?![\d:])"
    r"\s?(?P<half>[ap]\.?m\b\.?|uhr\b|o'clock\b)?",
    re.IGNORECASE,
)
DATE = re.compile(
    rf"(?<![\w.])(?:(?P<iso>\d{{4}}-\d{{2}}-\d{{2}})|(?P<digits>\d{{1,2}}[./]\d{{1,2}}[./]\d{{4}})"
    rf"|(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s(?:of\s|de\s)?(?P<month>{MONTH_NAMES})\b(?:\s(?:de\s)?(?P<year>\d{{4}}))?"
    rf"|(?P<month2>{MONTH_NAMES})\s(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s?[%€$£])(?:,?\s(?P<year2>\d{{4}}))?"
    rf"|(?P<month3>{MONTH_NAMES})\s(?:de\s)?(?P<year3>\d{{4}}))(?!\w)",
    re.IGNORECASE,
)
BOUND_WORDS: tuple[tuple[Bound, str], ...] = (
        ("most", "up to|at most|no more than|not more than|a maximum of|as much as|as many as|bis zu|höchstens|maximal"
                 "|nicht mehr als|jusqu'à|au plus|hasta|como máximo|no más de"),
        ("over", "over|more than|above|exceeding|beyond|well over|über|mehr als|plus de|más de"),
        ("least", "at least|no fewer than|no less than|from|starting at|mindestens|ab|au moins|dès|à partir de"
                  "|al menos|desde"),
        ("under", "under|less than|fewer than|below|inside|unter|weniger als|moins de|menos de"),
        ("nearly", "nearly|almost|close to|fast|presque|casi"),
)  # fmt: skip
BOUNDS = tuple((bound, re.compile(rf"(?<!\w)(?:{words})\s\W?$", re.IGNORECASE)) for bound, words in BOUND_WORDS)
AT_MOST_AFTER = re.compile(
    r"^[\w\s-]{0,20}?\b(?:or less|or fewer|at most|at the most|max(?:imum)?|höchstens|au plus|au maximum|como máximo"
    r"|no more)\b",
    re.IGNORECASE,
)
PER = re.compile(
    r"\s?(?:/|,?\s?\b(?:per|an?|each|every|pro|je|im|par|por|al|la|le)\s|(?=\b(?:monthly|yearly|annually|weekly|daily"
    r"|monatlich|jährlich|wöchentlich)\b))\s?(?P<what>[^\W\d_]+)",
    re.IGNORECASE,
)
LONGEST_BEFORE = 24  # characters in which "no more than" stands
WORDS_AFTER = 3
MOST_PERS = 3
FURTHEST_PER = 60  # characters
MOST_OUT_OF = 10  # "9 in 10" is a share; "3 in 2026" and "24 in 365" are not
AROUND_THE_CLOCK = "24/7"  # a promise, and no figure
HUNDRED = 100
NOON = 12


def figures_in(text: str, language: str) -> list[Figure]:
    """Return the figures of a text in the order in which they stand."""
    reading = read(text, language)
    dates = list(_dates(reading))
    rest = _blanked(reading, dates)
    clocks = list(_clocks(rest))
    rest = _blanked(rest, clocks)
    return sorted([*dates, *clocks, *_listed(list(_numbers(rest)), rest.text)], key=lambda figure: figure.start)


LIST_LINK = re.compile(r"\s?(?:,|,?\s?\b(?:and|or|und|oder|et|ou|y|o)\b)\s?", re.IGNORECASE)


def _listed(figures: list[Figure], text: str) -> list[Figure]:
    """Give the numbers of a list the unit that stands after its last: "after 3, 7 and 14 days"."""
    for place in range(len(figures) - 2, -1, -1):
        one, following = figures[place], figures[place + 1]
        if one.kind != "plain" or following.kind not in {"duration", "percent"} or following.high is not None:
            continue
        if LIST_LINK.fullmatch(text, one.end, following.start):
            unit = following.unit
            value = one.value * (unit or 1.0)
            figures[place] = replace(one, kind=following.kind, value=value, unit=unit, after=following.after)
    return figures


def _blanked(reading: Reading, figures: list[Figure]) -> Reading:
    text = reading.text
    for figure in figures:
        text = f"{text[: figure.start]}{' ' * (figure.end - figure.start)}{text[figure.end :]}"
    return Reading(text=text, starts=reading.starts, ends=reading.ends, original=reading.original)


def _dates(reading: Reading) -> Iterator[Figure]:
    for found in DATE.finditer(reading.text):
        day = _day(found)
        if day is not None:
            words = reading.words(found.start(), found.end())
            yield Figure(words=words, start=found.start(), end=found.end(), kind="date", value=0, day=day)


def _day(found: re.Match[str]) -> tuple[int | None, int | None, int | None] | None:
    if found["iso"]:
        year, month, day = map(int, found["iso"].split("-"))
    elif found["digits"]:
        day, month, year = map(int, re.split(r"[./]", found["digits"]))
    else:
        name = found["month"] or found["month2"] or found["month3"]
        given_year, given_day = found["year"] or found["year2"] or found["year3"], found["day"] or found["day2"]
        return (int(given_year) if given_year else None, MONTHS[name.casefold()], int(given_day) if given_day else None)
    try:
        date(year, month, day)
    except ValueError:
        return (year, day, month)  # 9/15/2026, as in America
    return (year, month, day)


def _clocks(reading: Reading) -> Iterator[Figure]:
    for found in CLOCK.finditer(reading.text):
        half = (found["half"] or "").casefold().replace(".", "")
        is_clock = found["sign"] in {":", "h", "H"} or bool(half)
        hour = int(found["hour"])
        if not is_clock or hour > 24 or (found["sign"] == "." and half != "uhr"):  # noqa: PLR2004 (hours)
            continue
        if half == "pm" and hour < NOON:
            hour += NOON
        minutes = (hour % NOON if half == "am" else hour) * 60.0 + int(found["minute"] or 0)
        words = reading.words(found.start(), found.end()).strip()
        yield Figure(words=words, start=found.start(), end=found.end(), kind="clock", value=minutes)


def _numbers(reading: Reading) -> Iterator[Figure]:
    for found in FIGURE.finditer(reading.text):
        yield from _figure(found, reading)


TO = frozenset({"–", "—", "-", "to", "bis", "à", "a"})  # what joins the two ends of a range


def _figure(found: re.Match[str], reading: Reading) -> Iterator[Figure]:
    if found[0].strip() == AROUND_THE_CLOCK:
        return
    start, end, has_plus = found.start(), found.end(), bool(found["plus"])
    sign = (found["sign"] or found["suffix"] or "").strip(" -").casefold()
    low = _value(found["low"]) * MAGNITUDES.get((found["magnitude"] or "").strip(" .").casefold(), 1.0)
    if not found["high"]:
        yield _made(reading, start, end, value=low, sign=sign, has_plus=has_plus)
        return
    high, link = _value(found["high"]), found["link"].strip().casefold()
    if _is_share("sur" if link.endswith(" sur") else link, low, high, found):
        yield _made(reading, start, found.end("high"), value=HUNDRED * low / high, sign="%", has_plus=has_plus)
    elif link in TO and low < high:
        yield _made(reading, start, end, value=low, high=high, sign=sign, has_plus=has_plus)
    else:  # two figures that happen to stand together
        yield _made(reading, start, found.end("magnitude" if found["magnitude"] else "low"), value=low)
        yield _made(reading, found.start("high"), end, value=high, sign=sign, has_plus=has_plus)


def _is_share(link: str, low: float, other: float, found: re.Match[str]) -> bool:
    if low > other or other == 0 or found["sign"] or link not in {"out of", "of", "in", "sur", "von", "de cada", "/"}:
        return False
    is_small = other <= MOST_OUT_OF or other == HUNDRED
    return link in {"out of", "sur", "de cada"} or (is_small and not (found["suffix"] or "").strip())


def _made(
    reading: Reading,
    start: int,
    end: int,
    *,
    value: float,
    sign: str = "",
    high: float | None = None,
    has_plus: bool = False,
) -> Figure:
    while reading.text[start].isspace():
        start += 1
    text, words = reading.text, reading.words(start, end).strip()
    kind, value, currency = _measured(sign, value)
    unit = DURATIONS.get(sign, 0.0)
    return Figure(
        words=words,
        start=start,
        end=end,
        kind=kind,
        value=value,
        high=high * unit if high is not None and unit else high,
        unit=unit,
        bound="over" if has_plus else _bound(text, start, end),
        currency=currency,
        per=frozenset(_pers(text[end : end + FURTHEST_PER])) if kind == "money" else frozenset[str](),
        after=_following(text, end),
        is_spelled=not re.search(r"\d", words),
    )


KINDS: tuple[tuple[Kind, str], ...] = (
    ("percent", "%|percent|per cent|prozent|pour cent|por ciento"),
    ("times", "x|×|times|mal|fois|veces|fold"),
    ("ordinal", "st|nd|rd|th|er|ère|ème|e"),
)
SIGNS: Mapping[str, Kind] = {sign: kind for kind, signs in KINDS for sign in signs.split("|")}
CENTS = frozenset({"cent", "cents", "¢"})


def _measured(sign: str, value: float) -> tuple[Kind, float, str]:
    if sign in SIGNS:
        return SIGNS[sign], value, ""
    if sign in DURATIONS:
        return "duration", value * DURATIONS[sign], ""
    if sign in CENTS:
        return "money", value / HUNDRED, ""
    return ("money", value, CURRENCIES.get(sign, sign.upper())) if sign else ("plain", value, "")


def _value(digits: str) -> float:
    """Read a number as written in any country: 1,200 and 1.200 and 1 200 are twelve hundred, 1.2 and 1,2 are not."""
    if re.fullmatch(r"\d{1,3}(?:[,.'’\u00a0\u202f ]\d{3})+", digits):
        return float(re.sub(r"\D", "", digits))
    whole, _, fraction = digits.replace(",", ".").rpartition(".")
    return float(f"{re.sub(r'[^0-9]', '', whole)}.{fraction}") if whole else float(digits)


def _bound(text: str, start: int, end: int) -> Bound:
    before = text[max(0, start - LONGEST_BEFORE) : start]
    if AT_MOST_AFTER.match(text[end : end + LONGEST_BEFORE * 2]):
        return "most"
    if not before.rstrip()[-1:].isalpha():
        return ""
    return next((bound for bound, pattern in BOUNDS if pattern.search(before)), "")


def _pers(after: str) -> Iterator[str]:
    place = 0
    for _ in range(MOST_PERS):
        found = PER.match(after, place)
        if found is None:
            return
        yield _unit(found["what"])
        place = found.end()


def _unit(word: str) -> str:
    folded = PER_NAMES.get(word.casefold(), word.casefold())
    return f"{DURATIONS[folded]:.0f} s" if folded in DURATIONS else stem(folded)


def _following(text: str, end: int) -> tuple[str, ...]:
    clause = re.split(r"[.,;:!?()“”\"–—|](?:\s|$)", text[end : end + 80])[0]
    return tuple(stem(word) for word in words_of(clause)[:WORDS_AFTER])


# Comparing

# Months and years differ in length, and "a third" is said for 33%.
CALENDAR_TOLERANCE = 0.04
SHARE_TOLERANCE = 0.34  # percentage points


def agree(said: Figure, known: Figure) -> bool:
    """Tell whether the figure `said` claims no more than the figure `known` does."""
    if said.kind != known.kind:
        return said.kind == "plain" and known.kind == "date" and said.value == known.day[0]
    if said.kind == "date":
        return all(mine in {None, theirs} for mine, theirs in zip(said.day, known.day, strict=True))
    if said.currency and known.currency and said.currency != known.currency:
        return False
    if said.per and known.per and not said.per <= known.per:
        return False
    return _is_within(said, known) and _is_no_bolder(said, known)


def _is_within(said: Figure, known: Figure) -> bool:
    if said.high is None and known.high is not None:
        ends = {"most": known.high, "least": known.value}
        return said.bound in ends and _is_same(said.kind, said.value, ends[said.bound])
    if said.high is not None:
        return (
            known.high is not None
            and _is_same(said.kind, said.value, known.value)
            and _is_same(said.kind, said.high, known.high)
        )
    return _is_same(said.kind, said.value, known.value)


def _is_same(kind: Kind, one: float, other: float) -> bool:
    if kind == "percent" and one != round(one):
        return math.isclose(one, other, abs_tol=SHARE_TOLERANCE) and not _is_exact_share(one, other)
    is_calendar = kind == "duration" and (_is_calendar(one) or _is_calendar(other))
    return math.isclose(one, other, rel_tol=CALENDAR_TOLERANCE if is_calendar else 1e-9)


def _is_calendar(seconds: float) -> bool:
    """Tell whether so many seconds are whole months or years: 96,768 minutes are neither, and not "ten weeks"."""
    return any(math.isclose(seconds % DURATIONS[unit], 0, abs_tol=SECOND) for unit in ("month", "year"))


def _is_exact_share(one: float, other: float) -> bool:
    """99.95% and 99.99% are two figures; only thirds are rounded by everybody."""
    thirds = (HUNDRED / 3, 2 * HUNDRED / 3)
    return one != other and not any(math.isclose(one, third, abs_tol=0.01) for third in thirds)


def _is_no_bolder(said: Figure, known: Figure) -> bool:
    if said.bound in {"over", "under"} and said.bound != known.bound:
        return False
    is_ceiling_dropped = known.bound == "most" and said.bound != "most" and said.kind in {"percent", "times"}
    return not is_ceiling_dropped
