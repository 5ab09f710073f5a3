"""Clicks, forms, events and tokens, over real HTTP."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.splitter.cookies import TOKEN_PURPOSE, Signer
from experiments.splitter.journal import JournalUnavailable
from experiments.splitter.records import Conversion, Exposure, Lead, Tally
from tests.experiments.splitter.planting import document, planted, publish
from tests.experiments.splitter.serving import HOUR_MS, Browser, Site, serving

PAGE = "/p/paperless/"


@pytest.fixture
def visitor(site: Site) -> Browser:
    """A browser that was exposed, on a page with a query string."""
    browser = site.browser()
    browser.get(PAGE)
    browser.headers["Referer"] = f"http://127.0.0.1:{site.port}{PAGE}?utm_source=a&plan=free&gh_x=1&b=%C3%BC"
    return browser


def corpus(name: str) -> Iterator[dict[str, Any]]:
    """Give the rows of a public corpus; nothing without the folder."""
    folder = os.environ.get("CORPORA_DIR")
    if folder:
        with (Path(folder) / name).open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def break_journal(site: Site) -> None:
    """Make every further write fail."""

    def refuse(lines: bytes) -> None:
        raise JournalUnavailable("the disk is full")

    site.splitter.journal.append = refuse  # type: ignore[method-assign]  # the fault is what is tested


def test_a_click_leads_to_the_stored_address_and_counts(site: Site, visitor: Browser):
    got = visitor.get(PAGE + "go/cta")
    (exposure,), (conversion,) = site.records(Exposure), site.records(Conversion)
    assert got.status == 302
    assert (conversion.goal, conversion.event_id, conversion.value) == ("click", "", None)
    assert (conversion.visitor, conversion.arm, conversion.epoch, conversion.exposed_ms) == (
        exposure.visitor,
        exposure.arm,
        exposure.epoch,
        exposure.exposed_ms,
    )


def test_a_click_carries_the_pages_query_but_cannot_replace_a_parameter(visitor: Browser):
    location = visitor.get(PAGE + "go/cta?x=https://evil.example").headers["location"]
    assert location == "https://shop.example/buy?plan=pro&utm_source=a&b=%C3%BC#top"


@pytest.mark.parametrize(
    "referer", ["https://evil.example/p/paperless/?a=1", "http://[::1", "", "http://127.0.0.1/p/x/?a=1"]
)
def test_a_query_from_elsewhere_is_not_carried(visitor: Browser, referer: str):
    assert visitor.get(PAGE + "go/cta", Referer=referer).headers["location"] == "https://shop.example/buy?plan=pro#top"


def test_a_token_travels_only_where_the_link_asks_for_it(site: Site, visitor: Browser):
    location = visitor.get(PAGE + "go/partner", Referer="").headers["location"]
    token = location.removeprefix("https://partner.example/?gh_token=")
    read = Signer("a secret", purpose=TOKEN_PURPOSE).read(token)
    assert read is not None
    assert read.visitor == site.records(Exposure)[0].visitor
    assert site.browser().get(PAGE + "go/partner").headers["location"] == "https://partner.example/"


def test_a_telephone_link_gets_no_query(visitor: Browser):
    assert visitor.get(PAGE + "go/call").headers["location"] == "tel:+4930123"


def test_a_link_to_the_form_stays_on_the_page(visitor: Browser):
    assert visitor.get(PAGE + "go/form").headers["location"] == f"{PAGE}?utm_source=a&plan=free&b=%C3%BC#form"


def test_a_click_without_a_cookie_leads_on_uncounted(site: Site, browser: Browser):
    assert browser.get(PAGE + "go/cta").status == 302
    assert site.records(Conversion) == []
    assert site.records(Tally)[0].counts == {"unattributed": 1}


@pytest.mark.parametrize("header", [{"DNT": "1"}, {"Sec-GPC": "1"}, {"Sec-Purpose": "prefetch"}])
def test_a_click_of_who_opted_out_or_did_not_click_is_uncounted(site: Site, visitor: Browser, header: dict[str, str]):
    assert visitor.get(PAGE + "go/cta", **header).status == 302
    assert site.records(Conversion) == []


def test_a_head_of_a_link_is_uncounted(site: Site, visitor: Browser):
    assert visitor.send("HEAD", PAGE + "go/cta").status == 302
    assert site.records(Conversion) == []


@pytest.mark.parametrize(("hours", "counted"), [(23, 1), (24, 1), (25, 0)])
def test_a_conversion_counts_inside_its_window(site: Site, visitor: Browser, hours: int, counted: int):
    site.clock.now_ms += hours * HOUR_MS
    visitor.get(PAGE + "go/cta")
    assert len(site.records(Conversion)) == counted
    assert ({"late": 1} in [tally.counts for tally in site.records(Tally)]) is (counted == 0)


def test_a_click_is_followed_even_when_it_cannot_be_written(site: Site, visitor: Browser):
    break_journal(site)
    assert visitor.get(PAGE + "go/cta").status == 302


def test_a_valid_form_is_a_lead_and_a_conversion(site: Site, visitor: Browser):
    got = visitor.form(PAGE + "form", "email=%20Ann%40example.com&size=L&terms=on&other=x&n=ü".encode())
    (lead,), (conversion,) = site.records(Lead), site.records(Conversion)
    assert (got.status, got.headers["location"]) == (303, f"{PAGE}thanks?utm_source=a&plan=free&b=%C3%BC")
    assert lead.fields == {"email": "Ann@example.com", "size": "L", "terms": "yes"}
    assert (conversion.goal, conversion.visitor) == ("signup", lead.visitor)


def test_a_form_without_a_cookie_is_still_a_lead(site: Site, browser: Browser):
    assert browser.form(PAGE + "form", b"email=ann@example.com").status == 303
    (lead,) = site.records(Lead)
    assert (lead.visitor, lead.arm) == ("", "")
    assert site.records(Conversion) == []


def test_an_invalid_form_is_shown_again_in_the_visitors_arm(site: Site, visitor: Browser):
    arm = site.records(Exposure)[0].arm
    got = visitor.form(PAGE + "form", b"email=%3Cb%3E%22&size=L&terms=on")
    page = got.body.decode()
    assert got.status == 422
    assert page.startswith(f"<p>{arm}Your form was not sent.")
    assert "value='&lt;b&gt;&quot;'" in page
    assert "<i>Please enter an e-mail address" in page
    assert page.endswith("<option>S<option selected>L<input type=checkbox checked>")
    assert site.records(Lead) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Please fill in this field."),
        (b"email=%20%00", "Please fill in this field."),
        (b"email=" + b"a" * 60 + b"@b.de", "Please use at most 60 characters."),
        (b"email=a@b", "Please enter an e-mail address"),
    ],
)
def test_each_fault_has_its_message(visitor: Browser, body: bytes, message: str):
    got = visitor.form(PAGE + "form", body)
    assert got.status == 422
    assert message in got.body.decode()


def test_an_option_nobody_offered_is_refused(visitor: Browser):
    assert visitor.form(PAGE + "form", b"email=a@b.de&size=XXL").status == 422


def test_a_form_that_cannot_be_written_says_so_and_keeps_what_was_typed(site: Site, visitor: Browser):
    break_journal(site)
    got = visitor.form(PAGE + "form", b"email=ann@example.com")
    assert got.status == 503
    assert b"was not sent, because of a fault on our side. Please try again" in got.body
    assert b"value='ann@example.com'" in got.body


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 65537, {}, 413),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"a=1&" * 300, {}, 400),
        (b"email=%ff%fe&%zz=%", {}, 422),
        (b"\xff\xfe\x00=\x00", {}, 422),
    ],
)
def test_what_is_no_form_is_refused(browser: Browser, body: bytes, headers: dict[str, str], status: int):
    named = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    assert browser.post(PAGE + "form", body, **named).status == status


def test_a_page_without_a_form_takes_none(tmp_path: Path):
    with serving(tmp_path, planted(form=None)) as site:
        assert site.browser().form(PAGE + "form", b"email=a@b.de").status == 404


def test_messages_may_come_in_the_pages_language(tmp_path: Path):
    field = {"name": "name", "label": "Name", "kind": "text", "required": True, "max_length": 9, "options": []}
    form = {"goals": [], "fields": [field], "messages": {"invalid": "Bitte prüfen."}}
    with serving(tmp_path, planted(form=form)) as site:
        assert "Bitte prüfen.".encode() in site.browser().form(PAGE + "form", b"").body


def test_an_event_counts(site: Site, visitor: Browser):
    got = visitor.post(PAGE + "event", b'{"goal": "order", "value": 49.9, "event_id": "A-1", "more": []}')
    (conversion,) = site.records(Conversion)
    assert (got.status, got.body) == (204, b"")
    assert (conversion.goal, conversion.value, conversion.event_id) == ("order", 49.9, "A-1")


def test_an_event_goal_counts_once_whatever_its_id(site: Site, visitor: Browser):
    visitor.post(PAGE + "event", b'{"goal": "scroll", "event_id": "x"}', Content_Type="text/plain")
    assert site.records(Conversion)[0].event_id == ""


def test_an_event_without_a_cookie_is_tallied(site: Site, browser: Browser):
    assert browser.post(PAGE + "event", b'{"goal": "scroll"}').status == 204
    assert site.records(Tally)[0].counts == {"unattributed": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"goal": "scroll"',
        b'{"goal": "nothing"}',
        b'{"goal": "click"}',
        b'{"goal": "signup"}',
        b'{"goal": ["scroll"]}',
        b'{"goal": "order", "value": "5"}',
        b'{"goal": "order", "value": true}',
        b'{"goal": "order", "value": -1}',
        b'{"goal": "order", "value": NaN}',
        b'{"goal": "order", "value": Infinity}',
        b'{"goal": "order", "value": 1e309}',
        b'{"goal": "order", "value": 1e13}',
        b'{"goal": "order", "value": 1' + b"0" * 5000 + b"}",
        b'{"goal": "order", "value": 1' + b"0" * 400 + b"}",
        b'{"goal": "order", "event_id": 5}',
        b'{"goal": "order", "event_id": "' + b"x" * 101 + b'"}',
        b'{"goal": "order", "event_id": "a\\u0000"}',
        b'{"goal": "order", "event_id": "\\ud800"}',
        b'{"goal": "\xff"}',
        b"[" * 8000,
        b'{"a":' * 1500,
    ],
)
def test_what_is_not_understood_gets_a_reason(site: Site, visitor: Browser, body: bytes):
    got = visitor.post(PAGE + "event", body)
    assert got.status == 400
    assert json.loads(got.body)["error"]
    assert site.records(Conversion) == []


def test_a_long_event_is_refused(visitor: Browser):
    assert visitor.post(PAGE + "event", b" " * 8193).status == 413


def test_an_event_that_cannot_be_written_is_not_acknowledged(site: Site, visitor: Browser):
    break_journal(site)
    got = visitor.post(PAGE + "event", b'{"goal": "scroll"}')
    assert (got.status, got.headers["retry-after"]) == (503, "5")


@pytest.mark.corpora
@pytest.mark.skipif("CORPORA_DIR" not in os.environ, reason="needs the folder named by CORPORA_DIR")
def test_no_hostile_body_breaks_the_event_address(site: Site, visitor: Browser):
    bodies = [base64.b64decode(row["body_b64"]) for row in corpus("tracking_payloads/jsontestsuite.jsonl")]
    statuses = {visitor.post(PAGE + "event", body).status for body in bodies}
    assert len(bodies) > 200
    assert statuses <= {400, 413}
    assert site.records(Conversion) == []


@pytest.mark.corpora
@pytest.mark.skipif("CORPORA_DIR" not in os.environ, reason="needs the folder named by CORPORA_DIR")
def test_hostile_markup_comes_back_escaped(site: Site, visitor: Browser):
    form = site.splitter.refresher.experiments["paperless"].form
    assert form is not None
    vectors = [row["payload"] for row in corpus("xss/vectors.jsonl")]
    places = [form.check({"email": vector}).places("")["value:email"] for vector in vectors]
    assert len(places) > 1000
    assert not [place for place in places if set(b"<>\"'\0") & set(place)]


def test_the_token_is_for_counted_visitors(site: Site, visitor: Browser):
    got = visitor.get(PAGE + "token")
    token = json.loads(got.body)["token"]
    read = Signer("a secret", purpose=TOKEN_PURPOSE).read(token)
    assert read is not None
    assert read.visitor == site.records(Exposure)[0].visitor
    assert got.headers["cache-control"] == "private, no-store"
    assert site.browser().get(PAGE + "token").status == 404
    assert visitor.get(PAGE + "token", DNT="1").status == 404


def test_a_token_is_no_cookie(visitor: Browser, site: Site):
    token = json.loads(visitor.get(PAGE + "token").body)["token"]
    assert site.browser(Cookie=f"gh_12={token}").get(PAGE + "token").status == 404


def test_conversions_after_the_end_still_count(tmp_path: Path):
    with serving(tmp_path, planted()) as site:
        browser = site.browser()
        browser.get(PAGE)
        with serving(tmp_path, planted(status="finished", sequence=2)) as later:
            after = later.browser(Cookie=browser.headers["Cookie"])
            assert after.get(PAGE).body == b"<h1>control</h1>"
            assert after.get(PAGE + "go/cta").status == 302
            assert len(later.records(Conversion)) == 1


def test_an_arm_without_a_form_page_shows_the_faults_plainly(tmp_path: Path):
    store = planted()
    published = document(store, keys=("control",), sequence=2)
    published["arms"]["control"]["form"] = None
    publish(store, published)
    with serving(tmp_path, store) as site:
        got = site.browser().form(PAGE + "form", b"")
        assert (got.status, got.headers["content-type"]) == (422, "text/plain; charset=utf-8")
        assert b"Please fill in this field." in got.body
