"""Compare pages by the embeddings of the server that writes them, where it has some; else by the shipped words.

    page ──▶ what it tells ──▶ one call to the server, entered in the ledger ──▶ Fingerprint ──▶ Match

The first call that fails, or that no budget has room for, ends it for this generation: from then on, and for all its
pages, the shipped word vectors decide. That is logged, stands in the ledger, and the generation says so.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Final

import numpy as np
from django.conf import settings

from variants import ledger, novelty
from variants.background_loop import BackgroundLoop
from variants.lease import HEARTBEAT_SECONDS, Lease
from variants.ledger import Bill, OverBudget
from variants.llm import Embedded, LLMError, ModelEmbedder, Usage
from variants.meaning import Vector, unit
from variants.models import Generation, ModelCall
from variants.prompts import PROMPT_VERSION

logger = logging.getLogger(__name__)

MOST_TEXTS_PER_CALL: Final = 200
MOST_CHARACTERS: Final = 8_000  # of a text; models take about 8,000 tokens
FELL_BACK: Final = "The server’s embeddings could not be used, so repeats were looked for with the shipped word table."


@dataclass(slots=True, kw_only=True)
class Meanings:
    """The pages of one generation by the server's embeddings, in the order in which they came."""

    generation: Generation
    lease: Lease
    loop: BackgroundLoop
    embedder: ModelEmbedder
    about: str
    there_before: Sequence[novelty.Told]  # sent with the first page that is to be compared with them
    has_failed: bool = False
    _known: novelty.PageSet | None = None
    _last: tuple[novelty.Told, novelty.Fingerprint] | None = None

    def nearest(self, texts: novelty.Told) -> novelty.Match | None:
        """Return the page most like this one; None when there is none, or when embeddings cannot be had."""
        try:
            known = self._ready()
            print_ = self._prints([texts])[0]
        except (LLMError, OverBudget) as error:
            logger.warning("generation %s: no embeddings: %s", self.generation.pk, error)
            self.has_failed = True
            return None
        self._last = (texts, print_)
        return known.nearest(print_)

    def add(self, texts: novelty.Told) -> None:
        """Take a page in that was let through, right after it was compared."""
        if self._known is not None and self._last is not None and self._last[0] == texts:
            self._known.add(self._last[1])

    def _ready(self) -> novelty.PageSet:
        if self._known is None:
            limit = settings.ENVIRONMENT.embedding_repeat_limit
            about = self._vectors([self.about])[0]
            self._known = novelty.PageSet(self._prints(self.there_before), about=about, limit=limit, rises=False)
        return self._known

    def _prints(self, told: Sequence[novelty.Told]) -> list[novelty.Fingerprint]:
        vectors = self._vectors([text for texts in told for text in texts])
        ends = np.cumsum([len(texts) for texts in told])
        return [novelty.fingerprint_from(part) for part in np.split(vectors, ends)[:-1]]

    def _vectors(self, texts: Sequence[str]) -> Vector:
        """Return a row for each text; one that is empty gets zeros, for servers refuse it."""
        unlike = list(dict.fromkeys(text[:MOST_CHARACTERS] for text in texts if text.strip()))
        parts = [unlike[at : at + MOST_TEXTS_PER_CALL] for at in range(0, len(unlike), MOST_TEXTS_PER_CALL)]
        rows = [row for part in parts for row in self._asked(part).vectors]
        found = dict(zip(unlike, rows, strict=True))
        nothing = [0.0] * (len(rows[0]) if rows else 1)
        return unit(np.array([found.get(text[:MOST_CHARACTERS], nothing) for text in texts], dtype=np.float32))

    def _asked(self, texts: Sequence[str]) -> Embedded:
        call = ledger.reserve(
            self.generation,
            purpose=ModelCall.Purpose.COMPARE,
            model=self.embedder.name,
            prompt_version=PROMPT_VERSION,
            cost_micro_usd=self.embedder.most_cost_micro_usd(texts),
        )
        future = self.loop.start(self.embedder.embed(texts))
        while not wait([future], timeout=HEARTBEAT_SECONDS).done:
            self.lease.renew()
        try:
            embedded = future.result()
        except LLMError as error:
            _settle(call, ModelCall.Outcome.LOST if error.usage.is_lost else ModelCall.Outcome.FAILED, error.usage)
            raise
        _settle(call, ModelCall.Outcome.USED, embedded.usage)
        return embedded


def _settle(call: ModelCall, outcome: ModelCall.Outcome, usage: Usage) -> None:
    bill = Bill(
        outcome=outcome,
        model=call.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=0,
        cost_micro_usd=usage.cost_micro_usd,
    )
    ledger.settle(call.pk, bill)
