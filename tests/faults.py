"""The fault matrix as data: what goes wrong, and what client and record must then say.

`tests/unit/serve/test_fault_matrix.py` makes every fault happen in every transport and protocol;
`docs/generate.py` makes `docs/reference/faults.md` of the same values.
"""

from typing import Any, NamedTuple

COUNTED = (7, 5)
"""Tokens that the engine says it has read and written, where it comes to saying so."""


class Seen(NamedTuple):
    """What is to be seen of one call.

    Attributes:
        status: What the client gets; of a stream, what it began with.
        code: Code of the error, in the record and (last, in a stream) at the client; "" for none.
        retry: The header `retry-after`, or "".
        tokens: Read and written, in the record; None: not known.
    """

    status: int = 200
    code: str = ""
    retry: str = ""
    tokens: tuple[int, int] | None = None


class Fault(NamedTuple):
    """One thing that goes wrong at an engine.

    Attributes:
        id: Name.
        what: What happens.
        script: What the fake engine does (`serve/fake.py`).
        whole: What is to be seen of a call that is not streamed; None: it cannot happen to one.
        stream: What is to be seen of a stream.
        reached: How often the engine is asked for one call.
        door: What is wrong with the way to the engine, or "".
        more: What is read besides what should be.
    """

    id: str
    what: str
    script: dict[str, Any]
    whole: Seen | None
    stream: Seen
    reached: int = 1
    door: str = ""
    more: str = ""


AWAY = Seen(503, "engine_unavailable", "1")
FAILED = Seen(502, "engine_error")
GOOD = Seen(tokens=COUNTED)
QUOTES = "failed on: {prompt} {secret}"
"""What the errors of the engine say: they quote what they should not."""

FAULTS = (
    Fault("refused", "nobody listens there", {}, AWAY, AWAY, 0, "closed"),
    Fault("tls", "its certificate is not to be trusted", {}, AWAY, AWAY, 0, "self-signed"),
    Fault("tls-plain", "it speaks no TLS where TLS is due", {}, AWAY, AWAY, 0, "plain"),
    Fault(
        "429-retry-after",
        "it takes no more, and says for how long",
        {"fault": "error", "status": 429, "headers": ((b"retry-after", b"7"),)},
        Seen(429, "engine_refused", "7"),
        Seen(429, "engine_refused", "7"),
    ),
    Fault(
        "429",
        "it takes no more",
        {"fault": "error", "status": 429},
        Seen(429, "engine_refused"),
        Seen(429, "engine_refused"),
    ),
    Fault("500", "it fails at once", {"fault": "error"}, FAILED, FAILED),
    Fault(
        "slow",
        "it does not begin in time",
        {"fault": "slow", "delay": 600.0},
        AWAY,
        AWAY,
        door="patience",
    ),
    Fault(
        "drop",
        "the connection breaks half way",
        {"fault": "drop"},
        Seen(502, "engine_gone"),
        Seen(200, "engine_gone"),
    ),
    Fault(
        "cut",
        "the answer ends half way, as if it were whole",
        {"fault": "cut"},
        Seen(502, "engine_protocol"),
        Seen(200, "engine_gone"),
    ),
    Fault(
        "stall",
        "half way it sends no more",
        {"fault": "hang"},
        Seen(504, "timeout"),
        Seen(200, "timeout"),
    ),
    Fault(
        "malformed",
        "half way it sends what is not JSON",
        {"fault": "malformed"},
        Seen(502, "engine_protocol"),
        Seen(200, "engine_protocol"),
    ),
    Fault("split", "every byte comes alone", {"fault": "split"}, GOOD, GOOD),
    Fault(
        "duplicate",
        "the last chunks come twice, the token counts too",
        {"fault": "duplicate", "after": 5},
        None,
        GOOD,
        more=" is gone 🌊.",
    ),
    Fault("no-done", "the last event is missing", {"fault": "no_done"}, None, GOOD),
    Fault("no-usage", "it counts no tokens", {"fault": "no_usage"}, Seen(), Seen()),
    Fault("wrong-model", "it says that another model answers", {"model": "other"}, GOOD, GOOD),
    Fault("200-error", "it says 200 and sends an error", {"fault": "error_as_200"}, FAILED, FAILED),
    Fault(
        "error-in-stream",
        "half way it sends an error",
        {"fault": "error_in_stream"},
        None,
        Seen(200, "engine_error"),
    ),
)
