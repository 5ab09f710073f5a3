"""Brief and brand reach live pages when somebody puts them there, and by nothing else."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments import deeds, deployment, lifecycle, schedule, surroundings
from experiments.models import APIToken, Blob, Deployment, Experiment
from experiments.splitter.stores import MemoryStore
from experiments.surroundings import Look, Picture
from experiments.tokens import new_token, token_digest
from tests.factories import make_brief, make_experiment, page, there
from variants import review
from variants.brief import ActionLink, FormField
from variants.models import Brand, Brief, Image

pytestmark = pytest.mark.django_db

ELSEWHERE = "https://elsewhere.example/"


def request_at_once(experiment: Experiment, *, reason: str) -> None:
    """Stand in for a worker: a test's transaction is never committed, so none would come."""
    deployment.deploy(Experiment.objects.get(pk=experiment.pk), reason=reason)


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    store = MemoryStore()
    monkeypatch.setattr(deployment, "store", lambda: store)
    monkeypatch.setattr(deployment, "request", request_at_once)
    return store


def person(name: str, role: str = "Approver") -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return User.objects.get(pk=user.pk)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def running() -> Experiment:
    """An experiment of a brand that asks for four eyes, whose button leads to shop.example."""
    brief = make_brief(
        brand=Brand.objects.create(name="Strict", four_eyes=True),
        call_to_action_kind="link",
        call_to_action_url="https://shop.example/",
    )
    experiment = make_experiment(brief=brief, goal_kind="click", created_by=person("cleo", "Author"))
    return lifecycle.start(experiment, by=person("ann"))


def change_link(by: User | None) -> None:
    Brief.objects.update(call_to_action_url=ELSEWHERE)
    deeds.record(Brief.objects.get(), by, "Changed.")


def served(experiment: Experiment, store: MemoryStore) -> Any:
    return json.loads(there(store.snapshot(experiment.slug)))


def is_on_a_page(words: str) -> bool:
    return any(words.encode() in bytes(blob.data) for blob in Blob.objects.all())


def link(experiment: Experiment, store: MemoryStore) -> Any:
    return served(experiment, store)["links"]["cta"]["url"]


def test_a_changed_brief_waits_whatever_else_has_pages_made_anew(running, kept):
    change_link(None)
    Brand.objects.update(legal_footer="Another imprint")
    content = page("One more")
    review.approve(
        review.add_variant(running.nursery, {**content, "sections": content["sections"][:1]}), by=person("dora")
    )
    running = Experiment.objects.get()
    lifecycle.add_arms(running)
    assert len(served(running, kept)["arms"]) == 3
    assert link(running, kept) == "https://shop.example/"
    assert not is_on_a_page("Another imprint")
    lifecycle.renew(Experiment.objects.get(), by=person("ben"))
    assert link(running, kept) == ELSEWHERE
    assert is_on_a_page("Another imprint")


def test_what_was_changed_is_said_before_and_kept_after(running):
    assert surroundings.differences(running) == []
    change_link(None)
    told = ["Link of the button: “https://shop.example/” → “https://elsewhere.example/”"]
    assert surroundings.differences(Experiment.objects.get()) == told
    lifecycle.renew(Experiment.objects.get(), by=person("ben"))
    assert surroundings.differences(Experiment.objects.get()) == []
    assert there(deeds.about(running).first()).get_change_message().split("\n")[1:] == told


def test_whoever_changed_the_brief_does_not_put_it_on_live_pages(running, kept):
    ben, dora = person("ben"), person("dora")
    change_link(ben)
    deeds.record(Brief.objects.get(), dora, "Put a comma in.")  # does not hide who changed it before
    for own in (ben, dora, None):
        with pytest.raises(lifecycle.FourEyes, match="You changed the brief"):
            lifecycle.renew(Experiment.objects.get(), by=own)
    lifecycle.renew(Experiment.objects.get(), by=person("eve"))
    assert link(running, kept) == ELSEWHERE


def test_whoever_changed_it_the_time_before_may_put_the_next_change_there(running, kept):
    ben = person("ben")
    change_link(ben)
    lifecycle.renew(Experiment.objects.get(), by=person("eve"))
    Brief.objects.update(thank_you="Until soon.")
    deeds.record(Brief.objects.get(), person("dora"), "Changed.")
    assert surroundings.differences(Experiment.objects.get()) == [
        "Thank-you text: “Thank you. We will be in touch shortly.” → “Until soon.”"
    ]
    lifecycle.renew(Experiment.objects.get(), by=ben)
    assert surroundings.differences(Experiment.objects.get()) == []


