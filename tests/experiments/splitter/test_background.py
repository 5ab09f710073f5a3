"""Threads that repeat."""

import threading

from experiments.splitter.background import Repeater


def test_a_failure_is_counted_and_the_next_call_comes(caplog):
    called_again, calls, failures = threading.Event(), [], []

    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a mistake of ours")
        called_again.set()

    repeater = Repeater(work, interval_seconds=0.01, on_failure=lambda: failures.append(1), name="test")
    repeater.start()
    assert called_again.wait(60)
    repeater.stop()
    assert failures == [1]
    assert "test failed" in caplog.text


def test_one_that_was_never_started_stops_at_once():
    Repeater(lambda: None, interval_seconds=1, on_failure=lambda: None, name="test").stop()
