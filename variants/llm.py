"""The one door to a language model, and the offline twin that stands in for it.

LLMError                what any caller may catch; `usage` is what the attempt cost
├── LLMUnavailable      timeout, rate limit, 5xx after the SDK's retries: the same request may succeed later
├── LLMRefused          the model or its content filter declined: a person must change the brief
├── LLMBadOutput        the reply is not the page we asked for, even after one request to put it right
└── LLMMisconfigured    400, 401, 403, 404: the key, the model's name or the address is wrong; an operator must act

`Writer` is the seam. `ModelWriter` speaks to any server with an OpenAI-compatible Chat Completions endpoint;
`OfflineWriter` composes pages from formulas. `writer_for` picks one from the environment.
"""

import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from functools import cache
from typing import Any, Protocol

import httpx2
import openai
from pydantic import ValidationError

from variants.bounded import Bounds, OutOfTime, TooLarge, trusted
from variants.content import PageContent
from variants.offline import MODEL_NAME, compose
from variants.prompts import Message, WriteRequest, repair_messages, schema_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_micro_usd=self.cost_micro_usd + other.cost_micro_usd,
        )


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
    pass


class LLMMisconfigured(LLMError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    content: PageContent
    model: str  # as the server names it
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_micro_usd=self.cost_micro_usd,
        )


class Writer(Protocol):
    """Writes one page at a time; several threads may call it at once."""

    @property
    def is_model(self) -> bool: ...

    @property
    def name(self) -> str: ...

    def write(self, request: WriteRequest) -> Written:
        """Return a page that is valid PageContent, or raise an LLMError."""

    def most_cost_micro_usd(self, request: WriteRequest) -> int:
        """Return what one `write` of this request can cost at most, when it may not be repaired."""


class OfflineWriter:
    """Composes pages without a model. Free, quick, and the same page for the same request."""

    is_model = False
    name = MODEL_NAME

    def write(self, request: WriteRequest) -> Written:
        content = compose(request.brief, request.direction, brand=request.brand, images=request.images)
        return Written(content=content, model=MODEL_NAME)

    def most_cost_micro_usd(self, request: WriteRequest) -> int:
        return 0


# The model


class ModelSettings(Protocol):
    """The part of the environment that says which model to use."""

    openai_api_key: str
    openai_base_url: str
    openai_model: str
    model_timeout_seconds: float
    model_price_input_usd: Decimal  # per million tokens, which makes it millionths of a dollar per token
    model_price_output_usd: Decimal


OPENAI_URL = "https://api.openai.com/v1"
KEY_FOR_KEYLESS_SERVERS = "none"  # the SDK insists on one; a local server ignores it
MOST_RETRIES = 2  # by the SDK, for 408, 409, 429, 5xx and broken connections
MOST_ANSWER_BYTES = 2_000_000  # a page is about 6,000
MOST_COMPLETION_TOKENS = 8_000  # a page is about 1,500; the rest is room for a reasoning model's thoughts
TOKEN_LIMIT = "max_completion_tokens"  # noqa: S105 - a parameter's name
OLDER_TOKEN_LIMIT = "max_tokens"  # noqa: S105 - its name before 2024, and still on many servers
FEWEST_CHARACTERS_PER_TOKEN = 2  # English has about 4; used where an upper bound is wanted
MOST_TOKENS_BELIEVED = 10_000_000  # of a server's own account; more is nonsense
CONNECT_SECONDS = 5.0
MOST_FAULTS_QUOTED = 20
LONGEST_ANSWER_QUOTED = 20_000  # characters


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
    return ModelWriter(
        api_key=environment.openai_api_key or KEY_FOR_KEYLESS_SERVERS,
        base_url=base_url,
        model=environment.openai_model,
        timeout_seconds=environment.model_timeout_seconds,
        price_input_usd=environment.model_price_input_usd,
        price_output_usd=environment.model_price_output_usd,
    )


