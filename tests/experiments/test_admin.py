"""The console as its people meet it: who may do what, and what each step leaves behind."""

import base64
import hashlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Group, User
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from experiments import allocation, deployment, lifecycle
from experiments.console.previews import SALT, preview_url
from experiments.models import EXPOSURES, EpochCount, Evolution, Experiment, Goal, Lead
from experiments.splitter.stores import MemoryStore
from tests.factories import make_brief, make_experiment, make_running, page
from variants import review
from variants.models import Brand, Brief, Generation, Image, Variant

PASSWORD = "a-long-enough-password"

type Cast = Callable[[str], Client]


@pytest.fixture
def cast(db: None) -> Cast:
    """Log somebody in by their role; "stranger" opens the console and may do nothing."""

    def logged_in(role: str) -> Client:
        user = User.objects.create_user(role.lower(), password=PASSWORD, is_staff=True)
        if role == "superuser":
            User.objects.filter(pk=user.pk).update(is_superuser=True)
        elif role != "stranger":
            user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(User.objects.get(pk=user.pk))
        return client

    return logged_in


@pytest.fixture
def draft(db: None) -> Experiment:
    """An experiment with three drafts to review, the first of them the control."""
    experiment = make_experiment(arms=0, name="Spring offer", slug="spring-offer")
    for headline in ("Red headline", "Green headline", "Blue headline"):
        review.add_variant(experiment.nursery, page(headline), is_control=headline.startswith("Red"))
    return experiment


def url(name: str, *args: object) -> str:
    return reverse(f"admin:experiments_{name}", args=args)


def text(client: Client, address: str) -> str:
    return client.get(address, follow=True).content.decode()


def snapshot_of_database() -> dict[str, list[Any]]:
    """Return every row of our own tables."""
    models = [model for app in ("variants", "experiments") for model in apps.get_app_config(app).get_models()]
    models.append(LogEntry)
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


# --- who may do what ------------------------------------------------------------------------------------------------

SEE, WRITE, JUDGE, RUN = "see", "write", "judge", "run"
MAY = {
    "Author": {SEE, WRITE},
    "Approver": {SEE, JUDGE, RUN},
    "Viewer": {SEE},
    "stranger": set(),
    "superuser": {SEE, WRITE, JUDGE, RUN},
}
POSTS = {
    "experiment_grow": WRITE, "experiment_traffic": WRITE, "experiment_decide": JUDGE, "experiment_step": RUN,
    "experiment_promote": RUN, "experiment_roll_back": RUN, "experiment_renew": RUN, "variant_write": WRITE,
    "variant_copy": WRITE, "variant_control": WRITE, "experiment_prove": RUN, "experiment_end_proof": RUN,
    "experiment_set_aside": RUN, "experiment_retire": RUN, "experiment_conclude": RUN, "plan": WRITE,
    "budget": WRITE, "cancel_generation": WRITE,
    "forget_changes": WRITE, "duplicate": WRITE, "set_goal": WRITE, "test_goals": WRITE,
    "evolution_control": RUN, "evolution_learn": WRITE, "experiment_address_look": WRITE,
}  # fmt: skip
GETS = {"experiment_schedule": RUN, "experiment_notifications": RUN, "experiment_workbench": SEE,
        "experiment_winner": RUN,
        "experiment_alike": SEE, "experiment_progress": SEE, "experiment_timeline": SEE,
        "variant_edit": WRITE, "import_page": WRITE, "import_goals": WRITE, "directions": WRITE,
        "estimate": WRITE, "brief_step": WRITE, "go_on": SEE, "generate": SEE, "gallery": SEE, "compare": SEE,
        "variant_texts": SEE, "variant_text": SEE, "launch": SEE, "live": SEE, "live_events": SEE,
        "costs": WRITE, "costs_csv": WRITE, "evolution": SEE, "evolution_learnt": SEE, "experiment_address": SEE,
        "experiment_apps": WRITE}  # fmt: skip
BEGINNINGS = {"begin", "new_brief", "discard_brief"}  # of no experiment yet; test_making.py has their tests
SHARED = {"experiment_share", "evolution_switch"}  # Authors and Approvers may; they have tests of their own
DESTINATIONS = {"notifications", "destination", "experiment_destination"}  # test_notifications_page.py has their rules
OF_AN_APP = {"experiment_app"}  # as its list, experiment_apps; tests/browser/test_apps.py walks both
ADMINS_OWN = {"experiment_changelist", "experiment_add", "experiment_history", "experiment_delete", "experiment_change"}


def workbench_names() -> set[str]:
    registered = admin.site.get_model_admin(Experiment).get_urls()
    return {pattern.name.removeprefix("experiments_") for pattern in registered if pattern.name}


def address_of(name: str, experiment: Experiment) -> str:
    variant = experiment.nursery.variants.first()
    assert variant is not None
    of_variant = name in {"variant_edit", "variant_copy", "variant_control", "variant_texts", "variant_text"}
    if name == "cancel_generation":
        return url(name, experiment.pk, 1)  # none: who may cancel is told so, everybody else nothing
    return url(name, experiment.pk, *([variant.pk] if of_variant else []))


def test_every_address_of_the_workbench_has_a_rule_here():
    assert workbench_names() == {*POSTS, *GETS, *SHARED, *BEGINNINGS, *DESTINATIONS, *OF_AN_APP, *ADMINS_OWN}


@pytest.mark.parametrize("role", MAY)
def test_each_role_may_do_what_it_is_for_and_nothing_else(role: str, cast: Cast, draft: Experiment):
    client = cast(role)
    refused = {name: client.post(address_of(name, draft)).status_code == 403 for name in POSTS}
    refused |= {name: client.get(address_of(name, draft)).status_code == 403 for name in GETS}
    assert refused == {name: need not in MAY[role] for name, need in {**POSTS, **GETS}.items()}


@pytest.mark.parametrize("role", MAY)
def test_the_page_shows_a_button_only_to_those_who_may_press_it(role: str, cast: Cast, draft: Experiment):
    body = text(cast(role), url("experiment_workbench", draft.pk))
    shown = {
        WRITE: "Grow them" in body,
        JUDGE: 'value="approve"' in body,
        RUN: 'value="start"' in body,
    }
    assert shown == {need: need in MAY[role] for need in shown}


