"""Find what does not belong in copy: markup, foreign addresses, disguised letters, and words for a model or a reviewer.

    text ──▶ [Intrusion]

Every pattern is bounded, so that a hostile text costs time in proportion to its length.

Approximation: patterns. What addresses a model is looked for as an order about what was said before ("ignore all
previous instructions"), as a model speaking of itself, and as a word to whoever reviews the page, in nine languages.
A page is data wherever it goes (it is escaped, and no model is asked about it without that being said), so what slips
through here is an odd sentence, not a break-in.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from variants.matching import LETTERS_FOR_DIGITS, unmasked


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrusion:
    words: str
    reason: str


type Pattern = tuple[re.Pattern[str], str]


def _any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _found(text: str, patterns: Collection[Pattern]) -> Iterator[Intrusion]:
    for pattern, reason in patterns:
        yield from (Intrusion(words=found[0].strip(), reason=reason) for found in pattern.finditer(text))


# Markup

MARKUP = (
    (_any_of(
        r"<\s{0,3}/?\s{0,3}[a-zA-Z!?][^<>]{0,300}>?", r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});",
        r"\{\{[^{}]{0,200}\}\}", r"\{%[^{}]{0,200}%\}", r"\$\{[^{}]{0,200}\}",
        r"\bon(?:click|error|load|mouseover|focus)\s?=",
     ), "This is markup; visitors would see it as it stands. Write plain text."),
    (_any_of(
        r"\*\*[^*\n]{1,200}\*\*", r"^#{1,6}\s", r"\[[^\[\]\n]{1,100}\]\([^()\n]{0,200}\)", r"```",
        r"\b__\w[^_\n]{0,100}__\b",
     ), "This is Markdown; visitors would see the signs. Write plain text."),
)  # fmt: skip


def markup_in(text: str) -> Iterator[Intrusion]:
    return _found(text, MARKUP)


# Addresses

ENDINGS = (
    "com|org|net|edu|gov|io|co|app|dev|shop|store|info|biz|ru|cn|de|fr|uk|eu|us|es|it|nl|be|ch|at|pl|se|no|dk|fi"
    "|cz|jp|kr|in"
    "|br|au|ca|nz|xyz|top|site|online|club|live|me|ly|gg|tv|ai|page|link|click|zip|example|test"
)
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST = rf"(?<![\w.@-])(?:{LABEL}\.){{1,6}}(?:{ENDINGS})\b(?![\w-])"
LINK_REASON = "This address is not in the brief. Links belong in the brief, not in the copy."
MAIL_REASON = "This e-mail address is not in the brief. Take it out."
ADDRESSES = (
    (_any_of(rf"(?<![\w.+-])[\w+-][\w.+-]{{0,63}}\s?(?:@|\s\(at\)\s|\[at\])\s?(?:{LABEL}\.){{1,6}}[a-z]{{2,24}}\b",
             rf"(?<![\w.+-])[\w+-]{{1,64}}\sat\s{LABEL}\sdot\s[a-z]{{2,24}}\b"), MAIL_REASON),
    (_any_of(r"(?<![\w+.-])(?:https?|hxxps?|ftp|file|wss?)://[^\s<>\"]{1,500}", r"(?<![\w.])www\.[^\s<>\"]{1,300}",
             r"\b(?:javascript|data|vbscript):[^\s]{1,300}", r"(?<![\w:/])//[a-z0-9][^\s]{1,300}"), LINK_REASON),
    (_any_of(rf"{HOST}(?:/[^\s]{{0,300}})?"), LINK_REASON),
    (_any_of(rf"(?<![\w.]){LABEL}(?:\s?[\[(]\.[\])]\s?|\s?\[dot\]\s?|\s\(dot\)\s|\sdot\s)(?:{ENDINGS})\b"),
     LINK_REASON),
    (_any_of(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"), LINK_REASON),
    (_any_of(r"(?<!\w)(?:\+|00)?\d{1,4}[\s./-]?\(?\d{2,5}\)?(?:[\s./-]?\d{2,5}){2,4}(?!\w)"),
     "This looks like a telephone number that is not in the brief. Take it out."),
)  # fmt: skip
# "It isn't done.It is found": a space is missing there, and nothing worse.
NEXT_SENTENCE = re.compile(
    r"^[^./:@]+\.(?:It|In|No|Me|At|Be|Us|So|Do|My|Page|Link|Live|Top|Click|Shop|Store|Club|Online)$"
)
IN_KNOWN = re.compile(r"[^\s<>\"“”()]{3,300}")
FEWEST_DIGITS = 7  # of a telephone number
WORDS_END = ".,;:!?)”\"'"


def addresses_in(text: str, known: frozenset[str]) -> Iterator[Intrusion]:
    """Return the addresses that are not among the known ones (`known_addresses`)."""
    taken: list[tuple[int, int]] = []
    for pattern, reason in ADDRESSES:
        for found in pattern.finditer(text):
            words = found[0].strip().rstrip(WORDS_END)
            is_part = any(start <= found.start() < end for start, end in taken[-8:])
            is_known = bool(_forms(words) & known)
            taken.append(found.span())
            if not is_known and not is_part and not _is_date(words) and not NEXT_SENTENCE.search(words):
                yield Intrusion(words=words, reason=reason)


def known_addresses(texts: Collection[str]) -> frozenset[str]:
    """Return every address in the texts in each form that may stand in copy: whole, and as a bare host."""
    found = [words for text in texts for words in _known_in(text)]
    hosts = [words.rpartition("@")[2] for words in found if "@" in words]
    return frozenset(form for words in (*found, *hosts) for form in _forms(words))


def _known_in(text: str) -> Iterator[str]:
    yield from IN_KNOWN.findall(text)
    yield from (found[0] for found in ADDRESSES[-1][0].finditer(text))


def _forms(words: str) -> frozenset[str]:
    folded = words.casefold().strip(WORDS_END)
    if "@" in folded:
        return frozenset({folded})
    bare = re.sub(r"^[a-z]+://(?:www\.)?|^www\.", "", folded).rstrip("/")
    host = bare.split("/")[0]
    is_host_alone = folded in {bare, host}
    digits = re.sub(r"\D", "", folded)
    forms = {folded, bare, host if is_host_alone or "://" in folded else bare}
    return frozenset(forms | ({digits} if len(digits) >= FEWEST_DIGITS else set()))


def _is_date(words: str) -> bool:
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4}|\d{1,3}(?:[ .]\d{3}){1,4}", words) is not None


# Disguises

DISGUISE_REASON = "These letters only look like ordinary ones, or hide others. Type the words anew."
RUN = re.compile(r"[^\s]{1,200}")
SCRIPTS_THAT_MIX = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"})
MOST_MARKS = 2  # on one letter; Vietnamese has two
STYLED = re.compile("[\U0001d400-\U0001d7ff\u24b6-\u24e9\uff21-\uff3a\uff41-\uff5a\U0001f130-\U0001f189\u1d00-\u1d22]")
HIDDEN = re.compile("[\u200b-\u200d\u2060-\u2064\ufeff\u00ad\u180e\u034f]")
OVERLAYS = re.compile("[\u0334-\u0338\u20d0-\u20dc]")


def disguises_in(text: str) -> Iterator[Intrusion]:
    """Return the words whose letters are mixed of several scripts, styled, hidden in or heaped with marks."""
    if text.isascii():
        return
    for found in RUN.finditer(text):
        if not found[0].isascii() and _is_disguised(found[0]):
            yield Intrusion(words=found[0], reason=DISGUISE_REASON)


def _is_disguised(word: str) -> bool:
    letters = [character for character in word if character.isalpha()]
    scripts = {_script(letter) for letter in letters} & SCRIPTS_THAT_MIX
    # "5μm" and "Ωhm" are units; a letter of another script inside a word is none.
    is_mixed = len(scripts) > 1 and len(letters) > 3  # noqa: PLR2004
    hidden = HIDDEN.sub("", word) if HIDDEN.search(word.replace("\u00ad", "")) else word
    is_hiding = hidden != word and any(_script(letter) in {"LATIN", "CYRILLIC", "GREEK"} for letter in letters)
    return is_mixed or is_hiding or bool(STYLED.search(word) or OVERLAYS.search(word)) or _most_marks(word) > MOST_MARKS


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    return unicodedata.name(character, "?").split()[0]


def _most_marks(word: str) -> int:
    most = run = 0
    for character in unicodedata.normalize("NFD", word):
        run = run + 1 if unicodedata.combining(character) else 0
        most = max(most, run)
    return most


# Words for a model or a reviewer

GAP = r"[^.!?]{0,40}"
TO_MODEL = "This speaks to a language model, not to a reader. It may come from a planted instruction."
OF_MODEL = "This is a language model talking about itself. Reword it for the reader."
TO_REVIEWER = "This speaks to the reviewer, not to a reader. Take it out."
ASIDES = (
    (_any_of(
        rf"\b(?:ignore|disregard|forget|override|bypass|pay no attention to|do(?: not|n't) (?:follow|obey))\b{GAP}"
        r"\b(?:previous|prior|earlier|above|preceding|system|initial|original|your|given|safety)\b"
        rf"{GAP}\b(?:instructions?|prompts?|rules|guidelines|directions|commands|text|messages?)\b",
        r"\b(?:ignore|disregard|forget) (?:everything|anything|all|what)\b[^.!?]{0,20}\b(?:told|said|above|before"
        r"|instructed)\b",
        r"\b(?:ignore|disregard|forget) (?:all |any |the |these |those )*(?:instructions|prompts?|system messages?)\b",
        rf"\b(?:ignore|disregard|forget)\b{GAP}\b(?:instructions|prompts?|rules|guidelines)\b{GAP}\b(?:above"
        rf"|before|given|earlier)\b",
        r"\b(?:disregard|ignore|do(?: not|n't) follow) the (?:above|foregoing|rules you were given)\b",
        r"\bdo(?: not|n't) follow the (?:rules|instructions)\b",
        r"\bfrom now on,? you (?:are|act|will|must|speak)\b", r"\byou are (?:now )?dan\b",
        r"\bact as (?:a|an) (?:different|other|unrestricted)\b",
        r"\b(?:reveal|print|show|repeat|output|leak)\b[^.!?]{0,20}\b(?:system prompt|your (?:prompt|instructions)"
        r"|the text above|everything above)\b",
        r"\bsystem prompt(?! you)(?!s you)\b", r"\bnew (?:instructions?|task|rules) ?:",
        r"^\s?(?:system|assistant|user|developer) ?:",
        r"\b(?:developer|jailbreak|dan) mode\b", r"<\|\w{1,30}\|>|\[/?INST\]",
     ), TO_MODEL),
    (_any_of(
        # German, French, Spanish, Italian, Portuguese, Dutch, Russian, Chinese, Japanese
        rf"\b(?:ignorier\w{{1,4}}|vergiss|vergesst|vergessen sie|missacht\w{{1,4}}"
        rf"|missachte)\b{GAP}\b(?:anweisung\w*|instruktion\w*|vorgaben|obigen? regeln|bisherigen? regeln)\b",
        rf"\b(?:ignore[zrs]?|oublie[zrs]?|ne suive[zs] pas|ne suis pas)\b{GAP}\b(?:instructions?|consignes?)\b",
        rf"\b(?:ignora\w{{0,3}}|ignore|olvida\w{{0,3}}|no sigas)\b{GAP}\b(?:instrucciones|indicaciones)\b",
        rf"\b(?:ignora|ignorate|dimentica\w{{0,3}})\b{GAP}\b(?:istruzioni|indicazioni)\b",
        rf"\b(?:ignor[ae]\w{{0,2}}|esque[cç]a\w{{0,2}})\b{GAP}\b(?:instruç\w+|instruc\w+|orientações)\b",
        rf"\b(?:negeer|vergeet)\b{GAP}\b(?:instructies|aanwijzingen)\b",
        rf"(?:игнорируй\w*|забудь\w*){GAP}(?:инструкци\w+|указани\w+)",
        r"(?:忽略|无视|忘记)[^。]{0,20}(?:指令|指示|说明|提示)", r"(?:指示|命令|プロンプト)[^。]{0,10}(?:無視|忘れ)",
     ), TO_MODEL),
    (_any_of(
        r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b", r"\bmy instructions\b",
        r"\byou are (?:now )?(?:chatgpt|an? (?:ai|language model))\b",
        r"\bi(?:'m| am) (?:sorry, (?:but|i)|unable to|not able to)\b",
        r"\bi can(?:not|'t) (?:help|assist|comply|write|say)\b",
        r"\bals (?:ki|sprachmodell|ki-sprachmodell|künstliche intelligenz)\b",
        r"\ben tant (?:que modèle|qu'ia|qu'intelligence)\b",
        r"\bcomo (?:modelo de lenguaje|modelo de linguagem|inteligencia artificial|ia)\b",
        r"\bcome modello linguistico\b",
        r"\bals (?:ai-)?taalmodel\b", r"\bкак языковая модель\b", r"作为(?:一个)?(?:ai|人工智能|语言模型)",
     ), OF_MODEL),
    (_any_of(
        r"\b(?:dear|note to|attention,?|message to|hello,?) (?:the )?(?:reviewers?|editors?|approvers?"
        r"|moderators?|marketers?|compliance)\b",
        r"\bto (?:whoever|whomever|anyone who) (?:checks|reviews|reads|approves)\b[^.!?]{0,20}\b(?:page|variant"
        r"|text)\b",
        r"\b(?:please )?(?:approve|deploy|publish|accept|pass) this (?:page|variant|version|text)\b",
        r"\bmark this (?:page|variant|text|version) as\b", r"\b(?:page|variant|text) (?:is|was|has been|has "
        r"already been) (?:already )?(?:pre-?)?(?:approved|reviewed|cleared)\b",
        r"\bno findings\b", r"\b(?:gates?|checks?) (?:should|must) (?:return|pass|report|be)\b",
        r"\bapprove (?:everything|all of it|it without)\b",
        r"\b(?:an|liebe[rn]?|hinweis (?:an|für)) (?:den |die |das )?(?:prüfer\w*|redakteur\w*|freigeber\w*)\b",
        r"\bbitte (?:freigeben|genehmigen)\b",
        r"\bnote (?:au|pour le|à l'attention du) (?:relecteur|réviseur|modérateur|correcteur)\b", r"\bà approuver\b",
        r"\bnota (?:para el|al|per il) (?:revisor|editor|moderador|revisore)\b", r"\bapr[uú][eé]ba(?:lo|la)\b",
     ), TO_REVIEWER),
    (_any_of(
        r"\blorem ipsum\b", r"\b(?:todo|tbd|fixme)\b(?= ?:| later|$|\.)", r"\bx{3,20}\b", r"\[[^\]\[\n]{1,40}\]",
        r"<[a-z _-]{1,40}>",
        r"\binsert [\w ]{1,30} here\b", r"\byour (?:company|product|brand) name\b", r"\{[a-z_ ]{1,40}\}",
     ), "This is a placeholder that nobody filled in."),
    (_any_of(
        r"\bhere(?:'s| is) (?:the|your|a) (?:landing page|json|page content|copy)\b", r"\bsure, here (?:is|are)\b",
     ), "This talks about the page instead of to its reader. Reword it."),
)  # fmt: skip


def asides_in(text: str) -> Iterator[Intrusion]:
    """Return what is said to a model or a reviewer, in plain letters or with digits and look-alikes for letters."""
    seen = unmasked(text)
    plain = list(_found(seen, ASIDES))
    yield from plain
    # Digits for letters are undone only where they stand inside words, and tried only on a text that has such words.
    if not plain and re.search(r"[^\W\d_]\d[^\W\d_]", seen):
        yield from _found(seen.translate(LETTERS_FOR_DIGITS), ASIDES[:4])
