"""Compose a page from a brief with copywriting formulas: what writes pages when no language model is configured.

It is not a model and says so wherever its pages are shown. It knows nothing but the brief: every claim on a page is a
sentence of the brief, whole; between them stand neutral phrases that claim nothing. Nothing is cut inside a clause:
where a text is too long for its place, a shorter one takes the place.

    brief + turn ──▶ Material (clauses sorted by length and topic) ──▶ hero ──▶ sections ──▶ PageContent

The same brief and direction give the same page. Pages differ in angle, approach, headline, subheadline, the facts
they show and their order, the sections and their order, layout, palette and typography.

The phrases are English. For a brief in another language only the brief's own words are used (`speaks`).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, zip_longest

from variants.brief import BriefSpec
from variants.content import (
    FAQ,
    Benefit,
    Benefits,
    CallToAction,
    Figure,
    FormSection,
    Hero,
    HowItWorks,
    Meta,
    PageContent,
    Proof,
    Question,
    Section,
    Step,
    texts,
)
from variants.directions import APPROACHES, DEFAULT_ANGLES, DirectionSpec, Turn
from variants.formulas import (
    BENEFIT_TITLES,
    CLOSING_TITLES,
    DENIAL,
    DENIAL_HEADLINES,
    EYEBROWS,
    FACT_HEADLINES,
    FAQ_TITLES,
    FORM_TITLES,
    FRAMINGS,
    NAME_HEADLINES,
    OFFER_HEADLINES,
    ORDERS,
    PROOF_TITLES,
    REQUEST_HEADLINES,
    STATEMENT_HEADLINES,
    STEP_TITLES,
    WORD_HEADLINES,
    Framing,
)
from variants.gates import is_forbidden
from variants.matching import contains, says, words_of
from variants.wording import (
    GENERAL,
    LOWERABLE,
    PRICE_QUESTION,
    audience_phrase,
    clipped,
    figure_in,
    head_clause,
    is_by_period,
    is_request,
    is_statement,
    lower_first,
    named,
    named_clause,
    product_name,
    sentence,
    sentences,
    title_clause,
    topic_of,
    upper_first,
    without_stop,
)

MODEL_NAME = "offline twin"
HEADLINE, SUBHEADLINE, TITLE, TEXT, LABEL = 90, 240, 60, 240, 90
QUESTION, ANSWER, BROWSER_TITLE, DESCRIPTION, EYEBROW, NOTE, FORM_NOTE = 140, 600, 70, 160, 60, 120, 160
PART = 240  # of a direction
BUTTON = 40
BUTTON_FORMS = ("{label} now", "Yes, {inside}", "{label} here")
FEWEST_BENEFITS, MOST_BENEFITS, MOST_FIGURES = 2, 6, 4
CASE_SIZES = (1, 2, 3)  # facts on a page
FEWEST_QUESTIONS = 2
FEWEST_STEPS = 2


def speaks(language: str) -> bool:
    """Tell whether the phrases can be used for this language code."""
    return language.split("-", maxsplit=1)[0] == "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A brief taken apart, for one page."""

    brief: BriefSpec
    turn: Turn
    product: str  # the product's name
    audience: str  # as it follows "for"; empty when the brief's words do not fit there
    facts: tuple[str, ...]  # whole sentences; every page starts with another one

    @property
    def is_english(self) -> bool:
        return speaks(self.brief.language)

    @property
    def lap(self) -> int:
        """How often this direction met this approach before."""
        return self.turn.round // len(APPROACHES)

    @property
    def angle(self) -> str:
        return self.turn.direction.angle

    @property
    def says_angle(self) -> bool:
        """Whether the angle is words for a reader; the default ones are notes for a writer."""
        return self.angle not in DEFAULT_ANGLES

    def choose(self, options: Sequence[str], what: str) -> str:
        """Return one of `options` that says nothing forbidden: each lap another, from a start the brief decides."""
        allowed = [option for option in options if not _is_forbidden(option, self.brief)] or list(options)
        start = stable_hash(f"{self.brief.product}|{self.angle}|{self.turn.approach.name}|{what}")
        return allowed[(start + self.lap) % len(allowed)]

    @property
    def opens_with_framing(self) -> bool:
        """Whether the framing's line is the headline; the angle then stands above it."""
        return self.is_english and self.says_angle and self.turn.round % 3 == 2  # noqa: PLR2004 - one in three

    @property
    def goes_on_with_framing(self) -> bool:
        """Whether the framing's line stands below the headline."""
        return self.is_english and self.turn.round % 3 == 0

    @property
    def framing(self) -> Framing:
        """The light in which this page shows its facts: another each time its direction or its approach comes back."""
        allowed = [framing for framing in FRAMINGS if not _is_forbidden(framing.words, self.brief)] or list(FRAMINGS)
        return allowed[(7 * self.turn.position + self.turn.round * 5 + self.lap) % len(allowed)]

    @property
    def is_on_fact(self) -> bool:
        """Whether the direction is a fact of the brief, told as such."""
        proof = self.turn.direction.proof
        return proof is not None and self.angle == _lead(proof, self.product, english=True)

    def clip(self, text: str, limit: int) -> str:
        return clipped(text, limit, english=self.is_english)


