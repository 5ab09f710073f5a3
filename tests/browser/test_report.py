"""What only a browser can say of a report: whether it fits a phone, sorts by a click, and keeps itself up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from experiments.models import EXPOSURES, Arm, Experiment, ShareLink
from experiments.reporting import page
from experiments.reporting.share import card_url_of, make_link, share_url, token_of, url_of
from tests.browser.conftest import PHONE
from tests.experiments.reporting.made import count, make_counted, make_reasoned

# The server answers in another thread, which sees only what is committed.
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenhersteller" * 2


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
    expect(tab.locator("dd[data-key=exposures]")).to_have_text("1,600")
    assert names(tab) == ["Variant 2", "Variant 1", "Variant 3"]
    expect(tab.locator("#table-rates table")).to_be_visible()


def test_a_long_table_is_folded_sorts_as_a_whole_and_stays_open_once_opened(tab, live_server, settings, monkeypatch):
    monkeypatch.setattr(page, "REFRESH_SECONDS", 0.2)
    tab.set_viewport_size(PHONE)
    experiment = make_many(100)
    open_report(tab, experiment, live_server, settings)
    rows, seen = tab.locator("#live-arms tbody tr"), tab.locator("#live-arms tbody tr:visible")
    assert (rows.count(), seen.count()) == (100, 8)
    tab.get_by_label("Sort by").select_option("Visitors")
    assert seen.locator("[data-field=exposures]").first.inner_text() == "1,099"
    tab.get_by_text("Show all 100 pages").click()
    assert seen.count() == 100
    count(Arm.objects.get(experiment=experiment, key="v2"), EXPOSURES, 1000)
    expect(seen.locator("[data-field=exposures]").first).to_have_text("2,001")
    assert seen.count() == 100


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


def test_a_reader_looks_closer_and_asks_nobody_else_for_anything(tab, live_server, settings):
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    experiment = make_reasoned()
    shares = experiment.allocations.get().shares
    experiment.allocations.create(epoch=2, shares=shares, counts={key: [1000, 30] for key in shares}, reason="")
    open_report(tab, experiment, live_server, settings)
    button = tab.locator("#chart-history .closer")
    expect(tab.locator("#chart-history .drawings")).to_be_visible()
    button.click()
    expect(tab.locator("#chart-history canvas")).to_be_visible()
    expect(tab.locator("#chart-history .drawings")).to_be_hidden()
    tab.locator("#chart-history .u-over").hover(position={"x": 60, "y": 60})
    expect(tab.locator("#chart-history .u-legend")).to_contain_text("%")
    tab.emulate_media(media="print")
    expect(tab.locator("#chart-history .drawings")).to_be_visible()
    assert {url.split("/", 3)[2] for url in asked} == {live_server.url.split("/")[2]}


def test_sorting_works_by_keyboard_and_says_so(tab, live_server, settings):
    open_report(tab, make_counted([(300, 9), (100, 3), (200, 6)]), live_server, settings)
    tab.get_by_role("button", name="Visitors", exact=True).focus()
    tab.keyboard.press("Enter")
    header = tab.locator("#live-arms").get_by_role("columnheader", name="Visitors", exact=True)
    expect(header).to_have_attribute("aria-sort", "descending")
    tab.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")


def test_an_unchanged_report_is_not_sent_again_and_only_the_verdict_is_read_out(
    tab, live_server, settings, monkeypatch
):
    monkeypatch.setattr(page, "REFRESH_SECONDS", 0.2)
    statuses: list[int] = []
    tab.on("response", lambda answer: statuses.append(answer.status))
    open_report(tab, make_counted([(300, 9), (100, 3)]), live_server, settings)
    with tab.expect_response(lambda answer: answer.status == 304):
        pass
    assert set(statuses) <= {200, 304}
    assert tab.locator("[aria-live]").evaluate_all("all => all.map(one => one.id)") == ["verdict"]


@contextmanager
def page_elsewhere(body: str) -> Iterator[str]:
    """Serve one page from another origin, which is as local as ours: browsers ask before others reach local servers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_card_may_be_framed_by_others_and_the_report_may_not(chromium, live_server, settings):
    tab = chromium.new_page()
    settings.PUBLIC_URL = live_server.url
    link = make_link(make_counted([(3000, 60), (3000, 180)]), by=None, name="The board")
    frames = "".join(f"<iframe src='{url}' width=480 height=320></iframe>" for url in (card_url_of(link), url_of(link)))
    with page_elsewhere(frames) as address:
        tab.goto(address)
    card, report = (tab.frame_locator("iframe").nth(place) for place in range(2))
    expect(card.locator("h1")).to_have_text("There is a winner")
    expect(report.locator("#report")).to_have_count(0)  # but the browser's own page, which says that it was refused
    tab.close()


def test_a_report_has_nothing_that_shuts_people_out(tab, live_server, settings):
    open_report(tab, make_reasoned(), live_server, settings)
    tab.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []
