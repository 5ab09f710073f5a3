"""The visitor tier beside nginx, a plain Django view and Wagtail's A/B tests: requests a second, and latency.

One worker process each, a page of 15 kB in ten arms, loopback, keep-alive, wrk (Debian's) as the visitors. The servers
take turns, and medians of the rounds are compared, because the machine's speed drifts. The peers are in peers/; the
last rows compare requests that we refuse or do not count with our own new visitors, who must not be cheaper.

What stands in the way of more is the server: docs/decisions/0011-what-limits-the-visitor-tier.md has the figures.

ROUNDS (5) and SECONDS (4, of each measurement) are read from the environment. One JSON object a line.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.peers.django import django
from benchmarks.peers.nginx import SEARCHED, nginx
from benchmarks.peers.serving import CHROME, PAGE, PAGE_BYTES, ask, granian, running
from benchmarks.peers.wagtail import COOKIE, NotInstallable, wagtail
from experiments.splitter.stores import RedisStore
from tests.experiments.splitter.planting import SLUG, document, put
from tests.servers import free_port, redis_server

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "4"))
CONNECTIONS = 16
ARMS = tuple(f"v{number}" for number in range(10))
BROWSER = {"User-Agent": CHROME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What wrk sends over and over."""

    path: str = PAGE
    headers: Mapping[str, str] = field(default_factory=lambda: BROWSER)
    script: str = ""
    is_refused: bool = False

    def arguments(self) -> list[str]:
        """Give wrk's arguments."""
        headers = [argument for name, value in self.headers.items() for argument in ("-H", f"{name}: {value}")]
        return [*headers, *(["-s", self.script] if self.script else [])]


@dataclass(frozen=True, slots=True)
class Measured:
    """What wrk reports of one measurement."""

    rate: float  # requests a second
    p99_ms: float  # 99 of 100 requests took less


def page_of(arm: str) -> bytes:
    return f"<!doctype html><title>{arm}</title>".encode().ljust(PAGE_BYTES, b"x")


@contextmanager
def ours(folder: Path, **settings: str) -> Iterator[int]:
    with redis_server(folder) as redis:
        store = RedisStore(redis.url)
        arms = {arm: dict.fromkeys(("page", "form", "thanks"), put(store, page_of(arm))) for arm in ARMS}
        store.publish(SLUG, 1, json.dumps(document(store, keys=ARMS, arms=arms)))
        places = {"JOURNAL_DIR": str(folder / "journal"), "SNAPSHOT_DIR": str(folder / "snapshot")}
        environ = {"SECRET_KEY": "benchmark", "REDIS_URL": redis.url, **places, **settings}
        port = free_port()
        command = [*granian(), "--port", str(port), "experiments.splitter.wsgi:application"]
        with running(command, port, **environ):
            yield port


def load(port: int, request: Request) -> Measured:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "20s", "--latency"]
    address = f"http://127.0.0.1:{port}{request.path}"
    told = subprocess.run([*command, *request.arguments(), address], capture_output=True, text=True, check=True).stdout
    if "Socket errors" in told or ("Non-2xx" in told) != request.is_refused:
        raise RuntimeError(told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", told)
    assert rate
    assert p99
    return Measured(float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]])


def race(loads: Mapping[str, tuple[int, Request]]) -> dict[str, Measured]:
    """Give the medians of all rounds; in each round everyone takes a turn."""
    rounds = [{name: load(port, request) for name, (port, request) in loads.items()} for _ in range(ROUNDS)]
    return {
        name: Measured(median(each[name].rate for each in rounds), median(each[name].p99_ms for each in rounds))
        for name in loads
    }


def report(bench: str, mine: float, theirs: float | None, *, peer: str, unit: str, **more: str) -> None:
    """Print a row; one without a peer says what became of it."""
    row = {"bench": bench, "ours": round(mine, 2), "peer": theirs and round(theirs, 2), "peer_name": peer}
    print(json.dumps({**row, "ratio": theirs and round(mine / theirs, 3), "unit": unit, **more}), flush=True)


def beside_peers(servers: Mapping[str, int], missing: Mapping[str, str]) -> None:
    """Measure new and returning visitors of every server."""
    for kind in ("new", "returning"):
        known = {name: "" if kind == "new" else returning_cookies(name, port) for name, port in servers.items()}
        requests = {name: Request(headers=BROWSER | ({"Cookie": known[name]} if known[name] else {})) for name in known}
        found = race({name: (port, requests[name]) for name, port in servers.items()})
        mine = found["ours"]
        for peer, theirs in found.items():
            if peer != "ours":
                report(f"splitter.{kind}", mine.rate, theirs.rate, peer=peer, unit="requests/s")
                report(f"splitter.{kind}.p99", mine.p99_ms, theirs.p99_ms, peer=peer, unit="ms")
        for peer, reason in missing.items():
            report(f"splitter.{kind}", mine.rate, None, peer=peer, unit="requests/s", left_out=reason)


def returning_cookies(name: str, port: int) -> str:
    """Give what a visitor who was here before sends; Wagtail's visitors are given theirs by a script."""
    return COOKIE.format("variant") if name == "wagtail" else ask(port)[2]


def beside_good_ones(port: int, folder: Path) -> None:
    """Measure what we refuse, do not count or cannot make sense of, beside new visitors."""
    delete = folder / "delete.lua"
    delete.write_text('wrk.method = "DELETE"')  # wrk takes a method from a script alone
    cookie = ask(port)[2]
    garbage = "%ff%" * 100
    requests = {
        "bot": Request(headers={"User-Agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}),
        "opted_out": Request(headers=BROWSER | {"DNT": "1"}),
        "forged": Request(headers=BROWSER | {"Cookie": f"{cookie[:-1]}!"}),
        "garbled": Request(path=f"{PAGE}?utm_source={garbage}&{garbage}", headers=BROWSER | {"Cookie": ";=" * 500}),
        "unknown": Request(path="/p/unknown/", is_refused=True),
        "method": Request(script=str(delete), is_refused=True),
    }
    with ours(folder, VISITOR_RATE_PER_SECOND="1", VISITOR_RATE_EXEMPT=" ") as limited:
        loads = {name: (port, request) for name, request in requests.items()}
        loads |= {"limited": (limited, Request(is_refused=True)), "new": (port, Request())}
        found = race(loads)
    good = found.pop("new").rate
    for name, measured in found.items():
        report(f"splitter.{name}", measured.rate, good, peer="our new visitors", unit="requests/s")


def main() -> None:
    lacking = [name for name in ("nginx", "wrk") if shutil.which(name, path=SEARCHED) is None]
    if lacking:
        raise SystemExit(f"This benchmark needs {' and '.join(lacking)}: apt install nginx-light wrk")
    with tempfile.TemporaryDirectory(prefix="greenhouse-bench-") as name, ExitStack() as held:
        Path(name).chmod(0o755)  # nginx reads as a user of its own
        folders = {part: Path(name) / part for part in ("ours", "nginx", "django", "wagtail", "limited")}
        for folder in folders.values():
            folder.mkdir()
        servers = {
            "ours": held.enter_context(ours(folders["ours"])),
            "nginx": held.enter_context(nginx(folders["nginx"], {arm: page_of(arm) for arm in ARMS})),
            "django": held.enter_context(django(folders["django"])),
        }
        missing = {}
        try:
            servers["wagtail"] = held.enter_context(wagtail(folders["wagtail"]))
        except NotInstallable as error:
            missing["wagtail"] = str(error)
        beside_peers(servers, missing)
        beside_good_ones(servers["ours"], folders["limited"])


if __name__ == "__main__":
    main()
