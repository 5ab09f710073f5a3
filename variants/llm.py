"""The one door to a language model, and the offline twin that stands in for it.

LLMError                what any caller may catch; `usage` is what the call cost
├── LLMUnavailable      timeout, rate limit, 5xx after the SDK's retries: the same request may succeed later
├── LLMRefused          the model or its content filter declined: a person must change the brief or the direction
├── LLMBadOutput        the answer is not what was asked for; `fault`, if there is one, can be quoted to mend it
└── LLMMisconfigured    400, 401, 403, 404: the key, the model's name or the address is wrong; an operator must act

`Writer` is the seam. `ModelWriter` speaks to any server with an OpenAI-compatible Chat Completions endpoint;
`OfflineWriter` composes pages from formulas. `writer_for` picks one from the environment. A call asks once: whoever
holds the budget decides whether a wrong answer is worth another call.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from functools import cache
from typing import Any, Protocol

import httpx2
import openai
from pydantic import BaseModel, ValidationError

from variants.bounded import Bounds, OutOfTime, TooLarge, bounded, trusted
from variants.content import PageContent
from variants.directions import DirectionSpec, Plan
from variants.offline import MODEL_NAME, compose, propose, with_another_button
from variants.offline_patches import reword
from variants.patches import PatchContent
from variants.prompts import Fault, PlanRequest, Request, WriteRequest, schema_message
from variants.rewriting import Rewrite, patched


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call used, at our prices."""

    model: str = ""  # as the server names it
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0
    is_lost: bool = False  # cut off in the middle: what it cost is unknown, so the most it can cost is taken


NOTHING_USED = Usage()


class LLMError(Exception):
    def __init__(self, message: str, *, usage: Usage = NOTHING_USED) -> None:
        super().__init__(message)
        self.usage = usage


class LLMUnavailable(LLMError):
    pass


class LLMRefused(LLMError):
    pass


class LLMBadOutput(LLMError):
    def __init__(self, message: str, *, usage: Usage = NOTHING_USED, fault: Fault | None = None) -> None:
        super().__init__(message, usage=usage)
        self.fault = fault


