"""The API's part about breeding."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import APIToken, Evolution, Experiment
from experiments.tokens import new_token, token_digest
from tests.experiments.garden import make_garden

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]

WALLS = {
    "genes": ["layout", "palette"], "directions": None, "is_autopilot": True, "usd_per_day": 2.5,
    "rounds_per_week": 3, "unproven_share": 0.05, "quiet_from": "22:00", "quiet_until": "07:00",
    "time_zone": "Europe/Berlin",
}  # fmt: skip


@pytest.fixture
def call(owner):
    token = new_token()
    APIToken.objects.create(user=owner, digest=token_digest(token))

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        given = {"content_type": "application/json", "headers": {"authorization": f"Bearer {token}"}}
        answer = getattr(Client(), method)(f"/api/v1/experiments/{path}", body, **given)
        return answer.status_code, answer.json()

    return ask


def test_walls_are_read_as_they_were_set(call):
    experiment = make_garden()
    status, found = call("put", f"{experiment.pk}/walls", WALLS)
    assert status == 200
    assert call("get", f"{experiment.pk}/walls") == (200, found)
    assert (found["genes"], found["quiet_until"], float(found["usd_per_day"])) == (
        ["layout", "palette"],
        "07:00:00",
        2.5,
    )
    assert found["is_on"]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"genes": ["smell"]}, "genes"), ({"rounds_per_week": 0}, "rounds_per_week"), ({"walls": 1}, "walls")],
)
def test_a_wall_that_cannot_stand_is_a_problem_that_names_its_field(call, change, field):
    status, problem = call("put", f"{make_garden().pk}/walls", WALLS | change)
    assert status == 422
    assert problem["errors"][0]["field"].split(".")[-1] == field


def test_breeding_is_switched_on_and_off(call):
    experiment = make_garden(is_on=False)
    assert call("post", f"{experiment.pk}/breeding")[1]["is_on"]
    status, found = call("delete", f"{experiment.pk}/breeding")
    assert (status, found["is_on"], found["stopped_reason"]) == (200, False, "Switched off by hand.")


def test_a_round_can_be_asked_for_and_a_wall_in_its_way_is_named(call):
    experiment = make_garden()
    assert call("post", f"{experiment.pk}/breed")[0] == 202
    assert Evolution.objects.get(experiment=experiment).is_wanted_now
    Experiment.objects.update(proof_arm=experiment.arms.get(key="v2"), proof_epoch=1)
    status, problem = call("post", f"{experiment.pk}/breed")
    assert status == 409
    assert "proof round" in problem["detail"]


def test_no_round_is_taken_while_breeding_is_off_or_the_experiment_over(call):
    experiment = make_garden(is_on=False)
    assert call("post", f"{experiment.pk}/breed")[0] == 409
    Experiment.objects.update(status=Experiment.Status.FINISHED, finished_at=timezone.now())
    assert call("post", f"{experiment.pk}/breed")[0] == 409


def test_the_lineage_is_data(call):
    experiment = make_garden()
    status, found = call("get", f"{experiment.pk}/lineage")
    assert status == 200
    assert [member["key"] for member in found["members"]] == ["control", "v2", "v3", "v4", "v5", "v6"]
    assert set(found) == {"experiment_id", "members", "credit", "learnt", "works"}


def test_a_page_that_was_not_proved_does_not_become_the_control(call):
    experiment = make_garden()
    status, problem = call("post", f"{experiment.pk}/control", {"arm": "v2"})
    assert status == 409
    assert "proved" in problem["detail"]
    assert call("post", f"{experiment.pk}/control", {"arm": "nobody"})[0] == 422
