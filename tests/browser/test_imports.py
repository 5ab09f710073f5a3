"""What only a browser can say of imported pages: that their scripts reach nothing of ours, and picking."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Frame, Page, Request, Route, expect
from pytest_django.live_server_helper import LiveServer

from experiments import lifecycle
from experiments.console.previews import preview_url
from experiments.models import Experiment, Goal
from experiments.splitter.records import Conversion
from experiments.store import store
from tests.browser.conftest import wait_for
from tests.experiments.splitter.serving import CHROME, Site, serving
from tests.factories import make_experiment
from tests.variants.templates import TEMPLATES, Template, unpacked
from variants import review
from variants.importing import import_page, pick, read_page
from variants.models import Variant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url")]

PASSWORD = "a-long-enough-password"
ADDRESS = "https://www.example.com/"
PLAIN = """<!doctype html><html><head><title>Cloud</title></head><body><h1>Run anything</h1>
<a class=btn id=buy href="/signup">Start free trial</a> <a id=why href="#reasons">Why</a>
<form id=ask><input name=email value=a@b.example><button>Send it</button></form>
<p style="margin-top: 3000px" id=reasons>Because.</p></body></html>"""

# Tries everything that a script could do to the console at CONSOLE, and notes what came of it.
HOSTILE = """
window.results = {};
const attempts = [];
async function attempt(name, work) {
  attempts.push(name);
  window.done = false;
  try { results[name] = "reached " + await work(); } catch (error) { results[name] = "stopped " + error.name; }
  window.done = Object.keys(results).length === attempts.length;
}
attempt("cookies", () => { if (document.cookie) return document.cookie; throw new Error("none"); });
attempt("storage", () => { localStorage.setItem("x", "1"); return "storage of " + origin; });
attempt("read", () => fetch("CONSOLE/console/", {credentials: "include"}).then((answer) => answer.text()));
attempt("act", () => fetch("CONSOLESTEP", {method: "POST", credentials: "include", body: "step=start"})
  .then((answer) => answer.text()));
attempt("parent", () => { if (parent === window) throw new Error("none"); return parent.document.title; });
attempt("frame", () => new Promise((done, failed) => {
  const frame = document.createElement("iframe");
  frame.onload = () => {
    try { done(frame.contentWindow.document.body.innerHTML.length); } catch (error) { failed(error); }
  };
  setTimeout(() => failed(new Error("never")), 10000);
  frame.src = "CONSOLE/console/"; document.body.append(frame);
}));
attempt("script", () => new Promise((done, failed) => {
  const script = document.createElement("script");
  script.onload = () => done("loaded"); script.onerror = () => failed(new Error("refused"));
  script.src = "CONSOLE/console/jsi18n/"; document.body.append(script);
}));
attempt("worker", () => navigator.serviceWorker.register("CONSOLE/sw.js").then(() => "registered"));
function leave() {  // last, and after the results were read: it takes the page away
  const form = document.createElement("form");
  form.method = "post"; form.action = "CONSOLESTEP"; form.target = "FORM_TARGET";
  form.innerHTML = "<input name=step value=start>";
  document.body.append(form);
  try { form.submit(); } catch (error) { results.form = "stopped"; }
  try {
    if (parent !== window) top.location.href = "CONSOLE/console/?moved";
  } catch (error) { results.top = "stopped " + error.name; }
}
"""


def step_url(experiment: Experiment) -> str:
    return reverse("admin:experiments_experiment_step", args=[experiment.pk])


def hostile(console: str, experiment: Experiment) -> str:
    script = HOSTILE.replace("CONSOLESTEP", console + step_url(experiment)).replace("CONSOLE", console)
    return PLAIN.replace("</body>", f"<script>{script.replace('FORM_TARGET', '_self')}</script></body>")


def bring_in(experiment: Experiment, source: str, **options: Any) -> Variant:
    reading = read_page(source.encode(), **{"address": ADDRESS, **options})
    return import_page(experiment.nursery, reading, by=None)


def draft() -> Experiment:
    return make_experiment(arms=0, goal_kind=Goal.Kind.CLICK)


@pytest.fixture
def console(chromium: Browser, live_server: LiveServer) -> Iterator[BrowserContext]:
    """A browser in which somebody who may do everything is logged in to the console."""
    User.objects.create_superuser("ada", password=PASSWORD)
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=live_server.url, user_agent=CHROME)
    tab = context.new_page()
    tab.goto("/console/login/")
    tab.fill("[name=username]", "ada")
    tab.fill("[name=password]", PASSWORD)
    tab.press("[name=password]", "Enter")
    expect(tab.get_by_role("heading", name="Let us grow a landing page")).to_be_visible()
    tab.close()
    yield context
    context.close()


def outcome(frame: Page | Frame) -> dict[str, str]:
    frame.wait_for_function("window.done === true", polling=100)  # a frame that is out of sight draws no frames
    return dict(frame.evaluate("window.results"))


def take_away(frame: Page | Frame) -> None:
    """Let the script try to send a form and to lead elsewhere, and give it the time to."""
    frame.evaluate("void setTimeout(leave)")
    (frame if isinstance(frame, Page) else frame.page).wait_for_timeout(2000)


def assert_stopped(results: dict[str, str], *, but: frozenset[str] = frozenset()) -> None:
    assert {name for name, came_of_it in results.items() if came_of_it.startswith("reached")} <= but, results


def assert_untouched(experiment: Experiment) -> None:
    experiment.refresh_from_db()
    assert experiment.status == Experiment.Status.DRAFT
    assert not LogEntry.objects.exists()
    assert Session.objects.count() == 1


def test_the_script_of_a_previewed_page_reaches_nothing(console: BrowserContext, live_server: LiveServer):
    """By the answer's own policy: the frame here has no sandbox attribute that could help."""
    experiment = draft()
    control = bring_in(experiment, hostile(live_server.url, experiment), keeps_scripts=True, allows_others=True)
    tab = console.new_page()
    tab.goto("/console/")
    asked: list[Request] = []
    tab.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - a bound append cannot be wrapped
    with tab.expect_event("framenavigated", lambda found: "gh_preview" in found.url) as navigated:
        tab.evaluate(
            "address => document.body.append(Object.assign(document.createElement('iframe'), {src: address}))",
            preview_url(experiment, control.pk),
        )
    frame = navigated.value
    assert_stopped(outcome(frame))
    assert frame.evaluate("origin") == "null"
    take_away(frame)
    assert tab.url.endswith("/console/")
    assert not [request.url for request in asked if request.method == "POST"]
    assert_untouched(experiment)


