"""A web app on another site asks for its arm with the real OpenFeature web provider, as a React page would."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser

from experiments import deployment
from experiments.models import Allocation, AppKey, EpochCount, Experiment, Goal, KeyedVisitor
from tests.experiments.splitter.serving import CHROME
from tests.factories import make_running
from tests.openfeature import packages

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_url"),
]

SHOP = """<!doctype html><title>A shop</title><h1>Shop</h1>
<script type="importmap">{"imports": {
  "@openfeature/core": "/node_modules/@openfeature/core/dist/esm/index.js",
  "@openfeature/web-sdk": "/node_modules/@openfeature/web-sdk/dist/esm/index.js",
  "@openfeature/ofrep-core":
    "/node_modules/@openfeature/ofrep-web-provider/node_modules/@openfeature/ofrep-core/index.esm.js",
  "@openfeature/ofrep-web-provider": "/node_modules/@openfeature/ofrep-web-provider/index.esm.js"
}}</script>
<script type="module">
import {OpenFeature} from "@openfeature/web-sdk";
import {OFREPWebProvider} from "@openfeature/ofrep-web-provider";

class Greenhouse extends OFREPWebProvider {
  constructor(options) { super(options); this.options = options; this.told = []; }
  track(name, context, details) {
    this.told.push(fetch(this.options.baseUrl + "/ofrep/v1/track", {
      method: "POST",
      keepalive: true,
      headers: Object.fromEntries([["Content-Type", "application/json"], ...this.options.headers]),
      body: JSON.stringify({name, context, details}),
    }).then(answer => answer.json()));
  }
}

window.shop = async (baseUrl, key, person) => {
  const provider = new Greenhouse({baseUrl, headers: [["Authorization", "Bearer " + key]], pollInterval: 0});
  try {
    await OpenFeature.setProviderAndWait(provider, {targetingKey: person, utm_source: "mail"});
  } catch (error) { return {error: String(error.cause || error)}; }
  const client = OpenFeature.getClient();
  const details = client.getObjectDetails("offer", {});
  document.querySelector("h1").textContent = details.value.content.sections[0].headline;
  client.track("greenhouse.exposure", {flag: "offer"});
  await Promise.all(provider.told);
  client.track("signup");
  const told = await Promise.all(provider.told);
  await OpenFeature.close();
  return {details, told};
};
window.isReady = true;
</script>"""


class Shop(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(SHOP.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    folder: Path = packages()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Shop, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def experiment() -> Experiment:
    made = make_running(arms=3, slug="offer", goal_kind=Goal.Kind.EVENT)
    deployment.deploy(made, reason="test")
    return made


def visit(chromium: Browser, shop: str, server: str, key: str, person: str) -> dict[str, Any]:
    context = chromium.new_context(user_agent=CHROME)
    page = context.new_page()
    page.goto(shop)
    page.wait_for_function("window.isReady")
    found: dict[str, Any] = page.evaluate("arguments => window.shop(...arguments)", [server, key, person])
    found["headline"] = page.text_content("h1")
    context.close()
    return found


def test_a_web_app_gets_its_arm_shows_it_and_counts(chromium, live_server, shop, experiment):
    key = AppKey.objects.create(name="Shop", origins=shop)
    key.experiments.add(experiment)
    first = visit(chromium, shop, live_server.url, key.key, "ada")
    arm = experiment.arms.get(key=first["details"]["variant"])
    assert first["headline"] == arm.variant.content["sections"][0]["headline"]
    assert first["details"]["flagMetadata"]["isControl"] is arm.is_control
    assert [told["tracked"][0]["counted"] for told in first["told"]] == [True, True]
    Allocation.objects.create(experiment=experiment, epoch=2, shares={"v2": 0.5, "v3": 0.5}, reason="test")
    deployment.publish(experiment)
    again = visit(chromium, shop, live_server.url, key.key, "ada")
    assert again["details"]["variant"] == arm.key
    counts = {(row.arm_id, row.epoch, row.measure): row.count for row in EpochCount.objects.all()}
    assert counts == {(arm.pk, 1, "exposures"): 1, (arm.pk, 1, "signup"): 1}


def test_a_browser_on_a_site_that_the_key_is_not_for_gets_nothing(chromium, live_server, shop, experiment):
    key = AppKey.objects.create(name="Shop", origins="https://shop.example")
    key.experiments.add(experiment)
    assert "error" in visit(chromium, shop, live_server.url, key.key, "ada")
    assert not KeyedVisitor.objects.exists()