def test_what_is_changed_between_the_start_and_the_first_page_waits(kept, monkeypatch):
    monkeypatch.setattr(deployment, "request", lambda *_, **__: None)  # no worker has come yet
    brief = make_brief(call_to_action_kind="link", call_to_action_url="https://shop.example/")
    experiment = lifecycle.start(make_experiment(brief=brief, goal_kind="click"), by=None)
    change_link(None)
    deployment.deploy(Experiment.objects.get(), reason="started")
    assert link(experiment, kept) == "https://shop.example/"


def test_whoever_changed_the_brand_does_not_start_what_it_stands_on():
    brief = make_brief(brand=Brand.objects.create(name="Strict", four_eyes=True))
    experiment = make_experiment(brief=brief, created_by=person("cleo", "Author"))
    ann = person("ann")
    deeds.record(brief.brand, ann, "Changed the small print.")
    with pytest.raises(lifecycle.FourEyes, match="You changed the brief or the brand"):
        lifecycle.start(experiment, by=ann)
    lifecycle.start(experiment, by=person("ben"))


def test_what_is_rolled_back_does_not_come_again_with_the_next_variant(running, kept):
    change_link(None)
    lifecycle.renew(Experiment.objects.get(), by=person("ben"))
    deployment.roll_back(Experiment.objects.get())
    assert link(running, kept) == "https://shop.example/"
    deployment.deploy(Experiment.objects.get(), reason="a variant was approved")
    assert link(running, kept) == "https://shop.example/"
    assert surroundings.differences(Experiment.objects.get())


def test_after_a_roll_back_whoever_changed_it_still_needs_somebody_else(running, kept):
    ben, dora = person("ben"), person("dora")
    change_link(ben)
    lifecycle.renew(Experiment.objects.get(), by=dora)
    deployment.roll_back(Experiment.objects.get())
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.renew(Experiment.objects.get(), by=ben)
    assert link(running, kept) == "https://shop.example/"


def test_a_roll_back_never_leads_to_what_was_rolled_back(running, kept):
    change_link(None)
    lifecycle.renew(Experiment.objects.get(), by=person("ben"))
    deployment.roll_back(Experiment.objects.get())
    deployment.deploy(Experiment.objects.get(), reason="a variant was approved")
    deployment.roll_back(Experiment.objects.get())
    assert link(running, kept) == "https://shop.example/"
    with pytest.raises(Deployment.DoesNotExist):
        deployment.roll_back(Experiment.objects.get())


def test_a_worker_that_began_before_a_roll_back_does_not_undo_it(running, kept):
    change_link(None)
    lifecycle.renew(Experiment.objects.get(), by=person("ben"))
    stale = Experiment.objects.get()
    deployment.roll_back(stale)
    stale.surroundings = surroundings.of_now(stale).model_dump(mode="json")
    deployment.deploy(stale, reason="began earlier")
    assert link(running, kept) == "https://shop.example/"


def test_what_was_changed_again_after_it_was_read_is_not_agreed_to(running, kept):
    change_link(None)
    read = surroundings.digest(Experiment.objects.get())
    Brief.objects.update(thank_you="Something else.")
    with pytest.raises(lifecycle.WrongStatus, match="changed again a moment ago"):
        lifecycle.renew(Experiment.objects.get(), by=person("ben"), read=read)
    assert link(running, kept) == "https://shop.example/"
    read = surroundings.digest(Experiment.objects.get())
    lifecycle.renew(Experiment.objects.get(), by=User.objects.get(username="ben"), read=read)


@pytest.mark.parametrize("what", ["brief", "settings"])
def test_a_planned_start_holds_for_what_the_planner_could_read(what, kept):
    brief = make_brief(brand=Brand.objects.create(name="Strict", four_eyes=True))
    experiment = make_experiment(brief=brief, created_by=person("cleo", "Author"))
    now = timezone.now()
    lifecycle.plan(experiment, starts_at=now + timedelta(minutes=1), ends_at=None, zone="UTC", by=person("ann"))
    dora = person("dora", "Author")
    if what == "brief":
        deeds.record(brief, dora, "Changed.")
    else:
        Experiment.objects.update(**lifecycle.authored(experiment, dora))
    schedule.carry_out(Experiment.objects.get(), now + timedelta(minutes=2))
    experiment.refresh_from_db()
    assert experiment.status == Experiment.Status.DRAFT
    assert f"{what} " in experiment.schedule_problem
    assert "changed after it was planned" in experiment.schedule_problem


