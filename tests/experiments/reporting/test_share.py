from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import ShareLink
from experiments.reporting.share import card_url_of, make_link, share_url, shared_experiment, token_of, url_of
from tests.experiments.reporting.made import make_counted
from tests.factories import make_running
from variants.models import Picture

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


def test_one_link_is_taken_back_and_the_others_stay(client, owner):
    client.force_login(owner)
    experiment = make_running()
    for name in ("The board", "  "):
        client.post(f"/experiments/{experiment.pk}/links/", {"name": name})
    board, nameless = ShareLink.objects.order_by("pk")
    assert (board.name, nameless.name, board.created_by) == ("The board", "", owner)
    client.post(f"/experiments/{experiment.pk}/links/{board.pk}/revoke/")
    assert [NOBODY.get(path_of(url_of(link))).status_code for link in (board, nameless)] == [404, 200]
    assert NOBODY.get(path_of(card_url_of(board))).status_code == 404


def test_a_link_with_a_name_is_nobody_elses():
    experiment = make_running()
    named = make_link(experiment, by=None, name="The board")
    assert share_url(experiment, by=None) != url_of(named)


def test_links_are_for_those_who_may_share(client, stranger):
    client.force_login(stranger)
    experiment = make_running()
    link = make_link(experiment, by=None)
    for path in (f"/experiments/{experiment.pk}/links/", f"/experiments/{experiment.pk}/links/{link.pk}/revoke/"):
        assert client.post(path).status_code == 403
    link.refresh_from_db()
    assert link.revoked_at is None


def test_a_link_cannot_be_taken_back_by_way_of_another_experiment(client, owner):
    client.force_login(owner)
    link = make_link(make_running(), by=None)
    client.post(f"/experiments/{make_running().pk}/links/{link.pk}/revoke/")
    link.refresh_from_db()
    assert link.revoked_at is None


def test_when_a_link_was_last_used_is_noted_to_ten_minutes():
    link = make_link(make_running(), by=None)
    NOBODY.get(path_of(url_of(link)))
    link.refresh_from_db()
    noted = link.last_used_at
    assert noted is not None
    NOBODY.get(path_of(url_of(link)))
    link.refresh_from_db()
    assert link.last_used_at == noted
    ShareLink.objects.update(last_used_at=noted - timedelta(minutes=11))
    NOBODY.get(path_of(url_of(link)))
    link.refresh_from_db()
    assert link.last_used_at > noted


def test_a_cards_address_opens_the_card_alone_and_may_be_framed():
    link = make_link(make_counted([(100, 3), (100, 5)]), by=None)
    answer = NOBODY.get(path_of(card_url_of(link)))
    assert "frame-ancestors *" in answer["Content-Security-Policy"]
    assert "script-src 'none'" in answer["Content-Security-Policy"]
    assert "X-Frame-Options" not in answer
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    token = card_url_of(link).rstrip("/").rsplit("/", 1)[1]
    assert shared_experiment(token) is None
    assert token_of(link) not in answer.content.decode()


@pytest.mark.parametrize("end", ["", "report.json", "report.csv", "report.xlsx"])
def test_everything_but_the_card_refuses_to_be_framed(end):
    answer = NOBODY.get(path_of(share_url(make_running(), by=None)) + end)
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]


def test_a_shared_picture_is_served_through_its_link_only():
    experiment = make_counted([(100, 3), (100, 5)])
    arm = experiment.arms.get(key="v2")
    Picture.objects.create(variant=arm.variant, width=1280, height=960, sha256="ab" * 32, data=b"a picture")
    path = path_of(share_url(experiment, by=None))
    picture = f"{path}pages/v2/{'ab' * 32}"
    assert picture in NOBODY.get(path).content.decode()
    assert NOBODY.get(picture).content == b"a picture"
    assert NOBODY.get(picture.replace("ab" * 32, "cd" * 32)).status_code == 404
    ShareLink.objects.update(revoked_at=timezone.now())
    assert NOBODY.get(picture).status_code == 404
