import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variants.brief import BriefSpec
from variants.content import PageContent, texts
from variants.directions import of_angles, turn_for
from variants.gates import examine
from variants.matching import contains, words_of
from variants.novelty import SAME_WORDS_LIMIT, distinct_count
from variants.offline import compose, propose, with_another_button
from variants.wording import audience_phrase, clipped, figure_in, head_clause, title_clause

# From the documentation of Paperless-ngx, docs.paperless-ngx.com.
PAPERLESS = {
    "name": "Paperless-ngx spring page",
    "product": "Paperless-ngx is a document management system that turns your paper into a searchable archive. It runs "
    "on your own server.",
    "audience": "Small offices and families who drown in paper letters and fear losing the one that matters.",
    "offer": "Download Paperless-ngx free of charge and run it on your own server.",
    "facts": [
        "Paperless-ngx is free and open source software under the GPL-3.0 licence.",
        "It performs OCR on your documents, adding searchable and selectable text even to documents scanned with only "
        "images.",
        "It uses the open-source Tesseract engine to recognise more than 100 languages.",
        "Documents are saved as PDF/A, which is designed for long-term storage, alongside the unaltered originals.",
        "Your data is stored locally on your server and is never transmitted or shared in any way, unless you "
        "explicitly choose to do so.",
        "It uses machine learning to automatically add tags, correspondents and document types to your documents.",
        "Paperless-ngx can read documents from your e-mail accounts, with rules for every account.",
        "The easiest way to install it is Docker Compose.",
    ],
    "angles": ["Find any letter in seconds", "Peace of mind", "Your papers stay on your own server"],
    "must_say": ["Not a substitute for a backup."], "never_say": ["cheap", "begin", "simple"],
    "call_to_action": {"label": "Get the guide"},
}  # fmt: skip
COURSE = {
    "name": "Yoga, autumn", "product": "A ten-week beginners' yoga course in Ghent, taught by two physiotherapists.",
    "audience": "People with desk jobs and stiff backs.", "offer": "Your first evening costs nothing.",
    "facts": ["Classes are on Tuesdays from 19:30 to 20:45.",
              "No more than 12 people in a class", "The course costs €140"],
    "call_to_action": {"label": "Book", "kind": "link", "url": "https://example.com/"},
}  # fmt: skip
BARE = {"name": "x", "product": "Soap", "audience": "Hands", "offer": "Soap", "call_to_action": {"label": "Buy"}}


def brief(base=PAPERLESS, **changed):
    return BriefSpec.model_validate({**base, **changed})


def pages(spec, count=24):
    plan = propose(spec, 12)
    return [compose(spec, turn_for(plan, index)) for index in range(count)]


def test_a_hundred_different_pages_come_of_three_angles_and_eight_facts():
    assert distinct_count(pages(brief(), 120), brief(), limit=SAME_WORDS_LIMIT) >= 100


@pytest.mark.parametrize("base", [PAPERLESS, COURSE, BARE], ids=["paperless", "course", "bare"])
def test_every_page_passes_every_gate(base):
    spec = brief(base)
    assert [finding for content in pages(spec, 100) for finding in examine(content, spec)] == []


def test_the_same_brief_and_direction_give_the_same_page():
    assert pages(brief()) == pages(brief())


def test_every_page_takes_its_directions_angle():
    assert [content.angle for content in pages(brief(), 3)] == PAPERLESS["angles"]


def test_the_promise_stands_in_or_above_the_headline():
    for content in pages(brief(), 100):
        shown = f"{content.hero.eyebrow or ''} {content.hero.headline}"
        assert contains(shown, content.angle) or shown.startswith("Download"), shown