def test_nor_does_it_when_the_preview_is_opened_in_full(console: BrowserContext, live_server: LiveServer):
    experiment = draft()
    control = bring_in(experiment, hostile(live_server.url, experiment), keeps_scripts=True, allows_others=True)
    tab = console.new_page()
    tab.goto(preview_url(experiment, control.pk))
    assert_stopped(outcome(tab))
    take_away(tab)
    assert "gh_preview" in tab.url
    assert_untouched(experiment)


def test_where_goals_are_picked_it_does_not_even_run(console: BrowserContext, live_server: LiveServer):
    experiment = draft()
    bring_in(experiment, hostile(live_server.url, experiment), keeps_scripts=True, allows_others=True)
    tab = console.new_page()
    tab.goto(reverse("admin:experiments_import_goals", args=[experiment.pk]))
    frame = tab.frame_locator("[data-picker]")
    expect(frame.get_by_text("Run anything")).to_be_visible()
    for each in tab.frames[1:]:
        assert each.evaluate("typeof window.results") == "undefined"
        assert each.evaluate("origin") == "null"


@pytest.fixture
def site(tmp_path: Path, settings: Any, eager_tasks: None) -> Iterator[Site]:
    """A visitor tier on the host of pages with scripts, which is not the console's."""
    with serving(tmp_path, store(), pages_host="127.0.0.1") as made:
        settings.PAGES_URL = f"http://127.0.0.1:{made.port}"
        settings.PUBLIC_URL = f"http://localhost:{made.port}"
        yield made


def start(site: Site, experiment: Experiment, *, place: str = "a1") -> None:
    pick(experiment.nursery.imported_pages.get(), place, "signup")
    for variant in experiment.nursery.variants.all():
        review.approve(variant, by=None)
    lifecycle.start(experiment, by=None)
    site.splitter.refresher.refresh()


def test_the_script_of_a_served_page_reaches_nothing(console: BrowserContext, live_server: LiveServer, site: Site):
    experiment, other = draft(), make_experiment(slug="other")
    bring_in(experiment, hostile(live_server.url, other), keeps_scripts=True, allows_others=True)
    start(site, experiment)
    tab = console.new_page()
    tab.goto(f"http://127.0.0.1:{site.port}/p/{experiment.slug}/")
    # It has storage and cookies of its own origin, where nobody is logged in to anything.
    results = outcome(tab)
    assert_stopped(results, but=frozenset({"storage", "cookies"}))
    assert "sessionid" not in str(results)
    take_away(tab)
    assert_untouched(other)


def test_a_page_with_scripts_is_not_on_the_consoles_host(chromium: Browser, live_server: LiveServer, site: Site):
    experiment = draft()
    bring_in(experiment, PLAIN.replace("</body>", "<script>window.ran = 1</script></body>"), keeps_scripts=True)
    start(site, experiment)
    context = chromium.new_context(user_agent=CHROME)
    tab = context.new_page()
    answers = {host: tab.goto(f"http://{host}:{site.port}/p/{experiment.slug}/") for host in ("localhost", "127.0.0.1")}
    assert {host: answer.status for host, answer in answers.items() if answer} == {"localhost": 404, "127.0.0.1": 200}
    assert tab.evaluate("window.ran") == 1
    context.close()


def test_without_its_scripts_nothing_of_it_runs(chromium: Browser, site: Site):
    experiment = draft()
    source = PLAIN.replace("<h1>", "<h1 onmouseover='window.ran=1'>").replace(
        "</body>",
        "<img src=x onerror='window.ran=1'><script>window.ran=1</script><svg onload=window.ran=1></svg></body>",
    )
    bring_in(experiment, source)
    start(site, experiment)
    context = chromium.new_context(user_agent=CHROME)
    tab = context.new_page()
    tab.goto(f"http://localhost:{site.port}/p/{experiment.slug}/")
    tab.hover("h1")
    assert tab.evaluate("[typeof window.ran, typeof window.greenhouse]") == ["undefined", "object"]
    context.close()


