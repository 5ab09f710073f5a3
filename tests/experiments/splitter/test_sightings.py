"""Pages that were fetched ahead or wait for a confirmation, and visitors who take their consent back."""

from pathlib import Path
from threading import Barrier, Thread

import pytest

from experiments.splitter.records import Conversion, Exposure, Forget, Lead, Tally
from tests.experiments.splitter.planting import document, planted, publish
from tests.experiments.splitter.serving import HOUR_MS, Browser, Site, force, serving
from tests.experiments.splitter.test_conversions import break_journal

PAGE = "/p/paperless/"
SEEN = PAGE + "seen"
AHEAD = {"Sec-Purpose": "prefetch;prerender"}
TOKEN = "gh_token="
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def tallied(site: Site) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tally in site.records(Tally):
        for kind, number in tally.counts.items():
            counts[kind] = counts.get(kind, 0) + number
    return counts


@pytest.fixture
def confirming(site: Site) -> Site:
    """An experiment that counts only what ran in a browser."""
    force(site, confirm_exposures=True, shares={"v2": 1.0})
    return site


def test_a_visit_that_waits_for_confirmation_gets_its_arm_and_is_not_written_down(confirming: Site):
    got = confirming.browser().get(PAGE)
    assert got.body == b"<h1>v2</h1>"
    assert confirming.records(Exposure) == []
    assert tallied(confirming) == {"unconfirmed": 1}


def test_scripts_may_read_that_something_is_pending_and_nothing_else(confirming: Site):
    pending, flag = confirming.browser().get(PAGE).set_cookies
    assert pending.startswith("gh_12=")
    assert pending.endswith("; HttpOnly")
    assert flag == "gh_pending=1; Max-Age=86400; Path=/p/paperless/; SameSite=Lax"


def test_an_ordinary_experiment_sets_no_second_cookie(browser: Browser):
    assert len(browser.get(PAGE).set_cookies) == 1


