"""Who gets what, over real HTTP."""

from pathlib import Path

import pytest

from experiments.splitter.records import Exposure, Tally
from tests.experiments.splitter.planting import CSP, document, planted
from tests.experiments.splitter.serving import HOUR_MS, Browser, Site, force, serving

PAGE = "/p/paperless/"
CONTROL = b"<h1>control</h1>"


def tallied(site: Site) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tally in site.records(Tally):
        counts |= tally.counts
    return counts


def test_a_first_visit_is_journalled_and_gets_a_cookie(site: Site, browser: Browser):
    got = browser.get(PAGE)
    (exposure,) = site.records(Exposure)
    assert got.status == 200
    assert got.body == f"<h1>{exposure.arm}</h1>".encode()
    assert got.cookie.startswith(f"gh_12={exposure.visitor}.12.{exposure.arm}.3.{exposure.exposed_ms}.")
    assert exposure.exposed_ms == site.clock.now_ms


def test_the_cookie_is_closed_to_scripts_and_other_sites(browser: Browser):
    cookie = browser.get(PAGE).headers["set-cookie"]
    assert cookie.endswith("; Max-Age=7776000; Path=/p/paperless/; HttpOnly; SameSite=Lax")


def test_a_page_is_private_and_guarded(browser: Browser):
    headers = browser.get(PAGE).headers
    assert headers["cache-control"] == "private, no-store"
    assert headers["vary"] == "Cookie, Accept-Encoding"
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"


def test_a_returning_visitor_keeps_their_arm_while_shares_change(site: Site):
    visitors = [site.browser() for _ in range(12)]
    first = [visitor.get(PAGE).body for visitor in visitors]
    force(site, shares={"control": 0.0, "v2": 1.0}, epoch=4)
    again = [visitor.get(PAGE) for visitor in visitors]
    assert [got.body for got in again] == first
    assert all("set-cookie" not in got.headers for got in again)
    assert len(site.records(Exposure)) == 12


def test_new_visitors_follow_the_new_shares(site: Site):
    force(site, shares={"v2": 1.0}, epoch=4)
    assert {site.browser().get(PAGE).body for _ in range(8)} == {b"<h1>v2</h1>"}
    assert {exposure.epoch for exposure in site.records(Exposure)} == {4}


def test_an_arm_without_a_page_any_more_becomes_the_control(site: Site, browser: Browser):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    force(site, arms=document(site.store, keys=("control",))["arms"], shares={"control": 1.0})
    assert browser.get(PAGE).body == CONTROL


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, "bot"),
        ({"User-Agent": ""}, "bot"),
        ({"DNT": "1"}, "opted_out"),
        ({"Sec-GPC": "1"}, "opted_out"),
        ({"Cookie": "gh_consent=no"}, "opted_out"),
    ],
)
def test_who_is_not_counted_gets_the_control_and_a_tally(site: Site, headers: dict[str, str], kind: str):
    force(site, shares={"v2": 1.0})
    got = site.browser(**headers).get(PAGE)
    assert (got.status, got.body) == (200, CONTROL)
    assert "set-cookie" not in got.headers
    assert site.records(Exposure) == []
    assert tallied(site) == {kind: 1}


def test_opting_out_later_hides_the_arm_again(site: Site, browser: Browser):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    assert browser.get(PAGE, DNT="1").body == CONTROL


def test_head_has_the_headers_of_get_and_is_not_counted(site: Site, browser: Browser):
    got = browser.send("HEAD", PAGE)
    assert (got.status, got.body) == (200, b"")
    assert got.headers["content-length"] == str(len(CONTROL))
    assert "set-cookie" not in got.headers
    assert site.records(Exposure) == []


def test_outside_the_traffic_share_there_is_a_cookie_and_no_exposure(site: Site, browser: Browser):
    force(site, traffic_share=0.0, shares={"v2": 1.0})
    got = browser.get(PAGE)
    assert got.body == CONTROL
    assert ".12.-.3." in got.cookie
    force(site, traffic_share=1.0, shares={"v2": 1.0})
    assert browser.get(PAGE).body == CONTROL
    assert site.records(Exposure) == []
    assert tallied(site) == {"outside": 1}


