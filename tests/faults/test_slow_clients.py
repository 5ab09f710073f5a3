"""Clients that send slowly, or begin to send and go away: nobody else waits for them, and nothing is counted."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.faults.visitors import FORM_TYPE, Page

SLOW_HEADS = 200
SLOW_BODIES = 50
ABORTED = 500
PROMISED_BYTES = 1000
PATIENCE_SECONDS = 60.0


def post(page: Page, cookie: str) -> bytes:
    """Return the head of a form that promises more than will ever come, and the first of its body."""
    return (
        f"POST {page.path}form HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0\r\nCookie: {cookie}\r\n"
        f"Content-Type: {FORM_TYPE}\r\nContent-Length: {PROMISED_BYTES}\r\n\r\nemail=aborted%40example.org"
    ).encode()


@contextmanager
def half_sent(port: int, data: bytes, number: int) -> Iterator[None]:
    """Hold connections on which something was begun."""
    with ExitStack() as held:
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
            held.enter_context(client).sendall(data)
        yield


def test_slow_and_aborting_clients_cost_others_nothing(rig, fault_seconds, assert_exact):
    page = rig.plant()
    visitors, pids = rig.visitors(page, per_second=100), set(rig.pids("web"))
    with visitors.coming() as ledger:
        rig.wait_until(lambda: len(ledger.known) > 1, "visitors come")
        head = post(page, ledger.known[0].cookie)
        with half_sent(rig.port, head[:40], SLOW_HEADS), half_sent(rig.port, head, SLOW_BODIES):
            time.sleep(fault_seconds)
        for _ in range(ABORTED):
            with half_sent(rig.port, head, 1):
                pass
    assert_exact(rig, visitors)
    # Who sends something at the same time may be asked to come back; who only looks never is.
    assert {what.partition(" ")[2] for what in ledger.bad_statuses()} <= {"503"}
    assert not [what for what in ledger.bad_statuses() if what.startswith(("first visit", "visit", "click"))]
    assert (ledger.lost_answers, ledger.refused) == ([], 0)
    assert set(rig.pids("web")) == pids
    assert rig.postgres.rows("SELECT 1 FROM experiments_lead WHERE \"values\"::text LIKE '%%aborted%%'") == []
