"""A variant's way through the look in a browser: rendered, served, tried, kept, shown."""

import shutil
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from experiments import lifecycle
from experiments.models import Goal
from experiments.rehearsal import page_checks
from tests.factories import make_brief, make_experiment, page
from variants import importing, review
from variants.console.thumbnails import DESKTOP, PHONE, thumbnail_of, thumbnail_urls
from variants.models import PageCheck, Picture, Variant

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

Outcome = PageCheck.Outcome


@pytest.fixture(scope="module")
def executable() -> str:
    return shutil.which("chromium") or pytest.skip("Chromium is not installed")


def blocking(variant: Variant) -> list[tuple[str, str]]:
    variant.refresh_from_db()
    return [(finding["gate"], finding["words"]) for finding in variant.findings if finding["blocks"]]


def test_pages_with_a_form_and_a_click_goal_are_looked_at_and_pictured_in_one_go(executable, client):
    experiment = make_experiment(arms=2)
    Goal.objects.create(experiment=experiment, key="clicked", kind=Goal.Kind.CLICK, link="cta")
    first, second = experiment.nursery.variants.all()
    assert page_checks.check_due(executable) == 2
    assert blocking(first) == blocking(second) == []
    assert {check.outcome for check in PageCheck.objects.all()} == {Outcome.BROWSER}
    assert all(len(bytes(picture.data)) <= page_checks.PICTURE_BYTES for picture in Picture.objects.all())
    assert page_checks.check_due(executable) == 0
    address = thumbnail_urls([first.pk], PHONE)[first.pk]
    viewer = User.objects.create_user("viewer")
    client.force_login(viewer)
    assert client.get(address).status_code == 403
    viewer.user_permissions.add(Permission.objects.get(codename="view_variant"))
    answer = client.get(address)
    assert (answer["Content-Type"], answer.content[8:12]) == ("image/webp", b"WEBP")
    assert client.get(address[:-1] + ("A" if address[-1] != "A" else "B")).status_code == 404
    client.logout()
    assert client.get(address).status_code == 302


def test_a_goal_that_the_page_cannot_reach_blocks_approval_and_the_start(executable):
    brief = make_brief(secondary_link={"label": "See how", "url": "https://brand.example/how"})
    experiment = make_experiment(arms=1, brief=brief)
    variant = experiment.nursery.variants.get()
    Goal.objects.create(experiment=experiment, key="looked", kind=Goal.Kind.CLICK, link="more")
    page_checks.check_due(executable)
    assert blocking(variant) == []
    Goal.objects.create(experiment=experiment, key="ghost", kind=Goal.Kind.CLICK, link="gone")
    PageCheck.objects.update(looked_at=timezone.now() - timedelta(hours=2))
    page_checks.check_due(executable)
    assert [gate for gate, _ in blocking(variant)] == ["goals"]
    assert any("ghost" in fault.reason for fault in lifecycle.faults(experiment))
    Variant.objects.update(status=Variant.Status.DRAFT)
    variant.refresh_from_db()
    with pytest.raises(review.Blocked, match="ghost"):
        review.approve(variant, None)


def test_an_edit_drops_what_the_look_found_until_the_next_one(executable):
    experiment = make_experiment(arms=1)
    variant = experiment.nursery.variants.get()
    page_checks.check_due(executable)
    assert thumbnail_of(variant.pk, DESKTOP) is not None
    review.edit(variant, page("Another headline altogether"), None, is_live=False)
    assert thumbnail_of(variant.pk, DESKTOP) is None
    assert page_checks.states([variant.pk])[variant.pk].is_pending
    assert page_checks.check_due(executable) == 1
    assert thumbnail_of(variant.pk, DESKTOP) is not None


TODAY = """<!doctype html><html lang="en"><head><title>Letters</title></head><body><main><h1>Find letters</h1>
<p style="width:120px;overflow:hidden;white-space:nowrap">Short</p><p style="color:#aaa">Faint already</p>
<p><a href="https://shop.example/buy" class="button">Buy it now</a></p></main></body></html>"""


def test_only_what_a_patch_adds_to_todays_page_blocks(executable):
    experiment = make_experiment(arms=0)
    reading = importing.read_page(TODAY.encode(), address="https://shop.example/")
    control = importing.import_page(experiment.nursery, reading, by=None)
    texts = {text.text: text.id for text in review.page_texts(experiment.nursery.imported_pages.get())}
    words = {texts["Short"]: "No longer as short as it was before", texts["Faint already"]: "Faint still"}
    patch = review.add_variant(experiment.nursery, {**control.content, "texts": words})
    assert page_checks.check_due(executable) == 2
    assert blocking(control) == []
    assert "contrast" in {finding["gate"] for finding in control.findings}
    assert blocking(patch) == [("clipped", "No longer as short as it was before")]