def test_a_refusal_tells_nothing_about_what_exists(cast: Cast, draft: Experiment):
    client = cast("stranger")
    known, unknown = client.get(url("experiment_workbench", draft.pk)), client.get(url("experiment_workbench", 4711))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (403, known.content)


def test_people_without_an_account_are_sent_to_the_login(client: Client, draft: Experiment):
    answer = client.get(url("experiment_workbench", draft.pk))
    assert answer.status_code == 302
    assert answer.url.startswith("/console/login/")  # type: ignore[attr-defined]  # of a redirect


@pytest.mark.parametrize(("role", "status"), [("Author", 200), ("Approver", 200), ("Viewer", 403)])
def test_leads_are_not_for_viewers(role: str, status: int, cast: Cast, draft: Experiment):
    assert cast(role).get(url("lead_changelist")).status_code == status


def test_nobody_can_change_a_lead(cast: Cast, draft: Experiment):
    lead = Lead.objects.create(lead_id="1", experiment=draft, values={"email": "a@b.c"}, submitted_at=timezone.now())
    cast("superuser").post(url("lead_change", lead.pk), {"values": "{}"})
    assert Lead.objects.get().values == {"email": "a@b.c"}


def make_leads(experiment: Experiment, *emails: str) -> list[Lead]:
    now = timezone.now()
    return [
        Lead.objects.create(lead_id=email, experiment=experiment, values={"email": email}, submitted_at=now)
        for email in emails
    ]


@pytest.mark.parametrize(("role", "may"), [("Approver", True), ("Author", False), ("Viewer", False)])
def test_who_may_erases_a_person_after_being_asked(role: str, may: bool, cast: Cast, draft: Experiment):  # noqa: FBT001
    [lead] = make_leads(draft, "jane@canary.example")
    client = cast(role)
    asked = client.get(url("lead_delete", lead.pk))
    assert (asked.status_code == 200 and "Erase this person?" in asked.content.decode()) is may
    assert Lead.objects.exists()
    client.post(url("lead_delete", lead.pk), {"post": "yes"})
    assert Lead.objects.exists() is not may
    assert "canary" not in str(list(LogEntry.objects.values()))
    assert LogEntry.objects.filter(action_flag=DELETION).exists() is may


def test_only_who_may_erase_is_shown_the_button(cast: Cast, draft: Experiment):
    [lead] = make_leads(draft, "jane@canary.example")
    shown = {
        role: "Erase this person" in text(cast(role), url("lead_change", lead.pk)) for role in ("Approver", "Author")
    }
    assert shown == {"Approver": True, "Author": False}


def test_a_lead_is_found_by_what_was_written(cast: Cast, draft: Experiment):
    make_leads(draft, "bob@b.example", "jane@canary.example")
    found = text(cast("Author"), url("lead_changelist") + "?q=JANE@canary")
    assert "jane@canary.example" in found
    assert "bob@b.example" not in found


def test_viewers_may_not_share_a_report(cast: Cast, draft: Experiment):
    assert cast("Viewer").post(url("experiment_share", draft.pk)).status_code == 403


@pytest.mark.parametrize(("role", "may"), [("Author", "stop"), ("Approver", "start"), ("Viewer", "neither")])
def test_who_writes_may_stop_pages_from_breeding_and_who_starts_may_let_them(role: str, may: str, cast: Cast):
    experiment = make_running(arms=2)
    breeds = Evolution.objects.filter(experiment=experiment, is_on=True)
    client = cast(role)
    answer = client.post(url("evolution_switch", experiment.pk), {"switch": "on"})
    assert (answer.status_code == 403, breeds.exists()) == (may == "neither", may == "start")
    Evolution.objects.update_or_create(experiment=experiment, defaults={"is_on": True})
    client.post(url("evolution_switch", experiment.pk), {"switch": "off"})
    assert breeds.exists() == (may == "neither")


def test_an_approver_may_let_children_go_live_by_themselves(cast: Cast):
    experiment = make_running(arms=2)
    walls = {"going_live": "autopilot", "rounds_per_week": "7", "unproven_percent": "10", "time_zone": "UTC"}
    answer = cast("Approver").post(url("evolution", experiment.pk), {**walls, "genes": ["headline"]})
    assert answer.status_code == 302, answer.content.decode()
    assert Evolution.objects.get(experiment=experiment).is_autopilot


def test_a_shared_link_opens_the_report_without_an_account(cast: Cast, draft: Experiment):
    answer = cast("Author").post(url("experiment_share", draft.pk), headers={"HX-Request": "true"})
    found = re.search(r'data-copy="(?:https?://[^/]+)(/r/[^"]+)"', answer.content.decode())
    assert found is not None
    assert Client().get(found[1]).status_code == 200


# --- GETs and forgery -----------------------------------------------------------------------------------------------


def all_console_addresses(experiment: Experiment) -> list[str]:
    variant = experiment.nursery.variants.first()
    assert variant is not None
    names = [*POSTS, *GETS, *SHARED]
    brief = experiment.nursery.brief
    return [
        "/console/",
        url("experiment_changelist"), url("experiment_add"), url("experiment_change", experiment.pk),
        url("experiment_history", experiment.pk), url("experiment_delete", experiment.pk), url("lead_changelist"),
        reverse("admin:variants_brief_changelist"), reverse("admin:variants_brief_add"),
        reverse("admin:variants_brief_change", args=[brief.pk]), reverse("admin:variants_brand_changelist"),
        reverse("admin:variants_brand_change", args=[brief.brand_id]), reverse("admin:auth_user_changelist"),
        reverse("admin:auth_user_add"), reverse("admin:auth_group_changelist"),
        *(address_of(name, experiment) for name in names),
        preview_url(experiment, variant.pk),
    ]  # fmt: skip


def test_looking_changes_nothing(cast: Cast, draft: Experiment):
    client = cast("superuser")
    before = snapshot_of_database()
    answers = {address: client.get(address).status_code for address in all_console_addresses(draft)}
    assert snapshot_of_database() == before
    assert set(answers.values()) <= {200, 302, 405}


