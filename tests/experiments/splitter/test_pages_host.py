"""A page that carries its own scripts is shown on a host of its own, where nothing else is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.splitter.config import Config, from_environ
from tests.experiments.splitter.planting import document, planted, publish
from tests.experiments.splitter.serving import Site, serving

PAGE = "/p/paperless/"
OWN = "pages.example.net"
CONSOLE = "console.example.com"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path, planted(own_host=True), pages_host=OWN) as made:
        yield made


@pytest.mark.parametrize("host", [OWN, f"{OWN}:8000", OWN.upper(), f"{OWN}."])
def test_the_page_is_on_its_own_host(site: Site, host: str):
    assert site.browser(Host=host).get(PAGE).status == 200


@pytest.mark.parametrize("host", [CONSOLE, f"{CONSOLE}:8000", f"{OWN}.example.com", f"x{OWN}", "", f"{OWN}:x"])
@pytest.mark.parametrize("path", [PAGE, "/p/paperless/thanks", "/p/paperless/go/cta", "/p/paperless"])
def test_it_is_on_no_other(site: Site, host: str, path: str):
    assert site.browser(Host=host).get(path).status == 404


def test_without_such_a_host_it_is_nowhere(tmp_path: Path):
    with serving(tmp_path, planted(own_host=True)) as site:
        assert site.browser(Host=OWN).get(PAGE).status == 404
        assert site.browser(Host="").get(PAGE).status == 404


def test_other_pages_are_on_both(tmp_path: Path):
    with serving(tmp_path, planted(), pages_host=OWN) as site:
        assert [site.browser(Host=host).get(PAGE).status for host in (OWN, CONSOLE)] == [200, 200]


@pytest.mark.parametrize("path", ["/console/", "/", "/api/v1/openapi.json", "/static/console/console.js", "/r/x/"])
def test_on_that_host_there_is_no_console(site: Site, path: str):
    environ = {"HTTP_HOST": OWN, "PATH_INFO": path, "QUERY_STRING": ""}
    assert site.splitter.owns(environ)
    assert not site.splitter.owns(environ | {"HTTP_HOST": CONSOLE})
    assert site.browser(Host=OWN).get(path).status == 404


def test_nor_are_there_previews(site: Site):
    environ = {"HTTP_HOST": OWN, "PATH_INFO": PAGE, "QUERY_STRING": "gh_preview=x"}
    assert site.splitter.owns(environ)
    assert site.browser(Host=OWN).get(f"{PAGE}?gh_preview=x").status == 404


def test_a_page_that_gets_scripts_later_leaves_the_other_hosts(tmp_path: Path):
    with serving(tmp_path, planted(), pages_host=OWN) as site:
        assert site.browser(Host=CONSOLE).get(PAGE).status == 200
        publish(site.store, document(site.store, sequence=9, own_host=True))
        site.splitter.refresher.refresh()
        assert site.browser(Host=CONSOLE).get(PAGE).status == 404


def test_the_host_is_read_without_its_port():
    assert from_environ({"SECRET_KEY": "k", "PAGES_HOST": " Pages.Example.NET:8443 "}).pages_host == OWN
    assert Config(secret_key="k").pages_host == ""
