"""Pages compared by the embeddings of a server that speaks the protocol, and without them when it fails."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import ThreadingHTTPServer
from typing import override

import numpy as np
import pytest
from django.conf import settings

from tests.model_server import PLAN, Handler, completion
from tests.variants.test_generation import WORDS, grow, page_of
from variants.estimates import estimate
from variants.llm import writer_for
from variants.meaning import vector_of
from variants.meanings import FELL_BACK


class EmbeddingServer(ThreadingHTTPServer):
    """Answers plans, pages and embeddings; `status` is what embeddings are answered with."""

    daemon_threads = True

    def __init__(self, pages: list[str], status: int = 200, size: int = 100) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.pages, self.status, self.size = pages, status, size
        self.embedded: list[dict[str, object]] = []


class Answering(Handler):
    server: EmbeddingServer  # type: ignore[assignment]  # not the scripted one of its parent

    @override
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/embeddings"):
            self.server.embedded.append(body)
            rows = [{"object": "embedding", "index": 0, "embedding": self._vector(text)} for text in body["input"]]
            usage = {"prompt_tokens": 1000, "total_tokens": 1000}
            self.answer(self.server.status, {"object": "list", "data": rows, "model": "e", "usage": usage})
            return
        is_plan = body["response_format"]["json_schema"]["name"] == "plan"
        pages = self.server.pages
        said = PLAN if is_plan else page_of(pages.pop(0) if len(pages) > 1 else pages[0])
        self.answer(200, completion(json.dumps(said)))

    def _vector(self, text: str) -> list[float]:
        return np.resize(vector_of(text), self.server.size).tolist()


@pytest.fixture
def serve(monkeypatch) -> Iterator[object]:
    servers: list[EmbeddingServer] = []

    def start(pages: list[str], **options: int) -> EmbeddingServer:
        server = EmbeddingServer(pages, **options)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        changed = {
            "openai_base_url": f"http://127.0.0.1:{server.server_address[1]}/v1", "openai_embedding_model": "e-1",
            "model_in_flight": 1, "model_price_input_usd": Decimal("0.25"),
        }  # fmt: skip
        monkeypatch.setattr(settings, "ENVIRONMENT", settings.ENVIRONMENT.model_copy(update=changed))
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def grown(nursery, count, **more):
    return grow(nursery, count, writer_for(settings.ENVIRONMENT), **more)


def test_pages_are_compared_by_the_servers_embeddings_and_paid_for(nursery, serve):
    server = serve(list(WORDS)[:4])
    made = grown(nursery, 4)
    assert (made.accepted, made.duplicates) == (4, 0)
    assert FELL_BACK not in made.message
    calls = made.calls.filter(purpose="embed")
    assert calls.count() == len(server.embedded) == 5  # the brief, and each page
    assert {(call.model, call.outcome, call.prompt_tokens, call.cost_micro_usd) for call in calls} == {
        ("e-1", "used", 1000, 250)
    }
    assert {body["encoding_format"] for body in server.embedded} == {"float"}


def test_a_repeat_is_found_by_them(nursery, serve):
    first, second = list(WORDS)[:2]
    serve([first, first, second])
    made = grown(nursery, 2)
    assert (made.accepted, made.duplicates) == (2, 1)


def test_pages_that_were_there_before_are_sent_once(nursery, serve):
    serve(list(WORDS)[:3])
    grown(nursery, 2)
    server = serve([next(iter(WORDS)), list(WORDS)[4]])
    made = grown(nursery, 1)
    assert (made.accepted, made.duplicates) == (1, 1)
    assert len(server.embedded) == 4  # the brief, two pages that were there, and the two answers


@pytest.mark.parametrize("broken", [{"status": 500}, {"status": 404}, {"size": 0}])
def test_without_embeddings_the_shipped_words_decide_and_it_is_said(nursery, serve, broken):
    first, second = list(WORDS)[:2]
    server = serve([first, first, second], **broken)
    made = grown(nursery, 2)
    assert (made.accepted, made.duplicates) == (2, 1)
    assert FELL_BACK in made.message
    assert {call.outcome for call in made.calls.filter(purpose="embed")} == {"failed"}
    assert len({str(body["input"]) for body in server.embedded}) == 1  # not asked again for the next page


def test_a_budget_holds_for_embeddings(nursery, serve):
    serve(list(WORDS)[:2])
    made = grown(nursery, 2, budget_usd=Decimal("0.04"))
    assert made.cost_micro_usd <= 40_000


def test_what_embeddings_can_cost_is_in_the_estimate(nursery, serve, monkeypatch):
    serve(["Granite"])
    with_them = estimate(nursery, 5, user_id=None)
    unnamed = settings.ENVIRONMENT.model_copy(update={"openai_embedding_model": ""})
    monkeypatch.setattr(settings, "ENVIRONMENT", unnamed)
    assert with_them.most_micro_usd > estimate(nursery, 5, user_id=None).most_micro_usd > 0