@pytest.mark.parametrize("name", [*POSTS, *SHARED])
def test_a_form_from_another_site_is_refused(name: str, draft: Experiment):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("ada", password=PASSWORD))
    before = snapshot_of_database()
    assert client.post(address_of(name, draft)).status_code == 403
    assert snapshot_of_database() == before


def test_the_bare_address_leads_to_the_console(client: Client):
    assert client.get("/").headers["Location"] == "/console/"


def test_robots_are_kept_out_of_the_console(client: Client):
    answer = client.get("/robots.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.startswith(b"User-agent: *\nDisallow: /console/\n")


def test_a_browser_that_asks_for_an_icon_gets_the_leaf(client: Client, db: None):
    icon = client.get(client.get("/favicon.ico").headers["Location"])
    icon.close()  # it is streamed from its file
    assert icon.headers["Content-Type"] == "image/svg+xml"


def test_only_the_console_may_compile_attributes(cast: Cast, draft: Experiment):
    variant = draft.nursery.variants.first()
    assert variant is not None
    console = cast("superuser").get("/console/").headers["Content-Security-Policy"]
    shown = Client().get(preview_url(draft, variant.pk)).headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in console
    assert "frame-ancestors 'none'" in console
    assert "unsafe" not in shown
    assert "script-src" not in shown


# --- the journey ----------------------------------------------------------------------------------------------------


def test_a_new_experiment_gets_its_nursery_and_the_goal_its_brief_asks_for(cast: Cast):
    brief = make_brief(call_to_action_kind="link", call_to_action_url="https://example.com/buy")
    client = cast("Author")
    answer = client.post(url("experiment_add"), new_experiment(brief), follow=True)
    experiment = Experiment.objects.get()
    assert experiment.nursery.brief == brief
    assert (experiment.control_share, experiment.traffic_share) == (0.15, 1.0)
    assert list(experiment.goals.values_list("kind", "is_primary")) == [("click", True)]
    assert answer.redirect_chain[-1][0] == url("experiment_workbench", experiment.pk)


def new_experiment(brief: Brief, **changes: str) -> dict[str, str]:
    return {
        "name": "Spring offer", "slug": "spring-offer", "brief": str(brief.pk), "policy": "earn", "control_share": "15",
        "traffic_share": "100 %", "planned_days": "14", "visitors_per_day": "", "currency": "USD",
        "has_arm_budget": "on", "goals-TOTAL_FORMS": "0", "goals-INITIAL_FORMS": "0", **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slug": "Spring Offer"}, "Use small letters, digits and hyphens"),
        ({"slug": "taken"}, "Another experiment has this address"),
        ({"control_share": "95"}, "Write at most 90%."),
        ({"traffic_share": "0"}, "Write at least 0.1%."),
        ({"visitors_per_day": "-3"}, "Write a number from 1 to 100,000,000 visitors, or leave it empty."),
        ({"planned_days": str(10**22)}, "Write a number from 1 to 3,650 days."),
        (
            {
                "goals-TOTAL_FORMS": "1",
                "goals-0-key": "signup",
                "goals-0-kind": "form",
                "goals-0-link": "cta",
                "goals-0-window_hours": "-4",
                "goals-0-is_primary": "on",
            },
            "Write a number from 1 to 8,760 hours.",
        ),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_in_words(changes: dict[str, str], words: str, cast: Cast):
    make_experiment(slug="taken")
    answer = cast("Author").post(url("experiment_add"), new_experiment(make_brief(), **changes))
    assert words in answer.content.decode()
    assert Experiment.objects.count() == 1


def test_without_a_brief_a_new_experiment_begins_with_one(cast: Cast):
    answer = cast("Author").get(url("experiment_add"))
    assert answer.status_code == 302
    assert answer.url == reverse("admin:variants_brief_add")  # type: ignore[attr-defined]  # of a redirect


def test_two_deciding_goals_are_refused(cast: Cast, draft: Experiment):
    goal = draft.goals.get()
    rows = {
        "goals-TOTAL_FORMS": "2", "goals-INITIAL_FORMS": "1", "goals-0-id": str(goal.pk),
        "goals-0-experiment": str(draft.pk), "goals-0-key": "signup", "goals-0-kind": "form", "goals-0-link": "cta",
        "goals-0-window_hours": "168", "goals-0-is_primary": "on", "goals-1-experiment": str(draft.pk),
        "goals-1-key": "visit", "goals-1-kind": "event", "goals-1-link": "cta", "goals-1-window_hours": "24",
        "goals-1-is_primary": "on",
    }  # fmt: skip
    answer = cast("Author").post(url("experiment_change", draft.pk), {**new_experiment(draft.nursery.brief), **rows})
    assert "exactly one goal" in answer.content.decode()
    assert Goal.objects.count() == 1


def test_another_goal_can_be_made_the_deciding_one(cast: Cast, draft: Experiment):
    first = draft.goals.get()
    second = Goal.objects.create(experiment=draft, key="visit", kind="event")
    rows = {"goals-TOTAL_FORMS": "2", "goals-INITIAL_FORMS": "2"}
    # The one that begins to decide is saved before the one that ceases to.
    for place, (goal, decides) in enumerate([(second, "on"), (first, "")]):
        values = {"id": goal.pk, "experiment": draft.pk, "key": goal.key, "kind": goal.kind, "link": "cta",
                  "window_hours": 24, **({"is_primary": "on"} if decides else {})}  # fmt: skip
        rows |= {f"goals-{place}-{name}": str(value) for name, value in values.items()}
    cast("Author").post(url("experiment_change", draft.pk), {**new_experiment(draft.nursery.brief), **rows})
    assert draft.goals.get(is_primary=True) == second


def test_growing_asks_for_variants_within_the_budget(cast: Cast, draft: Experiment):
    cast("Author").post(url("experiment_grow", draft.pk), {"count": "12", "budget": "2.50"})
    asked = Generation.objects.get()
    assert (asked.requested, asked.budget_micro_usd) == (12, 2_500_000)
    assert asked.requested_by == User.objects.get(username="author")


@pytest.mark.parametrize(("count", "words"), [("501", "at most 500"), ("0", "at least one"), ("many", "in digits")])
def test_a_wrong_number_of_variants_is_answered_in_words(count: str, words: str, cast: Cast, draft: Experiment):
    answer = cast("Author").post(url("experiment_grow", draft.pk), {"count": count}, follow=True)
    assert words in answer.content.decode()
    assert not Generation.objects.exists()


@pytest.mark.parametrize("budget", ["-1", "1e30", "2.505", "much"])
def test_a_wrong_budget_names_its_field_and_stays_as_typed(budget: str, cast: Cast, draft: Experiment):
    answer = cast("Author").post(url("experiment_grow", draft.pk), {"count": "7", "budget": budget}, follow=True)
    body = answer.content.decode()
    assert body.count("Spend at most: write") == 1
    assert f'value="{budget}"' in body
    assert 'name="count" value="7"' in body
    assert not Generation.objects.exists()


def test_cancelling_stops_a_request_and_is_written_down(cast: Cast, draft: Experiment):
    author = cast("Author")
    asked = Generation.objects.create(nursery=draft.nursery, requested=9, status="running")
    assert ">Cancel<" in text(author, url("experiment_progress", draft.pk))
    author.post(url("cancel_generation", draft.pk, asked.pk))
    asked.refresh_from_db()
    assert asked.status == "cancelled"
    assert LogEntry.objects.filter(change_message="Cancelled a request for variants.").exists()


def test_a_generation_of_another_experiment_cannot_be_cancelled_here(cast: Cast, draft: Experiment):
    asked = Generation.objects.create(nursery=make_experiment().nursery, requested=9, status="running")
    assert cast("Author").post(url("cancel_generation", draft.pk, asked.pk)).status_code == 404


def test_the_whole_experiments_limit_is_kept_and_shown(cast: Cast, draft: Experiment):
    author = cast("Author")
    author.post(url("budget", draft.pk), {"whole": "12.50"})
    draft.nursery.refresh_from_db()
    assert draft.nursery.budget_micro_usd == 12_500_000
    assert 'name="whole" min="0" step="0.01" value="12.50"' in text(author, url("experiment_workbench", draft.pk))
    answer = author.post(url("budget", draft.pk), {"whole": "much"}, follow=True)
    assert "write dollars in digits" in answer.content.decode()


def test_a_request_is_priced_before_it_is_made(cast: Cast, draft: Experiment, settings: Any):
    author = cast("Author")
    address = url("estimate", draft.pk) + "?count=20&budget=0.30"
    assert "Free: no language model" in text(author, address)
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"openai_base_url": "http://127.0.0.1:1/v1"})
    assert re.search(r"About \$0\.\d\d, at most \$0\.30\.", text(author, address))


