"""What every writer promises, run over the model's client (against a real HTTP server) and the offline twin."""

from decimal import Decimal

import pytest

from tests.model_server import ModelServer, answered, good
from variants.brief import BriefSpec
from variants.content import PageContent
from variants.directions import of_angles, turn_for
from variants.llm import ModelWriter, OfflineWriter
from variants.prompts import PlanRequest, WriteRequest

BRIEF = BriefSpec.model_validate({
    "name": "Spring page", "product": "Paperless-ngx turns paper into a searchable archive.",
    "audience": "Small offices that drown in letters.", "offer": "Download it and run it on your own server.",
    "facts": ["It recognises more than 100 languages.", "It is open source."], "angles": ["Find any letter", "Calm"],
    "call_to_action": {"label": "Get the guide"},
})  # fmt: skip


def request(index: int = 0) -> WriteRequest:
    return WriteRequest(brief=BRIEF, turn=turn_for(of_angles(BRIEF), index), brand="Paperless")


def write(writer, index: int = 0):
    return answered(writer.write(request(index)))


@pytest.fixture(params=["model", "offline"])
def writer(request):
    if request.param == "offline":
        yield OfflineWriter()
        return
    with ModelServer(good()) as server:
        yield ModelWriter(
            api_key="sk-canary", base_url=server.url, model="scripted", timeout_seconds=60,
            price_input_usd=Decimal("0.25"), price_output_usd=Decimal(2),
        )  # fmt: skip


def test_a_writer_returns_a_whole_page(writer):
    content = write(writer).content
    assert PageContent.model_validate(content.model_dump(mode="json")) == content


def test_a_writer_takes_the_angle_it_was_given(writer):
    assert [write(writer, index).content.angle for index in (0, 1)] == ["Find any letter", "Calm"]


def test_a_writer_plans_directions_that_differ(writer):
    plan = answered(writer.plan(PlanRequest(brief=BRIEF, count=4))).directions
    assert len({direction.angle for direction in plan}) == len(plan) >= 2


def test_a_writer_names_what_wrote_the_page(writer):
    assert write(writer).usage.model in {"scripted-1", "offline twin"}


def test_a_writer_costs_no_more_than_it_said_it_could(writer):
    assert write(writer).usage.cost_micro_usd <= writer.most_cost_micro_usd(request())


def test_a_writer_expects_no_more_than_it_can_cost(writer):
    assert writer.likely_cost_micro_usd(request()) <= writer.most_cost_micro_usd(request())


def test_a_writer_says_whether_it_is_a_model(writer):
    assert writer.is_model == (write(writer).usage.prompt_tokens > 0)


def test_a_writer_does_not_show_its_key(writer):
    assert "canary" not in repr(writer)
