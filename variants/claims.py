"""Hold what a page claims against its brief: what is covered, and by what, and what is not.

    copy + sources ──▶ Ledger: traces (this figure is fact 3's) and claims that nothing in the brief covers

A claim is a figure, price, date, weekday, superlative, promise, certificate, praise, pressure, quotation or name.
The brief covers it when one of its statements makes the same claim, perhaps in other words ("half" for 50%, "1.2k"
for 1,200, "costs nothing" for "free"), about the same thing, and no weaker: "over 1,200" is more than "1,200", and
"the first box" is not "every box". A sentence taken whole from the brief is always covered.

Approximation: word lists and arithmetic, no understanding. It errs towards asking, because a person decides, and adding
a true sentence to the brief's facts settles the matter for every page. Figures, dates and quotations are read in every
language; number words, superlatives, promises and prices in English, German, French and Spanish; names in English.
How well it does, by measurement: docs/gates.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from rapidfuzz import fuzz

from variants.brief import BriefSpec
from variants.content import PageContent, Pricing, Proof
from variants.figures import DURATIONS, MONTHS, Figure, agree, figures_in
from variants.languages import base, function_words
from variants.matching import SHORTEST_STEM, places_of, stem, stems_of, unmasked, words_of
from variants.numerals import NAMES as NUMBER_NAMES
from variants.phrases import COUNT, PRICE, SUPERLATIVE, Phrase, phrases_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    field: str
    words: str
    reason: str
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A claim of a page and what in the brief covers it."""

    field: str
    words: str  # as on the page
    fact: str  # such as "fact 3" or "the offer"
    text: str  # what stands there, kept because briefs are edited


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    label: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One sentence, of the brief or of a page, as it is compared."""

    source: Source
    text: str
    language: str
    context: str = ""  # what else tells what it is about: the whole fact
    figures: tuple[Figure, ...] = ()
    phrases: tuple[Phrase, ...] = ()

    @cached_property
    def words(self) -> tuple[str, ...]:
        return words_of(self.text)

    @cached_property
    def topic(self) -> frozenset[str]:
        return topic_of(f"{self.text} {self.context}", self.language)

    @cached_property
    def weekdays(self) -> frozenset[int]:
        return frozenset(_weekdays(self.text))

    @cached_property
    def months(self) -> frozenset[int]:
        return frozenset(figure.day[1] for figure in self.figures if figure.day[1])


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the brief says, prepared for comparison."""

    statements: tuple[Statement, ...]
    language: str
    names: frozenset[str] = field(repr=False)

    @cached_property
    def verbatim(self) -> Mapping[tuple[str, ...], Statement]:
        return {statement.words: statement for statement in reversed(self.statements)}

    @cached_property
    def text(self) -> str:
        return " ".join(word for statement in self.statements for word in statement.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    traces: tuple[Trace, ...]
    claims: tuple[Claim, ...]


# The brief


def sources_of(brief: BriefSpec, brand: str = "") -> Sources:
    """Return what pages may say; the brand's own name is one of it."""
    named = [Source(label="the brand's name", text=brand)] if brand else []
    return _sources((*brief_sources(brief), *named), base(brief.language))


def brief_sources(brief: BriefSpec) -> list[Source]:
    """Return every text of the brief that a page may repeat, and what a marketer calls the place where it stands."""
    action, link = brief.call_to_action, brief.secondary_link
    told = [("the offer", brief.offer), ("the product text", brief.product), ("the brief's name", brief.name)]
    told += [("the audience", brief.audience), ("the thank-you text", brief.thank_you)]
    lists = [("an angle", brief.angles), ("a required text", brief.must_say)]
    labels = [action.label, *(one.label for one in brief.form_fields), *([link.label] if link else [])]
    facts = [(f"fact {number}", fact.text) for number, fact in enumerate(brief.facts, start=1)]
    rest = [(label, text) for label, texts in [*lists, ("a label", labels)] for text in texts]
    return [Source(label=label, text=text) for label, text in [*facts, *told, *rest]]


# Optimization: the pages of a generation share their brief, and reading it costs more than reading a page.
@lru_cache(maxsize=32)
def _sources(sources: tuple[Source, ...], language: str) -> Sources:
    statements = tuple(statement for source in sources for statement in _stated(source, language))
    names = frozenset(word for source in sources for word in words_of(source.text))
    return Sources(statements=statements, language=language, names=names)


def _stated(source: Source, language: str) -> Iterator[Statement]:
    is_fact = source.label.startswith("fact ")
    for sentence in sentences(unmasked(source.text)):
        phrases = tuple(one for one in phrases_in(sentence, language) if not _is_denied(sentence, one))
        yield Statement(
            source=source, text=sentence, language=language, context=source.text if is_fact else "",
            figures=tuple(figures_in(sentence, language)), phrases=phrases,
        )  # fmt: skip


# A day's number in German ends in a stop, and no sentence does there: "bis zum 30. Juni".
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b\d\.)(?<!\b\d\d\.)(?<!\bDr\.)\s+|\n+")


def sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text) if part.strip()]


# What a sentence is about

SAME_THINGS = {
    word: group[0]
    for group in (
        ("customer", "client", "user", "patron"), ("offic", "firm", "company", "busines", "organisation"),
        ("peopl", "person", "participant", "folk", "guest"), ("home", "hous", "household", "family"),
        ("clas", "lesson", "session"), ("document", "fil"), ("quick", "fast"), ("answer", "reply", "respond"),
        ("tim", "hour"), ("kid", "child", "children"), ("cancel", "quit"), ("treat", "treatment", "patient"),
        ("certify", "certification", "certificat", "certifi"), ("recommend", "recommendation"),
    )
    for word in group
}  # fmt: skip
ORDINALS = frozenset(
    words_of(
        "first second third fourth fifth next last erste ersten erster zweite dritte premier première deuxième primera "
        "primer primero segunda segundo only just more most less than nur plus más menos"
    )
)
ROOT = 5  # letters that a word keeps through its inflection, in languages whose endings are not listed


def topic_of(text: str, language: str) -> frozenset[str]:
    """Return the roots of the words that say what a text is about: no figures, units or function words."""
    plain = function_words(language) | ORDINALS | DURATIONS.keys() | NUMBER_NAMES.get(language, {}).keys()
    words = [word for word in words_of(text) if not word[0].isdigit() and len(word) >= SHORTEST_STEM]
    folded = _folded(frozenset(plain))
    return frozenset(_root(word, language) for word in words if word not in folded)


@lru_cache(maxsize=32)
def _folded(words: frozenset[str]) -> frozenset[str]:
    return frozenset(found for word in words for found in words_of(word))


def _root(word: str, language: str) -> str:
    if language == "en":
        root = stem(stem(word))  # twice, for "reminders"
        return SAME_THINGS.get(root, root)
    return word[:ROOT]


def _is_about_the_same(one: Iterable[str], other: Iterable[str]) -> bool:
    mine, theirs = set(one), set(other)
    return not mine or bool(mine & theirs)


UNIVERSAL = re.compile(
    r"\b(?:all|every(?:one|body|where|thing)?|any(?:one|body|where)?(?! ?time)|always|alle[nrs]?|jede[nrsm]?|überall"
    r"|tous|toutes|partout|tod[oa]s)\b"
    r"(?! (?:\d|(?:day|week|month|year|hour|minute|mon|tues|wednes|thurs|fri|satur|sun)|(?:one|two|three|four|five|six"
    r"|seven|eight|nine|ten|other|time|tag|woche|monat|les jours|los días)\b))",
    re.IGNORECASE,
)
LESS = re.compile(
    r"\b(?:less|fewer|lower|reduc\w+|cut\w*|sav\w+|halv\w+|weniger|spar\w+|moins|menos|ahorr\w+)\b", re.IGNORECASE
)
MORE = re.compile(r"\b(?:more|increas\w+|grow\w*|higher|boost\w*|extra|rais\w+|mehr|plus de|más)\b", re.IGNORECASE)
SAVING = re.compile(
    r"\b(?:off|discount\w*|prices?|cheaper|sale|save \$|\w*rabatt\w*|preis\w*|remise|réduction|prix|descuento"
    r"|precio|half-price)\b", re.IGNORECASE
)  # fmt: skip


def _is_alike_in_tone(page: str, known: str) -> bool:
    """Tell whether two sentences agree in what goes up or down, in price, and in "every"."""
    if UNIVERSAL.search(page) and not UNIVERSAL.search(known):
        return False
    if SAVING.search(page) and not SAVING.search(known):
        return False
    goes = [bool(pattern.search(page)) for pattern in (LESS, MORE)]
    went = [bool(pattern.search(known)) for pattern in (LESS, MORE)]
    return goes != [*reversed(went)] or goes[0] == goes[1]


