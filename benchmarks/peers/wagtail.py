"""Wagtail with wagtail-ab-testing and a running test of one page: what a user of Django picks today.

It is installed into an environment of its own, because Greenhouse needs neither; that takes a minute and an index of
packages. The site is what `wagtail start` makes, less the search and the images; the database is SQLite. Measured is
the page alone: the second request by which a visitor's script signs up for the test is left out, to Wagtail's good.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.serving import PAGE_BYTES, ask, granian, running
from tests.servers import free_port

REQUIREMENTS = ("wagtail==8.0.1", "wagtail-ab-testing==0.14", f"granian=={version('granian')}")
INSTALL_SECONDS = 600
COOKIE = "wagtail-ab-testing_1_version={}"

SETTINGS = """
from pathlib import Path
FOLDER = Path(__file__).parent
SECRET_KEY, DEBUG, ALLOWED_HOSTS, ROOT_URLCONF = "x", False, ["*"], "urls"
INSTALLED_APPS = [
    "landing", "wagtail_ab_testing", "wagtail.users", "wagtail.snippets", "wagtail.documents", "wagtail.images",
    "wagtail.search", "wagtail.admin", "wagtail.sites", "wagtail", "modelcluster", "taggit", "rest_framework",
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "site.sqlite3"}}
DEFAULT_AUTO_FIELD, USE_TZ, STATIC_URL = "django.db.models.BigAutoField", True, "/static/"
WAGTAIL_SITE_NAME, WAGTAILADMIN_BASE_URL = "peer", "http://localhost"
"""
URLS = """
from django.urls import include, path
from wagtail import urls as pages
from wagtail.admin import urls as admin
from wagtail_ab_testing import urls as testing
urlpatterns = [path("admin/", include(admin)), path("abtesting/", include(testing)), path("p/", include(pages))]
"""
MODELS = """
from django.db import models
from wagtail.models import Page
class LandingPage(Page):
    body = models.TextField()
"""
TEMPLATE = """{% load wagtail_ab_testing_tags %}<!doctype html><title>{{ page.title }}</title>
{% wagtail_ab_testing_script %}<main>{{ page.body|safe }}</main>"""
PLANT = """
import django
django.setup()
from landing.models import LandingPage
from wagtail.models import Site
from wagtail_ab_testing.models import AbTest
page = LandingPage(title="control", slug="paperless", body="x" * %d)
Site.objects.get().root_page.add_child(instance=page)
page.title = "variant"
revision = page.save_revision()
test = AbTest.objects.create(
    page_id=page.pk, name="test", variant_revision=revision, goal_event="visit-page", sample_size=10**9
)
test.start()
print(test.pk)
"""


class NotInstallable(Exception):
    """The index of packages was not reached or does not have what is needed."""


@contextmanager
def wagtail(folder: Path) -> Iterator[int]:
    """Serve a page with a running test, or raise NotInstallable."""
    python = _installed(folder / "environment")
    _plant(folder, python)
    port = free_port()
    command = [*granian(python), "--port", str(port), "--working-dir", str(folder)]
    with running(
        [*command, "--factory", "django.core.wsgi:get_wsgi_application"], port, DJANGO_SETTINGS_MODULE="settings"
    ):
        _check(port)
        yield port


def _installed(environment: Path) -> Path:
    try:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True, text=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *REQUIREMENTS]
        subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        told: str = error.stderr.strip() or error.stdout.strip()
        raise NotInstallable(told.rpartition("\n")[2]) from error
    except subprocess.TimeoutExpired as error:
        raise NotInstallable(f"not installed within {INSTALL_SECONDS} seconds") from error
    return environment / "bin" / "python"


def _plant(folder: Path, python: Path) -> None:
    """Write the site, and start a test between two versions of its page."""
    templates = folder / "landing" / "templates" / "landing"
    templates.mkdir(parents=True)
    (folder / "landing" / "__init__.py").touch()
    (folder / "landing" / "models.py").write_text(MODELS)
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "urls.py").write_text(URLS)
    (folder / "plant.py").write_text(PLANT % PAGE_BYTES)
    (templates / "landing_page.html").write_text(TEMPLATE)
    manage = ["-m", "django", "{}", "--pythonpath", ".", "--settings", "settings"]
    for step in (["makemigrations", "landing"], ["migrate"]):
        command = [str(python), *manage[:2], *step, *manage[3:]]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    environ = {"DJANGO_SETTINGS_MODULE": "settings"}
    subprocess.run([str(python), "plant.py"], cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL)


def _check(port: int) -> None:
    """See that the test runs: either version is served as the cookie says, and participants are taken."""
    for known in ("control", "variant"):
        page = ask(port, COOKIE.format(known))[1]
        shown = re.search(r"<title>(\w+)</title>", page)
        assert shown, page[:200]
        assert shown[1] == known, f"{known} was asked for, {shown[1]} was served"
        assert f'"version": "{known}"' in page, "the page does not take part in the test"
    server = HTTPConnection("127.0.0.1", port, timeout=5)
    body = json.dumps({"test_id": 1, "version": "control"})
    server.request("POST", "/abtesting/register-participant/", body, {"Content-Type": "application/json"})
    assert server.getresponse().status == 200
    server.close()