def sent(**rows: str) -> dict[str, str]:
    """Return a directions form with one row more than there are in the database."""
    return {"directions-TOTAL_FORMS": "1", "directions-INITIAL_FORMS": "0", "directions-0-weight": "1",
            **{f"directions-0-{name}": value for name, value in rows.items()}}  # fmt: skip


def test_a_direction_can_be_added_and_later_struck(cast: Cast, draft: Experiment):
    author = cast("Author")
    address = url("directions", draft.pk)
    author.post(address, sent(angle="Calm", promise="A quiet desk."))
    added = draft.nursery.directions.get()
    assert (added.angle, added.promise, added.origin, added.number) == ("Calm", "A quiet desk.", "hand", 1)
    changed = sent(id=str(added.pk), angle="Calm", is_struck="on") | {"directions-INITIAL_FORMS": "1"}
    author.post(address, changed)
    added.refresh_from_db()
    assert (added.is_struck, added.promise) == (True, "")


def test_a_direction_that_cannot_be_kept_is_said_beside_its_field(cast: Cast, draft: Experiment):
    body = cast("Author").post(url("directions", draft.pk), sent(angle="Calm", promise="a\u202eb")).content.decode()
    assert "hidden character" in body
    assert not draft.nursery.directions.exists()


def test_proposing_asks_for_directions_and_no_page(cast: Cast, draft: Experiment):
    author = cast("Author")
    author.post(url("plan", draft.pk))
    assert Generation.objects.get().requested == 0
    assert "Thinking of directions" in text(author, url("directions", draft.pk))


def test_progress_brings_only_the_cards_made_since(cast: Cast, draft: Experiment):
    Generation.objects.create(nursery=draft.nursery, requested=9, accepted=3, duplicates=1, status="running")
    body = text(cast("Author"), url("experiment_progress", draft.pk) + "?after=2")
    assert "Writing: 3 of 9" in body
    assert "Blue headline" in body
    assert "Green headline" not in body
    assert "after=3" in body


def test_approving_in_bulk_takes_what_was_ticked(cast: Cast, draft: Experiment):
    first, second, third = draft.nursery.variants.all()
    cast("Approver").post(
        url("experiment_decide", draft.pk), {"decision": "approve", "variant": [str(first.pk), str(third.pk)]}
    )
    assert list(draft.nursery.variants.values_list("status", flat=True)) == ["approved", "draft", "approved"]
    assert second.status == "draft"


def test_one_button_decides_about_one_variant_whatever_is_ticked(cast: Cast, draft: Experiment):
    first, second, _ = draft.nursery.variants.all()
    body = {"decision": f"reject:{second.pk}", "variant": [str(first.pk)]}
    cast("Approver").post(url("experiment_decide", draft.pk), body)
    assert list(draft.nursery.variants.values_list("status", flat=True)) == ["draft", "rejected", "draft"]


def test_what_was_changed_since_it_was_read_is_not_approved(cast: Cast, draft: Experiment):
    first, second, _ = draft.nursery.variants.all()
    approver = cast("Approver")
    shown = text(approver, url("experiment_workbench", draft.pk))
    sent = [f"{variant.pk}:{review.mark(variant)}" for variant in (first, second)]
    assert all(f'value="{mark}"' in shown for mark in sent)
    Variant.objects.filter(pk=second.pk).update(content=page("Slipped in"))
    body = {"decision": "approve", "variant": sent}
    answer = approver.post(url("experiment_decide", draft.pk), body, follow=True)
    assert "was changed since you read it" in answer.content.decode()
    assert list(draft.nursery.variants.values_list("status", flat=True)) == ["approved", "draft", "draft"]


