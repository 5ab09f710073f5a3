import asyncio
import gzip
import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from tests.contracts.test_writers import BRIEF, request
from tests.model_server import (
    PAGE,
    PLAN,
    ModelServer,
    answered,
    dripping,
    endless,
    failing,
    fenced,
    good,
    hanging,
    once_all_are_there,
    only,
    page,
    raw,
    saying,
    without,
)
from variants.content import PageContent
from variants.llm import (
    NOTHING_USED,
    LLMBadOutput,
    LLMError,
    LLMMisconfigured,
    LLMRefused,
    LLMUnavailable,
    ModelWriter,
    OfflineWriter,
    page_in,
    wire_schema,
    writer_for,
)
from variants.prompts import PlanRequest

KEY = "sk-canary-key"
PATIENCE_SECONDS = 30.0  # as a deadline where that is not what is tested, and as a long time where it is


def model_writer(server, *, timeout_seconds=PATIENCE_SECONDS):
    return ModelWriter(
        api_key=KEY, base_url=server.url, model="scripted", timeout_seconds=timeout_seconds,
        price_input_usd=Decimal("0.25"), price_output_usd=Decimal(2),
    )  # fmt: skip


def ask(writer, asked=None):
    return answered(writer.write(asked or request()))


def write(*behaviours, timeout_seconds=PATIENCE_SECONDS):
    with ModelServer(*behaviours) as server:
        return ask(model_writer(server, timeout_seconds=timeout_seconds)), server


def refused(*behaviours, error=LLMError, timeout_seconds=PATIENCE_SECONDS):
    with pytest.raises(error) as caught:
        write(*behaviours, timeout_seconds=timeout_seconds)
    return caught.value


def test_tokens_and_cost_are_the_servers_count_at_our_prices():
    written, _ = write(good())
    assert (written.usage.prompt_tokens, written.usage.completion_tokens) == (1000, 500)
    assert written.usage.cost_micro_usd == 1000 * 0.25 + 500 * 2


def test_a_server_that_knows_only_json_objects_is_asked_for_one():
    _, server = write(only("json_object"))
    assert [body["response_format"]["type"] for body in server.requests] == ["json_schema", "json_object"]


def test_a_server_without_response_formats_is_asked_in_words():
    _, server = write(only(None))
    assert "JSON Schema" in server.requests[-1]["messages"][0]["content"]


def test_the_rung_that_worked_is_remembered():
    with ModelServer(only("json_object")) as server:
        writer = model_writer(server)
        ask(writer)
        ask(writer)
        assert len(server.requests) == 3


def test_an_older_server_is_given_the_older_name_of_the_token_limit():
    _, server = write(without("max_completion_tokens"))
    assert "max_tokens" in server.requests[-1]


def test_fenced_json_is_read():
    written, _ = write(fenced())
    assert written.content.hero.headline == PAGE["sections"][0]["headline"]


def test_a_wrong_page_is_bad_output_that_quotes_what_is_wrong_and_what_it_cost():
    error = refused(good(page("x" * 200)), error=LLMBadOutput)
    assert "at most 90 characters" in error.fault.reasons[0]
    assert error.usage.prompt_tokens == 1000


def test_a_fault_is_sent_back_with_the_answer_it_was_found_in():
    error = refused(good(page("x" * 200)), error=LLMBadOutput)
    with ModelServer(good()) as server:
        ask(model_writer(server), replace(request(), faults=(error.fault,)))
        assert "x" * 200 in server.requests[0]["messages"][-2]["content"]
        assert "at most 90 characters" in server.requests[0]["messages"][-1]["content"]


@pytest.mark.parametrize("answer", [saying("No JSON."), good({"headline": "Hi"}), good({**PAGE, "html": "<b>"})])
def test_a_server_that_takes_the_schema_and_does_not_hold_to_it_is_told_in_words(answer):
    with ModelServer(answer, good()) as server:
        writer = model_writer(server)
        with pytest.raises(LLMBadOutput):
            ask(writer)
        ask(writer)
        assert [body["response_format"]["type"] for body in server.requests] == ["json_schema", "json_object"]


