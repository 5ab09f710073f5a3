"""Processes that are killed under load."""

import time

from tests.faults.visitors import THREADS

BETWEEN_KILLS_SECONDS = 2.0
ROUND = ("worker", "web", "beat")


def test_without_a_fault_everything_is_counted_once(rig, fault_seconds, assert_exact):
    """A harness that finds faults where there are none would prove nothing by finding some."""
    visitors = rig.visitors(rig.plant(), per_second=150)
    ledger = visitors.for_seconds(fault_seconds)
    assert_exact(rig, visitors)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)


def test_processes_killed_every_two_seconds_lose_nothing_that_was_answered(rig, fault_seconds, assert_exact):
    visitors = rig.visitors(rig.plant(), per_second=150)
    kills, journals = 0, set(rig.journals())
    with visitors.coming() as ledger:
        give_up = time.monotonic() + max(fault_seconds, len(ROUND) * BETWEEN_KILLS_SECONDS)
        while time.monotonic() < give_up:
            kills += bool(rig.kill_one(ROUND[kills % len(ROUND)]))
            time.sleep(BETWEEN_KILLS_SECONDS)
    assert_exact(rig, visitors, kills=kills)
    assert ledger.bad_statuses() == {}
    assert ledger.refused == 0, "connections wait for the next web process"
    assert len(ledger.lost_answers) <= kills * THREADS, ledger.lost_answers
    rig.wait_until(
        lambda: set(rig.journals()) > journals, "a killed process's journal stays, and nobody writes on in it"
    )
