"""A page at the marketer's own address, behind a real nginx; and the look that says whether visitors get it there."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from experiments import addresses, deployment
from experiments.models import Experiment, Goal
from experiments.splitter.records import Conversion, Exposure
from experiments.store import store
from tests.experiments.splitter.serving import Browser, Site, serving
from tests.factories import make_brief, make_running
from tests.nginx import nginx, recipe
from tests.servers import free_port
from variants.models import Brand

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]

CACHED = """
        proxy_cache pages;
        proxy_cache_valid any 10m;
        proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
"""
NO_HOST = re.compile(r"proxy_set_header Host [^;]*;")


@pytest.fixture(autouse=True)
def _on_an_intranet(settings: Any) -> None:
    settings.PAGES_PRIVATE_ADDRESSES = True


class Address:
    """An experiment at an address of its own, with nginx in front."""

    def __init__(self, site: Site, experiment: Experiment, port: int) -> None:
        self.site, self.experiment, self.port = site, experiment, port

    def look(self) -> addresses.Look:
        self.site.clock.now_ms = int(time.time() * 1000)
        self.experiment.refresh_from_db()
        return addresses.look(self.experiment, now=datetime.now(UTC), guard=addresses.guard())

    def visitor(self) -> Browser:
        return Browser(port=self.port, headers={**Browser(port=0).headers, "Host": f"localhost:{self.port}"})


@pytest.fixture
def behind(tmp_path: Path, settings: Any) -> Iterator[Callable[..., Address]]:
    """Put an experiment at a path of a site whose nginx has these settings."""
    with ExitStack() as held:

        def put(path: str, locations: str, *, trusted: int = 1) -> Address:
            experiment = make_running(arms=4, slug="offer", goal_kind=Goal.Kind.FORM)
            deployment.deploy(experiment, reason="test")
            port = free_port()
            addresses.give(experiment, f"http://localhost:{port}{path}")
            site = held.enter_context(_tier(tmp_path, settings.SECRET_KEY, trusted))
            held.enter_context(nginx(tmp_path / "nginx", locations, port=port, upstream=site.port))
            return Address(site, experiment, port)

        yield put


@contextmanager
def _tier(folder: Path, secret_key: str, trusted: int) -> Iterator[Site]:
    with serving(folder, store(), secret_key=secret_key, trusted_proxy_count=trusted) as site:
        site.clock.now_ms = int(time.time() * 1000)
        yield site


def said(look: addresses.Look, kind: str) -> str:
    return " ".join(f"{finding.says} {finding.mend}" for finding in look.findings if finding.kind == kind)


ROOT, PATH = "the root of a host", "a path of your site"
# So many that all four pages are seen: by chance one is missed once in two hundred million runs.
VISITORS = 72


@pytest.mark.parametrize(("name", "base"), [(ROOT, "/"), (PATH, "/offer/")])
def test_visitors_are_split_and_counted_behind_nginx_as_the_docs_set_it_up(behind, name, base):
    address = behind(base, recipe(name))
    people = [address.visitor() for _ in range(VISITORS)]
    first = [person.get(f"{base}?utm_source=mail") for person in people]
    assert len({page.body for page in first}) == 4
    assert all(f"Path={base};" in page.headers["set-cookie"] for page in first)
    assert {page.headers["cache-control"] for page in first} == {"private, no-store"}
    assert [person.get(base).body for person in people] == [page.body for page in first]
    refers = {"Referer": f"http://localhost:{address.port}{base}?utm_source=mail"}
    sent = people[0].form(f"{base}form", b"email=ada@example.com", **refers)
    assert (sent.status, sent.headers["location"]) == (303, f"{base}thanks?utm_source=mail")
    exposures = address.site.records(Exposure)
    assert Counter(exposure.attributes["utm_source"] for exposure in exposures) == {"mail": VISITORS}
    assert [record.visitor for record in address.site.records(Conversion)] == [exposures[0].visitor]


@pytest.mark.parametrize(("name", "base"), [(ROOT, "/"), (PATH, "/offer/")])
def test_a_look_at_what_the_docs_set_up_finds_nothing_wrong_and_counts_nothing(behind, name, base):
    address = behind(base, recipe(name))
    look = address.look()
    assert (look.verdict, said(look, "bad"), said(look, "warn")) == ("good", "", "")
    assert "8 new visitors saw 4 different pages" in said(look, "ok")
    assert not address.site.records()
    assert address.site.splitter.tallies.totals() == {}
    address.experiment.refresh_from_db()
    assert address.experiment.address_check["verdict"] == "good"


@pytest.mark.parametrize("told", ["", "add_header X-Cache $upstream_cache_status;"])
def test_a_cache_that_collapses_the_split_is_found(behind, told):
    address = behind("/offer/", recipe(PATH).replace("proxy_cache off;", CACHED + told))
    look = address.look()
    assert look.verdict == "collapsed"
    assert "gives one visitor’s page to the others" in look.sentence
    assert "A cache handed 7 of 8 test visitors" in look.findings[0].says
    assert "Switch caching off" in look.findings[0].mend


def test_a_cache_that_was_filled_by_a_visitor_is_found(behind):
    address = behind("/offer/", recipe(PATH).replace("proxy_cache off;", CACHED))
    address.visitor().get("/offer/")
    assert address.look().verdict == "collapsed"


def test_the_cookie_of_a_test_visit_earns_nothing(behind):
    address = behind("/offer/", recipe(PATH))
    looking = addresses._Looking(address.experiment, addresses.guard(), datetime.now(UTC))
    cookie = looking._again("").cookie(looking.cookie).partition(";")[0]
    thief = address.visitor()
    thief.headers["Cookie"] = cookie
    thief.form("/offer/form", b"email=ada@example.com")
    assert not address.site.records(Conversion)


def test_a_proxy_that_changes_the_host_is_found(behind):
    address = behind("/offer/", NO_HOST.sub("", recipe(PATH)))
    look = address.look()
    assert look.verdict == "broken"
    assert "with the host name that visitors asked for" in said(look, "bad")


def test_a_proxy_that_changes_the_path_and_the_host_breaks_the_cookie(behind):
    changed = NO_HOST.sub("", recipe(PATH)).replace("http://greenhouse;", "http://greenhouse/p/offer/;")
    look = behind("/offer/", changed).look()
    assert look.verdict == "broken"
    assert "cookie for another address" in said(look, "bad")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('proxy_set_header Cookie "";', "comes back is taken for a new one"),
        ("proxy_hide_header Set-Cookie;", "do not get the cookie"),
        ("proxy_hide_header Cache-Control;", "says about caching does not reach"),
        ("if ($args) { rewrite ^(.*)$ $1? break; }", "utm_source, gclid) is lost"),
        ("limit_except GET { deny all; }", "Not everything below the page’s address arrives: forms."),
    ],
)
def test_what_a_proxy_takes_away_is_named(behind, line, words):
    look = behind("/offer/", recipe(PATH).replace("{", "{" + line, 1)).look()
    assert words in said(look, "bad") + said(look, "warn")
    assert look.verdict in {"broken", "warn"}


@pytest.mark.parametrize(
    ("trusted", "words"), [(0, "Set TRUSTED_PROXY_COUNT to 1."), (2, "pretend to come from any address")]
)
def test_a_wrong_number_of_trusted_proxies_is_found(behind, trusted, words):
    look = behind("/offer/", recipe(PATH), trusted=trusted).look()
    assert look.verdict == "warn"
    assert words in said(look, "warn")


def test_an_address_where_nobody_answers_is_said_to_be_that():
    experiment = make_running(slug="offer")
    deployment.deploy(experiment, reason="test")
    addresses.give(experiment, f"http://localhost:{free_port()}/")
    look = addresses.look(experiment, now=datetime.now(UTC), guard=addresses.guard())
    assert look.verdict == "unreachable"


def test_a_look_does_not_reach_into_our_own_network_unless_that_is_allowed(settings):
    settings.PAGES_PRIVATE_ADDRESSES = False
    experiment = make_running(slug="offer")
    deployment.deploy(experiment, reason="test")
    addresses.give(experiment, "http://localhost:8001/")
    look = addresses.look(experiment, now=datetime.now(UTC), guard=addresses.guard())
    assert look.verdict == "unreachable"
    assert "not on the public internet" in look.sentence


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://Shop.example/Offer", "https://shop.example/Offer/"),
        ("shop.example", "https://shop.example/"),
        (" http://shop.example:8080/a/b/ ", "http://shop.example:8080/a/b/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("", ""),
    ],
)
def test_an_address_is_kept_in_one_form(typed, kept):
    assert addresses.normal(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "ftp://shop.example/", "https://", "https://shop.example/a b/", "https://shop.example/?a=b", "https://u:p@a.b/",
        "https://shop.example/p/x/", "https://shop.example/console/", "http://127.0.0.1:8000/offer/",
        "http://localhost:8000/", "https://[::1/", "https://*/", "https://*.shop.example/", "https://shop.example/a/../x/",
        "https://shop.example/%2e%2e/", "https://shop.example/./", "https://%73hop.example/",
        "https://shop.example/a//b/", "https://shop.example/;x/", "https://shop.example:99999/", "javascript:alert(1)",
        "https://0x7f.1/", "https://2130706433/", "https://0177.0.0.1/", "https://-.example/",
    ],
)  # fmt: skip
def test_what_cannot_be_a_pages_address_is_refused_in_words(typed, settings):
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    with pytest.raises(addresses.WrongAddress, match=r"[A-Z“].+\."):
        addresses.normal(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "http://console.example/", "https://console.example:443/", "https://console.example:8443/",
        "https://console.example./", "https://Console.Example/offer/", "https://shop.example/%63onsole/",
    ],
)  # fmt: skip
def test_the_consoles_own_name_is_never_given_away(typed, settings):
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = "https://console.example", ["console.example"]
    with pytest.raises(addresses.WrongAddress):
        addresses.normal(typed)


def test_an_address_belongs_to_one_experiment():
    addresses.give(make_running(slug="first", name="The first"), "https://shop.example/")
    with pytest.raises(addresses.WrongAddress, match="“The first” has that address already"):
        addresses.give(make_running(slug="second"), "https://shop.example/")


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example/offer/", "https://shop.example:443/offer/", "http://shop.example:443/offer/",
        "https://shop.example/offer/go/", "https://shop.example/offer/form/x/", "http://shop.example/offer/i/",
    ],
)  # fmt: skip
def test_what_a_page_answers_is_given_to_nobody_else_under_whatever_name(address):
    addresses.give(make_running(slug="first"), "https://shop.example/offer/")
    with pytest.raises(addresses.WrongAddress):
        addresses.give(make_running(slug="second"), addresses.normal(address))


@pytest.mark.parametrize(
    "address", ["https://shop.example/", "https://shop.example/offer/more/", "https://shop.example:8443/offer/"]
)
def test_pages_may_stand_beside_and_below_each_other(address):
    addresses.give(make_running(slug="first"), "https://shop.example/offer/")
    addresses.give(second := make_running(slug="second"), address)
    assert second.address == address


def test_nothing_above_a_page_takes_its_buttons():
    addresses.give(make_running(slug="first"), "https://shop.example/go/")
    with pytest.raises(addresses.WrongAddress):
        addresses.give(make_running(slug="second"), "https://shop.example/")


def test_an_address_that_two_agreed_to_stays_with_its_brand(owner):
    brand = Brand.objects.create(name="Strict", four_eyes=True)
    strict = make_running(slug="strict", brief=make_brief(brand=brand))
    addresses.give(strict, "https://shop.example/offer/")
    addresses.give(strict, "")
    lax = make_running(slug="lax")
    with pytest.raises(addresses.WrongAddress, match="asks for four eyes"):
        addresses.give(lax, "http://shop.example/offer/", by=User.objects.create_user("mallory"))
    addresses.give(make_running(slug="again", brief=make_brief(brand=brand)), "https://shop.example/offer/")
    addresses.give(Experiment.objects.get(slug="again"), "")
    addresses.give(lax, "https://shop.example/offer/", by=owner)
    assert lax.address == "https://shop.example/offer/"