class ModelWriter:
    """Writes pages by asking a language model; threads share it.

    `timeout_seconds` is for one page with everything it takes: retries, waiting as Retry-After asks, one repair.
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
        # Race: threads may both find a rung refused; each then remembers the same answer.
        self._rung = Rung.SCHEMA
        self._token_limit = TOKEN_LIMIT
        trusted()

    def __repr__(self) -> str:
        return f"ModelWriter(model={self.name!r})"

    def most_cost_micro_usd(self, request: WriteRequest) -> int:
        characters = sum(len(message.text) for message in request.messages) + len(json.dumps(wire_schema()))
        return self._cost(characters // FEWEST_CHARACTERS_PER_TOKEN, MOST_COMPLETION_TOKENS)

    def write(self, request: WriteRequest) -> Written:
        with Bounds(seconds=self._timeout_seconds, most_bytes=MOST_ANSWER_BYTES) as bounds:
            client = openai.OpenAI(
                api_key=self._api_key,
                base_url=self._base_url,
                http_client=bounds.client,
                max_retries=MOST_RETRIES,
                timeout=httpx2.Timeout(self._timeout_seconds, connect=min(CONNECT_SECONDS, self._timeout_seconds)),
            )
            try:
                return self._write(client, request)
            except OutOfTime:
                raise self._too_slow() from None
            except openai.APIConnectionError as error:
                # The connection that Bounds cuts when the time is over looks like a broken one.
                raise (self._too_slow() if bounds.is_over else _unavailable(error)) from None

    def _write(self, client: openai.OpenAI, request: WriteRequest) -> Written:
        answer, page, faults = self._ask(client, request.messages, request)
        usage = answer.usage
        if page is None and request.may_repair:
            repair = repair_messages(answer.text[:LONGEST_ANSWER_QUOTED], faults)
            answer, page, faults = self._repair(client, [*request.messages, *repair], request, usage)
            usage += answer.usage
        if page is None:
            raise LLMBadOutput("The page came back unusable: " + "; ".join(faults), usage=usage)
        return Written(
            content=page,
            model=answer.model or self.name,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_micro_usd=usage.cost_micro_usd,
        )

    def _repair(
        self, client: openai.OpenAI, messages: list[Message], request: WriteRequest, spent: Usage
    ) -> "tuple[Answer, PageContent | None, list[str]]":
        """Ask again; whatever goes wrong now, the first answer was paid for."""
        try:
            return self._ask(client, messages, request)
        except LLMError as error:
            error.usage += spent
            raise
        except (OutOfTime, openai.APIConnectionError):
            raise LLMBadOutput(
                "The page came back unusable and there was no time to put it right", usage=spent
            ) from None

    def _ask(
        self, client: openai.OpenAI, messages: list[Message], request: WriteRequest
    ) -> "tuple[Answer, PageContent | None, list[str]]":
        answer = self._answer(client, messages)
        if answer.is_refusal:
            told = "The language model declined to write this page. Look for what it may object to in the brief."
            raise LLMRefused(told, usage=answer.usage)
        if answer.is_cut_off:
            return answer, None, ["the answer was cut off because it was too long; write a shorter page"]
        page, faults = page_in(answer.text, request.direction.angle)
        return answer, page, faults

    def _answer(self, client: openai.OpenAI, messages: list[Message]) -> "Answer":
        """Go down the ladder from the rung that worked last; remember where the server answered."""
        for rung in Rung:
            if rung < self._rung:
                continue
            try:
                answer = self._answer_on(rung, client, messages)
            except _Rejected:
                continue
            self._rung = rung
            return answer
        raise LLMMisconfigured(
            f"The language model's server refuses the request. Ask your operator to check OPENAI_MODEL ({self.name}) "
            "and OPENAI_BASE_URL."
        )

    def _answer_on(self, rung: Rung, client: openai.OpenAI, messages: list[Message]) -> "Answer":
        limit = self._token_limit
        try:
            return self._call(rung, client, messages, limit)
        except TooLarge:
            raise LLMBadOutput(f"The answer is larger than {MOST_ANSWER_BYTES:,} bytes, or packed") from None
        except ValueError:  # the body claims to be JSON and is not
            raise LLMBadOutput("The server's answer is not JSON") from None
        except openai.APIStatusError as error:
            is_old = limit == TOKEN_LIMIT and error.status_code in UNDERSTOOD_NOT and limit in str(error.body)
            if not is_old:
                raise self._translated(error) from None
        self._token_limit = OLDER_TOKEN_LIMIT
        return self._answer_on(rung, client, messages)

    def _call(self, rung: Rung, client: openai.OpenAI, messages: list[Message], limit: str) -> "Answer":
        schema = [] if rung is Rung.SCHEMA else [schema_message(wire_schema())]
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": message.role, "content": message.text} for message in [*schema, *messages]],
            limit: MOST_COMPLETION_TOKENS,
        }
        if rung is Rung.SCHEMA:
            json_schema = {"name": "page", "strict": True, "schema": wire_schema()}
            body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        elif rung is Rung.OBJECT:
            body["response_format"] = {"type": "json_object"}
        completion = client.chat.completions.create(**body)
        return self._read(completion, sum(len(message.text) for message in messages))

    def _read(self, completion: object, prompt_characters: int) -> "Answer":
        """Take what is needed out of an answer whose shape the SDK does not check."""
        choices = getattr(completion, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise LLMBadOutput("The server's answer is not a chat completion")
        choice = choices[0]
        message = getattr(choice, "message", None)
        text = getattr(message, "content", None)
        text = text if isinstance(text, str) else ""
        estimated = (prompt_characters // FEWEST_CHARACTERS_PER_TOKEN, len(text) // FEWEST_CHARACTERS_PER_TOKEN)
        usage = getattr(completion, "usage", None)
        prompt_tokens = _tokens(getattr(usage, "prompt_tokens", None), estimated[0])
        completion_tokens = _tokens(getattr(usage, "completion_tokens", None), estimated[1])
        model, reason = getattr(completion, "model", None), getattr(choice, "finish_reason", None)
        return Answer(
            text=text,
            model=model if isinstance(model, str) else "",
            is_refusal=bool(getattr(message, "refusal", None)) or reason == "content_filter",
            is_cut_off=reason == "length",
            usage=Usage(
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                cost_micro_usd=self._cost(prompt_tokens, completion_tokens),
            ),
        )

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> int:
        return math.ceil(prompt_tokens * self._price_input_usd + completion_tokens * self._price_output_usd)

    def _too_slow(self) -> LLMUnavailable:
        return LLMUnavailable(
            f"The language model gave no whole answer within {self._timeout_seconds:g} seconds. Try again later, or "
            "ask your operator to raise MODEL_TIMEOUT_SECONDS."
        )

    def _translated(self, error: openai.APIStatusError) -> Exception:
        """Return our error for the server's; its own words stay out, because they may repeat the key."""
        status = error.status_code
        if status in UNDERSTOOD_NOT and error.code not in {"content_filter", "content_policy_violation"}:
            return _Rejected()
        if status in UNDERSTOOD_NOT:
            return LLMRefused("The language model's content filter declined the brief. Reword what it may object to.")
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
MISCONFIGURED = {
    401: "The language model refused the key. Ask your operator to check OPENAI_API_KEY.",
    403: "The language model does not let this key in. Ask your operator to check OPENAI_API_KEY and its rights.",
    404: "The language model “{model}” was not found. Ask your operator to check OPENAI_MODEL and OPENAI_BASE_URL.",
}


