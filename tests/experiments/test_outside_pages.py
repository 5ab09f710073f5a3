"""The console's pages "Address" and "Apps": who may do what there, and what is kept of it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from experiments import deployment
from experiments.models import AppKey, Experiment
from tests.factories import make_experiment, make_running

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]


def client_of(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def at(experiment: Experiment, page: str) -> str:
    return f"/console/experiments/experiment/{experiment.pk}/{page}/"


@pytest.mark.parametrize(
    ("role", "kept"), [("Viewer", ""), ("Author", ""), ("Approver", "https://shop.example/offer/")]
)
def test_an_approver_gives_an_address_and_others_only_see_it(role, kept):
    experiment = make_running(slug="offer")
    client = client_of(role)
    client.post(at(experiment, "address"), {"address": "https://shop.example/offer"})
    experiment.refresh_from_db()
    assert experiment.address == kept
    assert client.get(at(experiment, "address")).status_code == 200


def test_an_address_is_served_once_it_is_given_and_stands_in_the_history(owner, client, redis_url):
    experiment = make_running(slug="offer")
    deployment.deploy(experiment, reason="test")
    client.force_login(owner)
    client.post(at(experiment, "address"), {"address": "https://shop.example/offer/"})
    experiment.refresh_from_db()
    assert deployment.snapshot(experiment)["address"] == "https://shop.example/offer/"
    assert deployment.page_address(experiment) == "https://shop.example/offer/"
    assert "https://shop.example/offer/" in str(LogEntry.objects.latest("pk").change_message)


def test_before_the_start_there_is_nothing_to_look_at(owner, client):
    experiment = make_experiment(slug="offer")
    client.force_login(owner)
    assert "once the experiment has started" in client.get(at(experiment, "address")).content.decode()
    assert client.post(at(experiment, "address/look")).status_code == 200
    experiment.refresh_from_db()
    assert experiment.address_check is None


@pytest.mark.parametrize(("role", "status"), [("Viewer", 403), ("Author", 302)])
def test_who_may_change_an_experiment_lets_apps_in_and_out(role, status):
    experiment, client = make_running(slug="offer"), client_of(role)
    assert client.post(at(experiment, "apps"), {"name": "Shop", "origins": "shop.example"}).status_code == status
    assert AppKey.objects.count() == (status == 302)


def test_one_app_may_ask_for_several_experiments(owner, client):
    first, second = make_running(slug="first"), make_running(slug="second")
    client.force_login(owner)
    client.post(at(first, "apps"), {"name": "Shop"})
    key = AppKey.objects.get()
    assert "Let it ask for this page" in client.get(at(second, "apps")).content.decode()
    client.post(f"{at(second, 'apps')}{key.pk}/", {"act": "admit"})
    assert set(key.experiments.all()) == {first, second}
    client.post(f"{at(second, 'apps')}{key.pk}/", {"act": "leave"})
    assert set(key.experiments.all()) == {first}


@pytest.mark.parametrize("typed", ["https://shop.example/path", "ftp://shop.example", "https://", "//"])
def test_what_is_no_site_is_refused_in_words(owner, client, typed: str):
    experiment: Any = make_running(slug="offer")
    client.force_login(owner)
    answer = client.post(at(experiment, "apps"), {"name": "Shop", "origins": typed})
    assert "is not a site, such as" in answer.content.decode()
    assert not AppKey.objects.exists()
