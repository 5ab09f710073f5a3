import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import labelled_pages
from tests.model_server import page
from variants import novelty
from variants.content import PageContent
from variants.meaning import vector_of
from variants.novelty import DUPLICATE_LIMIT, PageSet, distinct_count, fingerprint, groups, matrix

LETTERS = "Find any letter again"
DESK = ("Your desk, empty by noon", "Scan the pile and go for a walk.")


def content(headline=LETTERS, subheadline=None, *, theme=None, benefits=()):
    made = page(headline)
    made["sections"][0]["subheadline"] = subheadline or made["sections"][0]["subheadline"]
    made["theme"] |= theme or {}
    items = [{"title": title, "text": text} for title, text in benefits]
    made["sections"] += [{"kind": "benefits", "title": "Why", "items": items}] if items else []
    return PageContent.model_validate(made)


def nearest(known, page):
    match = known.nearest(fingerprint(page))
    assert match is not None
    return match


def likeness(one, other):
    return float(matrix([fingerprint(one), fingerprint(other)])[0, 1])


words = st.text(alphabet="abcdefgh ", min_size=1, max_size=60).filter(str.strip)


@given(words, words)
def test_likeness_is_symmetric_and_at_most_1(one, other):
    alike = matrix([fingerprint(content(one)), fingerprint(content(other)), fingerprint(content())])
    assert np.allclose(alike, alike.T, atol=1e-5)
    assert (alike <= 1 + 1e-5).all()


def test_a_page_is_wholly_like_itself():
    assert likeness(content(), content()) == pytest.approx(1)


def test_the_same_words_in_another_dress_are_a_repeat():
    dressed = content(theme={"layout": "ledger", "palette": "clay", "typography": "mono"})
    assert likeness(dressed, content()) == pytest.approx(1)


def test_one_word_swapped_is_a_repeat():
    known = PageSet([fingerprint(content(*DESK)), fingerprint(content())])
    found = nearest(known, content("Find every letter again"))
    assert (found.position, found.is_repeat) == (1, True)


def test_another_promise_makes_another_page():
    assert not nearest(PageSet([fingerprint(content())]), content(*DESK)).is_repeat


def test_an_empty_set_holds_nothing_alike():
    assert PageSet().nearest(fingerprint(content())) is None
    assert matrix([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Find any letter in seconds", "Look up a forgotten invoice in a moment"),
        ("Sleep through the night", "Rest in bed until the morning"),
    ],
)
def test_texts_that_say_the_same_in_other_words_lie_closer_than_others(one, other):
    third = vector_of("Cheaper than the supermarket, counted honestly")
    assert vector_of(one) @ vector_of(other) > vector_of(one) @ third + 0.2


@pytest.mark.parametrize("language", ["Jeden Brief in Sekunden wiederfinden", "数秒で手紙を見つける", "Найти письмо"])
def test_a_text_in_another_language_is_like_itself_and_unlike_another(language):
    changed, other = vector_of(language + "!"), vector_of("Täglich frisches Gemüse vom Hof 野菜")
    assert vector_of(language) @ changed > 0.8
    assert vector_of(language) @ other < 0.5


def test_a_text_without_words_has_no_direction():
    assert not vector_of("… – !").any()


@pytest.mark.parametrize("half", [labelled_pages.TUNING, labelled_pages.HELD_OUT])
def test_paraphrases_by_hand_are_told_from_alternatives(half):
    """Guards what benchmarks/novelty.py measures in full."""
    same: list[float] = []
    different: list[float] = []
    for pages in labelled_pages.briefs(half):
        alike = matrix([fingerprint(one.content) for one in pages], about=vector_of(pages[0].about))
        for one, other, is_same in labelled_pages.pairs(pages):
            (same if is_same else different).append(float(alike[one, other]))
    assert np.mean(np.greater.outer(same, different)) > 0.88
    assert np.mean(np.array(same) >= DUPLICATE_LIMIT) > 0.6
    assert np.mean(np.array(different) >= DUPLICATE_LIMIT) < 0.03


def test_the_same_facts_under_another_promise_are_another_page():
    facts = [("Full-text search", "Type a word and see its page."), ("Open source", "Anyone can look inside.")]
    known = PageSet([fingerprint(content(benefits=facts))], about=vector_of("An archive for papers, with search."))
    assert not nearest(known, content(*DESK, benefits=facts)).is_repeat


def test_repeats_are_counted_once():
    other = content(*DESK)
    assert distinct_count([content(), content(), other, content()]) == 2
    assert distinct_count([]) == 0


def test_each_page_is_grouped_with_the_first_that_it_repeats():
    prints = [fingerprint(one) for one in (content(), content(*DESK), content("Find every letter again"))]
    assert groups(matrix(prints)) == [0, 1, 0]


def test_a_set_row_agrees_with_the_whole_matrix():
    pages = labelled_pages.briefs(labelled_pages.TUNING)[0]
    prints = [fingerprint(one.content) for one in pages]
    found = nearest(PageSet(prints[1:]), pages[0].content)
    row = matrix(prints)[0, 1:]
    assert (found.position, found.likeness) == (row.argmax(), pytest.approx(row.max(), abs=1e-5))


def test_five_hundred_pages_are_compared_each_with_each_in_seconds():
    pages = [one.content for brief in labelled_pages.briefs(labelled_pages.TUNING) for one in brief]
    prints = [fingerprint(one) for one in pages] * 9
    started = time.process_time()
    assert matrix(prints[:500]).shape == (500, 500)
    assert time.process_time() - started < 20  # measured: 0.2; a loop over pairs would take minutes


def test_pages_survive_the_way_through_json():
    assert likeness(PageContent.model_validate(json.loads(content().model_dump_json())), content()) == pytest.approx(1)


def test_a_stricter_limit_lets_more_pages_pass():
    pages = [one.content for one in labelled_pages.briefs(labelled_pages.TUNING)[0]]
    assert distinct_count(pages) < distinct_count(pages, limit=novelty.SAME_WORDS_LIMIT)


def test_the_more_pages_there_are_the_more_alike_two_must_be_to_count_as_one():
    few, many = np.full((8, 8), 0.2), np.full((100, 100), 0.2)
    assert set(groups(few)) == {0}
    assert len(set(groups(many))) == 100
