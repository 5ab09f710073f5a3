"""Find what a page claims and its brief does not: numbers, superlatives, promises, praise, quotations, names.

A claim is supported when the brief says it too, perhaps in other words: "1.2k" and "1,200", "half" and "50%",
"24 hours" and "one day". A plain number needs its noun as well: "100 languages" does not support "100 customers".

Approximation: patterns and stems, no understanding. It errs towards asking, because a person decides, and adding a
true sentence to the brief's facts settles the matter for every page. The word lists are English; numbers, prices,
percentages and quotations are checked in every language.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from rapidfuzz import fuzz

from variants.content import PageContent, Pricing, Proof
from variants.matching import SHORTEST_STEM, places_of, stem, stems_of, unmasked, words_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    field: str
    words: str
    reason: str
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    words: str
    value: float
    kind: str  # "percent", "money:€", "times", "clock", "plain"
    after: tuple[str, ...]  # stems of the words that follow: what is counted
    seconds: float | None = None  # of a duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the brief says, prepared for comparison."""

    stems: tuple[tuple[str, ...], ...]  # one tuple per sentence
    numbers: tuple[tuple[Number, frozenset[str]], ...]  # each with the stems of its sentence
    text: str  # every word, folded
    raw: str  # as typed, in small letters
    names: frozenset[str]
    is_english: bool

    @classmethod
    def of(cls, texts: Sequence[str], *, is_english: bool) -> Self:
        parts = [part for text in texts for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()]
        numbers = [(number, frozenset(stems_of(part))) for part in parts for number in numbers_in(part)]
        return cls(
            stems=tuple(stems_of(part) for part in parts),
            numbers=tuple(numbers),
            text=" ".join(word for text in texts for word in words_of(text)),
            raw=" ".join(texts).casefold(),
            names=frozenset(word for text in texts for word in words_of(text)),
            is_english=is_english,
        )

    def says(self, phrase: str) -> bool:
        """Tell whether the brief says the phrase in some form and does not deny it."""
        needle = stems_of(phrase)
        return any(not is_denied(sentence, place) for sentence in self.stems for place in places_of(needle, sentence))


DENIALS = frozenset(
    {"no", "not", "never", "without", "isn't", "aren't", "don't", "doesn't", "won't", "cannot", "can't"}
)
DENIAL_REACH = 3  # words: "not the very best"


def is_denied(words: Sequence[str], place: int) -> bool:
    return any(word in DENIALS for word in words[max(0, place - DENIAL_REACH) : place])


def unsupported(content: PageContent, copy: Sequence[tuple[str, str]], sources: Sources) -> list[Claim]:
    """Return every claim of the page that the brief does not support, in the page's order, each once per field."""
    labels = _labels(content)
    claims: list[Claim] = []
    for field, text in copy:
        seen = unmasked(text)
        claims += _numbers(field, seen, labels.get(field, ""), sources)
        claims += _inline_quotations(field, seen, sources)
        if sources.is_english:
            claims += _phrases(field, seen, sources)
            claims += _names(field, seen, sources)
    claims += _quotations(content, sources)
    return list({(claim.field, claim.words.casefold()): claim for claim in reversed(claims)}.values())[::-1]


def _labels(content: PageContent) -> dict[str, str]:
    """Return what a bare figure or price belongs to: its label stands in a field of its own."""
    labels: dict[str, str] = {}
    for place, section in enumerate(content.sections):
        if isinstance(section, Proof):
            labels |= {f"sections.{place}.figures.{n}.value": item.label for n, item in enumerate(section.figures)}
        elif isinstance(section, Pricing):
            labels |= {f"sections.{place}.plans.{n}.price": item.period or "" for n, item in enumerate(section.plans)}
    return labels


# Numbers

# fmt: off
UNITS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
         "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
         "seventeen": 17, "eighteen": 18, "nineteen": 19}
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
# fmt: on
MAGNITUDES = {"hundred": 1e2, "thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}
PARTS = {"half": 50.0, "halve": 50.0, "halves": 50.0, "halved": 50.0, "a third": 100 / 3, "one third": 100 / 3,
         "two thirds": 200 / 3, "a quarter of": 25.0, "three quarters": 75.0}  # fmt: skip
TIMES = {"twice": 2.0, "double": 2.0, "doubles": 2.0, "doubled": 2.0, "triple": 3.0, "triples": 3.0, "tripled": 3.0,
         "tenfold": 10.0, "twofold": 2.0, "threefold": 3.0}  # fmt: skip
DURATIONS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0, "year": 31_536_000.0,
             "month": 2_628_000.0}  # fmt: skip
