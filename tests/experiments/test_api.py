"""The API as a client of the contract sees it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from experiments.api.experiments import token_signer
from experiments.models import APIToken, EpochCount, Experiment, Goal, Lead, Tally
from experiments.splitter.cookies import COOKIE_PURPOSE, TOKEN_PURPOSE, Assignment, Signer
from experiments.tokens import new_token, token_digest
from tests.factories import make_brief, make_experiment, make_running, page

pytestmark = pytest.mark.django_db(transaction=True)

BRIEF: dict[str, Any] = {
    "name": "Archive guide",
    "product": "A document archive.",
    "audience": "Households with too much paper.",
    "offer": "A free set-up guide.",
    "facts": ["It runs on your own computer."],
    "angles": ["speed", "privacy"],
    "must_say": [],
    "never_say": ["cheap"],
    "tone": "plain",
    "language": "en",
    "call_to_action": {"label": "Send me the guide", "kind": "form"},
}
EXPERIMENT: dict[str, Any] = {
    "name": "Archive",
    "slug": "archive",
    "goals": [{"key": "signup", "kind": "form", "primary": True, "window_hours": 168}],
    "policy": "earn",
    "control_share": 0.1,
    "traffic_share": 1.0,
}

type Call = Callable[..., tuple[int, Any]]


def make_call(user: User) -> Call:
    token = new_token()
    APIToken.objects.create(user=user, digest=token_digest(token))

    def call(method: str, path: str, body: object = None, *, raw: str | None = None) -> tuple[int, Any]:
        data = raw if raw is not None else json.dumps(body) if body is not None else ""
        answer = Client().generic(
            method,
            f"/api/v1{path}",
            data,
            content_type="application/json",
            headers={"authorization": f"Bearer {token}"},
        )
        return answer.status_code, answer.json() if answer.content else None

    return call


@pytest.fixture
def call() -> Call:
    return make_call(User.objects.create_superuser("owner"))


@pytest.mark.usefixtures("redis_url", "eager_tasks")
def test_a_draft_becomes_a_running_experiment(call):
    _, brief = call("POST", "/briefs", BRIEF)
    status, experiment = call("POST", "/experiments", {**EXPERIMENT, "brief_id": brief["id"]})
    assert (status, experiment["status"]) == (201, "draft")
    path = f"/experiments/{experiment['id']}"
    for number in range(3):
        body = {"content": page(f"Headline {'abc'[number]}"), "is_control": number == 0}
        status, variant = call("POST", f"{path}/variants", body)
        assert status == 201
        assert call("POST", f"/variants/{variant['id']}/approve")[0] == 200
    assert call("POST", f"{path}/start") == (200, {**experiment, "status": "running"})
    status, report = call("GET", f"{path}/report")
    assert [arm["key"] for arm in report["arms"]] == ["control", "v2", "v3"]
    assert sum(arm["share"] for arm in report["arms"]) == pytest.approx(1)
    assert report["epoch"] == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "Not A Slug"}, "slug"),
        ({"goals": []}, "goals"),
        ({"goals": [{"key": "a", "kind": "form"}, {"key": "b", "kind": "click"}]}, "goals"),
        ({"goals": [{"key": "a", "kind": "sale", "primary": True}]}, "goals.0.kind"),
        ({"goals": [{"key": "A B", "kind": "form"}]}, "goals.0.key"),
        ({"brief_id": 999_999}, "brief_id"),
        ({"control_share": 1.5}, "control_share"),
        ({"traffic_share": 0}, "traffic_share"),
        ({"name": "  "}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"planned_days": 10**22}, "planned_days"),
        ({"policy": "guess"}, "policy"),
        ({"salary": 3}, "salary"),
    ],
)
def test_a_bad_experiment_is_refused_by_field(call, changes, field):
    body = {**EXPERIMENT, "brief_id": make_brief().pk, **changes}
    status, problem = call("POST", "/experiments", body)
    assert status == 422
    assert field in {error["field"] for error in problem["errors"]}
    assert not Experiment.objects.exists()


def test_a_slug_is_taken_once(call):
    make_experiment(slug="archive")
    status, problem = call("POST", "/experiments", {**EXPERIMENT, "brief_id": make_brief().pk})
    assert status == 422
    assert problem["errors"][0]["field"] == "slug"


def test_what_is_not_json_is_a_problem_not_a_crash(call):
    status, problem = call("POST", "/briefs", raw="{not json")
    assert status == 400
    assert problem["status"] == 400


def test_brands_are_listed_also_without_a_privacy_page(call):
    _, brand = call("POST", "/brands", {"name": "Paperwork"})
    status, listed = call("GET", "/brands")
    assert (status, [each["id"] for each in listed["items"]]) == (200, [brand["id"]])


def test_a_brief_finds_a_brand_of_its_name_though_there_are_two(call):
    first, _ = (call("POST", "/brands", {"name": BRIEF["name"]})[1]["id"] for _ in range(2))
    _, brief = call("POST", "/briefs", BRIEF)
    assert call("GET", f"/briefs/{brief['id']}")[1]["brand_id"] == first


def test_deciding_twice_changes_nothing_and_a_rejected_variant_says_the_way_back(call):
    experiment = make_experiment()
    variant = experiment.nursery.variants.get(number=2)
    assert [call("POST", f"/variants/{variant.pk}/approve")[0] for _ in range(2)] == [200, 200]
    assert [call("POST", f"/variants/{variant.pk}/reject")[0] for _ in range(2)] == [200, 200]
    status, problem = call("POST", f"/variants/{variant.pk}/approve")
    assert status == 409
    assert "edit it" in problem["detail"]


@pytest.mark.parametrize("path", ["/nothing", "/experiments/999999/report", "/variants/999999"])
def test_what_is_not_there_is_a_problem_document(call, path):
    status, problem = call("GET", path)
    assert (status, problem["status"]) == (404, 404)


def test_a_page_of_a_list_far_beyond_its_end_is_refused_not_a_crash(call):
    assert call("GET", "/experiments?offset=1000")[1] == {"items": [], "count": 0}
    assert call("GET", f"/experiments?offset={10**24}")[0] == 422


def test_the_value_of_a_goal_beside_the_primary_one_is_in_the_report(call, settings):
    experiment = make_running(goal_kind="event")
    Goal.objects.create(experiment=experiment, key="sale", kind="revenue")
    body = {"token": token_of(experiment, settings), "goal": "sale", "value": 12.5, "event_id": "order-1"}
    assert call("POST", "/conversions", body)[0] == 202
    arms = {arm["key"]: arm for arm in call("GET", f"/experiments/{experiment.pk}/report")[1]["arms"]}
    assert arms["v2"]["goal_values"] == {"sale": 12.5}


def test_a_shared_report_opens_until_the_link_is_revoked(call, client):
    experiment = make_running()
    path = call("POST", f"/experiments/{experiment.pk}/share")[1]["url"].removeprefix("http://127.0.0.1:8000")
    assert client.get(path).status_code == 200
    assert call("DELETE", f"/experiments/{experiment.pk}/share") == (200, {"revoked": 1})
    assert client.get(path).status_code == 404


def test_every_fault_of_a_page_is_named(call):
    experiment = make_experiment(arms=0)
    content = page()
    content["sections"][0]["headline"] = "x" * 91
    content["theme"]["layout"] = "pile"
    status, problem = call("POST", f"/experiments/{experiment.pk}/variants", {"content": content})
    assert status == 422
    fields = {error["field"] for error in problem["errors"]}
    assert {"content.sections.0.hero.headline", "content.theme.layout"} <= fields


@pytest.mark.parametrize("share", ["NaN", "Infinity", "-1"])
def test_a_share_that_is_no_share_is_refused_by_its_name(call, share):
    body = json.dumps({**EXPERIMENT, "brief_id": make_brief().pk}).replace(
        '"control_share": 0.1', f'"control_share": {share}'
    )
    status, problem = call("POST", "/experiments", raw=body)
    assert (status, problem["errors"][0]["field"]) == (422, "control_share")


@pytest.mark.parametrize("field", ["name", "product", "tone", "thank_you"])
def test_a_brief_of_blanks_is_refused_by_field(call, field):
    status, problem = call("POST", "/briefs", {**BRIEF, field: " \u200b "})
    assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])


def test_a_check_of_two_fields_names_the_one_to_mend(call):
    link = {"label": "Buy", "kind": "link"}
    status, problem = call("POST", "/briefs", {**BRIEF, "call_to_action": link})
    assert (status, problem["errors"][0]["field"]) == (422, "call_to_action.url")


def test_a_brief_without_a_brand_does_not_borrow_another_products(call):
    _, brand = call("POST", "/brands", {"name": "Paperwork", "legal_footer": "Paperwork Ltd"})
    _, brief = call("POST", "/briefs", BRIEF)
    assert call("GET", f"/briefs/{brief['id']}")[1]["brand_id"] != brand["id"]
    _, owned = call("POST", "/briefs", {**BRIEF, "brand_id": brand["id"]})
    assert call("GET", f"/briefs/{owned['id']}")[1]["brand_id"] == brand["id"]


@pytest.mark.parametrize("body", [{"count": 0}, {"count": 3, "budget_usd": -1}, {"count": 3, "budget_usd": 1e30}])
def test_a_bad_request_for_variants_is_refused_by_field(call, body):
    experiment = make_experiment(arms=0)
    status, problem = call("POST", f"/experiments/{experiment.pk}/generate", body)
    assert status == 422
    assert problem["errors"][0]["field"] == list(body)[-1]


def test_a_start_says_what_is_missing(call):
    experiment = make_experiment(arms=0)
    status, problem = call("POST", f"/experiments/{experiment.pk}/start")
    assert status == 409
    assert problem["errors"][0]["field"] == "variants"


@pytest.mark.parametrize("step", ["pause", "resume", "stop", "promote", "reallocate", "proof", "set-aside"])
def test_a_step_from_the_wrong_status_is_a_conflict_with_a_reason(call, step):
    experiment = make_experiment()
    status, problem = call("POST", f"/experiments/{experiment.pk}/{step}")
    assert status == 409
    assert "draft" in problem["detail"]


def test_promote_takes_the_named_arm(call):
    experiment = make_running()
    assert call("POST", f"/experiments/{experiment.pk}/stop")[1]["status"] == "finished"
    assert call("POST", f"/experiments/{experiment.pk}/promote", {"arm": "nobody"})[0] == 422
    assert call("POST", f"/experiments/{experiment.pk}/promote", {"arm": "v2"})[1]["status"] == "promoted"
    experiment.refresh_from_db()
    assert experiment.winner is not None
    assert experiment.winner.key == "v2"


def test_a_proof_round_is_started_reported_and_ended(call):
    experiment = make_running(arms=3)
    path = f"/experiments/{experiment.pk}/proof"
    assert call("POST", path, {"arm": "v2"})[0] == 200
    assert call("POST", path, {"arm": "v3"})[0] == 409
    proof = call("GET", f"/experiments/{experiment.pk}/report")[1]["proof"]
    assert (proof["arm"], proof["exposures"], proof["is_proved"]) == ("v2", [0, 0], False)
    assert call("DELETE", path)[0] == 200
    assert call("GET", f"/experiments/{experiment.pk}/report")[1]["proof"]["state"] == "ended"


def test_numbers_that_cannot_be_trusted_are_set_aside(call):
    experiment = make_running()
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=timezone.now())
    assert call("GET", f"/experiments/{experiment.pk}")[1]["frozen_at"] is not None
    assert call("POST", f"/experiments/{experiment.pk}/set-aside")[0] == 200
    assert call("GET", f"/experiments/{experiment.pk}")[1]["frozen_at"] is None


def token_of(experiment: Experiment, settings: Any, *, purpose: bytes = TOKEN_PURPOSE) -> str:
    exposed_ms = int(timezone.now().timestamp() * 1000)
    seen = Assignment(visitor="a" * 32, experiment=experiment.pk, arm="v2", epoch=1, exposed_ms=exposed_ms)
    return Signer(settings.SECRET_KEY, purpose=purpose).sign(seen)


def test_a_conversion_from_another_server_counts_once(call, settings):
    experiment = make_running(goal_kind="event")
    body = {"token": token_of(experiment, settings), "goal": "signup"}
    assert [call("POST", "/conversions", body)[0] for _ in range(3)] == [202, 202, 202]
    assert EpochCount.objects.get(measure="signup").count == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"token": "forged"},
        {"goal": "nothing"},
        {"currency": "EUR"},
        {"occurred_at": "2020-01-01T00:00:00Z"},
        {"occurred_at": "2999-01-01T00:00:00Z"},
    ],
)
def test_a_conversion_that_makes_no_sense_is_refused(call, settings, changes):
    experiment = make_running(goal_kind="event")
    body = {"token": token_of(experiment, settings), "goal": "signup", **changes}
    status, problem = call("POST", "/conversions", body)
    assert status == 422
    assert problem["errors"][0]["field"] == next(iter(changes))


def test_a_cookie_is_no_token(call, settings):
    experiment = make_running(goal_kind="event")
    cookie = token_of(experiment, settings, purpose=COOKIE_PURPOSE)
    assert call("POST", "/conversions", {"token": cookie, "goal": "signup"})[0] == 422


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"goal": "nothing"}, "foreign"),
        ({"occurred_at": "2020-01-01T00:00:00Z"}, "early"),
    ],
)
def test_a_conversion_that_moves_no_count_is_tallied(call, settings, changes, kind):
    experiment = make_running(goal_kind="event")
    call("POST", "/conversions", {"token": token_of(experiment, settings), "goal": "signup", **changes})
    assert call("GET", f"/experiments/{experiment.pk}/report")[1]["not_counted"] == {kind: 1}


def test_a_forged_token_is_tallied_where_it_claims_to_belong(call, settings):
    experiment = make_running(goal_kind="event")
    signed = token_of(experiment, settings)
    forged = signed[:-1] + ("A" if signed[-1] != "A" else "B")
    other = make_running(goal_kind="event")
    for token in (forged, forged.replace(f".{experiment.pk}.", f".{other.pk}.", 1), "forged", f"a.{'9' * 40}.b"):
        assert call("POST", "/conversions", {"token": token, "goal": "signup"})[0] == 422
    tallies = Tally.objects.values_list("experiment", "kind", "count")
    assert set(tallies) == {(experiment.pk, "forged", 1), (other.pk, "forged", 1)}


def test_a_token_of_before_a_new_secret_key_still_counts(call, settings):
    experiment = make_running(goal_kind="event")
    token = token_of(experiment, settings)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    token_signer.cache_clear()
    assert call("POST", "/conversions", {"token": token, "goal": "signup"})[0] == 202
    token_signer.cache_clear()


def make_lead(experiment: Experiment) -> Lead:
    values = {"email": "jane@canary.example"}
    return Lead.objects.create(lead_id="1", experiment=experiment, values=values, submitted_at=timezone.now())


def test_leads_are_listed_and_erased(call, caplog):
    experiment = make_running()
    lead = make_lead(experiment)
    listed = call("GET", f"/experiments/{experiment.pk}/leads")[1]
    assert [(each["id"], each["values"]) for each in listed["items"]] == [(lead.pk, lead.values)]
    assert [call("DELETE", f"/leads/{lead.pk}")[0] for _ in range(2)] == [204, 404]
    assert not Lead.objects.exists()
    assert "canary" not in caplog.text


def test_leads_are_for_those_who_may_see_them():
    lead = make_lead(make_running())
    call = make_call(User.objects.create_user("stranger"))
    assert call("GET", f"/experiments/{lead.experiment_id}/leads")[0] == 403
    assert call("DELETE", f"/leads/{lead.pk}")[0] == 403
    assert Lead.objects.exists()


def test_an_experiment_can_ask_for_confirmation(call):
    brief = make_brief()
    made = call("POST", "/experiments", {**EXPERIMENT, "brief_id": brief.pk, "confirm_exposures": True})[1]
    assert Experiment.objects.get(pk=made["id"]).confirm_exposures


def test_nobody_gets_in_without_a_token(client):
    answer = client.get("/api/v1/experiments")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


def test_a_user_without_permissions_may_do_nothing():
    experiment = make_running()
    call = make_call(User.objects.create_user("stranger"))
    steps = ("start", "pause", "resume", "stop", "promote", "reallocate", "proof", "set-aside")
    answers = [call("POST", f"/experiments/{experiment.pk}/{step}")[0] for step in steps]
    answers += [call("GET", f"/experiments/{experiment.pk}/report")[0], call("POST", "/briefs", BRIEF)[0]]
    assert answers == [403] * 10


def test_the_page_schema_names_every_section(call):
    status, schema = call("GET", "/schema/page-content")
    assert status == 200
    assert {"Hero", "Benefits", "HowItWorks", "Proof", "Pricing", "FAQ", "FormSection"} <= set(schema["$defs"])


def test_openapi_describes_the_calls_of_the_contract(client):
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    promised = {"/api/v1/briefs", "/api/v1/experiments/{experiment_id}/start", "/api/v1/conversions"}
    assert promised <= set(paths)


def test_a_plan_is_asked_for_listed_added_to_and_changed(call):
    path = f"/experiments/{make_experiment().pk}"
    assert call("POST", f"{path}/plan")[0] == 202
    status, made = call("POST", f"{path}/directions", {"angle": "Calm", "weight": 2})
    assert (status, made["origin"], made["weight"]) == (201, "hand", 2)
    assert call("PATCH", f"/directions/{made['id']}", {"is_struck": True})[1]["angle"] == "Calm"
    assert call("GET", f"{path}/directions")[1]["items"][0]["is_struck"] is True
    assert call("POST", f"{path}/directions", {"angle": ""})[0] == 422


def test_a_generation_is_cancelled_and_its_calls_are_listed(call):
    asked = call("POST", f"/experiments/{make_experiment().pk}/generate", {"count": 3})[1]["generation_id"]
    status, cancelled = call("POST", f"/generations/{asked}/cancel")
    assert (status, cancelled["status"]) == (200, "cancelled")
    assert call("GET", f"/generations/{asked}/calls")[1] == {"items": [], "count": 0}


def test_a_request_is_priced_and_an_experiments_budget_is_set(call):
    path = f"/experiments/{make_experiment().pk}"
    assert call("GET", f"{path}/estimate?count=20")[1] == {"likely_usd": 0.0, "most_usd": 0.0, "is_limited": False}
    assert call("PUT", f"{path}/budget", {"budget_usd": 2.5})[1] == {"budget_usd": "2.5", "spent_usd": 0.0}
    assert call("GET", f"{path}/estimate?count=501")[0] == 422
