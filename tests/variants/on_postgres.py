"""What needs many writers at once: budgets that several workers draw on. test_on_postgres.py runs this there."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from tests.variants.test_generation import ScriptedWriter
from variants import generation, ledger
from variants.models import Generation, ModelCall, Nursery
from variants.prompts import PlanRequest

WORKERS = 6


def at_once(jobs):
    """Run each job in a thread with a database connection of its own, all starting together."""
    gate = threading.Barrier(len(jobs))

    def run(job):
        try:
            gate.wait(30)
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def drawing(asked: Generation, seed: int):
    """Reserve and settle, mostly at less than was set aside, until nothing is left; return how often it succeeded."""

    def draw() -> int:
        chance = random.Random(seed)
        for drawn in range(10_000):
            try:
                call = ledger.reserve(
                    asked, purpose=ModelCall.Purpose.PAGE, model="m", prompt_version="1", cost_micro_usd=1000
                )
            except ledger.OverBudget:
                return drawn
            cost = chance.choice([150, 700, 1000])
            bill = ledger.Bill(
                outcome=ModelCall.Outcome.USED, model="m", prompt_tokens=1, completion_tokens=1, cost_micro_usd=cost
            )
            ledger.settle(call.pk, bill)
        raise AssertionError("the budget never ends")

    return draw


def asked_for(nursery: Nursery, *, budget: int | None = None) -> Generation:
    return Generation.objects.create(nursery=nursery, requested=1, budget_micro_usd=budget, status="running")


@pytest.mark.django_db(transaction=True)
def test_workers_that_draw_on_one_experiments_budget_at_once_never_pass_it(nursery):
    assert connection.vendor == "postgresql"
    Nursery.objects.update(budget_micro_usd=40_300)
    drawn = at_once([drawing(asked_for(nursery), seed) for seed in range(WORKERS)])
    assert sum(drawn) >= 40
    assert 40_300 - 1000 < ledger.spent(nursery.pk) <= 40_300
    assert sum(Generation.objects.values_list("cost_micro_usd", flat=True)) == ledger.spent(nursery.pk)


@pytest.mark.django_db(transaction=True)
def test_workers_that_draw_on_one_generation_at_once_never_pass_its_budget(nursery):
    asked = asked_for(nursery, budget=20_300)
    at_once([drawing(asked, seed) for seed in range(WORKERS)])
    asked.refresh_from_db()
    assert 20_300 - 1000 < asked.cost_micro_usd <= 20_300


class FreePlans(ScriptedWriter):
    def most_cost_micro_usd(self, request):
        return 0 if isinstance(request, PlanRequest) else 2 * self.cost


@pytest.mark.django_db(transaction=True)
def test_generations_of_one_experiment_that_run_at_once_share_its_budget(nursery):
    Nursery.objects.update(budget_micro_usd=9_500)
    wanted = [generation.request_generation(nursery, 20, budget_usd=None, by=None) for _ in range(4)]
    at_once([lambda asked=asked: generation.run(asked.pk, FreePlans("Granite", cost=1000)) for asked in wanted])
    assert ledger.spent(nursery.pk) <= 9_500
    assert ModelCall.objects.filter(outcome=ModelCall.Outcome.UNDER_WAY).count() == 0
