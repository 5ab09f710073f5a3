"""From an idea to a running experiment in five steps, by clicking; axe-core looks at every screen on the way."""

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from experiments.console.previews import PICKS, SCRIPTS
from experiments.models import Experiment, Goal
from tests.browser.conftest import come_to_rest, wait_for
from tests.browser.test_console import PASSWORD, PREVIEWS
from tests.factories import make_experiment, make_running
from variants import generation
from variants.models import BriefDraft, Generation

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
PAGE = """<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1></main>"""
PICKED = f"""<!doctype html><html lang="en"><title>A page</title><a data-greenhouse="cta" href="#">Book</a>
<script>{SCRIPTS[PICKS]}</script>"""
FACTS = ["A mechanic comes to you within 48 hours.", "Repairs start at 29 euros."]


@pytest.fixture
def console(chromium: Browser, live_server: LiveServer) -> Iterator[Page]:
    """The page on which an experiment is begun; any error in the browser fails."""
    User.objects.create_superuser("ada", password=PASSWORD)
    # axe-core is put into the page, which the console's policy would not let in.
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, base_url=live_server.url, bypass_csp=True, reduced_motion="reduce"
    )
    # What the pictures show is not looked at here, and drawing many takes long.
    context.route(PREVIEWS, lambda route: route.fulfill(
        content_type="text/html", body=PICKED if "picks" in route.request.url else PAGE
    ))  # fmt: skip
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.goto("/console/login/?next=/console/experiments/experiment/new/")
    tab.fill("[name=username]", "ada")
    tab.fill("[name=password]", PASSWORD)
    tab.press("[name=password]", "Enter")
    expect(tab.get_by_role("heading", name="A new experiment")).to_be_visible()
    yield tab
    context.close()
    assert errors == []


def look(tab: Page) -> None:
    """Fail where somebody with a screen reader, a keyboard or a telephone would."""
    come_to_rest(tab)
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (tab.url, width)
    tab.evaluate(AXE)
    found = tab.evaluate("axe.run(document, {iframes: false})")
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == [], tab.url


def write_brief(tab: Page) -> None:
    tab.get_by_role("button", name="Begin with a brief").click()
    for name, value in {
        "name": "Spring offer",
        "new_brand": "Wheels",
        "product": "Bicycle repair at your door.",
        "audience": "Commuters who need their bicycle tomorrow.",
        "offer": "A free check of your bicycle with every repair.",
        "call_to_action_label": "Book a repair",
    }.items():
        tab.fill(f"#id_{name}", value)
    tab.get_by_label("Fact 1").fill(FACTS[0])
    tab.keyboard.press("Enter")
    tab.keyboard.type(FACTS[1])
    wait_for(tab, lambda: FACTS[1] in str(BriefDraft.objects.values()))  # earlier ones hold half of it
    expect(tab.get_by_text("Kept as a draft at")).to_be_visible()
    look(tab)


def test_from_an_idea_to_a_running_experiment_in_five_steps(console: Page):
    look(console)
    write_brief(console)
    # Left in the middle, and come back to.
    draft = BriefDraft.objects.get()
    console.goto("/console/")
    console.get_by_role("link", name="Go on").click()
    expect(console.get_by_label("Fact 2")).to_have_value(FACTS[1])
    console.get_by_role("button", name="Save and go on").click()

    expect(console.get_by_role("heading", name="2. Directions")).to_be_visible()
    assert not BriefDraft.objects.filter(pk=draft.pk).exists()
    experiment = Experiment.objects.get()
    assert [fact["text"] for fact in experiment.nursery.brief.facts] == FACTS
    look(console)
    console.get_by_role("link", name="Skip").click()

    console.fill("[name=count]", "3")
    console.get_by_role("button", name="Grow them").click()
    expect(console.get_by_text("Waiting for a free worker")).to_be_visible()
    generation.run(Generation.objects.get().pk)
    expect(console.locator(".gh-card")).to_have_count(3)
    expect(console.locator("#steps")).to_contain_text("3 written")
    look(console)
    console.get_by_role("link", name="Go on to the gallery").click()

    review_by_keys(console, experiment)
    look(console)
    console.get_by_role("link", name="Go on to the launch").click()
    launch(console, experiment)


