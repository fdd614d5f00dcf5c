"""What the processes of one service say to each other: a closed list of plain values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from keelmark.core.caching import KeptAnswer
from keelmark.core.metering import Amounts, Hold, Rate, Usage
from keelmark.core.policy import Policy
from keelmark.core.rollouts import Plan
from keelmark.core.trace import Content, Trace
from keelmark.serve.engine import Endpoint, Quirks


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A question; the other end answers."""


class Tell(msgspec.Struct, frozen=True, array_like=True):
    """Something that wants no answer."""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The answer to a question."""

    value: Any


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Why there is no answer: the kind of error and what it says."""

    kind: str
    message: str
    retryable: bool = False
    status: int = 500
    code: str = ""
    retry_after: int | None = None


# --- from a worker ---


class Write(Ask, frozen=True, array_like=True, tag=True):
    """Write down a finished request."""

    trace: Trace
    content: Content | None
    usage: tuple[Usage, ...] = ()


class Seen(Tell, frozen=True, array_like=True, tag=True):
    """This request has ended, and is not written down."""

    trace: Trace


class Gauges(Tell, frozen=True, array_like=True, tag=True):
    """What this worker measures now: name, engine, value."""

    values: tuple[tuple[str, str, float], ...]


class Exposition(Ask, frozen=True, array_like=True, tag=True):
    """The text of `/metrics`."""


class Take(Ask, frozen=True, array_like=True, tag=True):
    """A place at a local model."""

    base: str
    scores: bool


class GiveBack(Tell, frozen=True, array_like=True, tag=True):
    """The place is needed no longer."""

    base: str


class Control(Ask, frozen=True, array_like=True, tag=True):
    """What `/api/v1` asks of the service: the name of a method of `Controls`, its arguments."""

    deed: Literal["models", "act", "rollouts", "roll_out", "abort"]
    words: tuple[str, ...] = ()
    plan: Plan | None = None


class Enter(Ask, frozen=True, array_like=True, tag=True):
    """A call wants to pass limits."""

    call: str
    rates: tuple[Rate, ...]


class Leave(Tell, frozen=True, array_like=True, tag=True):
    """A call that has passed limits has ended."""

    call: str
    rates: tuple[Rate, ...]
    tokens: int | None


class Reserve(Ask, frozen=True, array_like=True, tag=True):
    """Hold amounts for a call."""

    hold: Hold


class Wait(Ask, frozen=True, array_like=True, tag=True):
    """Answer when a hold of anybody may have ended, or after so many seconds."""

    seconds: float


class EndHold(Tell, frozen=True, array_like=True, tag=True):
    """Let go of a hold."""

    hold: Hold
    charged: Amounts | None


class Abandon(Tell, frozen=True, array_like=True, tag=True):
    """Leave a hold to be found as lost."""

    hold: Hold


class Keep(Ask, frozen=True, array_like=True, tag=True):
    """Keep an answer for the same request again; `room` is for all of them, bytes."""

    answer: KeptAnswer
    room: int


class Used(Tell, frozen=True, array_like=True, tag=True):
    """The kept answer of this name was given again."""

    name: str


# --- to a worker ---


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """An engine as a worker knows it. The fields are those of `keelmark.serve.engine.Engine`.

    Attributes:
        endpoint: Where to send requests, or None while it is not known.
        reason: Why it is not known.
        scores: Where prompts are scored, or None for an engine that scores none.
        slots: Requests that it takes at once, as far as this worker is concerned; 0 if unknown.
        state: Where a local model stands, or "".
        context: As for `keelmark.serve.engine.Scoring`, like the two after it.
    """

    id: str
    provider: str
    models: tuple[str, ...]
    digest: str
    load_mode: str
    upstream_model: str
    first_byte_seconds: float
    quirks: Quirks
    ready: bool
    endpoint: Endpoint | None
    reason: str = ""
    scores: Endpoint | None = None
    slots: int = 0
    state: str = ""
    context: int = 0
    chat_template: str = ""
    reranks: bool = False


class Standing(Tell, frozen=True, array_like=True, tag=True):
    """How the service stands: its engines, and what is wrong although it serves."""

    engines: tuple[EngineState, ...]
    note: str


class Begin(Ask, frozen=True, array_like=True, tag=True):
    """Everything a worker needs to serve; answered when it listens."""

    data: str
    host: str
    port: int
    transport: str
    upstreams: tuple[str, ...]
    slot: int
    policy: Policy
    shadow: Policy | None
    standing: Standing


class Use(Ask, frozen=True, array_like=True, tag=True):
    """Judge by another policy from now on; answered with its digest when that is so."""

    policy: Policy
    shadow: Policy | None


Body = (
    Answer
    | Failed
    | Write
    | Seen
    | Gauges
    | Exposition
    | Take
    | GiveBack
    | Enter
    | Leave
    | Reserve
    | Wait
    | Control
    | EndHold
    | Abandon
    | Standing
    | Begin
    | Use
    | Keep
    | Used
)