def test_a_limit_that_the_schema_leaves_out_is_no_reason_to_distrust_the_server():
    with ModelServer(good(page("x" * 200)), good()) as server:
        writer = model_writer(server)
        with pytest.raises(LLMBadOutput):
            ask(writer)
        ask(writer)
        assert {body["response_format"]["type"] for body in server.requests} == {"json_schema"}


def test_a_server_that_fails_on_the_schema_is_asked_without():
    broken = failing(500, message="failed to parse grammar")
    _, server = write(broken, broken, broken, good())
    assert server.requests[-1]["response_format"]["type"] == "json_object"


def test_a_plan_is_read_and_held_to_its_limits():
    asked = PlanRequest(brief=BRIEF, count=2)
    with ModelServer(good()) as server:
        plan = answered(model_writer(server).plan(asked)).directions
        assert [direction.angle for direction in plan] == ["Find any letter", "Paper that files itself"]
        server.plan = good({"directions": [{**PLAN["directions"][0], "angle": "x" * 200}]})
        with pytest.raises(LLMBadOutput, match="angle"):
            answered(model_writer(server).plan(asked))


def test_extra_keys_change_nothing_and_are_faults():
    with pytest.raises(LLMBadOutput, match="owner"):
        write(good({**PAGE, "status": "approved", "owner": 1}))


@pytest.mark.parametrize(
    "behaviour",
    [
        saying("Sorry, no page today."), saying(None), saying("[]"), saying("{" * 100_000), saying('{"sections": 1}'),
        saying(json.dumps(PAGE)[:-40]), saying(json.dumps(PAGE)[:-40], finish_reason="length"),
        raw(b"<html>hello</html>", "text/html"), raw(b"not json"), raw(b"null"), raw(b'{"choices": []}'),
        raw(b'{"choices": "no"}'), raw(b'{"choices": [{}]}'), raw(b'{"choices": [null]}'), raw(b""),
        raw(gzip.compress(b"{}"), Content_Encoding="gzip"),
    ],
)  # fmt: skip
def test_garbage_of_any_kind_is_bad_output(behaviour):
    with pytest.raises(LLMBadOutput):
        write(behaviour)


@pytest.mark.parametrize(
    "behaviour",
    [
        saying(None, refusal="I can't help with that."), saying("", finish_reason="content_filter"),
        failing(400, code="content_filter"),
    ],
)  # fmt: skip
def test_a_refusal_is_a_refusal_however_it_is_told(behaviour):
    with pytest.raises(LLMRefused):
        write(behaviour)


@pytest.mark.parametrize(
    ("status", "named"),
    [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "OPENAI_MODEL"), (400, "OPENAI_MODEL"), (302, "302")],
)
def test_a_misconfiguration_names_what_to_check_and_is_not_retried(status, named):
    with pytest.raises(LLMMisconfigured, match=named):
        write(failing(status))


def test_an_account_without_credit_is_for_the_operator():
    with pytest.raises(LLMMisconfigured, match="credit"):
        write(failing(429, code="insufficient_quota", Retry_After="0.1"))


def test_a_rate_limit_is_waited_out_as_long_as_the_server_asks():
    _, server = write(failing(429, Retry_After="1"), good())
    assert server.arrived_at[1] - server.arrived_at[0] >= 1


def test_a_wait_longer_than_the_deadline_is_not_begun():
    began = time.monotonic()
    with pytest.raises(LLMUnavailable):
        write(failing(429, Retry_After="50"))
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_server_that_always_fails_is_asked_three_times():
    with ModelServer(failing(500)) as server:
        with pytest.raises(LLMUnavailable):
            ask(model_writer(server))
        assert len(server.requests) == 3


def test_what_the_model_says_when_it_declines_is_shown():
    assert "I can't help" in str(refused(saying(None, refusal="I can't help with that."), error=LLMRefused))