# The page


def ledger_of(content: PageContent | None, copy: Sequence[tuple[str, str]], sources: Sources) -> Ledger:
    """Return what of the copy the brief covers and what it does not, each once per field, in the page's order.

    `content` is None for a patch of an imported page, which has texts and no sections.
    """
    labels = _labels(content) if content else {}
    found: list[Trace | Claim] = []
    for place, text in copy:
        found += _field(place, unmasked(text), labels.get(place, ""), sources)
    found += _quotations(content, sources) if content else []
    each = {(type(one), one.field, one.words.casefold()): one for one in reversed(found)}
    once = list(each.values())[::-1]
    traces = tuple(one for one in once if isinstance(one, Trace))
    return Ledger(traces=traces, claims=tuple(one for one in once if isinstance(one, Claim)))


def _labels(content: PageContent) -> dict[str, str]:
    """Return what a bare figure or price belongs to: its label stands in a field of its own."""
    labels: dict[str, str] = {}
    for place, section in enumerate(content.sections):
        if isinstance(section, Proof):
            labels |= {f"sections.{place}.figures.{n}.value": item.label for n, item in enumerate(section.figures)}
        elif isinstance(section, Pricing):
            labels |= {f"sections.{place}.plans.{n}.price": item.period or "" for n, item in enumerate(section.plans)}
    return labels


def _field(place: str, text: str, label: str, sources: Sources) -> Iterator[Trace | Claim]:
    for sentence in sentences(text):
        whole = f"{sentence} {label}".strip()
        page = Statement(
            source=Source(label=place, text=text), text=whole, language=sources.language,
            figures=tuple(one for one in figures_in(whole, sources.language) if _is_own(one, sentence, label)),
            phrases=tuple(one for one in phrases_in(sentence, sources.language) if not _is_denied(sentence, one)),
        )  # fmt: skip
        same = sources.verbatim.get(page.words)
        if same is not None:
            claimed: list[Figure | Phrase] = [*page.figures, *page.phrases]
            yield from (_trace(place, one.words, same) for one in claimed)
            continue
        yield from _figures(place, page, sources)
        yield from _phrases(place, page, sources)
        yield from _days(place, page, sources)
        yield from _names(place, page, sources)
    yield from _inline_quotations(place, text, sources)


def _is_own(figure: Figure, sentence: str, label: str) -> bool:
    return not label or figure.words in sentence


def _trace(place: str, words: str, known: Statement) -> Trace:
    return Trace(field=place, words=words, fact=known.source.label, text=known.text)


# Figures


def _figures(place: str, page: Statement, sources: Sources) -> Iterator[Trace | Claim]:
    for figure in page.figures:
        if _is_structural(figure, page.language):
            continue
        covering = [known for known in sources.statements if _covers(known, figure, page)]
        if covering:
            yield _trace(place, figure.words, covering[0])
        else:
            words = " ".join([figure.words, *_next_word(page.text, figure.words)])
            yield Claim(field=place, words=words, reason=_why(figure, sources))


# Spelled numbers that count parts of the page or of a sentence, not of the world.
STRUCTURAL = frozenset(
    stem(word) for word in words_of(
        "step steps way ways reason reasons question questions thing things part parts place places word words line "
        "lines page pages point points fact facts look sentence click clicks side sides more or at by and another last "
        "simple small short quick easy schritt schritte schritten gründe grund fragen dinge étapes étape raisons "
        "questions façons clic clics pasos paso razones preguntas formas clic")
)  # fmt: skip


def _is_structural(figure: Figure, language: str) -> bool:
    if not figure.is_spelled or figure.kind != "plain" or figure.bound:
        return False
    if figure.value == 1 and language in NUMBER_NAMES:
        return True
    return not figure.after or figure.after[0] in STRUCTURAL


def _covers(known: Statement, figure: Figure, page: Statement) -> bool:
    agreeing = [one for one in known.figures if agree(figure, one)]
    return bool(agreeing) and _is_alike_in_tone(page.text, known.text) and _is_of_the_same(known, figure, page)


def _is_of_the_same(known: Statement, figure: Figure, page: Statement) -> bool:
    if figure.kind in {"money", "date", "clock"}:
        return True
    after = {_root(word, page.language) for word in figure.after} & page.topic
    if figure.kind == "plain" and after:
        return _is_about_the_same(after, known.topic)
    return _is_about_the_same(page.topic - _own_words(figure), known.topic)