def test_the_confirmation_counts_the_exposure_at_its_first_sight(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    first_sight_ms = confirming.clock.now_ms
    confirming.clock.now_ms += 1234
    got = browser.post(SEEN, b"")
    (exposure,) = confirming.records(Exposure)
    assert (got.status, got.body) == (204, b"")
    assert exposure.exposed_ms == first_sight_ms
    assert browser.headers["Cookie"].startswith(f"gh_12={exposure.visitor}.12.v2.3.{first_sight_ms}.")
    assert "gh_pending" not in browser.headers["Cookie"]


def test_a_confirmed_visitor_keeps_the_arm_and_converts(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    browser.post(SEEN, b"")
    force(confirming, confirm_exposures=True, shares={"control": 1.0})
    assert browser.get(PAGE).body == b"<h1>v2</h1>"
    browser.get(PAGE + "go/cta")
    (exposure,), (conversion,) = confirming.records(Exposure), confirming.records(Conversion)
    assert (conversion.visitor, conversion.exposed_ms) == (exposure.visitor, exposure.exposed_ms)


def test_an_unconfirmed_visitor_keeps_the_arm_too(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    force(confirming, confirm_exposures=True, shares={"control": 1.0})
    again = browser.get(PAGE)
    assert (again.body, again.set_cookies) == (b"<h1>v2</h1>", ())
    assert confirming.records(Exposure) == []


def test_what_an_unconfirmed_visitor_does_is_not_counted(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    assert browser.get(PAGE + "go/cta").status == 302
    assert browser.form(PAGE + "form", b"email=a@b.example").status == 303
    assert browser.get(PAGE + "token").status == 404
    assert confirming.records(Conversion) == []
    (lead,) = confirming.records(Lead)
    assert (lead.visitor, lead.arm) == ("", "")
    assert tallied(confirming) == {"unconfirmed": 1, "too_soon": 2}


def test_a_refused_form_is_shown_again_on_the_arm_that_waits(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    assert b"v2" in browser.form(PAGE + "form", b"email=nonsense").body


def test_two_tabs_confirm_one_exposure(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    tabs = [Browser(port=browser.port, headers=dict(browser.headers)) for _ in range(4)]
    together = Barrier(len(tabs))

    def confirm(tab: Browser) -> None:
        together.wait(timeout=60)
        tab.post(SEEN, b"")

    threads = [Thread(target=confirm, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exposures = confirming.records(Exposure)
    assert len({(exposure.visitor, exposure.exposed_ms) for exposure in exposures}) == 1
    assert len({tab.headers["Cookie"] for tab in tabs}) == 1


def test_a_second_confirmation_adds_nothing(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    assert [browser.post(SEEN, b"").status for _ in range(3)] == [204, 204, 204]
    assert len(confirming.records(Exposure)) == 1
    assert tallied(confirming) == {"unconfirmed": 1, "confirmed": 1}


@pytest.mark.parametrize(
    "cookie", ["", "gh_12=nonsense", "gh_12=", "gh_pending=1", "gh_12=a.12.v2.3.1.x; gh_pending=1"]
)
def test_nobody_confirms_what_we_did_not_sign(confirming: Site, cookie: str):
    got = confirming.browser(Cookie=cookie).post(SEEN, b"")
    assert got.status == 204
    assert [each.partition(";")[0] for each in got.set_cookies] == ["gh_pending="]
    assert confirming.records(Exposure) == []


def test_a_pending_cookie_passes_for_no_other_and_no_other_for_it(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    browser.post(SEEN, b"")
    (exposure,) = confirming.records(Exposure)
    confirmed = confirming.splitter._visits.cookies
    pending = confirming.splitter._visits.pending_cookies
    value = browser.headers["Cookie"].removeprefix("gh_12=")
    assert confirmed.read(value) is not None
    assert pending.read(value) is None
    assert browser.post(SEEN, b"").status == 204
    assert confirming.records(Exposure) == [exposure]


def test_another_experiments_pending_cookie_confirms_nothing(confirming: Site):
    browser = confirming.browser()
    value = browser.get(PAGE).cookie.partition("=")[2]
    force(confirming, slug="other", experiment=13, confirm_exposures=True, shares={"v2": 1.0})
    confirming.browser(Cookie=f"gh_13={value}").post("/p/other/seen", b"")
    assert confirming.records(Exposure) == []


def test_a_bot_with_a_persons_cookie_confirms_nothing(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    browser.post(SEEN, b"", User_Agent=GOOGLEBOT)
    assert confirming.records(Exposure) == []


def test_a_confirmation_that_cannot_be_written_down_may_be_repeated(tmp_path: Path):
    (tmp_path / "journal").write_text("a file where the folder should be")
    with serving(tmp_path, planted(confirm_exposures=True, shares={"v2": 1.0})) as site:
        browser = site.browser()
        assert browser.get(PAGE).body == b"<h1>v2</h1>"
        refused = browser.post(SEEN, b"")
        assert (refused.status, refused.set_cookies) == (503, ())
        (tmp_path / "journal").unlink()
        assert browser.post(SEEN, b"").status == 204
        assert len(site.records(Exposure)) == 1


def test_seen_takes_posts_alone(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    assert browser.get(SEEN).status == 405
    assert confirming.records(Exposure) == []


def test_the_exposure_keeps_the_campaign_and_the_site_that_led_here(confirming: Site):
    browser = confirming.browser(Accept_Language="de")
    browser.get(PAGE + "?utm_source=mail&gclid=x1", Referer="https://news.example/story")
    own = f"http://127.0.0.1:{confirming.port}{PAGE}?utm_source=mail&gclid=x1&secret=1"
    browser.post(SEEN + "?referrer=news.example", b"", Referer=own)
    (exposure,) = confirming.records(Exposure)
    assert exposure.attributes == {
        "utm_source": "mail", "gclid": "x1", "device": "desktop", "language": "de", "referrer": "news.example",
    }  # fmt: skip


@pytest.mark.parametrize("said", ["?referrer=%0d%0aX", "?referrer=" + "a" * 5000, "?x=1&referrer=b", "?referrer=[::1"])
def test_a_strange_referrer_is_no_harm(confirming: Site, said: str):
    browser = confirming.browser()
    browser.get(PAGE)
    assert browser.post(SEEN + said, b"").status == 204
    assert len(confirming.records(Exposure)) == 1


# --- fetched ahead --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [AHEAD, {"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}]
)
def test_a_page_fetched_ahead_is_no_exposure_until_it_is_shown(site: Site, headers: dict[str, str]):
    force(site, shares={"v2": 1.0})
    browser = site.browser()
    got = browser.send("GET", PAGE, None, **headers)
    assert got.body == b"<h1>v2</h1>"
    assert site.records(Exposure) == []
    assert browser.post(SEEN, b"").status == 204
    assert len(site.records(Exposure)) == 1
    assert tallied(site) == {"prefetch": 1, "shown": 1}


def test_an_ordinary_visit_after_a_prefetch_shows_the_same_arm_and_counts(site: Site):
    force(site, shares={"v2": 1.0})
    browser = site.browser()
    browser.get(PAGE, **AHEAD)
    force(site, shares={"control": 1.0})
    assert browser.get(PAGE).body == b"<h1>v2</h1>"
    (exposure,) = site.records(Exposure)
    browser.post(SEEN, b"")
    browser.get(PAGE)
    assert site.records(Exposure) == [exposure]


def test_fetching_ahead_twice_gives_one_arm_and_no_exposure(site: Site):
    browser = site.browser()
    first = browser.get(PAGE, **AHEAD)
    again = browser.get(PAGE, **AHEAD)
    assert (again.body, again.set_cookies) == (first.body, ())
    assert site.records(Exposure) == []


def test_who_is_known_may_fetch_ahead_and_stays_known(site: Site, browser: Browser):
    first = browser.get(PAGE)
    ahead = browser.get(PAGE, **AHEAD)
    assert (ahead.body, ahead.set_cookies) == (first.body, ())
    assert len(site.records(Exposure)) == 1


def test_a_click_on_a_page_that_was_fetched_ahead_proves_that_it_was_seen(site: Site):
    browser = site.browser()
    browser.get(PAGE, **AHEAD)
    site.clock.now_ms += HOUR_MS
    own = f"http://127.0.0.1:{site.port}{PAGE}?utm_source=mail"
    browser.get(PAGE + "go/cta", Referer=own)
    browser.post(SEEN, b"", Referer=own)
    (conversion,) = site.records(Conversion)
    first, second = site.records(Exposure)
    assert first == second  # the same line twice is one exposure: counting knows it by visitor and time
    assert (first.visitor, first.exposed_ms) == (conversion.visitor, conversion.exposed_ms)
    assert first.attributes["utm_source"] == "mail"


def test_a_link_fetched_ahead_is_no_click(site: Site):
    browser = site.browser()
    browser.get(PAGE, **AHEAD)
    browser.get(PAGE + "go/cta", **AHEAD)
    assert (site.records(Exposure), site.records(Conversion)) == ([], [])


@pytest.mark.parametrize("address", ["go/cta", "go/partner", "go/form"])
def test_a_click_writes_the_exposure_down_whether_or_not_the_link_has_a_goal(site: Site, address: str):
    browser = site.browser()
    browser.get(PAGE, **AHEAD)
    browser.get(PAGE + address)
    assert len(site.records(Exposure)) == 1


def test_a_token_is_given_once_the_exposure_is_written_down(site: Site):
    browser = site.browser()
    browser.get(PAGE, **AHEAD)
    assert TOKEN not in browser.get(PAGE + "go/partner", **AHEAD).headers["location"]
    assert TOKEN not in browser.send("HEAD", PAGE + "go/partner", None).headers["location"]
    assert site.records(Exposure) == []
    assert TOKEN in browser.get(PAGE + "go/partner").headers["location"]
    assert len(site.records(Exposure)) == 1


def test_no_token_is_given_for_an_exposure_that_cannot_be_written_down(tmp_path: Path):
    with serving(tmp_path, planted()) as site:
        ahead, known = site.browser(), site.browser()
        ahead.get(PAGE, **AHEAD)
        known.get(PAGE)
        break_journal(site)
        assert ahead.get(PAGE + "go/partner").headers["location"] == "https://partner.example/"
        assert TOKEN in known.get(PAGE + "go/partner").headers["location"]


def test_an_unconfirmed_visitor_is_given_no_token(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    assert TOKEN not in browser.get(PAGE + "go/partner").headers["location"]
    assert browser.get(PAGE + "token").status == 404
    browser.post(SEEN, b"")
    assert TOKEN in browser.get(PAGE + "go/partner").headers["location"]


# --- consent --------------------------------------------------------------------------------------------------------


def test_before_consent_a_visitor_leaves_no_trace_but_a_tally(site: Site, browser: Browser):
    force(site, consent_required=True, shares={"v2": 1.0})
    for _ in range(2):
        assert browser.get(PAGE + "?utm_source=mail").set_cookies == ()
    assert browser.form(PAGE + "form", b"email=a@b.example").status == 303
    assert [type(record) for record in site.records() if not isinstance(record, Tally)] == [Lead]
    assert site.records(Lead)[0].visitor == ""
    assert tallied(site)["no_consent"] == 2


def test_after_consent_the_next_visit_counts_and_none_before_it(site: Site, browser: Browser):
    force(site, consent_required=True, shares={"v2": 1.0})
    browser.get(PAGE)
    browser.headers["Cookie"] = "gh_consent=yes"
    assert browser.get(PAGE).body == b"<h1>v2</h1>"
    assert len(site.records(Exposure)) == 1


def test_consent_and_confirmation_go_together(site: Site, browser: Browser):
    force(site, consent_required=True, confirm_exposures=True, shares={"v2": 1.0})
    browser.headers["Cookie"] = "gh_consent=yes"
    browser.get(PAGE)
    pending = browser.headers["Cookie"]
    browser.post(SEEN, b"", Cookie=pending.replace("gh_consent=yes; ", ""))
    assert site.records(Exposure) == []
    browser.headers["Cookie"] = pending
    browser.post(SEEN, b"")
    assert len(site.records(Exposure)) == 1


@pytest.mark.parametrize("before", [{}, {"consent_required": True}, {"confirm_exposures": True}])
def test_a_withdrawal_is_written_down_and_takes_the_cookies_away(site: Site, browser: Browser, before: dict[str, bool]):
    force(site, **before)
    browser.headers["Cookie"] = "gh_consent=yes"
    visitor = browser.get(PAGE).cookie.removeprefix("gh_12=").partition(".")[0]
    browser.headers["Cookie"] = browser.headers["Cookie"].replace("gh_consent=yes", "gh_consent=no")
    assert browser.post(PAGE + "forget", b"").status == 204
    (forget,) = site.records(Forget)
    assert (forget.experiment, forget.visitor, forget.exposed_ms) == (12, visitor, site.clock.now_ms)
    assert browser.headers["Cookie"] == "gh_consent=no"


def test_who_said_no_is_left_alone_from_then_on(site: Site, browser: Browser):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    browser.post(PAGE + "forget", b"")
    browser.headers["Cookie"] = "gh_consent=no"
    got = browser.get(PAGE)
    assert (got.body, got.set_cookies) == (b"<h1>control</h1>", ())
    assert len(site.records(Exposure)) == 1
    assert tallied(site) == {"opted_out": 1}


def test_a_refusal_holds_even_if_it_could_not_be_sent(site: Site, browser: Browser):
    force(site, shares={"v2": 1.0})
    browser.get(PAGE)
    browser.headers["Cookie"] += "; gh_consent=no"
    assert browser.get(PAGE).body == b"<h1>control</h1>"
    browser.get(PAGE + "go/cta")
    assert site.records(Conversion) == []


@pytest.mark.parametrize("cookie", ["", "gh_12=nonsense", "gh_12=a.b.c", "gh_12=" + "9" * 400])
def test_nobody_can_have_another_forgotten(site: Site, cookie: str):
    assert site.browser(Cookie=cookie).post(PAGE + "forget", b"").status == 204
    assert site.records(Forget) == []


def test_a_withdrawal_that_cannot_be_written_down_says_so(tmp_path: Path):
    with serving(tmp_path, planted()) as site:
        browser = site.browser()
        browser.get(PAGE)
        site.splitter.journal.close()
        for path in (tmp_path / "journal").iterdir():
            path.unlink()
        (tmp_path / "journal").rmdir()
        (tmp_path / "journal").write_text("a file where the folder should be")
        got = browser.post(PAGE + "forget", b"")
        assert (got.status, got.set_cookies) == (503, ())


# --- what moves no count --------------------------------------------------------------------------------------------


def test_what_strangers_and_forgers_report_is_tallied_under_its_kind(site: Site, browser: Browser):
    own = browser.get(PAGE).cookie.removeprefix("gh_12=")
    force(site, slug="other", experiment=13)
    elsewhere = Browser(port=site.port, headers=dict(browser.headers))
    elsewhere.headers["Cookie"] = f"gh_13={own}"
    elsewhere.get("/p/other/go/cta")
    forged = own[:-1] + ("A" if own[-1] != "A" else "B")
    site.browser(Cookie=f"gh_13={forged}").get("/p/other/go/cta")
    site.browser().get("/p/other/go/cta")
    assert site.records(Conversion) == []
    counts = [tally.counts for tally in site.records(Tally) if tally.experiment == 13]
    assert counts == [{"foreign": 1, "forged": 1, "unattributed": 1}]


def test_no_altered_cookie_earns_a_conversion_or_breaks_an_answer(site: Site, browser: Browser):
    value = browser.get(PAGE).cookie.removeprefix("gh_12=")
    for position, old in enumerate(value):
        altered = value[:position] + ("0" if old != "0" else "1") + value[position + 1 :]
        forger = Browser(port=site.port, headers={**browser.headers, "Cookie": f"gh_12={altered}"}, keeps_cookies=False)
        assert forger.get(PAGE + "go/cta").status == 302
        assert forger.post(SEEN, b"").status == 204
    assert site.records(Conversion) == []
    assert len(site.records(Exposure)) == 1
    assert tallied(site) == {"forged": len(value)}


@pytest.mark.parametrize("confirm", [True, False])
def test_a_new_secret_key_forgets_nobody(tmp_path: Path, *, confirm: bool):
    store = planted(confirm_exposures=confirm, shares={"v2": 1.0})
    with serving(tmp_path, store) as site:
        visitor = site.browser()
        visitor.get(PAGE)
    publish(store, document(store, sequence=2, confirm_exposures=confirm, shares={"control": 1.0}))
    with serving(tmp_path, store, secret_key="a new one", secret_key_fallbacks=("a secret",)) as site:
        moved = Browser(port=site.port, headers=dict(visitor.headers))
        assert moved.get(PAGE).body == b"<h1>v2</h1>"
        moved.post(SEEN, b"")
        moved.get(PAGE + "go/cta")
        assert len(site.records(Exposure)) == len(site.records(Conversion)) == 1


@pytest.mark.parametrize("changes", [{"status": "finished"}, {"status": "promoted", "winner": "v2"}])
def test_who_was_shown_what_everyone_sees_is_not_confirmed_any_more(site: Site, changes: dict[str, str]):
    browser = site.browser(**{"Sec-Purpose": "prefetch"})
    browser.get(PAGE)
    force(site, **changes)
    browser.post(SEEN, b"")
    assert browser.form(PAGE + "form", b"email=ada@example.com").status == 303
    assert (site.records(Exposure), site.records(Conversion)) == ([], [])
    assert len(site.records(Lead)) == 1


def test_a_program_with_a_pending_cookie_moves_no_count(site: Site):
    browser = site.browser(**{"Sec-Purpose": "prefetch"})
    browser.get(PAGE)
    browser.headers["User-Agent"] = GOOGLEBOT
    browser.post(SEEN, b"")
    assert browser.form(PAGE + "form", b"email=ada@example.com").status == 303
    assert (site.records(Exposure), site.records(Conversion)) == ([], [])


def test_a_pending_cookie_that_the_browser_should_have_dropped_counts_no_more(confirming: Site):
    browser = confirming.browser()
    browser.get(PAGE)
    confirming.clock.now_ms += 24 * HOUR_MS + 1
    browser.post(SEEN, b"")
    assert confirming.records(Exposure) == []


@pytest.mark.parametrize("address", ["seen", "forget"])
def test_another_site_can_take_no_cookies_away(confirming: Site, address: str):
    browser = confirming.browser()
    browser.get(PAGE)
    browser.headers["Sec-Fetch-Site"] = "cross-site"
    got = browser.post(PAGE + address, b"")
    assert (got.status, got.set_cookies) == (403, ())
    assert confirming.records(Exposure) == []