def test_paused_keeps_who_was_there_and_takes_nobody_new(site: Site, browser: Browser):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    force(site, status="paused", shares={"v2": 1.0})
    newcomer = site.browser().get(PAGE)
    assert browser.get(PAGE).body == b"<h1>v2</h1>"
    assert newcomer.body == CONTROL
    assert "set-cookie" not in newcomer.headers
    assert len(site.records(Exposure)) == 1


@pytest.mark.parametrize(("status", "arm"), [("finished", b"control"), ("promoted", b"v2")])
def test_at_the_end_everyone_gets_the_same(site: Site, status: str, arm: bytes):
    visitors = [site.browser() for _ in range(6)]
    for visitor in visitors:
        visitor.get(PAGE)
    force(site, status=status, winner="v2")
    assert {each.get(PAGE).body for each in [*visitors, site.browser()]} == {b"<h1>" + arm + b"</h1>"}
    assert len(site.records(Exposure)) == 6


def test_what_is_gone_or_unknown_is_not_found(site: Site, browser: Browser):
    force(site, status="gone")
    assert browser.get(PAGE).status == 404
    assert browser.get("/p/unknown/").status == 404
    assert browser.get("/").status == 404


def test_consent_comes_before_everything(site: Site, browser: Browser):
    force(site, consent_required=True, shares={"v2": 1.0})
    before = browser.get(PAGE)
    assert (before.body, before.cookie, site.records(Exposure)) == (CONTROL, "", [])
    after = browser.get(PAGE, Cookie="other=1; gh_consent=yes")
    assert after.body == b"<h1>v2</h1>"
    assert len(site.records(Exposure)) == 1


def test_taking_consent_back_removes_the_cookie(site: Site, browser: Browser):
    force(site, consent_required=True)
    cookie = browser.get(PAGE, Cookie="gh_consent=yes").cookie
    withdrawn = browser.get(PAGE, Cookie=cookie)
    assert withdrawn.body == CONTROL
    assert withdrawn.headers["set-cookie"].startswith("gh_12=; Max-Age=0; Path=/p/paperless/;")


@pytest.mark.parametrize("hours", [-1, 1, 24 * 300])
def test_a_clock_that_jumps_keeps_the_arm(site: Site, browser: Browser, hours: int):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    force(site, shares={"control": 1.0})
    site.clock.now_ms += hours * HOUR_MS
    assert browser.get(PAGE).body == b"<h1>v2</h1>"


def test_a_cookie_from_the_day_after_tomorrow_is_none(site: Site, browser: Browser):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    force(site, shares={"control": 1.0})
    site.clock.now_ms -= 48 * HOUR_MS
    assert browser.get(PAGE).body == CONTROL


def test_another_experiments_cookie_is_none(site: Site, browser: Browser):
    browser.get(PAGE)
    value = browser.headers["Cookie"].partition("=")[2]
    force(site, slug="other", experiment=13, shares={"v2": 1.0})
    got = site.browser(Cookie=f"gh_13={value}").get("/p/other/")
    assert got.cookie.startswith("gh_13=")


def test_the_exposure_says_where_the_visitor_came_from(site: Site):
    browser = site.browser(Referer="https://news.example/story?id=1", Accept_Language="de-AT,en;q=0.5")
    browser.get(PAGE + "?utm_source=mail%20ing&gclid=x1&secret=1&utm_campaign=" + "y" * 300)
    (exposure,) = site.records(Exposure)
    assert exposure.attributes == {
        "utm_source": "mail ing",
        "utm_campaign": "y" * 200,
        "gclid": "x1",
        "device": "desktop",
        "language": "de",
        "referrer": "news.example",
    }


def test_when_the_journal_refuses_the_visitor_gets_the_control(tmp_path: Path):
    (tmp_path / "journal").write_text("a file where the folder should be")
    with serving(tmp_path, planted(shares={"v2": 1.0})) as site:
        got = site.browser().get(PAGE)
        assert (got.status, got.body, got.cookie) == (200, CONTROL, "")
        assert site.splitter.tallies.totals()["journal_refused"] == 1
        (tmp_path / "journal").unlink()
        assert site.browser().get(PAGE).body == b"<h1>v2</h1>"