def test_a_wait_until_a_date_beyond_the_deadline_is_not_begun():
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    began = time.monotonic()
    refused(failing(503, Retry_After=later), error=LLMUnavailable)
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_call_that_is_cut_off_counts_as_if_it_cost_the_most_it_can():
    # Long enough for the request to be sent: a process's first one takes half a second, and more on a busy machine.
    usage = refused(hanging(), error=LLMUnavailable, timeout_seconds=3.0).usage
    with ModelServer(good()) as server:
        assert (usage.is_lost, usage.cost_micro_usd) == (True, model_writer(server).most_cost_micro_usd(request()))


@pytest.mark.parametrize("behaviour", [failing(500), failing(429, Retry_After="50"), failing(401)])
def test_what_the_server_turned_away_costs_nothing(behaviour):
    assert refused(behaviour).usage == NOTHING_USED


@pytest.mark.parametrize("behaviour", [hanging(), dripping("body"), dripping("head")], ids=["hang", "body", "head"])
def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(behaviour):
    began = time.monotonic()
    with pytest.raises(LLMUnavailable, match="MODEL_TIMEOUT_SECONDS"):
        write(behaviour, timeout_seconds=0.7)
    assert time.monotonic() - began < PATIENCE_SECONDS  # it would never end


def test_an_endless_answer_is_cut_at_its_largest_size():
    with pytest.raises(LLMBadOutput, match="2,000,000"):
        write(endless())


def test_a_server_that_is_not_there_is_unavailable():
    with ModelServer(good()) as server:
        gone = model_writer(server)
    with pytest.raises(LLMUnavailable, match="OPENAI_BASE_URL"):
        ask(gone)


def test_many_calls_are_under_way_at_once_in_one_thread():
    async def ask_all(writer):
        return await asyncio.gather(*(writer.write(request()) for _ in range(20)))

    with ModelServer(once_all_are_there(20, good())) as server:
        assert len(answered(ask_all(model_writer(server)))) == 20


def test_the_key_is_in_no_message_and_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    for status in (400, 401, 403, 404, 429, 500):
        with pytest.raises(LLMError) as caught:
            write(failing(status, message=f"Incorrect API key provided: {KEY}", Retry_After="60"))
        said.append(str(caught.value))
    assert KEY not in caplog.text + "".join(said)


def test_the_wire_schema_has_no_limits_and_nothing_optional():
    text = json.dumps(wire_schema(PageContent))
    assert not any(f'"{limit}":' in text for limit in ("maxLength", "minItems", "oneOf", "default", "discriminator"))
    hero = wire_schema(PageContent)["$defs"]["Hero"]
    assert set(hero["required"]) == set(hero["properties"])
    assert hero["additionalProperties"] is False


def test_thoughts_before_the_answer_are_skipped():
    content, reasons = page_in(f"<think>{{maybe}}</think>{json.dumps(PAGE)}", "Calm")
    assert content is not None
    assert not reasons.told


def environment(**changed):
    defaults = {"openai_api_key": "", "openai_base_url": "", "openai_model": "m", "model_timeout_seconds": 5.0,
                "model_price_input_usd": Decimal(1), "model_price_output_usd": Decimal(1),
                "model_prices": {}}  # fmt: skip
    return SimpleNamespace(**{**defaults, **changed})


def test_without_key_and_address_the_offline_twin_writes():
    assert isinstance(writer_for(environment()), OfflineWriter)


@pytest.mark.parametrize("changed", [{"openai_api_key": "k"}, {"openai_base_url": "http://127.0.0.1:1/v1"}])
def test_a_key_or_an_address_is_enough_for_the_model(changed):
    assert isinstance(writer_for(environment(**changed)), ModelWriter)


def test_an_address_that_is_none_is_named():
    with pytest.raises(LLMMisconfigured, match="OPENAI_BASE_URL"):
        writer_for(environment(openai_base_url="localhost:11434"))


def test_a_model_with_a_price_of_its_own_costs_that():
    own = SimpleNamespace(input=Decimal(3), output=Decimal(0))
    dear = writer_for(environment(openai_api_key="k", model_prices={"m": own}))
    plain = writer_for(environment(openai_api_key="k", model_prices={"another": own}))
    assert dear.most_cost_micro_usd(request()) < 3 * plain.most_cost_micro_usd(request())
    assert dear.likely_cost_micro_usd(request()) > 0