@pytest.mark.parametrize(
    ("place", "act"), [("a1", "#buy"), ("a2", "#why"), ("f1", "#ask button"), ("b1", "#ask button")]
)
def test_what_was_picked_counts_when_it_is_done(chromium: Browser, site: Site, place: str, act: str):
    experiment = draft()
    bring_in(experiment, PLAIN)
    start(site, experiment, place=place)
    context = chromium.new_context(user_agent=CHROME)
    context.route(f"{ADDRESS}**", lambda route: route.fulfill(content_type="text/html", body="<h1>Elsewhere</h1>"))
    tab = context.new_page()
    tab.goto(f"http://localhost:{site.port}/p/{experiment.slug}/?utm_source=mail")
    tab.click(act)
    wait_for(tab, lambda: bool(site.records(Conversion)))
    assert [record.goal for record in site.records(Conversion)] == ["signup"]
    if place == "a2":
        expect(tab).to_have_url(re.compile(rf"/p/{experiment.slug}/#reasons$"))
    context.close()


def test_a_goal_is_picked_by_clicking_it_in_the_picture(console: BrowserContext):
    experiment = draft()
    bring_in(experiment, PLAIN)
    tab = console.new_page()
    tab.goto(reverse("admin:experiments_import_goals", args=[experiment.pk]))
    picture = tab.frame_locator("[data-picker]")
    picture.get_by_text("Start free trial").click()
    expect(tab.locator("[data-picked]")).to_have_text("Button “Start free trial”")
    picture.get_by_role("button", name="Send it").click()
    expect(tab.locator("[data-picked]")).to_have_text("Form “Send it”")
    picture.get_by_text("Start free trial").click()
    tab.get_by_role("button", name="Count it").click()
    expect(tab.get_by_text("Button “Start free trial”: clicks on it count, as the goal “signup”.")).to_be_visible()
    assert experiment.nursery.imported_pages.get().goals == {"a1": "signup"}


def test_a_picture_in_which_nothing_can_be_picked_is_shown_all_the_same(console: BrowserContext):
    experiment = draft()
    bring_in(experiment, PLAIN)
    Experiment.objects.filter(pk=experiment.pk).update(status="running")  # its goals are fixed
    address = reverse("admin:experiments_import_goals", args=[experiment.pk])
    tab = console.new_page()
    tab.goto(address)
    expect(tab.frame_locator("[data-picker]").get_by_text("Run anything")).to_be_visible()
    Experiment.objects.filter(pk=experiment.pk).update(status="draft")
    tab.route(
        "**/*picks*", lambda route: route.fulfill(content_type="text/html", body="<h1>This link is too old.</h1>")
    )
    tab.goto(address)
    expect(tab.frame_locator("[data-picker]").get_by_text("too old")).to_be_visible()
    expect(tab.locator("[data-picker][inert]")).to_have_count(0)


def test_a_forged_message_picks_nothing(console: BrowserContext):
    experiment = draft()
    bring_in(experiment, PLAIN)
    tab = console.new_page()
    tab.goto(reverse("admin:experiments_import_goals", args=[experiment.pk]))
    expect(tab.frame_locator("[data-picker]").get_by_text("Run anything")).to_be_visible()
    tab.evaluate("postMessage({greenhousePlace: 'a1'}, '*')")
    frame = tab.frames[1]
    for sent in ("'nothing like it'", "{}", "'<img>'", "['a1', 'a2']"):
        frame.evaluate(f"parent.postMessage({{greenhousePlace: {sent}}}, '*')")
    tab.wait_for_timeout(200)
    expect(tab.locator("[data-picked]")).to_have_text("")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web server with the templates' files: where the imported pages come from."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_a_real_page_asks_no_third_party(
    template: Template, chromium: Browser, site: Site, elsewhere: tuple[Path, str], settings: Any
):
    folder, origin = elsewhere
    path = unpacked(template, folder).relative_to(folder)
    experiment = draft()
    bring_in(experiment, (folder / path).read_text("utf-8"), address=f"{origin}/{path}")
    start(site, experiment)
    context = chromium.new_context(user_agent=CHROME)
    asked: list[str] = []

    def note(route: Route) -> None:
        """See what is really sent: what the policy forbids never comes here."""
        asked.append(route.request.url)
        route.continue_()

    context.route("**/*", note)
    tab = context.new_page()
    tab.goto(f"http://localhost:{site.port}/p/{experiment.slug}/")
    tab.wait_for_timeout(300)
    assert len(asked) > 3
    ours = (origin, f"http://localhost:{site.port}/p/", "data:")
    assert [url for url in asked if not url.startswith(ours)] == []
    assert tab.evaluate("document.styleSheets.length") > 0
    assert tab.evaluate("typeof window.greenhouse") == "object"
    context.close()
