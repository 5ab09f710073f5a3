"""What holds of the gates whatever people and models write."""

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.model_server import page
from tests.variants.gate_cases import PLAIN_BRIEF, claim_cases, page_saying
from variants.brief import BriefSpec
from variants.content import PageContent
from variants.figures import figures_in
from variants.gates import examine, ledger_of_page
from variants.matching import says

BRIEFS = sorted({case.brief.name: case.brief for case in claim_cases("tuned")}.values(), key=lambda brief: brief.name)
SIGNS = st.sampled_from("0123456789 .,%€$-–/“”!ABab")
WRITTEN = st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")) | SIGNS, max_size=200)


def blocking(text, brief, gate="claims"):
    return [one for one in examine(page_saying(text), brief) if one.gate == gate and one.blocks]


@pytest.mark.parametrize("brief", BRIEFS, ids=lambda brief: brief.name)
def test_a_fact_of_the_brief_is_never_blocked_as_a_claim(brief):
    assert [(fact.text, blocking(fact.text, brief)) for fact in brief.facts if blocking(fact.text, brief)] == []


@settings(max_examples=60, deadline=None)
@given(text=WRITTEN.map(str.strip))
def test_whatever_the_fact_says_a_page_may_repeat_it(text):
    try:
        brief = BriefSpec.model_validate({**PLAIN_BRIEF, "facts": [text]})
    except ValidationError:
        return  # a brief refuses what cannot be seen
    said = brief.facts[0].text
    assert blocking(said, brief) == []


INVENTED = ("{} offices use it.", "Save {}% of your time.", "Only €{} a month.", "{}x faster.", "In {} minutes.",
            "Since {}, offices trust us.", "{} out of 100 offices stay.", "Up to {} percent less paper.")  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(number=st.integers(2, 99_999), sentence=st.sampled_from(INVENTED), brief=st.sampled_from(BRIEFS))
@example(number=96_768, sentence="In {} minutes.", brief=BRIEFS[-1])  # not far from the ten weeks of a course
def test_an_invented_figure_always_blocks_a_clean_page(number, sentence, brief):
    known = {figure.value for fact in brief.facts for figure in figures_in(fact.text, brief.language)}
    if number in known | {60 * one for one in known} | {2, 12, 20, 50, 60, 80, 90}:
        return  # the brief says it, perhaps in other words
    text = sentence.format(number)
    assert blocking(text, brief), text


LEET = {"a": "4", "e": "3", "o": "0", "i": "1", "s": "5", "t": "7"}
LOOK_ALIKE = {"a": "а", "e": "е", "o": "о", "c": "с", "p": "р", "x": "х", "i": "і"}
DISGUISES = (
    str.upper,
    " ".join,
    ".".join,
    "\u200b".join,
    "\u00ad".join,
    lambda word: f"{word[:2]}-{word[2:]}",
    lambda word: "".join(LEET.get(letter, letter) for letter in word),
    lambda word: "".join(LOOK_ALIKE.get(letter, letter) for letter in word),
    lambda word: "".join(chr(ord(letter) + 0xFEE0) for letter in word),
    lambda word: "".join(chr(ord(letter) - ord("a") + 0x1D41A) for letter in word),
    lambda word: "".join(f"{letter}\u0301" for letter in word),
    lambda word: word[0] + word[1] * 4 + word[2:],
    "_".join,
    lambda word: f"“{word}”,",
)


@pytest.mark.parametrize("word", ["cheap", "freebie", "bargain", "lottery", "casino", "toxic", "miracle"])
@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("ending", ["", "s"])
def test_a_forbidden_word_is_found_under_every_disguise(word, disguise, ending):
    assert says(f"This is {disguise(word + ending)} indeed", word)


@settings(max_examples=60, deadline=None)
@given(text=WRITTEN, brief=st.sampled_from(BRIEFS))
def test_the_gates_give_the_same_answer_twice_and_never_fail(text, brief):
    try:
        content = page_saying(text)
    except ValidationError:
        return  # the content refuses what cannot be seen
    assert examine(content, brief) == examine(content, brief)
    assert ledger_of_page(content, brief) == ledger_of_page(content, brief)


def hostile_words():
    folder = os.environ.get("CORPORA_DIR")
    if not folder:
        pytest.skip("CORPORA_DIR is not set")
    files = [Path(folder) / name for name in (
        "xss/vectors.jsonl", "xss/benign.jsonl", "extra/open_redirects.jsonl", "extra/csv_cells.jsonl",
        "tracking_payloads/jsontestsuite.jsonl")]  # fmt: skip
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    words = sorted({" ".join(str(value).split())[:240] for row in rows for value in row.values()})
    return random.Random(0).sample(words, min(700, len(words)))


@pytest.mark.corpora
def test_hostile_words_break_no_gate_and_markup_never_passes():
    brief, passed = BRIEFS[0], []
    for words in hostile_words():
        try:
            content = page_saying(words)
        except ValidationError:
            continue
        found = examine(content, brief)
        if "<script" in words.casefold() and not any(one.blocks for one in found):
            passed.append(words)
    assert passed == []


def test_a_whole_page_of_nothing_but_figures_is_judged():
    content = page()
    questions = [{"question": "1 " * 60, "answer": "up to 10 to 15% of 3 in 4, " * 20}] * 8
    content["sections"].append({"kind": "faq", "title": "x", "items": questions})
    assert examine(PageContent.model_validate(content), BRIEFS[0])
