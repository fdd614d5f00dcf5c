"""What the gateway knows of an engine: a name, an address, and whose bytes stand behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec


class Endpoint(NamedTuple):
    """Where to send a request now.

    Attributes:
        base_url: Without a trailing slash, up to and including `/v1`.
        headers: To add to every request (authorisation of the engine, never the client's key).
    """

    base_url: str
    headers: Mapping[str, str]


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In what an engine differs from OpenAI's.

    Attributes:
        stream_options: Whether it takes `stream_options` (usage at the end of a stream).
        lists_models: Whether `GET /models` names what it serves.
        forces_tools: Whether it obeys a `tool_choice` that demands a call. One that does not, but
            follows JSON schemas, is given a schema of the call instead.
        thinking_budget: Whether it takes `thinking_budget_tokens`.
        counts_tokens: Whether `/chat/completions/input_tokens` says how long a prompt is.
        completion_tokens: Whether it wants `max_completion_tokens` instead of `max_tokens`.
        images: Whether models behind it may take images.
        audio: Whether models behind it may take sound.
        prompt_cache: Whether it takes `prompt_cache_key` and `prompt_cache_retention`.
        cache_marks: Whether it takes `cache_control`.
    """

    stream_options: bool = True
    lists_models: bool = True
    forces_tools: bool = True
    thinking_budget: bool = False
    counts_tokens: bool = False
    completion_tokens: bool = False
    images: bool = False
    audio: bool = False
    prompt_cache: bool = False
    cache_marks: bool = False


class Engine(Protocol):
    """A way to reach tokens. `llama` is embedded and supervised; upstreams are somebody else's.

    Attributes:
        id: Name in traces and configuration.
        provider: OpenTelemetry `gen_ai.provider.name` (llama_cpp, openai, vllm, ollama, ...).
        models: Names that this engine answers to; empty means any name.
        digest: `sha256:...` of the weights it has loaded, "" when they cannot be seen.
        load_mode: How the bytes were bound at load time (sealed, hash, mtime), "" if unattested.
        upstream_model: Name to send upstream instead of the client's, or "" to pass it on.
        first_byte_seconds: Longest wait for the first byte of an answer, seconds.
        quirks: In what it differs from OpenAI's.
    """

    id: str
    provider: str
    models: tuple[str, ...]
    digest: str
    load_mode: str
    upstream_model: str
    first_byte_seconds: float
    quirks: Quirks

    async def start(self) -> None:
        """Make it ready. Raises KeelmarkError with a sentence when that cannot be."""

    async def stop(self) -> None:
        """Stop it and free what it holds."""

    @property
    def ready(self) -> bool:
        """Whether it can take a request now."""

    def endpoint(self) -> Endpoint:
        """Return where to send a request now. Raises UnavailableError when not ready."""


@runtime_checkable
class Scoring(Engine, Protocol):
    """An embedded model, which scores prompts elsewhere than it answers.

    Attributes:
        context: Longest prompt with its answer, tokens.
        chat_template: Jinja text that is used instead of the model's own, or "".
        reranks: Whether the model ranks documents.
    """

    context: int
    chat_template: str
    reranks: bool

    async def scorer(self) -> Endpoint:
        """Return where `POST /completions` with `echo` is answered.

        Raises:
            UnavailableError: Nobody scores now; the message says why.
        """