DURATION_STEMS = {stem(name): seconds for name, seconds in DURATIONS.items()}
SPELLED = "|".join([*UNITS, *TENS])
DIGITS = r"\d{1,3}(?:[,.'’\u00a0\u202f ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d+)?"
NUMBER = re.compile(
    rf"(?<![\w/-])(?<![A-Za-z][.])(?P<before>[$€£¥]|\b(?:USD|EUR|GBP|CHF)\s)?\s?(?P<digits>{DIGITS})"
    r"(?P<magnitude>\s?(?:k|M|bn)\b|\s(?:hundred|thousand|million|billion)\b)?"
    r"\s?(?P<suffix>%|percent\b|per cent\b|[€£$]|(?:euros?|dollars?|pounds?|USD|EUR|GBP|CHF)\b|[x×](?!\w)|times\b"
    r"|-?fold\b)?"
    rf"|\b(?P<spelled>(?:(?:{'|'.join(TENS)})-(?:{'|'.join(UNITS)})|{SPELLED}"
    r"|(?:a\s)?(?=(?:hundred|thousand|million|billion)\b)))"
    r"(?P<spelled_magnitude>\s?(?:hundred|thousand|million|billion)\b)?"
    r"\s?(?P<spelled_suffix>percent\b|per cent\b|(?:euros?|dollars?|pounds?)\b|times\b)?",
    re.IGNORECASE,
)
PART = re.compile(rf"\b(?:{'|'.join(sorted([*PARTS, *TIMES], key=len, reverse=True))})\b", re.IGNORECASE)
VAGUE = re.compile(r"\b(?:dozens|hundreds|thousands|millions|billions)\b", re.IGNORECASE)
CURRENCIES = {"euro": "€", "euros": "€", "eur": "€", "dollar": "$", "dollars": "$", "usd": "$", "pound": "£",
              "pounds": "£", "gbp": "£"}  # fmt: skip
# Spelled numbers that count parts of the page or of a sentence, not of the world.
STRUCTURAL = frozenset(stem(word) for word in (
    "step", "way", "reason", "question", "thing", "part", "place", "word", "line", "page", "point", "fact", "look",
    "sentence", "click", "side", "of", "more", "or", "at", "by", "and", "another", "last", "simple", "small", "short",
    "quick", "easy"))  # fmt: skip
WORDS_AFTER = 3


CLOCK = re.compile(r"(?<![\w:])(\d{1,2}):(\d{2})(?![\w:])")


def numbers_in(text: str) -> Iterator[Number]:
    for found in CLOCK.finditer(text):
        yield Number(words=found[0], value=int(found[1]) * 60.0 + int(found[2]), kind="clock", after=())
    text = CLOCK.sub(lambda found: " " * len(found[0]), text)
    for found in NUMBER.finditer(text):
        number = _digits(found, text) if found["digits"] else _spelled(found, text)
        if number is not None:
            yield number
    for found in PART.finditer(text):
        words, following = found[0].casefold(), _following(text, found.end())
        if words in TIMES:
            yield Number(words=found[0], value=TIMES[words], kind="times", after=following)
        elif following[:2] not in {("an", "hour"), ("a", "day"), ("hour",)}:
            yield Number(words=found[0], value=PARTS[words], kind="percent", after=following)


def _following(text: str, end: int) -> tuple[str, ...]:
    clause = re.split(r"[.,;:!?()“”\"–—|](?:\s|$)", text[end:])[0]
    return stems_of(clause)[:WORDS_AFTER]


def _digits(found: re.Match[str], text: str) -> Number | None:
    value = _value(found["digits"]) * MAGNITUDES.get((found["magnitude"] or "").strip().casefold(), 1.0)
    sign, suffix = (found["before"] or "").strip().casefold(), (found["suffix"] or "").strip().casefold()
    return _number(found[0].strip(), value, sign or suffix, _following(text, found.end()))