def _own_words(figure: Figure) -> frozenset[str]:
    return frozenset(stems_of(figure.words))


def _why(figure: Figure, sources: Sources) -> str:
    nearly = [
        known for known in sources.statements for one in known.figures
        if one.kind == figure.kind and one.value == figure.value and one.day == figure.day
    ]  # fmt: skip
    if not nearly:
        return "The brief does not say this number. Take it out, or add the fact it comes from to the brief."
    return (
        f"The brief has this number in {nearly[0].source.label} for something else, or says less there: "
        f"“{nearly[0].text}”. Say what stands there, or add the fact this comes from to the brief."
    )


def _next_word(text: str, words: str) -> list[str]:
    after = text.find(words) + len(words)
    rest = text[after : after + 60].lstrip(" -+").split()
    return rest[:1]


# Phrases

DENIALS = frozenset(
    {"no", "not", "never", "without", "isn't", "aren't", "don't", "doesn't", "won't", "cannot", "can't", "nicht",
     "kein", "keine", "keinen", "nie", "pas", "jamais", "nunca"}
)  # fmt: skip
OWN_DENIALS = ("no ", "the only", "never ", "keine ", "nobody", "nothing")
DENIAL_REACH = 3  # words: "not the very best"
SCOPES = re.compile(
    r"\b(?:world\w*|planet|globe|globally|europe\w*|country|nation\w*|universe|industry|market|anywhere|ever|in town"
    r"|in the city|welt\w*|deutschland\w*|europa\w*|monde|france|mundo|españa)\b",
    re.IGNORECASE,
)
BEFORE = 60  # characters in which a denial stands


def _is_denied(sentence: str, phrase: Phrase) -> bool:
    if phrase.words.casefold().startswith(OWN_DENIALS):
        return False
    before = re.split(r"[,;:–—]", sentence[max(0, phrase.start - BEFORE) : phrase.start])[-1]
    return any(word in DENIALS for word in words_of(before)[-DENIAL_REACH:])


def _phrases(place: str, page: Statement, sources: Sources) -> Iterator[Trace | Claim]:
    for phrase in page.phrases:
        known = next((one for one in sources.statements if _covers_phrase(one, phrase, page)), None)
        if known is not None:
            yield _trace(place, phrase.words, known)
            continue
        reason = f"This is {phrase.kind} that nothing in the brief covers. Reword it, or add the fact to the brief."
        if phrase.kind == COUNT:
            reason = "The brief does not say how many. Take it out."
        yield Claim(field=place, words=phrase.words, reason=reason)


def _covers_phrase(known: Statement, phrase: Phrase, page: Statement) -> bool:
    own = topic_of(phrase.words, page.language)
    about, known_about = page.topic - own, known.topic - own
    if not _is_same_phrase(known, phrase, about):
        return False
    if phrase.kind == SUPERLATIVE and set(_scopes(page.text)) - set(_scopes(known.text)):
        return False
    return _is_about_the_same(about, known_about) and (phrase.kind != PRICE or _is_as_narrow(page, known, about))


def _is_same_phrase(known: Statement, phrase: Phrase, about: frozenset[str]) -> bool:
    if any(one.key == phrase.key for one in known.phrases):
        return True
    if phrase.words.casefold().startswith("used "):  # "used by offices" is covered by "offices use it"
        return bool(about) and about <= known.topic
    needle = stems_of(phrase.words)
    is_said = bool(needle) and bool(places_of(needle, stems_of(known.text)))
    return is_said and not any(word in DENIALS for word in known.words)


def _is_as_narrow(page: Statement, known: Statement, about: frozenset[str]) -> bool:
    """Tell whether what costs nothing is no more than the brief gives: not "every box", not a month for an evening."""
    if UNIVERSAL.search(page.text) and not UNIVERSAL.search(known.text):
        return False
    return bool(about) or _units(page) <= _units(known)


def _units(statement: Statement) -> set[float]:
    return {DURATIONS[word] for word in statement.text.casefold().split() if word in DURATIONS}


def _scopes(text: str) -> list[str]:
    return [found.casefold() for found in SCOPES.findall(text)]


# Weekdays and months

