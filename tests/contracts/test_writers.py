"""What every writer promises, run over the model's client (against a real HTTP server) and the offline twin."""

from decimal import Decimal

import pytest

from tests.model_server import ModelServer, good
from variants.brief import BriefSpec
from variants.content import PageContent
from variants.llm import ModelWriter, OfflineWriter
from variants.prompts import WriteRequest, direction_for

BRIEF = BriefSpec.model_validate({
    "name": "Spring page", "product": "Paperless-ngx turns paper into a searchable archive.",
    "audience": "Small offices that drown in letters.", "offer": "Download it and run it on your own server.",
    "facts": ["It recognises more than 100 languages.", "It is open source."], "angles": ["Find any letter", "Calm"],
    "call_to_action": {"label": "Get the guide"},
})  # fmt: skip


def request(index: int = 0) -> WriteRequest:
    return WriteRequest(brief=BRIEF, direction=direction_for(BRIEF, index), brand="Paperless")


@pytest.fixture(params=["model", "offline"])
def writer(request):
    if request.param == "offline":
        yield OfflineWriter()
        return
    with ModelServer(good()) as server:
        yield ModelWriter(
            api_key="sk-canary", base_url=server.url, model="scripted", timeout_seconds=5,
            price_input_usd=Decimal("0.25"), price_output_usd=Decimal(2),
        )  # fmt: skip


def test_a_writer_returns_a_whole_page(writer):
    content = writer.write(request()).content
    assert PageContent.model_validate(content.model_dump(mode="json")) == content


def test_a_writer_takes_the_angle_it_was_given(writer):
    assert [writer.write(request(index)).content.angle for index in (0, 1)] == ["Find any letter", "Calm"]


def test_a_writer_names_what_wrote_the_page(writer):
    assert writer.write(request()).model in {"scripted-1", "offline twin"}


def test_a_writer_costs_no_more_than_it_said_it_could(writer):
    assert writer.write(request()).cost_micro_usd <= writer.most_cost_micro_usd(request())


def test_a_writer_says_whether_it_is_a_model(writer):
    assert writer.is_model == (writer.write(request()).prompt_tokens > 0)


def test_a_writer_does_not_show_its_key(writer):
    assert "canary" not in repr(writer)
