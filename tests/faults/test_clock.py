"""Clocks that are set back an hour and forward a day, by libfaketime: those of web processes and of the timetable."""

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.rig import SECRET_KEY
from tests.faults.visitors import Ledger
from tests.stack import ROOT, leashed

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEADY_SECONDS = 1.0
STEPS = (("-1h", timedelta(hours=-1)), ("+0", timedelta()), ("+1d", timedelta(days=1)), ("+0", timedelta()))
OVERDUE_SECONDS = 180.0  # far less than the hour or the day of a step, and a busy machine is given its time

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (apt install libfaketime)")


class Clock:
    """The system's time for the processes that were started with its environment."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set("+0")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # As on a real host: what measures how long something takes is not moved by setting the clock.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(offset)
        beside.rename(self._file)


def dated(ledger: Ledger) -> set[timedelta]:
    """Return how far from now, in hours, visits were dated: to see that the clock was moved at all."""
    now_ms = time.time() * 1000
    return {timedelta(hours=round((each.exposed_ms - now_ms) / 3_600_000)) for each in list(ledger.known)}


def test_a_web_process_whose_clock_is_set_keeps_its_visitors_and_counts_each_once(
    rig, fault_seconds, assert_exact, tmp_path
):
    page, clock = rig.plant(), Clock(tmp_path)
    with rig.visitor_tier("clock", **clock.environ) as tier:
        rig.wait_until_served(page, port=tier.port)
        visitors = rig.visitors(page, per_second=100, ports=[tier.port])
        with visitors.coming() as ledger:
            for offset, moved in STEPS:
                time.sleep(max(STEADY_SECONDS, fault_seconds / len(STEPS)))
                clock.set(offset)
                rig.wait_until(lambda moved=moved: moved in dated(ledger), f"visits are dated {offset}")
            time.sleep(STEADY_SECONDS)
        # Cookies stay valid, which the ledger shows: nobody who came again was given another arm or cookie.
        assert_exact(rig, visitors)
    assert (ledger.bad_statuses(), ledger.lost_answers, ledger.refused) == ({}, [], 0)


# libfaketime 0.9.10 breaks time.sleep (clock_nanosleep answers EINVAL), and with it a whole `celery beat`.
TIMETABLE = """
import threading, time
import django; django.setup()
from celery.beat import Scheduler
from greenhouse.celery import app
class Telling(Scheduler):
    producer = None
    def apply_entry(self, entry, producer=None): print(entry.name, time.time(), flush=True)
timetable = Telling(app=app)
while True: threading.Event().wait(min(timetable.tick(), 0.1))
"""


@pytest.mark.parametrize(("offset", "moved_seconds"), [("-1h", -3600), ("+1d", 86400)])
def test_the_timetable_neither_stops_nor_hurries_when_its_clock_is_set(tmp_path, offset, moved_seconds):
    clock = Clock(tmp_path)
    environ = {
        **os.environ, **clock.environ, "DJANGO_SETTINGS_MODULE": "greenhouse.settings", "STATE_DIR": str(tmp_path),
        "SECRET_KEY": SECRET_KEY, "COUNT_EVERY_SECONDS": "0.2", "REVIEW_EVERY_SECONDS": "3600",
    }  # fmt: skip
    with subprocess.Popen(
        leashed([sys.executable, "-c", TIMETABLE]), env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as timetable:
        giving_up = threading.Timer(OVERDUE_SECONDS, timetable.kill)
        giving_up.start()
        try:
            assert timetable.stdout is not None
            assert timetable.stdout.readline().startswith("count ")
            clock.set(offset)
            told = [timetable.stdout.readline().split() for _ in range(10)]
        finally:
            giving_up.cancel()
            timetable.kill()
    assert {name for name, *_ in told} == {"count"}, "and no review, which is due in an hour"
    assert abs(float(told[-1][1]) - time.time() - moved_seconds) < OVERDUE_SECONDS, "its clock was set"
