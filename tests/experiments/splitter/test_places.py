"""A page at an address of the marketer's own: a host's root, or a path of their site, with all that belongs to it."""

import json
from typing import Any

import pytest

from experiments.splitter.places import BadAddress, own_place
from experiments.splitter.records import Conversion, Exposure, Lead
from tests.experiments.splitter.planting import SLUG, document, publish
from tests.experiments.splitter.serving import Browser, Site

HOST = "offers.shop.example"
ROOT, PATH = f"https://{HOST}/", f"https://{HOST}/spring/sale/"
FORM = b"email=ada@example.com&terms=on"


@pytest.fixture
def at(site: Site) -> Any:
    """Give the experiment an address, and a browser that asks for its host."""

    def move(address: str, **changes: Any) -> Browser:
        sequence = site.splitter.refresher.experiments[SLUG].sequence + 1
        publish(site.store, document(site.store, address=address, sequence=sequence, **changes))
        site.splitter.refresher.refresh()
        return site.browser(Host=HOST)

    return move


@pytest.mark.parametrize(("address", "base"), [(ROOT, "/"), (PATH, "/spring/sale/")])
def test_all_of_a_page_works_below_its_own_address(site, at, address, base):
    browser = at(address)
    page = browser.get(f"{base}?utm_source=mail&gclid=7")
    assert page.status == 200
    assert f"; Path={base};" in page.headers["set-cookie"]
    assert page.headers["link"] == f'<{address}>; rel="canonical"'
    assert page.headers["cache-control"] == "private, no-store"
    assert browser.get(base).headers.get("set-cookie") is None, "who comes back is known"
    refers = f"https://{HOST}{base}?utm_source=mail&gclid=7"
    click = browser.get(f"{base}go/cta", Referer=refers)
    assert click.headers["location"] == "https://shop.example/buy?plan=pro&utm_source=mail&gclid=7#top"
    assert browser.get(f"{base}go/form", Referer=refers).headers["location"].startswith(f"{base}?utm_source=mail")
    sent = browser.form(f"{base}form", FORM, Referer=refers)
    assert (sent.status, sent.headers["location"]) == (303, f"{base}thanks?utm_source=mail&gclid=7")
    assert browser.get(f"{base}thanks").status == 200
    assert browser.post(f"{base}event", b'{"goal": "scroll"}').status == 204
    assert "token" in json.loads(browser.get(f"{base}token").body)
    assert browser.get(f"{base}greenhouse.js").status == 200
    assert browser.get(f"{base}i/leaf.png").status == 200
    [exposure] = site.records(Exposure)
    assert exposure.attributes["utm_source"] == "mail"
    assert {record.arm for record in site.records(Conversion)} == {exposure.arm}
    assert len(site.records(Lead)) == 1


@pytest.mark.parametrize("base", ["/spring/sale/", f"/p/{SLUG}/"])
def test_whoever_changes_the_path_on_the_way_gets_answers_for_the_address_outside(at, base):
    browser = at(PATH)
    assert "; Path=/spring/sale/;" in browser.get(base).headers["set-cookie"]
    refers = f"https://{HOST}/spring/sale/?utm_source=mail"
    assert (
        browser.form(f"{base}form", FORM, Referer=refers).headers["location"] == "/spring/sale/thanks?utm_source=mail"
    )


def test_at_our_own_address_the_page_stays_as_it_was(site, at):
    at(PATH)
    ours = site.browser()
    assert f"; Path=/p/{SLUG}/;" in ours.get(f"/p/{SLUG}/").headers["set-cookie"]
    assert ours.form(f"/p/{SLUG}/form", FORM).headers["location"] == f"/p/{SLUG}/thanks"


def test_a_missing_slash_is_put_there_with_the_query_kept(at):
    moved = at(PATH).get("/spring/sale?utm_source=mail")
    assert (moved.status, moved.headers["location"]) == (308, "/spring/sale/?utm_source=mail")


def test_on_a_marketers_host_there_is_nothing_else(site, at):
    publish(site.store, document(site.store, slug="other", experiment=13))
    browser = at(PATH)
    for path in ("/", "/p/other/", "/console/", "/spring/", "/spring/salemen/", f"{PATH}?gh_preview=x"):
        assert browser.get(path).status == 404, path
    assert browser.get("/healthz").status == 200
    assert site.splitter.owns({"HTTP_HOST": HOST, "PATH_INFO": "/console/"})
    assert not site.splitter.owns({"HTTP_HOST": "console.example", "PATH_INFO": "/console/"})


def test_the_longest_path_of_a_host_wins(site, at):
    other = document(site.store, slug="other", experiment=13, address=ROOT, shares={"v2": 1.0})
    publish(site.store, other)
    browser = at(PATH, shares={"control": 1.0})
    assert "gh_13=" in browser.get("/").headers["set-cookie"]
    assert "gh_12=" in browser.get("/spring/sale/").headers["set-cookie"]


def test_an_address_that_is_taken_away_is_empty(site, at):
    browser = at(ROOT)
    assert browser.get("/").status == 200
    at("")
    assert browser.get("/").status == 404


def test_a_page_with_scripts_of_its_own_may_stand_at_a_marketers_address_and_not_at_ours(site, at):
    browser = at(ROOT, own_host=True)
    assert browser.get("/").status == 200
    assert site.browser().get(f"/p/{SLUG}/").status == 404


def test_robots_may_look_at_a_hosts_root(at):
    assert at(ROOT).get("/robots.txt").body == b"User-agent: *\nDisallow: /go/\n"


@pytest.mark.parametrize(
    "address",
    ["shop.example/", "ftp://shop.example/", "https://shop.example", "https:///x/", "https://a/?b=/", "https://["],
)
def test_what_no_page_can_stand_at_is_refused(address):
    with pytest.raises(BadAddress):
        own_place(address, cookie_seconds=1)


def test_ports_are_told_apart_unless_they_are_the_usual_ones():
    assert own_place("https://Shop.example:443/", cookie_seconds=1).host == "shop.example"
    assert own_place("http://shop.example:8080/", cookie_seconds=1).host == "shop.example:8080"