class LLMMisconfigured(LLMError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    content: PageContent | PatchContent  # a patch of today's page, where the request came with one
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    directions: list[DirectionSpec]
    usage: Usage


class Writer(Protocol):
    """Proposes directions and writes pages; many calls may be under way at once, all in one event loop."""

    @property
    def is_model(self) -> bool: ...

    @property
    def name(self) -> str: ...

    async def plan(self, request: PlanRequest) -> Planned:
        """Return directions for pages, or raise an LLMError."""

    async def write(self, request: WriteRequest) -> Written:
        """Return a page, or a patch of the page that the request came with, or raise an LLMError."""

    def most_cost_micro_usd(self, request: Request) -> int:
        """Return what one call with this request can cost at most."""

    def likely_cost_micro_usd(self, request: Request) -> int:
        """Return what one call with this request will cost, as far as one can say before."""


class OfflineWriter:
    """Composes pages without a model. Free, quick, and the same page for the same request."""

    is_model = False
    name = MODEL_NAME

    async def plan(self, request: PlanRequest) -> Planned:
        return Planned(directions=propose(request.brief, request.count), usage=Usage(model=MODEL_NAME))

    async def write(self, request: WriteRequest) -> Written:
        return Written(content=composed(request), usage=Usage(model=MODEL_NAME))

    def most_cost_micro_usd(self, request: Request) -> int:
        return 0

    def likely_cost_micro_usd(self, request: Request) -> int:
        return 0


def composed(request: WriteRequest) -> PageContent | PatchContent:
    """Return what the offline twin writes."""
    if request.original is None:
        page = compose(request.brief, request.turn, brand=request.brand, images=request.images)
        child = request.child
        if child is None or child.slot != "call_to_action" or child.parent is None:
            return page
        held = PageContent.model_validate(child.parent).hero.call_to_action
        return with_another_button(page, request.brief, request.turn, held)
    return reword(request.original, request.brief, request.turn, brand=request.brand)


# The model


class ModelSettings(Protocol):
    """The part of the environment that says which model to use."""

    openai_api_key: str
    openai_base_url: str
    openai_model: str
    openai_embedding_model: str
    model_timeout_seconds: float
    model_price_input_usd: Decimal  # per million tokens, which makes it millionths of a dollar per token
    model_price_output_usd: Decimal

    @property
    def model_prices(self) -> Mapping[str, "Price"]:
        """Return prices by model; the two above are for those it leaves out."""


class Price(Protocol):
    """Dollars per million tokens."""

    @property
    def input(self) -> Decimal: ...

    @property
    def output(self) -> Decimal: ...


OPENAI_URL = "https://api.openai.com/v1"
KEY_FOR_KEYLESS_SERVERS = "none"  # the SDK insists on one; a local server ignores it
MOST_RETRIES = 2  # by the SDK, for 408, 409, 429, 5xx and broken connections
MOST_ANSWER_BYTES = 2_000_000  # a page is about 6,000
MOST_COMPLETION_TOKENS = 8_000  # a page is about 1,500; the rest is room for a reasoning model's thoughts
LIKELY_COMPLETION_TOKENS = 2_000  # for an estimate, before any page has shown what the model takes
TOKEN_LIMIT = "max_completion_tokens"  # noqa: S105 - a parameter's name
OLDER_TOKEN_LIMIT = "max_tokens"  # noqa: S105 - its name before 2024, and still on many servers
FEWEST_CHARACTERS_PER_TOKEN = 2  # English has about 4; used where an upper bound is wanted
LIKELY_CHARACTERS_PER_TOKEN = 4
MOST_TOKENS_BELIEVED = 10_000_000  # of a server's own account; more is nonsense
CONNECT_SECONDS = 5.0
MOST_FAULTS_QUOTED = 20
LONGEST_ANSWER_QUOTED = 20_000  # characters
LONGEST_REFUSAL_SHOWN = 200  # characters


class Rung(IntEnum):
    """How strictly a server can be asked for JSON; servers that refuse one rung are asked on the next."""

    SCHEMA = 0
    OBJECT = 1
    WORDS = 2


class _Rejected(Exception):
    """The server refuses requests of this shape (400 or 422)."""


def writer_for(environment: ModelSettings) -> Writer:
    """Return the writer the environment asks for: the offline twin unless a key or a server's address is set."""
    if not environment.openai_api_key and not environment.openai_base_url:
        return OfflineWriter()
    base_url = environment.openai_base_url or OPENAI_URL
    if not base_url.startswith(("http://", "https://")):
        raise LLMMisconfigured("OPENAI_BASE_URL must start with http:// or https://. Ask your operator to correct it.")
    price = environment.model_prices.get(environment.openai_model)
    return ModelWriter(
        api_key=environment.openai_api_key or KEY_FOR_KEYLESS_SERVERS,
        base_url=base_url,
        model=environment.openai_model,
        timeout_seconds=environment.model_timeout_seconds,
        price_input_usd=price.input if price else environment.model_price_input_usd,
        price_output_usd=price.output if price else environment.model_price_output_usd,
    )


class ModelWriter:
    """Asks a language model; calls share it.

    `timeout_seconds` is for one call with everything it takes: retries, and waiting as Retry-After asks.
    """

    is_model = True

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        model: str,
        timeout_seconds: float,
        price_input_usd: Decimal,
        price_output_usd: Decimal,
    ) -> None:
        self.name = model
        self._api_key = api_key
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._price_input_usd = price_input_usd
        self._price_output_usd = price_output_usd
        # Race: calls may both find a rung refused; each then remembers the same answer.
        self._rung = Rung.SCHEMA
        self._token_limit = TOKEN_LIMIT
        trusted()

    def __repr__(self) -> str:
        return f"ModelWriter(model={self.name!r})"

    def most_cost_micro_usd(self, request: Request) -> int:
        return self._cost(_characters(request) // FEWEST_CHARACTERS_PER_TOKEN, MOST_COMPLETION_TOKENS)

    def likely_cost_micro_usd(self, request: Request) -> int:
        return self._cost(_characters(request) // LIKELY_CHARACTERS_PER_TOKEN, LIKELY_COMPLETION_TOKENS)

    async def write(self, request: WriteRequest) -> Written:
        answer = await self._ask(request)
        page, reasons = content_in(answer.text, request)
        if page is None:
            raise self._unusable(answer, reasons, "The page came back unusable")
        return Written(content=page, usage=answer.usage)

    async def plan(self, request: PlanRequest) -> Planned:
        answer = await self._ask(request)
        plan, reasons = found_in(answer.text, Plan)
        if plan is None:
            raise self._unusable(answer, reasons, "The plan came back unusable")
        return Planned(directions=plan.directions, usage=answer.usage)

    def _unusable(self, answer: "Answer", reasons: "Reasons", what: str) -> "LLMBadOutput":
        if reasons.is_off_schema and not answer.is_cut_off and self._rung is Rung.SCHEMA:
            # The server took the schema and does not hold to it: from now on it is told in words as well.
            self._rung = Rung.OBJECT
        told = [CUT_OFF] if answer.is_cut_off else reasons.told
        fault = Fault(answer=answer.text[:LONGEST_ANSWER_QUOTED], reasons=tuple(told))
        return LLMBadOutput(f"{what}: {'; '.join(told)}", usage=answer.usage, fault=fault)

    async def _ask(self, request: Request) -> "Answer":
        """Return the model's answer, or raise the LLMError that says what came instead, with what it cost."""
        spent = Usage(model=self.name, cost_micro_usd=self.most_cost_micro_usd(request), is_lost=True)
        bounds: Bounds | None = None
        try:
            async with bounded(seconds=self._timeout_seconds, most_bytes=MOST_ANSWER_BYTES) as bounds:
                return await self._answer(self._client(bounds), request)
        except OutOfTime:
            raise self._too_slow(spent if bounds and bounds.is_open else NOTHING_USED) from None
        except openai.APIConnectionError as error:
            raise _unavailable(error, spent if bounds and bounds.is_open else NOTHING_USED) from None
        except (TooLarge, ValueError) as error:  # ValueError: the body claims to be JSON and is not
            what = f"is larger than {MOST_ANSWER_BYTES:,} bytes, or packed" if isinstance(error, TooLarge) else NO_JSON
            raise LLMBadOutput(f"The server's answer {what}", usage=spent) from None

    def _client(self, bounds: Bounds) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            http_client=bounds.client,
            max_retries=MOST_RETRIES,
            timeout=httpx2.Timeout(self._timeout_seconds, connect=min(CONNECT_SECONDS, self._timeout_seconds)),
        )

    async def _answer(self, client: openai.AsyncOpenAI, request: Request) -> "Answer":
        """Go down the ladder from the rung that worked last; remember where the server answered."""
        for rung in Rung:
            if rung < self._rung:
                continue
            try:
                answer = await self._answer_on(rung, client, request)
            except _Rejected:
                continue
            self._rung = max(rung, self._rung)
            return answer
        raise LLMMisconfigured(
            f"The language model's server refuses the request. Ask your operator to check OPENAI_MODEL ({self.name}) "
            "and OPENAI_BASE_URL."
        )

    async def _answer_on(self, rung: Rung, client: openai.AsyncOpenAI, request: Request) -> "Answer":
        limit = self._token_limit
        try:
            return await self._call(rung, client, request, limit)
        except openai.APIStatusError as error:
            is_old = limit == TOKEN_LIMIT and error.status_code in UNDERSTOOD_NOT and limit in str(error.body)
            if not is_old:
                raise self._translated(error, rung) from None
        self._token_limit = OLDER_TOKEN_LIMIT
        return await self._answer_on(rung, client, request)

    async def _call(self, rung: Rung, client: openai.AsyncOpenAI, request: Request, limit: str) -> "Answer":
        name, shape = _shape(request)
        in_words = [] if rung is Rung.SCHEMA else [schema_message(wire_schema(shape))]
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": message.role, "content": message.text} for message in [*in_words, *request.messages]],
            limit: MOST_COMPLETION_TOKENS,
        }
        if rung is Rung.SCHEMA:
            json_schema = {"name": name, "strict": True, "schema": wire_schema(shape)}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        elif rung is Rung.OBJECT:
            body["response_format"] = {"type": "json_object"}
        return self._read(await client.chat.completions.create(**body), request)

    def _read(self, completion: object, request: Request) -> "Answer":
        """Take what is needed out of an answer whose shape the SDK does not check."""
        choices = getattr(completion, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise LLMBadOutput(
                "The server's answer is not a chat completion", usage=self._used(completion, request, "")
            )
        choice = choices[0]
        message = getattr(choice, "message", None)
        text = getattr(message, "content", None)
        text = text if isinstance(text, str) else ""
        usage, reason = self._used(completion, request, text), getattr(choice, "finish_reason", None)
        refusal = getattr(message, "refusal", None)
        if refusal or reason == "content_filter":
            raise LLMRefused(_refused(refusal), usage=usage)
        return Answer(text=text, is_cut_off=reason == "length", usage=usage)

    def _used(self, completion: object, request: Request, text: str) -> Usage:
        usage, model = getattr(completion, "usage", None), getattr(completion, "model", None)
        estimate = _characters(request) // FEWEST_CHARACTERS_PER_TOKEN, len(text) // FEWEST_CHARACTERS_PER_TOKEN
        prompt_tokens = _tokens(getattr(usage, "prompt_tokens", None), estimate[0])
        completion_tokens = _tokens(getattr(usage, "completion_tokens", None), estimate[1])
        return Usage(
            model=model if isinstance(model, str) and model else self.name,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost_micro_usd=self._cost(prompt_tokens, completion_tokens),
        )

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> int:
        return math.ceil(prompt_tokens * self._price_input_usd + completion_tokens * self._price_output_usd)

    def _too_slow(self, usage: Usage) -> LLMUnavailable:
        return LLMUnavailable(
            f"The language model gave no whole answer within {self._timeout_seconds:g} seconds. Try again later, or "
            "ask your operator to raise MODEL_TIMEOUT_SECONDS.",
            usage=usage,
        )

    def _translated(self, error: openai.APIStatusError, rung: Rung) -> Exception:
        """Return our error for the server's; its own words stay out, because they may repeat the key."""
        status = error.status_code
        if status in UNDERSTOOD_NOT and error.code in {"content_filter", "content_policy_violation"}:
            return LLMRefused("The language model's content filter declined the brief. Reword what it may object to.")
        of_schema = status >= SERVER_FAULT and rung is Rung.SCHEMA and SCHEMA_TROUBLE.search(str(error.body))
        if status in UNDERSTOOD_NOT or of_schema:
            return _Rejected()
        if error.code == "insufficient_quota":
            return LLMMisconfigured("The language model's account has no credit left. Ask your operator to check it.")
        if status in MISCONFIGURED:
            return LLMMisconfigured(MISCONFIGURED[status].format(model=self.name))
        if status in RETRYABLE or status >= SERVER_FAULT:
            return LLMUnavailable(
                f"The language model is overloaded or down (HTTP {status}). Try again in a few minutes."
            )
        return LLMMisconfigured(f"The language model's server answered HTTP {status}. Ask your operator to check it.")


UNDERSTOOD_NOT = frozenset({400, 422})
RETRYABLE = frozenset({408, 409, 429})
SERVER_FAULT = 500
# What servers that build a grammar of the schema say when they cannot; some do so with a 500.
SCHEMA_TROUBLE = re.compile(r"response_format|json_schema|grammar|guided|structured", re.IGNORECASE)
MISCONFIGURED = {
    401: "The language model refused the key. Ask your operator to check OPENAI_API_KEY.",
    403: "The language model does not let this key in. Ask your operator to check OPENAI_API_KEY and its rights.",
    404: "The language model “{model}” was not found. Ask your operator to check OPENAI_MODEL and OPENAI_BASE_URL.",
}


def _unavailable(error: openai.APIConnectionError, usage: Usage) -> LLMUnavailable:
    what = "did not answer in time" if isinstance(error, openai.APITimeoutError) else "cannot be reached"
    return LLMUnavailable(
        f"The language model {what}. Try again in a few minutes; if it stays so, ask your operator to check "
        "OPENAI_BASE_URL.",
        usage=usage,
    )


def _refused(words: object) -> str:
    told = "The language model declined. Look for what it may object to in the brief and in the direction."
    said = " ".join(words.split()) if isinstance(words, str) else ""
    return f"{told} It said: “{said[:LONGEST_REFUSAL_SHOWN]}”" if said else told


def _shape(request: Request) -> tuple[str, type[BaseModel]]:
    if isinstance(request, PlanRequest):
        return "plan", Plan
    return ("page", PageContent) if request.original is None else ("patch", Rewrite)


def _characters(request: Request) -> int:
    _, shape = _shape(request)
    return sum(len(message.text) for message in request.messages) + len(json.dumps(wire_schema(shape)))


def _tokens(counted: object, estimate: int) -> int:
    """Return the server's count; where it gives none or nonsense, the estimate, so that a budget still holds."""
    is_count = isinstance(counted, int) and 0 <= counted <= MOST_TOKENS_BELIEVED
    return counted if isinstance(counted, int) and is_count else estimate


# Meanings


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    vectors: list[list[float]]  # one for each text, all of one length
    usage: Usage


def embedder_for(environment: ModelSettings) -> "ModelEmbedder | None":
    """Return the client of the server's embeddings, if there is a server and a model for them is named."""
    has_server = environment.openai_api_key or environment.openai_base_url
    if not has_server or not environment.openai_embedding_model:
        return None
    price = environment.model_prices.get(environment.openai_embedding_model)
    return ModelEmbedder(
        api_key=environment.openai_api_key or KEY_FOR_KEYLESS_SERVERS,
        base_url=environment.openai_base_url or OPENAI_URL,
        model=environment.openai_embedding_model,
        timeout_seconds=min(environment.model_timeout_seconds, LONGEST_EMBEDDING_SECONDS),
        price_usd=price.input if price else environment.model_price_input_usd,
    )


LONGEST_EMBEDDING_SECONDS = 10.0  # pages wait for it, and there is another way to compare them
MOST_DIMENSIONS = 10_000


class ModelEmbedder:
    """Asks the server what texts mean: POST /embeddings. Whoever asks has another way when it fails."""

    def __init__(self, *, api_key: str, base_url: str, model: str, timeout_seconds: float, price_usd: Decimal) -> None:
        self.name = model
        self._api_key = api_key
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._price_usd = price_usd  # per million tokens
        trusted()

    def __repr__(self) -> str:
        return f"ModelEmbedder(model={self.name!r})"

    def most_cost_micro_usd(self, texts: Sequence[str]) -> int:
        return self._cost(sum(map(len, texts)) // FEWEST_CHARACTERS_PER_TOKEN + len(texts))

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Return a vector for each text, in order; raise an LLMError."""
        lost = Usage(model=self.name, cost_micro_usd=self.most_cost_micro_usd(texts), is_lost=True)
        bounds: Bounds | None = None
        try:
            async with bounded(seconds=self._timeout_seconds, most_bytes=MOST_ANSWER_BYTES) as bounds:
                client = openai.AsyncOpenAI(
                    api_key=self._api_key, base_url=self._base_url, http_client=bounds.client, max_retries=1
                )
                # As numbers: the packed form that the SDK would ask for is not known to every server.
                made = await client.embeddings.create(model=self.name, input=list(texts), encoding_format="float")
        except openai.APIStatusError as error:
            raise LLMUnavailable(f"The server gave no embeddings (HTTP {error.status_code}).") from None
        except (OutOfTime, openai.APIConnectionError):
            usage = lost if bounds and bounds.is_open else NOTHING_USED
            raise LLMUnavailable("The server gave no embeddings in time.", usage=usage) from None
        except (TooLarge, ValueError):
            raise LLMBadOutput("The server's embeddings cannot be read.", usage=lost) from None
        return self._read(made, texts)

    def _read(self, made: object, texts: Sequence[str]) -> Embedded:
        """Take the vectors out of an answer whose shape the SDK does not check."""
        tokens = _tokens(getattr(getattr(made, "usage", None), "prompt_tokens", None), sum(map(len, texts)) // 2)
        usage = Usage(model=self.name, prompt_tokens=tokens, cost_micro_usd=self._cost(tokens))
        rows = getattr(made, "data", None)
        vectors = [getattr(row, "embedding", None) for row in rows] if isinstance(rows, list) else []
        sizes = {len(vector) for vector in vectors if isinstance(vector, list)}
        are_numbers = all(
            isinstance(vector, list) and all(isinstance(one, float | int) and math.isfinite(one) for one in vector)
            for vector in vectors
        )
        if len(vectors) != len(texts) or len(sizes) != 1 or not 0 < max(sizes) <= MOST_DIMENSIONS or not are_numbers:
            raise LLMBadOutput("The server's embeddings are no vectors of one length.", usage=usage)
        return Embedded(vectors=[list(map(float, vector or [])) for vector in vectors], usage=usage)

    def _cost(self, tokens: int) -> int:
        return math.ceil(tokens * self._price_usd)


# What an answer holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    text: str
    is_cut_off: bool
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Why an answer cannot be used."""

    told: list[str]
    is_off_schema: bool = True  # the schema itself was broken, not only a limit that it leaves out


NO_JSON = "is not JSON"
CUT_OFF = "the answer was cut off because it was too long; write less"
THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
# Faults that a server which holds to wire_schema can still make: the schema it is sent leaves limits out.
OF_LIMITS = frozenset({"string_too_long", "string_too_short", "too_long", "too_short", "value_error"})


def found_in[Shape: BaseModel](
    text: str, shape: type[Shape], fixed: Mapping[str, Any] | None = None
) -> tuple[Shape | None, Reasons]:
    """Return the value in a model's answer, or what is wrong with it; `fixed` is ours, whatever the answer says.

    Accepts JSON with thoughts before it, a fence around it or words beside it: models add them whatever they are told.
    """
    bare = THOUGHTS.sub("", text)
    start = bare.find("{")
    if start < 0:
        return None, Reasons(told=["the answer holds no JSON object"])
    try:
        found, _ = json.JSONDecoder().raw_decode(bare[start:])
        return shape.model_validate({**found, **(fixed or {})}), Reasons(told=[])
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        told = [f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}" for fault in faults]
        is_off_schema = any(fault["type"] not in OF_LIMITS for fault in faults)
        return None, Reasons(told=told[:MOST_FAULTS_QUOTED], is_off_schema=is_off_schema)
    except (ValueError, RecursionError) as error:
        return None, Reasons(told=[f"the answer is not JSON ({type(error).__name__})"])


def page_in(text: str, angle: str) -> tuple[PageContent | None, Reasons]:
    """Return the page in an answer. The angle is the direction's, so that pages of one angle can be compared."""
    return found_in(text, PageContent, {"angle": angle})


def content_in(text: str, request: WriteRequest) -> tuple[PageContent | PatchContent | None, Reasons]:
    """Return the page in an answer, or the patch where today's page was to be rewritten, or what is wrong with it."""
    angle = request.turn.direction.angle
    if request.original is None:
        return page_in(text, angle)
    rewrite, reasons = found_in(text, Rewrite)
    if rewrite is None:
        return None, reasons
    patch, faults = patched(request.original, rewrite, angle)
    return patch, Reasons(told=faults[:MOST_FAULTS_QUOTED], is_off_schema=False)


LIMITS = frozenset(
    {"maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "pattern", "default", "title",
     "discriminator"}
)  # fmt: skip


@cache
def wire_schema(shape: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema as strict servers want it: no limits, nothing optional, anyOf for oneOf.

    Some servers refuse a schema with limits; the answer is held to them afterwards by the model itself.
    """
    wired = _wired(shape.model_json_schema())
    if not isinstance(wired, dict):
        raise TypeError(f"a model's schema is an object, not {type(wired).__name__}")
    return wired


def _wired(node: Any) -> Any:
    if isinstance(node, list):
        return [_wired(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _named(value) if key in {"properties", "$defs"} else _wired(value)
            for key, value in node.items() if key not in LIMITS}  # fmt: skip
    if "oneOf" in kept:
        kept["anyOf"] = kept.pop("oneOf")
    if kept.get("type") == "object":
        kept |= {"required": list(kept.get("properties", {})), "additionalProperties": False}
    # Beside a reference strict mode allows nothing else.
    return {"$ref": kept["$ref"]} if "$ref" in kept else kept


def _named(members: dict[str, Any]) -> dict[str, Any]:
    # Keys here are names of fields ("title" is one), not keywords.
    return {name: _wired(schema) for name, schema in members.items()}