CLUMSY = re.compile(
    r"(?:like|ready|hard|ask|way|takes|step|want|helps you|could|which you|missing from your week\?|what if, .*),? "
    r"(?:to )?(?:calm|speed|simple|relax|never|no|not|nothing|do not)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "angle", ["Calm", "Speed", "Simple", "Relax", "Never lose a note", "No more paper", "Not another app",
              "Nothing leaves your server", "Do not lose a note"]
)  # fmt: skip
def test_a_single_word_or_a_denial_gets_a_headline_that_it_fits_into(angle):
    spec = brief(angles=[angle])
    headlines = {compose(spec, turn_for(of_angles(spec), index)).hero.headline for index in range(100)}
    assert [headline for headline in headlines if CLUMSY.search(headline)] == []
    assert sum(contains(headline, angle) for headline in headlines) >= 10


def test_a_brief_without_angles_does_not_show_the_writers_notes():
    shown = " ".join(
        words for content in pages(brief(angles=[])) for place, words in texts(content) if place != "angle"
    )
    assert "the reader" not in shown


def test_another_language_hears_only_the_briefs_own_words():
    spec = brief(
        BARE, language="de", product="Der Wärmepumpen-Check prüft, ob Ihr Haus geeignet ist.", audience="Hausbesitzer",
        offer="Kostenloser Check mit Ergebnis.", facts=["Er dauert zwanzig Minuten.", "Sie erhalten ein PDF."],
        angles=["Wissen statt raten"], call_to_action={"label": "Anfordern"},
    )  # fmt: skip
    known = set(words_of(" ".join([spec.name, spec.product, spec.offer, *spec.angles, "Anfordern",
                                   *(fact.text for fact in spec.facts)])))  # fmt: skip
    assert {word for content in pages(spec) for _, words in texts(content) for word in words_of(words)} <= known


sentence_like = st.text(alphabet=st.sampled_from("abc ABC.,;:()“”'-1€%é界\u200d"), min_size=1, max_size=380).filter(
    lambda text: text.replace("\u200d", "").strip()  # a brief refuses text that nobody could see
)


@settings(max_examples=60, deadline=None)
@given(facts=st.lists(sentence_like, max_size=5), angles=st.lists(sentence_like.map(lambda t: t.strip()[:120]),
       max_size=2),       index=st.integers(0, 500), offer=sentence_like)  # fmt: skip
def test_whatever_the_brief_says_a_valid_page_comes_of_it(facts, angles, index, offer):
    spec = brief(
        BARE, facts=facts, angles=[angle for angle in angles if angle.replace("\u200d", "").strip()], offer=offer
    )
    content = compose(spec, turn_for(propose(spec, 12), index))
    assert PageContent.model_validate(content.model_dump(mode="json")) == content


def test_a_title_is_cut_where_a_person_would():
    fact = "Your data is stored locally on your server and is never transmitted or shared in any way."
    assert head_clause(fact, 60) == "Your data is stored locally on your server"
    assert title_clause("It reads scans, photos and PDF files of any size you can think of", 30, "X") == "Reads scans"


def test_nothing_is_cut_inside_a_word():
    assert clipped("Extraordinarily longwinded", 20).rstrip("…") == "Extraordinarily"


def test_only_whom_it_is_for_is_said_not_what_they_fear():
    assert audience_phrase("Small offices who fear losing a letter.", 50) == "small offices"
    assert audience_phrase("People who worry.", 50) is None


def test_a_figure_is_taken_with_its_unit_and_licences_are_no_figures():
    assert figure_in("It knows more than 100 languages.") == "100 languages"
    assert figure_in("It is under the GPL-3.0 licence.") is None
    assert figure_in("Founded in 1998.") is None


def test_a_button_written_anew_says_something_else_and_passes_every_gate():
    spec = brief()
    turns = [turn_for(propose(spec, 12), index) for index in range(60)]
    page, held = compose(spec, turns[0]), "Get the guide"
    made = [with_another_button(page, spec, turn, held) for turn in turns]
    said = {one.hero.call_to_action for one in made}
    assert held not in said
    assert len(said) >= 3
    assert [finding for one in made for finding in examine(one, spec)] == []
    assert with_another_button(page, spec, turns[0], "Get the guide now").hero.call_to_action != "Get the guide now"
