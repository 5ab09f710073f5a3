"""New code and kills under load: while web processes come and go, no visitor is turned away."""

import time
from collections.abc import Mapping
from http.client import RemoteDisconnected

from experiments.demo.visitors import Answer, Browser
from tests.faults.visitors import THREADS, Visitors

STEADY_SECONDS = 0.5
CLOSED = (RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class RealBrowser(Browser):
    """Asks again on a new connection if a kept one was closed before a byte of the answer came, as browsers do.

    RFC 9112, 9.3.1 and 9.5: a server may close an idle connection just when a request is on its way. A server that asks
    its clients for this must not have acted on the request, which the ledger shows: nothing may be counted twice.
    """

    again = 0

    def ask(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        was_kept = self._connection.sock is not None
        try:
            return super().ask(method, path, headers=headers, body=body)
        except CLOSED:
            if not was_kept:
                raise
            RealBrowser.again += 1
            return super().ask(method, path, headers=headers, body=body)


def test_a_rolling_restart_under_load_costs_no_request(rig, fault_seconds, assert_exact):
    visitors = Visitors(rig.plant(), [rig.port], per_second=100, browser=RealBrowser)
    give_up, times = time.monotonic() + 2 * fault_seconds, 0
    with visitors.coming() as ledger:
        while time.monotonic() < give_up:
            time.sleep(STEADY_SECONDS)
            rig.renew()
            times += 1
        time.sleep(STEADY_SECONDS)
    assert_exact(rig, visitors, restarts=times, asked_again_on_a_new_connection=RealBrowser.again)
    assert ledger.bad_statuses() == {}
    assert (ledger.lost_answers, ledger.refused) == ([], 0)


def test_killed_web_processes_refuse_no_connection(rig, fault_seconds, assert_exact):
    """Whoever is not being answered by the killed one waits in the queue of the socket, which is not theirs."""
    visitors, kills = rig.visitors(rig.plant(), per_second=100), 0
    with visitors.coming() as ledger:
        give_up = time.monotonic() + fault_seconds
        while time.monotonic() < give_up:
            time.sleep(STEADY_SECONDS)
            kills += bool(rig.kill_one("web"))
    assert_exact(rig, visitors, kills=kills)
    assert ledger.bad_statuses() == {}
    assert ledger.refused == 0
    assert len(ledger.lost_answers) <= kills * THREADS
