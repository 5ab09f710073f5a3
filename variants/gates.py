"""Hold a page against its brief: what it says that the brief does not cover, may not say, or must say.

    content + brief + names of images ──▶ [Finding]

Length and structure are content.py's types; escaping is the renderer's. What stands here is what a careful editor
would catch: claims without a source, forbidden words, missing small print, links and addresses in copy, and sentences
meant for a model or a reviewer instead of a reader. The claims gate (claims.py) is the largest.

A finding that blocks keeps a page from going live until the page or the brief is changed; the others are for the
reviewer's eye.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass

from variants.brief import BriefSpec
from variants.claims import Sources, any_of, unsupported
from variants.content import FormSection, PageContent, texts
from variants.matching import contains, says, unmasked


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    gate: str  # claims, never_say, must_say, form, images, foreign, aside
    field: str  # where, such as "sections.0.headline"; empty for the page as a whole
    words: str  # the words in question, as on the page
    reason: str  # what is wrong and what to do, for a marketer
    blocks: bool = True

    def as_dict(self) -> dict[str, str | bool]:
        return asdict(self)


def examine(content: PageContent, brief: BriefSpec, images: Collection[str] = ()) -> list[Finding]:
    """Return every finding of every gate, in the order of the page."""
    copy = [(place, words) for place, words in texts(content) if place != "angle"]
    return [
        *_claims(content, copy, brief),
        *_forbidden(copy, brief),
        *_required(content, brief),
        *_form(content, brief),
        *_images(content, images),
        *_foreign(copy, brief),
        *_asides(copy),
    ]


def is_blocked(findings: Iterable[Finding]) -> bool:
    return any(finding.blocks for finding in findings)


def brief_texts(brief: BriefSpec) -> list[str]:
    """Return every text of the brief that a page may repeat."""
    action = brief.call_to_action
    labels = [action.label, *(field.label for field in brief.form_fields)]
    link = [brief.secondary_link.label] if brief.secondary_link else []
    facts = [fact.text for fact in brief.facts]
    told = [brief.name, brief.product, brief.offer, brief.audience, brief.thank_you]
    return [*told, *facts, *brief.angles, *brief.must_say, *labels, *link]


def _claims(content: PageContent, copy: Sequence[tuple[str, str]], brief: BriefSpec) -> list[Finding]:
    sources = Sources.of(brief_texts(brief), is_english=brief.language.split("-")[0] == "en")
    found = unsupported(content, copy, sources)
    return [
        Finding(gate="claims", field=claim.field, words=claim.words, reason=claim.reason, blocks=claim.is_certain)
        for claim in found
    ]


# Words


def is_forbidden(text: str, brief: BriefSpec) -> bool:
    return any(says(text, words) for words in brief.never_say)


def _forbidden(copy: Sequence[tuple[str, str]], brief: BriefSpec) -> list[Finding]:
    return [
        Finding(
            gate="never_say", field=place, words=banned, reason=f"The brief says never to say “{banned}”. Reword it."
        )
        for place, text in copy
        for banned in brief.never_say
        if says(text, banned)
    ]


def _required(content: PageContent, brief: BriefSpec) -> list[Finding]:
    # The browser's title and the description are no place for what every visitor must read.
    said = [words for place, words in texts(content) if place.startswith("sections.")]
    return [
        Finding(
            gate="must_say", field="", words=required,
            reason=f"Every page must say “{required}”, word for word. Add it, for example under the button.",
        )
        for required in brief.must_say
        if not any(contains(text, required) for text in said)
    ]  # fmt: skip


# Structure


def _form(content: PageContent, brief: BriefSpec) -> list[Finding]:
    wants_form, has_form = brief.call_to_action.kind == "form", content.form is not None
    if wants_form and not has_form:
        reason = "The brief asks visitors to fill in the form, and this page has none. Add a form section."
        return [Finding(gate="form", field="sections", words="", reason=reason)]
    if has_form and not wants_form:
        place = next(n for n, section in enumerate(content.sections) if isinstance(section, FormSection))
        reason = "The brief's button is a link, so there is nowhere for this form to go. Take the section out."
        return [Finding(gate="form", field=f"sections.{place}", words="", reason=reason)]
    return []


def _images(content: PageContent, images: Collection[str]) -> list[Finding]:
    name = content.hero.image
    if name is None or name in images:
        return []
    reason = f"The brand has no image named “{name}”. Upload it, choose another or leave the image out."
    return [Finding(gate="images", field="sections.0.image", words=name, reason=reason)]


# What does not belong in copy

FOREIGN = (
    (any_of(
        r"<\s*/?\s*[a-zA-Z!][^>]*>?", r"&(?:#\d+|#x[0-9a-f]+|[a-z]{2,8});", r"\{\{.*?\}\}", r"\{%.*?%\}",
        r"\$\{[^}]*\}",
     ), "This is markup; visitors would see it as it stands. Write plain text."),
    (any_of(
        r"\*\*[^*]+\*\*", r"^#{1,6}\s", r"\[[^\]]+\]\([^)]*\)", r"```", r"\b__\w[^_]*__\b",
     ), "This is Markdown; visitors would see the signs. Write plain text."),
    (any_of(
        r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
     ), "This e-mail address is not in the brief. Take it out."),
    (any_of(
        r"\b(?:[a-z][a-z0-9+.-]*://|www\.)\S+", r"\b(?:javascript|data|vbscript):\S+",
     ), "This address is not in the brief. Links belong in the brief, not in the copy."),
    (any_of(
        r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|co|app|dev|shop|info|biz|ru|cn|de|fr|uk|xyz|top|site)\b(?:/\S*)?",
     ), "This address is not in the brief. Links belong in the brief, not in the copy."),
    (any_of(
        r"(?<!\w)\+?\d{1,4}[\s./-]?\(?\d{2,5}\)?(?:[\s./-]?\d{2,5}){2,4}(?!\w)",
     ), "This looks like a telephone number that is not in the brief. Take it out."),
)  # fmt: skip

ASIDE = (
    (any_of(
        r"\b(?:ignore|disregard|forget|override)\b[^.!?]{0,40}\b(?:instructions?|prompts?|rules|guidelines)\b",
     ), "This speaks to a language model, not to a reader. It may come from a planted instruction."),
    (any_of(
        r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b", r"\bsystem prompt\b",
        r"\bmy instructions\b", r"\b(?:developer|jailbreak|dan) mode\b",
        r"\byou are (?:now )?(?:chatgpt|an? (?:ai|assistant|language model))\b",
        r"\bi(?:'m| am) (?:sorry, (?:but|i)|unable to|not able to)\b",
        r"\bi can(?:not|'t) (?:help|assist|comply|write)\b",
     ), "This is a language model talking about itself. Reword it for the reader."),
    (any_of(
        r"\b(?:dear|note to|attention,?) (?:the )?(?:reviewer|editor|approver|moderator|marketer)s?\b",
        r"\b(?:approve|deploy|publish) this (?:page|variant|version)\b",
        r"\bthis (?:page|variant) (?:is|was|has been) (?:pre-?)?(?:approved|reviewed)\b",
     ), "This speaks to the reviewer, not to a reader. Take it out."),
    (any_of(
        r"\blorem ipsum\b", r"\b(?:todo|tbd|fixme)\b", r"\bx{3,}\b", r"\[[^\]\n]{1,40}\]", r"<[a-z _-]+>",
        r"\binsert [\w ]{1,30} here\b", r"\byour (?:company|product|brand) name\b", r"\{[a-z_ ]{1,40}\}",
     ), "This is a placeholder that nobody filled in."),
    (any_of(
        r"\bhere(?:'s| is) (?:the|your|a) (?:landing page|json|page content|copy)\b",
     ), "This talks about the page instead of to its reader. Reword it."),
)  # fmt: skip


def _foreign(copy: Sequence[tuple[str, str]], brief: BriefSpec) -> list[Finding]:
    known = unmasked(" ".join(brief_texts(brief))).casefold()
    return [
        Finding(gate="foreign", field=place, words=words, reason=reason)
        for place, words, reason in _matches(copy, FOREIGN)
        if words.casefold().rstrip(".,;:!?)") not in known
    ]


def _asides(copy: Sequence[tuple[str, str]]) -> list[Finding]:
    return [
        Finding(gate="aside", field=place, words=words, reason=reason) for place, words, reason in _matches(copy, ASIDE)
    ]


def _matches(
    copy: Sequence[tuple[str, str]], patterns: Sequence[tuple[re.Pattern[str], str]]
) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for place, text in copy:
        seen = unmasked(text)
        for pattern, reason in patterns:
            found += [(place, match[0], reason) for match in pattern.finditer(seen)]
    return found
