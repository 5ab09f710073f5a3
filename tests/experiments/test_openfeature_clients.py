"""The real OpenFeature providers of PyPI and npm, as servers use them, ask and report over HTTP."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from openfeature.track import TrackingEventDetails
from requests import Session

from experiments import deployment
from experiments.models import AppKey, EpochCount, Experiment, Goal
from tests.factories import make_running
from tests.openfeature import packages

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_url")]

ANSWER_SECONDS = 180
IN_NODE = """
const {OpenFeature} = require("@openfeature/server-sdk");
const {OFREPProvider} = require("@openfeature/ofrep-provider");
const [baseUrl, key] = process.argv.slice(1);
const headers = [["Authorization", "Bearer " + key]];

class Greenhouse extends OFREPProvider {
  track(name, context, details) {
    this.told = fetch(baseUrl + "/ofrep/v1/track", {
      method: "POST",
      headers: Object.fromEntries([["Content-Type", "application/json"], ...headers]),
      body: JSON.stringify({name, context, details}),
    });
  }
}

(async () => {
  const provider = new Greenhouse({baseUrl, headers});
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient(), context = {targetingKey: "ada"};
  const found = await client.getObjectDetails("offer", {}, context);
  client.track("greenhouse.exposure", context, {flag: "offer"});
  const told = await (await provider.told).json();
  const wrong = await client.getObjectDetails("nothing", {kept: true}, context);
  const nobody = await client.getObjectDetails("offer", {kept: true}, {});
  console.log(JSON.stringify({found, told, wrong, nobody}));
  await OpenFeature.close();
})();
"""


@pytest.fixture
def experiment() -> Experiment:
    made = make_running(arms=3, slug="offer", goal_kind=Goal.Kind.REVENUE)
    deployment.deploy(made, reason="test")
    return made


@pytest.fixture
def key(experiment: Experiment) -> str:
    made = AppKey.objects.create(name="Server")
    made.experiments.add(experiment)
    return made.key


class Greenhouse(OFREPProvider):
    """What docs/apps.md shows: the protocol has no tracking, the SDK has."""

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        details = tracking_event_details or TrackingEventDetails()
        context = evaluation_context or EvaluationContext()
        named: dict[str, Any] = {"targetingKey": context.targeting_key, **context.attributes}
        told: dict[str, Any] = {"value": details.value, **details.attributes}
        answer = Session().post(
            f"{self.base_url}/ofrep/v1/track",
            json={"name": tracking_event_name, "context": named, "details": told},
            headers=self.headers_factory() if self.headers_factory else None,
            timeout=ANSWER_SECONDS,
        )
        answer.raise_for_status()


def counted() -> dict[str, tuple[int, float]]:
    return {row.measure: (row.count, row.value) for row in EpochCount.objects.all()}


def test_the_provider_of_pypi_asks_for_an_arm_and_reports_a_sale(live_server, experiment, key):
    provider = Greenhouse(live_server.url, headers_factory=lambda: {"Authorization": f"Bearer {key}"})
    api.set_provider(provider)
    client, ada = api.get_client(), EvaluationContext("ada", {"utm_source": "mail"})
    found = client.get_object_details("offer", {}, ada)
    assert (found.error_code, found.reason) == (None, Reason.SPLIT)
    assert isinstance(found.value, dict)
    assert found.value["content"]["meta"]["title"]
    assert found.flag_metadata["propensity"] == pytest.approx(1 / 3)
    assert not counted()
    client.track("greenhouse.exposure", ada, TrackingEventDetails(attributes={"flag": "offer"}))
    for order in ("A-1", "A-2", "A-2"):
        client.track("signup", ada, TrackingEventDetails(value=20.0, attributes={"event_id": order}))
    assert counted() == {"exposures": (1, 0.0), "signup": (1, 40.0)}
    assert client.get_object_details("nothing", {}, ada).error_code == ErrorCode.FLAG_NOT_FOUND
    assert client.get_object_details("offer", {}, EvaluationContext()).error_code == ErrorCode.TARGETING_KEY_MISSING
    api.shutdown()


def test_the_provider_of_npm_for_servers_asks_for_an_arm_and_reports_it_shown(live_server, experiment, key):
    folder = packages()
    node = shutil.which("node")
    assert node is not None, "npm comes with node"
    done = subprocess.run(
        [node, "-e", IN_NODE, live_server.url, key],
        env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
        capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    found = answers["found"]
    assert found["reason"] == "SPLIT", found
    assert found["value"]["arm"] == found["variant"]
    assert found["flagMetadata"]["epoch"] == 1
    assert answers["told"]["tracked"][0]["counted"] is True
    assert counted() == {"exposures": (1, 0.0)}
    assert (answers["wrong"]["errorCode"], answers["wrong"]["value"]) == ("FLAG_NOT_FOUND", {"kept": True})
    assert answers["nobody"]["errorCode"] == "TARGETING_KEY_MISSING"
