"""Token buckets."""

import pytest

from experiments.splitter.rates import RateLimit, network_of
from tests.experiments.splitter.serving import Clock


def limit_of(per_second: float, clock: Clock, max_addresses: int = 100) -> RateLimit:
    return RateLimit(per_second, exempt=["127.0.0.1"], monotonic_ms=clock, max_addresses=max_addresses)


def test_a_burst_passes_and_then_the_rate_holds():
    clock = Clock()
    limit = limit_of(10, clock)
    assert sum(limit.allows("9.9.9.9") for _ in range(50)) == 20
    clock.now_ms += 500
    assert sum(limit.allows("9.9.9.9") for _ in range(50)) == 5


def test_waiting_long_saves_no_more_than_a_burst():
    clock = Clock()
    limit = limit_of(10, clock)
    limit.allows("9.9.9.9")
    clock.now_ms += 3_600_000
    assert sum(limit.allows("9.9.9.9") for _ in range(50)) == 20


def test_an_office_of_three_hundred_is_never_limited():
    clock = Clock()
    limit = limit_of(400, clock)
    for _ in range(60):
        clock.now_ms += 1000
        assert all(limit.allows("9.9.9.9") for _ in range(300))


def test_exempt_addresses_and_a_rate_of_zero_are_not_limited():
    assert all(limit_of(1, Clock()).allows("127.0.0.1") for _ in range(100))
    assert all(limit_of(1, Clock()).allows("::ffff:127.0.0.1") for _ in range(100))
    assert all(limit_of(0, Clock()).allows("9.9.9.9") for _ in range(100))


def test_memory_is_bounded():
    limit = limit_of(1, Clock(), max_addresses=10)
    for number in range(1000):
        limit.allows(f"10.0.{number // 256}.{number % 256}")
    assert len(limit) == 10


def test_who_keeps_asking_is_not_forgotten_however_many_others_come():
    limit = limit_of(1, Clock(), max_addresses=10)
    allowed = 0
    for number in range(1000):
        allowed += limit.allows("9.9.9.9")
        limit.allows(f"10.0.{number // 256}.{number % 256}")
    assert allowed == 2


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("9.9.9.9", "9.9.9.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2"),
        ("2001:db8:1:2:9::1", "2001:db8:1:2"),
        ("2001:db8::1", "2001:db8"),
        ("fe80::1%eth0", "fe80"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("", ""),
    ],
)
def test_one_network_shares_a_bucket(address: str, network: str):
    assert network_of(address) == network
