from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import ShareLink
from experiments.reporting.share import share_url, shared_experiment, token_of
from tests.experiments.reporting.made import make_counted
from tests.factories import make_running

pytestmark = pytest.mark.django_db

NOBODY = Client()


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_the_link_opens_its_experiment_and_stands_under_the_public_address(settings):
    settings.PUBLIC_URL = "https://pages.example.com"
    experiment = make_running()
    url = share_url(experiment, by=None)
    assert url.startswith("https://pages.example.com/r/")
    assert shared_experiment(url.rstrip("/").rsplit("/", 1)[1]) == experiment


def test_asking_again_gives_the_same_link():
    experiment = make_running()
    assert share_url(experiment, by=None) == share_url(experiment, by=None)
    assert ShareLink.objects.count() == 1


def test_after_revoking_there_is_a_new_link_and_the_old_one_is_dead():
    experiment = make_running()
    old = share_url(experiment, by=None)
    ShareLink.objects.update(revoked_at=timezone.now())
    new = share_url(experiment, by=None)
    assert (NOBODY.get(path_of(old)).status_code, NOBODY.get(path_of(new)).status_code) == (404, 200)


def test_every_dead_link_gets_the_same_answer():
    experiment = make_running()
    now = timezone.now()
    revoked = token_of(ShareLink.objects.create(experiment=experiment, revoked_at=now))
    expired = token_of(ShareLink.objects.create(experiment=experiment, expires_at=now - timedelta(seconds=1)))
    good = token_of(ShareLink.objects.create(experiment=experiment))
    unknown = token_of(ShareLink(pk=999_999))
    forged = [good[:-1] + ("A" if good[-1] != "A" else "B"), f"1{good}", "1", "x", f"{good}.", "1.", "٣.x", "%00"]
    answers = [
        NOBODY.get(f"/r/{token}/{end}") for token in [revoked, expired, unknown, *forged] for end in ("", "report.json")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_a_link_that_has_not_expired_opens():
    link = ShareLink.objects.create(experiment=make_running(), expires_at=timezone.now() + timedelta(hours=1))
    assert NOBODY.get(f"/r/{token_of(link)}/").status_code == 200


def test_a_link_of_another_purpose_does_not_open_a_report():
    from django.core.signing import Signer  # noqa: PLC0415 - used here only, to forge

    link = ShareLink.objects.create(experiment=make_running())
    assert shared_experiment(Signer(salt="other", sep=".").sign(str(link.pk))) is None


@pytest.mark.parametrize("end", ["", "report.json"])
def test_a_shared_report_asks_not_to_be_indexed_cached_or_passed_on(end):
    answer = NOBODY.get(path_of(share_url(make_running(), by=None)) + end)
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "private, no-store"
    assert "unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.parametrize("end", ["", "report.json"])
def test_a_shared_report_holds_nothing_about_a_single_visitor(end):
    experiment = make_counted([(10, 1), (10, 2)])
    visitor, lead_id = "f" * 32, "e" * 32
    arm = experiment.arms.get(key="v2")
    experiment.exposures.create(visitor=visitor, arm=arm, epoch=1, exposed_at=timezone.now())
    experiment.leads.create(
        lead_id=lead_id, visitor=visitor, arm=arm, values={"email": "a@example.com"}, submitted_at=timezone.now()
    )
    body = NOBODY.get(path_of(share_url(experiment, by=None)) + end).content.decode()
    assert not [secret for secret in (visitor, lead_id, "a@example.com", "leads.csv", "console") if secret in body]
