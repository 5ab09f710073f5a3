import json
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments import breakdown
from experiments.models import EXPOSURES, Arm, Experiment, Tally
from experiments.reporting import wording
from experiments.reporting.freshness import stamp
from experiments.reporting.page import CONVERSIONS_NOT_COUNTED, VISITS_NOT_COUNTED
from experiments.reporting.share import share_url
from experiments.splitter import tallies
from tests.experiments.reporting.made import count, make_counted
from tests.factories import make_experiment, make_running

pytestmark = pytest.mark.django_db

PAGES = ["report/", "report.json", "report.csv", "report.xlsx", "leads.csv"]


class Shown(HTMLParser):
    """Collects what the page shows: text and exact value of each field of each arm, and of each key number."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[tuple[str, str], str] = {}
        self.values: dict[tuple[str, str], str] = {}
        self.arm, self.field = "", ""

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.arm = found.get("data-arm", "" if tag in {"table", "section"} else self.arm)
        self.field = found.get("data-field") or found.get("data-key") or self.field
        for end in ("low", "high"):
            if f"data-{end}" in found:
                self.values[found["data-key"], end] = found[f"data-{end}"]
        if "data-value" in found:
            self.values[self.arm, self.field] = found["data-value"]

    def handle_data(self, data):
        place = self.arm, self.field
        self.texts[place] = f"{self.texts.get(place, '')} {data.strip()}".strip()


def shown_and_told(experiment: Experiment) -> tuple[Shown, dict[str, Any]]:
    address = share_url(experiment, by=None).split("/", 3)[3]
    shown = Shown()
    shown.feed(Client().get(f"/{address}").content.decode())
    return shown, json.loads(Client().get(f"/{address}report.json").content)


def make_reported() -> Experiment:
    experiment = make_counted([(4000, 120), (4100, 161), (12, 0), (0, 0)])
    experiment.arms.filter(key="v3").update(status=Arm.Status.RETIRED)
    return experiment


STATES = {
    "nobody yet": [(0, 0), (0, 0)],
    "collecting": [(60, 2), (55, 9), (62, 0)],
    "leaning": [(4000, 120), (4000, 150), (4000, 118)],
    "decided": [(9000, 270), (9000, 540)],
    "cannot_be_trusted": [(4000, 120), (4100, 161), (12, 0), (0, 0)],
    "a hundred": [(900, 27)] * 99 + [(900, 81)],
}


@pytest.mark.parametrize("state", STATES)
def test_what_the_page_shows_equals_the_json_to_the_digit(state):
    shown, told = shown_and_told(make_counted(STATES[state]))
    assert told["verdict"]["state"] == state or state in {"nobody yet", "a hundred"}
    assert len(told["arms"]) == len(STATES[state])
    figure = told["verdict"]["figure"]
    ends = [json.loads(shown.values["figure", end]) for end in ("low", "high")] if figure else None
    assert ends == (figure and figure["lift_interval"])
    for arm in told["arms"]:
        for field in ("exposures", "conversions", "rate", "probability_best", "lift", "lift_raw", "share"):
            exact = shown.values[arm["key"], field]
            assert json.loads(exact or "null") == arm[field], (arm["key"], field)


def test_what_the_page_says_is_the_json_in_words():
    shown, told = shown_and_told(make_counted([(4000, 120), (4100, 161)]))
    for arm in told["arms"]:
        interval = tuple(arm["rate_interval"])
        assert shown.texts[arm["key"], "rate"] == wording.rate(arm["rate"], interval)
        assert shown.texts[arm["key"], "rate_interval"] == wording.rate_interval(interval)
        assert shown.texts[arm["key"], "exposures"] == wording.whole(arm["exposures"])
        assert shown.texts[arm["key"], "probability_best"] == wording.chance(arm["probability_best"])
    assert shown.texts["", "verdict"].startswith(told["verdict"]["text"])
    assert json.loads(shown.values["", "exposures"]) == sum(arm["exposures"] for arm in told["arms"])


def test_too_early_a_lift_is_a_range_and_never_one_number():
    shown, told = shown_and_told(make_counted(STATES["collecting"]))
    for arm in told["arms"][1:]:
        assert not shown.texts.get((arm["key"], "lift"))
        assert shown.texts[arm["key"], "lift_interval"] == wording.lift_interval(tuple(arm["lift_interval"]))


def test_of_numbers_that_cannot_be_trusted_none_compares_pages():
    shown, told = shown_and_told(make_counted(STATES["cannot_be_trusted"]))
    page = make_counted(STATES["cannot_be_trusted"])
    body = Client().get("/" + share_url(page, by=None).split("/", 3)[3]).content.decode()
    assert "chart-lifts" not in body
    assert {shown.texts[arm["key"], "probability_best"] for arm in told["arms"]} == {"–"}


def test_of_hundreds_of_pages_the_likeliest_are_sent_and_all_when_asked_for():
    experiment = make_counted([(50, 2)] * 130)
    address = "/" + share_url(experiment, by=None).split("/", 3)[3]
    few, everything = (Client().get(f"{address}{query}").content.decode() for query in ("", "?all"))
    assert (few.count("data-arm="), everything.count("data-arm=")) == (120, 130)
    assert "Load all 130" in few
    assert "Load all" not in everything


@pytest.mark.parametrize("page", PAGES)
def test_who_is_not_logged_in_is_sent_to_the_login(client, page):
    answer = client.get(f"/experiments/{make_running().pk}/{page}")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/console/login/")


@pytest.mark.parametrize("page", PAGES)
def test_who_may_not_see_it_cannot_tell_whether_it_exists(client, stranger, page):
    client.force_login(stranger)
    here, nowhere = (client.get(f"/experiments/{pk}/{page}") for pk in (make_running().pk, 999_999))
    assert (here.status_code, nowhere.status_code) == (403, 403)
    assert here.content == nowhere.content


def test_who_may_see_experiments_sees_reports_but_no_leads(client, stranger):
    stranger.user_permissions.add(Permission.objects.get(codename="view_experiment"))
    client.force_login(User.objects.get(pk=stranger.pk))
    pk = make_running().pk
    assert [client.get(f"/experiments/{pk}/{page}").status_code for page in PAGES] == [200, 200, 200, 200, 403]
    assert b"leads.csv" not in client.get(f"/experiments/{pk}/report/").content


@pytest.mark.parametrize("page", PAGES)
def test_an_owner_gets_every_form_of_the_report_and_no_cache_keeps_it(client, owner, page):
    client.force_login(owner)
    answer = client.get(f"/experiments/{make_running().pk}/{page}")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "private, no-store")


@pytest.mark.parametrize("page", PAGES)
def test_a_report_is_only_read(client, owner, page):
    client.force_login(owner)
    assert client.post(f"/experiments/{make_running().pk}/{page}").status_code == 405


def test_a_draft_has_a_report_that_says_so(client, owner):
    client.force_login(owner)
    assert "Not started yet" in client.get(f"/experiments/{make_experiment().pk}/report/").content.decode()


def test_a_hostile_name_is_shown_as_text(client, owner):
    client.force_login(owner)
    experiment = make_counted([(100, 3), (100, 9)], name="<script>alert(1)</script>")
    experiment.nursery.variants.update(name="<img src=x onerror=alert(2)>")
    body = client.get(f"/experiments/{experiment.pk}/report/").content.decode()
    assert "<script>alert" not in body
    assert "<img src=x" not in body


def test_conversions_counted_before_their_exposures_break_nothing(client, owner):
    client.force_login(owner)
    assert client.get(f"/experiments/{make_counted([(1, 3), (5, 0)]).pk}/report/").status_code == 200


def test_a_shares_history_of_a_hundred_arms_takes_a_handful_of_queries(client, owner, django_assert_max_num_queries):
    client.force_login(owner)
    pk = make_counted([(50, 2)] * 100).pk
    with django_assert_max_num_queries(30):
        client.get(f"/experiments/{pk}/report/")


def test_five_hundred_arms_take_as_many_queries_as_three(client, owner):
    client.force_login(owner)
    few, many = make_counted([(50, 2)] * 3).pk, make_counted([(50, 2)] * 500).pk
    taken = []
    for pk in (few, many):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/experiments/{pk}/report/").status_code == 200
        taken.append(len(queries))
    assert taken[0] == taken[1]


def test_an_unchanged_report_is_answered_without_being_computed(client, owner):
    client.force_login(owner)
    experiment = make_counted([(50, 2), (50, 3)])
    path = f"/experiments/{experiment.pk}/report/"
    etag = client.get(path)["ETag"]
    with CaptureQueriesContext(connection) as queries:
        again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again["ETag"]) in {(304, b"", etag), (200, again.content, again["ETag"])}
    assert again.status_code == 200 or len(queries) < 8  # a minute may have passed between the two
    count(experiment.arms.get(key="v2"), EXPOSURES, 1)
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_a_stamp_changes_with_whatever_a_report_shows():
    experiment = make_counted([(50, 2), (50, 3)])
    now = timezone.now()
    stamps = [stamp(experiment, now)]
    assert stamp(experiment, now) == stamps[0]
    for change in (
        lambda: count(experiment.arms.get(key="v2"), "signup", 1),
        lambda: Tally.objects.create(experiment=experiment, kind="bot", hour=now, count=1),
        lambda: experiment.arms.filter(key="v2").update(status=Arm.Status.RETIRED),
        lambda: breakdown.renew(experiment, now),
        lambda: experiment.allocations.create(epoch=2, shares={}, reason=""),
    ):
        change()
        stamps.append(stamp(experiment, now))
    assert len(set(stamps)) == len(stamps)


def test_what_was_left_out_is_named_in_plain_words():
    experiment = make_reported()
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    kinds = {
        "unconfirmed": 10, "confirmed": 7, "prefetch": 5, "shown": 5, "bot": 3, "forged": 2, "forgotten": 1,
    }  # fmt: skip
    Tally.objects.bulk_create(
        Tally(experiment=experiment, kind=kind, hour=hour, count=number) for kind, number in kinds.items()
    )
    shown, told = shown_and_told(experiment)
    assert told["not_counted"] == {"bot": 3, "forged": 2, "unconfirmed": 3}
    assert told["forgotten"] == 1
    assert json.loads(shown.values["", "not_counted"]) == 3 + 3
    page = Client().get("/" + share_url(experiment, by=None).split("/", 3)[3]).content.decode()
    for words in ("Visits whose page never ran in a browser", "forged or damaged", "1 person asked to be forgotten"):
        assert words in page


def test_every_kind_of_tally_has_words_of_its_own():
    kinds = {value for name, value in vars(tallies).items() if name.isupper()}
    folded = {tallies.CONFIRMED, tallies.SHOWN}  # taken off their counterparts
    assert kinds - folded <= {*VISITS_NOT_COUNTED, *CONVERSIONS_NOT_COUNTED}
