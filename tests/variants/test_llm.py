import gzip
import json
import logging
import threading
import time
from decimal import Decimal
from types import SimpleNamespace

import pytest

from tests.contracts.test_writers import request
from tests.model_server import (
    PAGE,
    ModelServer,
    dripping,
    endless,
    failing,
    fenced,
    good,
    hanging,
    only,
    page,
    raw,
    saying,
    without,
)
from variants.llm import (
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

KEY = "sk-canary-key"


def model_writer(server, *, timeout_seconds=5.0):
    return ModelWriter(
        api_key=KEY, base_url=server.url, model="scripted", timeout_seconds=timeout_seconds,
        price_input_usd=Decimal("0.25"), price_output_usd=Decimal(2),
    )  # fmt: skip


def write(*behaviours, timeout_seconds=5.0, may_repair=True):
    with ModelServer(*behaviours) as server:
        asked = request()
        if not may_repair:
            asked = type(asked)(brief=asked.brief, direction=asked.direction, may_repair=False)
        return model_writer(server, timeout_seconds=timeout_seconds).write(asked), server


def test_tokens_and_cost_are_the_servers_count_at_our_prices():
    written, _ = write(good())
    assert (written.prompt_tokens, written.completion_tokens) == (1000, 500)
    assert written.cost_micro_usd == 1000 * 0.25 + 500 * 2


def test_a_server_that_knows_only_json_objects_is_asked_for_one():
    _, server = write(only("json_object"))
    assert [body["response_format"]["type"] for body in server.requests] == ["json_schema", "json_object"]


def test_a_server_without_response_formats_is_asked_in_words():
    _, server = write(only(None))
    assert "JSON Schema" in server.requests[-1]["messages"][0]["content"]


def test_the_rung_that_worked_is_remembered():
    with ModelServer(only("json_object")) as server:
        writer = model_writer(server)
        writer.write(request())
        writer.write(request())
        assert len(server.requests) == 3


def test_an_older_server_is_given_the_older_name_of_the_token_limit():
    _, server = write(without("max_completion_tokens"))
    assert "max_tokens" in server.requests[-1]


def test_fenced_json_is_read():
    written, _ = write(fenced())
    assert written.content.hero.headline == PAGE["sections"][0]["headline"]


def test_a_schema_violation_is_put_right_once_and_both_answers_are_paid_for():
    written, server = write(good(page("x" * 200)), good())
    assert "at most 90 characters" in server.requests[1]["messages"][-1]["content"]
    assert written.prompt_tokens == 2000


def test_after_one_repair_a_wrong_page_is_bad_output_with_its_cost():
    with pytest.raises(LLMBadOutput) as caught:
        write(good(page("x" * 200)))
    assert caught.value.usage.prompt_tokens == 2000


def test_without_leave_to_repair_one_answer_is_paid_for():
    with pytest.raises(LLMBadOutput) as caught:
        write(good(page("x" * 200)), may_repair=False)
    assert caught.value.usage.prompt_tokens == 1000


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
        write(failing(429, Retry_After="50"), timeout_seconds=2)
    assert time.monotonic() - began < 1


def test_a_server_that_always_fails_is_asked_three_times():
    with ModelServer(failing(500)) as server:
        with pytest.raises(LLMUnavailable):
            model_writer(server).write(request())
        assert len(server.requests) == 3


@pytest.mark.parametrize("behaviour", [hanging(), dripping("body"), dripping("head")], ids=["hang", "body", "head"])
def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(behaviour):
    began = time.monotonic()
    with pytest.raises(LLMUnavailable, match="MODEL_TIMEOUT_SECONDS"):
        write(behaviour, timeout_seconds=0.7)
    assert time.monotonic() - began < 2.5


def test_an_endless_answer_is_cut_at_its_largest_size():
    with pytest.raises(LLMBadOutput, match="2,000,000"):
        write(endless())


def test_a_server_that_is_not_there_is_unavailable():
    with ModelServer(good()) as server:
        gone = model_writer(server)
    with pytest.raises(LLMUnavailable, match="OPENAI_BASE_URL"):
        gone.write(request())


def test_no_thread_is_left_behind():
    before = threading.active_count()
    write(good())
    assert threading.active_count() <= before


def test_the_key_is_in_no_message_and_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    for status in (400, 401, 403, 404, 429, 500):
        with pytest.raises(LLMError) as caught:
            write(failing(status, message=f"Incorrect API key provided: {KEY}", Retry_After="60"))
        said.append(str(caught.value))
    assert KEY not in caplog.text + "".join(said)


def test_the_wire_schema_has_no_limits_and_nothing_optional():
    text = json.dumps(wire_schema())
    assert not any(f'"{limit}":' in text for limit in ("maxLength", "minItems", "oneOf", "default", "discriminator"))
    hero = wire_schema()["$defs"]["Hero"]
    assert set(hero["required"]) == set(hero["properties"])
    assert hero["additionalProperties"] is False


def test_thoughts_before_the_answer_are_skipped():
    content, faults = page_in(f"<think>{{maybe}}</think>{json.dumps(PAGE)}", "Calm")
    assert content is not None
    assert not faults


def environment(**changed):
    defaults = {"openai_api_key": "", "openai_base_url": "", "openai_model": "m", "model_timeout_seconds": 5.0,
                "model_price_input_usd": Decimal(1), "model_price_output_usd": Decimal(1)}  # fmt: skip
    return SimpleNamespace(**{**defaults, **changed})


def test_without_key_and_address_the_offline_twin_writes():
    assert isinstance(writer_for(environment()), OfflineWriter)


@pytest.mark.parametrize("changed", [{"openai_api_key": "k"}, {"openai_base_url": "http://127.0.0.1:1/v1"}])
def test_a_key_or_an_address_is_enough_for_the_model(changed):
    assert isinstance(writer_for(environment(**changed)), ModelWriter)


def test_an_address_that_is_none_is_named():
    with pytest.raises(LLMMisconfigured, match="OPENAI_BASE_URL"):
        writer_for(environment(openai_base_url="localhost:11434"))