def test_variants_of_another_experiment_cannot_be_decided_here(cast: Cast, draft: Experiment):
    other = make_experiment(arms=0)
    foreign = review.add_variant(other.nursery, page("Foreign"))
    cast("Approver").post(url("experiment_decide", draft.pk), {"decision": "approve", "variant": [str(foreign.pk)]})
    foreign.refresh_from_db()
    assert foreign.status == Variant.Status.DRAFT


def test_what_a_gate_found_stands_in_the_way_and_is_shown(cast: Cast, draft: Experiment):
    Brief.objects.update(never_say=["Green headline"])
    second = draft.nursery.variants.get(number=2)
    answer = cast("Approver").post(
        url("experiment_decide", draft.pk), {"decision": f"approve:{second.pk}"}, headers={"HX-Request": "true"}
    )
    assert "cannot be approved" in answer.content.decode()
    assert "Green headline" in answer.content.decode()
    second.refresh_from_db()
    assert second.status == Variant.Status.DRAFT


def test_every_step_is_written_down_with_who_and_what(cast: Cast, draft: Experiment):
    first = draft.nursery.variants.get(number=1)
    cast("Approver").post(url("experiment_decide", draft.pk), {"decision": "approve", "variant": str(first.pk)})
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.change_message) == ("approver", "Approved “Red headline”.")
    assert "Approved “Red headline”." in text(cast("Viewer"), url("experiment_timeline", draft.pk))


def test_the_page_says_what_is_missing_before_a_start(cast: Cast, draft: Experiment):
    client = cast("Approver")
    assert "Approve at least one variant first." in text(client, url("experiment_workbench", draft.pk))
    answer = client.post(url("experiment_step", draft.pk), {"step": "start"}, follow=True)
    assert "Approve at least one variant first." in answer.content.decode()
    draft.refresh_from_db()
    assert draft.status == Experiment.Status.DRAFT


def test_a_decision_takes_away_what_was_said_of_the_one_before(cast: Cast, draft: Experiment):
    second = draft.nursery.variants.get(number=2)
    body = {"decision": f"approve:{second.pk}"}
    answer = cast("Approver").post(url("experiment_decide", draft.pk), body, headers={"HX-Request": "true"})
    assert re.search(r'<div id="messages"[^>]* hx-swap-oob="true"></div>', answer.content.decode())


def test_before_the_start_it_says_which_variant_becomes_the_control(cast: Cast):
    experiment = make_experiment(arms=3)
    client, words = cast("Approver"), "stands for today’s page (control)."
    page = text(client, url("experiment_workbench", experiment.pk))
    assert f'data-confirm="“Variant 1” {words} Send visitors' in page
    Variant.objects.update(is_control=False)
    page = text(client, url("experiment_workbench", experiment.pk))
    assert page.count("No control is chosen: “Variant 1” will stand for today’s page.") == 2  # also in the question


def test_a_control_that_is_not_approved_has_to_be_approved_first(cast: Cast):
    experiment = make_experiment(arms=2)
    Variant.objects.filter(is_control=True).update(status=Variant.Status.DRAFT)
    page = text(cast("Approver"), url("experiment_workbench", experiment.pk))
    assert "“Variant 1” is chosen as the control: approve it first" in page
    assert "stand for today’s page." not in page


def test_the_control_can_be_chosen_only_before_the_start(cast: Cast, draft: Experiment):
    second = draft.nursery.variants.get(number=2)
    client = cast("Author")
    client.post(url("variant_control", draft.pk, second.pk))
    assert draft.nursery.variants.get(is_control=True) == second
    Experiment.objects.update(status=Experiment.Status.RUNNING)
    client.post(url("variant_control", draft.pk, draft.nursery.variants.get(number=1).pk))
    assert draft.nursery.variants.get(is_control=True) == second


# --- editing --------------------------------------------------------------------------------------------------------


def fields_of(client: Client, address: str) -> dict[str, Any]:
    form = client.get(address).context["form"]
    return {name: form[name].value() or "" for name in form.fields}


def test_a_variant_is_edited_by_its_fields(cast: Cast, draft: Experiment):
    client, variant = cast("Author"), draft.nursery.variants.get(number=1)
    address = url("variant_edit", draft.pk, variant.pk)
    changed = {**fields_of(client, address), "sections.0.headline": "A better headline", "theme.palette": "ink"}
    client.post(address, changed)
    content = Variant.objects.get(pk=variant.pk).page
    assert (content.hero.headline, content.theme.palette) == ("A better headline", "ink")
    assert content.form is not None


def test_the_editor_tells_what_each_claim_rests_on(cast: Cast, draft: Experiment):
    client, variant = cast("Author"), draft.nursery.variants.get(number=1)
    trace = {"field": "sections.0.headline", "words": "50 %", "fact": "fact 3", "text": "It halves the time."}
    Variant.objects.filter(pk=variant.pk).update(traces=[trace])
    shown = " ".join(client.get(url("variant_edit", draft.pk, variant.pk)).content.decode().split())
    assert 'says <q>50 %</q> <span class="gh-quiet">in the headline</span>: from fact 3, <q>It halves' in shown


def test_a_text_that_is_too_long_is_marked_at_its_field(cast: Cast, draft: Experiment):
    client, variant = cast("Author"), draft.nursery.variants.get(number=1)
    address = url("variant_edit", draft.pk, variant.pk)
    answer = client.post(address, {**fields_of(client, address), "sections.0.headline": "x" * 91})
    form = answer.context["form"]
    assert form.errors == {"sections.0.headline": ["This has 91 characters; the most is 90."]}