def _is_forbidden(phrase: str, brief: BriefSpec) -> bool:
    return bool(brief.never_say) and _says_any(phrase, tuple(brief.never_say), brief.language)


# Optimization: the same phrases are looked at for every page.
@lru_cache(maxsize=10_000)
def _says_any(phrase: str, never_say: tuple[str, ...], language: str) -> bool:
    return any(says(phrase, words, language) for words in never_say)


def propose(brief: BriefSpec, count: int) -> list[DirectionSpec]:
    """Return directions in the brief's own words: one for each angle, then for facts that can lead a page."""
    is_english = speaks(brief.language)
    facts = [sentence(fact.text) for fact in brief.facts if not is_forbidden(fact.text, brief)]
    product = product_name(brief, "")
    leads = [(clause, fact) for fact in facts if (clause := _lead(fact, product, english=is_english))]
    angles = [(angle, _nearest(angle, facts)) for angle in brief.angles or DEFAULT_ANGLES]
    known = {angle.casefold() for angle, _ in angles}
    chosen = [*angles, *((clause, fact) for clause, fact in leads if clause.casefold() not in known)]
    most = max(count, len(brief.angles))  # what a person asked for is never left out
    return [_direction(brief, angle, proof, english=is_english) for angle, proof in chosen[:most]]


def _direction(brief: BriefSpec, angle: str, proof: str | None, *, english: bool) -> DirectionSpec:
    return DirectionSpec(
        angle=angle,
        insight=clipped(sentences(brief.audience)[0], PART, english=english),
        promise=clipped(sentence(brief.offer), PART, english=english),
        proof=clipped(proof, PART, english=english) if proof else None,
        objection=topic_of(proof).question if proof and english else None,
    )


def _lead(fact: str, product: str, *, english: bool, limit: int = EYEBROW) -> str | None:
    """Return the clause of a fact that a page can be about; a price is no promise, and "it" names nothing.

    A direction's angle stands above the headline where it is not in it, so it may not be longer than that.
    """
    clause = named_clause(fact, limit, product) if english else head_clause(fact, limit, english=False)
    if clause is None or POINTS_BACK.search(clause) or topic_of(clause).question == PRICE_QUESTION:
        return None
    return clause


def _nearest(angle: str, facts: Sequence[str]) -> str | None:
    """Return the fact that shares most words with the angle; None when none shares any."""
    words = set(words_of(angle)) - LOWERABLE
    shared = [len(words & set(words_of(fact))) for fact in facts]
    return facts[shared.index(max(shared))] if any(shared) else None


def compose(brief: BriefSpec, turn: Turn, *, brand: str = "", images: Sequence[str] = ()) -> PageContent:
    """Return the page for `turn`."""
    material = _material(brief, turn, brand)
    write = _english_sections if material.is_english else _foreign_sections
    hero = _hero(material, images)
    content = PageContent(
        angle=material.angle,
        meta=Meta(
            title=_browser_title(material, hero.headline),
            description=material.clip(sentences(brief.product)[0], DESCRIPTION),
        ),
        theme=turn.theme,
        sections=[hero, *write(material)],
    )
    return _with_required_words(content, brief)