def _spelled(found: re.Match[str], text: str) -> Number | None:
    words = found["spelled"].casefold().strip()
    value = (
        float(sum(UNITS.get(part, TENS.get(part, 0)) for part in words.split("-"))) if words not in {"", "a"} else 1.0
    )
    magnitude = (found["spelled_magnitude"] or "").strip().casefold()
    following, suffix = _following(text, found.end()), (found["spelled_suffix"] or "").strip().casefold()
    is_structural = not following or following[0] in STRUCTURAL
    is_one = value == 1 and not (following and following[0] in DURATION_STEMS)
    if not magnitude and not suffix and (is_structural or is_one):
        return None
    return _number(found[0].strip(), value * MAGNITUDES.get(magnitude, 1.0), suffix, following)


def _number(words: str, value: float, sign: str, after: tuple[str, ...]) -> Number:
    if sign in {"%", "percent", "per cent"}:
        return Number(words=words, value=value, kind="percent", after=after)
    if sign in {"x", "×", "times", "fold", "-fold"}:
        return Number(words=words, value=value, kind="times", after=after)
    if sign:
        return Number(words=words, value=value, kind=f"money:{CURRENCIES.get(sign, sign)}", after=after)
    seconds = value * DURATION_STEMS[after[0]] if after and after[0] in DURATION_STEMS else None
    return Number(words=words, value=value, kind="plain", after=after, seconds=seconds)


def _value(digits: str) -> float:
    """Read a number as written in any country: 1,200 and 1.200 and 1 200 are twelve hundred, 1.2 and 1,2 are not."""
    if re.fullmatch(r"\d{1,3}(?:[,.'’\u00a0\u202f ]\d{3})+", digits):
        return float(re.sub(r"\D", "", digits))
    whole, _, fraction = digits.replace(",", ".").rpartition(".")
    return float(f"{re.sub(r'[^0-9]', '', whole)}.{fraction}") if whole else float(digits)


def _numbers(field: str, text: str, label: str, sources: Sources) -> Iterator[Claim]:
    for number in numbers_in(text):
        after = number.after or stems_of(label)
        if not _is_supported(number, after, sources):
            yield Claim(
                field=field,
                words=" ".join([number.words, *_next_word(text, number.words)]),
                reason="The brief does not say this number. Take it out, or add the fact it comes from to the brief.",
            )
    for found in VAGUE.finditer(text):
        if sources.is_english and not sources.says(found[0]):
            yield Claim(field=field, words=found[0], reason="The brief does not say how many. Take it out.")


def _next_word(text: str, words: str) -> list[str]:
    rest = text[text.find(words) + len(words) :].lstrip(" -+").split()
    return rest[:1]


def _is_supported(number: Number, after: Sequence[str], sources: Sources) -> bool:
    meaningful = {word for word in after if len(word) >= SHORTEST_STEM}
    for known, around in sources.numbers:
        if number.seconds is not None and known.seconds is not None and math.isclose(number.seconds, known.seconds):
            return True
        if known.kind == number.kind and math.isclose(known.value, number.value, rel_tol=1e-3):
            is_same_thing = not meaningful or bool(meaningful & around)
            if number.kind != "plain" or is_same_thing:
                return True
    return False


# Phrases

EST = ("fast quick eas simpl cheap strong saf smart larg bigg great fin clean light small high low new wis trust rich "
       "health fresh tast happi friendli pur soft hard tough cool warm bright clear deep tini thinn short tall slick "
       "sleek sharp")  # fmt: skip


def any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


