import pytest
from django.contrib.auth import get_user_model
from pydantic import ValidationError

from tests.model_server import page
from variants import review
from variants.models import Variant

Status = Variant.Status


@pytest.fixture
def editor(db):
    return get_user_model().objects.create_user("edda")


@pytest.fixture
def variant(nursery):
    return review.add_variant(nursery, page())


def test_a_new_variant_is_a_numbered_draft_named_by_its_headline(nursery, variant):
    second = review.add_variant(nursery, page("Another matter"), name="Second try")
    assert (variant.number, variant.name, variant.status) == (1, "Find any letter again", Status.DRAFT)
    assert (second.number, second.name) == (2, "Second try")


def test_every_fault_of_the_content_is_named(nursery):
    with pytest.raises(ValidationError) as caught:
        review.add_variant(nursery, {**page("x" * 91), "status": "approved"})
    assert {fault["loc"][-1] for fault in caught.value.errors()} == {"headline", "status"}


def test_only_one_control_fits_into_a_nursery(nursery):
    review.add_variant(nursery, page(), is_control=True)
    with pytest.raises(review.SecondControl):
        review.add_variant(nursery, page("Another"), is_control=True)


def test_approval_names_who_decided(variant, editor):
    review.approve(variant, editor)
    assert (variant.status, variant.reviewed_by) == (Status.APPROVED, editor)
    assert variant.reviewed_at is not None


def test_findings_stand_in_the_way_of_approval(nursery, editor):
    variant = review.add_variant(nursery, page("Guaranteed by 40 banks"))
    with pytest.raises(review.Blocked) as caught:
        review.approve(variant, editor)
    assert {finding.words for finding in caught.value.findings} >= {"Guaranteed", "40 banks"}
    variant.refresh_from_db()
    assert variant.status == Status.DRAFT


def test_approval_asks_the_brief_as_it_is_now(nursery, variant, editor):
    nursery.brief.never_say = ["letter"]
    nursery.brief.save()
    with pytest.raises(review.Blocked):
        review.approve(variant, editor)
    variant.refresh_from_db()
    assert variant.findings


def test_only_the_first_of_two_decisions_counts(variant, editor):
    other = Variant.objects.get(pk=variant.pk)
    review.reject(variant, editor)
    with pytest.raises(review.WrongVariantStatus):
        review.approve(other, editor)


def test_nobody_approves_a_text_they_have_not_seen(variant, editor):
    seen_before = Variant.objects.get(pk=variant.pk)
    review.edit(variant, page("Another matter"), editor, is_live=False)
    with pytest.raises(review.WrongVariantStatus):
        review.approve(seen_before, editor)


def test_an_edit_makes_a_draft_of_an_approved_page(variant, editor):
    review.approve(variant, editor)
    review.edit(variant, page("Another matter"), editor, is_live=False)
    assert (variant.status, variant.page.hero.headline) == (Status.DRAFT, "Another matter")


def test_a_variant_keeps_what_its_claims_rest_on(nursery, editor):
    said = page()
    said["sections"][0]["subheadline"] = "It reads over 100 languages."
    variant = review.add_variant(nursery, said)
    [trace] = [trace for trace in variant.traces if trace["field"] == "sections.0.subheadline"]
    assert (trace["words"], trace["fact"]) == ("100", "fact 1")
    assert trace["text"] == "It recognises more than 100 languages."
    review.edit(variant, page(), editor, is_live=False)
    assert not [trace for trace in variant.traces if trace["words"] == "100"]


def test_the_brand_s_own_name_is_no_stranger_s(nursery):
    said = page()
    said["sections"][0]["subheadline"] = "You get it from Happy Paws every morning."
    variant = review.add_variant(nursery, said)
    assert [finding["words"] for finding in variant.findings] == ["Happy Paws"]
    type(nursery.brief.brand).objects.update(name="Happy Paws")
    nursery.brief.brand.refresh_from_db()
    assert review.judge(variant.page, nursery).findings == []


def test_an_edit_is_looked_at_afresh(variant, editor):
    review.edit(variant, page("Guaranteed calm"), editor, is_live=False)
    assert [finding["words"] for finding in variant.findings] == ["Guaranteed"]


def test_a_name_that_nobody_gave_follows_the_headline(variant, nursery, editor):
    assert variant.name == variant.page.headline
    review.edit(variant, page("Another matter"), editor, is_live=False)
    assert variant.name == "Another matter"
    review.edit(variant, page("Calm dogs sleep well"), editor, is_live=False)
    review.add_variant(nursery, page("Another matter"))
    review.edit(variant, page("Another matter"), editor, is_live=False)
    assert variant.name == "Calm dogs sleep well"  # the name is taken
    named = review.add_variant(nursery, page("As a doctor says it"), name="The doctor")
    review.edit(named, page("As nobody says it"), editor, is_live=False)
    assert named.name == "The doctor"


def test_what_visitors_see_is_not_edited_or_rejected(variant, editor):
    with pytest.raises(review.LiveVariant):
        review.edit(variant, page("Another matter"), editor, is_live=True)
    with pytest.raises(review.LiveVariant):
        review.reject(variant, editor, is_live=True)


def test_a_rejected_page_comes_back_into_review_as_it_stands(variant, editor):
    before = variant.content
    review.reject(variant, editor)
    review.reconsider(variant, editor)
    assert (variant.status, variant.content) == ("draft", before)
    review.approve(variant, editor)
    with pytest.raises(review.WrongVariantStatus):
        review.reconsider(variant, editor)


def test_what_comes_back_is_compared_with_what_came_since(variant, nursery, editor):
    review.reject(variant, editor)
    other = review.add_variant(nursery, variant.content)
    Variant.objects.filter(pk=other.pk).update(status="approved", findings=[])
    review.reconsider(variant, editor)
    assert "novelty" in {finding["gate"] for finding in variant.findings}


def test_a_rejected_page_is_not_approved_at_once(variant, editor):
    review.reject(variant, editor)
    with pytest.raises(review.WrongVariantStatus):
        review.approve(variant, editor)