def _browser_title(material: Material, headline: str) -> str:
    product, angle = material.product, upper_first(without_stop(material.angle))
    own = [f"{angle} | {product}"] if material.says_angle else []
    both = [] if product.casefold() in headline.casefold() else [f"{without_stop(headline)} | {product}"]
    options = [*both, without_stop(headline), *own, product]
    return next(option for option in options if len(option) <= BROWSER_TITLE)


def with_another_button(content: PageContent, brief: BriefSpec, turn: Turn, held: str) -> PageContent:
    """Let the button say something else than `held`: the brief's words, or these a little livelier."""
    label = brief.call_to_action.label
    options = [label, *(form.format(label=label, inside=lower_first(label)) for form in BUTTON_FORMS)]
    fitting = [one for one in options if one != held and len(one) <= BUTTON and not _is_forbidden(one, brief)]
    if not fitting or not speaks(brief.language):
        return content
    hero = content.hero.model_copy(update={"call_to_action": fitting[turn.round % len(fitting)]})
    return content.model_copy(update={"sections": [hero, *content.sections[1:]]})


def stable_hash(text: str) -> int:
    # sha256 rather than hash(): the same brief must give the same pages after a restart.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _material(brief: BriefSpec, turn: Turn, brand: str) -> Material:
    known = [sentence(fact.text) for fact in brief.facts if not is_forbidden(fact.text, brief)]
    return Material(
        brief=brief,
        turn=turn,
        product=product_name(brief, brand),
        audience=audience_phrase(brief.audience, EYEBROW - len("For ")) or "",
        facts=_case(known or sentences(brief.product), turn),
    )


