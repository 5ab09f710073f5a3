"""Variants from a language model over real HTTP, by a real worker: what comes of good, bad and missing answers."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.model_server import Behaviour, ModelServer, failing, good, hanging, page, saying
from tests.stack import START_SECONDS, stack

pytestmark = pytest.mark.slow

OVER = {"finished", "failed"}
BRIEF = {
    "name": "Archive",
    "product": "Paperwork turns scanned letters into a searchable archive.",
    "audience": "Households with too much paper.",
    "offer": "A free set-up guide.",
    "call_to_action": {"label": "Send me the guide", "kind": "form"},
}

type Call = Callable[..., Any]


def calling(url: str, token: str) -> Call:
    def call(method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with urlopen(Request(f"{url}/api/v1{path}", data=data, headers=headers, method=method), timeout=60) as answer:
            return json.loads(answer.read())

    return call


def generate(call: Call, experiment: int) -> dict[str, Any]:
    """Ask for two variants and return the generation once it is over."""
    number = call("POST", f"/experiments/{experiment}/generate", {"count": 2})["generation_id"]
    give_up = time.monotonic() + 240
    while time.monotonic() < give_up:
        generation: dict[str, Any] = call("GET", f"/generations/{number}")
        if generation["status"] in OVER:
            return generation
        time.sleep(0.2)
    raise AssertionError("the generation is never over")


BAD: dict[str, Behaviour] = {
    "garbage": saying("I would love to! Here is your page: <html>"),
    "too many requests": failing(429, **{"Retry-After": "0"}),
    "broken": failing(500),
    "silent": hanging(),
    "refusing": saying(None, refusal="I cannot help with that."),
}


def test_a_model_writes_and_whatever_goes_wrong_ends_with_a_message_and_nothing_half_saved():
    with ModelServer(good(page("Find any letter again"))) as server:
        model = {"OPENAI_BASE_URL": server.url, "OPENAI_MODEL": "test-model", "MODEL_TIMEOUT_SECONDS": "8"}
        with stack("up", **model) as running:
            ready = running.announced("READY", seconds=START_SECONDS)
            call = calling(ready["url"], ready["token"])
            brief = call("POST", "/briefs", BRIEF)["id"]
            goal = {"key": "guide", "kind": "form", "primary": True}
            wanted = {"name": "Archive", "slug": "archive", "brief_id": brief, "goals": [goal]}
            experiment = call("POST", "/experiments", wanted)["id"]

            server.behaviours[:] = [good(page("Find any letter again")), good(page("Your papers stay at home"))]
            written = generate(call, experiment)
            assert (written["status"], written["accepted"], written["model"]) == ("finished", 2, "scripted-1")
            assert written["tokens"] > 0
            variants = call("GET", f"/experiments/{experiment}/variants")["items"]
            assert {variant["origin"] for variant in variants} == {"model"}

            for name, behaviour in BAD.items():
                server.behaviours[:] = [behaviour]
                failed = generate(call, experiment)
                assert (name, failed["status"], failed["accepted"]) == (name, "failed", 0)
                assert len(failed["message"]) > 20
            assert call("GET", f"/experiments/{experiment}/variants")["count"] == len(variants)
