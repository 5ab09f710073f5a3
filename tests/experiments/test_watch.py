"""What the watch finds, what it leaves alone, and what the console's first page makes of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments import digest, lag, standing, surroundings, watch
from experiments.console import overview
from experiments.models import EXPOSURES, Arm, Delivery, Deployment, Destination, EpochCount, Experiment, Goal, Notice
from tests.factories import make_brief, make_experiment, make_running
from variants.models import Generation, ModelCall, Nursery, Variant

pytestmark = pytest.mark.django_db

HOME = "/console/"
MOST_QUERIES = 40


@pytest.fixture(autouse=True)
def _counting_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "measure", lag.Lag)


@pytest.fixture
def running() -> Experiment:
    """Started two days ago, with 1,000 visitors and 50 conversions."""
    experiment = make_running(name="Spring")
    made = Deployment.objects.create(experiment=experiment, number=1, pages={}, site={}, reason="started")
    started = timezone.now() - timedelta(days=2)
    Experiment.objects.filter(pk=experiment.pk).update(started_at=started, deployment=made)
    count(experiment, visitors=1000, conversions=50)
    return experiment


def count(experiment: Experiment, *, visitors: int = 0, conversions: int = 0, epoch: int = 1) -> None:
    arm = experiment.arms.get(key="control")
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for measure, number in ((EXPOSURES, visitors), ("signup", conversions)):
        if number:
            EpochCount.objects.create(arm=arm, epoch=epoch, hour=hour, measure=measure, count=number)


def causes() -> set[str]:
    return set(Notice.objects.filter(ended_at__isnull=True).values_list("cause", flat=True))


def look(*, hours: float = 0) -> set[str]:
    watch.look(timezone.now() + timedelta(hours=hours))
    return causes()


def test_an_experiment_that_does_well_is_left_alone(running: Experiment):
    assert look() == set()
    count(running, visitors=100, conversions=5, epoch=2)
    assert look(hours=1) == set()


def test_no_visitors_for_too_long_is_told_and_ends_with_the_next_visitor(running: Experiment):
    look()
    assert (look(hours=6), look(hours=13)) == (set(), {"no visitors"})
    assert "13 hours" in Notice.objects.get().text
    count(running, visitors=1, epoch=2)
    assert look(hours=14) == set()


def test_a_quiet_page_is_given_more_time(running: Experiment):
    EpochCount.objects.filter(measure=EXPOSURES).update(count=20)  # ten a day
    look()
    assert (look(hours=20), look(hours=30)) == (set(), {"no visitors"})


def test_no_conversions_among_many_visitors_is_told(running: Experiment):
    look()
    count(running, visitors=100, epoch=2)  # five conversions would be usual: that may be chance
    assert look(hours=1) == set()
    count(running, visitors=150, epoch=3)
    assert look(hours=2) == {"no conversions"}
    assert "250 visitors" in Notice.objects.get().text


def test_a_goal_reached_elsewhere_may_come_a_day_later(running: Experiment):
    Goal.objects.update(kind=Goal.Kind.REVENUE)
    look()
    count(running, visitors=250, epoch=2)
    assert look(hours=2) == set()
    count(running, visitors=250, epoch=3)
    assert look(hours=25) == {"no conversions"}


def test_what_counting_has_not_reached_yet_is_taken_for_nothing_else(
    running: Experiment, monkeypatch: pytest.MonkeyPatch
):
    look()
    monkeypatch.setattr(lag, "measure", lambda: lag.Lag(seconds=600))
    assert look(hours=30) == {"counting"}


def test_frozen_shares_a_stopped_arm_and_missing_pages_are_told(running: Experiment):
    Experiment.objects.update(frozen_at=timezone.now())
    Arm.objects.filter(key="v2").update(status=Arm.Status.PAUSED, reason="its visitors complain more often")
    make_running(name="Not deployed")
    Experiment.objects.filter(name="Not deployed").update(started_at=timezone.now() - timedelta(hours=1))
    assert look() == {"sample ratio", "guardrail v2", "not deployed"}


def test_a_pause_is_no_fault_and_the_clock_starts_anew_after_it(running: Experiment):
    look()
    Experiment.objects.update(status=Experiment.Status.PAUSED)
    assert look(hours=30) == set()
    Experiment.objects.update(status=Experiment.Status.RUNNING)
    assert look(hours=31) == set()


def test_a_spent_budget_is_told(running: Experiment):
    Nursery.objects.update(budget_micro_usd=1_000_000)
    asked = Generation.objects.create(nursery=running.nursery, requested=3, status=Generation.Status.FINISHED)
    values: dict[str, Any] = {"purpose": "page", "model": "m", "prompt_version": "1", "cost_micro_usd": 500_000}
    ModelCall.objects.create(generation=asked, **values)
    assert look() == set()
    ModelCall.objects.create(generation=asked, **values)
    assert look() == {"budget"}


def test_variants_wait_for_review_once_they_are_all_there(running: Experiment):
    Variant.objects.filter(number=2).update(status=Variant.Status.DRAFT)
    asked = Generation.objects.create(nursery=running.nursery, requested=3, status=Generation.Status.RUNNING)
    assert look() == set()
    Generation.objects.filter(pk=asked.pk).update(status=Generation.Status.FINISHED)
    assert look() == {"review"}


def test_a_winner_is_told_once(running: Experiment):
    Destination.objects.create(kind="email", address="a@example.com", topics=["winner"])
    Experiment.objects.update(standing={"winner": "v2", "winner_name": "Two", "text": "“Two” is better."})
    look()
    assert (look(hours=1), Delivery.objects.count()) == ({"winner v2"}, 1)


def test_the_watch_asks_no_more_for_many_experiments():
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            watch.look(timezone.now())
        return len(found)

    make_running()
    queries()
    one = queries()
    for _ in range(8):
        make_running()
    queries()
    assert queries() == one


# --- what the bandit brought ----------------------------------------------------------------------------------------


def test_gains_add_up_and_so_do_the_squares_of_what_they_may_be_off():
    found = standing.gain(
        [{"extra": 30.0, "extra_low": 27.0, "extra_high": 34.0}, {"extra": 10.0, "extra_low": 6.0, "extra_high": 13.0}]
    )
    assert found == standing.Gain(experiments=2, extra=40.0, low=35.0, high=45.0)
    assert "about 40 conversions more" in digest.gain_words(found)


def test_nothing_is_claimed_while_the_interval_holds_nothing():
    found = standing.gain([{"extra": 3.0, "extra_low": -4.0, "extra_high": 9.0}, None, {"extra": None}])
    assert digest.gain_words(found).startswith("It is too early")
    assert digest.gain_words(standing.gain([])).startswith("It is too early")


def test_an_experiment_is_judged_from_its_report(running: Experiment):
    standing.renew(running)
    running.refresh_from_db()
    assert running.standing is not None
    assert running.standing["winner"] == ""
    assert standing.to_judge(timezone.now()) == [running.pk]


def test_changes_that_no_visitor_sees_yet_are_said_until_they_are_live(running: Experiment):
    surroundings.agree(running)
    brief = running.nursery.brief
    brief.thank_you = "We call you tomorrow."
    brief.save()
    assert standing.renew(running).changes == 1
    [waiting], _ = overview.decisions()
    assert waiting.text == "1 change of the brief or the brand waits: visitors do not see it yet."
    running.refresh_from_db()
    surroundings.agree(running)
    assert overview.decisions() == ([], 0)


def test_who_judges_while_changes_go_live_does_not_bring_them_back(running: Experiment):
    surroundings.agree(running)
    running.nursery.brief.thank_you = "We call you tomorrow."
    running.nursery.brief.save()
    standing.renew(running)
    judging = Experiment.objects.get(pk=running.pk)
    surroundings.agree(Experiment.objects.get(pk=running.pk))
    standing.renew(judging)
    running.refresh_from_db()
    assert (running.standing or {})["changes"] == 0


# --- the week in short ----------------------------------------------------------------------------------------------


def test_the_week_is_told_once_and_late_rather_than_not_at_all(running: Experiment):
    Destination.objects.create(kind="email", address="a@example.com", topics=["digest"])
    monday = timezone.now().replace(year=2026, month=11, day=23, hour=7, minute=1)
    assert digest.write_if_due(monday - timedelta(hours=2))  # of the week before, whose Monday was missed
    assert [digest.write_if_due(monday + timedelta(hours=hour)) for hour in (0, 1, 90)] == [True, False, False]
    assert "1,000 visitors" in Notice.objects.last().text  # type: ignore[union-attr]


def test_nobody_who_wants_it_no_digest():
    Destination.objects.create(kind="email", address="a@example.com", topics=["budget"])
    assert not digest.write_if_due(timezone.now())


# --- home -----------------------------------------------------------------------------------------------------------


def many(number: int) -> None:
    brief = make_brief()
    nurseries = Nursery.objects.bulk_create(Nursery(brief=brief) for _ in range(number))
    statuses = [status.value for status in Experiment.Status]
    made = Experiment.objects.bulk_create(
        Experiment(
            nursery=nursery, name=f"Experiment {place}", slug=f"e-{place}", status=statuses[place % len(statuses)],
            started_at=timezone.now() - timedelta(days=5),
        )
        for place, nursery in enumerate(nurseries)
    )  # fmt: skip
    Goal.objects.bulk_create(Goal(experiment=experiment, key="signup", is_primary=True) for experiment in made)


def home(client: Client, address: str = HOME) -> tuple[str, int]:
    with CaptureQueriesContext(connection) as found:
        body = client.get(address).content.decode()
    return body, len(found)


@pytest.fixture
def client(owner: User) -> Client:
    made = Client()
    made.force_login(owner)
    return made


def test_home_asks_no_more_for_many_experiments(client: Client):
    many(30)
    home(client)
    _, few = home(client)
    many_more = [make_experiment(arms=0) for _ in range(40)]
    body, number = home(client)
    assert (number, number <= MOST_QUERIES) == (few, True)
    assert f"<b>{30 + len(many_more)}</b>" in body


def test_home_shows_a_page_of_experiments_and_finds_the_others(client: Client):
    many(60)
    body, _ = home(client)
    assert "1–25 of 60" in body
    assert "Experiment 7<" in home(client, f"{HOME}?q=Experiment+7")[0]
    assert home(client, f"{HOME}?status=paused")[0].count('class="gh-row-name"') == 12
    assert "26–50 of 60" in home(client, f"{HOME}?page=2")[0]


def test_home_names_what_is_unhealthy_until_it_is_stopped(client: Client, running: Experiment):
    Experiment.objects.update(frozen_at=timezone.now())
    look()
    assert "Visitors are not split as planned" in home(client)[0]
    Experiment.objects.update(status=Experiment.Status.FINISHED)
    assert "Visitors are not split as planned" not in home(client)[0]


def test_home_names_a_destination_that_was_switched_off(client: Client, running: Experiment):
    Destination.objects.create(
        kind="slack", address="https://a.example/", topics=[], is_on=False, switched_off_at=timezone.now()
    )
    assert "Notifications that do not arrive" in home(client)[0]


def test_home_draws_how_many_came(client: Client, running: Experiment):
    assert "1,000 visitors over the last 2 days" in home(client)[0]


def test_the_workbench_asks_no_more_for_many_arms(client: Client):
    def queries(arms: int) -> int:
        experiment = make_running(arms=arms)
        address = f"{HOME}experiments/experiment/{experiment.pk}/"
        home(client, address)
        body, number = home(client, address)
        assert ("of 60" in body) is (arms == 60)
        return number

    few = queries(25)  # more than a page of the table holds
    assert (queries(60), few <= MOST_QUERIES) == (few, True)
