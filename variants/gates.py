"""Hold a page against its brief: what it says that the brief does not cover, may not say, or must say.

    content + brief + names of images ──▶ [Finding]

Length and structure are content.py's types; escaping is the renderer's. What stands here is what a careful editor
would catch: claims without a source (claims.py), forbidden words, missing small print, another language, another tone
(voice.py), markup and addresses in copy, disguised letters, sentences meant for a model or a reviewer instead of a
reader (intrusions.py), colours that cannot be read.

A finding that blocks keeps a page from going live until the page or the brief is changed; the others are for the
reviewer's eye.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from textwrap import shorten
from typing import Final

from variants.brief import BriefSpec
from variants.claims import Ledger, brief_sources, ledger_of, sentences, sources_of
from variants.colours import TEXT_CONTRAST, contrast, palette_of
from variants.content import FormSection, PageContent, texts
from variants.intrusions import Intrusion, addresses_in, asides_in, disguises_in, known_addresses, markup_in
from variants.matching import contains, says, unmasked, words_of
from variants.voice import remarks

LONGEST_MISFIT: Final = 160  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    gate: str  # claims, never_say, must_say, language, reading, tone, form, images, colours, foreign, disguise, aside
    field: str  # where, such as "sections.0.headline"; empty for the page as a whole
    words: str  # the words in question, as on the page
    reason: str  # what is wrong and what to do, for a marketer
    blocks: bool = True

    def as_dict(self) -> dict[str, str | bool]:
        return asdict(self)


def examine(
    content: PageContent,
    brief: BriefSpec,
    images: Collection[str] = (),
    *,
    colours: tuple[str, str] | None = None,
    ledger: Ledger | None = None,
) -> list[Finding]:
    """Return every finding of every gate. `colours` are the brand's two, `ledger` is `ledger_of_page`, if known."""
    copy = _copy(content)
    return [
        *_claims(ledger or ledger_of_page(content, brief)),
        *_forbidden(copy, brief),
        *_required(content, brief),
        *_voice(copy, brief),
        *_form(content, brief),
        *_images(content, images),
        *(_colours(content, *colours) if colours else []),
        *_intrusions(copy, brief),
    ]


def examine_copy(
    copy: Sequence[tuple[str, str]], whole: Sequence[tuple[str, str]], brief: BriefSpec, *, ledger: Ledger
) -> list[Finding]:
    """Return the findings about a patch: `copy` is what it changes, `whole` all that the page then says."""
    said = [words for _, words in whole]
    return [
        *_claims(ledger),
        *_forbidden(copy, brief),
        *_missing(said, brief),
        *_voice(copy, brief),
        *_intrusions(copy, brief),
    ]


def ledger_of_page(content: PageContent, brief: BriefSpec, *, brand: str = "") -> Ledger:
    """Return what of the page's claims the brief covers, and where it does, and what it does not cover."""
    return ledger_of(content, _copy(content), sources_of(brief, brand))


def ledger_of_copy(copy: Sequence[tuple[str, str]], brief: BriefSpec, *, brand: str = "") -> Ledger:
    """Return the ledger of the texts that a patch changes."""
    return ledger_of(None, copy, sources_of(brief, brand))


def _copy(content: PageContent) -> list[tuple[str, str]]:
    return [(place, words) for place, words in texts(content) if place != "angle"]


def is_blocked(findings: Iterable[Finding]) -> bool:
    return any(finding.blocks for finding in findings)


def misfit_of(findings: Iterable[Finding], copy: Iterable[tuple[str, str]]) -> str:
    """Say in a few words what first blocks a page: the sentence as it stands there, or what it lacks; empty if nothing.

    `copy` is the page's texts by their fields.
    """
    first = next((finding for finding in findings if finding.blocks), None)
    if first is None:
        return ""
    if first.gate == "must_say":
        return f"“{_cut(first.words)}” is missing"
    if first.field and first.words:
        return f"“{_cut(_sentence(first.words, dict(copy).get(first.field, '')))}”"
    return _cut(sentences(first.reason)[0])


def _sentence(words: str, text: str) -> str:
    """Return the sentence of a text in which these words stand; the words alone where gates read them otherwise."""
    wanted = " ".join(words.casefold().split())
    return next((said for said in sentences(text) if wanted in " ".join(said.casefold().split())), words)


