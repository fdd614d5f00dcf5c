"""Ports: what one room asks of another without knowing it. `app` joins them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from keelmark.core.caching import KeptAnswer
from keelmark.core.form import AnswerForm, Expected, Formed
from keelmark.core.metering import Amounts, Hold, Level, Rate, Short, Usage
from keelmark.core.scope import NOWHERE, Origin
from keelmark.core.trace import Content, Trace
from keelmark.core.verdict import Verdict


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of text that a model will read.

    Attributes:
        role: system, user, assistant, tool, tool_description, retrieved (documents that
            were looked up), or input (embeddings, completions).
        path: Where it stands in the request (`messages[2].content[0].text`).
        text: The text itself.
        is_json: Whether the text is itself a JSON document (tool-call arguments): the guard then
            looks through the JSON escapes, and what it puts in is escaped.
        part_of: Path of what a template puts together out of this text and the others with the
            same one, in their order (the content of a message that comes in parts), or "".
    """

    role: str
    path: str
    text: str
    is_json: bool = False
    part_of: str = ""


class Needs(NamedTuple):
    """What the guard needs to read an answer.

    Attributes:
        heavy: Reading takes so long that it is to be done aside (core.aside).
        asks: It may ask for another sentence meanwhile (`RequestGuard.again`).
        weighs: It wants the log-probabilities of the answer's tokens.
        samples: How many other answers it wants to compare (`RequestGuard.sampled`).
        seconds: How long they are worth waiting for.
    """

    heavy: bool = False
    asks: bool = False
    weighs: bool = False
    samples: int = 0
    seconds: float = 0.0


class InputResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard makes of a prompt: the texts to send instead, in the same order."""

    texts: tuple[str, ...]
    verdict: Verdict
    needs: Needs = Needs()


class Rated(NamedTuple):
    """The score of a label over a whole text, 0 to 1, and whether it counts for a rule."""

    score: float
    counts: bool


class TextStream(Protocol):
    """One channel of text that a model writes (a choice's content, reasoning, tool arguments).

    The concatenation of everything returned is independent of how the text was split into
    chunks, and no character is returned before every active detector has cleared it.
    """

    @property
    def blocked(self) -> bool:
        """Whether the guard has stopped this channel; nothing more comes out of it."""

    @property
    def kept(self) -> str:
        """What has left so far, placeholders still in place: the form that may be stored."""

    def weigh(self, tokens: Sequence[tuple[str, float]]) -> None:
        """Take note of the log-probabilities of tokens whose text comes next."""

    def feed(self, text: str) -> str:
        """Take the next piece of the model's text; return what may leave now."""

    def finish(self) -> str:
        """The text is complete; return the rest of what may leave."""


class Sample(NamedTuple):
    """Another answer to a request, and whether it is whole."""

    text: str
    whole: bool = True


class Another(NamedTuple):
    """What came of asking for another sentence: the sentence, or None and why there is none."""

    text: str | None
    why: str = ""


Again = Callable[[str, str], Another]
"""From a sentence and what is wrong with it to another one. It waits, so it is called in a thread
(core.aside.aside_waiting)."""


class RequestGuard(Protocol):
    """The guard of one request: it owns the request's vault and nothing outlives it.

    Attributes:
        again: How to ask the engine for another sentence, where the gateway can.
    """

    again: Again | None

    async def check_input(self, segments: Sequence[Segment]) -> InputResult:
        """Judge and mask everything the model will read."""

    async def rated(self, text: str) -> Mapping[str, Rated]:
        """Return what detectors that weigh all their labels say of what a user wrote, by label."""

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Take other answers to the request, before the first channel is made."""

    def channel(self, name: str, *, is_json: bool = False) -> TextStream:
        """Return the stream for one channel of the answer, made on first use."""

    def output_verdict(self) -> Verdict:
        """The verdict over all channels so far."""

    def expect(self, form: AnswerForm) -> Expected:
        """Say which form the answer was asked for in; return what the policy makes of that.

        Raises:
            FormError: A rule that fails closed cannot check this form.
        """

    def formed(self, name: str, text: str, tool: str | None = None) -> Formed:
        """Judge the form of one whole text of the answer, as it leaves.

        Args:
            name: Its channel.
            text: The text, with the user's values given back.
            tool: Name of the tool whose arguments it is; None for an answer.
        """


class GuardPort(Protocol):
    """Makes one `RequestGuard` per request.

    Attributes:
        judges_form: Whether any rule is about the form of answers; when none is, nobody calls
            `expect` and `formed`.
    """

    @property
    def judges_form(self) -> bool:
        """See above."""

    @property
    def policy_digest(self) -> str:
        """Digest of the policy in force."""

    def open(self, origin: Origin = NOWHERE) -> RequestGuard:
        """Begin a request with an empty vault.

        Args:
            origin: Where the request comes from, for rules that are for some requests only.
        """


class Recorder(Protocol):
    """Where finished requests go. Returns only when the record is durable."""

    async def record(
        self, trace: Trace, content: Content | None, usage: Sequence[Usage] = ()
    ) -> None:
        """Write trace, content, usage and ledger record in one transaction.

        Args:
            trace: The finished trace.
            content: What was said, or None.
            usage: What the request has used, one for each engine it was sent to. Where the hold
                of one was given up for lost already, what is written is the difference.
        """


class Rates(Protocol):
    """Limits on what is asked for in a time, and at once. Knows numbers only, no policy."""

    async def enter(self, call: str, rates: Sequence[Rate]) -> Sequence[Level]:
        """Let a call pass all of the limits, or none.

        Args:
            call: Its id, unique; what it has of a limit on calls at work is under this name.
            rates: The limits.

        Returns:
            For each limit how full it is; where any says to wait, the call has not passed, and
            nothing was counted.
        """

    def leave(self, call: str, rates: Sequence[Rate], tokens: int | None) -> None:
        """End a call that has passed; returns at once, whatever is done in the background.

        Args:
            call: Its id.
            rates: The limits, as they were passed.
            tokens: How many it had in the end, to be put in the place of what was thought; None
                leaves it at that.
        """


class Holds(Protocol):
    """What is kept free of budgets for calls at work; outlives the process, not the machine."""

    async def reserve(self, hold: Hold) -> Short | None:
        """Hold the amounts on all of the accounts, or on none.

        On every account what is used, what is held and this hold together are at most its ceiling,
        whoever else reserves at the same time. The use is what `Recorder.record` has written.

        Returns:
            None, or why it cannot be; of several reasons one that no waiting mends.
        """

    def end(self, hold: Hold, charged: Amounts | None) -> None:
        """Let go of a hold; returns at once, whatever is done in the background.

        Args:
            hold: The hold.
            charged: What its recorded usage has, or None when there is no usage of it.
        """

    def abandon(self, hold: Hold) -> None:
        """Leave a hold whose usage could not be recorded to be found as lost; returns at once."""

    async def freed(self, seconds: float) -> None:
        """Wait until a hold of anybody may have ended, at most so many seconds."""


class Answers(Protocol):
    """Answers that are kept for the same request again."""

    async def find(self, name: str) -> KeptAnswer | None:
        """Return the answer of this name; None when there is none (any more)."""

    async def keep(self, answer: KeptAnswer, room: int) -> None:
        """Keep an answer.

        Args:
            answer: The answer.
            room: How much may be kept in all, bytes.
        """


class LedgerPort(Protocol):
    """Append-only record of everything that happened."""

    def append(self, kind: str, body: Mapping[str, Any]) -> int:
        """Append one record durably; return its index. Kinds are in `keelmark.core.events`."""


class UpstreamResponse(Protocol):
    """An answer on its way: status and headers are here, the body comes in chunks."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""

    async def read(self) -> bytes:
        """Return the whole (rest of the) body."""

    async def close(self, *, over: bool = False) -> None:
        """Let go of the connection; cancels the upstream work if it still runs.

        Args:
            over: Whether the engine has said that it is done, so that the body ends in a moment
                and the connection may be kept.
        """


class Transport(Protocol):
    """The one way to an engine: send a request, get an answer that streams."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> UpstreamResponse:
        """Send one request.

        Args:
            method: HTTP method.
            url: Absolute URL.
            headers: Header names in lower case.
            body: Request body, may be empty.
            timeout: Seconds until the first byte of the answer.

        Raises:
            UnavailableError: No connection, or no answer in time.
        """

    async def close(self) -> None:
        """Close all connections."""
