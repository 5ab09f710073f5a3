"""Deployment: the same bytes again, an emptied Redis filled again, an older picture never over a newer one."""

import json
from typing import Any

import pytest
from redis import Redis

from experiments import deployment, lifecycle
from experiments.models import Blob, Deployment, Experiment
from experiments.store import store
from tests.factories import make_brief, make_experiment, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url", "eager_tasks")]


def started(**changes: Any) -> Experiment:
    return lifecycle.start(make_experiment(**changes), by=None)


def snapshot_of(experiment: Experiment) -> dict[str, Any]:
    document = store().snapshot(experiment.slug)
    assert document is not None
    return dict(json.loads(document))


def test_deploying_again_makes_the_same_bytes():
    experiment = started()
    before = Blob.objects.count()
    again = deployment.deploy(experiment, reason="again")
    assert Blob.objects.count() == before
    assert again.pages == experiment.deployments.get(number=1).pages


def test_an_emptied_redis_is_filled_again_to_the_byte(redis_url):
    experiment = started()
    sha = snapshot_of(experiment)["arms"]["control"]["page"]
    before = store().blob(sha)
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    assert deployment.republish_missing() == [experiment.slug]
    assert store().blob(sha) == before
    assert before is not None
    assert deployment.republish_missing() == []


def test_an_older_snapshot_never_replaces_a_newer_one():
    experiment = started()
    newest = store().sequences()[experiment.slug]
    assert not store().publish(experiment.slug, newest, "{}")
    assert not store().publish(experiment.slug, newest - 1, "{}")
    assert snapshot_of(experiment)["sequence"] == newest


def test_rolling_back_serves_the_bytes_of_before():
    experiment = started()
    first = snapshot_of(experiment)["arms"]
    experiment.nursery.variants.filter(number=2).update(content=page("Quite another headline"))
    deployment.deploy(experiment, reason="changed")
    assert snapshot_of(experiment)["arms"] != first
    deployment.roll_back(experiment)
    assert snapshot_of(experiment)["arms"] == first


def test_there_is_nothing_before_the_first_deployment():
    with pytest.raises(Deployment.DoesNotExist):
        deployment.roll_back(started())


def test_a_click_on_a_form_page_is_counted_on_its_way_to_the_form():
    experiment = started(goal_kind="click")
    document = snapshot_of(experiment)
    assert document["links"]["cta"] == {"url": "#form", "goals": ["signup"], "token": False}
    blob = store().blob(document["arms"]["control"]["page"])
    assert blob is not None
    assert b'href="go/cta"' in blob.identity


def test_a_link_page_has_no_form():
    brief = make_brief(call_to_action_kind="link", call_to_action_url="https://example.org/buy")
    document = snapshot_of(started(brief=brief, goal_kind="click"))
    assert document["form"] is None
    assert document["links"]["cta"]["url"] == "https://example.org/buy"
    assert all(arm["form"] is None for arm in document["arms"].values())


def test_an_experiment_whose_worker_died_is_found(settings):
    experiment = started()
    Experiment.objects.filter(pk=experiment.pk).update(deployment=None)
    experiment.refresh_from_db()
    assert experiment.started_at is not None
    assert deployment.undeployed(before=experiment.started_at) == []
    later = experiment.started_at.replace(year=experiment.started_at.year + 1)
    assert deployment.undeployed(before=later) == [experiment]
