"""How long the loop takes: from a visitor to the report, and from new shares to a visitor.

The whole of Greenhouse as `manage.py up` runs it, on PostgreSQL and Redis, with the default timetable.

    latency.count        seconds from a visitor's answer to the first report that counts them
    latency.allocation   seconds from an allocation's date to the answer of the first visitor served by it

The peer of the first is one tick of the timetable, of the second one interval at which visitor processes look for new
snapshots: with everything else free, no visitor would wait longer. SAMPLES (150) is read from the environment. One JSON
object a line.
"""

import json
import os
import random
import tempfile
import threading
import time
from contextlib import closing
from datetime import datetime
from itertools import count
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenhouse.settings")
django.setup()

from experiments.demo.visitors import BROWSERS, Answer, Browser
from experiments.splitter.app import REFRESH_SECONDS
from tests.faults.rig import Rig, running_rig
from tests.faults.visitors import FORM_TYPE, Page

SAMPLES = int(os.environ.get("SAMPLES", "150"))
TICK_SECONDS = 1.0  # COUNT_EVERY_SECONDS by default
DEFAULT_PACE = {"REVIEW_EVERY_SECONDS": "60", "SHARES_CHANGE_EVERY_SECONDS": "600", "WEB_WORKERS": "1"}
VISITS_PER_SECOND = 4.0
LONGEST_SECONDS = 30.0  # a sample that takes longer ends the run: something is broken
LONGEST_REVIEW_SECONDS = 2.0  # on average, and not every one changes the shares
BETWEEN_VISITS_SECONDS = 0.02
EPOCH_PLACE = 3  # visitor.experiment.arm.epoch.exposed_ms.signature


class TooLong(Exception):
    """Something did not come to pass in time."""


def visit(browser: Browser, *, converts: bool = False) -> int:
    """Come as a new visitor, and perhaps reach the goal; return the epoch of the shares that decided."""
    headers = {"User-Agent": BROWSERS[0], "Accept-Encoding": "identity"}
    answer: Answer = browser.ask("GET", browser.path, headers=headers)
    if not answer.cookie:
        raise TooLong(f"the page answered {answer.status} without a cookie")
    if converts:
        sent = {**headers, "Cookie": answer.cookie, "Content-Type": FORM_TYPE, "Origin": browser.origin}
        browser.ask("POST", f"{browser.path}form", headers=sent, body=b"email=somebody%40example.org")
    return int(answer.cookie.partition("=")[2].split(".")[EPOCH_PLACE])


def come(url: str, answered: list[float]) -> None:
    """Come as so many visitors, at moments that no timetable knows; note when each was answered."""
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    with closing(Browser(url)) as browser:
        for _ in range(SAMPLES):
            time.sleep(chance.expovariate(VISITS_PER_SECOND))
            visit(browser)
            answered.append(time.monotonic())


def counting(rig: Rig, page: Page) -> list[float]:
    """Return how long each visitor took to appear in the report. One journal is counted in order, so the first
    report that says n is the first one that has the n-th visitor."""
    answered: list[float] = []
    seen: list[float] = []
    before = exposures(rig, page)
    visitors = threading.Thread(target=come, args=(f"http://127.0.0.1:{rig.port}{page.path}", answered))
    visitors.start()
    while len(seen) < SAMPLES:
        told, now = exposures(rig, page) - before, time.monotonic()
        seen += [now] * (told - len(seen))
        if len(answered) > len(seen) and now - answered[len(seen)] > LONGEST_SECONDS:
            raise TooLong(f"a visitor was not counted for {LONGEST_SECONDS:g} s\n{rig.evidence()}")
        time.sleep(0.02)
    visitors.join()
    return [counted - at for at, counted in zip(answered, seen, strict=True)]


def exposures(rig: Rig, page: Page) -> int:
    return sum(arm["exposures"] for arm in rig.api("GET", f"/experiments/{page.number}/report")["arms"])


def allocations(rig: Rig, page: Page) -> list[float]:
    """Return how long each new allocation took to reach a visitor."""
    first: dict[int, float] = {}  # epoch -> when a visitor was first answered by it
    made: dict[int, float] = {}  # epoch -> its date
    chance, stopping = random.Random(7), threading.Event()  # noqa: S311 - as above
    visitors = threading.Thread(target=keep_coming, args=(f"http://127.0.0.1:{rig.port}{page.path}", first, stopping))
    visitors.start()
    try:
        give_up = time.monotonic() + SAMPLES * LONGEST_REVIEW_SECONDS
        while len(made) < SAMPLES:
            time.sleep(chance.random())
            told = rig.api("POST", f"/experiments/{page.number}/reallocate")
            made.setdefault(told["epoch"], datetime.fromisoformat(told["created_at"]).timestamp())
            made.pop(1, None)  # the experiment's start
            if time.monotonic() > give_up:
                raise TooLong(f"only {len(made)} new allocations\n{rig.evidence()}")
        rig.wait_until(lambda: max(first, default=0) >= max(made), "the last allocation reaches a visitor")
    finally:
        stopping.set()
        visitors.join()
    return [min(at for epoch, at in first.items() if epoch >= wanted) - dated for wanted, dated in made.items()]


def keep_coming(url: str, first: dict[int, float], stopping: threading.Event) -> None:
    """Come as one visitor after the other; every second one converts, so that there is something to learn."""
    with closing(Browser(url)) as browser:
        for number in count():
            if stopping.wait(BETWEEN_VISITS_SECONDS):
                return
            first.setdefault(visit(browser, converts=number % 2 == 0), time.time())


def report(bench: str, seconds: list[float], *, peer_seconds: float, peer: str) -> None:
    ordered = sorted(seconds)
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        ours = ordered[min(len(ordered) - 1, round(share * len(ordered)))]
        row = {"bench": f"{bench}.{name}", "ours": round(ours, 3), "peer": peer_seconds, "peer_name": peer}
        print(json.dumps({**row, "ratio": round(ours / peer_seconds, 3), "unit": "s"}), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running_rig(Path(folder) / "rig", **DEFAULT_PACE) as rig:
        page = rig.plant()
        report("latency.count", counting(rig, page), peer_seconds=TICK_SECONDS, peer="tick")
        report("latency.allocation", allocations(rig, page), peer_seconds=REFRESH_SECONDS, peer="refresh")


if __name__ == "__main__":
    main()
