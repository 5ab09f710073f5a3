"""Cut sentences of a brief to the places of a page, at joints where a person would.

Nothing here adds a claim: words are taken whole from the front of a text, a subject may be dropped ("It reads scans"
becomes "Reads scans"), a first letter may change its case.
"""

import re
from dataclasses import dataclass

from variants.brief import BriefSpec
from variants.content import Icon

SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bNo)(?<!\bDr)(?<!\bSt)(?<=[.!?…])\s+(?=[\"“‘(]?[^\Wa-z_])|\n+")
# A text may end before these; the first kind leaves a clause that stands on its own, the second often does.
PUNCTUATION = re.compile(r"\s*[,;:–—(]\s+|\s+[–—-]\s+")
STRONG_JOINT = re.compile(
    r"\s*[,;:–—(]\s+|\s+[–—-]\s+|\s+(?=(?:so|because|which|while|when|where|but|without|using|unless|although)\b)"
)
MIDDLE_JOINT = re.compile(r"\s+(?=(?:and|with|to|for|that|who|if)\b)")
WEAK_JOINT = re.compile(r"\s+(?=(?:from|by|in|on|at|as|into|over|through|via|or)\b)")
DANGLING = re.compile(
    r"(?:\s+(?:a|an|the|and|or|but|so|of|to|for|with|in|on|at|by|from|as|is|are|be|your|our|its|their|than|that|more|can"
    r"|not|no|every|each|any|this|these|will|has|have|it|you|we|they))+$",
    re.IGNORECASE,
)
SUBJECT = r"(?:it|this|the (?:product|service|app|software|tool|system|course|book|platform))"
COPULA = re.compile(r"^(?:is|are)\s+(?:(?:a|an|the)\s+)?", re.IGNORECASE)
CAN = re.compile(r"^(?:you|we|they|it)\s+can\s+", re.IGNORECASE)

SHORTEST_CLAUSE = 10  # characters; "Reads" alone tells nobody anything

LOWERABLE = frozenset(
    """a an the this that these those it its your our their my his her you we they there here no not never none all
    any each every most many more less fewer some several both one two three only also even just from for with without
    in on at by to of as into over under after before between during since until when while where what which who how why
    if and or but so because than then free open peace help support setup
    """.split()  # noqa: SIM905 - a page of quoted words is harder to read than this
)
REQUESTS = frozenset(
    """accept achieve act add afford answer ask automate avoid become begin believe book boost breathe bring build buy
    call calm catch change choose clean clear close collect come compare complete connect control convince cook cover
    create cut decide deliver design digitise digitize discover do download drive drop earn eat end enjoy escape
    exercise explore fall feel file fill find finish fix
    focus follow forget free gain gather get give go grow handle have hear
    help hire hold host import improve increase invite join keep know launch lead learn leave let listen live look lose
    lower love make manage master meet miss move never open order organise organize own pay pick plan play prepare
    prevent protect prove publish put quit reach read reclaim reduce relax remember remove rent replace rest run save
    say scan see sell send serve share ship shop show simplify skip sleep smile solve sort speak spend stand start stay
    stop store stretch switch take talk teach tell think track train travel treat trust try turn understand unlock use
    visit wake walk waste watch wear win work worry write
    """.split()  # noqa: SIM905
)
# After a word that is a verb or a noun, these show that it is a noun: "Search that reads handwriting".
NOUN_FOLLOWERS = frozenset({"that", "which", "is", "are", "and", "&", "made", "of", "without", "from", "who", "was"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a fact is about, in words that claim nothing about it."""

    icon: Icon
    words: re.Pattern[str]
    titles: tuple[str, ...]
    question: str


def _topic(icon: Icon, words: str, titles: tuple[str, ...], question: str) -> Topic:
    return Topic(icon=icon, words=re.compile(rf"\b(?:{words})", re.IGNORECASE), titles=titles, question=question)


PRICE_QUESTION = "What does it cost?"
GENERAL = _topic(
    "spark", r"\B\b", ("Good to know", "Worth knowing", "One more thing", "Also this"), "What else should I know?"
)
TOPICS = (
    _topic("tools", r"install|docker|set ?up|configur", ("Setting it up", "Getting started"), "How do I set it up?"),
    _topic("globe", r"language|translat", ("Languages",), "Which languages does it know?"),
    _topic("tag", r"trial|refund|cancel|money back|return", ("Trying it out",), "Can I try it first?"),
    _topic("tag", r"price|cost|fee\b|fees\b|free of charge|free for|per month|a month|[$€£]|subscription",
           ("What it costs", "The price"), PRICE_QUESTION),
    _topic("globe", r"open.source|licen[cs]e|gpl|source code", ("The licence", "A look inside"), "Can I look inside?"),
    _topic("lock", r"server|privacy|private|cloud|gdpr|self.host|data\b|locally|offline",
           ("Where your data lives", "Your data"), "Where does my data live?"),
    _topic("shield", r"encrypt|password|permission|access|login|two.factor|secur", ("Who gets in", "Access"),
           "Who can see what?"),
    _topic("search", r"search|find|full.text|tag\b|tags\b|tagg|index", ("Finding things again", "Search"),
           "How do I find things again?"),
    _topic("bolt", r"automat|rule|workflow|learn|machine|classif|by itself", ("What happens by itself", "Less by hand"),
           "What does it do by itself?"),
    _topic("users", r"users?\b|team|colleague|shar(?:e|ing)|together|families|members?\b",
           ("More than one person", "Working together"), "Can several people use it?"),
    _topic("spark", r"scan|import|mail|upload|phone|photo|paper", ("What goes in", "From paper to page"),
           "How do things get in?"),
    _topic("tools", r"pdf|export|format|archive|backup|stor(?:e|es|ed|ing)\b", ("How things are kept", "In which form"),
           "In which form are things kept?"),
    _topic("bolt", r"api\b|integrat|connect|works with", ("With your other tools",), "Does it work with other tools?"),
    _topic("chart", r"report|chart|statistic|dashboard|analy[sz]", ("What you can see",), "What can I see?"),
    _topic("heart", r"support|help|communit|forum|contact|documentation|coach|teacher", ("When you need a hand",),
           "Who helps me?"),
    _topic("clock", r"minute|second|hour|day|week|fast|quick|within|weekend|morning|evening", ("Your time", "When"),
           "How long does it take?"),
    _topic("heart", r"ingredient|organic|made (?:of|from|with|in)|material|recipe|vegan", ("What is in it",),
           "What is it made of?"),
    _topic("globe", r"ship|deliver|sent to|arrive", ("How it reaches you",), "How does it reach me?"),
)  # fmt: skip


def topic_of(text: str) -> Topic:
    """Return the topic whose words occur most often in `text`; of equals the first."""
    scored = [(len(topic.words.findall(text)), topic) for topic in TOPICS]
    most = max(count for count, _ in scored)
    return next(topic for count, topic in scored if count == most) if most else GENERAL


def sentences(text: str) -> list[str]:
    return [sentence(part) for part in SENTENCE_END.split(text) if part.strip()]


def sentence(text: str) -> str:
    """Return `text` with a capital at its start and a full stop, unless it ends a sentence already."""
    text = upper_first(" ".join(text.split()))
    return text if text.endswith((".", "!", "?", "…", ".”", '."', "。", "！", "？")) else f"{text}."


def without_stop(text: str) -> str:
    text = " ".join(text.split())
    return text.rstrip(". ") or text


def upper_first(text: str) -> str:
    # A word such as "iPhone" or "e-mail" keeps or takes its capital as English has it.
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Return `text` as it stands inside a sentence: only a first word that cannot be a name loses its capital."""
    first, _, rest = text.partition(" ")
    word = first.strip("“‘\"'(,;:").casefold()
    if word not in LOWERABLE and word not in REQUESTS:
        return text
    return f"{first.lower()} {rest}".rstrip()


def is_request(text: str) -> bool:
    """Tell "Find any letter" (asks) from "Search that works" or "Peace of mind" (names)."""
    words = text.casefold().split()
    return words[0] in REQUESTS and (len(words) == 1 or words[1] not in NOUN_FOLLOWERS)


# Verbs that make "Your papers stay with you" a statement. Not complete: what is missed is treated as a name, which the
# sentences for names survive.
STATES = re.compile(
    r"\b(?:is|are|stays?|works?|runs?|keeps?|knows?|finds?|helps?|makes?|gives?|has|have|does|do|comes?|goes|saves?|costs?|"
    r"takes?|needs?|means?|belongs?|lives?|pays?|grows?|fits?|lasts?|starts?|ends?|wins?|counts?|matters?|can|will|never|"
    r"deserves?|reads?|tastes?|feels?|looks?|sounds?|arrives?|brings?)\b",
    re.IGNORECASE,
)


def is_statement(text: str) -> bool:
    words = text.split()
    return (
        not is_request(text)
        and bool(STATES.search(" ".join(words[1:-1])))
        and not re.search(r"\b(?:that|which)\b", text)
    )


def head_clause(text: str, limit: int, *, english: bool = True) -> str | None:
    """Return the longest front part of `text` that is at most `limit` characters and stands alone, if any."""
    text = without_stop(text)
    if len(text) <= limit:
        return text
    joints = (STRONG_JOINT, MIDDLE_JOINT, WEAK_JOINT) if english else (PUNCTUATION,)
    for joint in joints:
        cuts = [DANGLING.sub("", text[: found.start()]).rstrip(" ,;:") for found in joint.finditer(text)]
        fitting = [cut for cut in cuts if SHORTEST_CLAUSE <= len(cut) <= limit and _is_balanced(cut)]
        if fitting:
            return fitting[-1]
    return None


def _is_balanced(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count("“") == text.count("”") and text.count('"') % 2 == 0


def clipped(text: str, limit: int, *, english: bool = True) -> str:
    """Return `text`, or its first sentences, or a clause that fits, or, when nothing else does, whole words and "…"."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    kept = ""
    for part in sentences(text):
        if len(f"{kept} {part}".strip()) > limit:
            break
        kept = f"{kept} {part}".strip()
    if kept:
        return kept
    clause = head_clause(text, limit - 1, english=english)
    if clause is not None:
        return sentence(clause)
    return text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def title_clause(fact: str, limit: int, product: str) -> str | None:
    """Return a title for a fact, in the fact's own words without its subject; None when no part of it fits."""
    text = without_stop(fact)
    subject = re.match(rf"(?:{re.escape(product)}|{SUBJECT})\s+(?=\w)", text, re.IGNORECASE)
    if subject:
        rest = text[subject.end() :]
        if COPULA.match(rest) or rest.startswith("can ") or rest.split()[0].endswith("s"):
            text = COPULA.sub("", rest.removeprefix("can "))
    clause = head_clause(CAN.sub("", text), limit)
    return upper_first(clause) if clause else None


def named_clause(fact: str, limit: int, product: str) -> str | None:
    """Return a fact's main clause as a sentence of its own, with the product's name where it says "it"."""
    clause = head_clause(named(fact, product), limit)
    return upper_first(clause) if clause else None


def named(fact: str, product: str) -> str:
    """Return the fact with the product's name where it begins with "it" or "the software"."""
    return re.sub(rf"^{SUBJECT}\s+(?=[a-z])", lambda _: f"{product} ", fact, flags=re.IGNORECASE)


def audience_phrase(audience: str, limit: int) -> str | None:
    """Return the audience as it can follow "for", such as "small offices"; None when no part of it fits.

    Only the words before "who" and the like: what follows is about the readers ("who fear to be found out") and is
    meant for the writer of the page, not for them.
    """
    first = without_stop(sentences(audience)[0])
    noun = re.split(r"\s+(?:who|that|which|whose|with|worried|tired|looking|wanting|trying)\b|[,;:–—(]", first)[0]
    noun = re.sub(r"^for\s+", "", noun.strip(), flags=re.IGNORECASE)
    is_noun = 0 < len(noun) <= limit and not re.search(
        r"\b(?:is|are|want|need|have|should|they|i)\b", noun, re.IGNORECASE
    )
    if not is_noun or noun.casefold() in {"people", "everyone", "anyone", "those", "users", "customers"}:
        return None
    return _lower_common(noun)


def _lower_common(noun: str) -> str:
    first, _, rest = noun.partition(" ")
    # A single capital at the start is the sentence's; a name is seldom the first word of an audience.
    return f"{first.lower()} {rest}".rstrip() if first[1:].islower() else noun


NAME_END = re.compile(r"\s+(?:is|are|helps|lets|turns|gives|makes|keeps|brings|takes|shows|does|offers|has|can|was)\b")
LONGEST_NAME = 40


def product_name(brief: BriefSpec, brand: str) -> str:
    """Return what the product is called: the product text's subject, else the brand, else the brief's name."""
    first = sentences(brief.product)[0]
    found = NAME_END.search(first)
    subject = re.split(r"[,(–—:]", first[: found.start()])[0].strip() if found else ""
    is_name = (
        subject
        and len(subject) <= LONGEST_NAME
        and not re.match(r"(?:an?|it|this|our|we|the)\b", subject, re.IGNORECASE)
    )
    if is_name:
        return subject
    return brand or brief.name[:LONGEST_NAME].strip()


FIGURE = re.compile(
    r"(?:(?<=\s)|^)(?P<figure>(?:[$€£]\s?)?\d{1,3}(?:[.,\s]\d{3})*(?:[.,]\d+)?(?:\s?[%€£]|\+"
    r"|\s?(?:million|thousand|billion)\b)?)"
    r"(?P<unit>\s[a-z]{3,}\b)?(?=[\s,;.]|$)"
)
LONGEST_FIGURE = 24
SMALLEST_FIGURE = 10  # smaller plain numbers are tram lines and floors, and impress nobody
YEARS = range(1900, 2101)
NO_UNITS = frozenset({"and", "per", "for", "with", "from", "the", "more", "than", "are", "into", "each", "when"})


def figure_in(fact: str) -> str | None:
    """Return the one figure a fact turns on with its unit, such as "100 languages"; None for none or several."""
    found = list(FIGURE.finditer(fact))
    if len(found) != 1:
        return None
    figure, unit = found[0]["figure"].strip(), (found[0]["unit"] or "").strip()
    is_small_or_year = figure.isdigit() and (int(figure) < SMALLEST_FIGURE or int(figure) in YEARS)
    if is_small_or_year:
        return None
    both = f"{figure} {unit}" if unit and unit not in NO_UNITS else figure
    return both if len(both) <= LONGEST_FIGURE else figure


def is_by_period(figure: str, text: str) -> bool:
    """Tell whether a figure is so much a month, an hour, a head: alone it would say more than the text does."""
    return re.search(rf"{re.escape(figure)}\s+(?:an?|per|each|every)\s", text) is not None
