import pytest

from tests.model_server import page
from variants import likeness, review
from variants.models import Variant

OTHER = ("Your desk, empty by noon", "Scan the pile and go for a walk.")


def content(headline, sub="Paper becomes a searchable archive."):
    made = page(headline)
    made["sections"][0]["subheadline"] = sub
    return made


@pytest.fixture
def twins(nursery):
    for headline, *sub in (("Find any letter again",), OTHER, ("Find every letter again",)):
        review.add_variant(nursery, content(headline, *sub))
    return nursery


def novelty_of(variant):
    return [finding for finding in variant.findings if finding["gate"] == "novelty"]


def test_a_nursery_tells_how_many_different_pages_it_holds(twins):
    found = likeness.look_at(twins)
    assert (len(found.variants), found.distinct, found.leaders) == (3, 2, (0, 1, 0))


def test_a_page_by_hand_that_repeats_another_is_remarked_and_can_be_approved(twins):
    repeat = twins.variants.get(number=3)
    (remark,) = novelty_of(repeat)
    assert "variant 1" in remark["reason"]
    assert not remark["blocks"]
    review.approve(repeat, by=None)
    assert novelty_of(Variant.objects.get(pk=repeat.pk))
    assert not novelty_of(twins.variants.get(number=2))


def test_an_edited_page_is_compared_with_the_others_and_not_with_itself(twins):
    edited = review.edit(twins.variants.get(number=3), content("Nine evenings of yoga by the lake", "Breathe."), None,
                         is_live=False)  # fmt: skip
    assert not novelty_of(edited)


def test_rejected_pages_count_no_more(twins):
    review.reject(twins.variants.get(number=3), by=None)
    assert len(likeness.look_at(twins).variants) == 2


def test_an_empty_nursery_holds_none(nursery):
    assert likeness.look_at(nursery).distinct == 0
