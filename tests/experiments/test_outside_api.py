"""The API's links, addresses and apps do what the console does, and leave the same words in the history."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from experiments import deeds, walls
from experiments.models import APIToken, Experiment
from experiments.tokens import new_token, token_digest
from tests.factories import make_running

pytestmark = pytest.mark.django_db


class Caller:
    def __init__(self, user: User, experiment: Experiment) -> None:
        token = new_token()
        APIToken.objects.create(user=user, digest=token_digest(token))
        self.headers, self.experiment = {"authorization": f"Bearer {token}"}, experiment

    def __call__(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        address = f"/api/v1/experiments/{self.experiment.pk}/{path}"
        sent = json.dumps(body) if body else ""
        answer = Client().generic(method, address, sent, content_type="application/json", headers=self.headers)
        return answer.status_code, answer.json() if answer.content else None

    def history(self) -> list[str]:
        return [entry.get_change_message() for entry in deeds.about(self.experiment)]


@pytest.fixture
def call() -> Caller:
    return Caller(User.objects.create_superuser("owner"), make_running())


def test_a_link_has_a_name_opens_the_report_and_is_taken_back_by_itself(call):
    (_, board), (_, press) = call("POST", "links", name="the board"), call("POST", "links", name="the press")
    assert Client().get(board["url"]).status_code == 200
    assert call("DELETE", f"links/{board['id']}") == (204, None)
    assert [Client().get(link["url"]).status_code for link in (board, press)] == [404, 200]
    assert [link["name"] for link in call("GET", "links")[1]["items"]] == ["the press"]
    assert call("DELETE", f"links/{board['id']}") == (204, None)
    assert call.history() == [
        "Took back the link for “the board”.",
        "Made a link to the report for “the press”.",
        "Made a link to the report for “the board”.",
    ]


def test_a_link_of_another_experiment_is_not_taken_back_here(call):
    _, link = call("POST", "links", name="x")
    call.experiment, mine = make_running(), call.experiment
    assert call("DELETE", f"links/{link['id']}")[0] == 404
    call.experiment = mine
    assert len(call("GET", "links")[1]["items"]) == 1


def test_an_address_is_given_read_and_taken_away(call):
    status, given = call("PUT", "address", address="https://shop.example/offer")
    assert (status, given) == (200, {"address": "https://shop.example/offer/", "is_own": True, "look": None})
    call("PUT", "address", address="https://shop.example/offer/")
    assert call("GET", "address")[1] == given
    assert call("PUT", "address", address="")[1]["is_own"] is False
    assert call.history() == [
        "The page has no address of its own any more.",
        "The page’s address is https://shop.example/offer/.",
    ]


@pytest.mark.parametrize("address", ["ftp://shop.example/", "https://shop.example/?a=1", "http://testserver/", "a\0b"])
def test_an_address_that_cannot_be_is_refused_with_its_field(call, address):
    status, answer = call("PUT", "address", address=address)
    assert status == 422
    assert answer["errors"][0]["field"] == "address"
    assert Experiment.objects.get().address == ""


def test_nothing_is_looked_at_before_something_is_live(call):
    assert call("POST", "address/look")[0] == 409


def test_an_app_gets_a_key_for_its_sites_and_is_kept_out_again(call):
    _, app = call("POST", "apps", name="Shop", origins=["shop.example", "https://www.shop.example"])
    assert app["origins"] == ["https://shop.example", "https://www.shop.example"]
    assert app["key"].startswith("gh_app_")
    assert call("GET", "apps")[1]["items"] == [app]
    assert call("DELETE", f"apps/{app['id']}") == (204, None)
    assert call("GET", "apps")[1]["items"] == []
    assert call("DELETE", f"apps/{app['id']}")[0] == 404


def test_an_app_without_a_name_or_with_no_site_is_told_which_field(call):
    _, answer = call("POST", "apps", name=" ", origins=["https://shop.example/cart"])
    assert {error["field"] for error in answer["errors"]} == {"name", "origins"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "links", {}), ("POST", "links", {"name": "x"}), ("DELETE", "links/1", {}),
        ("PUT", "address", {"address": ""}), ("POST", "address/look", {}), ("GET", "apps", {}),
        ("POST", "apps", {"name": "x"}), ("DELETE", "apps/1", {}), ("POST", "renew", {}),
    ],
)  # fmt: skip
def test_a_viewer_may_do_none_of_it(method, path, body):
    viewer = User.objects.create_user("vera")
    viewer.groups.add(Group.objects.get(name="Viewer"))
    assert Caller(viewer, make_running())(method, path, **body)[0] == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "schedule", {"ends_at": "9999-12-31T23:59:59-12:00"}),
        ("PUT", "schedule", {"ends_at": "9999-12-31T23:59:59Z", "time_zone": "Pacific/Auckland"}),
        ("PUT", "walls", {"quiet_from": "10:00+02:00", "quiet_until": "12:00+02:00"}),
        ("POST", "links", {"name": "the \u202eboard"}),
        ("POST", "apps", {"name": "a\0b"}),
    ],
)
def test_what_no_clock_shows_and_no_eye_sees_is_refused(call, method, path, body):
    assert call(method, path, **body)[0] == 422


def test_asking_for_a_round_twice_is_written_down_once(call):
    walls.switch_on(call.experiment, by=None)
    for _ in range(3):
        walls.want_round(call.experiment, by=User.objects.get())
    assert call.history().count("Asked for a round of breeding now.") == 1


def test_the_history_does_not_say_where_notifications_go(call):
    deeds.record(call.experiment, User.objects.get(), f"Added a place.\n{deeds.WHERE}https://hooks.example/secret")
    items = call("GET", "history")[1]["items"]
    assert [item["what"] for item in items] == ["Added a place."]
