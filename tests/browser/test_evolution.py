"""Three generations as somebody sees them: walls set, rounds bred, the tree and the credit in the report."""

import re
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from experiments import allocation, evolution
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment
from experiments.reporting.share import share_url
from tests.browser.conftest import DESKTOP, PHONE
from tests.experiments.garden import look_at_children, make_garden
from variants.models import Breeding

# The server answers in another thread, which sees only what is committed.
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_url", "eager_tasks"),
]

ROUNDS = 3
VISITORS, RATE = 12_000, 0.06


def open_evolution(tab: Page, experiment: Experiment, live_server: Any) -> None:
    tab.goto(f"{live_server.url}/console/experiments/experiment/{experiment.pk}/evolution/")
    if tab.locator("input[name=password]").count():
        tab.fill("input[name=username]", "owner")
        tab.fill("input[name=password]", "a-long-enough-password")
        tab.press("input[name=password]", "Enter")
    expect(tab.locator("#walls")).to_be_visible()


def live_through_a_round(experiment: Experiment) -> None:
    """Let workers and visitors do their part: children are written, enter and are seen."""
    evolution.tick(experiment.pk)
    look_at_children(experiment)
    evolution.tick(experiment.pk)
    experiment.arms.filter(status=Arm.Status.WAITING).update(status=Arm.Status.LIVE)
    opened = allocation.reallocate(experiment, now=timezone.now(), at_once=True)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for key, share in opened.shares.items():
        for measure, part in ((EXPOSURES, 1.0), ("signup", RATE)):
            number, arm = round(VISITORS * share * part), experiment.arms.get(key=key)
            EpochCount.objects.create(arm=arm, epoch=opened.epoch, hour=hour, measure=measure, count=number)


def fits(tab: Page) -> bool:
    return bool(tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_three_generations_are_bred_within_walls_and_stand_in_the_report(tab, live_server, settings, owner):
    settings.PUBLIC_URL = live_server.url
    experiment = make_garden([(4000, 160), (4000, 240), (4000, 200), (4000, 170)], is_on=False)
    open_evolution(tab, experiment, live_server)
    tab.get_by_label("Rounds in a week, at most").fill("50")
    tab.get_by_label("Button", exact=True).uncheck()
    tab.get_by_role("button", name="Set the walls").click()
    expect(tab.get_by_text("The walls stand.")).to_be_visible()
    tab.get_by_role("button", name="Switch breeding on").click()
    expect(tab.get_by_role("heading", name="Pages breed")).to_be_visible()
    for number in range(1, ROUNDS + 1):
        tab.get_by_role("button", name="Breed now").click()
        expect(tab.get_by_text(re.compile(r"A round of breeding begins\.|Noted\. It waits"))).to_be_visible()
        live_through_a_round(experiment)
        assert max(Breeding.objects.values_list("round", flat=True)) == number
        open_evolution(tab, experiment, live_server)
    expect(tab.locator("#state")).to_contain_text("in 3 rounds")
    tab.get_by_role("button", name="Stop breeding").click()
    expect(tab.get_by_role("heading", name="Breeding is stopped")).to_be_visible()
    tab.set_viewport_size(PHONE)
    assert fits(tab)
    tab.set_viewport_size(DESKTOP)
    tab.goto(share_url(experiment, by=None))
    family = tab.locator("#family")
    expect(family.get_by_role("heading", name="Family tree")).to_be_visible()
    marks = family.locator("svg.tree.wide .mark")
    assert marks.count() == experiment.nursery.variants.count()
    expect(family.locator("#credit-operator")).to_contain_text(re.compile(r"[+−]\d+%"))
    tab.set_viewport_size(PHONE)
    assert fits(tab)
    heights = family.locator("svg.tree.narrow .word").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 11
