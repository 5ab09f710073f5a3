"""Turn the arrival of requests into yes or no, by a bucket of tokens for each address.

A bucket holds two seconds' worth: a page brings its script and images along, and an office behind one address arrives
in bursts. Per process, so the whole host lets through that many times its number of processes.

Of more addresses than there is room for, the one that has been silent longest is forgotten: whoever keeps asking keeps
their empty bucket, however many others come. Who can ask from as many addresses as there is room for has as many full
buckets anyway.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection

from experiments.splitter.clock import Milliseconds

BURST_SECONDS = 2.0
MAX_ADDRESSES = 20_000  # about 5 MB
IPV6_NETWORK_GROUPS = 4  # a /64: less than that is one customer


class RateLimit:
    """Token buckets in bounded memory."""

    def __init__(
        self,
        per_second: float,
        *,
        exempt: Collection[str],
        monotonic_ms: Milliseconds,
        max_addresses: int = MAX_ADDRESSES,
    ) -> None:
        self._per_ms = per_second / 1000
        self._burst = max(1.0, per_second * BURST_SECONDS)
        self._exempt = frozenset(exempt)
        self._monotonic_ms = monotonic_ms
        self._max_addresses = max_addresses
        self._lock = threading.Lock()
        # Address -> tokens left, at which moment; the last to ask stands last. A plain dict, moved about like that,
        # has to look for its first entry behind thousands of holes.
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Take a token for this address; tell whether there was one."""
        if not self._per_ms:
            return True
        key = network_of(address)
        if key in self._exempt or address in self._exempt:
            return True
        now_ms = self._monotonic_ms()
        with self._lock:
            tokens, at_ms = self._buckets.get(key, (self._burst, now_ms))
            tokens = min(self._burst, tokens + (now_ms - at_ms) * self._per_ms)
            self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now_ms)
            self._buckets.move_to_end(key)
            if len(self._buckets) > self._max_addresses:
                self._buckets.popitem(last=False)
        return tokens >= 1

    def __len__(self) -> int:
        return len(self._buckets)


def network_of(address: str) -> str:
    """Give what shares one bucket: an IPv4 address, or an IPv6 network of 64 bits."""
    if ":" not in address:
        return address
    if "." in address:  # an IPv4 address as a socket for both kinds writes it
        return address.rpartition(":")[2]
    groups = address.partition("%")[0].split("::")[0].split(":")
    return ":".join(groups[:IPV6_NETWORK_GROUPS])
