import json

from hypothesis import given
from hypothesis import strategies as st

from tests.model_server import page
from variants.content import PageContent
from variants.novelty import DUPLICATE_LIMIT, WEIGHTS, distinct_count, is_duplicate, similarity


def content(headline="Find any letter again", *, subheadline=None, theme=None):
    made = page(headline)
    made["sections"][0]["subheadline"] = subheadline or made["sections"][0]["subheadline"]
    made["theme"] |= theme or {}
    return PageContent.model_validate(made)


words = st.text(alphabet="abcdefgh ", min_size=1, max_size=60).filter(str.strip)


@given(words, words)
def test_similarity_is_symmetric_and_between_0_and_1(one, other):
    first, second = content(one), content(other)
    assert similarity(first, second) == similarity(second, first)
    assert 0 <= similarity(first, second) <= 1


def test_a_page_is_wholly_like_itself():
    assert similarity(content(), content()) == 1


def test_weights_share_out_one_whole():
    assert abs(sum(WEIGHTS.values()) - 1) < 1e-12


def test_the_same_words_in_another_dress_are_a_duplicate():
    dressed = content(theme={"layout": "ledger", "palette": "clay", "typography": "mono"})
    assert is_duplicate(dressed, [content()]) == 0


def test_one_word_swapped_is_a_duplicate():
    assert is_duplicate(content("Find every letter again"), [content()]) == 0


def test_another_headline_and_promise_make_another_page():
    other = content("Your desk, empty by noon", subheadline="Scan the pile and go for a walk.")
    assert similarity(other, content()) < DUPLICATE_LIMIT
    assert is_duplicate(other, [content()]) is None


@given(words, words, words)
def test_the_shortcut_agrees_with_the_whole_comparison(one, other, third):
    first, second = content(one, subheadline=third), content(other, subheadline=one)
    assert (is_duplicate(first, [second]) == 0) == (similarity(first, second) >= DUPLICATE_LIMIT)


def test_the_position_of_the_repeated_page_is_given():
    others = [content("Your desk, empty by noon", subheadline="Scan the pile and go for a walk."), content()]
    assert is_duplicate(content(), others) == 1


def test_repeats_are_counted_once():
    other = content("Your desk, empty by noon", subheadline="Scan the pile and go for a walk.")
    assert distinct_count([content(), content(), other, content()]) == 2
    assert distinct_count([]) == 0


def test_pages_survive_the_way_through_json():
    assert similarity(PageContent.model_validate(json.loads(content().model_dump_json())), content()) == 1
