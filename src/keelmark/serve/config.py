"""What the gateway is made of: everything it needs comes in here, nothing is looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from keelmark.core.policy import Policy
from keelmark.core.ports import Answers, GuardPort, Recorder, Transport
from keelmark.core.trace import Trace
from keelmark.serve.engine import Engine
from keelmark.serve.keys import KeySource
from keelmark.serve.metering import Meter
from keelmark.serve.steering import Controls, Steering
from keelmark.serve.tally import LocalTally, Tally


def _no_metrics() -> str:
    return ""


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a gateway.

    Attributes:
        engines: Ways to reach tokens; the first that answers to a name and is ready serves it.
        guard: The guard of prompts and answers.
        recorder: Where finished requests go, durably, before their last byte is sent.
        keys: Where API keys are kept.
        transport: The one way to an engine.
        policy: Limits, admission, retention.
        metrics: Returns the text of `/metrics`, at once or when it is waited for.
        on_trace: Called with every finished request on a `/v1` route, after it was recorded;
            also with those that are not recorded (no valid key, overload).
        version: Keelmark's version, for `/healthz`.
        tally: Counts the calls at work.
        steering: Models that are stopped, and rollouts.
        controls: What `/api/v1` can tell the service to do; None where that is not for this
            process.
        meter: Counts what clients use; None where nothing is counted.
        answers: Where answers are kept for the same request again; None keeps none.
    """

    engines: Sequence[Engine]
    guard: GuardPort
    recorder: Recorder
    keys: KeySource
    transport: Transport
    policy: Policy = Policy()
    metrics: Callable[[], str | Awaitable[str]] = _no_metrics
    on_trace: Sequence[Callable[[Trace], None]] = ()
    version: str = ""
    tally: Tally = msgspec.field(default_factory=LocalTally)
    steering: Steering = msgspec.field(default_factory=Steering)
    controls: Controls | None = None
    meter: Meter | None = None

    answers: Answers | None = None

    @property
    def guarded(self) -> bool:
        """Whether any rule is in force; without any, prompts as token ids may pass."""
        return bool(self.policy.guard.enforced)