PHRASES = (
    ("a superlative", any_of(
        r"\bbest(?! practices?\b| suited\b| of all\b| regards\b| wishes\b| interests?\b)"
        r"(?:[ -](?:in[ -]class|selling|rated))?",
        r"#\s?1\b", r"\bno\. ?1\b", r"\bnumber one\b", r"\bleading(?! to\b| up\b| with\b| the way\b)",
        r"\bworld[ -]class\b", r"\btop[ -](?:rated|choice|pick|notch|quality|class)\b", r"\bthe only\b",
        r"\bunrival+ed\b", r"\bunmatched\b", r"\bunbeatable\b", r"\bunparalleled\b", r"\bsecond to none\b",
        r"\bstate[ -]of[ -]the[ -]art\b", r"\bcutting[ -]edge\b", r"\brevolutionary\b", r"\bultimate\b",
        r"\bfavou?rite\b", r"\bgold standard\b", r"\bworld'?s (?:first|\w+est)\b",
        r"\bmost (?:popular|trusted|loved|advanced|powerful|reliable|secure|complete|affordable|"
        r"innovative|effective|efficient|accurate|modern|used|recommended|awarded|successful)\b",
        rf"\b(?:{'|'.join(EST.split())})i?est\b",
    )),
    ("a promise", any_of(
        r"\bguarant\w+", r"\bwarrant(?:y|ies)\b", r"\brisk[ -]free\b", r"\bmoney[ -]back\b", r"\brefund\w*\b",
        r"\bunlimited\b", r"\blifetime\b", r"\bforever\b", r"\b24/7\b", r"\b(?:a)?round the clock\b",
        r"\binstant(?:ly|aneous)?\b", r"\bcancel any ?time\b",
        r"\bno (?:credit card|contracts?|commitments?|obligations?|strings attached|hidden (?:fees?|costs?)|risks?|"
        r"fees?|set-?up fees?|lock-in|ads|tracking|questions asked)\b",
        r"\bfoolproof\b", r"\bfail-?proof\b", r"\bnever fails?\b", r"\bworks every time\b", r"\bflawless\w*\b",
        r"\berror[ -]free\b",
    )),
    ("a certificate or proof", any_of(
        r"\bcertifi\w+", r"\baccredit\w+", r"\bcomplian(?:t|ce)\b",
        r"\b(?:GDPR|HIPAA|SOC ?2|PCI(?:[ -]DSS)?|FDA|TÜV|ISO)\b", r"\bpatent(?:ed|-pending)?\b",
        r"\b(?:clinically|scientifically|medically) \w+", r"\bproven\b", r"\baward(?:[ -]winning|\w*)",
        r"\bendorsed\b", r"\bapproved by\b", r"\b(?:bank|military|enterprise|hospital)[ -](?:grade|level)\b",
        r"\bbullet-?proof\b", r"\bunhackable\b", r"\bend[ -]to[ -]end[ -]encrypt\w+",
        r"\bstud(?:y|ies) (?:show|prove|find|suggest)\w*", r"\bresearch (?:shows?|proves?)\b",
        r"\bexperts? (?:agree|recommend|say)\w*", r"\bdoctors? recommend\w*", r"\bcarbon[ -]neutral\b",
        r"\beco-?friendly\b",
    )),
    ("praise from others", any_of(
        r"\b(?:trusted|loved|chosen|preferred|recommended|backed|rated|reviewed|praised|adored|relied on)"
        r" (?:by|in|on)\b"
        r"(?: [\w'-]+){0,3}",
        r"\bused by\b(?: [\w'-]+){0,3}",
        r"\b(?:as )?(?:seen|featured) (?:in|on)\b(?: [\w'-]+){0,3}",
        r"\bjoin (?:over|more than|thousands|hundreds|millions|our)\b(?: [\w'-]+){0,2}",
        r"\b(?:happy|satisfied|delighted) (?:customers?|users?|clients?)\b",
        r"\b(?:customers?|users?|clients?|teams?|people) (?:love|say|trust|rave|agree)\b",
        r"\b(?:five|5)[ -]stars?\b", r"[★⭐]{2,}", r"\btestimonials?\b", r"\bbestsell\w+",
    )),
    ("a price or a saving", any_of(
        r"\b(?<!-)free(?!-| up\b| your\b| you\b| to\b| from\b| of (?!charge))\b"
        r"(?: of charge| forever| trial| shipping)?",
        r"\bfor free\b", r"\bdiscount\w*\b", r"\bhalf[ -]price\b", r"\bon sale\b", r"\bsave up to\b", r"\bbonus\b",
        r"\bcheaper\b", r"\bcomplimentary\b", r"\bat no (?:extra )?(?:cost|charge)\b",
    )),
    ("pressure", any_of(
        r"\blimited[ -]time\b", r"\btoday only\b", r"\bonly today\b", r"\blast chance\b",
        r"\bonly (?:a few|\w+) (?:left|remaining|spots|seats|places)\b", r"\bends (?:today|soon|tonight|tomorrow)\b",
        r"\bhurry\b", r"\bwhile (?:stocks?|suppl(?:y|ies)) lasts?\b", r"\bselling fast\b",
        r"\balmost (?:gone|sold out)\b", r"\bact (?:now|fast)\b",
    )),
)  # fmt: skip
ANY_WAY = {"anytime": "any time", "worlds": "world's"}


