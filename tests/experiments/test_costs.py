"""The page of what the language model has cost an experiment, and its CSV."""

import csv
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client

from experiments.console import costs
from experiments.models import Experiment
from tests.factories import make_experiment
from variants import ledger
from variants.models import Generation, ModelCall

pytestmark = pytest.mark.django_db


def called(experiment: Experiment, day: int, micro_usd: int, outcome: str = "used", model: str = "m-1") -> ModelCall:
    generation = Generation.objects.create(nursery=experiment.nursery, requested=1)
    return ModelCall.objects.create(
        generation=generation, purpose="page", outcome=outcome, model=model, prompt_version="1", prompt_tokens=1000,
        completion_tokens=500, cost_micro_usd=micro_usd, asked_at=datetime(2026, 11, day, 12, tzinfo=UTC),
    )  # fmt: skip


def address(experiment: Experiment, end: str = "costs/") -> str:
    return f"/console/experiments/experiment/{experiment.pk}/{end}"


def test_days_and_kinds_add_up_to_what_was_spent():
    experiment = make_experiment()
    for day, cost, outcome in ((1, 30_000, "used"), (1, 20_000, "unusable"), (2, 50_000, "used")):
        called(experiment, day, cost, outcome)
    shown = costs.of(experiment, user_id=None)
    assert [(line.name, line.calls, line.tokens, line.cost) for line in shown["days"]] == [
        ("2 Nov 2026", 1, "1,500", "0.05"), ("1 Nov 2026", 2, "3,000", "0.05"),
    ]  # fmt: skip
    assert [(line.came_out, line.cost) for line in shown["kinds"]] == [
        ("answered", "0.08"), ("answered, but could not be used", "0.02"),
    ]  # fmt: skip
    assert shown["spent"] == "0.10"


def test_what_is_left_of_the_budget_is_said(admin_client: Client):
    experiment = make_experiment()
    called(experiment, 1, 250_000)
    ledger.set_budget(experiment.nursery_id, Decimal(2))
    page = admin_client.get(address(experiment)).content.decode()
    assert "This experiment’s budget" in page
    assert "$1.75 left" in page


def test_less_than_a_cent_is_not_nothing():
    assert (costs.usd(0), costs.usd(1_234), costs.usd(1_234_567)) == ("0.00", "0.0012", "1.23")


def test_an_experiment_without_calls_says_that_it_cost_nothing(admin_client: Client):
    assert "Nothing was asked" in admin_client.get(address(make_experiment())).content.decode()


def test_calls_of_another_experiment_are_not_shown():
    called(make_experiment(), 1, 1_000_000)
    assert costs.of(make_experiment(slug="other"), user_id=None)["spent"] == "0.00"


def test_the_csv_holds_every_call_and_no_formula(admin_client: Client):
    experiment = make_experiment()
    called(experiment, 1, 30_000, model="=1+1")
    called(experiment, 2, 40_000)
    text = admin_client.get(address(experiment, "costs.csv")).content.decode("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["cost_usd"] for row in rows] == ["0.03", "0.04"]
    assert rows[0]["model"] == "'=1+1"


def test_people_who_may_not_ask_for_variants_do_not_see_costs(client: Client):
    client.force_login(User.objects.create_user("guest", is_staff=True))
    assert client.get(address(make_experiment())).status_code == 403
