"""When pages are looked at, by whom, and what is kept of it; here without a browser."""

import os
import subprocess
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from experiments import deployment, lifecycle
from experiments.models import Experiment, Goal
from experiments.rehearsal import page_checks
from experiments.rehearsal.page_looks import Looks
from experiments.rehearsal.stage import rehearsal
from tests.factories import make_brief, make_experiment, page
from variants import review
from variants.models import PageCheck, Picture, Variant

pytestmark = pytest.mark.django_db

NONE = ""  # no browser
LATER = page_checks.LEASE + timedelta(seconds=1)


def gates(variant: Variant) -> list[str]:
    variant.refresh_from_db()
    return [finding["gate"] for finding in variant.findings]


def test_without_a_browser_the_page_is_read_and_says_so_and_blocks_nothing():
    experiment = make_experiment(arms=2)
    assert page_checks.check_due(NONE) == 2
    variant = experiment.nursery.variants.get(is_control=True)
    assert gates(variant) == ["unchecked"]
    assert "no Chromium is installed" in variant.findings[0]["reason"]
    assert "without a browser" in page_checks.states([variant.pk])[variant.pk].words
    assert len(page_checks.unchecked(experiment)) == 2
    assert lifecycle.faults(experiment) == []


def test_what_was_looked_at_is_not_due_again_until_an_hour_later():
    make_experiment(arms=2)
    page_checks.check_due(NONE)
    assert page_checks.due(timezone.now()) == []
    assert len(page_checks.due(timezone.now() + page_checks.LOOK_AGAIN)) == 2


def test_pages_of_finished_experiments_and_rejected_ones_are_left_alone():
    finished = make_experiment(arms=1)
    Experiment.objects.filter(pk=finished.pk).update(status=Experiment.Status.FINISHED)
    rejected = make_experiment(arms=1)
    rejected.nursery.variants.update(status=Variant.Status.REJECTED)
    assert page_checks.due(timezone.now()) == []


def test_a_page_is_read_again_when_the_brief_changes_what_is_served():
    brief = make_brief()
    experiment = make_experiment(arms=1, brief=brief)
    page_checks.check_due(NONE)
    before = PageCheck.objects.get()
    brief.thank_you = "Other words."
    brief.save()
    PageCheck.objects.update(looked_at=timezone.now() - page_checks.LOOK_AGAIN)
    page_checks.check_due(NONE)
    assert PageCheck.objects.get().sha256 != before.sha256
    assert experiment.nursery.variants.get().page_check.outcome == PageCheck.Outcome.BYTES


def test_a_page_that_another_worker_looks_at_is_left_to_it_until_its_lease_is_over():
    variant = make_experiment(arms=1).nursery.variants.get()
    now = timezone.now()
    PageCheck.objects.create(variant=variant, taken_at=now, tries=1)
    assert page_checks.due(now) == []
    assert page_checks.due(now + LATER) == [variant.pk]


def test_of_two_workers_that_find_a_page_free_one_takes_it():
    variant = make_experiment(arms=1).nursery.variants.get()
    now = timezone.now()
    assert page_checks.take(variant, now) is not None
    assert page_checks.take(variant, now) is None
    assert page_checks.take(variant, now + LATER) is not None


def test_a_page_that_ends_its_workers_is_given_up():
    variant = make_experiment(arms=1).nursery.variants.get()
    PageCheck.objects.create(variant=variant, taken_at=timezone.now() - LATER, tries=page_checks.MOST_TRIES)
    assert page_checks.check_due(NONE) == 1
    assert PageCheck.objects.get().outcome == PageCheck.Outcome.FAILED
    assert gates(variant) == ["unchecked"]
    assert lifecycle.faults(variant.nursery.experiment) == []


def test_a_worker_that_dies_leaves_the_other_pages_to_the_next():
    first, second = make_experiment(arms=2).nursery.variants.all()
    PageCheck.objects.create(variant=first, taken_at=timezone.now(), tries=1)  # killed while it looked
    assert page_checks.check_due(NONE) == 1
    assert gates(first) == []
    assert gates(second) == ["unchecked"]


def test_a_brief_with_a_fault_is_told_and_not_a_traceback():
    experiment = make_experiment(arms=1)
    experiment.nursery.brief.call_to_action_kind = "link"
    experiment.nursery.brief.save()  # a link that leads nowhere
    assert page_checks.check_due(NONE) == 1
    assert "open and save both" in experiment.nursery.variants.get().findings[0]["reason"]


def test_a_page_that_was_edited_while_it_was_looked_at_keeps_no_findings_of_the_old_one(monkeypatch):
    variant = make_experiment(arms=1).nursery.variants.get()
    look = Looks.at

    def edited_meanwhile(self, looked_at, known):
        review.edit(Variant.objects.get(pk=variant.pk), page("Quite another page"), None, is_live=False)
        return look(self, looked_at, known)

    monkeypatch.setattr(Looks, "at", edited_meanwhile)
    page_checks.check_due(NONE)
    assert "unchecked" not in gates(variant)
    assert page_checks.due(timezone.now()) == [variant.pk]


def test_findings_of_other_gates_stay_and_pictures_go_with_their_variant():
    variant = make_experiment(arms=1).nursery.variants.get()
    remark = {"gate": "tone", "field": "", "words": "", "reason": "Loud.", "blocks": False}
    Variant.objects.update(findings=[remark])
    page_checks.check_due(NONE)
    assert gates(variant) == ["tone", "unchecked"]
    Picture.objects.create(variant=variant, width=390, height=844, sha256="0" * 64, data=b"x")
    variant.delete()
    assert (PageCheck.objects.count(), Picture.objects.count()) == (0, 0)


@pytest.mark.parametrize("address", ["", "https://shop.example/", "https://shop.example/offer/"])
def test_a_rehearsal_serves_the_page_where_its_visitors_find_it(address):
    experiment = make_experiment(arms=1, address=address)
    frame = deployment.page_frame(experiment)
    trial = deployment.trial(experiment, experiment.nursery.variants.get().page, frame, {}, {})
    found_at = deployment.page_address(experiment)
    path = urlsplit(found_at).path
    with rehearsal(trial.document, trial.blobs, address=found_at) as visitor:
        assert visitor.fetch("GET", path, "", {}, b"").body == trial.page.html
        headers = {"content-type": "application/x-www-form-urlencoded"}
        sent = visitor.fetch("POST", f"{path}form", "", headers, b"email=visitor%40example.com")
        assert (sent.status, visitor.reached()) == (303, {"signup"})


def test_the_console_and_the_other_workers_never_load_playwright():
    load = "import django; django.setup(); import experiments.tasks, greenhouse.urls"
    script = f"{load}, sys; print('playwright' in sys.modules)"
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "greenhouse.settings", "SECRET_KEY": "x" * 50}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_click_goal_without_a_link_on_the_page_is_found_without_a_browser():
    experiment = make_experiment(arms=1)
    Goal.objects.create(experiment=experiment, key="ghost", kind=Goal.Kind.CLICK, link="nowhere")
    page_checks.check_due(NONE)
    assert "goals" in gates(experiment.nursery.variants.get())
    assert any("ghost" in fault.reason for fault in lifecycle.faults(experiment))
