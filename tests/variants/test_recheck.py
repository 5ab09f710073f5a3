"""A brief that changes is held against the variants that are there: what no longer fits is seen; nothing else moves."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from tests.model_server import page
from variants import recheck, review, tasks
from variants.models import Brand, Brief, Image, Nursery, Variant

Status = Variant.Status
PRICE = "Repairs start at 29 euros"


@pytest.fixture
def nursery(nursery: Nursery) -> Nursery:
    nursery.brief.facts = [*nursery.brief.facts, PRICE]
    nursery.brief.save()
    return nursery


def approved(nursery: Nursery, headline: str = PRICE) -> Variant:
    return review.approve(review.add_variant(nursery, page(headline)), None)


def save(brief: Brief, **changes: object) -> None:
    """Save a brief as whoever has just opened it."""
    fresh = Brief.objects.get(pk=brief.pk)
    for name, value in changes.items():
        setattr(fresh, name, value)
    fresh.save()


def without_the_price(brief: Brief) -> list[object]:
    return [fact for fact in brief.facts if fact != PRICE]


def held(variant: Variant) -> Variant:
    assert recheck.hold(variant.nursery.brief_id) is False
    return Variant.objects.get(pk=variant.pk)


def test_a_fact_that_is_taken_out_is_found_missing_on_the_pages_that_say_it(nursery):
    says, says_not = approved(nursery), approved(nursery, "Find any letter at last")
    save(nursery.brief, facts=without_the_price(nursery.brief))
    found, other = held(says), held(says_not)
    assert found.misfit == f"“{PRICE}”"
    assert [finding["words"] for finding in found.findings if finding["blocks"]] == ["29 euros"]
    assert "29 euros" not in {trace["words"] for trace in found.traces}
    assert other.misfit == ""


def test_nothing_but_what_the_gates_say_is_changed(nursery):
    variant = approved(nursery)
    save(nursery.brief, facts=without_the_price(nursery.brief))
    told = {"findings", "traces", "misfit", "held_against"}
    kept = [field.name for field in Variant._meta.concrete_fields if field.name not in told]
    before = Variant.objects.values(*kept).get(pk=variant.pk)
    held(variant)
    assert Variant.objects.values(*kept).get(pk=variant.pk) == before


def test_a_fact_that_is_put_back_settles_it(nursery):
    variant, facts = approved(nursery), nursery.brief.facts
    save(nursery.brief, facts=without_the_price(nursery.brief))
    held(variant)
    save(nursery.brief, facts=facts)
    assert held(variant).misfit == ""


@pytest.mark.parametrize(
    ("changes", "misfit"),
    [
        ({"must_say": ["Terms apply"]}, "“Terms apply” is missing"),
        ({"never_say": ["repairs"]}, f"“{PRICE}”"),
        ({"call_to_action_kind": "link", "call_to_action_url": "https://a.example/"}, "The brief's button is a link"),
    ],
)
def test_whatever_the_gates_read_of_a_brief_is_held_against_its_pages(nursery, changes, misfit):
    variant = approved(nursery)
    save(nursery.brief, **changes)
    assert held(variant).misfit.startswith(misfit)


def test_what_a_browser_saw_and_what_was_compared_stay(nursery):
    variant = approved(nursery)
    others = [
        {"gate": gate, "field": "", "words": "", "reason": gate, "blocks": False} for gate in ("overflow", "novelty")
    ]
    Variant.objects.filter(pk=variant.pk).update(findings=others)
    save(nursery.brief, facts=without_the_price(nursery.brief))
    assert {finding["gate"] for finding in held(variant).findings} == {"claims", "overflow", "novelty"}


def test_rejected_variants_are_left_alone_and_drafts_are_not(nursery):
    draft = review.add_variant(nursery, page(PRICE))
    rejected = review.reject(review.add_variant(nursery, page(PRICE)), None)
    save(nursery.brief, facts=without_the_price(nursery.brief))
    assert (held(draft).misfit, held(rejected).misfit) == (f"“{PRICE}”", "")
    assert review.reconsider(rejected, None).misfit == f"“{PRICE}”"


def test_every_nursery_of_the_brief_is_looked_at_and_none_of_another(nursery):
    second = approved(Nursery.objects.create(brief=nursery.brief))
    strange = Brief.objects.create(**{**_values(nursery.brief), "name": "Another"})
    other = approved(Nursery.objects.create(brief=strange))
    save(nursery.brief, facts=without_the_price(nursery.brief))
    assert held(second).misfit
    assert not Variant.objects.get(pk=other.pk).misfit
    assert recheck.due() == []


def _values(brief: Brief) -> dict[str, object]:
    kept = [field.attname for field in Brief._meta.concrete_fields if field.name not in {"id", "created_at", "name"}]
    return {name: getattr(brief, name) for name in kept}


def test_a_save_asks_for_one_look_and_one_that_changes_nothing_for_none(nursery, django_capture_on_commit_callbacks):
    approved(nursery)
    with django_capture_on_commit_callbacks() as asked:
        save(nursery.brief)
    assert not asked
    with django_capture_on_commit_callbacks() as asked:
        save(nursery.brief, facts=without_the_price(nursery.brief))
    assert len(asked) == 1


@pytest.mark.usefixtures("db", "eager_tasks")
def test_saving_is_all_it_takes(nursery, django_capture_on_commit_callbacks):
    variant = approved(nursery)
    with django_capture_on_commit_callbacks(execute=True):
        save(nursery.brief, facts=without_the_price(nursery.brief))
    assert Variant.objects.get(pk=variant.pk).misfit


def test_a_picture_that_is_taken_off_the_brand_is_missed(nursery):
    picture = Image.objects.create(brand=nursery.brief.brand, name="A van", width=1, height=1, data=b"")
    content = page(PRICE)
    content["sections"][0]["image"] = picture.name
    variant = review.approve(review.add_variant(nursery, content), None)
    picture.delete()
    assert recheck.due() == [nursery.brief_id]
    assert held(variant).misfit == "“A van”"


@pytest.mark.usefixtures("db", "eager_tasks")
def test_what_a_lost_task_left_and_what_a_brand_changed_is_found_by_the_timetable(nursery):
    variant = approved(nursery, "Letters of Paperless Europe")
    assert recheck.due() == []
    Brand.objects.update(name="Elm")
    assert recheck.due() == [nursery.brief_id]
    before = Variant.objects.get(pk=variant.pk).held_against
    tasks.hold_all()
    assert recheck.due() == []
    assert Variant.objects.get(pk=variant.pk).held_against != before


def test_a_pass_that_runs_out_of_time_leaves_the_rest_to_the_next(nursery, monkeypatch):
    monkeypatch.setattr(recheck, "BATCH", 2)
    made = [approved(nursery) for _ in range(5)]
    save(nursery.brief, facts=without_the_price(nursery.brief))
    assert recheck.hold(nursery.brief_id, seconds=0) is True
    assert Variant.objects.exclude(misfit="").count() == 2
    assert recheck.hold(nursery.brief_id) is False
    assert Variant.objects.exclude(misfit="").count() == len(made)


def test_of_two_briefs_that_follow_each_other_the_last_one_wins(nursery):
    """One worker has read the first when the second is saved and held: what it writes late must not stand."""
    variant, facts = approved(nursery), nursery.brief.facts
    save(nursery.brief, facts=without_the_price(nursery.brief))
    late = recheck._batch(nursery.brief_id)
    assert late[0].nursery.brief.facts == without_the_price(nursery.brief)  # it is read now
    save(nursery.brief, facts=facts, never_say=["server"])
    held(variant)
    recheck._hold(late[0])
    assert (Variant.objects.get(pk=variant.pk).misfit, recheck.due()) == ("", [])


def test_what_was_edited_meanwhile_keeps_what_is_said_of_its_new_words(nursery):
    variant = review.add_variant(nursery, page(PRICE))
    save(nursery.brief, facts=without_the_price(nursery.brief))
    late = recheck._batch(nursery.brief_id)
    review.edit(Variant.objects.get(pk=variant.pk), page("Guaranteed"), None, is_live=False)
    Variant.objects.filter(pk=variant.pk).update(held_against=late[0].held_against)
    recheck._hold(late[0])
    assert Variant.objects.get(pk=variant.pk).misfit == held(variant).misfit == "“Guaranteed”"


def test_a_brief_at_fault_and_a_page_nobody_can_read_stand_in_nobodys_way(nursery, caplog):
    broken, sound = approved(nursery), approved(nursery)
    Variant.objects.filter(pk=broken.pk).update(content={"angle": "of an earlier time"})
    save(nursery.brief, facts=without_the_price(nursery.brief))
    assert held(sound).misfit
    assert "cannot be held against its brief" in caplog.text
    Brief.objects.update(call_to_action_label="")
    assert (recheck.due(), recheck.hold(nursery.brief_id)) == ([], False)


@pytest.mark.django_db(transaction=True)
def test_workers_that_hold_the_same_brief_while_it_is_saved_end_with_its_last_words(nursery):
    variants = [approved(nursery) for _ in range(5)]
    facts = nursery.brief.facts

    def work(turn: int) -> None:
        try:
            if turn % 3 == 0:
                save(nursery.brief, facts=facts if turn % 2 else without_the_price(nursery.brief))
            recheck.hold(nursery.brief_id)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(12)))
    save(nursery.brief, facts=without_the_price(nursery.brief))
    recheck.hold(nursery.brief_id)
    assert Variant.objects.exclude(misfit="").count() == len(variants)
    assert recheck.due() == []