def test_whoever_wrote_a_brief_that_nobody_agreed_to_yet_does_not_start_what_stands_on_it():
    dora = person("dora")
    brief = make_brief(brand=Brand.objects.create(name="Strict", four_eyes=True), created_by=dora)
    experiment = make_experiment(brief=brief, created_by=person("cleo", "Author"))
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.start(experiment, by=dora)
    lifecycle.start(experiment, by=person("ann"))
    second = make_experiment(brief=brief, created_by=User.objects.get(username="cleo"))
    lifecycle.start(second, by=dora)  # by now somebody has agreed to it


def test_everybody_who_changed_the_settings_is_an_author_not_only_the_last():
    brief = make_brief(brand=Brand.objects.create(name="Strict", four_eyes=True))
    make_experiment(brief=brief, created_by=person("cleo", "Author"))
    for who in (dora := person("dora"), person("ann")):
        Experiment.objects.update(**lifecycle.authored(Experiment.objects.get(), who))
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.start(Experiment.objects.get(), by=dora)


def test_whoever_chose_the_control_does_not_start_it_alone():
    brief = make_brief(brand=Brand.objects.create(name="Strict", four_eyes=True))
    experiment = make_experiment(brief=brief, created_by=person("cleo", "Author"))
    dora, second = person("dora"), experiment.nursery.variants.last()
    dora.groups.add(Group.objects.get(name="Author"))
    assert second is not None
    address = reverse("admin:experiments_variant_control", args=[experiment.pk, second.pk])
    assert logged_in(dora).post(address).status_code == 302
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.start(Experiment.objects.get(), by=dora)


def test_everybody_who_typed_in_a_brief_changed_it(running):
    dora, ben = person("dora", "Author"), person("ben", "Author")
    address = reverse("admin:experiments_brief_step", args=[running.pk])
    logged_in(dora).post(address, {"thank_you": "Typed by Dora."}, headers={"HX-Request": "true"})
    brief = Brief.objects.get()
    sent = {
        "name": "N", "product": "P", "audience": "A", "offer": "O", "facts": "", "tone": "calm", "language": "en",
        "call_to_action_label": "Go", "call_to_action_kind": "link", "call_to_action_url": ELSEWHERE,
        "thank_you": "Typed by Dora.", "brand": brief.brand_id,
    }  # fmt: skip
    assert logged_in(ben).post(address, sent).status_code == 302
    assert {dora.pk, ben.pk} <= surroundings.changers(Experiment.objects.get())


def test_a_brief_form_with_a_fault_is_shown_again_whatever_became_of_its_brand(running):
    address = reverse("admin:experiments_brief_step", args=[running.pk])
    answer = logged_in(person("dora", "Author")).post(address, {"name": "", "brand": ""})
    assert answer.status_code == 200


def test_a_worker_that_began_before_the_change_does_not_undo_it(running, kept):
    stale = Experiment.objects.get()
    change_link(None)
    lifecycle.renew(Experiment.objects.get(), by=person("ben"))
    deployment.deploy(stale, reason="began earlier")
    assert link(running, kept) == ELSEWHERE


def test_everything_a_visitor_can_tell_apart_is_named():
    before = surroundings.of_now(make_experiment())
    button = {"kind": "link", "url": ELSEWHERE}
    brief = before.brief.model_copy(
        update={
            "call_to_action": before.brief.call_to_action.model_copy(update=button),
            "secondary_link": ActionLink(label="More", url=ELSEWHERE),
            "form_fields": [*before.brief.form_fields, FormField(name="phone", label="Phone", is_required=False)],
            "thank_you": "Bye.", "language": "de",
        }
    )  # fmt: skip
    picture = Picture(name="wheel", sha256="a" * 64, content_type="image/png", alt="A wheel", width=1, height=1)
    brand = Look(
        name="Other", primary_colour="#000000", accent_colour="#ffffff", legal_footer="Print", privacy_url=ELSEWHERE,
        logo=picture, pictures=(picture,),
    )  # fmt: skip
    told = surroundings.told(before, surroundings.Surroundings(brief=brief, brand=brand))
    assert "→ “E-mail address (email, at most 254); Phone (text, at most 200, may stay empty)”" in told[3]
    assert [line.partition(":")[0] for line in told] == [
        "What visitors are asked to do", "Link of the button", "Second link", "Fields of the form", "Thank-you text",
        "Language", "Brand", "First colour", "Second colour", "Small print", "Privacy page", "Logo", "Pictures",
    ]  # fmt: skip