def test_a_live_variant_is_copied_and_stays_as_it_is(cast: Cast):
    experiment = make_running(arms=2)
    variant = experiment.nursery.variants.get(number=2)
    client = cast("Author")
    address = url("variant_edit", experiment.pk, variant.pk)
    client.post(address, {**fields_of(client, address), "sections.0.headline": "Changed behind the visitors' backs"})
    client.post(url("variant_copy", experiment.pk, variant.pk))
    copied = experiment.nursery.variants.get(number=3)
    assert Variant.objects.get(pk=variant.pk).content == variant.content
    assert copied.status == Variant.Status.DRAFT
    assert list(copied.parents.all()) == [variant]


def test_a_page_written_by_hand_begins_with_the_words_of_the_brief(cast: Cast, draft: Experiment):
    cast("Author").post(url("variant_write", draft.pk))
    made = draft.nursery.variants.get(number=4)
    assert made.page.hero.headline == draft.nursery.brief.product
    assert made.page.hero.call_to_action == draft.nursery.brief.call_to_action_label


# --- running --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """The store visitors are served from, in memory."""
    kept = MemoryStore()
    monkeypatch.setattr(deployment, "store", lambda: kept)
    return kept


@pytest.mark.parametrize(
    ("status", "name", "after"),
    [("running", "pause", "paused"), ("paused", "resume", "running"), ("running", "stop", "finished")],
)
def test_a_step_leads_to_its_status(status: str, name: str, after: str, cast: Cast, pages: MemoryStore):
    experiment = make_running()
    Experiment.objects.update(status=status)
    cast("Approver").post(url("experiment_step", experiment.pk), {"step": name})
    experiment.refresh_from_db()
    assert experiment.status == after


def test_a_step_the_status_does_not_allow_is_explained(cast: Cast, pages: MemoryStore):
    experiment = make_running()
    answer = cast("Approver").post(url("experiment_step", experiment.pk), {"step": "resume"}, follow=True)
    assert "Cannot resume an experiment that is running" in answer.content.decode()


def test_a_proof_round_is_started_and_ended_by_an_approver(cast: Cast, pages: MemoryStore):
    experiment, client = make_running(arms=3), cast("Approver")
    arm = experiment.arms.get(key="v2")
    assert "Prove a variant before everyone sees it" in text(client, url("experiment_workbench", experiment.pk))
    client.post(url("experiment_prove", experiment.pk), {"arm": str(arm.pk)})
    experiment.refresh_from_db()
    assert experiment.proof_arm == arm
    assert "half and half, counted from zero" in text(client, url("experiment_workbench", experiment.pk))
    client.post(url("experiment_end_proof", experiment.pk))
    experiment.refresh_from_db()
    assert experiment.proof_arm is None


def proving(arms: int = 3, **changes: Any) -> Experiment:
    """Return an experiment with a proof round of v2."""
    experiment = make_running(arms=arms)
    lifecycle.start_proof(experiment, experiment.arms.get(key="v2"), by=None)
    Experiment.objects.filter(pk=experiment.pk).update(**{"status": "running", **changes})
    experiment.refresh_from_db()
    return experiment


def test_during_a_proof_round_two_variants_are_shown_and_the_others_wait(cast: Cast, pages: MemoryStore):
    page = cast("Viewer").get(url("experiment_workbench", proving().pk))
    summary = page.context["summary"]
    assert (summary.live, summary.waiting, summary.policy) == (2, 1, "Proof round: two variants, half and half")
    assert [card.arm for card in page.context["cards"]] == ["live", "live", "held"]
    assert "Waits for the proof round" in page.content.decode()


def test_a_proof_round_of_a_paused_experiment_does_not_claim_new_visitors(cast: Cast, pages: MemoryStore):
    body = text(cast("Approver"), url("experiment_workbench", proving(status="paused").pk))
    assert "new visitors see today’s page until the experiment is resumed" in body
    assert "half and half" not in body


def test_a_proof_round_with_a_broken_split_counts_for_nothing_and_is_ended_with_the_numbers(
    cast: Cast, pages: MemoryStore
):
    experiment, client = proving(frozen_at=timezone.now()), cast("Approver")
    body = text(client, url("experiment_workbench", experiment.pk))
    assert "counts for nothing" in body
    assert "is the one to tell others" not in body
    assert "End the proof round" not in body
    refused = client.post(url("experiment_end_proof", experiment.pk), follow=True).content.decode()
    assert "Set the numbers aside, which ends it." in refused
    client.post(url("experiment_set_aside", experiment.pk))
    assert "the report has its lift" not in text(client, url("experiment_workbench", experiment.pk))


def test_what_a_proof_round_counted_stays_when_it_is_over(cast: Cast, pages: MemoryStore):
    experiment, client = proving(arms=2), cast("Approver")
    told = client.post(url("experiment_end_proof", experiment.pk), follow=True).content.decode()
    assert "its result stays in the report" in told
    assert "“Variant 2” had a proof round; the report has its lift." in told
    kept = experiment.proof_rounds.get()
    # Two variants keep their shares, but what comes now is not counted to the round.
    assert allocation.latest(experiment).epoch > kept.epoch


def test_a_proof_round_of_nothing_and_an_end_of_none_are_explained(cast: Cast, pages: MemoryStore):
    experiment, client = make_running(), cast("Approver")
    answer = client.post(url("experiment_prove", experiment.pk), follow=True)
    assert "Choose the variant to prove." in answer.content.decode()
    answer = client.post(url("experiment_end_proof", experiment.pk), follow=True)
    assert "No proof round is running." in answer.content.decode()


def test_the_console_says_that_the_split_failed_and_how_to_go_on(cast: Cast, pages: MemoryStore):
    experiment, client = make_running(), cast("Approver")
    assert (
        "nothing to set aside" in client.post(url("experiment_set_aside", experiment.pk), follow=True).content.decode()
    )
    Experiment.objects.update(frozen_at=timezone.now())
    assert "Visitors are not split as planned" in text(client, url("experiment_workbench", experiment.pk))
    client.post(url("experiment_set_aside", experiment.pk))
    experiment.refresh_from_db()
    assert (experiment.frozen_at, experiment.trusted_from_epoch) == (None, 2)


