"""The visitor tier beside nginx and beside a plain Django view: requests a second and latency, in one run.

One worker process each, a page of 15 kB in ten arms, loopback, keep-alive, wrk (Debian's) as the visitors. The servers
take turns, and medians of the rounds are compared, because the machine's speed drifts. Peers:

    nginx    split_clients, a static file, Set-Cookie, and an access log line with visitor and arm for each request:
             what an operator would build without us
    django   a view that returns the same bytes, no middleware, under the same server: the most a Django splitter can do

ROUNDS (5) and SECONDS (4, of each measurement) are read from the environment. One JSON object a line.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from experiments.splitter.stores import RedisStore
from tests.experiments.splitter.planting import SLUG, document, put
from tests.servers import free_port, redis_server

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "4"))
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian puts nginx
CONNECTIONS = 16
ARMS = tuple(f"v{number}" for number in range(10))
PAGE_BYTES = 15_000
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
PAGE = f"/p/{SLUG}/"
GRANIAN = [
    str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--host", "127.0.0.1", "--workers", "1",
    "--blocking-threads", "1", "--http", "1", "--no-ws", "--log-level", "error",
]  # fmt: skip
DJANGO = """
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False)
import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
BODY = b"x" * %d
urlpatterns = [path("p/paperless/", lambda request: HttpResponse(BODY))]
application = get_wsgi_application()
"""
NGINX = """
worker_processes 1; daemon off; error_log stderr; pid %(folder)s/pid;
events { worker_connections 1024; }
http {
  sendfile on; keepalive_requests 1000000000; default_type text/html; client_body_temp_path %(folder)s/body;
  split_clients "$request_id" $drawn { %(split)s }
  map $cookie_arm $arm { default $cookie_arm; "" $drawn; }
  map $cookie_arm $given { default ""; "" "arm=$drawn; visitor=$request_id; Path=/p/; HttpOnly; SameSite=Lax"; }
  log_format visits '$msec $request_id $arm';
  access_log %(folder)s/visits.log visits;
  server {
    listen 127.0.0.1:%(port)d;
    location = /p/paperless/ {
      add_header Set-Cookie $given; add_header Cache-Control "private, no-store"; add_header Vary Cookie;
      rewrite ^ /pages/$arm.html break; root %(folder)s;
    }
  }
}
"""


@contextmanager
def running(command: list[str], port: int, **environ: str) -> Iterator[int]:
    with subprocess.Popen(command, env={**os.environ, **environ}) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            if ask(port)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"nothing serves the page on port {port}")


def ask(port: int) -> tuple[int, str]:
    """Return the status, and the cookies that a browser would send from then on."""
    server = HTTPConnection("127.0.0.1", port, timeout=5)
    server.request("GET", PAGE, headers={"User-Agent": CHROME})
    answer = server.getresponse()
    answer.read()
    cookies = [value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    server.close()
    return answer.status, "; ".join(cookies)


def page_of(arm: str) -> bytes:
    return f"<!doctype html><title>{arm}</title>".encode().ljust(PAGE_BYTES, b"x")


@contextmanager
def ours(folder: Path) -> Iterator[int]:
    with redis_server(folder) as redis:
        store = RedisStore(redis.url)
        arms = {arm: dict.fromkeys(("page", "form", "thanks"), put(store, page_of(arm))) for arm in ARMS}
        store.publish(SLUG, 1, json.dumps(document(store, keys=ARMS, arms=arms)))
        port = free_port()
        settings = {"SECRET_KEY": "benchmark", "REDIS_URL": redis.url}
        places = {"JOURNAL_DIR": str(folder / "journal"), "SNAPSHOT_DIR": str(folder / "snapshot")}
        command = [*GRANIAN, "--port", str(port), "experiments.splitter.wsgi:application"]
        with running(command, port, **settings, **places):
            yield port


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    (folder / "pages").mkdir()
    folder.chmod(0o755)
    for arm in ARMS:
        (folder / "pages" / f"{arm}.html").write_bytes(page_of(arm))
    split = " ".join(f"{100 // len(ARMS)}% {arm};" for arm in ARMS[:-1]) + f" * {ARMS[-1]};"
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX % {"folder": folder, "split": split, "port": port})
    with running([str(shutil.which("nginx", path=PATH)), "-c", str(folder / "nginx.conf"), "-e", "stderr"], port):
        yield port


@contextmanager
def django(folder: Path) -> Iterator[int]:
    (folder / "plain_view.py").write_text(DJANGO % PAGE_BYTES)
    port = free_port()
    with running([*GRANIAN, "--port", str(port), "--working-dir", str(folder), "plain_view:application"], port):
        yield port


def load(port: int, cookies: str) -> tuple[float, float]:
    """Return requests a second, and the latency in milliseconds below which 99 of 100 are."""
    headers = ["-H", f"User-Agent: {CHROME}", *(["-H", f"Cookie: {cookies}"] if cookies else [])]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", *headers]
    told = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{PAGE}"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", told)
    assert rate
    assert p99
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]


def report(bench: str, mine: list[float], theirs: list[float], *, peer: str, unit: str) -> None:
    a, b = median(mine), median(theirs)
    row = {"bench": bench, "ours": round(a, 2), "peer": round(b, 2), "peer_name": peer, "ratio": round(a / b, 3)}
    print(json.dumps({**row, "unit": unit}), flush=True)


def main() -> None:
    missing = [name for name in ("nginx", "wrk") if shutil.which(name, path=PATH) is None]
    if missing:
        raise SystemExit(f"This benchmark needs {' and '.join(missing)}: apt install nginx-light wrk")
    with ExitStack() as held, tempfile.TemporaryDirectory(prefix="greenhouse-bench-") as name:
        Path(name).chmod(0o755)
        servers = {}
        for start in (ours, nginx, django):
            folder = Path(name) / start.__name__
            folder.mkdir()
            servers[start.__name__] = held.enter_context(start(folder))
        for kind in ("new", "returning"):
            cookies = {peer: ask(port)[1] if kind == "returning" else "" for peer, port in servers.items()}
            rounds = [{peer: load(port, cookies[peer]) for peer, port in servers.items()} for _ in range(ROUNDS)]
            for peer in ("nginx", "django"):
                for place, (ending, unit) in enumerate((("", "requests/s"), (".p99", "ms"))):
                    mine, theirs = ([each[server][place] for each in rounds] for server in ("ours", peer))
                    report(f"splitter.{kind}{ending}", mine, theirs, peer=peer, unit=unit)


if __name__ == "__main__":
    main()