def _phrases(field: str, text: str, sources: Sources) -> Iterator[Claim]:
    for kind, pattern in PHRASES:
        for found in pattern.finditer(text):
            words = found[0].strip()
            before = words_of(text[: found.start()])
            is_own_denial = is_denied(before, len(before)) and not words.casefold().startswith(("no ", "the only"))
            if not is_own_denial and not _says_some_way(words, sources) and not _is_idiom(text, found):
                yield Claim(
                    field=field,
                    words=words,
                    reason=f"This is {kind} that nothing in the brief covers. Reword it, or add the fact to the brief.",
                )


def _says_some_way(words: str, sources: Sources) -> bool:
    other = words.casefold()
    for one, two in ANY_WAY.items():
        other = other.replace(one, two)
    if not re.search(r"[A-Za-z]", words):  # "#1" and stars are no words
        return other in sources.raw
    return sources.says(words) or sources.says(other)


def _is_idiom(text: str, found: re.Match[str]) -> bool:
    before, after = text[: found.start()].casefold(), text[found.end() :]
    if found[0].casefold() == "best":  # "does its best", "at best", but not "its best seller"
        return before.endswith(("at ", "its ", "your ", "their ", "our ")) and not re.match(r"\s*\w", after)
    return found[0].casefold() == "free" and before.endswith(("feel ", "hands ", "hassle "))


# Quotations and names

QUOTED = re.compile(r"[“„\"«]([^”“\"»]{8,})[”“\"»]")
FEWEST_QUOTED_WORDS = 4  # shorter ones are terms, titles, labels
SAME_QUOTATION = 95  # of 100; a comma or a capital may differ


def _is_said(quotation: str, sources: Sources) -> bool:
    words = " ".join(words_of(quotation))
    return words in sources.text or fuzz.partial_ratio(words, sources.text) >= SAME_QUOTATION


def _quotations(content: PageContent, sources: Sources) -> Iterator[Claim]:
    for place, section in enumerate(content.sections):
        for number, quote in enumerate(section.quotes if isinstance(section, Proof) else ()):
            field = f"sections.{place}.quotes.{number}"
            if not _is_said(quote.text, sources):
                yield Claim(
                    field=f"{field}.text",
                    words=quote.text,
                    reason="Nobody in the brief says this. Take the quotation out.",
                )
            if not _is_said(quote.source, sources):
                reason = "This person or company is not in the brief. Take the name out."
                yield Claim(field=f"{field}.source", words=quote.source, reason=reason)


def _inline_quotations(field: str, text: str, sources: Sources) -> Iterator[Claim]:
    for found in QUOTED.finditer(text):
        if len(words_of(found[1])) >= FEWEST_QUOTED_WORDS and not _is_said(found[1], sources):
            yield Claim(field=field, words=found[0], reason="Nobody in the brief says this. Take the quotation out.")


NAME = re.compile(
    r"(?<=[a-z0-9,;)] )(?:[A-Z][\w&'-]*[a-z][\w&'-]*)(?: (?:[A-Z][\w&'-]*|&|of|de|von))*(?<! of)(?<! de)(?<! von)"
)
# fmt: off
ORDINARY = frozenset({
    "i", "i'm", "i'll", "i've", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january",
    "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
    "english", "german", "french", "spanish", "european", "internet", "web", "wi-fi",
})
# fmt: on
LARGEST_TITLE_SHARE = 0.5  # above it the text is in Title Case, where capitals mark no names


def _names(field: str, text: str, sources: Sources) -> Iterator[Claim]:
    words = re.findall(r"[A-Za-z][\w'-]*", text)
    capitals = sum(word[0].isupper() for word in words)
    if not words or capitals / len(words) > LARGEST_TITLE_SHARE:
        return
    for found in NAME.finditer(text):
        unknown = [word for word in words_of(found[0]) if word not in sources.names and word not in ORDINARY]
        if unknown and stem(unknown[0]) not in {stem(name) for name in sources.names}:
            yield Claim(
                field=field, words=found[0], is_certain=False,
                reason="This looks like a name that is not in the brief. Check that it may stand here.",
            )  # fmt: skip
