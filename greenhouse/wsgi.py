"""The splitter in front of Django on one port: visitors' requests never enter Django.

The splitter answers as soon as this module is imported. Django, which takes a second or two to load, is loaded beside
it in a thread; only a request for Django waits for that, and if it fails to load, visitors still get their pages.
"""

import os
import select
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from experiments.splitter.wsgi import application as splitter
from greenhouse.leash import end_with_parent
from greenhouse.run import FAILED, READY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def load_django() -> "WSGIApplication":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenhouse.settings")
    from django.core.signals import request_finished  # noqa: PLC0415 - not before the splitter answers
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415

    loaded = get_wsgi_application()
    request_finished.connect(hang_up)
    return loaded


def hang_up(**_signal: object) -> None:
    """End this thread's connections to a database server once a request is answered.

    A thread that answered once would else keep one for as long as it is idle: with dozens of threads in each process,
    more than PostgreSQL gives out, and workers would be refused. A file needs no such care.
    """
    from django.db import connections  # noqa: PLC0415

    for connection in connections.all(initialized_only=True):
        if connection.vendor != "sqlite":
            connection.close()


def tell_ready(loaded: "Future[WSGIApplication]") -> None:
    """Tell whoever started the server, if they want to know, that this process answers everybody, or never will."""
    descriptor = os.environ.get("READY_FD")
    if descriptor:
        with suppress(BrokenPipeError):  # an earlier worker of the same server has told it
            os.write(int(descriptor), FAILED if loaded.exception() else READY)


def is_awaited() -> bool:
    """Tell whether this process is to replace one that still answers."""
    descriptor = os.environ.get("READY_FD")
    if not descriptor or not os.environ.get("STANDS_BY"):
        return False
    pipe = select.poll()
    pipe.register(int(descriptor), 0)
    return not pipe.poll(0)  # there is an event only when nobody reads any more


# A worker that outlives its server would keep the port, and serve on with nobody to stop it.
end_with_parent()
# Console and API may take at most half of the server's threads, however slow they are or many ask: the rest are for
# visitors. Waiting for a place would take a thread as well, so who finds none is asked to come back.
django_places = threading.BoundedSemaphore(max(1, splitter.threads // 2))
BUSY = b"Greenhouse is busy; try again in a moment.\n"

django: "Future[WSGIApplication]" = ThreadPoolExecutor(1, "load-django").submit(load_django)
django.add_done_callback(tell_ready)
if is_awaited():
    django.result()  # the other one takes all connections until then


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer visitors from memory, everybody else by Django."""
    if splitter.owns(environ):
        return splitter(environ, start_response)
    if not django_places.acquire(blocking=False):
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(BUSY))), ("Retry-After", "1")]
        start_response("503 Service Unavailable", headers)
        return (BUSY,)
    try:
        return django.result()(environ, start_response)
    finally:
        django_places.release()