WEEKDAYS = {
    name: place for place, names in enumerate((
        "monday mondays montag montags lundi lundis lunes", "tuesday tuesdays dienstag dienstags mardi mardis martes",
        "wednesday wednesdays mittwoch mittwochs mercredi mercredis miércoles",
        "thursday thursdays donnerstag donnerstags jeudi jeudis jueves",
        "friday fridays freitag freitags vendredi vendredis viernes",
        "saturday saturdays samstag samstags samedi samedis sábado sábados",
        "sunday sundays sonntag sonntags dimanche dimanches domingo domingos")) for name in names.split()
}  # fmt: skip
_DAY = "|".join(sorted(WEEKDAYS, key=len, reverse=True))
WEEKDAY = re.compile(
    rf"\b(?P<first>{_DAY})\s?(?:–|-|to|bis|au|a)\s?(?P<last>{_DAY})\b"
    rf"|\b(?:on|every|each|until|till|by|before|from|and|only|am|bis|jeden|le|chaque|los|cada|el)\s(?P<one>{_DAY})\b"
    rf"|\b(?P<plural>\w+days|\w+tags|lundis|mardis|mercredis|jeudis|vendredis|samedis)\b",
    re.IGNORECASE,
)
IN_MONTH = re.compile(
    r"\b(?:in|by|until|since|from|starts?|begins?|ab|im|seit|bis|en|dès|desde|hasta)\s"
    r"(?P<month>january|february|march|april|may|june|july|august|september|october|november|december)\b(?!\s\d)",
    re.IGNORECASE,
)
DAYS_IN_WEEK = 7


def _weekdays(text: str) -> Iterator[int]:
    for found in WEEKDAY.finditer(text):
        if found["first"]:
            first, last = WEEKDAYS[found["first"].casefold()], WEEKDAYS[found["last"].casefold()]
            yield from ((first + step) % DAYS_IN_WEEK for step in range((last - first) % DAYS_IN_WEEK + 1))
        else:
            name = (found["one"] or found["plural"]).casefold()
            yield from ([WEEKDAYS[name]] if name in WEEKDAYS else [])


def _days(place: str, page: Statement, sources: Sources) -> Iterator[Trace | Claim]:
    known = next((one for one in sources.statements if page.weekdays and page.weekdays <= one.weekdays), None)
    if known is not None:
        yield _trace(place, ", ".join(found[0] for found in WEEKDAY.finditer(page.text)), known)
    elif page.weekdays:
        words = next(found[0] for found in WEEKDAY.finditer(page.text))
        yield Claim(field=place, words=words, reason="The brief does not name this day. Take it out, or add the fact.")
    for found in IN_MONTH.finditer(page.text):
        if found["month"][0].islower():
            continue
        number = MONTHS[found["month"].casefold()]
        covering = [one for one in sources.statements if number in one.months or found["month"] in one.text]
        if covering:
            yield _trace(place, found[0], covering[0])
        else:
            reason = "The brief does not name this month. Take it out, or add the fact to the brief."
            yield Claim(field=place, words=found[0], reason=reason)


# Quotations and names

QUOTED = re.compile(r"[“„\"«]([^”“\"»„«]{8,300})[”“\"»]")
FEWEST_QUOTED_WORDS = 4  # shorter ones are terms, titles, labels
SAME_QUOTATION = 95  # of 100; a comma or a capital may differ


def _is_said(quotation: str, sources: Sources) -> bool:
    words = " ".join(words_of(quotation))
    return words in sources.text or fuzz.partial_ratio(words, sources.text) >= SAME_QUOTATION


def _said_by(quotation: str, sources: Sources) -> Statement | None:
    words = " ".join(words_of(quotation))
    return max(sources.statements, key=lambda one: fuzz.partial_ratio(words, " ".join(one.words)), default=None)


def _quotations(content: PageContent, sources: Sources) -> Iterator[Trace | Claim]:
    for place, section in enumerate(content.sections):
        for number, quote in enumerate(section.quotes if isinstance(section, Proof) else ()):
            start = f"sections.{place}.quotes.{number}"
            told = "Nobody in the brief says this. Take the quotation out."
            yield _quotation(f"{start}.text", quote.text, told, sources)
            told = "This person or company is not in the brief. Take the name out."
            yield _quotation(f"{start}.source", quote.source, told, sources)


def _inline_quotations(place: str, text: str, sources: Sources) -> Iterator[Trace | Claim]:
    for found in QUOTED.finditer(text):
        if len(words_of(found[1])) >= FEWEST_QUOTED_WORDS:
            told = "Nobody in the brief says this. Take the quotation out."
            yield _quotation(place, found[0], told, sources)


