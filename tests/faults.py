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


class Accident(NamedTuple):
    """One thing that goes wrong around the gateway.

    Attributes:
        id: Name.
        what: What happens.
        whole: What is to be seen of a call that is not streamed; None: nobody is there to see it.
        stream: What is to be seen of a stream.
        recorded: Status and error of the one record; None: there is none.
        note: What else is certain.
        test: What makes it happen.
    """

    id: str
    what: str
    whole: Seen | None
    stream: Seen | None
    recorded: tuple[int, str] | None
    note: str
    test: str


_ACCIDENTS = "tests/unit/serve/test_accidents.py::"
_KILLED = "tests/e2e/test_faults.py::"
ANSWERED, UNWRITTEN = (200, ""), Seen(500, "not_recorded")

ACCIDENTS = (
    Accident(
        "client-gone",
        "the client leaves half way",
        None,
        None,
        (499, "client_gone"),
        "The engine is stopped.",
        _ACCIDENTS + "test_client_gone",
    ),
    Accident(
        "client-gone-early",
        "the client leaves before the first byte",
        None,
        None,
        (499, "client_gone"),
        "The engine is stopped; the transport `pyreqwest` cannot do that.",
        _ACCIDENTS + "test_client_gone",
    ),
    Accident(
        "slow-reader",
        "the client does not read",
        None,
        GOOD,
        ANSWERED,
        "The engine waits with the client: what lies between them is bounded.",
        _ACCIDENTS + "test_slow_reader",
    ),
    Accident(
        "endless",
        "the engine does not come to an end",
        Seen(502, "answer_too_large"),
        Seen(200, "answer_too_large"),
        (200, "answer_too_large"),
        "64 MiB of a whole answer are read, 512 MiB of a stream.",
        _ACCIDENTS + "test_endless",
    ),
    Accident(
        "clock",
        "the clock jumps, a day ahead and a day back",
        GOOD,
        GOOD,
        ANSWERED,
        "The ledger verifies, its records are in their order, and no measured time is negative.",
        _ACCIDENTS + "test_clock",
    ),
    Accident(
        "locked",
        "another process holds the database for longer than the gateway waits (15 s)",
        UNWRITTEN,
        Seen(200, "not_recorded"),
        None,
        "What cannot be recorded is not answered; metrics count it. Once it is free, all is well.",
        _ACCIDENTS + "test_locked",
    ),
    Accident(
        "disk-full",
        "the disk is full",
        UNWRITTEN,
        Seen(200, "not_recorded"),
        None,
        "As above. Once there is room, all is well, and the ledger verifies.",
        _ACCIDENTS + "test_disk_full",
    ),
    Accident(
        "partition",
        "the network to the engine breaks; packets vanish",
        AWAY,
        Seen(200, "timeout"),
        (200, "timeout"),
        "Noticed after `limits.request_seconds` in a stream, after the patience with the engine "
        "before it.",
        _ACCIDENTS + "test_partition",
    ),
    Accident(
        "file-limit",
        "the files of the service may not grow",
        UNWRITTEN,
        Seen(200, "not_recorded"),
        None,
        "As with a full disk, in a service of its own.",
        _KILLED + "test_files_that_may_not_grow",
    ),
    Accident(
        "kill",
        "`kill -9` of the service while it answers",
        None,
        None,
        None,
        "Everything that was answered before has its record, once; the ledger verifies at the next "
        "start. What of a stream had left before has no record.",
        _KILLED + "test_kill",
    ),
)


class Foreign(NamedTuple):
    """One thing that `@copilotkit/aimock` does, an engine for tests that is not ours.

    Attributes:
        id: Name; also the word that asks for it, where a prompt does.
        chaos: What it is told to do to every call, in its own words.
        whole: What is to be seen of a call that is not streamed; None: not asked.
        stream: What is to be seen of a stream.
    """

    id: str
    chaos: dict[str, float]
    whole: Seen | None
    stream: Seen


FOREIGN = (
    Foreign("plain", {}, Seen(), Seen()),
    Foreign("tool", {}, Seen(), Seen()),
    Foreign("refuses", {}, FAILED, FAILED),
    Foreign("unknown", {}, FAILED, FAILED),
    Foreign("truncates", {}, None, Seen(200, "engine_gone")),
    Foreign("drops", {"dropRate": 1}, FAILED, FAILED),
    Foreign(
        "malforms",
        {"malformedRate": 1},
        Seen(502, "engine_protocol"),
        Seen(502, "engine_protocol"),
    ),
    Foreign("disconnects", {"disconnectRate": 1}, AWAY, AWAY),
    Foreign(
        "limits",
        {"rateLimitRate": 1},
        Seen(429, "engine_refused", "1"),
        Seen(429, "engine_refused", "1"),
    ),
    Foreign("slow", {"latencyMs": 30_000}, AWAY, AWAY),
)
