"""Dialects: other protocols in which a chat call can be asked and answered.

A dialect is one file in `serve/dialects/` with a value `DIALECT`. A call in a dialect is a chat
call: what is asked is put into chat's words before it is checked, and the answer into the
dialect's after the guard has let it go, so the guard, the forms, the record and the engines know
chat only, and nothing is judged twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

import msgspec

from keelmark.core import semconv
from keelmark.core.trace import Trace
from keelmark.plugins import discover
from keelmark.serve.errors import ApiError
from keelmark.serve.forms import chunks_in
from keelmark.serve.http import Request
from keelmark.serve.parts import Parts, Step
from keelmark.serve.wire import Wire

_FOLDER = "keelmark.serve.dialects"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Event = dict[str, Any]


class Voice(ABC):
    """One call in a dialect: what was asked, and how far its answer has been told.

    Attributes:
        own_names: Chat's name of a field to the dialect's, for errors. A key that begins with a
            full stop is the end of a name.
        trace: The record of the call.
        parts: The answer so far.
        places: Where a part of a chat message stood in the request, for errors.
    """

    own_names: ClassVar[Mapping[str, str]] = {}

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.parts = Parts()
        self.places: dict[str, str] = {}
        self._began = False
        self._in_chat = False

    def key(self, headers: Mapping[bytes, bytes]) -> bytes | None:  # noqa: ARG002 (for some)
        """Return what `authorization` would say, when the key is shown in another header."""
        return None

    @abstractmethod
    def asks(self, body: Any) -> dict[str, Any]:
        """Return the body of the chat call that a request asks for.

        Raises:
            ApiError: 400, naming the field that is wrong, or that chat cannot do.
        """

    @abstractmethod
    def answer(self) -> dict[str, Any]:
        """Return the whole answer, once `parts` has all of it."""

    @abstractmethod
    def opening(self) -> list[Event]:
        """Return the events that begin a stream."""

    @abstractmethod
    def step(self, step: Step) -> list[Event]:
        """Return the events that tell what happened to a part."""

    @abstractmethod
    def closing(self) -> list[Event]:
        """Return the events that end a stream."""

    @abstractmethod
    def failing(self, error: ApiError) -> list[Event]:
        """Return the events that end a stream that failed."""

    @abstractmethod
    def error(self, error: ApiError) -> dict[str, Any]:
        """Return an error in the dialect's form."""

    def hear(self, body: Any) -> dict[str, Any]:
        """Return the body of the chat call; errors speak of that from then on (see `asks`)."""
        chat = self.asks(body)
        self._in_chat = True
        return chat

    def tell(self, chunks: Iterable[dict[str, Any]]) -> bytes:
        """Return the events for chunks of a chat stream."""
        events = [] if self._began else self.opening()
        self._began = True
        for chunk in chunks:
            for step in self.parts.take(chunk):
                events += self.step(step)
        return _written(events)

    def end(self, chunks: Iterable[dict[str, Any]]) -> bytes:
        """Return the events for the last chunks of a chat stream, and for its end."""
        told = self.tell(chunks)
        events = [event for step in self.parts.end() for event in self.step(step)]
        return told + _written(events + self.closing())

    def whole(self, answer: dict[str, Any]) -> bytes:
        """Return a whole chat answer in the dialect's form."""
        for _ in (*self.parts.take(answer), *self.parts.end()):
            pass
        return _encode(self.answer())

    def fail(self, error: ApiError) -> bytes:
        """Return the events that end a stream that failed."""
        return _written(self.failing(self.in_own_words(error)))

    def in_own_words(self, error: ApiError) -> ApiError:
        """Return an error that names fields as the dialect does."""
        if not self._in_chat:
            return error
        message, param = error.message, error.param
        for theirs, ours in (*self.own_names.items(), *self.places.items()):
            if theirs.startswith("."):
                message = message.replace(theirs, ours)
                param = param and param.replace(theirs, ours)
            else:
                message = message.replace(f"`{theirs}`", f"`{ours}`")
                param = ours if param == theirs else param
        return error.saying(message, param)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect.

    Attributes:
        id: The file's name; traces say it.
        title: For people.
        path: Where it is spoken.
        speak: Makes the voice of one call.
        refused: Field of a request to the reason why it is refused.
        count: How it is asked how long a prompt is, if it can be.
    """

    id: str
    title: str
    path: str
    speak: Callable[[Trace], Voice]
    refused: Mapping[str, str] = {}
    count: Dialect | None = None

    def voice(self, trace: Trace) -> Voice:
        """Return the voice of one call; its trace says that it is in this dialect."""
        trace.attributes[semconv.DIALECT] = self.id
        return self.speak(trace)


class Spoken(Wire):
    """The way back to a client that speaks a dialect."""

    def __init__(self, request: Request, voice: Voice) -> None:
        super().__init__(request, voice.trace)
        self._voice = voice

    async def events(self, data: bytes) -> None:
        """See Wire. Chunks that tell nothing yet are not sent."""
        told = self._voice.tell(chunks_in(data))
        if told or not self.started:
            await super().events(told)

    def last(self, data: bytes) -> bytes:
        """See Wire."""
        return (
            self._voice.end(chunks_in(data)) if self.started else self._voice.whole(_decode(data))
        )

    def refusal(self, error: ApiError) -> bytes:
        """See Wire."""
        return _encode(self._voice.error(self._voice.in_own_words(error)))

    def failure(self, error: ApiError) -> bytes:
        """See Wire."""
        return self._voice.fail(error)


@cache
def dialects() -> tuple[Dialect, ...]:
    """Return all dialects, sorted by id."""
    return tuple(discover(_FOLDER, "DIALECT").values())


def _written(events: list[Event]) -> bytes:
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + _encode(event) + b"\n\n"
        for event in events
    )