def test_the_winner_is_chosen_by_an_approver(cast: Cast, pages: MemoryStore):
    experiment = make_running()
    lifecycle.stop(experiment, by=None)
    arm = experiment.arms.get(key="v2")
    cast("Approver").post(url("experiment_promote", experiment.pk), {"arm": str(arm.pk)})
    experiment.refresh_from_db()
    assert (experiment.status, experiment.winner) == ("promoted", arm)


def test_after_the_end_it_says_what_everyone_sees(cast: Cast, pages: MemoryStore):
    experiment = make_running(arms=3)
    experiment.arms.filter(key="v3").update(status="waiting")
    lifecycle.stop(experiment, by=None)
    client, address = cast("Viewer"), url("experiment_workbench", experiment.pk)
    assert [card.arm for card in client.get(address).context["cards"]] == ["all", "none", "never"]
    assert "Everyone sees “Variant 1”: today’s page (control)." in text(client, address)
    lifecycle.promote(experiment, experiment.arms.get(key="v2"), by=None)
    assert [card.arm for card in client.get(address).context["cards"]] == ["none", "all", "never"]
    assert "Everyone sees “Variant 2”." in text(client, address)


@pytest.mark.parametrize("status", ["paused", "finished", "promoted"])
def test_only_a_running_experiment_gives_shares_of_new_visitors(status: str, cast: Cast):
    experiment = make_running()
    client, address = cast("Viewer"), url("experiment_workbench", experiment.pk)
    assert "of new visitors</span>" in text(client, address)
    Experiment.objects.update(status=status)
    assert "of new visitors</span>" not in text(client, address)


def test_a_changed_brief_reaches_the_live_pages_and_can_be_rolled_back(
    cast: Cast, pages: MemoryStore, eager_tasks: None, django_capture_on_commit_callbacks: Any
):
    experiment = make_running()
    before = deployment.deploy(experiment, reason="started")
    Brand.objects.update(legal_footer="A new imprint")
    client = cast("Approver")
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url("experiment_renew", experiment.pk))
    experiment.refresh_from_db()
    assert experiment.deployment is not None
    assert experiment.deployment.pages != before.pages
    client.post(url("experiment_roll_back", experiment.pk))
    experiment.refresh_from_db()
    assert experiment.deployment == before


def test_rolling_back_without_an_earlier_state_says_so(cast: Cast, pages: MemoryStore):
    experiment = make_running()
    answer = cast("Approver").post(url("experiment_roll_back", experiment.pk), follow=True)
    assert "no earlier state" in answer.content.decode()


def test_goals_and_address_stay_once_visitors_are_counted(cast: Cast, pages: MemoryStore):
    experiment = make_running(slug="archive")
    body = {**new_experiment(experiment.nursery.brief), "name": "Renamed", "slug": "elsewhere"}
    cast("Author").post(url("experiment_change", experiment.pk), body)
    experiment.refresh_from_db()
    assert (experiment.name, experiment.slug) == ("Renamed", "archive")
    assert experiment.goals.count() == 1


def test_goals_that_cannot_be_changed_any_more_are_told_in_words(cast: Cast):
    experiment = make_running()
    Goal.objects.create(experiment=experiment, key="source", kind="click", link="more", weight=2.5, guard="fall")
    body = text(cast("Author"), url("experiment_change", experiment.pk))
    for words in ("clicks the second link", "7 days after the first visit", "2.5 beside the other goals", "sends the"):
        assert words in body
    for raw in (">cta<", ">more<", ">0.0<", ">168<"):
        assert raw not in re.sub(r"\s+<", "<", re.sub(r">\s+", ">", body))


# --- numbers --------------------------------------------------------------------------------------------------------


def count(experiment: Experiment, key: str, *, visitors: int, conversions: int) -> None:
    arm = experiment.arms.get(key=key)
    for measure, number in ((EXPOSURES, visitors), ("signup", conversions), ("other", 1000)):
        EpochCount.objects.create(arm=arm, epoch=1, hour=timezone.now(), measure=measure, count=number)


def test_home_and_workbench_show_visitors_and_conversions_of_the_deciding_goal(cast: Cast):
    experiment = make_running()
    count(experiment, "control", visitors=4000, conversions=100)
    count(experiment, "v2", visitors=1000, conversions=100)
    client = cast("Viewer")
    row = client.get("/console/").context["rows"][0]
    assert (row.visitors, row.conversions, row.rate) == (5000, 200, 0.04)
    summary = client.get(url("experiment_workbench", experiment.pk)).context["summary"]
    assert (summary.visitors, summary.conversions) == (5000, 200)


def test_cards_of_a_running_experiment_stand_control_first_then_best_first_and_those_that_left_are_folded(cast: Cast):
    experiment = make_running(arms=5)
    for key, conversions in (("control", 40), ("v2", 20), ("v3", 80), ("v4", 60), ("v5", 90)):
        count(experiment, key, visitors=1000, conversions=conversions)
    experiment.arms.filter(key="v5").update(status="retired")
    experiment.arms.filter(key="v2").update(status="paused")
    page = cast("Viewer").get(url("experiment_workbench", experiment.pk))
    assert [card.number for card in page.context["cards"]] == [1, 3, 4]
    assert [card.number for card in page.context["left"]] == [5, 2]
    assert "2 retired variants" in page.content.decode()


def test_one_visitor_is_not_called_visitors(cast: Cast):
    experiment = make_running()
    count(experiment, "v2", visitors=1, conversions=1)
    client = cast("Viewer")
    assert "<b>1</b> visitor <b>1</b> conversion <b>" in text(client, url("experiment_workbench", experiment.pk))
    assert "<b>1</b> visitor</span>" in text(client, "/console/")


def test_home_leads_to_briefs_and_brands_also_beside_experiments(cast: Cast):
    make_running()
    body = text(cast("Author"), "/console/")
    home = body[body.index("Also here") :]
    assert reverse("admin:variants_brief_changelist") in home
    assert reverse("admin:variants_brand_changelist") in home