def _quotation(place: str, words: str, told: str, sources: Sources) -> Trace | Claim:
    known = _said_by(words, sources) if _is_said(words, sources) else None
    return Claim(field=place, words=words, reason=told) if known is None else _trace(place, words, known)


NAME = re.compile(
    r"(?<=[a-z0-9,;)] )[A-Z][\w&'-]{0,40}(?: (?:[A-Z][\w&'-]{0,40}|&|of|de|von)){0,6}(?<! of)(?<! de)(?<! von)(?<! &)"
)
DOES = (
    r"(?:uses?|used|switched|chose|chooses|trusts?|relies|relied|moved|joined|joins|files?|saved|saves|loves?"
    r"|recommends?|says|works|picked|runs)"
)
ACTING = re.compile(rf"^(?P<name>[A-Z][\w&'-]{{1,40}}(?: [A-Z][\w&'-]{{1,40}}){{0,3}}) {DOES}\b")
# What makes a name a customer's or a witness's: it does something, or is among those who do.
WITNESS_BEFORE = re.compile(
    r"\b(?:dr|prof|mr|mrs|ms|at|by|like|including|as in|such as|clients?|customers?|teams?"
    r"|what)\.?\s(?:[A-Z][\w&'-]{0,40}(?: and|,) ){0,3}$",
    re.IGNORECASE,
)
WITNESS_AFTER = re.compile(rf"\s(?:and [A-Z][\w&'-]{{0,40}} )?{DOES}\b")
# fmt: off
ORDINARY = frozenset({
    "i", "i'm", "i'll", "i've", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january",
    "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
    "mondays", "tuesdays", "wednesdays", "thursdays", "fridays", "saturdays", "sundays",
    "english", "german", "french", "spanish", "european", "internet", "web", "wi-fi", "dr", "mr", "mrs", "ms", "prof",
})
ACTORS = frozenset({
    "it", "this", "that", "she", "he", "everyone", "everybody", "anyone", "someone", "nobody", "who", "what", "search",
    "one", "each", "everything", "nothing", "paper", "work", "time", "money", "people", "team",
})
# fmt: on
LARGEST_TITLE_SHARE = 0.5  # above it the text is in Title Case, where capitals mark no names
NAME_CONTEXT = 80  # characters


def _names(place: str, page: Statement, sources: Sources) -> Iterator[Trace | Claim]:
    if page.language != "en":
        return
    words = re.findall(r"[A-Za-z][\w'-]*", page.text)
    is_title = all(word[0].isupper() or word in function_words("en") for word in words)
    is_mostly_title = sum(word[0].isupper() for word in words) > LARGEST_TITLE_SHARE * len(words)
    acting = ACTING.match(page.text)
    if acting and acting["name"].casefold() not in ACTORS and _unknown(acting["name"], sources):
        yield _named(place, acting["name"], is_certain=True)
    for found in NAME.finditer(page.text):
        if _unknown(found[0], sources):
            is_witness = _is_witness(page.text, found)
            if not is_title and (is_witness or not is_mostly_title):
                yield _named(place, found[0], is_certain=is_witness)
        else:
            yield from _known_name(place, found[0], sources)


def _unknown(name: str, sources: Sources) -> bool:
    unknown = [word for word in words_of(name) if word not in sources.names and word not in ORDINARY]
    return bool(unknown) and stem(unknown[0]) not in _stems(sources.names)


@lru_cache(maxsize=32)
def _stems(names: frozenset[str]) -> frozenset[str]:
    return frozenset(stem(name) for name in names)


def _is_witness(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - NAME_CONTEXT) : found.start()]
    return bool(WITNESS_BEFORE.search(before)) or WITNESS_AFTER.match(text, found.end()) is not None


def _named(place: str, name: str, *, is_certain: bool) -> Claim:
    if is_certain:
        told = "This names a customer or witness who is not in the brief. Take the name out, or add the fact."
    else:
        told = "This looks like a name that is not in the brief. Check that it may stand here."
    return Claim(field=place, words=name, reason=told, is_certain=is_certain)


def _known_name(place: str, name: str, sources: Sources) -> Iterator[Trace]:
    """Trace a name of several words; a single one may be any word with a capital."""
    needle = words_of(name)
    known = next((one for one in sources.statements if len(needle) > 1 and places_of(needle, one.words)), None)
    if known is not None:
        yield _trace(place, name, known)
