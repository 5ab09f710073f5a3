"""Tasks: what the timetable sets off reaches visitors."""

import json

import pytest

from experiments import deployment, lifecycle, tasks
from experiments.models import Experiment
from experiments.splitter.stores import StoreUnavailable
from experiments.store import store
from tests.experiments.test_allocation import add_counts
from tests.factories import make_experiment, page
from variants.models import Variant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url", "eager_tasks")]


def published_epoch(experiment: Experiment) -> int:
    document = store().snapshot(experiment.slug)
    assert document is not None
    return int(json.loads(document)["epoch"])


def started() -> Experiment:
    experiment = lifecycle.start(make_experiment(), by=None)
    add_counts(experiment, {"control": (1000, 30), "v2": (1000, 90)})
    experiment.allocations.update(created_at=experiment.created_at.replace(year=2020))
    return experiment


def test_a_review_publishes_the_new_shares():
    experiment = started()
    tasks.review()
    assert published_epoch(experiment) == 2


def test_a_variant_approved_while_the_experiment_runs_is_served_after_a_review_or_two():
    experiment = started()
    Variant.objects.create(
        nursery=experiment.nursery,
        number=9,
        name="Late",
        content=page("A headline that came late"),
        status=Variant.Status.APPROVED,
    )
    tasks.review_one(experiment.pk)  # makes its page
    experiment.allocations.update(created_at=experiment.created_at.replace(year=2020))
    tasks.review_one(experiment.pk)
    document = store().snapshot(experiment.slug)
    assert document is not None
    snapshot = json.loads(document)
    assert snapshot["shares"]["v9"] > 0.02
    assert "v9" in snapshot["arms"]


def test_a_review_that_changes_nothing_publishes_nothing():
    experiment = started()
    tasks.review()
    before = store().sequences()
    tasks.review()
    assert store().sequences() == before
    assert published_epoch(experiment) == 2


def test_an_experiment_that_cannot_be_reviewed_holds_no_other(caplog):
    broken, sound = started(), started()
    broken.goals.all().delete()
    broken.allocations.all().delete()
    with pytest.raises(IndexError):
        tasks.review_one(broken.pk)
    tasks.review()
    assert published_epoch(sound) == 2


def test_a_start_without_a_worker_is_deployed_by_the_timetable():
    experiment = started()
    Experiment.objects.filter(pk=experiment.pk).update(
        deployment=None, started_at=experiment.created_at.replace(year=2020)
    )
    tasks.republish()
    experiment.refresh_from_db()
    assert experiment.deployment is not None


def test_with_redis_away_the_timetable_only_waits(settings, tmp_path, caplog):
    started()
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    store.cache_clear()
    tasks.count()
    tasks.republish()
    assert "waits for Redis" in caplog.text
    with pytest.raises(StoreUnavailable):
        deployment.republish_missing()
