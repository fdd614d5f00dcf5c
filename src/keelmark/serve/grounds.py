"""How clients are told whether the sentences of an answer rest on its sources.

A whole answer has the counts in a header; a stream has them in a comment before its end, which
clients skip. Who asks for it (`x-keelmark-grounding: full`) gets every sentence, in a field beside
the answer, or in an event of the stream. The trace always has them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keelmark.core.grounding import Sentence, summary
from keelmark.core.semconv import DIALECT
from keelmark.core.trace import Trace
from keelmark.serve.http import Headers, Request
from keelmark.serve.sse import event

HEADER = b"x-keelmark-grounding"
_FIELD = "keelmark"
_encode = msgspec.json.Encoder().encode


def sentences(trace: Trace) -> tuple[Sentence, ...]:
    """Return what is said of the sentences of an answer."""
    return () if trace.output is None else trace.output.sentences


def header(trace: Trace) -> Headers:
    """Return the header with the counts, where there is something to count."""
    said = sentences(trace)
    return [(HEADER, summary(said).encode())] if said else []


def beside(body: bytes, request: Request, trace: Trace) -> bytes:
    """Return a whole answer, with every sentence beside it where that is asked for."""
    if not _asked(request, trace):
        return body
    return _encode({**msgspec.json.decode(body), _FIELD: _told(trace)})


def before_end(request: Request, trace: Trace) -> bytes:
    """Return what is told before the end of a stream."""
    if not (said := sentences(trace)):
        return b""
    comment = b": " + HEADER + b": " + summary(said).encode() + b"\n\n"
    if not _asked(request, trace):
        return comment
    name = f"{_FIELD}.grounding"
    told = event(_encode({"type": name, "object": name, "choices": [], _FIELD: _told(trace)}))
    return comment + (told if DIALECT not in trace.attributes else _named(name, told))


def _named(name: str, told: bytes) -> bytes:
    return f"event: {name}\n".encode() + told


def _asked(request: Request, trace: Trace) -> bool:
    return bool(sentences(trace)) and request.headers.get(HEADER, b"").strip().lower() == b"full"


def _told(trace: Trace) -> dict[str, Any]:
    said = sentences(trace)
    return {"grounding": {"summary": summary(said), "sentences": said}}
