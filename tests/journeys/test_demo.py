"""The demo as somebody runs it, and with its web process killed halfway."""

import json
import os
import signal
import time
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.stack import START_SECONDS, Stack, stack

pytestmark = pytest.mark.slow

VISITORS = 3000


def get(address: str, token: str = "") -> bytes:
    request = Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urlopen(request, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def kill_web(running: Stack, *, but: int | None = None) -> int:
    """Kill the web process, once there is another one than the one that was killed before."""
    give_up = time.monotonic() + START_SECONDS
    while (found := running.find_program("greenhouse.wsgi")) in {None, but} and time.monotonic() < give_up:
        time.sleep(0.1)
    assert found is not None
    os.kill(found, signal.SIGKILL)
    return found


def per_arm(report: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {arm["key"]: {"exposures": arm["exposures"], "conversions": arm["conversions"]} for arm in report["arms"]}


def test_what_was_sent_is_what_the_report_counts_though_the_web_process_is_killed_twice():
    with stack("demo", VISITORS=str(VISITORS), VARIANTS="4") as running:
        ready = running.announced("READY", seconds=START_SECONDS)
        for address in (ready["page"], ready["console"], ready["report"]):
            assert b"</html>" in get(address)
        time.sleep(4)
        first = kill_web(running)
        time.sleep(4)
        kill_web(running, but=first)
        settled = running.announced("SETTLED", seconds=600)
        api = f"{ready['url']}/api/v1/experiments/{ready['experiment_id']}/report"
        report = json.loads(get(api, ready["token"]))
    assert settled["sent"] == settled["counted"]
    assert per_arm(report) == settled["sent"]
    assert sum(arm["exposures"] for arm in settled["sent"].values()) >= VISITORS
    assert settled["best"] == max(settled["rates"], key=settled["rates"].__getitem__)
    assert running.process.returncode == 0
