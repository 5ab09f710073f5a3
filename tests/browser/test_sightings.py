"""What only a browser can say: when a page was shown, and that whoever asks for consent can be answered."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from playwright.sync_api import Browser, BrowserContext

from experiments.splitter.records import Conversion, Exposure, Forget
from experiments.splitter.stores import Blob, MemoryStore
from tests.browser.conftest import ARGUMENTS, PATIENCE_SECONDS, wait_for
from tests.browser.test_pages import LAYOUTS, make_content
from tests.experiments.splitter.planting import arm, document, publish
from tests.experiments.splitter.serving import CHROME, QuietHandler, Site, serving
from tests.variants.test_renderer import make_frame
from variants.content import Layout
from variants.renderer import Rendered, render_page

pytestmark = pytest.mark.browser

FETCHES_AHEAD = """<!doctype html><title>Elsewhere</title>
<script type="speculationrules">{"prefetch": [{"urls": ["/p/paperless/?utm_source=mail"], "eagerness": "immediate"}]}
</script><a href="/p/paperless/?utm_source=mail">The offer</a>"""


def put(store: MemoryStore, rendered: Rendered) -> str:
    sha = sha256(rendered.html).hexdigest()
    store.put_blob(sha, Blob(identity=rendered.html, content_type="text/html", csp=rendered.csp or None))
    return sha


def page_document(store: MemoryStore, *, layout: Layout = "split", **changes: Any) -> dict[str, Any]:
    """Return an experiment whose arms are real pages, told apart by their headlines."""
    frame = make_frame(asks_consent=bool(changes.get("consent_required")), privacy_url="https://paperwork.example/p")
    arms = {}
    for key in ("control", "v2"):
        rendered = render_page(make_content(f"{key} ", layout=layout), frame)
        arms[key] = {**arm(store, key), "page": put(store, rendered)}
    return document(store, **{"arms": arms, "shares": {"v2": 1.0}, **changes})


def elsewhere_document(store: MemoryStore, source: str) -> dict[str, Any]:
    """Return a page on the same host that has the browser fetch the other one ahead."""
    sha = put(store, Rendered(html=source.encode(), csp=""))
    arms = {"control": {**arm(store, "control"), "page": sha}}
    return document(store, keys=("control",), slug="elsewhere", experiment=99, arms=arms, traffic_share=0.0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def visitors(tmp_path: Path, store: MemoryStore, chromium: Browser) -> Iterator[tuple[Site, BrowserContext]]:
    """A visitor tier without experiments, and a browser that does not call itself headless."""
    with serving(tmp_path, store) as site:
        context = chromium.new_context(base_url=f"http://localhost:{site.port}", user_agent=CHROME)
        site.clock.now_ms = int(time.time() * 1000)
        yield site, context
        context.close()


def serve(site: Site, *documents: dict[str, Any]) -> None:
    for each in documents:
        publish(site.store, each)
    site.splitter.refresher.refresh()


def cookies(context: BrowserContext) -> set[str]:
    return {str(cookie.get("name")) for cookie in context.cookies()}


def test_a_page_that_ran_confirms_its_visitor_once(visitors: tuple[Site, BrowserContext], store: MemoryStore):
    site, context = visitors
    serve(site, page_document(store, confirm_exposures=True))
    page = context.new_page()
    page.goto("/p/paperless/?utm_source=mail&gclid=x1")
    wait_for(page, lambda: "gh_pending" not in cookies(context))
    page.reload()
    page.wait_for_load_state("networkidle")
    (exposure,) = site.records(Exposure)
    assert {name: exposure.attributes[name] for name in ("utm_source", "gclid")} == {
        "utm_source": "mail",
        "gclid": "x1",
    }
    assert cookies(context) == {"gh_12"}


def test_a_page_whose_scripts_do_not_run_confirms_nobody(
    visitors: tuple[Site, BrowserContext], store: MemoryStore, chromium: Browser
):
    site, _ = visitors
    serve(site, page_document(store, confirm_exposures=True))
    context = chromium.new_context(java_script_enabled=False, user_agent=CHROME)
    page = context.new_page()
    page.goto(f"http://localhost:{site.port}/p/paperless/")
    page.wait_for_load_state("networkidle")
    assert (site.records(Exposure), cookies(context)) == ([], {"gh_12", "gh_pending"})
    context.close()


def test_an_ordinary_page_sends_nothing_more(visitors: tuple[Site, BrowserContext], store: MemoryStore):
    site, context = visitors
    serve(site, page_document(store))
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method + request.url.partition("/p/paperless/")[2]))
    page.goto("/p/paperless/")
    page.wait_for_load_state("networkidle")
    assert asked == ["GET", "GETgreenhouse.js"]


def test_a_page_fetched_ahead_counts_once_it_is_shown(visitors: tuple[Site, BrowserContext], store: MemoryStore):
    site, context = visitors
    serve(site, page_document(store), elsewhere_document(store, FETCHES_AHEAD))
    page = context.new_page()
    page.goto("/p/elsewhere/")
    wait_for(page, lambda: site.splitter.tallies.totals().get("prefetch") == 1)
    page.wait_for_timeout(500)  # long enough for a script that does not wait to have told
    assert site.records(Exposure) == []
    with page.expect_navigation():
        page.get_by_role("link").click()
    wait_for(page, lambda: len(site.records(Exposure)) > 0 and "gh_pending" not in cookies(context))
    assert site.splitter.tallies.totals()["prefetch"] == 1  # no second request: what was shown is what was fetched
    (exposure,) = site.records(Exposure)
    assert (exposure.arm, exposure.attributes["utm_source"]) == ("v2", "mail")


@contextmanager
def recorded(site: Site) -> Iterator[tuple[int, list[str]]]:
    """Serve the same visitor tier on another port, and note what is asked for.

    At `…/ran` it tells whether the offer's script was fetched, which nobody else can know who looks at another page.
    """
    asked: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].endswith("/ran"):
            start_response("200 OK" if "GET /p/paperless/greenhouse.js" in asked else "404 Not Found", [])
            return []
        asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        return site.splitter(environ, start_response)

    server = make_server("127.0.0.1", 0, application, handler_class=QuietHandler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def unwatched_chromium(address: str, profile: Path) -> Iterator[None]:
    """Open an address in a browser without DevTools, which would keep it from running pages ahead."""
    command = [str(shutil.which("chromium")), *ARGUMENTS, "--headless=new", "--no-first-run", f"--user-agent={CHROME}"]
    with subprocess.Popen(
        [*command, f"--user-data-dir={profile}", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


RUNS_AHEAD = """<!doctype html><title>Elsewhere</title>
<script type="speculationrules">{"prerender": [{"urls": ["/p/paperless/"], "eagerness": "immediate"}]}</script>
<script>
const show = () => fetch("token").then(() => { location.href = "/p/paperless/" });
const look = () => fetch("ran").then((answer) => answer.ok ? setTimeout(show, 1000) : setTimeout(look, 50));
look();
</script>"""


def test_a_page_that_ran_ahead_waits_until_it_is_shown(
    visitors: tuple[Site, BrowserContext], store: MemoryStore, tmp_path: Path
):
    site, _ = visitors
    serve(site, page_document(store), elsewhere_document(store, RUNS_AHEAD))
    with recorded(site) as (port, asked):
        with unwatched_chromium(f"http://localhost:{port}/p/elsewhere/", tmp_path / "profile"):
            give_up = time.monotonic() + 3 * PATIENCE_SECONDS
            while "POST /p/paperless/seen" not in asked and time.monotonic() < give_up:
                time.sleep(0.05)
        of_interest = [each for each in asked if "favicon" not in each and "elsewhere/greenhouse" not in each]
    assert of_interest == [
        "GET /p/elsewhere/",
        "GET /p/paperless/",
        "GET /p/paperless/greenhouse.js",  # it runs, unseen
        "GET /p/elsewhere/token",  # a moment before it is shown
        "POST /p/paperless/seen",
    ]
    assert [exposure.arm for exposure in site.records(Exposure)] == ["v2"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("width", [390, 1280])
def test_consent_is_asked_for_and_covers_nothing(
    visitors: tuple[Site, BrowserContext], store: MemoryStore, width: int, layout: Layout
):
    site, context = visitors
    serve(site, page_document(store, layout=layout, consent_required=True))
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/p/paperless/")
    bar, hero = page.locator("#consent"), page.locator("main .button:visible, .sticky .button:visible").first
    bar.wait_for()
    above, below = bar.bounding_box(), hero.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert cookies(context) == set()
    page.get_by_role("button", name="Decline").click()
    assert not bar.is_visible()


def test_who_agrees_takes_part_from_the_next_visit_and_may_take_it_back(
    visitors: tuple[Site, BrowserContext], store: MemoryStore
):
    site, context = visitors
    serve(site, page_document(store, consent_required=True))
    page = context.new_page()
    page.goto("/p/paperless/")
    page.get_by_role("button", name="Agree").click()
    assert page.locator("h1").text_content().startswith("control")  # type: ignore[union-attr]  # the page has one
    assert site.records(Exposure) == []
    page.reload()
    assert page.locator("h1").text_content().startswith("v2")  # type: ignore[union-attr]  # the page has one
    assert not page.locator("#consent").is_visible()
    page.get_by_role("button", name="Privacy choices").click()
    with page.expect_response("**/forget") as told:
        page.get_by_role("button", name="Decline").click()
    assert told.value.status == 204
    (exposure,), (forget,) = site.records(Exposure), site.records(Forget)
    assert (exposure.visitor, exposure.exposed_ms) == (forget.visitor, forget.exposed_ms)
    page.reload()
    assert page.locator("h1").text_content().startswith("control")  # type: ignore[union-attr]  # the page has one
    assert cookies(context) == {"gh_consent"}


def test_the_keyboard_answers_the_question(visitors: tuple[Site, BrowserContext], store: MemoryStore):
    site, context = visitors
    serve(site, page_document(store, consent_required=True))
    page = context.new_page()
    page.goto("/p/paperless/")
    page.locator("#consent").wait_for()
    page.locator("#consent-no").focus()
    page.keyboard.press("Enter")
    assert not page.locator("#consent").is_visible()
    assert [cookie.get("value") for cookie in context.cookies()] == ["no"]


def test_a_page_may_report_a_goal_of_its_own(visitors: tuple[Site, BrowserContext], store: MemoryStore):
    site, context = visitors
    serve(site, page_document(store))
    page = context.new_page()
    page.goto("/p/paperless/")
    page.evaluate("greenhouse.track('order', {value: 49.9, event_id: 'A-1'})")
    wait_for(page, lambda: len(site.records(Conversion)) == 1)
    assert json.dumps(site.records(Conversion)[0].value) == "49.9"
