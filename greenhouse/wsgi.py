"""The splitter in front of Django on one port: visitors' requests never enter Django.

The splitter answers as soon as this module is imported. Django, which takes a second or two to load, is loaded beside
it in a thread; only a request for Django waits for that, and if it fails to load, visitors still get their pages.
"""

import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from experiments.splitter.wsgi import application as splitter
from greenhouse.leash import end_with_parent

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def load_django() -> "WSGIApplication":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenhouse.settings")
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - not before the splitter answers

    return get_wsgi_application()


# A worker that outlives its server would keep the port, and serve on with nobody to stop it.
end_with_parent()
django: "Future[WSGIApplication]" = ThreadPoolExecutor(1, "load-django").submit(load_django)


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer visitors from memory, everybody else by Django."""
    if splitter.owns(environ):
        return splitter(environ, start_response)
    return django.result()(environ, start_response)