def test_leads_are_told_in_the_words_of_the_form(cast: Cast):
    fields = [{"name": "field_2", "label": "Your company", "kind": "text", "is_required": True}]
    experiment = make_experiment(brief=make_brief(form_fields=fields))
    values = {"field_2": "Acme", "gone": "old"}
    at = datetime(2030, 5, 1, 8, 0, tzinfo=UTC)
    Lead.objects.create(lead_id="1", experiment=experiment, values=values, submitted_at=at)
    body = text(cast("Author"), url("lead_changelist"))
    assert '<span class="gh-quiet">Your company</span> Acme' in body
    assert '<span class="gh-quiet">gone</span> old' in body
    assert "1 May 2030, 08:00" in body


@pytest.mark.parametrize("address", ["/console/", "/console/experiments/experiment/"])
def test_the_number_of_queries_does_not_grow_with_the_experiments(address: str, cast: Cast):
    client = cast("superuser")
    make_running()
    few = queries(client, address)
    for _ in range(6):
        make_running(arms=3)
    assert queries(client, address) == few


@pytest.mark.parametrize(
    ("name", "most"),
    [("experiment_workbench", 28), ("gallery", 28), ("evolution", 22), ("experiment_timeline", 18), ("live", 18)],
)
def test_the_number_of_queries_does_not_grow_with_the_variants(name: str, most: int, cast: Cast):
    client = cast("superuser")
    small, large = make_running(arms=2), make_running(arms=60)
    few = queries(client, url(name, small.pk))
    assert queries(client, url(name, large.pk)) == few <= most


def queries(client: Client, address: str) -> int:
    client.get(address)  # the first request fills Django's caches of content types
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_an_empty_console_shows_where_to_begin(cast: Cast):
    body = text(cast("Author"), "/console/")
    assert "Add your brand" in body
    assert "Write a brief" in body


# --- previews -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(draft: Experiment) -> Variant:
    return draft.nursery.variants.get(number=2)


def test_a_preview_shows_a_draft_to_whoever_has_the_link(draft: Experiment, shown: Variant):
    answer = Client().get(preview_url(draft, shown.pk))
    assert answer.status_code == 200
    assert "Green headline" in answer.content.decode()
    assert not answer.cookies
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_a_preview_can_be_framed_by_the_console_and_send_nothing(draft: Experiment, shown: Variant):
    policy = Client().get(preview_url(draft, shown.pk)).headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert "form-action 'none'" in policy
    assert "img-src data:" in policy


def test_a_preview_runs_no_script_and_so_counts_nobody(draft: Experiment, shown: Variant):
    answer = Client().get(preview_url(draft, shown.pk))
    assert b"<script" not in answer.content
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_preview_says_that_it_is_one_and_a_picture_of_it_does_not(draft: Experiment, shown: Variant):
    address = preview_url(draft, shown.pk)
    assert "This is a preview" in Client().get(address).content.decode()
    assert "This is a preview" not in Client().get(f"{address}&framed").content.decode()


def test_a_preview_allows_the_style_sheets_it_holds_and_no_other(draft: Experiment, shown: Variant):
    answer = Client().get(preview_url(draft, shown.pk))
    sheets = re.findall(rb"<style>(.*?)</style>", answer.content, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(sheet).digest()).decode()}'" for sheet in sheets]
    [allowed] = re.findall(r"style-src ([^;]+)", answer.headers["Content-Security-Policy"])
    assert len(sheets) == 2
    assert sorted(allowed.split()) == sorted(hashes)


def test_links_of_a_preview_do_not_pass_the_address_that_counts_them(draft: Experiment, shown: Variant):
    Brief.objects.update(secondary_link={"label": "More", "url": "https://example.com/?a=1&b=2"})
    body = Client().get(preview_url(draft, shown.pk)).content.decode()
    assert 'href="go/' not in body
    assert 'href="https://example.com/?a=1&amp;b=2"' in body


def test_pictures_stand_inside_a_preview(draft: Experiment, shown: Variant):
    brand = draft.nursery.brief.brand
    data = b"bytes of a picture"
    brand.logo = Image.objects.create(
        brand=brand, name="logo", alt="A leaf", sha256=hashlib.sha256(data).hexdigest(), content_type="image/png",
        width=10, height=10, data=data,
    )  # fmt: skip
    brand.save()
    body = Client().get(preview_url(draft, shown.pk)).content.decode()
    assert f'src="data:image/png;base64,{base64.b64encode(data).decode()}"' in body
    assert 'src="i/' not in body


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "not complete"),
        ("forged", "not complete"),
        (signing.dumps([1, 1], salt="another purpose"), "not complete"),
        (signing.dumps("nonsense", salt=SALT), "not complete"),
        (signing.dumps([10**9, 10**9], salt=SALT), "not there any more"),
    ],
)
def test_a_link_that_is_not_ours_shows_nothing(token: str, words: str, draft: Experiment):
    answer = Client().get(f"/p/{draft.slug}/", {"gh_preview": token})
    assert answer.status_code == 404
    assert words in answer.content.decode()


def test_a_link_expires_after_a_week(draft: Experiment, shown: Variant, monkeypatch: pytest.MonkeyPatch):
    address = preview_url(draft, shown.pk)
    week_later = timezone.now().timestamp() + 8 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: week_later)
    answer = Client().get(address)
    assert answer.status_code == 404
    assert "older than a week" in answer.content.decode()


def test_a_link_shows_no_variant_of_another_experiment(draft: Experiment, shown: Variant):
    other = make_experiment(slug="other")
    under_other_address = preview_url(draft, shown.pk).replace("spring-offer", "other")
    of_other_experiment = preview_url(other, shown.pk)
    assert Client().get(under_other_address).status_code == 404
    assert Client().get(of_other_experiment).status_code == 404


def test_the_roles_hold_no_power_over_accounts(db: None):
    held = Group.objects.filter(permissions__content_type__app_label="auth")
    assert not held.exists()


@pytest.mark.parametrize(("role", "fields"), [("Author", 0), ("superuser", 2)])
def test_only_who_may_start_may_move_visitors_of_a_running_experiment(role: str, fields: int, cast: Cast):
    experiment = make_running(slug="archive")
    shown = cast(role).get(f"/console/experiments/experiment/{experiment.pk}/change/").content.decode()
    assert sum(f'name="{name}"' in shown for name in ("traffic_share", "control_share")) == fields