def review_by_keys(tab: Page, experiment: Experiment) -> None:
    """Change a headline for the worse and back, approve two by keys and reject one, and compare two."""
    expect(tab.locator("#gallery .gh-card")).to_have_count(3)
    tab.wait_for_load_state()
    tab.keyboard.press("j")
    card = tab.locator(".gh-card").first
    card.locator(".gh-inplace").first.click()
    tab.locator("[data-inplace]").fill("Loved by 900 customers")
    settle(tab)
    tab.keyboard.press("Enter")
    expect(card.get_by_text("Cannot be approved yet")).to_be_visible()
    expect(card.locator("h3 mark").first).to_contain_text("900 customers")
    look(tab)
    card.locator(".gh-inplace").first.click()
    tab.locator("[data-inplace]").fill("Your bicycle is mended at your door")
    settle(tab)
    tab.keyboard.press("Enter")
    expect(card.get_by_role("heading", name="Your bicycle is mended at your door")).to_be_visible()
    for key, status in (("r", "Rejected"), ("r", "To review")):  # the same key takes it back
        settle(tab)
        tab.keyboard.press(key)
        expect(card.get_by_text(status, exact=True)).to_be_visible()
    for key, status in (("a", "Approved"), ("a", "Approved"), ("r", "Rejected")):
        at = tab.locator(".gh-card.gh-at")
        settle(tab)
        tab.keyboard.press(key)
        expect(at.get_by_text(status, exact=True)).to_be_visible()
        tab.keyboard.press("j")
    assert sorted(experiment.nursery.variants.values_list("status", flat=True)) == ["approved", "approved", "rejected"]
    tab.keyboard.press("?")
    expect(tab.get_by_role("heading", name="Keys")).to_be_visible()
    tab.keyboard.press("Escape")
    tab.keyboard.press("k")
    tab.keyboard.press("c")
    expect(tab.get_by_role("heading", name="Two variants side by side")).to_be_visible()
    expect(tab.locator("del").first).to_be_visible()
    look(tab)
    tab.get_by_role("link", name="← All variants").click()
    expect(tab.locator("#gallery .gh-card")).to_have_count(3)


def settle(tab: Page) -> None:
    """Wait until what was answered is in its place: a moment before, keys do nothing or post a plain form."""
    expect(tab.locator(".htmx-added, .htmx-settling, .htmx-request")).to_have_count(0)


def launch(tab: Page, experiment: Experiment) -> None:
    """Pick a second goal on the page, test both, read the checklist, and start."""
    another = tab.get_by_text("Add a goal by clicking it on the page")
    expect(another).to_be_visible()
    come_to_rest(tab)  # letters that come late move what is about to be clicked
    another.click()
    tab.frame_locator("[data-picker]").get_by_role("link", name="Book").click()
    expect(tab.locator("[data-picked]")).to_contain_text("The main button")
    tab.get_by_role("button", name="Count it").click()
    expect(tab.locator("#goal-list")).to_contain_text("A visitor clicks the main button")
    for goal in Goal.objects.filter(experiment=experiment):
        tab.get_by_role("button", name=re.compile(f"Test it ?: {goal}")).click()
        expect(tab.get_by_text(f"“{goal}” was reached")).to_be_visible()
    expect(tab.locator("#goal-list").get_by_text("tested", exact=True)).to_have_count(2)
    look(tab)
    expect(tab.locator("#checks")).to_contain_text("today’s page as it is now and reached every goal.")
    tab.get_by_role("button", name="Start", exact=True).click()
    expect(tab.get_by_text("Started. New visitors are sent to the variants.")).to_be_visible()
    experiment.refresh_from_db()
    assert experiment.status == "running"
    tab.goto(f"/console/experiments/experiment/{experiment.pk}/live/")
    expect(tab.get_by_text("Nothing yet.")).to_be_visible()
    look(tab)


def test_lists_settings_and_folded_parts_are_usable_by_all(console: Page):
    experiment = make_experiment(arms=2, slug="spring")
    for number, angle in enumerate(("Tomorrow", "At your door"), start=1):
        experiment.nursery.directions.create(number=number, angle=angle, insight="It is needed tomorrow.")
    own = f"/console/experiments/experiment/{experiment.pk}/"
    brand = f"/console/variants/brand/{experiment.nursery.brief.brand_id}/change/"
    lists = ["/console/experiments/experiment/", "/console/auth/user/"]
    for address in [*lists, brand, f"{own}change/", own, f"{own}directions/", f"{own}timeline/"]:
        console.goto(address)
        console.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        look(console)


def test_pictures_on_a_telephone_do_not_grow_with_what_they_show(console: Page):
    experiment = make_running(arms=3)
    console.set_viewport_size({"width": 390, "height": 844})
    console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    console.wait_for_timeout(500)
    assert console.evaluate("document.documentElement.scrollHeight") < 4000
    console.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
    look(console)


def test_a_complaint_goes_once_the_field_is_changed(console: Page):
    console.get_by_role("button", name="Begin with a brief").click()
    console.get_by_role("button", name="Save and go on").click()
    field = console.locator("[data-field=name]")
    expect(field.locator(".gh-error")).to_be_visible()
    console.wait_for_load_state()  # what is typed before the page's script runs takes no complaint away
    field.get_by_role("textbox").fill("Spring offer")
    expect(field.locator(".gh-error")).to_have_count(0)
    expect(console.get_by_role("alert")).to_contain_text("places to mend")


def test_the_menu_stands_open_where_there_is_room_for_it(console: Page):
    menu = console.get_by_role("link", name="Brands")
    for width, is_open in ((1280, True), (1279, False), (1400, True)):
        console.set_viewport_size({"width": width, "height": 900})
        expect(menu).to_be_visible(visible=is_open)
