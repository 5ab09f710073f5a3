"""One port for visitors and console: who answers what, on the real server."""

import os
import subprocess
import sys
from pathlib import Path

from greenhouse.environment import BASE_DIR

ASK = """
import sys
from concurrent.futures import Future
from greenhouse import wsgi
def ask(path):
    got = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1", "wsgi.input": sys.stdin.buffer,
        "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http", "SCRIPT_NAME": ""}
    wsgi.application(environ, lambda status, headers: got.append(status))
    return got[0][:3]
loading, wsgi.django = wsgi.django, Future()  # a Django that never finishes loading: whoever waits for it hangs
print(ask("/healthz"), ask("/p/nowhere/"))
wsgi.django = loading
print(ask("/console/login/"))
"""


def ask(tmp_path: Path, program: str = ASK, /, **environ: str) -> subprocess.CompletedProcess[str]:
    state = {"STATE_DIR": str(tmp_path), "JOURNAL_DIR": str(tmp_path / "j"), "SNAPSHOT_DIR": str(tmp_path / "s")}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR, capture_output=True, text=True, check=False, timeout=120,
        env={"PATH": os.environ["PATH"], "REDIS_URL": f"unix://{tmp_path}/nobody.sock", **state, **environ},
    )  # fmt: skip


def test_visitors_and_console_are_answered_on_one_port_and_visitors_first(tmp_path):
    done = ask(tmp_path, SECRET_KEY="a-key-long-enough-to-sign-with-0123456789")
    assert done.stdout.split() == ["200", "404", "200"], done.stderr


def test_a_missing_key_is_one_line_and_no_traceback(tmp_path):
    done = ask(tmp_path)
    assert "SECRET_KEY is not set" in done.stderr
    assert "Traceback" not in done.stderr


CROWD = """
import threading
from concurrent.futures import Future
from greenhouse import wsgi
let_go, inside = threading.Event(), threading.Semaphore(0)
def slow_django(environ, start_response):
    inside.release()
    let_go.wait(30)
    start_response("200 OK", [])
    return ()
wsgi.django = Future()
wsgi.django.set_result(slow_django)
def ask(path):
    got = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1"}
    wsgi.application(environ, lambda status, headers: got.append(status))
    return got[0][:3]
crowd = [threading.Thread(target=ask, args=("/console/",)) for _ in range(4)]
for thread in crowd:
    thread.start()
    inside.acquire(timeout=30)
print(ask("/console/"), ask("/healthz"))
let_go.set()
for thread in crowd:
    thread.join()
print(ask("/console/"))
"""


def test_a_crowd_at_the_console_leaves_half_of_the_threads_to_visitors(tmp_path):
    done = ask(tmp_path, CROWD, SECRET_KEY="a-key-long-enough-to-sign-with-0123456789", WEB_THREADS="8")
    assert done.stdout.split() == ["503", "200", "200"], done.stderr
