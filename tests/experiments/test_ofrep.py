"""Apps ask for arms by OpenFeature's protocol: what they get, what is counted, who is let in."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments import deployment, erasure, flags, ofrep
from experiments.models import Allocation, AppKey, EpochCount, Experiment, Exposure, Goal, KeyedVisitor, Tally
from experiments.retention import enforce_retention
from tests.factories import make_running

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]

SITE = "https://shop.example"


@pytest.fixture
def experiment() -> Experiment:
    made = make_running(arms=3, slug="offer", goal_kind=Goal.Kind.EVENT)
    deployment.deploy(made, reason="test")
    made.refresh_from_db()
    return made


@pytest.fixture
def key(experiment: Experiment) -> AppKey:
    made = AppKey.objects.create(name="Shop", origins=SITE)
    made.experiments.add(experiment)
    return made


class App:
    """A client that shows its key."""

    def __init__(self, key: str) -> None:
        self.headers = {"authorization": f"Bearer {key}"}

    def post(self, path: str, body: object, **headers: str) -> Any:
        data = body if isinstance(body, str) else json.dumps(body)
        kind = "application/json"
        return Client().post(f"/ofrep/v1/{path}", data, content_type=kind, headers=self.headers | headers)

    def evaluate(self, person: str, **context: object) -> dict[str, Any]:
        answer = self.post("evaluate/flags/offer", {"context": {"targetingKey": person, **context}})
        assert answer.status_code == 200, answer.content
        return answer.json()  # type: ignore[no-any-return]

    def track(self, person: str, name: str, context: dict[str, Any] | None = None, **details: object) -> dict[str, Any]:
        body = {"name": name, "context": {"targetingKey": person, **(context or {})}, "details": details}
        answer = self.post("track", body)
        assert answer.status_code == 200, answer.content
        return answer.json()["tracked"][0]  # type: ignore[no-any-return]

    def expose(self, person: str, **context: Any) -> dict[str, Any]:
        return self.track(person, "greenhouse.exposure", context, flag="offer")


@pytest.fixture
def app(key: AppKey) -> App:
    return App(key.key)


def reshare(experiment: Experiment, **shares: float) -> None:
    epoch = experiment.allocations.count() + 1
    Allocation.objects.create(experiment=experiment, epoch=epoch, shares=shares, reason="test")
    deployment.publish(experiment)


def move_to(experiment: Experiment, status: str, **changes: object) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(status=status, **changes)
    deployment.publish(experiment)


def counted(measure: str = "exposures") -> dict[tuple[str, int], int]:
    rows = EpochCount.objects.filter(measure=measure).values_list("arm__key", "epoch", "count")
    found: Counter[tuple[str, int]] = Counter()
    for arm, epoch, count in rows:
        found[arm, epoch] += count
    return dict(found)


def test_an_arm_stays_the_same_while_shares_change(app, experiment):
    # Of sixty people each arm gets one: by chance one is missed once in ten thousand million runs.
    first = {person: app.evaluate(person)["variant"] for person in map(str, range(60))}
    assert set(first.values()) == {"control", "v2", "v3"}
    reshare(experiment, control=0.02, v2=0.96, v3=0.02)
    assert {person: app.evaluate(person)["variant"] for person in first} == first
    newcomers = Counter(app.evaluate(f"new {number}")["variant"] for number in range(60))
    assert newcomers["v2"] > 40


def test_an_evaluation_says_what_the_arm_is_and_counts_nothing(app, experiment):
    answer = app.evaluate("ada")
    variant = experiment.arms.get(key=answer["variant"]).variant
    assert answer["value"] == {"arm": answer["variant"], "genes": variant.genes, "content": variant.content}
    assert answer["reason"] == "SPLIT"
    expected = {"isControl": variant.is_control, "isCounted": True, "epoch": 1, "propensity": pytest.approx(1 / 3)}
    assert answer["metadata"] == expected
    assert not Exposure.objects.exists()
    assert not Tally.objects.exists()


def test_an_exposure_counts_once_for_the_epoch_of_the_assignment(app, experiment):
    arm = app.evaluate("ada")["variant"]
    reshare(experiment, control=0.5, v2=0.25, v3=0.25)
    assert app.evaluate("ada")["metadata"]["propensity"] == pytest.approx(1 / 3)
    told = [app.expose("ada") for _ in range(3)]
    assert all(result["counted"] for result in told)
    assert len({result["token"] for result in told}) == 1
    assert counted() == {(arm, 1): 1}


def test_the_exposure_is_dated_when_the_arm_was_shown(app):
    app.evaluate("ada")
    KeyedVisitor.objects.update(assigned_at=timezone.now() - timedelta(days=30))
    app.expose("ada")
    assert app.track("ada", "signup")["counted"]
    assert sum(counted("signup").values()) == 1, "the goal's week begins with the exposure, not with the assignment"


def test_a_goal_counts_after_the_exposure_and_not_before(app):
    arm = app.evaluate("ada")["variant"]
    assert app.track("ada", "signup") == {"flag": "offer", "counted": False, "reason": "too_soon"}
    app.expose("ada")
    assert [app.track("ada", "signup")["counted"] for _ in range(2)] == [True, True]
    assert counted("signup") == {(arm, 1): 1}
    assert Tally.objects.get(kind="repeated").count == 1


def test_another_server_reports_a_conversion_by_the_token(app, owner):
    from tests.experiments.test_api import make_call  # noqa: PLC0415 - that module's own client

    arm = app.evaluate("ada")["variant"]
    assert "token" not in app.evaluate("ada")["metadata"]
    app.expose("ada")
    token = app.evaluate("ada")["metadata"]["token"]
    assert make_call(owner)("POST", "/conversions", {"token": token, "goal": "signup"})[0] == 202
    assert counted("signup") == {(arm, 1): 1}


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        ({"userAgent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}, "bot"),
        ({"consent": False}, "opted_out"),
    ],
)
def test_bots_and_who_refuses_get_the_control_uncounted(app, context, kind):
    answer = app.evaluate("ada", **context)
    assert (answer["variant"], answer["reason"], answer["metadata"]["isCounted"]) == ("control", "DEFAULT", False)
    assert app.expose("ada", **context) == {"flag": "offer", "counted": False, "reason": kind}
    assert not KeyedVisitor.objects.exists()
    assert Tally.objects.get().kind == kind


def test_a_browser_that_objects_gets_the_control(app):
    body = {"context": {"targetingKey": "ada"}}
    answer = app.post("evaluate/flags/offer", body, origin=SITE, **{"sec-gpc": "1", "user-agent": "Mozilla/5.0 (X11)"})
    assert answer.json()["reason"] == "DEFAULT"
    assert not KeyedVisitor.objects.exists()


def test_where_consent_is_asked_for_nobody_is_kept_without_it(app, experiment):
    move_to(experiment, "running", consent_required=True)
    assert app.evaluate("ada")["reason"] == "DEFAULT"
    assert not KeyedVisitor.objects.exists()
    assert app.evaluate("ada", consent=True)["reason"] == "SPLIT"


def test_who_is_outside_the_traffic_share_stays_outside(app, experiment):
    move_to(experiment, "running", traffic_share=1e-9)
    people = [str(number) for number in range(20)]
    assert {app.evaluate(person)["reason"] for person in people} == {"DEFAULT"}
    move_to(experiment, "running", traffic_share=1.0)
    assert {app.evaluate(person)["variant"] for person in people} == {"control"}
    assert app.expose("1") == {"flag": "offer", "counted": False, "reason": "unattributed"}
    assert app.evaluate("somebody else")["reason"] == "SPLIT"


def test_a_paused_experiment_takes_nobody_new(app, experiment):
    reshare(experiment, v2=1.0)
    assert app.evaluate("ada")["variant"] == "v2"
    move_to(experiment, "paused")
    assert app.evaluate("ada")["variant"] == "v2"
    assert (app.evaluate("bob")["variant"], app.evaluate("bob")["reason"]) == ("control", "DISABLED")
    assert app.expose("ada")["counted"]


def test_once_stopped_everyone_gets_the_control_and_once_promoted_the_winner(app, experiment):
    reshare(experiment, v2=1.0)
    app.evaluate("ada")
    move_to(experiment, "finished")
    assert (app.evaluate("ada")["variant"], app.evaluate("ada")["reason"]) == ("control", "DISABLED")
    assert app.expose("ada")["counted"] is False
    move_to(experiment, "promoted", winner=experiment.arms.get(key="v3"))
    answer = app.post("evaluate/flags/offer", {}).json()
    assert (answer["variant"], answer["reason"]) == ("v3", "STATIC")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("evaluate/flags/nothing", {"context": {"targetingKey": "ada"}}, 404, "FLAG_NOT_FOUND"),
        ("evaluate/flags/offer", {"context": {}}, 400, "TARGETING_KEY_MISSING"),
        ("evaluate/flags/offer", {}, 400, "TARGETING_KEY_MISSING"),
        ("evaluate/flags/offer", "{not json", 400, "PARSE_ERROR"),
        ("evaluate/flags/offer", "[1]", 400, "PARSE_ERROR"),
        ("evaluate/flags/offer", "[" * 60_000, 400, "PARSE_ERROR"),
        ("evaluate/flags/offer", '{"context":"' + "a" * 70_000 + '"}', 400, "PARSE_ERROR"),
        ("evaluate/flags/offer", {"context": "ada"}, 400, "INVALID_CONTEXT"),
        ("evaluate/flags/offer", {"context": {"targetingKey": 7}}, 400, "INVALID_CONTEXT"),
        ("evaluate/flags", {"context": []}, 400, "INVALID_CONTEXT"),
        ("track", {"context": {"targetingKey": "ada"}}, 400, "PARSE_ERROR"),
        ("track", {"context": {"targetingKey": "ada"}, "name": "greenhouse.exposure"}, 400, "PARSE_ERROR"),
        ("track", {"context": {"targetingKey": "ada"}, "name": "nothing"}, 400, "GENERAL"),
        ("track", {"context": {"targetingKey": "ada"}, "name": "signup", "details": {"value": -1}}, 400, "PARSE_ERROR"),
        ("track", {"context": {"targetingKey": "ada"}, "name": "\0"}, 400, "PARSE_ERROR"),
        ("track", {"context": {}, "name": "signup"}, 400, "TARGETING_KEY_MISSING"),
    ],
)
def test_what_is_wrong_is_said_as_the_protocol_says_it(app, path, body, status, code):
    answer = app.post(path, body)
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)
    assert answer.json()["errorDetails"]


def test_keys_of_any_characters_are_different_people(app):
    for person in ["\x00", "\ud800", "\ud801", "é", "e\u0301", "a" * 1000]:
        app.evaluate(person)
    assert KeyedVisitor.objects.count() == 6


def test_all_flags_at_once_bear_a_tag(app):
    answer = app.post("evaluate/flags", {"context": {"targetingKey": "ada"}})
    assert [flag["key"] for flag in answer.json()["flags"]] == ["offer"]
    tag = answer["ETag"]
    again = app.post("evaluate/flags", {"context": {"targetingKey": "ada"}}, **{"if-none-match": tag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    nobody = app.post("evaluate/flags", {"context": {}}, **{"if-none-match": tag})
    assert nobody.json()["flags"][0]["errorCode"] == "TARGETING_KEY_MISSING"


def test_a_key_opens_its_experiments_only(app, key):
    other = make_running(slug="other")
    deployment.deploy(other, reason="test")
    assert app.post("evaluate/flags/other", {"context": {"targetingKey": "ada"}}).status_code == 404
    key.experiments.add(other)
    assert app.post("evaluate/flags/other", {"context": {"targetingKey": "ada"}}).status_code == 200


def test_without_a_key_nothing_is_told(app, key):
    assert App("gh_app_guessed").post("evaluate/flags/offer", {}).status_code == 401
    AppKey.objects.update(revoked_at=timezone.now())
    assert app.post("evaluate/flags/offer", {"context": {"targetingKey": "ada"}}).status_code == 401


def test_a_browser_may_use_a_key_on_its_sites_only(app):
    body = {"context": {"targetingKey": "ada"}}
    allowed = app.post("evaluate/flags/offer", body, origin=SITE)
    assert (allowed.status_code, allowed["Access-Control-Allow-Origin"]) == (200, SITE)
    assert app.post("evaluate/flags/offer", body, origin="https://evil.example").status_code == 403
    preflight = Client().options("/ofrep/v1/evaluate/flags", headers={"origin": SITE})
    assert "Authorization" in preflight["Access-Control-Allow-Headers"]


def test_only_a_keyed_digest_of_a_person_is_kept(app):
    app.evaluate("yve@example.com")
    app.expose("yve@example.com")
    [row] = KeyedVisitor.objects.values()
    assert "yve" not in json.dumps(row, default=str)  # "ada" would be found in one of fifty digests
    assert flags.digests_of(row["experiment_id"], "yve@example.com") == [row["digest"]]


def test_who_asks_to_be_forgotten_is_and_may_come_again(app, experiment, owner):
    from tests.experiments.test_api import make_call  # noqa: PLC0415 - that module's own client

    app.evaluate("ada")
    app.expose("ada")
    assert app.post("forget", {"context": {"targetingKey": "ada"}}).status_code == 404, "an app's key is no secret"
    forget = f"/experiments/{experiment.pk}/forget"
    assert make_call(owner)("POST", forget, {"targeting_key": "ada"}) == (200, {"forgotten": True})
    assert make_call(owner)("POST", forget, {"targeting_key": "ada"}) == (200, {"forgotten": False})
    assert not KeyedVisitor.objects.exists()
    assert not Exposure.objects.exists()
    app.evaluate("ada")
    assert app.expose("ada")["counted"]
    assert sum(counted().values()) == 2, "totals stay"


def test_a_new_secret_key_forgets_nobody(app, settings):
    first = {str(number): app.evaluate(str(number))["variant"] for number in range(6)}
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another secret " * 4
    flags._digest_keys.cache_clear()
    try:
        assert {person: app.evaluate(person)["variant"] for person in first} == first
        assert KeyedVisitor.objects.count() == 6
    finally:
        flags._digest_keys.cache_clear()


def test_an_app_knows_people_no_longer_than_a_browser_would(app):
    app.evaluate("ada")
    app.evaluate("bob")
    now = timezone.now()
    KeyedVisitor.objects.filter(digest__in=digests(app, "ada")).update(assigned_at=now - timedelta(days=401))
    enforce_retention(now)
    assert [row.digest for row in KeyedVisitor.objects.all()] == digests(app, "bob")


def digests(app: App, person: str) -> list[str]:
    return flags.digests_of(Experiment.objects.get(slug="offer").pk, person)


def test_who_erases_a_visitor_erases_what_the_app_knows(app, experiment):
    app.evaluate("ada")
    app.expose("ada")
    row = KeyedVisitor.objects.get()
    assert row.exposed_at is not None
    erasure.forget_visitor(experiment.pk, row.visitor, exposed=(row.exposed_at, row.exposed_at))
    assert not KeyedVisitor.objects.exists()
    assert not Exposure.objects.exists()


def test_one_address_cannot_ask_without_end(app, monkeypatch):
    monkeypatch.setenv("VISITOR_RATE_PER_SECOND", "0.1")  # one at once, the next in ten seconds, on any machine
    monkeypatch.setenv("VISITOR_RATE_EXEMPT", "")
    ofrep._limit.cache_clear()
    answers = [app.post("evaluate/flags/offer", {"context": {"targetingKey": "ada"}}) for _ in range(12)]
    ofrep._limit.cache_clear()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0]["Retry-After"] == "1"


def test_who_is_known_costs_three_queries_however_many_arms_there_are(app, django_assert_num_queries):
    app.evaluate("ada")
    with django_assert_num_queries(3):  # the key, its experiments, the person
        app.evaluate("ada")
    with django_assert_num_queries(5):  # and the assignment, written and read
        app.evaluate("bob")
