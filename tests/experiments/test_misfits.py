"""A brief changes while an experiment runs or is about to: people see which pages no longer match it, and decide."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments import lag, lifecycle, misfits, roster, watch
from experiments.console import overview
from experiments.misfits import Misfits
from experiments.models import Arm, Experiment, Notice
from tests.factories import make_brief, make_experiment, make_running, page, there
from variants import recheck, review
from variants.models import Brief, Variant

pytestmark = pytest.mark.django_db

PRICE = "Repairs start at 29 euros"
FACT = {"text": f"{PRICE}.", "source": "the price list"}
NO_PRICE = {"text": "Repairs take a while.", "source": "the workshop"}


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def dear(**changes: Any) -> Experiment:
    """Return an experiment with three arms, two of which say the price."""
    make: Any = changes.pop("make", make_running)
    experiment: Experiment = make(arms=3, brief=make_brief(facts=[FACT]), **changes)
    for variant in experiment.nursery.variants.filter(number__gt=1):
        Variant.objects.filter(pk=variant.pk).update(content=page(PRICE))
    recheck.hold(experiment.nursery.brief_id)
    return experiment


def drop_the_price(experiment: Experiment) -> None:
    brief = Brief.objects.get(pk=experiment.nursery.brief_id)
    brief.facts = [NO_PRICE]
    brief.save()


def dropped(**changes: Any) -> Experiment:
    experiment = dear(**changes)
    drop_the_price(experiment)
    recheck.hold(experiment.nursery.brief_id)
    return Experiment.objects.get(pk=experiment.pk)


def text(client: Client, name: str, *args: int, **asked: str) -> str:
    answer = client.get(reverse(name, args=args), asked)
    return " ".join(answer.content.decode().split())


def test_live_pages_that_say_what_was_taken_out_are_counted_by_what_they_say():
    experiment = dropped()
    assert misfits.of(experiment) == Misfits(live=(f"“{PRICE}”",) * 2)
    assert there(misfits.of(experiment)).text == f"2 live pages no longer match the brief: “{PRICE}”."
    assert set(experiment.arms.values_list("status", flat=True)) == {Arm.Status.LIVE}


@pytest.mark.parametrize(
    ("status", "seen"),
    [(Experiment.Status.PAUSED, 2), (Experiment.Status.FINISHED, 0), (Experiment.Status.PROMOTED, 1)],
)
def test_once_it_is_over_only_the_page_that_everyone_sees_counts(status: str, seen: int):
    experiment = dropped()
    winner = experiment.arms.get(key="v2")
    Experiment.objects.update(status=status, winner=winner if status == Experiment.Status.PROMOTED else None)
    found = misfits.of_all().get(experiment.pk)
    assert len(found.live if found else ()) == seen


def test_the_first_page_says_so_and_leads_to_them(client: Client):
    experiment = dropped()
    waiting, _ = overview.decisions()
    assert waiting[0].text == f"2 live pages no longer match the brief: “{PRICE}”."
    shown = client.get(waiting[0].url)
    assert {card.name for card in shown.context["cards"]} == {"Variant 2", "Variant 3"}
    Experiment.objects.update(status=Experiment.Status.PROMOTED, winner=experiment.arms.get(key="v2"))
    assert overview.decisions()[0][0].text == f"1 live page no longer matches the brief: “{PRICE}”."
    assert "Everyone sees it. Put back" in text(client, "admin:experiments_experiment_workbench", experiment.pk)


def test_people_are_told_once_of_what_visitors_see_until_nobody_sees_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lag, "measure", lag.Lag)
    experiment = dropped()
    dropped(make=make_experiment)  # what only waits stands in the way of its start, where it is read
    told = Notice.objects.filter(cause="misfit")
    for _ in range(2):
        watch.look(timezone.now())
        assert [(notice.experiment_id, notice.topic, notice.ended_at) for notice in told.all()] == [
            (experiment.pk, Notice.Topic.DECISION, None)
        ]
    assert told.get().text == (
        f"2 live pages no longer match the brief: “{PRICE}”."
        " Visitors go on seeing them until somebody takes them out or mends the brief."
    )
    experiment.arms.exclude(variant__misfit="").update(status=Arm.Status.RETIRED)
    watch.look(timezone.now())
    assert told.get().ended_at is not None


def test_the_workbench_says_what_can_be_done(client: Client):
    experiment = dropped()
    shown = text(client, "admin:experiments_experiment_workbench", experiment.pk)
    assert "2 live pages no longer match the brief" in shown
    assert "put back into the brief what they rest on, write a new version, or retire them" in shown
    assert f"no longer matches the brief: “{PRICE}”" in shown  # in the table of arms


def test_a_card_says_why_and_its_buttons_retire_it_or_write_another(client: Client):
    experiment = dropped()
    shown = text(client, "admin:experiments_gallery", experiment.pk, found="misfit")
    assert shown.count("No longer matches the brief") == 2
    assert "Cannot be approved yet" not in shown
    arm = experiment.arms.get(key="v2")
    assert f'form="retire" name="arm" value="{arm.pk}"' in shown
    client.post(reverse("admin:experiments_experiment_retire", args=[experiment.pk]), {"arm": arm.pk})
    assert len(there(misfits.of(experiment)).live) == 1


def test_whoever_chooses_the_winner_is_told(client: Client):
    experiment = dropped()
    shown = text(client, "admin:experiments_experiment_winner", experiment.pk)
    assert shown.count(f"It no longer matches the brief: “{PRICE}”.") == 2


def test_an_approved_page_does_not_start_with_what_the_brief_no_longer_covers():
    experiment = dropped(make=make_experiment)
    told = [fault.reason for fault in lifecycle.faults(experiment)]
    assert told == [
        f"2 approved variants no longer match the brief: “{PRICE}”. Edit or reject them, or put back into the brief "
        "what they rest on."
    ]
    assert overview.decisions()[0][0].text == f"2 approved variants no longer match the brief: “{PRICE}”."


def test_a_start_that_comes_before_the_worker_holds_the_pages_itself():
    experiment = dear(make=make_experiment)
    drop_the_price(experiment)
    fresh = Experiment.objects.get(pk=experiment.pk)
    with pytest.raises(lifecycle.NotReady, match="no longer match the brief"):
        lifecycle.start(fresh, by=None)
    assert Experiment.objects.get(pk=experiment.pk).status == Experiment.Status.DRAFT


def test_a_page_that_waits_does_not_go_live_before_it_fits_again():
    experiment = dear()
    experiment.arms.filter(key="v3").update(status=Arm.Status.WAITING)
    drop_the_price(experiment)
    assert roster.admit(Experiment.objects.get(pk=experiment.pk), timezone.now()) == 0  # nobody has looked yet
    recheck.hold(experiment.nursery.brief_id)
    assert roster.admit(Experiment.objects.get(pk=experiment.pk), timezone.now()) == 0
    assert there(misfits.of(experiment)).heading == "1 live page no longer matches the brief, nor does 1 that waits"
    Brief.objects.get().save()
    brief = Brief.objects.get()
    brief.facts = [FACT]
    brief.save()
    recheck.hold(brief.pk)
    assert roster.admit(Experiment.objects.get(pk=experiment.pk), timezone.now()) == 1


def test_nobody_makes_room_for_a_page_that_may_not_enter():
    experiment = dropped(visitors_per_day=500, planned_days=30)
    experiment.arms.filter(key="v3").update(status=Arm.Status.WAITING)
    assert roster._waiting_for_room(experiment, live=3) == 0
    Variant.objects.update(misfit="")
    assert roster._waiting_for_room(experiment, live=3) == 1


def test_todays_page_enters_whatever_the_brief_says():
    experiment = dropped()
    experiment.arms.filter(key="control").update(status=Arm.Status.WAITING)
    Variant.objects.filter(is_control=True).update(misfit="“Anything”")
    assert roster.admit(experiment, timezone.now()) == 1


def test_a_new_version_that_fits_takes_the_place_of_the_one_that_does_not():
    experiment = dropped()
    heir = review.approve(review.add_variant(experiment.nursery, page("Repairs take a while")), None)
    experiment.arms.filter(key="v2").update(successor=heir)
    roster.enrol(experiment)
    roster.admit(experiment, timezone.now())
    assert len(there(misfits.of(experiment)).live) == 1


@pytest.mark.parametrize("way", ["the brief's own form", "the first step"])
def test_whoever_saves_the_brief_is_told_what_is_held_against_it_and_where(client: Client, way: str):
    experiment = dear()
    brief = experiment.nursery.brief
    step = reverse("admin:experiments_brief_step", args=[experiment.pk])
    form = reverse("admin:variants_brief_change", args=[brief.pk])
    shown = client.get(step if way == "the first step" else form)
    bound: Any = shown.context["form"] if way == "the first step" else shown.context["adminform"].form
    sent = {name: bound[name].value() or "" for name in bound.fields} | {
        "facts": "Repairs take a while. — the workshop"
    }
    told = client.post(step if way == "the first step" else form, sent, follow=True).content.decode()
    assert "Now held against the new brief: 3 pages of" in told
    assert f'<a class="underline" href="{overview.misfits_url(experiment.pk)}">“Archive guide”</a>' in told
