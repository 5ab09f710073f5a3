"""A fault test without teeth proves nothing: three broken counters, each of which has to be caught."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from experiments.splitter.stores import RedisStore
from tests.faults.broken_counters import WAYS
from tests.faults.counted import counted_badly
from tests.faults.rig import Rig
from tests.faults.verdict import Verdict, judge
from tests.faults.visitors import Visitors
from tests.stack import ROOT, leashed

KILLS = 3
WAIT_SECONDS = 120.0
CAUGHT_BY = {
    "acknowledge_first": {"lost exposures", "lost conversions"},
    "commit_first": {"doubled exposures", "doubled conversions"},
    "buffer": {"lost exposures", "lost conversions"},
}


@contextmanager
def broken_counter(rig: Rig, way: str) -> Iterator["subprocess.Popen[str]"]:
    command = leashed([sys.executable, "-m", "tests.faults.broken_counters", way])
    with subprocess.Popen(
        command, env=rig.environ, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        # Whatever it waits for, it does not wait for ever.
        watchdog = threading.Timer(WAIT_SECONDS, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.terminate()
            process.wait(WAIT_SECONDS)


def kill_between(rig: Rig, way: str) -> None:
    """Kill it between its two steps, the second of which it has not begun."""
    with broken_counter(rig, way) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "between\n"
        process.kill()


def let_finish(rig: Rig, way: str) -> None:
    """Let it go on without a kill until it has acknowledged every journal to its end."""
    with broken_counter(rig, way) as process:
        assert process.stdin is not None
        process.stdin.write("go\n" * 10_000)
        process.stdin.flush()
        store = RedisStore(rig.redis.url)
        rig.wait_until(lambda: acknowledged(rig, store), f"{way} has acknowledged everything")
        store.close()


def acknowledged(rig: Rig, store: RedisStore) -> bool:
    cursors = store.cursors()
    return all(cursors.get(name, 0) >= size for name, size in rig.journals().items())


def count_badly(rig: Rig, way: str, visitors: Visitors, *, kills: int) -> Verdict:
    with visitors.coming():
        for _ in range(kills):
            kill_between(rig, way)
            time.sleep(0.2)
        time.sleep(0.2)
    let_finish(rig, way)
    return judge(visitors.ledger, counted_badly(rig.postgres, way, visitors.page))


def test_each_broken_counter_is_caught_and_greenhouse_counts_the_same_journals_rightly(rig, assert_exact):
    crowds = {way: rig.visitors(rig.plant()) for way in WAYS}
    spared = rig.visitors(rig.plant())
    rig.settle()
    with ExitStack() as held:
        for name in ("beat", "worker"):
            held.enter_context(rig.frozen(name))
        verdicts = {way: count_badly(rig, way, visitors, kills=KILLS) for way, visitors in crowds.items()}
        verdict = count_badly(rig, "commit_first", spared, kills=0)
    assert verdict.is_clean, f"without a kill there is nothing to catch: {verdict}"
    for way, verdict in verdicts.items():
        assert set(verdict.numbers()) <= CAUGHT_BY[way], verdict
        assert [kind for kind in verdict.numbers() if "exposures" in kind], f"{way} was not caught: {verdict}"
        assert_exact(rig, crowds[way], way=way, caught=verdict.numbers())
