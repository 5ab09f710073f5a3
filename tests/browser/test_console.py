"""A marketer's first hour, by clicking: a brief, an experiment, variants, a review."""

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from experiments.console.previews import preview_url
from experiments.models import Experiment, Lead
from tests.factories import make_experiment, page
from variants import generation, review
from variants.models import Brand, Generation

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a-long-enough-password"
PREVIEWS = re.compile(r"gh_preview=")


@pytest.fixture
def console(chromium: Browser, live_server: LiveServer) -> Iterator[Page]:
    """The console's first page, logged in as somebody who may do everything; any error in the browser fails."""
    User.objects.create_superuser("ada", password=PASSWORD)
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, base_url=live_server.url)
    # What the pictures show is not looked at here, and drawing many takes long.
    context.route(PREVIEWS, lambda route: route.fulfill(content_type="text/html", body="<h1>A page</h1>"))
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.goto("/console/")
    tab.fill("[name=username]", "ada")
    tab.fill("[name=password]", PASSWORD)
    tab.press("[name=password]", "Enter")
    expect(tab.get_by_role("heading", name="Let us grow a landing page")).to_be_visible()
    yield tab
    context.close()
    assert errors == []


def write_brief(tab: Page) -> None:
    tab.goto("/console/variants/brief/add/")
    for name, value in {
        "name": "Spring offer",
        "product": "Bicycle repair at your door. A mechanic comes to you and repairs your bicycle on the spot.",
        "audience": "Commuters who need their bicycle tomorrow.",
        "offer": "A free check of your bicycle with every repair.",
        "facts": "A mechanic comes to you within 48 hours.\nRepairs start at 29 euros. -- price list\n"
        "Every repair has a guarantee of one year.",
        "angles": "Your bicycle is ready tomorrow\nNo carrying it to the shop",
        "call_to_action_label": "Book a repair",
    }.items():
        tab.fill(f"#id_{name}", value)
    tab.select_option("#id_brand", label="Wheels")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Next: an experiment that grows from it.")).to_be_visible()


def set_up_experiment(tab: Page) -> Experiment:
    tab.goto("/console/experiments/experiment/add/")
    tab.locator("#id_name").press_sequentially("Spring offer")
    expect(tab.locator("#id_slug")).to_have_value("spring-offer")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("No variants yet")).to_be_visible()
    return Experiment.objects.get()


def test_from_a_brief_to_approved_variants_by_clicking(console: Page):
    Brand.objects.create(name="Wheels")
    write_brief(console)
    experiment = set_up_experiment(console)
    console.fill("[name=count]", "4")
    console.get_by_role("button", name="Grow them").click()
    expect(console.get_by_text("Waiting for a free worker")).to_be_visible()
    generation.run(Generation.objects.get().pk)
    expect(console.locator(".gh-card")).to_have_count(4)
    expect(console.get_by_text("The last request: 4 of 4 variants")).to_be_visible()
    console.check("[data-tick-all]")
    console.locator(".gh-tools").get_by_role("button", name="Approve").click()
    expect(console.get_by_text("Approved 4 variants.")).to_be_visible()
    assert experiment.nursery.variants.filter(status="approved").count() == 4
    expect(console.get_by_role("button", name="Start", exact=True)).to_be_enabled()


def test_directions_are_proposed_changed_and_struck_by_clicking(console: Page):
    experiment = make_draft(1)
    console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    expect(console.get_by_text("Free: no language model is set up")).to_be_visible()
    console.get_by_role("link", name="Look at the directions they take").click()
    console.get_by_role("button", name="Propose directions").click()
    expect(console.get_by_text("Thinking of directions")).to_be_visible()
    generation.run(Generation.objects.get().pk)
    expect(console.locator("fieldset")).to_have_count(4)  # two angles, a fact, and one of your own
    expect(console.locator("#steps")).to_contain_text("3 chosen")
    for place in (0, 1):
        console.locator(".gh-direction > summary").nth(place).click()
    console.get_by_label("What the page promises").first.fill("Your desk is empty by noon.")
    console.get_by_label("Leave this one out").nth(1).check()
    console.get_by_role("button", name="Save", exact=True).click()
    expect(console.get_by_text("The next variants take these directions.")).to_be_visible()
    first, second = experiment.nursery.directions.all()[:2]
    assert (first.promise, first.is_struck, second.is_struck) == ("Your desk is empty by noon.", False, True)


