"""Test visits of the console: answered as a fresh visitor would be, counted nowhere, and worth nothing to others."""

import json
from typing import Any

import pytest

from experiments.splitter.cookies import Assignment, Signer
from experiments.splitter.probes import HEADER, MARK_PURPOSE, NOBODY, VALID_MS
from experiments.splitter.records import Conversion, Lead
from tests.experiments.splitter.planting import SLUG
from tests.experiments.splitter.serving import Got, Site, force

PAGE = f"/p/{SLUG}/"


def mark(site: Site, visitor: str = "ab" * 16, *, experiment: int = 12, key: str = "a secret", age_ms: int = 0) -> str:
    at_ms = site.clock.now_ms - age_ms
    return Signer(key, purpose=MARK_PURPOSE).sign(Assignment(visitor, experiment, NOBODY, 0, at_ms))


def seen(got: Got) -> dict[str, Any]:
    return json.loads(got.headers[HEADER.lower()])  # type: ignore[no-any-return]


def test_a_test_visit_gets_an_arm_and_a_cookie_and_is_counted_nowhere(site):
    tester = site.browser(User_Agent="Mozilla/5.0 (compatible; Greenhouse self-test)")
    found = {}
    for number in range(20):
        visitor = f"{number:032x}"
        got = tester.get(f"{PAGE}?utm_source=test", X_Greenhouse_Test=mark(site, visitor), Cookie="")
        assert seen(got)["mark"] == visitor
        assert seen(got)["query"] == "utm_source=test"
        assert got.body == f"<h1>{seen(got)['arm']}</h1>".encode()
        again = tester.get(PAGE, X_Greenhouse_Test=mark(site, "cd" * 16), Cookie=got.cookie)
        assert (seen(again)["arm"], again.set_cookies) == (seen(got)["arm"], ())
        found[seen(got)["arm"]] = got.cookie
    assert set(found) == {"control", "v2"}
    assert site.records() == []
    assert site.splitter.tallies.totals() == {}


def test_below_the_page_a_test_visit_is_told_that_it_arrived_and_nothing_happens(site):
    tester = site.browser(X_Greenhouse_Test=mark(site))
    assert tester.get(f"{PAGE}go/cta").headers["location"].startswith("https://shop.example/buy")
    sent = tester.form(f"{PAGE}form", b"email=ada@example.com&terms=on")
    assert (sent.status, seen(sent)["method"]) == (204, "POST")
    assert site.records() == []


@pytest.mark.parametrize("wrong", [{"experiment": 13}, {"key": "guessed"}, {"age_ms": VALID_MS + 1}])
def test_a_mark_that_is_not_ours_or_not_for_this_makes_no_test_visit(site, wrong):
    got = site.browser(X_Greenhouse_Test=mark(site, **wrong)).get(PAGE)
    assert HEADER.lower() not in got.headers
    assert len(site.records()) == 1, "an ordinary visitor"


def test_the_cookie_of_a_test_visit_is_no_visitors(site):
    cookie = site.browser(X_Greenhouse_Test=mark(site)).get(PAGE).cookie
    other = site.browser(Cookie=cookie)
    other.form(f"{PAGE}form", b"email=ada@example.com&terms=on")
    assert len(site.records(Lead)) == 1
    assert site.records(Conversion) == []


def test_where_everyone_gets_one_page_test_visits_do_too(site):
    force(site, status="promoted", winner="v2")
    assert seen(site.browser(X_Greenhouse_Test=mark(site)).get(PAGE))["arm"] == "v2"
    force(site, status="paused")
    assert seen(site.browser(X_Greenhouse_Test=mark(site)).get(PAGE))["arm"] == "control"
