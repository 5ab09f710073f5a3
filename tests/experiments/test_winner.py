"""Which page is marked beforehand where everyone's page is chosen, and what is said of each."""

import pytest
from django.test import Client
from django.urls import reverse

from experiments.console import winner, workbench
from experiments.models import Experiment
from experiments.reporting.report import build
from tests.experiments.reporting.made import make_counted

pytestmark = pytest.mark.django_db


def choices(experiment: Experiment) -> tuple[list[winner.Choice], str]:
    return winner.choices_of(experiment, workbench.promotable(experiment), build(experiment))


def test_the_page_that_is_surely_better_is_marked_and_not_todays():
    found, why = choices(make_counted([(4000, 160), (4000, 170), (4000, 320)], status=Experiment.Status.FINISHED))
    assert [choice.is_marked for choice in found] == [True, False, False]
    assert not found[0].is_control
    assert "surely better than today’s page" in why
    assert "8.0% of 4,000 visitors converted" in found[0].known[0]
    assert found[1].is_control


def test_a_page_that_may_be_better_is_marked_with_how_sure_that_is():
    found, why = choices(make_counted([(2000, 80), (2000, 90)], status=Experiment.Status.FINISHED))
    assert not found[0].is_control
    assert "It is not sure that it is better than today’s page." in why


def test_without_conversions_todays_page_is_marked():
    found, why = choices(make_counted([(50, 0), (50, 0)], status=Experiment.Status.FINISHED))
    assert found[0].is_control
    assert found[0].is_marked
    assert why == "Today’s page is marked, because nothing is known of the others yet."


def test_the_page_says_what_happens_and_that_it_is_final(admin_client: Client):
    experiment = make_counted([(4000, 160), (4000, 320)], status=Experiment.Status.FINISHED)
    body = admin_client.get(reverse("admin:experiments_experiment_winner", args=[experiment.pk])).content.decode()
    assert winner.FINAL in body
    assert body.count(" checked") == 1