def test_who_has_to_agree_sees_a_change_to_its_last_letter():
    before = surroundings.of_now(make_experiment())
    longer = before.brief.model_copy(update={"thank_you": "Thank you. " * 50 + "Call 0900 1234."})
    (line,) = surroundings.told(before, before.model_copy(update={"brief": longer}))
    assert line.endswith("Call 0900 1234.”")


def test_a_picture_that_was_taken_away_or_replaced_stays_until_then(kept):
    brand = Brand.objects.create(name="Pictured")
    values = {"content_type": "image/png", "alt": "A wheel", "width": 1, "height": 1}
    Image.objects.create(brand=brand, name="wheel", sha256="a" * 64, data=b"first", **values)
    Image.objects.create(brand=brand, name="frame", sha256="b" * 64, data=b"other", **values)
    experiment = lifecycle.start(make_experiment(brief=make_brief(brand=brand)), by=None)
    Image.objects.filter(name="wheel").update(sha256="c" * 64, data=b"second")
    Image.objects.filter(name="frame").delete()
    experiment.refresh_from_db()
    told = surroundings.differences(experiment)
    assert told == ["Pictures: “frame (A wheel), wheel (A wheel)” → “wheel (A wheel)”", "Picture “wheel”: another file"]
    deployment.deploy(experiment, reason="again")
    assert set(served(experiment, kept)["images"].values()) == {"a" * 64, "b" * 64}
    assert {blob.identity for blob in surroundings.pictures_of(experiment).values()} == {b"first", b"other"}


def test_a_brief_that_makes_no_sense_stands_in_nobodys_way(running, kept):
    Brief.objects.update(call_to_action_url="javascript:alert(1)")
    running.refresh_from_db()
    assert surroundings.differences(running) == ["The brief has a fault: open and save it."]
    with pytest.raises(lifecycle.WrongStatus, match="The brief has a fault"):
        lifecycle.renew(running, by=person("ben"))
    deployment.deploy(running, reason="again")
    assert link(running, kept) == "https://shop.example/"


def test_the_console_shows_what_waits_and_who_may_put_it_there(running, kept):
    address = reverse("admin:experiments_experiment_workbench", args=[running.pk])
    ben, button = logged_in(person("ben")), "Put the changes on the live pages"
    assert button not in ben.get(address).content.decode()
    change_link(None)
    body = ben.get(address).content.decode()
    assert button in body
    assert "→ “https://elsewhere.example/”" in body
    assert button not in logged_in(person("vera", "Viewer")).get(address).content.decode()
    ben.post(reverse("admin:experiments_experiment_renew", args=[running.pk]))
    assert link(running, kept) == ELSEWHERE


def test_whoever_saves_a_brand_is_told_that_live_pages_stay_as_they_are(running):
    brand = running.nursery.brief.brand
    sent = {
        "name": "Strict", "voice": "", "primary_colour": "#000000", "accent_colour": "#ffffff", "legal_footer": "New",
        "privacy_url": "", "logo": "",
    }  # fmt: skip
    for prefix in ("images", "lessons"):
        sent |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    client = logged_in(person("dan", "Author"))
    answer = client.post(reverse("admin:variants_brand_change", args=[brand.pk]), sent, follow=True)
    assert "Pages that are live stay as they are" in answer.content.decode()
    assert surroundings.differences(Experiment.objects.get()) == [
        "First colour: “#0b6e4f” → “#000000”", "Second colour: “#f2a541” → “#ffffff”", "Small print: nothing → “New”",
    ]  # fmt: skip
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.renew(Experiment.objects.get(), by=User.objects.get(username="dan"))


def test_the_api_tells_and_does_the_same(running, kept):
    token = new_token()
    APIToken.objects.create(user=person("ben"), digest=token_digest(token))
    headers, address = {"Authorization": f"Bearer {token}"}, f"/api/v1/experiments/{running.pk}"
    change_link(None)
    (change,) = Client().get(f"{address}/changes", headers=headers).json()["changes"]
    assert change.startswith("Link of the button")
    assert Client().post(f"{address}/renew", headers=headers).status_code == 200
    assert Client().get(f"{address}/changes", headers=headers).json()["changes"] == []
    assert link(running, kept) == ELSEWHERE


def test_a_draft_follows_its_brief():
    experiment = make_experiment()
    Brand.objects.update(legal_footer="A new imprint")
    assert deployment.page_frame(Experiment.objects.get(pk=experiment.pk)).legal_footer == "A new imprint"
    assert surroundings.differences(experiment) == []
