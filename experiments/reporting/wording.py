"""Turn numbers into the few characters a person reads: 4.1%, +22%, 12,480, 3 days.

Digits follow knowledge: a second one appears only where the interval is narrow enough to give it meaning.
"""

import textwrap
from datetime import datetime, timedelta

from variants.content import CHOICE_WORDS, SECTION_WORDS

UNKNOWN = "–"
MINUS = "\u2212"  # a hyphen would let a line break between the sign and its number
NARROW_RATE = 0.003  # an interval of 0.3 points: from here on 0.01 points are worth showing
SMALL_RATE, NARROW_SMALL_RATE = 0.01, 0.01  # below 1%, an interval of one point is enough
NARROW_LIFT = 0.1  # an interval of 10 points
CENT = 0.01
LARGE_AMOUNT = 1_000
LEAST_SHOWN = 0.0005  # of a lift: below, one digit after the point shows nothing either
CHOSEN = frozenset({"layout", "palette", "typography"})  # slots that hold one of a few words, and no copy
NEARLY = 0.005  # half a percent: what would round to 0% or 100% is not quite that

type Interval = tuple[float, float]

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def whole(number: int) -> str:
    return f"{number:,}"


def rate(fraction: float | None, interval: Interval | None = None) -> str:
    if fraction is None:
        return UNKNOWN
    return f"{fraction * 100:.{_rate_digits(fraction, interval)}f}%"


def rate_interval(interval: Interval | None) -> str:
    if interval is None:
        return UNKNOWN
    low, high = interval
    digits = _rate_digits((low + high) / 2, interval)
    return f"{low * 100:.{digits}f}% to {high * 100:.{digits}f}%"


def lift(fraction: float | None, interval: Interval | None = None) -> str:
    if fraction is None:
        return UNKNOWN
    return _signed(fraction, _lift_digits(interval))


def lift_interval(interval: Interval | None) -> str:
    if interval is None:
        return UNKNOWN
    digits = _lift_digits(interval)
    return " to ".join(_signed(end, max(digits, _digits_beside_zero(end))) for end in interval)


def chance(probability: float | None) -> str:
    """Return a probability as a percentage that never claims to be nothing or everything."""
    if probability is None:
        return UNKNOWN
    if probability < NEARLY:
        return "<1%"
    if probability > 1 - NEARLY:
        return ">99%"
    return f"{probability:.0%}"


def share(fraction: float) -> str:
    if 0 < fraction < NEARLY:
        return "<1%"
    return f"{fraction:.0%}"


def duration(length: timedelta) -> str:
    """Return a length of time in its largest whole unit: 3 days, 1 hour."""
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in _UNITS:
        if seconds >= size:
            number = seconds // size
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return "just started"


def day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"


def usd(amount: float) -> str:
    """Return dollars and cents."""
    return "less than $0.01" if 0 < amount < CENT / 2 else f"${amount:,.2f}"


def money(amount: float, currency: str) -> str:
    """Return an amount with its currency's code; of large ones the cents say nothing."""
    return f"{amount:,.{0 if amount >= LARGE_AMOUNT else 2}f} {currency}"


def count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def option_words(slot: str, option: str) -> str:
    """Return what a gene's slot holds as people read it."""
    if slot == "order":
        return ", ".join(SECTION_WORDS.get(kind, kind) for kind in option.split())
    return CHOICE_WORDS.get(option, option.capitalize()) if slot in CHOSEN else option


def shortened(text: str, most: int) -> str:
    """Leave out what is too much before the last bracket: "(7)" tells a page from its parent."""
    if len(text) <= most:
        return text
    left_out = f"…{_last_bracket(text, most)}"
    return text[: most - len(left_out)].rstrip() + left_out


def in_lines(text: str, most: int, lines: int) -> list[str]:
    """Cut text between words into lines of at most `most` characters; the last one is shortened."""
    left_out = f"…{_last_bracket(text, most)}"
    found = textwrap.wrap(text, most, max_lines=lines, placeholder=left_out) or [""]
    return [shortened(line, most) for line in found]


def _last_bracket(text: str, most: int) -> str:
    """Return the word in brackets that ends a text, if half of `most` characters holds it."""
    *before, last = text.split(" ")
    is_bracket = bool(before) and last.startswith("(") and last.endswith(")")
    return f" {last}" if is_bracket and len(last) < most // 2 else ""


def _rate_digits(fraction: float, interval: Interval | None) -> int:
    width = interval[1] - interval[0] if interval is not None else 0.0
    if interval is not None and width < NARROW_RATE:
        return 2
    return 2 if 0 < fraction < SMALL_RATE and width < NARROW_SMALL_RATE else 1


def _lift_digits(interval: Interval | None) -> int:
    return 1 if interval is not None and interval[1] - interval[0] < NARROW_LIFT else 0


def _digits_beside_zero(end: float) -> int:
    """An end that is not quite 0 is not written as 0: on which side of it the interval lies is what it says."""
    return 1 if LEAST_SHOWN <= abs(end) < NEARLY else 0


def _signed(fraction: float, digits: int) -> str:
    size = f"{abs(fraction) * 100:,.{digits}f}%"
    if not size.strip("0.,%"):
        return size
    return f"{MINUS if fraction < 0 else '+'}{size}"
