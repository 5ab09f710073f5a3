"""The page where people set who is told, and what they can do with each destination."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from experiments import webhooks
from experiments.models import Delivery, Destination
from tests.factories import make_running
from tests.receivers import receiver

pytestmark = pytest.mark.django_db

HOUSE = "/console/experiments/experiment/notifications/"
ADDRESS = "https://hooks.example/secret-part"


@pytest.fixture
def as_role(db: None) -> Callable[[str], Client]:
    def logged_in(role: str) -> Client:
        user = User.objects.create_user(role.lower(), is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def client(as_role: Callable[[str], Client]) -> Client:
    return as_role("Approver")


def sent(**changes: Any) -> dict[str, Any]:
    return {"kind": "webhook", "address": ADDRESS, "topics": ["unhealthy"], **changes}


def act(client: Client, destination: Destination, what: str) -> str:
    answer = client.post(f"{HOUSE}{destination.pk}/", {"act": what}, follow=True)
    return answer.content.decode()


@pytest.mark.parametrize("role", ["Author", "Viewer"])
def test_who_may_not_change_destinations_does_not_see_their_addresses(role: str, as_role: Callable[[str], Client]):
    made = Destination.objects.create(kind="slack", address=ADDRESS, topics=[])
    client = as_role(role)
    assert [client.get(HOUSE).status_code, client.post(f"{HOUSE}{made.pk}/", {"act": "remove"}).status_code] == [
        403
    ] * 2


def test_a_webhook_gets_a_secret_of_its_own(client: Client):
    client.post(HOUSE, sent())
    made = Destination.objects.get()
    assert made.secret.startswith(webhooks.PREFIX)
    assert made.secret in client.get(HOUSE).content.decode()


def test_an_experiment_s_own_destination_stands_on_its_own_page(client: Client):
    experiment = make_running()
    page = reverse("admin:experiments_experiment_notifications", args=[experiment.pk])
    client.post(page, sent())
    assert Destination.objects.get().experiment == experiment
    assert ADDRESS not in client.get(HOUSE).content.decode()
    assert client.post(f"{HOUSE}{Destination.objects.get().pk}/", {"act": "remove"}).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "http://hooks.example/"}, {"address": "ftp://hooks.example/"}, {"address": ""}, {"topics": []},
        {"address": "https://[broken/"},
        {"address": "https://0x7f.1/x"}, {"address": "https://2130706433/x"},
        {"address": "https://ada:secret@hooks.example/x"},
        {"address": "https://ada@hooks.example/x", "kind": "slack"}, {"kind": "email", "address": "nobody"},
        {"kind": "email", "address": "ada@example.com"},  # no mail server is set up
    ],
)  # fmt: skip
def test_what_cannot_be_a_destination_is_refused(changes: dict[str, Any], client: Client):
    assert "gh-error" in client.post(HOUSE, sent(**changes)).content.decode()
    assert not Destination.objects.exists()


def test_a_test_says_at_once_whether_it_arrived(client: Client, settings: Any):
    settings.NOTIFY_PRIVATE_ADDRESSES = True
    with receiver() as hook:
        hook.statuses = [200, 500]
        made = Destination.objects.create(kind="slack", address=hook.url, topics=[])
        assert "The test was taken by" in act(client, made, "test")
        assert "The test did not arrive. The other end did not take it (it answered 500)." in act(client, made, "test")
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["given up", "sent"]


def test_a_new_secret_leaves_the_old_one_valid_for_a_day(client: Client):
    made = Destination.objects.create(kind="webhook", address=ADDRESS, topics=[], secret="whsec_b2xk")
    act(client, made, "secret")
    made.refresh_from_db()
    assert (made.old_secret, made.secret != "whsec_b2xk", made.old_secret_until is not None) == (
        "whsec_b2xk",
        True,
        True,
    )


def test_what_was_switched_off_by_itself_is_switched_on_by_hand(client: Client):
    made = Destination.objects.create(kind="slack", address=ADDRESS, topics=[], is_on=False, last_error="No.")
    act(client, made, "switch")
    made.refresh_from_db()
    assert (made.is_on, made.last_error) == (True, "")
    assert "Switched off." in act(client, made, "switch")


def test_one_that_is_removed_is_gone(client: Client):
    made = Destination.objects.create(kind="slack", address=ADDRESS, topics=[])
    act(client, made, "remove")
    assert not Destination.objects.exists()


def test_where_notifications_go_stands_in_the_history_only_for_those_who_set_it(as_role: Callable[[str], Client]):
    experiment = make_running()
    as_role("Approver").post(reverse("admin:experiments_experiment_notifications", args=[experiment.pk]), sent())
    page = reverse("admin:experiments_experiment_timeline", args=[experiment.pk])
    told = {role: as_role(role).get(page).content.decode() for role in ("Author", "Viewer")}
    approver = Client()
    approver.force_login(User.objects.get(username="approver"))
    assert all("Let notifications go to a program of yours" in each for each in told.values())
    assert not any("hooks.example" in each for each in told.values())
    assert "Where: hooks.example" in approver.get(page).content.decode()
