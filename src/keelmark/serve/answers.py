"""Answers of engines, guarded: whole, or chunk for chunk. No input or output here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from keelmark.core.ports import RequestGuard
from keelmark.serve.choice import FILTERED, Choice, is_name, numbers_only
from keelmark.serve.errors import ApiError
from keelmark.serve.forced import ForcedCalls
from keelmark.serve.frame import Frame, frame_of
from keelmark.serve.refusals import failed_in_answer
from keelmark.serve.sse import event

_LABELS = frozenset({"id", "object", "model", "system_fingerprint", "service_tier", "provider"})
_LABEL = re.compile(r"[A-Za-z0-9_./:+-]{1,128}\Z")
_MOST_CHOICES = 4096
_FRAMES = 8  # chunks after which an engine's are taken to have no common frame
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Asked(NamedTuple):
    """What the client asked of the answer.

    Attributes:
        chat: Chat messages, or plain completions.
        choices: How many choices to expect.
        usage: Whether the client wants the chunk with the token counts.
        model: The name to answer with, or "" to keep the engine's.
        tools: Names of tools as the engine sees them, to the names the client gave.
        logprobs: The policy's `guard.logprobs`.
        forced: Whether the engine writes calls of tools as text, under a schema.
        document: Whether the text is to be a JSON document.
        parts: Whether its parts have to come one after the other.
        weighed: Whether the guard wants log-probabilities: `shown` to the client too, or `hidden`.
    """

    chat: bool
    choices: int
    usage: bool
    model: str
    tools: Mapping[str, str]
    logprobs: str
    forced: bool = False
    document: bool = False
    parts: bool = False
    weighed: Literal["", "shown", "hidden"] = ""


class _Framed(NamedTuple):
    """A frame, the choice whose text it carries, and what left for the chunk it was learnt from."""

    frame: Frame
    choice: Choice
    envelope: dict[str, Any]
    leaves: dict[str, Any]


class Answer:
    """One answer while it passes through the guard.

    Attributes:
        usage: Token counts as the engine gave them.
        more: Those of other calls that were made for it.
        id: The engine's id of the answer.
        model: The model's name as the engine gave it.
        finishes: Index of the choice to its finish reason.
        done: Whether the engine said that the stream is over.
    """

    def __init__(self, guard: RequestGuard, asked: Asked) -> None:
        self.usage: dict[str, Any] = {}
        self.more: dict[str, Any] = {}
        self.id = ""
        self.model = ""
        self.finishes: dict[int, str] = {}
        self.done = False
        self._guard = guard
        self._asked = asked
        self._around: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        self._forced = ForcedCalls() if asked.forced else None
        self._choices: dict[int, Choice] = {}
        self._last: dict[str, Any] = {}
        self._framed: _Framed | None = None
        plain = asked.chat and self._forced is None and not asked.parts
        self._frames_to_try = _FRAMES if plain else 0

    @property
    def total(self) -> dict[str, Any]:
        """Token counts of all; {} where the engine gave none."""
        return summed(self.usage, self.more) if self.usage and self.more else self.usage

    @property
    def complete(self) -> bool:
        """Whether every expected choice has ended."""
        ended = sum(choice.ended for choice in self._choices.values())
        return ended >= self._asked.choices and ended == len(self._choices)

    @property
    def filtered(self) -> bool:
        """Whether the guard stopped any choice."""
        return any(choice.filtered for choice in self._choices.values())

    def kept(self) -> bytes:
        """Return what may be stored of the answer, JSON, placeholders in place."""
        choices = sorted(self._choices.items())
        return _encode([{"index": index, **choice.kept()} for index, choice in choices])

    def whole(self, body: bytes) -> bytes:
        """Guard a whole answer.

        Raises:
            ApiError: 502, the engine answered with an error or with something else.
        """
        answer = _read(body)
        if "choices" not in answer:
            raise _protocol("The engine answered without choices: try again.")
        if self._forced is not None:
            self._forced.whole(answer)
        out = {**self._envelope(answer)}
        out["choices"] = [self._whole_choice(choice) for choice in _choices(answer)]
        if "usage" in answer:
            out["usage"] = self.total
        return _encode(out)

    def chunk(self, data: bytes) -> bytes:
        """Guard one event of a stream; return the events that may leave now.

        Raises:
            ApiError: 502, the engine sent an error or something that is not a chunk.
        """
        if framed := self._in_frame(data):
            return framed
        if data == b"[DONE]":
            self.done = True
            return b""
        chunk = _read(data)
        if self._forced is not None and not self._forced.chunk(chunk):
            return b""
        out = self._last = self._envelope(chunk)
        if "usage" in chunk and self._asked.usage:
            out = {**out, "usage": chunk["usage"] and self.total}
        choices = _choices(chunk)
        if not choices:
            told = self._asked.usage or not chunk.get("usage")
            return event(_encode({**out, "choices": []})) if told else b""
        early: list[dict[str, Any]] = []
        now: list[dict[str, Any]] = []
        for choice in choices:
            self._streamed_choice(choice, early, now)
        if self._frames_to_try and not early:
            self._learn_frame(data, chunk, {**out, "choices": now})
        events = event(_encode({**out, "choices": early})) if early else b""
        return events + event(_encode({**out, "choices": now})) if now else events

    def _in_frame(self, data: bytes) -> bytes:
        """Guard a chunk that differs from an earlier one in its text only; b"" for any other."""
        if self._framed is None:
            return b""
        frame, choice, envelope, leaves = self._framed
        if choice.ended or (given := frame.text(data)) is None:
            return b""
        self._last = envelope
        text = choice.text(given)
        if not choice.filtered:
            return event(frame.chunk(text))
        self.finishes[choice.index] = FILTERED
        piece = {"index": choice.index, "delta": {"content": text}, "finish_reason": FILTERED}
        return event(_encode({**leaves, "choices": [piece]}))

    def _learn_frame(self, data: bytes, chunk: dict[str, Any], leaves: dict[str, Any]) -> None:
        self._frames_to_try -= 1
        frame = frame_of(data, chunk, leaves)
        if frame is not None:
            choice = self._choice(chunk["choices"][0])
            self._framed = _Framed(frame, choice, self._last, leaves)
            self._frames_to_try = 0

    def rest(self) -> bytes:
        """Return what choices without a finish reason still hold, once the engine says it is done.

        Some engines never send a finish reason; their text is complete when the stream is.
        """
        late: list[dict[str, Any]] = []
        for choice in [choice for choice in self._choices.values() if not choice.ended]:
            before, _ = choice.delta({}, last=True)
            reason = FILTERED if choice.filtered else "stop"
            text = {"delta": before} if self._asked.chat else {"text": before.get("text", "")}
            late.append({"index": choice.index, **text, "finish_reason": reason})
            self.finishes[choice.index] = reason
        return event(_encode({**self._last, "choices": late})) if late else b""

    def _envelope(self, answer: dict[str, Any]) -> dict[str, Any]:
        if isinstance(answer.get("usage"), dict):
            self.usage = numbers_only(answer["usage"])
        around = {n: v for n, v in answer.items() if n not in ("choices", "usage")}
        if around != self._around[0]:  # the same for every chunk of most engines
            self._around = around, self._cleared(around)
        return self._around[1]

    def _cleared(self, around: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in around.items():
            if not is_name(name):
                continue
            if not isinstance(value, str):
                out[name] = None if name in _LABELS else numbers_only(value)
            elif name in _LABELS:
                out[name] = value if _LABEL.match(value) else ""
        self.id = out.get("id") or self.id
        self.model = out.get("model") or self.model
        if self._asked.model and "model" in out:
            out["model"] = self._asked.model
        return out

    def _choice(self, given: Any) -> Choice:
        if not isinstance(given, dict):
            raise _protocol("The engine sent a choice that is not an object: try again.")
        index = given.get("index", 0)
        if not isinstance(index, int) or not 0 <= index < _MOST_CHOICES:
            raise _protocol("The engine sent a choice without a number: try again.")
        choice = self._choices.get(index)
        if choice is None:
            asked = self._asked
            choice = self._choices[index] = Choice(
                self._guard,
                index,
                asked.tools,
                asked.logprobs,
                document=asked.document,
                parts=asked.parts,
            )
        return choice

    def _whole_choice(self, given: Any) -> dict[str, Any]:
        choice = self._choice(given)
        if choice.ended:
            raise _protocol("The engine sent the same choice twice: try again.")
        field = "message" if self._asked.chat else "text"
        piece = self._piece(choice, given, field, last=True)[1]
        if choice.filtered and self._asked.chat:
            piece["message"].pop("tool_calls", None)
            piece["message"].pop("function_call", None)
        return piece

    def _streamed_choice(
        self, given: Any, early: list[dict[str, Any]], now: list[dict[str, Any]]
    ) -> None:
        choice = self._choice(given)
        if choice.ended:
            return
        field = "delta" if self._asked.chat else "text"
        last = bool(given.get("finish_reason"))
        before, piece = self._piece(choice, given, field, last=last)
        if before:
            text = {"delta": before} if self._asked.chat else before
            early.append({"index": choice.index, **text, "finish_reason": None})
        now.append(piece)

    def _piece(
        self, choice: Choice, given: dict[str, Any], field: str, *, last: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        chat = self._asked.chat
        delta = given.get(field) if chat else {"text": given.get("text", "")}
        if delta is None:
            delta = {}
        if not isinstance(delta, dict) or not (chat or isinstance(delta["text"], str)):
            raise _protocol(f"The engine sent a choice whose `{field}` is malformed: try again.")
        given = self._weighed(choice, given, delta)
        before, out = choice.delta(delta, last=last)
        piece: dict[str, Any] = {"index": choice.index}
        for name, value in given.items():
            if name == field:
                piece.update({field: out} if chat else out)
            elif name == "logprobs":
                piece[name] = choice.logprobs(value, out, legacy=not chat)
            elif name not in ("index", "finish_reason") and is_name(name):
                piece[name] = choice.word(name, value)
        if choice.filtered:
            piece["finish_reason"] = FILTERED
            piece.pop("logprobs", None)
        else:
            reason = given.get("finish_reason") or None
            piece["finish_reason"] = choice.word("finish_reason", reason)
        if choice.ended:
            reason = str(piece["finish_reason"])
            self.finishes[choice.index] = reason if is_name(reason) else "other"
        return before, piece

    def _weighed(
        self, choice: Choice, given: dict[str, Any], delta: dict[str, Any]
    ) -> dict[str, Any]:
        """Show the guard the log-probabilities it wants; return what the client is to see."""
        if not self._asked.weighed:
            return given
        choice.weigh(given.get("logprobs"), delta)
        shown = self._asked.weighed == "shown"
        return given if shown else {n: v for n, v in given.items() if n != "logprobs"}


def summed(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Token counts of two answers together."""
    out = dict(one)
    for name, value in other.items():
        before = out.get(name)
        if isinstance(value, dict):
            out[name] = summed(before if isinstance(before, dict) else {}, value)
        elif isinstance(value, int) and isinstance(before, int):
            out[name] = before + value
        elif value is not None:
            out[name] = value
    return out


def _read(data: bytes) -> dict[str, Any]:
    try:
        answer = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _protocol("The engine sent something that is not JSON: try again.") from None
    if not isinstance(answer, dict):
        raise _protocol("The engine sent something that is not an object: try again.")
    if answer.get("error"):
        raise failed_in_answer(answer["error"])
    return answer


def _choices(answer: dict[str, Any]) -> list[Any]:
    choices = answer.get("choices")
    if choices is None:
        return []
    if not isinstance(choices, list):
        raise _protocol("The engine sent choices that are not a list: try again.")
    return choices


def _protocol(message: str) -> ApiError:
    return ApiError(502, "engine_protocol", message)