def _unavailable(error: openai.APIConnectionError) -> LLMUnavailable:
    what = "did not answer in time" if isinstance(error, openai.APITimeoutError) else "cannot be reached"
    return LLMUnavailable(
        f"The language model {what}. Try again in a few minutes; if it stays so, ask your operator to check "
        "OPENAI_BASE_URL."
    )


def _tokens(counted: object, estimate: int) -> int:
    """Return the server's count; where it gives none or nonsense, the estimate, so that a budget still holds."""
    is_count = isinstance(counted, int) and 0 <= counted <= MOST_TOKENS_BELIEVED
    return counted if isinstance(counted, int) and is_count else estimate


# What an answer holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    text: str
    model: str
    is_refusal: bool
    is_cut_off: bool
    usage: Usage


THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


def page_in(text: str, angle: str) -> tuple[PageContent | None, list[str]]:
    """Return the page in a model's answer, or what is wrong with it.

    Accepts JSON with thoughts before it, a fence around it or words beside it: models add them whatever they are told.
    The angle is ours, so that pages of one angle can be compared.
    """
    bare = THOUGHTS.sub("", text)
    start = bare.find("{")
    if start < 0:
        return None, ["the answer holds no JSON object"]
    try:
        found, _ = json.JSONDecoder().raw_decode(bare[start:])
        return PageContent.model_validate({**found, "angle": angle}), []
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)[:MOST_FAULTS_QUOTED]
        return None, [f"{'.'.join(map(str, fault['loc'])) or 'page'}: {fault['msg']}" for fault in faults]
    except (ValueError, RecursionError) as error:
        return None, [f"the answer is not JSON ({type(error).__name__})"]


LIMITS = frozenset(
    {"maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "pattern", "default", "title",
     "discriminator"}
)  # fmt: skip


@cache
def wire_schema() -> dict[str, Any]:
    """Return PageContent's JSON Schema as strict servers want it: no limits, nothing optional, anyOf for oneOf.

    Some servers refuse a schema with limits; the answer is held to them afterwards by PageContent itself.
    """
    wired = _wired(PageContent.model_json_schema())
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
