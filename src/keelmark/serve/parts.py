"""The parts of a chat answer, in order: what it thinks, what it says, what it calls.

Chat puts the parts of an answer side by side in one message; other protocols tell them one after
the other, each with a beginning and an end. This reads chunks of chat that have passed the guard
(whole answers are one chunk) and says where parts begin, go on and end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

PartKind = Literal["reasoning", "text", "refusal", "call"]
_TEXTS: tuple[tuple[str, PartKind], ...] = (("content", "text"), ("refusal", "refusal"))


class Part(msgspec.Struct):
    """One part.

    Attributes:
        kind: What it is.
        at: How many parts are before it.
        id: Of a call: what its result will be called by; "" when the engine gave none.
        name: Of a call: the tool.
        number: Of a call: its number among the calls.
        pieces: What it says so far, or the arguments of the call.
        logprobs: Its tokens that have log-probabilities, as chat has them.
        whole: Whether it has ended.
    """

    kind: PartKind
    at: int
    id: str = ""
    name: str = ""
    number: int = 0
    pieces: list[str] = []
    logprobs: list[dict[str, Any]] = []
    whole: bool = False

    @property
    def text(self) -> str:
        """What it says so far."""
        return "".join(self.pieces)


class Step(NamedTuple):
    """What happens to a part: it begins, says more, or ends."""

    verb: Literal["begins", "says", "ends"]
    part: Part
    text: str = ""
    logprobs: Sequence[dict[str, Any]] = ()


class Parts:
    """The parts of one answer while it comes.

    Attributes:
        all: The parts so far.
        finish: Chat's finish reason, "" until there is one.
        stopped_by: The stop sequence that ended it, where the engine says which; else "".
        usage: Token counts, empty when the engine gives none.
        model: The model's name as chat gives it.
    """

    def __init__(self) -> None:
        self.all: list[Part] = []
        self.finish = ""
        self.stopped_by = ""
        self.usage: dict[str, Any] = {}
        self.model = ""

    def take(self, chunk: dict[str, Any]) -> Iterator[Step]:
        """Take a chunk of a stream, or a whole answer."""
        self.model = _text(chunk.get("model")) or self.model
        self.usage = _fields(chunk.get("usage")) or self.usage
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                message = choice.get("message") or choice.get("delta")
                yield from self._message(_fields(message), _fields(choice.get("logprobs")))
                self.finish = _text(choice.get("finish_reason")) or self.finish
                self.stopped_by = _text(choice.get("stop_reason")) or self.stopped_by

    def end(self) -> Iterator[Step]:
        """End the part that has not ended."""
        if self.all and not self.all[-1].whole:
            self.all[-1].whole = True
            yield Step("ends", self.all[-1])

    def count(self, name: str, inner: str = "") -> int:
        """Return a token count, 0 when the engine does not give it."""
        value = self.usage.get(name)
        value = _fields(value).get(inner) if inner else value
        return value if isinstance(value, int) and value > 0 else 0

    def _message(self, message: dict[str, Any], logprobs: dict[str, Any]) -> Iterator[Step]:
        thought = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        if thought:
            yield from self._said("reasoning", thought, [])
        for name, kind in _TEXTS:
            if text := _text(message.get(name)):
                tokens = logprobs.get("content") if kind == "text" else None
                yield from self._said(kind, text, tokens or [])
        for at, call in enumerate(message.get("tool_calls") or ()):
            yield from self._called(call, call.get("index", at))

    def _said(self, kind: PartKind, text: str, tokens: list[dict[str, Any]]) -> Iterator[Step]:
        last = self.all[-1] if self.all else None
        if last is None or last.whole or last.kind != kind:
            last = yield from self._begin(Part(kind, len(self.all)))
        last.pieces.append(text)
        last.logprobs.extend(tokens)
        yield Step("says", last, text, tokens)

    def _called(self, call: dict[str, Any], number: int) -> Iterator[Step]:
        function = _fields(call.get("function"))
        last = self.all[-1] if self.all else None
        if last is None or last.whole or last.kind != "call" or last.number != number:
            name, key = _text(function.get("name")), _text(call.get("id"))
            last = yield from self._begin(Part("call", len(self.all), key, name, number))
        if text := _text(function.get("arguments")):
            last.pieces.append(text)
            yield Step("says", last, text)

    def _begin(self, part: Part) -> Generator[Step, None, Part]:
        yield from self.end()
        self.all.append(part)
        yield Step("begins", part)
        return part


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