def _cut(text: str) -> str:
    return shorten(text.rstrip("."), LONGEST_MISFIT, placeholder=" …")


def brief_texts(brief: BriefSpec) -> list[str]:
    """Return every text of the brief that a page may repeat."""
    return [source.text for source in brief_sources(brief)]


def _claims(ledger: Ledger) -> list[Finding]:
    return [
        Finding(gate="claims", field=claim.field, words=claim.words, reason=claim.reason, blocks=claim.is_certain)
        for claim in ledger.claims
    ]


# Words


def is_forbidden(text: str, brief: BriefSpec) -> bool:
    return any(says(text, words, brief.language) for words in brief.never_say)


def _forbidden(copy: Sequence[tuple[str, str]], brief: BriefSpec) -> list[Finding]:
    return [
        Finding(
            gate="never_say", field=place, words=banned, reason=f"The brief says never to say “{banned}”. Reword it."
        )
        for place, text in copy
        for banned in brief.never_say
        if says(text, banned, brief.language)
    ]


def _required(content: PageContent, brief: BriefSpec) -> list[Finding]:
    # The browser's title and the description are no place for what every visitor must read.
    return _missing([words for place, words in texts(content) if place.startswith("sections.")], brief)


def _missing(said: Sequence[str], brief: BriefSpec) -> list[Finding]:
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


# Voice


def _voice(copy: Sequence[tuple[str, str]], brief: BriefSpec) -> list[Finding]:
    found = remarks(copy, language=brief.language, tone=brief.tone)
    return [
        Finding(gate=one.gate, field=one.field, words=one.words, reason=one.reason, blocks=one.blocks) for one in found
    ]


# Colours

# Further from the brand's colour than this contrast, and people see that it was moved.
SAME_COLOUR = 1.35


def _colours(content: PageContent, primary: str, accent: str) -> list[Finding]:
    """Tell when the brand's colour could not be used as it is: pages move it until text on it can be read."""
    if content.theme.palette != "brand":
        return []
    page = palette_of("brand", primary=primary, accent=accent).page
    findings = []
    if contrast(page.button, page.button_text) < TEXT_CONTRAST:
        reason = "The words on the button cannot be read in the brand's colours. Choose another palette."
        findings.append(Finding(gate="colours", field="theme.palette", words=primary, reason=reason))
    if contrast(primary, page.button) > SAME_COLOUR:
        reason = (
            "The brand's main colour is too pale to stand out on the page, so the button is darker than it. "
            "Choose another palette if that jars."
        )
        findings.append(Finding(gate="colours", field="theme.palette", words=primary, reason=reason, blocks=False))
    return findings


# What does not belong in copy


def _intrusions(copy: Sequence[tuple[str, str]], brief: BriefSpec) -> list[Finding]:
    addresses = known_addresses(_allowed(brief))
    known = {word for text in brief_texts(brief) for word in text.split()}
    gates: list[tuple[str, Callable[[str], Iterator[Intrusion]]]] = [
        ("foreign", lambda text: markup_in(unmasked(text))),
        ("foreign", lambda text: addresses_in(unmasked(text), addresses)),
        ("disguise", lambda text: (one for one in disguises_in(text) if one.words not in known)),
        ("aside", lambda text: (one for one in asides_in(text) if not _is_of_the_brief(one.words, brief))),
    ]
    return [
        Finding(gate=gate, field=place, words=found.words, reason=found.reason)
        for gate, look in gates
        for place, text in copy
        for found in look(text)
    ]


def _allowed(brief: BriefSpec) -> list[str]:
    """Return the texts whose addresses may stand in copy: the brief's own, and where its links go."""
    links = [brief.call_to_action.url, brief.secondary_link.url if brief.secondary_link else None]
    return [*brief_texts(brief), *(link for link in links if link)]


def _is_of_the_brief(words: str, brief: BriefSpec) -> bool:
    """Tell whether a marketer wrote these words: "approve this page" may be what the product does."""
    return len(words_of(words)) > 1 and any(contains(text, words) for text in brief_texts(brief))