def test_a_request_is_cancelled_by_clicking(console: Page):
    experiment = make_draft(1)
    asked = generation.request_generation(experiment.nursery, 5, budget_usd=None, by=None)
    console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    console.locator("#progress").get_by_role("button", name="Cancel").click()
    expect(console.get_by_text("Cancelled: 0 of 5 variants")).to_be_visible()
    asked.refresh_from_db()
    assert asked.status == "cancelled"


def make_draft(variants: int) -> Experiment:
    experiment = make_experiment(arms=0, slug="archive")
    for _ in range(variants):
        review.add_variant(experiment.nursery, page("Find any letter"))
    return experiment


def test_one_decision_changes_its_card_and_leaves_the_others_alone(console: Page):
    experiment = make_draft(3)
    console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    console.locator(".gh-card").nth(1).get_by_role("button", name="Approve").click()
    expect(console.locator(".gh-card").nth(1).get_by_text("Approved", exact=True)).to_be_visible()
    expect(console.locator("#filters")).to_contain_text(re.compile(r"To review\s*2\s*Approved\s*1"))
    expect(console.get_by_text("Ready: press Start")).to_be_visible()


def test_a_banner_goes_with_the_next_decision(console: Page):
    experiment = make_draft(3)
    console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    console.locator("[data-tick]").first.check()
    console.locator(".gh-tools").get_by_role("button", name="Approve").click()
    expect(console.get_by_text("Approved 1 variant.")).to_be_visible()
    console.locator(".gh-card").nth(1).get_by_role("button", name="Reject").click()
    expect(console.get_by_text("Approved 1 variant.")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_preview_carries_its_bar_at_the_foot(width: int, console: Page):
    experiment = make_draft(1)
    console.context.unroute(PREVIEWS)
    console.set_viewport_size({"width": width, "height": 800})
    console.goto(preview_url(experiment, experiment.nursery.variants.get().pk))
    box = console.get_by_text("This is a preview").bounding_box()
    assert box is not None
    assert (box["x"], box["width"], box["y"] + box["height"]) == (0, width, 800)


def test_leads_can_be_read_on_a_telephone(console: Page):
    experiment = make_experiment(name="An experiment with a rather long name")
    values = {"email": "somebody.with.a.long.name@department.company.example", "why": "Because " * 30}
    Lead.objects.create(lead_id="1", experiment=experiment, values=values, submitted_at=timezone.now())
    console.set_viewport_size({"width": 390, "height": 800})
    console.goto("/console/experiments/lead/")
    cells = [cell.bounding_box() for cell in console.locator("#result_list :is(th, td):visible").all()]
    assert len(cells) >= 4
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in cells)


def test_a_picture_shows_the_page_under_its_own_policy(console: Page):
    experiment = make_draft(1)
    console.context.unroute(PREVIEWS)
    console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    shot = console.frame_locator(".gh-shot iframe").first
    expect(shot.get_by_role("heading", name="Find any letter")).to_be_attached()


def test_pictures_load_only_when_they_come_into_sight(console: Page):
    experiment = make_draft(60)
    loaded: list[str] = []
    console.on("response", lambda answer: loaded.append(answer.url) if PREVIEWS.search(answer.url) else None)
    with console.expect_response(PREVIEWS):
        console.goto(f"/console/experiments/experiment/{experiment.pk}/")
    console.wait_for_load_state("networkidle")
    assert 0 < len(set(loaded)) < 60


def test_an_editor_sees_how_many_characters_are_left(console: Page):
    experiment = make_draft(1)
    variant = experiment.nursery.variants.get()
    console.goto(f"/console/experiments/experiment/{experiment.pk}/pages/{variant.pk}/")
    field = console.get_by_label("Headline", exact=True)
    field.fill("x" * 95)
    expect(console.locator(".gh-field", has=field).get_by_text("5 too many")).to_be_visible()
    console.get_by_role("button", name="Save").click()
    expect(console.get_by_text("This has 95 characters; the most is 90.")).to_be_visible()
    field.fill("A better headline")
    console.get_by_role("button", name="Save").click()
    expect(console.get_by_text("It is a draft again")).to_be_visible()
    variant.refresh_from_db()
    assert variant.page.hero.headline == "A better headline"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_of_the_console_is_wider_than_its_window(width: int, console: Page):
    experiment = make_draft(3)
    variant = experiment.nursery.variants.first()
    assert variant is not None
    console.set_viewport_size({"width": width, "height": 900})
    at = f"/console/experiments/experiment/{experiment.pk}/"
    for address in ("/console/", at, f"{at}pages/{variant.pk}/", f"{at}timeline/", f"{at}change/"):
        console.goto(address)
        assert console.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
