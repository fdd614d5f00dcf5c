"""The trace of one request: names from semconv, filled while the request runs."""

from __future__ import annotations

import random
import time
from time import perf_counter
from typing import Any

from keelmark.core import semconv
from keelmark.core.outcome import Outcome, gravest
from keelmark.core.trace import Trace
from keelmark.serve.answers import Answer
from keelmark.serve.engine import Engine

_CACHED = (
    ("cached_tokens", semconv.USAGE_CACHE_READ),
    ("cache_write_tokens", semconv.USAGE_CACHE_WRITE),
)
UNKNOWN_MODEL = "unknown"
_REQUEST = {
    "temperature": semconv.REQUEST_TEMPERATURE,
    "top_p": semconv.REQUEST_TOP_P,
    "top_k": semconv.REQUEST_TOP_K,
    "max_tokens": semconv.REQUEST_MAX_TOKENS,
    "max_completion_tokens": semconv.REQUEST_MAX_TOKENS,
    "seed": semconv.REQUEST_SEED,
    "n": semconv.REQUEST_CHOICES,
    "frequency_penalty": semconv.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": semconv.REQUEST_PRESENCE_PENALTY,
}


def new_trace(operation: str, policy_digest: str) -> Trace:
    """Return an empty trace with an id of its own: random, but no secret."""
    return Trace(
        trace_id=f"{random.getrandbits(128):032x}",
        started=time.time(),
        operation=operation,
        policy_digest=policy_digest,
    )


def stamp(trace: Trace, stage: str, since: float) -> float:
    """Note how long a stage took, milliseconds; return the time now (`perf_counter`)."""
    now = perf_counter()
    trace.timings[stage] = round((now - since) * 1000, 3)
    return now


def shorten(trace: Trace) -> None:
    """Leave in the verdicts what a record names of their findings."""
    trace.input = trace.input and trace.input.shortened()
    trace.output = trace.output and trace.output.shortened()


def note_request(trace: Trace, body: dict[str, Any]) -> None:
    """Note what the client asked for; numbers only, no text."""
    attributes = trace.attributes
    attributes[semconv.OPERATION] = trace.operation
    attributes[semconv.REQUEST_MODEL] = trace.model
    if trace.stream:
        attributes[semconv.REQUEST_STREAM] = True
    for name in _REQUEST.keys() & body.keys():
        if body[name] is not None:
            attributes[_REQUEST[name]] = body[name]


def note_unknown_model(trace: Trace) -> None:
    """Forget a name that nobody answers to: it is the client's text, and records are for good."""
    trace.model = trace.attributes[semconv.REQUEST_MODEL] = UNKNOWN_MODEL


def note_engine(trace: Trace, engine: Engine) -> None:
    """Note who answers and whose bytes stand behind it."""
    trace.engine = engine.id
    trace.model_digest = engine.digest
    trace.attributes[semconv.PROVIDER] = engine.provider
    trace.attributes[semconv.ATTESTED] = bool(engine.digest)
    if engine.digest:
        trace.attributes[semconv.MODEL_DIGEST] = engine.digest
        trace.attributes[semconv.LOAD_MODE] = engine.load_mode


def note_usage(trace: Trace, usage: dict[str, Any]) -> None:
    """Note the token counts; what the engine did not say is left out, not 0."""
    names = (("prompt_tokens", semconv.USAGE_INPUT), ("completion_tokens", semconv.USAGE_OUTPUT))
    for name, attribute in names:
        if isinstance(usage.get(name), int):
            trace.attributes[attribute] = usage[name]
    if isinstance(details := usage.get("prompt_tokens_details"), dict):
        for name, attribute in _CACHED:
            if details.get(name):
                trace.attributes[attribute] = details[name]


def note_answer(trace: Trace, answer: Answer) -> None:
    """Note what the engine said about its answer."""
    note_usage(trace, answer.total)
    if answer.id:
        trace.attributes[semconv.RESPONSE_ID] = answer.id
    if answer.model:
        trace.attributes[semconv.RESPONSE_MODEL] = answer.model
    if answer.finishes:
        reasons = [reason for _, reason in sorted(answer.finishes.items())]
        trace.attributes[semconv.RESPONSE_FINISH] = reasons


def verdict_of(trace: Trace) -> Outcome:
    """Return the outcome to show: the gravest so far; not judged is `skipped`, never `allow`."""
    outcomes = [v.outcome for v in (trace.input, trace.output) if v is not None]
    return gravest(*outcomes) if outcomes else Outcome.SKIPPED
