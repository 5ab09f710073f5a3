import numpy as np
import pytest
from django.test import Client

from experiments import roster
from experiments.console import likeness, planning
from tests.factories import make_experiment
from variants.models import Variant

pytestmark = pytest.mark.django_db


def test_nothing_is_said_before_the_traffic_is_known():
    assert planning.plan(make_experiment(visitors_per_day=400)) is None


def test_the_sentence_names_traffic_days_and_the_number():
    made = planning.plan(make_experiment(visitors_per_day=400, usual_rate=0.04))
    assert made is not None
    assert made.text.startswith(f"400 visits a day for 14 days afford about {made.variants} variants.")
    assert "100 would stay a coin toss" in made.text
    assert made.chart.count("<rect") == 7


def test_as_many_go_live_as_the_marketer_was_told():
    experiment = make_experiment(visitors_per_day=400, usual_rate=0.04)
    made = planning.plan(experiment)
    assert made is not None
    assert roster.affordable_arms(experiment) == made.variants


def test_the_form_keeps_the_traffic_and_refuses_what_is_no_rate(admin_client: Client):
    experiment = make_experiment()
    address = f"/console/experiments/experiment/{experiment.pk}/traffic/"
    admin_client.post(address, {"visitors_per_day": "400", "usual_rate": "4", "planned_days": "10"})
    experiment.refresh_from_db()
    assert (experiment.visitors_per_day, experiment.usual_rate, experiment.planned_days) == (400, 0.04, 10)
    admin_client.post(address, {"visitors_per_day": "500", "usual_rate": "400", "planned_days": "10"})
    experiment.refresh_from_db()
    assert experiment.visitors_per_day == 400


def test_the_map_is_the_same_each_time_and_joins_repeats():
    nursery = make_experiment(arms=5).nursery
    first, again = likeness.of(nursery), likeness.of(nursery)
    assert first.chart == again.chart
    assert first.chart.count("<circle") == 5
    assert first.chart.count("gh-join") == len(first.repeats) == first.pages - first.distinct


def test_a_hostile_name_stays_text_on_the_map():
    nursery = make_experiment(arms=3).nursery
    Variant.objects.filter(nursery=nursery, number=2).update(name="<script>alert(1)</script>")
    assert "<script" not in likeness.of(nursery).chart


def test_like_pages_are_drawn_nearer_than_unlike_ones():
    alike = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]], dtype=np.float32)
    found = likeness.places(alike)
    assert np.linalg.norm(found[0] - found[1]) < np.linalg.norm(found[0] - found[2])
