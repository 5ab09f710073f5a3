"""An existing page as the control: imported by the API, started, served, patched, and its goals counted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from selectolax.lexbor import LexborHTMLParser

from experiments import lifecycle
from experiments.console.previews import preview_url
from experiments.models import APIToken, Experiment, Goal
from experiments.splitter.records import Conversion
from experiments.store import store
from experiments.tokens import new_token, token_digest
from tests.experiments.splitter.serving import Site, serving
from tests.factories import make_brief, make_experiment, page
from variants import review
from variants.models import Variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url", "eager_tasks")]

SOURCE = """<!doctype html><html><head><title>Cloud</title><link rel=stylesheet href=/a.css></head><body>
<h1>Run anything</h1><p>On our machines.</p><a class=btn href="/signup?plan=1">Start free trial</a>
<a href="#why">Why</a><form><input name=email><button>Send it</button></form></body></html>"""
ADDRESS = "https://www.example.com/"


def api(user: User) -> Client:
    token = new_token()
    APIToken.objects.create(user=user, digest=token_digest(token))
    return Client(headers={"Authorization": f"Bearer {token}"})


def post(client: Client, path: str, **body: object) -> Any:
    return client.post(f"/api/v1{path}", json.dumps(body), content_type="application/json")


def draft(**changes: Any) -> Experiment:
    return make_experiment(arms=0, goal_kind=Goal.Kind.CLICK, **changes)


def imported(owner: User, experiment: Experiment, **body: object) -> dict[str, Any]:
    answer = post(api(owner), f"/experiments/{experiment.pk}/import", **{"html": SOURCE, "url": ADDRESS, **body})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def started(owner: User, *, words: dict[str, str] | None = None, goal: str = "a1", **body: object) -> Experiment:
    experiment = draft()
    made = imported(owner, experiment, **body)
    post(api(owner), f"/experiments/{experiment.pk}/import/goals", place=goal, goal="signup")
    content = {"kind": "patch", "page": made["page"], "angle": "speed", "texts": words or {"t2": "Run it today"}}
    post(api(owner), f"/experiments/{experiment.pk}/variants", content=content)
    for variant in experiment.nursery.variants.all():
        review.approve(variant, by=owner)
    return lifecycle.start(experiment, by=owner)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path, store()) as made:
        yield made


def test_a_page_is_imported_and_described(owner: User):
    made = imported(owner, draft())
    assert (made["title"], made["headline"]) == ("Cloud", "Run anything")
    assert [(link["id"], link["kind"], link["text"]) for link in made["links"]] == [
        ("a1", "button", "Start free trial"), ("a2", "link", "Why"),
    ]  # fmt: skip
    assert [text["limit"] for text in made["texts"]] == [40, 40, 40, 40, 40, 40]
    control = Variant.objects.get(pk=made["id"])
    assert (control.is_control, control.origin, control.findings) == (True, "import", [])


def test_the_control_is_served_byte_for_byte_but_for_the_listed_changes(owner: User, site: Site, settings: Any):
    experiment = started(owner)
    site.splitter.refresher.refresh()
    ours = f"{settings.PUBLIC_URL}/p/{experiment.slug}/"
    key = f"a1-{experiment.nursery.imported_pages.get().pk}"
    got = site.browser(DNT="1").get(f"/p/{experiment.slug}/")  # who asks not to be tracked gets the control
    expected = SOURCE.replace(
        "<head>", f'<head><base href="{ADDRESS}"><script src="{ours}greenhouse.js" defer></script>'
    )
    expected = expected.replace('href="/signup?plan=1"', f'href="{ours}go/{key}"')
    expected = expected.replace('href="#why"', f'href="{ours}#why"')
    expected = expected.replace("<form>", f'<form action="{ADDRESS}">')
    assert got.body.decode() == expected
    assert "script-src 'self';" in got.headers["content-security-policy"]


def test_a_patch_changes_its_words_alone(owner: User, site: Site):
    experiment = started(owner, words={"t2": "Run & rest"})
    site.splitter.refresher.refresh()
    pages = {
        arm.key: arm.page.identity.body.decode()
        for arm in site.splitter.refresher.experiments[experiment.slug].arms.values()
    }
    control = pages.pop("control")
    assert list(pages.values()) == [control.replace("Run anything", "Run &amp; rest")]


def test_a_click_on_a_picked_link_counts_and_leads_where_it_led(owner: User, site: Site):
    experiment = started(owner)
    site.splitter.refresher.refresh()
    browser = site.browser()
    shown = LexborHTMLParser(browser.get(f"/p/{experiment.slug}/").body)
    href = shown.css("a.btn")[0].attributes["href"]
    assert href is not None
    got = browser.get(f"/p/{experiment.slug}/go/{href.rpartition('/')[2]}")
    assert (got.status, got.headers["location"]) == (302, "https://www.example.com/signup?plan=1")
    assert [record.goal for record in site.records(Conversion)] == ["signup"]


@pytest.mark.parametrize("place", ["f1", "b1", "a2"])
def test_what_leads_nowhere_by_itself_is_marked_for_our_script(owner: User, site: Site, place: str):
    experiment = started(owner, goal=place)
    site.splitter.refresher.refresh()
    browser = site.browser()
    shown = LexborHTMLParser(browser.get(f"/p/{experiment.slug}/").body)
    [marked] = shown.css("[data-greenhouse]")
    browser.get(f"/p/{experiment.slug}/go/{marked.attributes['data-greenhouse']}")
    assert [record.goal for record in site.records(Conversion)] == ["signup"]


def test_scripts_need_a_permission(owner: User):
    experiment = draft()
    author = User.objects.create_user("author", password="a-long-enough-password")
    author.user_permissions.add(Permission.objects.get(codename="add_variant"))
    path = f"/experiments/{experiment.pk}/import"
    refused = post(api(author), path, html=SOURCE, keep_scripts=True)
    assert refused.status_code == 403
    assert post(api(author), path, html=SOURCE + "<script>a()</script>").status_code == 201
    assert b"a()" not in bytes(experiment.nursery.imported_pages.get().source)


WITH_SCRIPT = SOURCE.replace("</body>", "<script>a()</script></body>")


def test_a_page_with_scripts_starts_only_with_a_host_of_its_own(owner: User, settings: Any, tmp_path: Path):
    settings.PAGES_URL = ""
    with pytest.raises(lifecycle.NotReady, match="PAGES_HOST"):
        started(owner, html=WITH_SCRIPT, keep_scripts=True)
    settings.PAGES_URL = "http://pages.example.net"
    experiment = lifecycle.start(Experiment.objects.get(), by=owner)
    with serving(tmp_path, store(), pages_host="pages.example.net") as site:
        path = f"/p/{experiment.slug}/"
        assert site.browser().get(path).status == 404
        got = site.browser(Host="pages.example.net").get(path)
        assert b"<script>a()</script>" in got.body
        assert b'src="http://pages.example.net/p/' in got.body


def test_a_page_whose_scripts_are_kept_but_has_none_needs_no_host(owner: User, settings: Any):
    settings.PAGES_URL = ""
    assert started(owner, keep_scripts=True).status == Experiment.Status.RUNNING


def test_previews_are_shut_off_from_the_console(owner: User, client: Client):
    experiment = draft()
    made = imported(owner, experiment, html=WITH_SCRIPT, keep_scripts=True)
    answer = client.get(preview_url(experiment, made["id"]))
    assert answer["Content-Security-Policy"].startswith("sandbox allow-scripts; ")
    assert b"go/" not in answer.content
    assert b"This is a preview" in answer.content


def test_what_a_patch_says_passes_the_gates(owner: User):
    experiment = draft(brief=make_brief(never_say=["cheap"], must_say=["On our machines."]))
    made = imported(owner, experiment)
    content = {"kind": "patch", "page": made["page"], "angle": "x"}
    texts = {"t2": "Cheap: 99% off", "t3": "Elsewhere."}
    answer = post(api(owner), f"/experiments/{experiment.pk}/variants", content={**content, "texts": texts})
    variant = Variant.objects.get(pk=answer.json()["id"])
    assert {finding["gate"] for finding in variant.findings} >= {"never_say", "claims", "must_say"}
    with pytest.raises(review.Blocked):
        review.approve(variant, by=owner)


def test_a_patch_that_does_not_fit_is_refused_with_its_place(owner: User):
    experiment = draft()
    made = imported(owner, experiment)
    content = {"kind": "patch", "page": made["page"], "texts": {"t2": "x" * 41, "t99": "y"}}
    answer = post(api(owner), f"/experiments/{experiment.pk}/variants", content=content)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"content.texts.t2", "content.texts.t99"}


def test_more_than_a_request_may_hold_is_said_in_words(owner: User):
    answer = post(api(owner), f"/experiments/{draft().pk}/import", html="x" * 3_000_000)
    assert answer.status_code == 413
    assert "At most 2.6 MB" in answer.json()["detail"]


def test_another_experiments_page_cannot_be_patched(owner: User):
    made = imported(owner, draft(slug="one"))
    answer = post(
        api(owner), f"/experiments/{draft(slug='two').pk}/variants", content={"kind": "patch", "page": made["page"]}
    )
    assert answer.status_code == 422


def test_importing_again_makes_the_new_page_the_control(owner: User):
    experiment = draft()
    imported(owner, experiment)
    second = imported(owner, experiment, html=SOURCE.replace("Cloud", "Sky"))
    assert experiment.nursery.variants.get(is_control=True).pk == second["id"]


def test_a_running_experiment_takes_no_import(owner: User):
    experiment = started(owner)
    assert post(api(owner), f"/experiments/{experiment.pk}/import", html=SOURCE).status_code == 409


def test_a_rebuilt_page_is_made_of_our_sections(owner: User):
    experiment = draft()
    made = imported(owner, experiment, mode="rebuilt")
    control = Variant.objects.get(pk=made["id"])
    assert (made["page"], control.is_control, control.page.hero.headline) == (None, True, "Run anything")
    assert control.page.hero.call_to_action == "Start free trial"
    assert "were taken over" in made["remarks"][0]


def test_imported_and_own_pages_compete_in_one_experiment(owner: User, site: Site):
    experiment = draft()
    imported(owner, experiment)
    post(api(owner), f"/experiments/{experiment.pk}/import/goals", place="a1", goal="signup")
    review.add_variant(experiment.nursery, page("Find any letter"))
    for variant in experiment.nursery.variants.all():
        review.approve(variant, by=owner)
    lifecycle.start(experiment, by=owner)
    site.splitter.refresher.refresh()
    assert len(site.splitter.refresher.experiments[experiment.slug].arms) == 2


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1/", "http://2130706433/", "http://[::ffff:127.0.0.1]/", "file:///etc/passwd"]
)
def test_addresses_of_our_own_network_are_refused(owner: User, address: str):
    answer = post(api(owner), f"/experiments/{draft().pk}/import", url=address)
    assert answer.status_code == 422


# --- in the console -------------------------------------------------------------------------------------------------


def address(name: str, experiment: Experiment) -> str:
    return reverse(f"admin:experiments_{name}", args=[experiment.pk])


def bring_in(client: Client, experiment: Experiment, **fields: object) -> Any:
    return client.post(
        address("import_page", experiment), {"html": SOURCE, "url": ADDRESS, "how": "as_it_is", **fields}
    )


def test_a_pasted_page_leads_on_to_its_goals(owner: User, client: Client):
    client.force_login(owner)
    experiment = draft()
    answer = bring_in(client, experiment)
    assert answer.headers["Location"] == address("import_goals", experiment)
    shown = client.get(answer.headers["Location"]).content.decode()
    assert "Button “Start free trial”" in shown
    assert "Form “Send it”" in shown
    assert 'sandbox="allow-scripts"' in shown


def test_an_uploaded_file_is_taken_as_it_is(owner: User, client: Client):
    client.force_login(owner)
    experiment = draft()
    source = SOURCE.replace("Cloud", "Wölkchen").encode() + b"\xff"  # one byte that is no UTF-8
    upload = SimpleUploadedFile("page.html", source)
    bring_in(client, experiment, html="", file=upload)
    assert bytes(experiment.nursery.imported_pages.get().source) == source


@pytest.mark.parametrize(
    "fields", [{"html": "", "url": ""}, {"html": "words"}, {"html": "", "url": "http://127.0.0.1/"}]
)
def test_what_cannot_be_brought_in_is_said_in_words(owner: User, client: Client, fields: dict[str, str]):
    client.force_login(owner)
    experiment = draft()
    answer = bring_in(client, experiment, **fields)
    assert "The page was not brought in" in answer.content.decode()
    assert not experiment.nursery.imported_pages.exists()


def test_a_picked_form_makes_a_goal_that_decides(owner: User, client: Client):
    client.force_login(owner)
    experiment = draft()
    experiment.goals.all().delete()
    bring_in(client, experiment)
    answer = client.post(address("import_goals", experiment), {"place": "f1", "goal": "+"}, follow=True)
    assert "Form “Send it”: it counts when it is sent, as the goal “send-it”" in answer.content.decode()
    assert list(experiment.goals.values_list("key", "kind", "is_primary")) == [("send-it", "form", True)]
    client.post(address("import_goals", experiment), {"place": "f1", "goal": ""})
    assert experiment.nursery.imported_pages.get().goals == {}


def test_a_goal_that_is_picked_nowhere_stands_in_the_way_of_a_start(owner: User):
    experiment = draft()
    imported(owner, experiment)
    review.approve(experiment.nursery.variants.get(), by=owner)
    with pytest.raises(lifecycle.NotReady, match="nothing there is picked"):
        lifecycle.start(experiment, by=owner)


def test_only_who_may_import_scripts_can_keep_them(client: Client):
    author = User.objects.create_user("author", password="a-long-enough-password", is_staff=True)
    author.user_permissions.add(*Permission.objects.filter(codename__in=["add_variant", "view_experiment"]))
    client.force_login(author)
    experiment = draft()
    bring_in(client, experiment, html=WITH_SCRIPT, keep_scripts="on")
    assert not experiment.nursery.imported_pages.get().keeps_scripts
    assert "keep_scripts" not in client.get(address("import_page", experiment)).content.decode()


def test_the_texts_of_a_copy_can_be_changed(owner: User, client: Client):
    client.force_login(owner)
    experiment = draft()
    bring_in(client, experiment)
    control = experiment.nursery.variants.get()
    client.post(reverse("admin:experiments_variant_copy", args=[experiment.pk, control.pk]))
    made = experiment.nursery.variants.get(is_control=False)
    edit = reverse("admin:experiments_variant_edit", args=[experiment.pk, made.pk])
    assert 'value="Run anything"' in client.get(edit).content.decode()
    client.post(edit, {"angle": "speed", "t2": "Run it today"})
    made.refresh_from_db()
    assert (made.content["texts"], made.content["headline"]) == ({"t2": "Run it today"}, "Run it today")
    assert "Today: Run anything" in client.get(edit).content.decode()
    assert "Use at most 40 characters" in client.post(edit, {"angle": "x", "t2": "x" * 41}).content.decode()


def test_the_workbench_shows_an_imported_page(owner: User, client: Client):
    client.force_login(owner)
    experiment = draft()
    assert (
        "bring in the page you have today" in client.get(address("experiment_workbench", experiment)).content.decode()
    )
    bring_in(client, experiment)
    assert "Run anything" in client.get(address("experiment_workbench", experiment)).content.decode()


def test_the_picture_in_which_goals_are_picked_runs_our_script_alone(owner: User, client: Client):
    experiment = draft()
    made = imported(owner, experiment, html=WITH_SCRIPT, keep_scripts=True)
    first, second = (client.get(f"{preview_url(experiment, made['id'])}&picks") for _ in range(2))
    assert b"a()" not in first.content
    assert first.content.count(b"<script") == 1
    assert first["Content-Security-Policy"] != second["Content-Security-Policy"]
    assert "connect-src https://www.example.com" in first["Content-Security-Policy"]