def _case(facts: Sequence[str], turn: Turn) -> tuple[str, ...]:
    """Return the facts that a page argues with: few, and others than its neighbours'.

    A page that shows every fact says what every other such page says, whatever order they are in.
    """
    cases = _cases(len(facts))
    case = cases[(turn.index + turn.index // len(cases)) % len(cases)]
    chosen = [facts[place] for place in case]
    # Every other time the direction's own proof leads: a set of pages that all open alike tells little.
    proof = turn.direction.proof
    if proof is None or proof not in facts or turn.round % 2:
        return tuple(chosen)
    return (proof, *[fact for fact in chosen if fact != proof][: max(1, len(chosen) - 1)])


@cache
def _cases(facts: int) -> list[tuple[int, ...]]:
    """Return the choices of facts, each in an order of its own, scattered: neighbours share as little as may be."""
    sizes = [size for size in CASE_SIZES if size <= facts] or [facts]
    chosen = [case for size in sizes for case in combinations(range(facts), size)]
    scattered = sorted(chosen, key=lambda case: stable_hash(f"case|{case}"))
    return [(*case[turn % len(case) :], *case[: turn % len(case)]) for turn, case in enumerate(scattered)]


# The hero


def _hero(material: Material, images: Sequence[str]) -> Hero:
    headline = _headline(material)
    eyebrow = _eyebrow(material, headline)
    index = material.turn.index
    return Hero(
        eyebrow=eyebrow,
        headline=headline,
        subheadline=_subheadline(material, headline),
        call_to_action=material.brief.call_to_action.label,
        image=images[index % len(images)] if images and index % 4 else None,
    )


def lead(brief: BriefSpec, turn: Turn, *, brand: str, headline: int, text: int) -> tuple[str, str]:
    """Return a headline and the text below it of at most so many characters, for a page that has its own sections."""
    material = _material(brief, turn, brand)
    said = _headline(material, headline)
    return said, _subheadline(material, said, text)


def _headline(material: Material, limit: int = HEADLINE) -> str:
    if material.opens_with_framing and len(material.framing.line) <= limit:
        return material.framing.line
    options = _headlines(material) if material.is_english else _foreign_headlines(material)
    fitting = [option for option in options if len(option) <= limit]
    if fitting:
        return material.choose(fitting, "headline")
    own = [upper_first(without_stop(material.angle))] if material.says_angle else []
    clauses = [title_clause(fact, limit, material.product) for fact in material.facts] if material.is_english else []
    short = (option for option in [*own, *clauses, material.product] if option and len(option) <= limit)
    return next(short, material.clip(material.brief.offer, limit))


def _foreign_headlines(material: Material) -> list[str]:
    own = [material.angle] if material.says_angle else []
    texts = [*own, *sentences(material.brief.offer), *sentences(material.brief.product), *material.facts]
    clauses = [head_clause(text, HEADLINE, english=False) for text in texts]
    headlines = [upper_first(clause) for clause in clauses if clause]
    pairs = [f"{upper_first(own[0])}: {headline}" for headline in headlines[1:]] if own else []
    return [*headlines, *pairs]


POINTS_BACK = re.compile(r"\b(?:it|its|they|them|their|this|these|also)\b", re.IGNORECASE)  # to something not yet named


def _headlines(material: Material) -> list[str]:
    """Return the headlines of an approach: those on the angle first, then those on the page's first fact."""
    angle, approach = without_stop(material.angle), material.turn.approach.name
    words = {"A": upper_first(angle), "a": lower_first(angle), "p": material.product}
    on_angle = [form.format(**words) for form in _angle_headlines(angle)[approach]] if material.says_angle else []
    if material.is_on_fact:
        on_angle = _filled(FACT_HEADLINES[approach], material.angle, material)
    if approach == "offer":
        offer = head_clause(sentences(material.brief.offer)[0], HEADLINE - 30)
        on_angle += _filled(OFFER_HEADLINES, offer, material)
    fact = _lead(material.facts[0], material.product, english=True, limit=HEADLINE)
    on_fact = _filled(FACT_HEADLINES[approach], fact, material) if fact != material.angle else []
    return [headline for pair in zip_longest(on_angle, on_fact) for headline in pair if headline]


def _angle_headlines(angle: str) -> Mapping[str, Sequence[str]]:
    if len(angle.split()) == 1:
        return WORD_HEADLINES
    if DENIAL.match(angle):
        return DENIAL_HEADLINES
    if is_request(angle):
        return REQUEST_HEADLINES
    return STATEMENT_HEADLINES if is_statement(angle) else NAME_HEADLINES


def _filled(forms: Sequence[str], words: str | None, material: Material) -> list[str]:
    if not words:
        return []
    inside = lower_first(words)
    return [form.format(W=upper_first(words), w=inside, p=material.product) for form in forms]


def _eyebrow(material: Material, headline: str) -> str | None:
    """Return the angle when the headline leaves it out, else a word on what this is or for whom."""
    angle = upper_first(without_stop(material.angle))
    if material.says_angle and angle.casefold() not in headline.casefold():
        return angle if len(angle) <= EYEBROW else None
    if not material.is_english:
        return None
    forms = [form for form in EYEBROWS[material.turn.approach.name] if material.audience or "{audience}" not in form]
    options = [form.format(p=material.product, audience=material.audience) for form in forms]
    fitting = [option for option in options if len(option) <= EYEBROW and option.casefold() not in headline.casefold()]
    return material.choose(fitting, "eyebrow") if fitting else None


def _subheadline(material: Material, headline: str, limit: int = SUBHEADLINE) -> str:
    """Return one or two whole sentences of the brief that the headline does not say already."""
    product, offer = sentences(material.brief.product)[0], sentence(material.brief.offer)
    first, second = (*material.facts, *material.facts)[:2]
    pairs = {
        "promise": (product, first), "problem": (first, product), "bridge": (second, offer),
        "question": (first, second), "proof": (second, first), "features": (second, product),
        "objection": (first, offer), "offer": (offer, first),
    }  # fmt: skip
    lead, follow = pairs[material.turn.approach.name]
    candidates = [lead, follow] if material.lap % 2 == 0 else [follow, lead]
    if material.is_english:
        candidates = [named(text, material.product) for text in candidates]
        if POINTS_BACK.search(candidates[0]):
            candidates = [product, *candidates]
        line = material.framing.line
        if material.goes_on_with_framing and not (headline.endswith("?") and line.endswith("?")):
            candidates = [line, *candidates]
    fresh = [text for text in [*candidates, product, offer] if _adds_to(text, headline)] or [product]
    both = f"{fresh[0]} {fresh[1]}" if len(fresh) > 1 and fresh[0] != fresh[1] else fresh[0]
    if len(both) <= limit:
        return both
    return next((text for text in fresh if len(text) <= limit), material.clip(fresh[0], limit))


SAME_WORDS = 0.7  # share of the shorter text's words from which it says nothing new beside the longer one


def _adds_to(text: str, headline: str) -> bool:
    one, other = set(words_of(text)), set(words_of(headline))
    return len(one & other) < SAME_WORDS * min(len(one), len(other))


# The sections


def _english_sections(material: Material) -> list[Section]:
    order = material.choose(ORDERS[material.turn.approach.name], "order").split()
    shown, asked = _shared(material.facts, order)
    parts: dict[str, Section | None] = {
        "benefits": _benefits(material, shown),
        "frame": _frame(material),
        "steps": _steps(material),
        "faq": _faq(material, asked),
        "proof": _proof(material),
    }
    middle = [part for name in order if (part := parts[name]) is not None] or [_faq(material, material.facts)]
    # The steps end in the offer already.
    closing = _closing(material, offer="" if "steps" in order else sentence(material.brief.offer))
    if material.turn.approach.name == "offer" and isinstance(closing, FormSection):
        return [closing, *middle]
    return [*middle, closing]


def _shared(facts: Sequence[str], order: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the facts for benefits and those for questions: no page says the same twice."""
    if "faq" not in order or len(facts) <= FEWEST_BENEFITS:
        return facts, facts
    kept = max(FEWEST_BENEFITS, (len(facts) + 1) // 2)
    return (facts[:kept], facts[kept:]) if "benefits" in order else ((), facts)


def _benefits(material: Material, facts: Sequence[str]) -> Benefits | None:
    if len(facts) < FEWEST_BENEFITS:
        return None
    items: list[Benefit] = []
    for fact in facts[:MOST_BENEFITS]:
        items.append(_benefit(fact, {item.title for item in items}, material))
    return Benefits(title=material.choose(BENEFIT_TITLES[material.turn.approach.name], "benefits"), items=items)


def _benefit(fact: str, taken: set[str], material: Material) -> Benefit:
    topic = topic_of(fact)
    clause = title_clause(fact, TITLE, material.product)
    # A title in the fact's own words is best, but not when it leaves the text nothing to add.
    own = [clause] if clause and len(clause) < len(fact) * 0.6 else []
    free = [title for title in [*own, *topic.titles, *GENERAL.titles] if title not in taken]
    return Benefit(icon=topic.icon, title=free[0] if free else "And this", text=material.clip(fact, TEXT))


def _frame(material: Material) -> HowItWorks:
    framing = material.framing
    turn = material.turn.index
    steps = framing.steps if turn % 3 else framing.steps[:FEWEST_STEPS]
    return HowItWorks(title=framing.title, steps=[Step(title=title, text=text) for title, text in steps])


def _steps(material: Material) -> HowItWorks | None:
    action = material.brief.call_to_action
    labels = [_in_a_list(field.label) for field in material.brief.form_fields if field.is_required]
    asked = f"We ask for this and no more: {', '.join(labels)}." if labels else "The form is on this page."
    begin = asked if action.kind == "form" else "The button on this page takes you there."
    steps = [
        Step(title=action.label, text=begin if len(begin) <= TEXT else "The form is on this page."),
        Step(title="Get what you came for", text=material.clip(sentence(material.brief.offer), TEXT)),
    ]
    if material.turn.index % 2 and material.facts:
        steps.append(Step(title="See it for yourself", text=material.clip(material.facts[-1], TEXT)))
    return HowItWorks(title=material.choose(STEP_TITLES, "steps"), steps=steps)


def _in_a_list(label: str) -> str:
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def _faq(material: Material, facts: Sequence[str]) -> FAQ:
    items: list[Question] = []
    for fact in facts:
        question = topic_of(fact).question
        question = GENERAL.question if any(item.question == question for item in items) else question
        if all(item.question != question for item in items):
            items.append(Question(question=question, answer=fact))
    general = _general_questions(material)
    fewest = FEWEST_QUESTIONS + material.turn.index % 2
    return FAQ(title=material.choose(FAQ_TITLES, "faq"), items=[*general[: max(0, fewest - len(items))], *items])


def _general_questions(material: Material) -> list[Question]:
    subject = material.product if material.product in material.brief.product else "this"
    product = Question(question=f"What is {subject}?", answer=material.clip(material.brief.product, ANSWER))
    offer = Question(question="What do I get?", answer=material.clip(sentence(material.brief.offer), ANSWER))
    return [product, offer]


def _proof(material: Material) -> Proof | None:
    figures: list[Figure] = []
    for fact in material.facts:
        value, label = figure_in(fact), title_clause(fact, LABEL, material.product)
        if value and label and value in label and not is_by_period(value, label) and len(figures) < MOST_FIGURES:
            figures.append(Figure(value=value, label=label))
    return Proof(title=material.choose(PROOF_TITLES, "proof"), figures=figures) if figures else None


def _closing(material: Material, offer: str) -> FormSection | CallToAction:
    label = material.brief.call_to_action.label
    text = material.clip(offer, TEXT) or None
    if material.brief.call_to_action.kind == "form":
        return FormSection(title=material.choose(FORM_TITLES, "form"), text=text, submit=label)
    return CallToAction(title=material.choose(CLOSING_TITLES, "closing"), text=text, call_to_action=label)


def _foreign_sections(material: Material) -> list[Section]:
    """Return sections in the brief's own words alone, for a language the phrases are not in."""
    brief, label = material.brief, material.brief.call_to_action.label
    sections: list[Section] = []
    items = [
        Benefit(
            icon=topic_of(fact).icon, title=material.clip(without_stop(fact), TITLE), text=material.clip(fact, TEXT)
        )
        for fact in material.facts[: 2 + material.turn.index % 5]
    ]
    if len(items) >= FEWEST_BENEFITS:
        sections.append(Benefits(title=material.clip(without_stop(sentences(brief.product)[0]), HEADLINE), items=items))
    title, text = material.clip(without_stop(sentences(brief.offer)[0]), HEADLINE), material.clip(brief.offer, TEXT)
    if brief.call_to_action.kind == "form":
        return [*sections, FormSection(title=title, text=text, submit=label)]
    return [*sections, CallToAction(title=title, text=text, call_to_action=label)]


# Words the marketer wants on every page


def _with_required_words(content: PageContent, brief: BriefSpec) -> PageContent:
    """Put what must be said and is not said yet into the page's small print, as far as it has room.

    What finds no room is left out, and the gate says so: better a finding than a page of small print.
    """
    said = [words for place, words in texts(content) if place.startswith("sections.")]
    missing = [words for words in brief.must_say if not any(contains(text, words) for text in said)]
    if not missing:
        return content
    small_print, rest = _packed(missing, NOTE)
    hero = content.hero.model_copy(update={"note": small_print or None})
    return content.model_copy(update={"sections": [hero, *_noted(content.sections[1:], rest)]})


def _noted(sections: Sequence[Section], missing: list[str]) -> list[Section]:
    noted: list[Section] = []
    for section in sections:
        if isinstance(section, FormSection) and missing:
            note, missing = _packed(missing, FORM_NOTE)
            noted.append(section.model_copy(update={"note": note or None}))
        elif isinstance(section, CallToAction) and missing:
            text, missing = _packed(missing, TEXT - len(section.text or "") - 1)
            noted.append(section.model_copy(update={"text": f"{section.text or ''} {text}".strip()}))
        else:
            noted.append(section)
    return noted


def _packed(texts: Sequence[str], limit: int) -> tuple[str, list[str]]:
    """Return as many texts as fit, as sentences, and those that do not fit."""
    packed, rest = "", []
    for text in texts:
        longer = f"{packed} {sentence(text)}".strip()
        if len(longer) <= limit:
            packed = longer
        else:
            rest.append(text)
    return packed, rest
