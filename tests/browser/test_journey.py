"""From a brief to a lead in the report: two browsers against the whole of Greenhouse as `make run` starts it."""

import os
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import wait_for
from tests.stack import START_SECONDS, stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
COUNTING_SECONDS = 120.0
ROBOT = {"User-Agent": "curl/8.5.0"}  # is not counted
BRIEF = {
    "name": "Spring offer",
    "product": "Bicycle repair at your door. A mechanic comes to you and repairs your bicycle on the spot.",
    "audience": "Commuters who need their bicycle tomorrow.",
    "offer": "A free check of your bicycle with every repair.",
    "facts": "A mechanic comes to you within 48 hours.\nRepairs start at 29 euros. -- price list\n"
    "Every repair has a guarantee of one year.\nWe repair city bicycles, racing bicycles and cargo bicycles.",
    "angles": "Your bicycle is ready tomorrow\nNo carrying it to the shop\nA price you know beforehand",
    "call_to_action_label": "Book a repair",
}


@pytest.fixture
def greenhouse() -> Iterator[dict[str, Any]]:
    with stack("up") as running:
        yield running.announced("READY", seconds=START_SECONDS)


def picture(page: Page, name: str) -> None:
    """Keep a picture at desktop and phone width for a person to look at, where SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    for width, height in ((1280, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(400)
        page.screenshot(path=str(Path(folder) / f"journey-{name}-{width}.png"), full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


def open_context(chromium: Browser, greenhouse: dict[str, Any], errors: list[str]) -> BrowserContext:
    context = chromium.new_context(
        base_url=greenhouse["url"], user_agent=CHROME, viewport={"width": 1280, "height": 900}
    )
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return context


def log_in(tab: Page, greenhouse: dict[str, Any]) -> None:
    tab.goto("/console/")
    tab.fill("[name=username]", greenhouse["username"])
    tab.fill("[name=password]", greenhouse["password"])
    tab.press("[name=password]", "Enter")
    expect(tab.get_by_role("heading", name="Let us grow a landing page")).to_be_visible()


def save_brief(tab: Page) -> None:
    tab.goto("/console/variants/brand/add/")
    tab.fill("#id_name", "Wheels")
    tab.get_by_role("button", name="Save", exact=True).click()
    tab.goto("/console/variants/brief/add/")
    for name, value in BRIEF.items():
        tab.fill(f"#id_{name}", value)
    tab.select_option("#id_brand", label="Wheels")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.get_by_text("Next: an experiment that grows from it.")).to_be_visible()


def grow_eight_and_approve_six(tab: Page) -> None:
    tab.goto("/console/experiments/experiment/add/")
    tab.locator("#id_name").press_sequentially("Spring offer")
    tab.get_by_role("button", name="Save", exact=True).click()
    tab.fill("[name=count]", "8")
    tab.get_by_role("button", name="Grow them").click()
    expect(tab.get_by_text("The last request: 8 of 8 variants")).to_be_visible()
    expect(tab.locator(".gh-card")).to_have_count(8)
    boxes = tab.locator(".gh-card input[type=checkbox]")
    for place in range(6):
        boxes.nth(place).check()
    tab.locator(".gh-tools").get_by_role("button", name="Approve").click()
    expect(tab.get_by_text("Approved 6 variants.")).to_be_visible()


def convert(stranger: Page) -> str:
    """Visit the page, send its form, and return the key of the arm that was seen."""
    response = stranger.goto("/p/spring-offer/?utm_source=news")
    assert response is not None
    assert response.status == HTTPStatus.OK
    picture(stranger, "page")
    [cookie] = stranger.context.cookies(stranger.url)
    stranger.fill("[name=email]", "anna@example.org")
    stranger.locator("form button").first.click()
    stranger.wait_for_url("**/p/spring-offer/thanks**")
    picture(stranger, "thanks")
    return str(cookie["value"]).split(".")[2]


def counted(tab: Page) -> dict[str, tuple[int, int]]:
    """Wait until the conversion is counted; return exposures and conversions by arm."""
    give_up = time.monotonic() + COUNTING_SECONDS
    while True:
        arms = tab.request.get("/experiments/1/report.json").json()["arms"]
        if any(arm["conversions"] for arm in arms) or time.monotonic() > give_up:
            return {arm["key"]: (arm["exposures"], arm["conversions"]) for arm in arms}
        tab.wait_for_timeout(500)


def test_a_marketer_gets_a_lead_and_sees_its_conversion(chromium: Browser, greenhouse: dict[str, Any]):
    errors: list[str] = []
    marketer, visitor = (open_context(chromium, greenhouse, errors) for _ in range(2))
    tab = marketer.new_page()
    tab.on("dialog", lambda dialog: dialog.accept())
    log_in(tab, greenhouse)
    save_brief(tab)
    grow_eight_and_approve_six(tab)
    picture(tab, "workbench")
    tab.get_by_role("button", name="Start", exact=True).click()
    expect(tab.get_by_role("button", name="Pause")).to_be_visible()
    # The visitor process looks for new snapshots each second.
    wait_for(tab, lambda: tab.request.get("/p/spring-offer/", headers=ROBOT).status == HTTPStatus.OK)

    arm = convert(visitor.new_page())

    seen = counted(tab)
    tab.get_by_role("link", name="Leads", exact=True).click()
    expect(tab.get_by_text("anna@example.org")).to_be_visible()
    picture(tab, "leads")
    tab.goto("/console/experiments/experiment/1/")
    tab.get_by_role("link", name="Report").first.click()
    assert seen.pop(arm) == (1, 1)
    assert set(seen.values()) == {(0, 0)}
    expect(tab.get_by_text("Conversions").first).to_be_visible()
    picture(tab, "report")
    marketer.close()
    visitor.close()
    assert errors == []
