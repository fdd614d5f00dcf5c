"""Answers that have to have a form: judged when they are whole, and asked for again.

Only for policies with a rule about the form of answers; no other call comes here. The engine's
answer passes the guard as always. What is about to leave is judged then; if it has not the form
that was asked for, the engine gets its own answer back with what is wrong with it, through the
guard like any other prompt. A stream that may be repaired or refused is held until it is decided.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

from keelmark.core import semconv
from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.core.form import AnswerForm, Expected, Fault, Formed, FormError, Holds
from keelmark.core.verdict import Verdict
from keelmark.serve.answers import Answer, summed
from keelmark.serve.calls import CHAT, Call, Desk, Kind, Stage, before, check, choose
from keelmark.serve.choice import FILTERED
from keelmark.serve.dialect import Dialect
from keelmark.serve.errors import ApiError, as_api_error
from keelmark.serve.forms import (
    CALLS,
    Said,
    asked_form,
    calls_only,
    chunks_in,
    gathered,
    question,
    said_in,
    tidy,
)
from keelmark.serve.http import Request
from keelmark.serve.serving import Serving
from keelmark.serve.sse import DONE, event
from keelmark.serve.traces import stamp
from keelmark.serve.wire import Wire

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_LONGEST_DETAIL = 500
_MARKS = tuple(f'"{name}":'.encode() for name in CALLS)  # within a text the quotes are escaped


async def keep(_desk: Desk, call: Call) -> Call:
    """Keep what the client sent: later stages write into it."""
    return msgspec.structs.replace(call, own=_encode(call.body))


class _Copied(Wire):
    """Keeps the events of a stream; sends them on, or holds them.

    Attributes:
        kept: The events.
        left: How many of them were sent on.
    """

    def __init__(self, wire: Wire, holds: Holds) -> None:
        self.kept: list[bytes] = []
        self.left = 0
        self.started = wire.started
        self._wire = wire
        self._holds = holds

    async def events(self, data: bytes) -> None:
        """See Wire."""
        self.started = True
        self.kept.append(data)
        if self._holds == "calls" and any(mark in data for mark in _MARKS):
            self._holds = "all"
        if self._holds != "all":
            self.left += 1
            await self._wire.events(data)


class _Attempt(NamedTuple):
    """One answer of the engine.

    Attributes:
        call: What was asked.
        answer: How it passed the guard.
        last: Its last bytes as they would leave.
        body: The whole answer, or the chunks of the stream.
        said: Its choices.
        formed: Path of a text to what is said of its form.
        left: How many of the chunks have left.
    """

    call: Call
    answer: Answer
    last: bytes
    body: list[dict[str, Any]]
    said: list[Said]
    formed: Mapping[str, Formed]
    left: int

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with it."""
        return [fault for formed in self.formed.values() for fault in formed.faults]

    @property
    def repeats(self) -> int:
        """How often to ask again for what is wrong with it."""
        if len(self.said) != 1:
            return 0
        return max((fault.attempts for fault in self.faults), default=0)

    @property
    def verdict(self) -> str:
        """What is wrong with it, in words of the detectors; "valid" when nothing is."""
        return " ".join(sorted({fault.label for fault in self.faults})) or "valid"

    def refuse(self) -> None:
        """Raise when a rule does not let it leave.

        Raises:
            ApiError: 422, with what is wrong with it, or that nobody knows.
        """
        stops = next((one.stops for one in self.formed.values() if one.stops), "")
        if not stops:
            return
        said = "; ".join(dict.fromkeys(line for fault in self.faults for line in fault.said))
        if not said:
            raise ApiError(422, "could_not_check", stops)
        message = f"{stops.removesuffix('.')} ({said[:_LONGEST_DETAIL]})."
        raise ApiError(422, "invalid_answer", message)


