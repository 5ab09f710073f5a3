"""A Django view that returns the same bytes, no middleware, under the same server: the most a Django splitter can do.

Granian streams its answer, because Django's response is not a list; that is what a user of Django gets.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.serving import PAGE_BYTES, granian, running
from tests.servers import free_port

VIEW = """
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


@contextmanager
def django(folder: Path) -> Iterator[int]:
    """Serve a page of the same size."""
    (folder / "plain_view.py").write_text(VIEW % PAGE_BYTES)
    port = free_port()
    command = [*granian(), "--port", str(port), "--working-dir", str(folder), "plain_view:application"]
    with running(command, port):
        yield port
