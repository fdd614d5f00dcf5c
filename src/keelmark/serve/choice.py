"""One choice of an answer: every text in it goes through a channel of the guard.

The same code reads streamed deltas and whole messages (a message is one long delta), so both
release the same text. Strings that nobody has heard of are channels too; lists and objects that
nobody has heard of keep their numbers and lose their strings.

Chat streams may go on with a text beside another one. Dialects (`keelmark.serve.dialect`) tell the
parts of an answer one after the other: for them a part is finished where the next one begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from keelmark.core.ports import RequestGuard, TextStream
from keelmark.serve.errors import ApiError
from keelmark.serve.logprobs import SampledTokens, tokens_in

Path = tuple[str | int, ...]

FILTERED = "content_filter"
_ROLES = frozenset({"assistant", "tool", "user", "system", "developer", "function"})
_KINDS = frozenset({"function", "custom", "text"})
_WORD = re.compile(r"[a-z_]{1,32}\Z")
_NAME = re.compile(r"[A-Za-z_]{1,32}\Z")
_TEXTS = ("content", "text")
_PARTS = {"reasoning_content": 0, "reasoning": 0, "content": 1, "refusal": 2, "tool_calls": 3}
"""Fields of a message that are parts of an answer, in their order; the first two are one part."""
_encode = msgspec.json.Encoder().encode


class Choice:
    """One choice while it is answered.

    Attributes:
        ended: Whether it is complete; nothing more leaves.
        filtered: Whether the guard stopped it.
    """

    def __init__(
        self,
        guard: RequestGuard,
        index: int,
        tools: Mapping[str, str],
        logprobs: str,
        *,
        document: bool = False,
        parts: bool = False,
    ) -> None:
        self.ended = False
        self.filtered = False
        self.index = index
        self._guard = guard
        self._tools = tools
        self._documents = _TEXTS if document else ()
        self._full_logprobs = logprobs == "full"
        self._tokens = SampledTokens()
        self._open: dict[Path, TextStream] = {}
        self._closed: dict[Path, TextStream] = {}
        self._last_call: int | None = None
        self._parts = parts
        self._part = -1

    def kept(self) -> dict[str, str]:
        """Return what may be stored of this choice: channel to text, placeholders in place."""
        streams = {**self._closed, **self._open}
        return {_name(path): stream.kept for path, stream in streams.items() if stream.kept}

    def delta(self, delta: dict[str, Any], *, last: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Guard one piece of a message.

        Args:
            delta: The piece as the engine sent it; a whole message is one piece.
            last: Whether the choice is complete after it.

        Returns:
            What must leave before the piece (often empty), and the piece as it may leave.
        """
        before: dict[str, Any] = {}
        out: dict[str, Any] = {}
        for name, value in self._parted(delta, out, before) if self._parts else _named(delta):
            if name == "tool_calls" and isinstance(value, list):
                out[name] = []
                for at, call in enumerate(value):
                    out[name].append(self._call(call, at, out, before))
            elif name == "function_call" and isinstance(value, dict):
                out[name] = self._function(value, (name,))
            elif name in ("tool_calls", "function_call"):
                out[name] = None  # what is no call has no place there
            elif isinstance(value, str):
                known = name == "role" and value in _ROLES
                document = name in self._documents
                out[name] = value if known else self._feed((name,), value, is_json=document)
            elif name == "content" and value is not None:
                raise _protocol("The engine sent content that is not text: ask it for text.")
            else:
                out[name] = numbers_only(value)
        self._settle()
        if last and not self.filtered:
            for path in list(self._open):
                self._place(path, self._finish(path), out, before)
            self._settle()
        self.ended = last or self.filtered
        return before, out

    def text(self, text: str) -> str:
        """Guard a piece that is text and nothing else; return what may leave."""
        stream = self._channel(("content",), is_json="content" in self._documents)
        out = stream.feed(text)
        if stream.blocked:
            self.filtered = self.ended = True
        return out

    def weigh(self, given: Any, delta: Mapping[str, Any]) -> None:
        """Hand on the log-probabilities of a piece of text that comes next."""
        if given is not None and isinstance(delta.get("content"), str):
            stream = self._channel(("content",), is_json="content" in self._documents)
            stream.weigh([(t.text, t.logprob) for t in tokens_in(given) if t.logprob is not None])

    def logprobs(self, given: Any, out: dict[str, Any], *, legacy: bool) -> Any:
        """Return the log-probabilities that may leave with a piece."""
        if self._full_logprobs:
            return given
        released = out.get(_TEXTS[legacy])
        text = released if isinstance(released, str) else ""
        return self._tokens.take(given, text, legacy=legacy)

    def word(self, name: str, value: Any) -> Any:
        """Guard a field beside the message: plain words and numbers pass, text is judged whole."""
        if isinstance(value, str) and value and not _WORD.match(value):
            return self._whole((name,), value)
        return value if isinstance(value, str) else numbers_only(value)

    def _parted(
        self, delta: dict[str, Any], out: dict[str, Any], before: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """The fields of a piece in the order of parts; where one begins, another is finished."""
        for name, value in sorted(_named(delta), key=lambda field: _PARTS.get(field[0], -1)):
            part = _PARTS.get(name, self._part) if value else self._part
            if part != self._part:
                for path in [p for p in self._open if _PARTS.get(str(p[0])) == self._part]:
                    self._place(path, self._finish(path), out, before)
                self._part = part
            yield name, value

    def _settle(self) -> None:
        if any(stream.blocked for stream in self._open.values()) or any(
            stream.blocked for stream in self._closed.values()
        ):
            self.filtered = self.ended = True

    def _channel(self, path: Path, *, is_json: bool = False) -> TextStream:
        stream = self._open.get(path)
        if stream is None:
            name = f"choices[{self.index}].{_name(path)}"
            if path in self._closed:
                if not self._parts or len(path) > 1:
                    raise _protocol("The engine went back to a part it had closed: try again.")
                earlier = (*path, len(self._closed))  # more of it, told as a part of its own
                self._closed[earlier] = self._closed.pop(path)
                name += f"[{len(self._closed)}]"
            stream = self._open[path] = self._guard.channel(name, is_json=is_json)
        return stream

    def _feed(self, path: Path, text: str, *, is_json: bool = False) -> str:
        return self._channel(path, is_json=is_json).feed(text)

    def _finish(self, path: Path) -> str:
        stream = self._closed[path] = self._open.pop(path)
        return stream.finish()

    def _whole(self, path: Path, text: str) -> str:
        return self._feed(path, text) + self._finish(path)

    def _call(
        self, call: Any, at: int, piece: dict[str, Any], before: dict[str, Any]
    ) -> dict[str, Any]:
        if not isinstance(call, dict):
            raise _protocol("The engine sent a tool call that is not an object: try again.")
        number = call.get("index", at)
        number = number if isinstance(number, int) else at
        if self._last_call is not None and number != self._last_call:
            for done in [p for p in self._open if p[:2] == ("tool_calls", self._last_call)]:
                self._place(done, self._finish(done), piece, before)
        self._last_call = number
        path: Path = ("tool_calls", number)
        out: dict[str, Any] = {}
        for name, value in _named(call):
            if name in ("function", "custom") and isinstance(value, dict):
                out[name] = self._function(value, (*path, name))
            elif name in ("function", "custom"):
                out[name] = None
            elif name == "type" and isinstance(value, str) and value in _KINDS:
                out[name] = value
            elif isinstance(value, str):
                out[name] = self._whole((*path, name), value) if value else value
            else:
                out[name] = numbers_only(value)
        return out

    def _function(self, function: dict[str, Any], path: Path) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in _named(function):
            if name == "arguments" and isinstance(value, (dict, list)):
                out[name] = self._feed((*path, name), _encode(value).decode(), is_json=True)
            elif not isinstance(value, str):
                out[name] = numbers_only(value)
            elif name != "name":
                out[name] = self._feed((*path, name), value, is_json=name == "arguments")
            elif value in self._tools:
                out[name] = self._tools[value]
            else:
                out[name] = self._whole((*path, name), value) if value else value
        return out

    def _place(self, path: Path, rest: str, out: dict[str, Any], before: dict[str, Any]) -> None:
        """Put the rest of a channel into the piece itself if it has it, else before the piece."""
        if not rest:
            return
        holder: Any = _reach(out, path)
        if holder is None:
            holder = before
            if path[0] == "tool_calls":
                calls = before.setdefault("tool_calls", [])
                if not calls or calls[-1]["index"] != path[1]:
                    calls.append({"index": path[1]})
                holder = calls[-1]
            for name in path[2 if path[0] == "tool_calls" else 0 : -1]:
                holder = holder.setdefault(name, {})
        holder[path[-1]] = holder.get(path[-1], "") + rest


def _reach(out: dict[str, Any], path: Path) -> Any:
    """The object in the piece that holds the last name of the path, or None."""
    holder: Any = out
    for name in path[:-1]:
        if isinstance(holder, list):
            calls = [c for at, c in enumerate(holder) if c.get("index", at) == name]
            holder = calls[-1] if calls else None
        else:
            holder = holder.get(name)
        if not isinstance(holder, (dict, list)):
            return None
    return holder if isinstance(holder.get(path[-1]), str) else None


def _protocol(message: str) -> ApiError:
    return ApiError(502, "engine_protocol", message)


def is_name(text: str) -> bool:
    """Whether a name is one that a protocol has; a model cannot say anything in such a name."""
    return _NAME.match(text) is not None


def _named(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    """The fields with such names; the others do not leave."""
    return [(name, value) for name, value in fields.items() if is_name(name)]


def _name(path: Path) -> str:
    text = str(path[0])
    for part in path[1:]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def numbers_only(value: Any) -> Any:
    """Return a value without its strings and without lists of numbers (which may be tokens)."""
    if isinstance(value, dict):
        kept = {k: numbers_only(v) for k, v in value.items() if not isinstance(v, str)}
        return {k: v for k, v in kept.items() if _WORD.match(k)}
    if isinstance(value, list):
        return [numbers_only(item) for item in value if isinstance(item, dict)]
    return None if isinstance(value, str) else value
