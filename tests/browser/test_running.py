"""A marketer's days with an experiment that runs, by clicking: plan, retire, a new version, notifications, the end."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from experiments import deployment, lag
from experiments.models import EXPOSURES, Deployment, EpochCount, Experiment, Notice
from experiments.splitter.stores import MemoryStore
from tests.browser.conftest import come_to_rest
from tests.factories import make_running
from tests.receivers import receiver
from variants.models import Variant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a-long-enough-password"
PREVIEWS = re.compile(r"gh_preview=")


@pytest.fixture
def experiment(transactional_db: None) -> Experiment:
    """Runs since two days ago with three arms; its third one is ill."""
    made = make_running(arms=4, name="Spring offer")
    started = timezone.now() - timedelta(days=2)
    pages = Deployment.objects.create(experiment=made, number=1, pages={}, site={}, reason="started")
    Experiment.objects.update(
        started_at=started, deployment=pages, standing={"winner": "v2", "winner_name": "Variant 2"}
    )
    hour = started.replace(minute=0, second=0, microsecond=0)
    EpochCount.objects.bulk_create(
        EpochCount(arm=arm, epoch=1, hour=hour + timedelta(hours=later), measure=measure, count=number)
        for arm in made.arms.all()
        for later in range(0, 47, 3)
        for measure, number in ((EXPOSURES, 40 + later), ("signup", 2))
    )
    Notice.objects.create(experiment=made, topic="unhealthy", cause="no visitors", text="No visitor has come.")
    made.refresh_from_db()
    return made


@pytest.fixture
def tab(
    chromium: Browser, live_server: LiveServer, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Page]:
    """The console's first page, logged in as somebody who may do everything; any error in the browser fails."""
    kept = MemoryStore()
    monkeypatch.setattr(deployment, "store", lambda: kept)
    monkeypatch.setattr(deployment, "snapshot", lambda _: {"arms": {}, "images": {}})  # its pages were never made
    monkeypatch.setattr(lag, "measure", lag.Lag)
    settings.NOTIFY_PRIVATE_ADDRESSES = True
    User.objects.create_superuser("ada", password=PASSWORD)
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=live_server.url)
    # What the pictures show is not looked at here, and drawing many takes long.
    context.route(PREVIEWS, lambda route: route.fulfill(content_type="text/html", body="<h1>A page</h1>"))
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("dialog", lambda dialog: dialog.accept())
    opened.goto("/console/")
    opened.fill("[name=username]", "ada")
    opened.fill("[name=password]", PASSWORD)
    opened.press("[name=password]", "Enter")
    yield opened
    context.close()
    assert errors == []


def is_usable_by_all(tab: Page, *, besides: str = "") -> None:
    """Have axe-core look at what is shown, in light and in dark, and see that a telephone shows all of it."""
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        come_to_rest(tab)
        # Unfold's own frame and the previews in frames are not this page's.
        found = Axe().run(
            tab, context={"include": [[".gh"]], "exclude": [["iframe"], *([[besides]] if besides else [])]}
        )
        told = [
            (fault["id"], [node["html"][:200] for node in fault["nodes"]]) for fault in found.response["violations"]
        ]
        assert told == []
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    tab.set_viewport_size({"width": 1280, "height": 900})


def test_days_with_an_experiment_that_runs(tab: Page, experiment: Experiment):
    look_at_home(tab)
    plan_the_end(tab)
    retire_a_variant(tab, experiment)
    make_a_new_version(tab, experiment)
    set_a_destination(tab)
    read_the_history(tab)
    show_the_winner_to_everyone(tab, experiment)


def look_at_home(tab: Page) -> None:
    expect(tab.get_by_role("heading", name="Needs a look")).to_be_visible()
    expect(tab.get_by_text("No visitor has come.")).to_be_visible()
    expect(tab.get_by_role("img", name=re.compile("visitors over the last 2 days"))).to_be_visible()
    is_usable_by_all(tab)
    tab.get_by_role("link", name=re.compile("Decide ?: Spring offer")).click()


def plan_the_end(tab: Page) -> None:
    # A click does not wait for where it leads: each page is seen to have come before it is looked at.
    expect(tab.get_by_role("link", name="Plan its end")).to_be_visible()
    is_usable_by_all(tab)
    tab.get_by_role("link", name="Plan its end").click()
    expect(tab.get_by_label("End")).to_be_visible()
    is_usable_by_all(tab)
    tab.get_by_label("End").fill("2099-07-01T09:00")
    tab.get_by_label("Clocks of").select_option("Europe/Berlin")
    tab.get_by_role("button", name="Save the plan").click()
    expect(tab.get_by_text("Ends Wednesday, 1 July 2099, 09:00 (Europe/Berlin).", exact=True)).to_be_visible()


def retire_a_variant(tab: Page, experiment: Experiment) -> None:
    tab.get_by_role("button", name=re.compile("Retire +Variant 4")).click()
    expect(tab.get_by_text("“Variant 4” gets no new visitors.")).to_be_visible()
    assert experiment.arms.get(key="v4").status == "retired"


def make_a_new_version(tab: Page, experiment: Experiment) -> None:
    tab.get_by_role("link", name=re.compile("New version +of Variant 3")).click()
    expect(tab.get_by_role("button", name="Save as a new version")).to_be_visible()
    is_usable_by_all(tab)
    tab.get_by_label("Headline", exact=True).first.fill("In better words")
    tab.get_by_role("button", name="Save as a new version").click()
    expect(tab.get_by_text("This is the new version, a draft.")).to_be_visible()
    made = Variant.objects.get(number=5)
    assert (made.status, experiment.arms.get(key="v3").successor) == ("draft", made)
    tab.goto(f"/console/experiments/experiment/{experiment.pk}/")
    expect(tab.get_by_text("retires once “In better words” is live")).to_be_visible()


def set_a_destination(tab: Page) -> None:
    tab.get_by_role("link", name="Notifications").last.click()
    with receiver() as hook:
        tab.get_by_label("How").select_option("webhook")
        tab.get_by_label("Where").fill(hook.url)
        tab.get_by_role("button", name="Add it").click()
        tab.get_by_role("button", name=re.compile("Send a test")).click()
        expect(tab.get_by_text("The test was taken by")).to_be_visible()
        assert "webhook-signature" in hook.received[0].headers
    is_usable_by_all(tab)


def read_the_history(tab: Page) -> None:
    tab.get_by_role("link", name="← Spring offer").click()
    tab.get_by_role("link", name="History").click()
    expect(tab.get_by_text("Planned: ends Wednesday, 1 July 2099").first).to_be_visible()
    expect(tab.get_by_text("“Headline v3” → “In better words”").first).to_be_visible()
    is_usable_by_all(tab)


def show_the_winner_to_everyone(tab: Page, experiment: Experiment) -> None:
    tab.get_by_role("link", name="← Spring offer").click()
    expect(tab.get_by_text("“Variant 2” is surely better than today’s page.")).to_be_visible()
    tab.get_by_role("link", name="Show it to everyone").click()
    tab.get_by_role("radio", name="Variant 2").check()
    is_usable_by_all(tab)
    tab.get_by_role("button", name="End it and show this one").click()
    expect(tab.get_by_text("Everyone sees “Variant 2”.")).to_be_visible()
    experiment.refresh_from_db()
    assert (experiment.status, experiment.ends_at) == (Experiment.Status.PROMOTED, None)
