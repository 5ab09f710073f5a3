"""Deployments, pauses and roll-backs under load: who sees which bytes."""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from experiments.demo.visitors import Answer, Browser
from tests.faults.rig import Rig
from tests.faults.visitors import Page, Visitors
from tests.stack import ROOT, leashed

PAUSED_SECONDS = 0.5
LEAST_EDITIONS = 2
REJECTED = 'greenhouse_visitor_total{kind="snapshots_rejected"}'


class Witness(Browser):
    """Remembers which bytes were shown for which arm."""

    seen: set[tuple[str, str]] = set()

    def ask(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        answer = super().ask(method, path, headers=headers, body=body)
        if method == "GET" and path.partition("?")[0] == self.path:
            cookie = answer.cookie or headers.get("Cookie", "")
            arm = cookie.split(".")[2] if cookie else "control"
            Witness.seen.add((arm, hashlib.sha256(answer.body).hexdigest()))
        return answer


@contextmanager
def deployer(rig: Rig, page: Page, name: str) -> Iterator[Path]:
    """Run a process that deploys, and kill it wherever it is; gives the file of what it has done."""
    environ = {**os.environ, **rig.environ, "DJANGO_SETTINGS_MODULE": "greenhouse.settings"}
    log = rig.folder / f"deployer-{name}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            leashed([sys.executable, "-m", "tests.faults.deployer", page.slug]),
            env=environ, cwd=ROOT, stdout=output, stderr=output,
        ) as process,
    ):  # fmt: skip
        try:
            yield log
            assert process.poll() is None, log.read_text()
        finally:
            process.kill()


def deployed(rig: Rig, page: Page) -> set[tuple[str, str]]:
    """Return every page that any deployment made, as arm and checksum of its bytes."""
    sql = (
        "SELECT DISTINCT arm.key, encode(sha256(blob.data), 'hex') FROM experiments_deployment d,"
        " jsonb_each(d.pages) arm JOIN experiments_blob blob ON blob.sha256 = arm.value->>'page'"
        " WHERE d.experiment_id = %s"
    )
    return set(rig.postgres.rows(sql, page.number))


def test_no_visitor_sees_a_mixture_a_missing_page_or_another_arm(rig, fault_seconds, assert_exact):
    """Two deployers at once, killed wherever they are, and pauses between."""
    page, chance = rig.plant(), random.Random(5)
    Witness.seen = set()
    visitors = Visitors(page, [rig.port], per_second=100, browser=Witness)
    give_up = time.monotonic() + 2 * fault_seconds
    with visitors.coming() as ledger:
        while time.monotonic() < give_up:
            with deployer(rig, page, "one") as one, deployer(rig, page, "two") as two:
                rig.wait_until(lambda: min(_turns(one), _turns(two)) >= LEAST_EDITIONS, "both deployed", seconds=240)
                time.sleep(chance.random())
            rig.api("POST", f"/experiments/{page.number}/pause")
            time.sleep(PAUSED_SECONDS)
            rig.api("POST", f"/experiments/{page.number}/resume")
        rig.wait_until(lambda: len(Witness.seen) > len(page.headlines), "visitors see more than one edition")
    made = deployed(rig, page)
    assert_exact(rig, visitors, editions=len(made), pages_seen=len(Witness.seen))
    assert Witness.seen <= made
    assert (ledger.bad_statuses(), ledger.lost_answers, ledger.refused) == ({}, [], 0)
    assert REJECTED not in rig.metrics()


def _turns(log: Path) -> int:
    return log.read_text().count("deployed ")
