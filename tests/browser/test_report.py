"""What only a browser can say of a report: whether it fits a phone, sorts by a click, and keeps itself up to date."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from experiments.models import EXPOSURES, Arm, Experiment, ShareLink
from experiments.reporting import page
from experiments.reporting.share import share_url, token_of
from tests.experiments.reporting.made import count, make_counted

# The server answers in another thread, which sees only what is committed.
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE, DESKTOP = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=900)
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenhersteller" * 2
SOON_MS = 10_000


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A page that fails the test if the browser had anything to complain about."""
    complaints: list[str] = []
    found = chromium.new_page(viewport=DESKTOP)
    found.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: complaints.append(str(error)))
    yield found
    found.close()
    assert complaints == []


def open_report(tab: Page, experiment: Experiment, live_server: Any, settings: Any) -> None:
    settings.PUBLIC_URL = live_server.url
    tab.goto(share_url(experiment, by=None))


def make_many(arms: int) -> Experiment:
    experiment = make_counted([(1000 + number, 20 + number) for number in range(arms)], name=LONG_NAME[:110])
    experiment.nursery.variants.filter(number=2).update(name=LONG_NAME[:110])
    return experiment


def names(tab: Page) -> list[str]:
    return tab.locator("#live-arms tbody .arm").all_inner_texts()


@pytest.mark.parametrize("arms", [1, 2, 13, 100])
def test_a_report_fits_a_phone(tab, live_server, settings, arms):
    tab.set_viewport_size(PHONE)
    open_report(tab, make_many(arms), live_server, settings)
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_each_chart_is_drawn_once_for_the_screen_it_is_on(tab, live_server, settings):
    open_report(tab, make_many(3), live_server, settings)
    assert tab.locator(".drawing.wide:visible").count() == tab.locator("figure.chart").count() > 0
    assert tab.locator(".drawing.narrow:visible").count() == 0
    tab.set_viewport_size(PHONE)
    assert tab.locator(".drawing.wide:visible").count() == 0


def test_text_in_charts_can_be_read_on_a_phone(tab, live_server, settings):
    tab.set_viewport_size(PHONE)
    open_report(tab, make_many(13), live_server, settings)
    heights = tab.locator(".drawing.narrow .word").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert min(heights) >= 11


def test_a_click_on_a_header_sorts_and_another_turns_it_round(tab, live_server, settings):
    open_report(tab, make_counted([(300, 9), (100, 3), (200, 6)]), live_server, settings)
    header = tab.get_by_role("button", name="Visitors", exact=True)
    header.click()
    assert names(tab) == ["Variant 1", "Variant 3", "Variant 2"]
    header.click()
    assert names(tab) == ["Variant 2", "Variant 3", "Variant 1"]


def test_today_s_page_comes_first_until_another_order_is_chosen_and_can_come_first_again(tab, live_server, settings):
    tab.set_viewport_size(PHONE)
    open_report(tab, make_counted([(300, 9), (100, 3), (400, 40)]), live_server, settings)
    assert names(tab) == ["Variant 1", "Variant 3", "Variant 2"]
    order = tab.get_by_label("Sort by")
    order.select_option("Visitors")
    assert names(tab) == ["Variant 3", "Variant 1", "Variant 2"]
    order.select_option("Today's page, then best first")
    assert names(tab) == ["Variant 1", "Variant 3", "Variant 2"]


def test_an_open_report_shows_new_visitors_and_keeps_what_was_chosen(tab, live_server, settings, monkeypatch):
    monkeypatch.setattr(page, "REFRESH_SECONDS", 0.2)
    experiment = make_counted([(300, 9), (100, 3), (200, 6)])
    open_report(tab, experiment, live_server, settings)
    tab.get_by_role("button", name="Visitors", exact=True).click()
    tab.locator("#table-rates summary").click()
    count(Arm.objects.get(experiment=experiment, key="v2"), EXPOSURES, 1000)
    expect(tab.locator("dd[data-key=exposures]")).to_have_text("1,600", timeout=SOON_MS)
    assert names(tab) == ["Variant 2", "Variant 1", "Variant 3"]
    expect(tab.locator("#table-rates table")).to_be_visible()


def test_without_script_the_report_is_complete(chromium, live_server, settings):
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    open_report(tab, make_many(3), live_server, settings)
    assert len(names(tab)) == 3
    expect(tab.locator("figure.chart").first).to_be_visible()
    context.close()


def test_a_report_does_not_tell_where_its_reader_came_from(tab, live_server, settings):
    link = ShareLink.objects.create(experiment=make_many(2))
    answer = tab.goto(f"{live_server.url}/r/{token_of(link)}/")
    assert answer is not None
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert tab.evaluate("document.cookie") == ""
