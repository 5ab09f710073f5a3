"""The history says who, when and what changed, whoever did it and wherever."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from experiments import deeds, deployment
from experiments.models import APIToken, Arm, Experiment
from experiments.splitter.stores import MemoryStore
from experiments.tokens import new_token, token_digest
from tests.factories import make_experiment, make_running, page
from variants.models import Variant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = MemoryStore()
    monkeypatch.setattr(deployment, "store", lambda: kept)


@pytest.fixture
def console(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


@pytest.fixture
def api(owner: User) -> Client:
    token = new_token()
    APIToken.objects.create(user=owner, digest=token_digest(token))
    return Client(headers={"authorization": f"Bearer {token}"})


def history(console: Client, experiment: Experiment) -> str:
    return console.get(reverse("admin:experiments_experiment_timeline", args=[experiment.pk])).content.decode()


def settings_of(experiment: Experiment, **changes: Any) -> dict[str, Any]:
    goal = experiment.goals.get()
    return {
        "name": experiment.name, "slug": experiment.slug, "policy": experiment.policy, "control_share": "10",
        "traffic_share": "100", "planned_days": "14", "currency": "USD", "has_arm_budget": "on",
        "goals-TOTAL_FORMS": "1", "goals-INITIAL_FORMS": "1", "goals-0-id": goal.pk,
        "goals-0-experiment": experiment.pk, "goals-0-key": "signup", "goals-0-kind": "form", "goals-0-link": "cta",
        "goals-0-window_hours": "168", "goals-0-weight": "0", "goals-0-guard": "", "goals-0-is_primary": "on",
        **changes,
    }  # fmt: skip


def test_settings_and_goals_are_told_before_and_after(console: Client, owner: User):
    experiment = make_experiment(name="Spring", slug="spring")
    address = reverse("admin:experiments_experiment_change", args=[experiment.pk])
    sent = settings_of(experiment, **{"name": "Summer", "control_share": "20", "goals-0-window_hours": "24"})
    assert console.post(address, sent).status_code == 302
    told = history(console, experiment)
    assert "“Spring” → “Summer”" in told
    assert "“10%” → “20%”" in told
    assert "Goal signup" in told
    assert "“168” → “24”" in told
    experiment.refresh_from_db()
    assert experiment.edited_by == owner


def test_an_edit_is_told_text_by_text(console: Client):
    before, after = page("Old words"), page("New words")
    told = deeds.edited("Variant 1", before, after)
    assert "hero: headline: “Old words” → “New words”" in told
    assert "subheadline" not in told


def test_many_changes_are_cut_and_say_so():
    told = deeds.changes({str(place): "a" for place in range(20)}, {str(place): "b" for place in range(20)})
    assert (len(told), told[-1]) == (13, "and 8 more")


def test_steps_by_the_api_stand_in_the_history_too(api: Client, console: Client):
    experiment = make_running(arms=3)
    for step in ("pause", "resume"):
        assert api.post(f"/api/v1/experiments/{experiment.pk}/{step}").status_code == 200
    assert api.post(f"/api/v1/experiments/{experiment.pk}/arms/v3/retire").status_code == 200
    told = api.get(f"/api/v1/experiments/{experiment.pk}/history").json()["items"]
    assert [deed["what"] for deed in told] == ["Retired “Variant 3”: it gets no new visitors.", "Resumed.", "Paused."]
    assert {deed["who"] for deed in told} == {"owner"}
    assert "Retired “Variant 3”" in history(console, experiment)


def test_a_step_by_the_console_is_written_down_once(console: Client):
    experiment = make_running(arms=3)
    console.post(reverse("admin:experiments_experiment_step", args=[experiment.pk]), {"step": "pause"})
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Paused."]


def test_a_plan_by_the_api_is_kept_and_a_bad_one_is_named(api: Client):
    experiment = make_experiment()
    address = f"/api/v1/experiments/{experiment.pk}/schedule"
    plan = {"starts_at": "2099-01-01T09:00:00+01:00", "time_zone": "Europe/Berlin"}
    assert api.put(address, json.dumps(plan), "application/json").status_code == 200
    assert api.get(address).json()["starts_at"] == "2099-01-01T08:00:00Z"
    for bad in ({"starts_at": "2001-01-01T09:00:00Z"}, {"time_zone": "Mars/Olympus"}):
        assert api.put(address, json.dumps(bad), "application/json").status_code == 422


def test_what_the_bandit_took_out_is_told_as_its_own_deed(console: Client):
    experiment = make_running(arms=3)
    arm = experiment.arms.filter(key="v3")
    arm.update(status=Arm.Status.RETIRED, retired_at=experiment.started_at, reason="probability best 0.1%")
    assert "Sends no new visitors to “Variant 3”: probability best 0.1%" in history(console, experiment)


# --- a new version of what visitors see -----------------------------------------------------------------------------


def edited(console: Client, variant: Variant, then: str) -> None:
    address = reverse("admin:experiments_variant_edit", args=[variant.arm.experiment_id, variant.pk])
    form = console.get(address).context["form"]
    values = {name: field.initial for name, field in form.fields.items() if field.initial is not None}
    values |= {name: value for name, value in form.initial.items() if value is not None}
    named = next(name for name in values if name.endswith("headline"))
    assert console.post(address, {**values, named: "In better words", "then": then}).status_code == 302


@pytest.mark.parametrize("then", ["retires", "stays"])
def test_editing_a_live_variant_makes_a_child_and_changes_nothing_that_visitors_see(then: str, console: Client):
    experiment = make_running(arms=2)
    variant = experiment.arms.get(key="v2").variant
    edited(console, variant, then)
    made = experiment.nursery.variants.get(number=3)
    variant.refresh_from_db()
    assert (made.status, list(made.parents.all())) == (Variant.Status.DRAFT, [variant])
    assert (variant.content["sections"][0]["headline"], variant.status) == ("Headline v2", "approved")
    assert experiment.arms.get(key="v2").successor == (made if then == "retires" else None)
    assert "In better words" in history(console, experiment)


def test_today_s_page_never_retires_for_a_new_version(console: Client):
    experiment = make_running(arms=2)
    edited(console, experiment.arms.get(key="control").variant, "retires")
    assert experiment.arms.get(key="control").successor is None


def test_links_to_the_report_are_told_when_made_and_when_taken_back(console: Client):
    experiment = make_running()
    links = reverse("experiments:links", args=[experiment.pk])
    console.post(links, {"name": "the board"})
    link = experiment.share_links.get()
    for _ in range(2):  # the second time there is nothing to take back
        console.post(reverse("experiments:revoke_link", args=[experiment.pk, link.pk]))
    told = history(console, experiment)
    assert "Made a link to the report for “the board”." in told
    assert told.count("Took back the link for “the board”.") == 1
