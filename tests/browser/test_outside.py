"""The console's pages for an address of the marketer's own and for apps, in a real browser."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from experiments import deployment
from experiments.models import AppKey, Experiment
from experiments.store import store
from tests.browser.conftest import come_to_rest
from tests.experiments.splitter.serving import serving
from tests.factories import make_running
from tests.nginx import nginx, recipe
from tests.servers import free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_url", "eager_tasks"),
]

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]  # the page around it is the theme's
CACHED = "proxy_cache pages; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;"


@pytest.fixture
def console(chromium: Browser, live_server: Any, owner: Any, client: Any) -> Iterator[Page]:
    client.force_login(owner)
    context = chromium.new_context(base_url=live_server.url)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    yield page
    context.close()


def test_a_marketer_gives_the_page_an_address_and_sees_the_cache_that_spoils_it(console, tmp_path, settings):
    settings.PAGES_PRIVATE_ADDRESSES = True
    experiment = make_running(arms=4, slug="offer")
    deployment.deploy(experiment, reason="test")
    port = free_port()
    console.goto(f"/console/experiments/experiment/{experiment.pk}/address/")
    console.get_by_label("An address of yours").fill("shop example")
    console.get_by_role("button", name="Save the address").click()
    expect(console.get_by_text("Give the host and, if you like, a path")).to_be_visible()
    console.get_by_label("An address of yours").fill(f"http://localhost:{port}/offer")
    console.get_by_role("button", name="Save the address").click()
    expect(console.get_by_role("link", name=f"http://localhost:{port}/offer/")).to_be_visible()
    cached = recipe("a path of your site").replace("proxy_cache off;", CACHED)
    with serving(tmp_path, store(), secret_key=settings.SECRET_KEY, trusted_proxy_count=1) as site:
        site.clock.now_ms = int(time.time() * 1000)
        with nginx(tmp_path / "cached", cached, port=port, upstream=site.port):
            console.wait_for_load_state()  # before its script runs, the button does nothing
            console.get_by_role("button", name="Look at the address").click()
            expect(console.get_by_text(re.compile("A cache stands in front of your page"))).to_be_visible()
            _look_at(console, "collapsed")
        with nginx(tmp_path / "nginx", recipe("a path of your site"), port=port, upstream=site.port):
            console.get_by_role("button", name="Look again").click()
            expect(console.get_by_text("All is well")).to_be_visible()
            _look_at(console, "well")
    check = Experiment.objects.get().address_check
    assert check is not None
    assert check["verdict"] == "good"


def test_a_developer_gets_a_key_for_an_app(console):
    experiment = make_running(arms=2, slug="offer")
    console.goto(f"/console/experiments/experiment/{experiment.pk}/apps/")
    console.get_by_label("Its name").fill("Shop")
    console.get_by_label("Sites it runs on").fill("shop.example\nhttps://www.shop.example/path")
    console.get_by_role("button", name="Make a key").click()
    expect(console.get_by_text("is not a site, such as")).to_be_visible()
    console.get_by_label("Sites it runs on").fill("shop.example\nhttp://localhost:3000/")
    console.get_by_role("button", name="Make a key").click()
    key = AppKey.objects.get()
    assert (key.origins, list(key.experiments.all())) == ("https://shop.example\nhttp://localhost:3000", [experiment])
    expect(console.get_by_label("Key of Shop")).to_have_value(key.key)
    _look_at(console, "apps")
    console.get_by_role("button", name="Revoke the key").click()
    expect(console.get_by_text("No app asks for it yet.")).to_be_visible()
    assert AppKey.objects.get().revoked_at is not None


def _look_at(page: Page, name: str) -> None:
    """See that the page fits at both widths, and that everybody can use it, in both themes."""
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than {width}"
        for is_dark in (False, True):
            page.evaluate("isDark => document.documentElement.classList.toggle('dark', isDark)", is_dark)
            come_to_rest(page)
            faults = Axe().run(page, ".gh", {"runOnly": WCAG}).response["violations"]
            assert not faults, [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in faults]
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("document.documentElement.classList.remove('dark')")
