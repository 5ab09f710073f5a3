"""What people do while an experiment runs: plans, arms that come and go, new versions, two pairs of eyes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments import allocation, deployment, lifecycle, roster, schedule
from experiments.console.running import PlanForm
from experiments.duplication import duplicate
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment, Notice
from experiments.splitter.stores import MemoryStore
from tests.factories import make_brief, make_experiment, make_running, page
from variants import review
from variants.models import Brand, Brief, Variant

pytestmark = pytest.mark.django_db

Status = Experiment.Status


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    kept = MemoryStore()
    monkeypatch.setattr(deployment, "store", lambda: kept)
    return kept


@pytest.fixture
def approver() -> User:
    user = User.objects.create_user("ann", is_staff=True)
    user.groups.add(Group.objects.get(name="Approver"))
    return User.objects.get(pk=user.pk)


def planned(experiment: Experiment, by: User, *, start: timedelta | None = None, end: timedelta | None = None) -> None:
    now = timezone.now()
    lifecycle.plan(
        experiment,
        starts_at=now + start if start else None,
        ends_at=now + end if end else None,
        zone="Europe/Berlin",
        by=by,
    )


def carry_out_all(now: datetime) -> None:
    for pk in schedule.due(now):
        schedule.carry_out(Experiment.objects.get(pk=pk), now)


def deeds_of(experiment: Experiment) -> list[str]:
    entries = LogEntry.objects.filter(object_id=str(experiment.pk), content_type__model="experiment").order_by("pk")
    return [entry.get_change_message() for entry in entries]


# --- plans ----------------------------------------------------------------------------------------------------------


def test_a_plan_is_carried_out_once_however_often_the_timetable_comes_round(approver: User):
    experiment = make_experiment()
    planned(experiment, approver, start=timedelta(hours=1), end=timedelta(hours=3))
    carry_out_all(timezone.now())
    assert Experiment.objects.get().status == Status.DRAFT
    late = timezone.now() + timedelta(hours=2)  # the worker was down for an hour
    for _ in range(3):
        carry_out_all(late)
    experiment.refresh_from_db()
    assert (experiment.status, experiment.starts_at) == (Status.RUNNING, None)
    for _ in range(3):
        carry_out_all(timezone.now() + timedelta(hours=4))
    experiment.refresh_from_db()
    assert (experiment.status, experiment.ends_at) == (Status.FINISHED, None)
    assert deeds_of(experiment)[1:] == ["Started, as planned.", "Stopped, as planned."]
    assert Notice.objects.filter(topic="schedule").count() == 2


def test_two_workers_with_the_same_plan_in_hand_start_it_once(approver: User):
    experiment = make_experiment()
    planned(experiment, approver, start=timedelta(hours=1))
    first, second = Experiment.objects.get(), Experiment.objects.get()
    for copy in (first, second):
        schedule.carry_out(copy, timezone.now() + timedelta(hours=2))
    experiment.refresh_from_db()
    assert (experiment.status, experiment.schedule_problem, experiment.allocations.count()) == (Status.RUNNING, "", 1)


def test_a_start_that_is_refused_is_told_with_the_reason_and_not_tried_again(approver: User):
    experiment = make_experiment()
    planned(experiment, approver, start=timedelta(hours=1))
    Variant.objects.update(status=Variant.Status.DRAFT)
    for _ in range(2):
        carry_out_all(timezone.now() + timedelta(hours=2))
    experiment.refresh_from_db()
    assert (experiment.status, experiment.starts_at) == (Status.DRAFT, None)
    assert "approve it first" in experiment.schedule_problem
    assert Notice.objects.get().text == experiment.schedule_problem
    assert "(Europe/Berlin)" in experiment.schedule_problem


def test_who_may_start_nothing_any_more_starts_nothing_by_plan_either(approver: User):
    experiment = make_experiment()
    planned(experiment, approver, start=timedelta(hours=1))
    approver.groups.clear()
    carry_out_all(timezone.now() + timedelta(hours=2))
    experiment.refresh_from_db()
    assert (experiment.status, "may not start" in experiment.schedule_problem) == (Status.DRAFT, True)


def test_a_start_whose_end_has_passed_too_does_not_happen(approver: User):
    experiment = make_experiment()
    planned(experiment, approver, start=timedelta(hours=1), end=timedelta(hours=2))
    carry_out_all(timezone.now() + timedelta(hours=3))
    experiment.refresh_from_db()
    assert experiment.status == Status.DRAFT


def test_a_start_by_hand_takes_the_planned_one_off(approver: User):
    experiment = make_experiment()
    planned(experiment, approver, start=timedelta(hours=1))
    lifecycle.start(experiment, by=approver)
    carry_out_all(timezone.now() + timedelta(hours=2))
    assert "Started, as planned." not in deeds_of(experiment)


@pytest.mark.parametrize(
    ("start", "end"), [(timedelta(hours=-1), None), (timedelta(hours=2), timedelta(hours=1)), (None, timedelta(-1))]
)
def test_a_plan_that_cannot_be_is_refused(start: timedelta | None, end: timedelta | None, approver: User):
    with pytest.raises(lifecycle.BadTime):
        planned(make_experiment(), approver, start=start, end=end)


def test_times_are_read_on_the_clocks_of_the_zone():
    form = PlanForm({"starts_at": "2027-07-01T09:00", "ends_at": "2027-12-01T09:00", "zone": "Europe/Berlin"})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["starts_at"] == datetime(2027, 7, 1, 7, tzinfo=UTC)
    assert form.cleaned_data["ends_at"] == datetime(2027, 12, 1, 8, tzinfo=UTC)


def test_a_time_that_clocks_jump_over_is_refused():
    form = PlanForm({"starts_at": "2027-03-28T02:30", "zone": "Europe/Berlin"})
    assert not form.is_valid()
    assert "put forward" in form.errors["starts_at"][0]


def test_a_time_is_written_as_the_clocks_there_show_it():
    at = datetime(2027, 7, 1, 9, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    assert lifecycle.local_words(at.astimezone(UTC), "Europe/Berlin") == "Thursday, 1 July 2027, 09:05 (Europe/Berlin)"


# --- arms that leave and come ---------------------------------------------------------------------------------------


def live(experiment: Experiment) -> dict[str, str]:
    return dict(experiment.arms.values_list("key", "status"))


def test_a_retired_arm_gets_no_new_visitors_and_the_shares_of_the_others_add_up(approver: User):
    experiment = make_running(arms=4)
    arm = experiment.arms.get(key="v3")
    lifecycle.retire(experiment, arm, by=approver)
    shares = allocation.latest(experiment).shares
    assert live(experiment)["v3"] == Arm.Status.RETIRED
    assert set(shares) == {"control", "v2", "v4"}
    assert sum(shares.values()) == pytest.approx(1)
    assert deeds_of(experiment) == ["Retired “Variant 3”: it gets no new visitors."]


def test_a_paused_experiment_goes_on_without_the_arm_that_retired_meanwhile(approver: User):
    experiment = make_running(arms=3)
    lifecycle.pause(experiment, by=approver)
    lifecycle.retire(experiment, experiment.arms.get(key="v2"), by=approver)
    lifecycle.resume(experiment, by=approver)
    assert set(allocation.latest(experiment).shares) == {"control", "v3"}


def test_today_s_page_and_the_last_of_the_others_stay(approver: User):
    experiment = make_running(arms=2)
    for key in ("control", "v2"):
        with pytest.raises(lifecycle.WrongStatus):
            lifecycle.retire(experiment, experiment.arms.get(key=key), by=approver)


def test_a_variant_approved_later_joins_and_the_others_keep_their_numbers(approver: User, eager_tasks: None):
    experiment = make_running(arms=2)
    arm = experiment.arms.get(key="v2")
    EpochCount.objects.create(arm=arm, epoch=1, hour=timezone.now(), measure=EXPOSURES, count=900)
    made = review.add_variant(experiment.nursery, page("A new one"))
    review.approve(made, by=approver)
    assert lifecycle.add_arms(experiment) == 1
    assert roster.admit(experiment, timezone.now()) == 1
    assert live(experiment) == {"control": "live", "v2": "live", "v3": "live"}
    assert EpochCount.objects.get().count == 900


def test_a_new_version_takes_the_place_of_the_old_one_even_where_there_is_no_room(approver: User):
    experiment = make_running(arms=2, visitors_per_day=1, planned_days=1)  # affords two arms
    old = experiment.arms.get(key="v2")
    made = review.add_variant(experiment.nursery, page("In better words"))
    Arm.objects.filter(pk=old.pk).update(successor=made)
    review.approve(made, by=approver)
    roster.enrol(experiment)
    roster.admit(experiment, timezone.now())
    assert live(experiment) == {"control": "live", "v2": "retired", "v3": "live"}
    assert "took its place" in experiment.arms.get(key="v2").reason


def test_a_new_version_that_runs_beside_the_old_one_waits_for_room(approver: User):
    experiment = make_running(arms=2, visitors_per_day=1, planned_days=1)
    made = review.add_variant(experiment.nursery, page("In better words"))
    review.approve(made, by=approver)
    roster.enrol(experiment)
    roster.admit(experiment, timezone.now())
    assert live(experiment) == {"control": "live", "v2": "live", "v3": "waiting"}


def test_the_winner_is_shown_to_everyone_in_one_step(approver: User):
    experiment = make_running(arms=3)
    lifecycle.conclude(experiment, experiment.arms.get(key="v2"), by=approver)
    assert (experiment.status, experiment.winner.key) == (Status.PROMOTED, "v2")  # type: ignore[union-attr]
    with pytest.raises(lifecycle.WrongStatus):
        lifecycle.conclude(experiment, experiment.arms.get(key="v3"), by=approver)


# --- two pairs of eyes ----------------------------------------------------------------------------------------------


@pytest.fixture
def strict(approver: User) -> Experiment:
    """A draft of a brand that asks for four eyes, with one page that `approver` wrote."""
    brief = make_brief(brand=Brand.objects.create(name="Strict", four_eyes=True))
    return make_experiment(brief=brief, arms=1, created_by=User.objects.create_user("cleo"))


def test_nobody_approves_what_they_wrote_or_changed_last(strict: Experiment, approver: User):
    other = User.objects.create_user("bob")
    own = review.add_variant(strict.nursery, page("Mine"), by=approver)
    changed = review.add_variant(strict.nursery, page("Theirs"), by=other)
    review.edit(changed, page("Theirs, in my words"), by=approver, is_live=False)
    for variant in (own, changed):
        with pytest.raises(review.OwnWork):
            review.approve(variant, by=approver)
        review.approve(variant, by=User.objects.create_user(f"dora {variant.pk}"))


def test_who_changed_a_page_before_the_last_one_did_is_an_author_still(strict: Experiment, approver: User):
    variant = review.add_variant(strict.nursery, page("Theirs"), by=User.objects.create_user("bob"))
    review.edit(variant, page("Mine"), by=approver, is_live=False)
    review.edit(variant, page("Mine."), by=User.objects.create_user("eve"), is_live=False)
    with pytest.raises(review.OwnWork):
        review.approve(variant, by=approver)
    review.approve(variant, by=User.objects.create_user("dora"))


def test_a_copy_of_a_page_does_not_make_its_writer_a_second_pair_of_eyes(
    strict: Experiment, owner: User, approver: User
):
    variant = review.add_variant(strict.nursery, page("Mine"), by=approver)
    client = Client()
    client.force_login(owner)
    client.post(reverse("admin:experiments_variant_copy", args=[strict.pk, variant.pk]))
    copied = strict.nursery.variants.get(name__endswith="(copy)")
    for author in (approver, owner):
        with pytest.raises(review.OwnWork):
            review.approve(copied, by=author)
    review.approve(copied, by=User.objects.create_user("dora"))


def test_a_copy_of_an_experiment_keeps_its_authors(strict: Experiment, owner: User, approver: User):
    variant = review.add_variant(strict.nursery, page("Mine"), by=approver)
    dora, eve = (User.objects.create_user(name) for name in ("dora", "eve"))
    review.approve(variant, by=dora)
    made = strict
    for copier in (owner, eve):  # a copy, and a copy of the copy
        made = duplicate(made, by=copier, approves=True)
        copied = made.nursery.variants.get(content=variant.content)
        for author in (approver, owner, copier):
            with pytest.raises(review.OwnWork):
                review.approve(copied, by=author)
        review.approve(copied, by=dora)
    for starter in (strict.created_by, owner, eve):
        with pytest.raises(lifecycle.FourEyes):
            lifecycle.start(made, by=starter)
    lifecycle.start(made, by=dora)


def test_nobody_starts_or_plans_what_they_set_up_or_changed_last(strict: Experiment, approver: User):
    Experiment.objects.update(edited_by=approver)
    strict.refresh_from_db()
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.start(strict, by=approver)
    with pytest.raises(lifecycle.FourEyes):
        planned(strict, approver, start=timedelta(hours=1))
    lifecycle.start(strict, by=User.objects.create_user("dora"))


@pytest.mark.parametrize("is_strict", [True, False])
def test_a_brief_does_not_slip_from_under_four_eyes_or_below_them(strict: Experiment, owner: User, is_strict: bool):  # noqa: FBT001
    lax = Brand.objects.create(name="Lax")
    strict_brand = strict.nursery.brief.brand
    Brief.objects.update(brand=strict_brand if is_strict else lax)
    client = Client()
    client.force_login(owner)
    other = lax if is_strict else strict_brand
    sent = {
        "name": "N", "product": "P", "audience": "A", "offer": "O", "facts": "", "tone": "calm", "language": "en",
        "call_to_action_label": "Go", "call_to_action_kind": "form", "thank_you": "Thanks", "brand": other.pk,
    }  # fmt: skip
    answer = client.post(reverse("admin:experiments_brief_step", args=[strict.pk]), sent)
    assert "asks for four eyes" in answer.content.decode()
    assert Brief.objects.get().brand != other


def test_a_start_by_nobody_is_no_second_pair_of_eyes(strict: Experiment):
    with pytest.raises(lifecycle.FourEyes):
        lifecycle.start(strict, by=None)


def test_the_house_may_ask_for_four_eyes_of_all_brands(approver: User, settings: Any):
    variant = review.add_variant(make_experiment().nursery, page("Mine"), by=approver)
    settings.FOUR_EYES = True
    with pytest.raises(review.OwnWork):
        review.approve(variant, by=approver)


def test_whoever_asked_for_a_generated_page_does_not_approve_it(strict: Experiment, approver: User):
    asked = strict.nursery.generations.create(requested=1, requested_by=approver)
    variant = review.add_variant(strict.nursery, page("Written for me"), generation=asked)
    with pytest.raises(review.OwnWork):
        review.approve(variant, by=approver)


def test_only_an_administrator_takes_the_second_pair_of_eyes_off(strict: Experiment, approver: User):
    approver.groups.add(Group.objects.get(name="Author"))
    client, brand = Client(), strict.nursery.brief.brand
    client.force_login(approver)
    address = reverse("admin:variants_brand_change", args=[brand.pk])
    assert 'name="four_eyes"' not in client.get(address).content.decode()
