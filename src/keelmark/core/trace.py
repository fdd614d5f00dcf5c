"""The record of one request, shaped by the OpenTelemetry GenAI conventions.

Attribute names live in `keelmark.core.semconv`, nowhere else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keelmark.core.verdict import Verdict


class Trace(msgspec.Struct, kw_only=True):
    """One request through the gateway. Filled while it runs, recorded once at its end.

    Attributes:
        trace_id: 32 hex digits, as in W3C Trace Context.
        started: Unix time, seconds.
        operation: OpenTelemetry `gen_ai.operation.name`: chat, text_completion, embeddings.
        subject: Whom the content belongs to (a user id given by the client, else the key id).
        key_id: Id of the key that was used; never the key.
        model: Name asked for.
        model_digest: `sha256:...` of the weights, or "" for an engine without a passport.
        engine: Engine id.
        policy_digest: Digest of the policy in force.
        status: HTTP status answered.
        error: Error code answered, or "".
        stream: Whether the answer was streamed.
        attributes: OpenTelemetry attributes: names from semconv, plain values.
        timings: Stage to milliseconds: key, parse, guard_input, first_token, engine,
            guard_output, total.
        input: Verdict on the prompt, if it was judged.
        output: Verdict on the answer, if it was judged.
        team: Team of the key, or "".
    """

    trace_id: str
    started: float
    operation: str = ""
    subject: str = ""
    key_id: str = ""
    model: str = ""
    model_digest: str = ""
    engine: str = ""
    policy_digest: str = ""
    status: int = 0
    error: str = ""
    stream: bool = False
    attributes: dict[str, Any] = {}
    timings: dict[str, float] = {}
    input: Verdict | None = None
    output: Verdict | None = None
    team: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What was said: stored encrypted under the subject's key, or not at all.

    Attributes:
        prompt: The request body as the engine saw it (masked), UTF-8 JSON.
        answer: The answer as the client saw it before un-masking, UTF-8 JSON or text.
    """

    prompt: bytes
    answer: bytes