class FormedServing(Serving):
    """A call whose answer has to have a form.

    Attributes:
        form: The form that was asked for.
        notes: What was done about it, for the verdict.
        rules: The rules about it.
    """

    once: ClassVar[tuple[Stage, ...]] = (*before(check, keep), choose)

    def __init__(
        self, desk: Desk, request: Request, kind: Kind, dialect: Dialect | None = None
    ) -> None:
        super().__init__(desk, request, kind, dialect)
        self.form = AnswerForm()
        self.notes: list[str] = []
        self.rules: set[str] = set()

    def fork(self, call: Call, wire: Wire) -> Self:
        """See Serving."""
        other = super().fork(call, wire)
        other.notes, other.rules = [], set()
        return other

    def take(self, attempt: Self) -> None:
        """See Serving."""
        super().take(attempt)
        self.form, self.notes, self.rules = attempt.form, attempt.notes, attempt.rules

    async def ask(self) -> bytes:
        """Forward the call, judge the form of its answer, and ask again where the policy says so.

        Raises:
            ApiError: 400, the form cannot be checked; 422, no answer has it and a rule blocks.
        """
        self.form = asked_form(_decode(self.call.own))
        expected = self._expect(self.call)
        if not expected.judged:
            return await super().ask()
        began, wire = perf_counter(), self.wire
        attempt = await self._attempt(wire, expected.holds)
        answers, usage = [attempt.verdict], attempt.answer.total
        while attempt.repeats >= len(answers) and self.call.kind is CHAT:
            again = await self._again(attempt, wire)
            if isinstance(again, str):
                answers.append(again)
                break
            attempt = again
            answers.append(attempt.verdict)
            usage = summed(usage, attempt.answer.total)
        self.call, self.answer = attempt.call, attempt.answer
        self.answer.usage, self.answer.more = usage, {}
        self._note(attempt, answers)
        attempt.refuse()
        if self.trace.stream and expected.holds == "nothing":
            return attempt.last
        return await self._let_go(attempt, began, usage if len(answers) > 1 else None)

    def _expect(self, call: Call) -> Expected:
        if call.guard is None:
            raise UnavailableError("The prompt was not judged: this is a defect, please report it.")
        try:
            return call.guard.expect(self.form)
        except FormError as error:
            field = "tools" if error.tool else "response_format"
            raise ApiError(400, "invalid_schema", error.message, param=field) from None

    async def _attempt(self, wire: Wire, holds: Holds) -> _Attempt:
        """Ask the engine, and judge what it answers."""
        self.wire = copied = _Copied(wire, holds)
        before = self._spent("engine", "guard_output")
        try:
            last = await super().ask()
        finally:
            self.wire = wire
            self._spend(before)
        if self.answer is None or self.call.guard is None:
            raise UnavailableError("Nothing was answered: this is a defect, please report it.")
        since = perf_counter()
        if self.trace.stream:
            body = chunks_in(b"".join([*copied.kept, last]))
            said = said_in(gathered(body, chat=self.call.kind is CHAT))
        else:
            body = [_decode(last)]
            said = said_in(body[0])
        formed: dict[str, Formed] = {}
        for choice in said:
            if choice.finish == FILTERED:
                continue
            if choice.text is not None:
                formed[choice.path] = self.call.guard.formed(choice.path, choice.text)
            for call in choice.calls:
                formed[call.path] = self.call.guard.formed(call.path, call.arguments, call.name)
        self._spend({"guard_output": 1000 * (perf_counter() - since)})
        left = len(chunks_in(b"".join(copied.kept[: copied.left])))
        return _Attempt(self.call, self.answer, last, body, said, formed, left)

    async def _again(self, attempt: _Attempt, wire: Wire) -> _Attempt | str:
        """Ask again; return the code of the error when that did not work."""
        body = _decode(self.call.own)
        faults = {path: formed.faults for path, formed in attempt.formed.items()}
        body["messages"] += question(attempt.said[0], faults)
        judged, before = self.trace.input, self._spent("guard_input")
        try:
            call = msgspec.structs.replace(self.call, body=body, guard=None, prompt=b"")
            for stage in self.each:
                call = await stage(self.desk, call)
            self.call = call
            self._expect(call)
            return await self._attempt(wire, "all")
        except KeelmarkError as error:
            self.trace.input = judged
            return as_api_error(error).code
        finally:
            self._spend(before)

    def _spent(self, *stages: str) -> dict[str, float]:
        """Take out the times of stages that will be passed again."""
        return {stage: self.trace.timings.pop(stage, 0.0) for stage in stages}

    def _spend(self, times: Mapping[str, float]) -> None:
        """Add times to those of the stages, milliseconds."""
        timings = self.trace.timings
        timings |= {
            stage: round(timings.get(stage, 0.0) + ms, 3) for stage, ms in times.items() if ms
        }

    def _note(self, attempt: _Attempt, answers: list[str]) -> None:
        """Write down what was done, where traces and verdicts show it."""
        attributes = self.trace.attributes
        formed = attempt.formed.values()
        self.rules = {rule for one in formed for rule in one.rules}
        if len(answers) > 1:
            attributes[semconv.REPAIR_ATTEMPTS] = len(answers) - 1
            attributes[semconv.REPAIR_ANSWERS] = answers
            self.notes.append(f"asked again ({len(answers) - 1}): {', then '.join(answers)}")
        if off := sorted({one.tidied for one in formed if one.tidied}):
            attributes[semconv.REPAIR_TIDIED] = off
            self.notes.append(f"taken off: {', '.join(off)}")

    async def _let_go(
        self, attempt: _Attempt, began: float, usage: Mapping[str, Any] | None
    ) -> bytes:
        """Send what was held."""
        tidy(attempt.body, attempt.formed)
        for part in attempt.body:
            if usage is not None and part.get("usage"):
                part["usage"] = usage
        if not self.trace.stream:
            return _encode(attempt.body[0])
        chunks = attempt.body[attempt.left :]
        if not self.wire.started:
            stamp(self.trace, "first_token", began)
        elif not attempt.left and any(choice.calls for choice in attempt.said):
            calls_only(chunks)  # what the first answer said has left
        await self.wire.events(b"".join(event(_encode(chunk)) for chunk in chunks))
        return DONE

    def _close(self, error: ApiError | None) -> None:
        super()._close(error)
        if self.notes and self.trace.output is not None:
            self.trace.output = _noted(self.trace.output, self.rules, "; ".join(self.notes))


def _noted(verdict: Verdict, rules: Collection[str], note: str) -> Verdict:
    """A verdict whose rules about the form say what was done."""
    results = tuple(
        msgspec.structs.replace(one, reason="; ".join(filter(None, (one.reason, note))))
        if one.rule in rules
        else one
        for one in verdict.rules
    )
    return msgspec.structs.replace(verdict, rules=results)
