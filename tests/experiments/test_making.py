"""From an idea to the start: beginnings, the five steps, copies, the gallery, texts, goals and the checklist."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from experiments.console import browse, comparing, feed, steps, texts
from experiments.console.checklist import checklist
from experiments.console.differences import compare
from experiments.duplication import duplicate, free_slug
from experiments.models import Conversion, Experiment, Exposure, Goal, Lead
from experiments.rehearsal import walkthrough
from tests.factories import make_brief, make_experiment, make_running, page
from variants import review
from variants.importing import import_page, pick, places_of, read_page
from variants.models import Brand, Brief, BriefDraft, Direction, Variant

pytestmark = pytest.mark.django_db

BRIEF = {
    "name": "Spring offer",
    "new_brand": "Wheels",
    "product": "Bicycle repair at your door.",
    "audience": "Commuters.",
    "offer": "A free check.",
    "facts": "Repairs start at 29 euros. -- price list\nA mechanic comes within 48 hours.",
    "tone": "clear and friendly",
    "language": "en",
    "call_to_action_label": "Book a repair",
    "call_to_action_kind": "form",
    "thank_you": "Thank you.",
}


@pytest.fixture
def client(owner: User) -> Client:
    made = Client()
    made.force_login(owner)
    return made


def url(name: str, *args: object) -> str:
    return reverse(f"admin:experiments_{name}", args=args)


def drafts(number: int, **brief: Any) -> Experiment:
    experiment = make_experiment(arms=0, slug="spring-offer", brief=make_brief(**brief))
    for place in range(number):
        review.add_variant(experiment.nursery, page(f"Find letter number {'abcdefghij'[place % 10]}"))
    return experiment


# --- beginning ------------------------------------------------------------------------------------------------------


def test_what_is_typed_is_kept_whether_it_makes_sense_or_not(client: Client):
    client.post(url("begin"))
    draft = BriefDraft.objects.get()
    answer = client.post(url("new_brief", draft.pk), {"name": "Half a", "product": ""}, headers={"HX-Request": "true"})
    assert "Kept as a draft" in answer.content.decode()
    assert 'value="Half a"' in client.get(url("new_brief", draft.pk)).content.decode()
    assert not Experiment.objects.exists()


def test_with_several_brands_none_is_chosen_for_the_marketer_and_a_new_one_may_be_named(client: Client):
    Brand.objects.create(name="Oak")
    draft = BriefDraft.objects.create(created_by=User.objects.get())
    selected = "selected>Oak"
    assert selected in client.get(url("new_brief", draft.pk)).content.decode()
    Brand.objects.create(name="Elm")
    assert "selected>Elm" not in client.get(url("new_brief", draft.pk)).content.decode()
    client.post(url("new_brief", draft.pk), BRIEF)
    assert Experiment.objects.get().nursery.brief.brand.name == "Wheels"


def test_a_brief_that_makes_sense_becomes_an_experiment_with_a_goal(client: Client):
    draft = BriefDraft.objects.create(created_by=User.objects.get())
    answer = client.post(url("new_brief", draft.pk), BRIEF)
    experiment = Experiment.objects.get()
    assert answer["Location"] == url("directions", experiment.pk)
    assert (experiment.slug, experiment.goals.get().key, Brand.objects.get().name) == (
        "spring-offer",
        "signup",
        "Wheels",
    )
    assert experiment.nursery.brief.facts[0] == {"text": "Repairs start at 29 euros.", "source": "price list"}
    assert not BriefDraft.objects.exists()


def test_nobody_sees_what_another_person_is_writing(client: Client):
    other = User.objects.create_user("other", is_staff=True)
    draft = BriefDraft.objects.create(created_by=other, values={"name": "Secret"})
    assert client.get(url("new_brief", draft.pk)).status_code == 404
    assert "Secret" not in client.get(url("begin")).content.decode()


@pytest.mark.parametrize("name", ["begin", "new_brief", "discard_brief"])
def test_who_may_not_set_up_experiments_is_refused_before_anything_is_looked_up(name: str):
    client = Client()
    client.force_login(User.objects.create_user("viewer", is_staff=True))
    assert client.post(url(name, *([4711] if name != "begin" else []))).status_code == 403


def test_changes_to_a_brief_wait_until_they_are_taken_over(client: Client):
    experiment = drafts(1)
    brief = experiment.nursery.brief
    client.post(url("brief_step", experiment.pk), {"name": "Other"}, headers={"HX-Request": "true"})
    assert Brief.objects.get(pk=brief.pk).name == brief.name
    assert steps.first_unfinished(experiment) == steps.BRIEF
    client.post(url("forget_changes", experiment.pk))
    assert steps.first_unfinished(experiment) != steps.BRIEF


def test_an_unreachable_page_does_not_keep_anybody_from_beginning(client: Client):
    answer = client.post(url("begin"), {"page_url": "http://127.0.0.1:9/"}, follow=True)
    assert "You can still write the brief" in answer.content.decode()
    assert BriefDraft.objects.count() == 1


@pytest.mark.parametrize(("slug", "free"), [("spring-offer", "spring-offer-2"), ("autumn", "autumn"), ("", "page")])
def test_an_address_that_is_taken_gets_a_number(slug: str, free: str):
    make_experiment(slug="spring-offer")
    assert free_slug(slug) == free


# --- the five steps -------------------------------------------------------------------------------------------------


def test_whoever_comes_back_stands_at_the_first_step_that_is_not_done(client: Client):
    experiment = make_experiment(arms=0, slug="spring")
    found = [steps.first_unfinished(experiment)]
    Direction.objects.create(nursery=experiment.nursery, number=1, angle="Speed")
    found.append(steps.first_unfinished(experiment))
    variant = review.add_variant(experiment.nursery, page())
    found.append(steps.first_unfinished(experiment))
    review.approve(variant, by=None)
    found.append(steps.first_unfinished(experiment))
    assert found == ["directions", "generate", "gallery", "launch"]
    assert client.get(url("go_on", experiment.pk))["Location"] == url("launch", experiment.pk)


def test_what_is_done_in_a_step_leads_back_to_it(client: Client):
    experiment = drafts(1)
    values = {"count": "3", "back_to": "generate"}
    assert client.post(url("experiment_grow", experiment.pk), values)["Location"].startswith(
        url("generate", experiment.pk)
    )
    elsewhere = client.post(url("experiment_grow", experiment.pk), {"count": "3", "back_to": "//evil.example"})
    assert elsewhere["Location"].startswith(url("experiment_workbench", experiment.pk))


# --- copies ---------------------------------------------------------------------------------------------------------


def test_a_copy_has_the_brief_directions_goals_and_approved_variants_and_no_data(owner: User):
    experiment = make_running(arms=2, slug="spring", visitors_per_day=500)
    for variant, headline in zip(experiment.nursery.variants.all(), ("Find any letter", "Sort no more"), strict=True):
        Variant.objects.filter(pk=variant.pk).update(content=page(headline))
    review.add_variant(experiment.nursery, page("A draft"))
    Direction.objects.create(nursery=experiment.nursery, number=1, angle="Speed", is_struck=True)
    Lead.objects.create(
        lead_id="1", experiment=experiment, values={"email": "a@b.example"}, submitted_at=timezone.now()
    )
    made = duplicate(experiment, by=owner, approves=True)
    variants = made.nursery.variants.all()
    assert (made.status, made.slug, made.visitors_per_day, made.created_by) == ("draft", "spring-2", 500, owner)
    assert [(each.status, each.is_control) for each in variants] == [("approved", True), ("approved", False)]
    assert made.nursery.directions.get().is_struck
    assert made.goals.get().key == "signup"
    assert not made.arms.exists()
    assert not made.leads.exists()
    assert made.nursery.brief != experiment.nursery.brief


def test_a_copy_of_somebody_who_may_not_approve_waits_for_a_review(owner: User):
    made = duplicate(make_experiment(arms=2), by=owner, approves=False)
    assert {variant.status for variant in made.nursery.variants.all()} == {"draft"}


# --- the gallery ----------------------------------------------------------------------------------------------------


def test_the_gallery_shows_what_was_asked_for():
    experiment = make_experiment(arms=3)
    blocked = review.add_variant(experiment.nursery, page("Loved by 900 customers"))
    found = browse.browse(experiment, browse.wanted({"found": "blocked"}))
    assert list(found.ids) == [blocked.pk]
    assert [(choice.value, choice.number) for choice in found.findings] == [
        ("misfit", 0),
        ("blocked", 1),
        ("remarks", 0),
        ("clean", 3),
    ]
    assert list(browse.browse(experiment, browse.wanted({"search": "LOVED"})).ids) == [blocked.pk]
    assert len(browse.browse(experiment, browse.wanted({"show": "approved", "direction": "speed"})).ids) == 3
    assert list(browse.browse(experiment, browse.wanted({"direction": "nobody's"})).ids) == []


def test_pages_that_repeat_another_can_be_told_from_the_others():
    experiment = make_experiment(arms=0)
    first, second = (review.add_variant(experiment.nursery, page("The same headline")) for _ in range(2))
    assert list(browse.browse(experiment, browse.wanted({"alike": "repeats"})).ids) == [second.pk]
    assert list(browse.browse(experiment, browse.wanted({"alike": "own"})).ids) == [first.pk]


@pytest.mark.parametrize("name", ["gallery", "generate", "compare", "launch"])
def test_a_step_asks_the_database_as_often_for_many_variants_as_for_few(name: str, client: Client):
    few, many = make_experiment(arms=3, slug="few"), make_experiment(arms=120, slug="many")
    client.get(url(name, few.pk))  # what is loaded once for the process
    counted = []
    for experiment in (few, many):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get(url(name, experiment.pk)).status_code == 200
        counted.append(len(asked))
    assert counted[0] == counted[1]
    assert counted[0] <= 60


# --- differences ----------------------------------------------------------------------------------------------------


def only(pieces: Any) -> list[str]:
    return [piece.words for piece in pieces if not piece.is_shared]


@pytest.mark.parametrize(
    ("left", "right", "gone", "new"),
    [
        ("Find any letter in seconds", "Find any letter in a minute", ["seconds"], ["a minute"]),
        ("The quick, old page is here", "The slow, new page is here", ["quick, old"], ["slow, new"]),
        ("Wholly other words", "Nothing is shared", ["Wholly other words"], ["Nothing is shared"]),
        ("The same", "The same", [], []),
        ("", "Only here", [], ["Only here"]),
        ("三月の提案です", "四月の提案です", ["三"], ["四"]),
    ],
)
def test_words_are_marked_as_a_reader_would(left: str, right: str, gone: list[str], new: list[str]):
    ours, theirs = compare(left, right)
    assert (only(ours), only(theirs)) == (gone, new)
    assert ("".join(piece.words for piece in ours), "".join(piece.words for piece in theirs)) == (left, right)


def test_two_pages_are_compared_place_by_place():
    experiment = make_experiment(arms=0)
    left = review.add_variant(experiment.nursery, page("Find any letter"))
    right = review.add_variant(experiment.nursery, page("Find any bill", layout="ledger"))
    different = {line.label for line in comparing.lines(left, right) if not line.is_same}
    assert different == {"Layout", "Title in the browser tab", "Top of the page · Headline"}


# --- texts, where they stand ----------------------------------------------------------------------------------------


def test_the_words_that_stand_in_the_way_are_marked_in_their_text():
    experiment = make_experiment(arms=0)
    variant = review.add_variant(experiment.nursery, page("Sorted within 2 hours, every letter"))
    text = texts.text_at(variant, "sections.0.headline")
    assert text is not None
    assert text.is_blocked
    assert "2 hours" in "".join(mark.words for mark in text.marks if mark.is_bad)
    assert "".join(mark.words for mark in text.marks) == "Sorted within 2 hours, every letter"


def test_a_text_is_changed_where_it_stands_and_checked_again(client: Client):
    experiment = drafts(1)
    variant = experiment.nursery.variants.get()
    review.approve(variant, by=None)
    place = "sections.0.headline"
    address = f"{url('variant_text', experiment.pk, variant.pk)}?place={place}&card"
    answer = client.post(address, {f"text-{variant.pk}-{place}": "Loved by 900 customers"})
    variant.refresh_from_db()
    assert (variant.page.hero.headline, variant.status) == ("Loved by 900 customers", "draft")
    assert answer["HX-Retarget"] == f"#words-{variant.pk}"
    assert "<mark>" in answer.content.decode()


def test_a_text_that_is_too_long_stays_in_its_field_with_the_reason(client: Client):
    experiment = drafts(1)
    variant, place = experiment.nursery.variants.get(), "sections.0.headline"
    address = f"{url('variant_text', experiment.pk, variant.pk)}?place={place}"
    body = client.post(address, {f"text-{variant.pk}-{place}": "x" * 95}).content.decode()
    assert "This has 95 characters; the most is 90." in body
    assert "x" * 95 in body


def test_a_text_that_visitors_see_is_not_changed(client: Client):
    experiment = make_running(arms=2)
    variant, place = experiment.nursery.variants.first(), "sections.0.headline"
    assert variant is not None
    address = f"{url('variant_text', experiment.pk, variant.pk)}?place={place}"
    assert "Copy it" in client.post(address, {f"text-{variant.pk}-{place}": "Other words"}).content.decode()
    assert Variant.objects.get(pk=variant.pk).page.hero.headline == "Headline v1"


def test_who_may_only_look_cannot_change_a_text():
    experiment = drafts(1)
    client = Client()
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(*_permissions("view_experiment"))
    client.force_login(user)
    address = f"{url('variant_text', experiment.pk, experiment.nursery.variants.get().pk)}?place=sections.0.headline"
    assert client.get(address).status_code == 200
    assert client.get(f"{address}&edit").status_code == client.post(address).status_code == 403


def _permissions(*names: str) -> Any:
    from django.contrib.auth.models import Permission  # noqa: PLC0415 - only here

    return Permission.objects.filter(codename__in=names)


# --- goals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Goal.Kind.FORM, Goal.Kind.CLICK, Goal.Kind.EVENT, Goal.Kind.REVENUE])
def test_a_test_visitor_reaches_every_kind_of_goal_and_is_not_counted(kind: Goal.Kind):
    experiment = make_experiment(arms=2, goal_kind=kind)
    goal = experiment.goals.get()
    walked = walkthrough.walk(experiment, goal)
    assert walked.is_reached, walked
    assert walked.steps[-1].came == "The event arrived."
    assert walkthrough.untested(experiment) == []
    assert not Exposure.objects.exists()
    assert not Lead.objects.exists()


def test_a_form_with_every_kind_of_field_is_filled_in():
    fields = [
        {"name": "email", "label": "E-mail", "kind": "email", "max_length": 254},
        {"name": "phone", "label": "Phone", "kind": "tel", "max_length": 40},
        {"name": "size", "label": "Team size", "kind": "select", "options": ["1-10", "more"]},
        {"name": "terms", "label": "Terms", "kind": "checkbox"},
        {"name": "why", "label": "Why", "kind": "textarea", "max_length": 5},
    ]
    experiment = make_experiment(arms=1, brief=make_brief(form_fields=fields))
    assert walkthrough.walk(experiment, experiment.goals.get()).is_reached


@pytest.mark.parametrize(
    ("goal", "brief", "came"),
    [
        ({"kind": "click", "link": "more"}, {}, "The page has no second link; give the brief one."),
        ({"kind": "form"}, {"call_to_action_kind": "link", "call_to_action_url": "https://shop.example/"},
         "The page has no form."),
    ],
)  # fmt: skip
def test_a_goal_that_cannot_be_reached_says_why_in_words(goal: dict[str, str], brief: dict[str, str], came: str):
    experiment = make_experiment(arms=1, brief=make_brief(**brief))
    Goal.objects.filter(experiment=experiment).update(**goal)
    walked = walkthrough.walk(experiment, experiment.goals.get())
    assert not walked.is_reached
    assert walked.steps[-1].came == came


def test_a_test_is_worth_nothing_once_the_page_or_the_goal_has_changed(owner: User):
    experiment = make_experiment(arms=1)
    goal = experiment.goals.get()
    walkthrough.walk(experiment, goal)
    assert walkthrough.untested(experiment) == []
    variant = experiment.nursery.variants.get()
    review.edit(variant, page("Another headline"), by=owner, is_live=False)
    assert walkthrough.untested(experiment) == [goal]


def test_a_goal_tested_without_scripts_is_told_on_the_step_which_may_be_reloaded(client: Client):
    experiment = make_experiment(arms=1)
    address, step = url("test_goals", experiment.pk), f"{url('launch', experiment.pk)}#goals"
    assert client.post(address).headers["Location"] == client.get(address).headers["Location"] == step
    assert "was reached by a test visitor" in client.get(step).content.decode()


def test_the_checklist_says_what_a_test_of_a_goal_found(owner: User):
    experiment = make_experiment(arms=1)
    goal = experiment.goals.get()

    def told() -> str:
        lines = checklist(Experiment.objects.get(pk=experiment.pk), owner).lines
        return next(line.note for line in lines if line.label == "Goal tested")

    assert told().startswith(f"Nobody has tried yet whether “{goal}” can be reached.")
    walkthrough.walk(experiment, goal)
    assert told() == "A test visitor opened today’s page as it is now and reached every goal."
    review.edit(experiment.nursery.variants.get(), page("Another headline"), by=owner, is_live=False)
    assert told().startswith(f"A test visitor reached “{goal}”, but page, brief or goal were changed since.")


@pytest.mark.parametrize(("place", "kind", "link"), [("cta", "click", "cta"), ("event", "event", "cta")])
def test_what_is_picked_on_the_page_becomes_a_goal(place: str, kind: str, link: str, client: Client):
    experiment = make_experiment(arms=1)
    client.post(url("set_goal", experiment.pk), {"place": place, "name": "Buy now!"})
    goal = experiment.goals.exclude(key="signup").get()
    assert (goal.key, goal.kind, goal.link, goal.is_primary) == ("buy-now", kind, link, False)
    client.post(url("set_goal", experiment.pk), {"decides": goal.pk})
    assert experiment.goals.get(is_primary=True) == goal
    client.post(url("set_goal", experiment.pk), {"leaves": goal.pk})
    assert experiment.goals.count() == 1


def test_goals_stay_as_they_are_after_the_start(client: Client):
    experiment = make_running()
    answer = client.post(url("set_goal", experiment.pk), {"place": "cta"}, follow=True)
    assert "What counts is fixed" in answer.content.decode()
    assert experiment.goals.count() == 1


# --- the checklist --------------------------------------------------------------------------------------------------


def lines(experiment: Experiment, user: User) -> dict[str, str]:
    return {line.label: line.state for line in checklist(experiment, user).lines}


def test_the_checklist_says_what_stands_in_the_way_and_what_is_advice(owner: User):
    experiment = make_experiment(arms=0)
    found = checklist(experiment, owner)
    assert found.reasons == ["Approve at least one variant first."]
    assert lines(experiment, owner) == {
        "Variants": "open", "Today’s page (control)": "advice", "Pages work": "advice", "Goal": "done",
        "Goal tested": "advice", "Traffic": "advice", "Budget": "done", "Approved by": "open",
        "Consent and law": "advice",
    }  # fmt: skip


def test_a_control_that_is_chosen_but_not_approved_is_named(owner: User):
    experiment = make_experiment(arms=0)
    review.add_variant(experiment.nursery, page("Today"), name="Today’s", is_control=True)
    line = next(line for line in checklist(experiment, owner).lines if line.label == "Today’s page (control)")
    assert line.note.startswith("“Today’s” is chosen and not approved yet")


def test_what_all_directions_share_is_said_once(admin_client: Client):
    nursery = (experiment := make_experiment()).nursery
    for number in (1, 2):
        Direction.objects.create(nursery=nursery, number=number, angle=f"Angle {number}", insight="Want it soon.")
    address = reverse("admin:experiments_directions", args=[experiment.pk])
    assert "in all of them:</b> Want it soon." in admin_client.get(address).content.decode()
    nursery.directions.filter(number=2).update(insight="Fear the price.")
    assert "in all of them:" not in admin_client.get(address).content.decode()


def test_a_finished_checklist_lets_an_approver_start_and_nobody_else(owner: User):
    experiment = make_experiment(arms=2, visitors_per_day=5_000)
    walkthrough.walk(experiment, experiment.goals.get())
    Brand.objects.update(privacy_url="https://example.com/privacy", legal_footer="Wheels Ltd")
    experiment = Experiment.objects.get(pk=experiment.pk)
    assert checklist(experiment, owner).reasons == []
    assert {label for label, state in lines(experiment, owner).items() if state != "done"} == {"Pages work"}
    author = User.objects.create_user("author", is_staff=True)
    assert checklist(experiment, author).reasons == ["Starting takes the role of an Approver."]


def test_the_start_button_is_there_only_when_it_works(client: Client):
    ready, bare = make_experiment(arms=2, slug="ready"), make_experiment(arms=0, slug="bare")
    assert 'value="start"' in client.get(url("launch", ready.pk)).content.decode()
    body = client.get(url("launch", bare.pk)).content.decode()
    assert 'value="start"' not in body
    assert "It cannot start yet:" in body


# --- the live events ------------------------------------------------------------------------------------------------


def test_what_visitors_do_is_told_in_sentences_without_telling_who(client: Client):
    experiment = make_running(arms=2, currency="EUR")
    goal, arm = experiment.goals.get(), experiment.arms.first()
    now, visitor = timezone.now(), "ab" * 16
    seen = {"experiment": experiment, "exposed_at": now, "visitor": visitor, "arm": arm, "epoch": 1}
    Exposure.objects.create(**seen, attributes={"device": "phone", "utm_campaign": "spring"})
    named = {"utm_campaign": "ada@corp.example"}
    Exposure.objects.create(**{**seen, "visitor": "cd" * 16, "exposed_at": now - timedelta(hours=1)}, attributes=named)
    Conversion.objects.create(**seen, goal=goal, converted_at=now + timedelta(seconds=5), event_id="")
    told = [(event.words, event.variant) for event in feed.latest(experiment, now)]
    assert told == [
        ("Somebody sent the form: the goal “signup”", "Variant 1"),
        ("Somebody on a phone from “spring” saw", "Variant 1"),
        ("Somebody saw", "Variant 1"),
    ]
    assert visitor not in client.get(url("live", experiment.pk)).content.decode()


# --- imported pages -------------------------------------------------------------------------------------------------

SOURCE = b"""<!doctype html><html lang="en"><head><title>Wheels</title></head><body><h1>Bicycle repair</h1>
<p>We come to your door and repair it there.</p><a class="button" href="https://shop.example/book">Book now</a>
</body></html>"""


def imported() -> tuple[Experiment, Variant]:
    experiment = make_experiment(arms=0, goal_kind=Goal.Kind.CLICK)
    control = import_page(experiment.nursery, read_page(SOURCE, address="https://wheels.example/"), by=None)
    return experiment, control


def test_a_goal_on_an_imported_page_is_reached_once_something_is_picked():
    experiment, control = imported()
    goal = experiment.goals.get()
    assert walkthrough.walk(experiment, goal).steps[-1].came.startswith("Nothing is picked")
    kept = experiment.nursery.imported_pages.get()
    pick(kept, next(id_ for id_, words in places_of(kept) if "Book now" in words), goal.key)
    walked = walkthrough.walk(experiment, goal)
    assert walked.is_reached
    assert "https://shop.example/book" in walked.steps[1].came
    assert control.is_control


def test_texts_of_an_imported_page_are_changed_and_compared_like_any_other():
    experiment, control = imported()
    place = next(text.place for text in texts.texts_of(control) if text.text == "Bicycle repair")
    other = review.add_variant(experiment.nursery, texts.changed(control, place, "Bicycle repair at home"))
    different = [line for line in comparing.lines(control, other) if not line.is_same]
    assert [(line.label, only(line.right)) for line in different] == [("Headline 1", ["at home"])]


def test_a_copy_brings_its_imported_pages_along(owner: User):
    experiment, control = imported()
    Variant.objects.filter(pk=control.pk).update(status="approved")
    made = duplicate(experiment, by=owner, approves=False)
    copy = made.nursery.variants.get()
    assert copy.patch is not None
    assert copy.patch.page == made.nursery.imported_pages.get().pk != experiment.nursery.imported_pages.get().pk
