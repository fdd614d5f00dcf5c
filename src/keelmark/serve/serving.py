"""One model call from its first byte to its last: prepare, forward, answer, record, end."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable
from time import perf_counter
from typing import ClassVar, Self

import msgspec

from keelmark.core.aside import aside, aside_waiting
from keelmark.core.caching import KeptAnswer
from keelmark.core.canary import without_canary
from keelmark.core.errors import KeelmarkError, UnavailableError
from keelmark.core.ports import UpstreamResponse
from keelmark.core.semconv import ERROR_TYPE, RESPONSE_FIRST_CHUNK
from keelmark.core.trace import Content
from keelmark.serve.admitting import Admitted, sent, slot_for
from keelmark.serve.ahead import Ahead
from keelmark.serve.answers import Answer
from keelmark.serve.attempts import Attempts
from keelmark.serve.caching import Again, Copied, keep_all, memo_of
from keelmark.serve.calls import CHAT, EACH, EMBEDDINGS, ONCE, Call, Desk, Kind, Stage
from keelmark.serve.dialect import Dialect, Spoken
from keelmark.serve.echo import cut, glue
from keelmark.serve.engine import Engine, Scoring
from keelmark.serve.errors import ApiError, ClientGoneError, as_api_error, told
from keelmark.serve.further import Further, note_further
from keelmark.serve.http import Request
from keelmark.serve.refusals import not_streamed, refused_by_engine
from keelmark.serve.rewriting import Rewriting
from keelmark.serve.sampling import Sampling, comparable
from keelmark.serve.sse import DONE, EventReader, EventTooLongError
from keelmark.serve.steering import Leash
from keelmark.serve.traces import new_trace, note_answer, note_usage, shorten, stamp
from keelmark.serve.vectors import read_vectors
from keelmark.serve.wholly import LONGEST_ANSWER, read_answer, too_long
from keelmark.serve.wire import Presence, Wire

log = logging.getLogger("keelmark.serve")

Response = Again | Admitted | Copied
GONE = 499
LONGEST_STREAM = 8 * LONGEST_ANSWER
"""Bytes of an answer in events, which say little each: what is kept of it is far less."""
_CUT = (
    "The engine stopped while answering; nothing after this point was lost silently: send the "
    "request again."
)


class Serving:
    """One call while it is served.

    Attributes:
        once: The way of the call to where it is known who may answer it.
        each: Its way from there to each engine that it is tried at.
    """

    once: ClassVar[tuple[Stage, ...]] = ONCE
    each: ClassVar[tuple[Stage, ...]] = EACH

    def __init__(
        self, desk: Desk, request: Request, kind: Kind, dialect: Dialect | None = None
    ) -> None:
        self.desk = desk
        self.trace = new_trace(kind.operation, desk.config.guard.policy_digest)
        voice = None if dialect is None else dialect.voice(self.trace)
        leash = Leash()
        self.call = Call(request=request, kind=kind, trace=self.trace, voice=voice, leash=leash)
        self.wire = Wire(request, self.trace) if voice is None else Spoken(self.call.request, voice)
        self.answer: Answer | None = None
        self.further: Further | None = None
        self.sampling: Sampling | None = None
        self.kept: list[KeptAnswer] = []
        self.at_engine: Callable[[], None] = _nothing
        self.at_answer: Callable[[], None] = _nothing
        self.began = perf_counter()

    async def run(self) -> None:
        """Serve the call; every way out is recorded before the last byte leaves."""
        last, error = await self._come_to_an_end()
        self._close(error)
        if self.kept and error is None:
            await keep_all(self.desk, self.kept)
        error = await self._record() or error
        if error is None:
            await self.wire.end(last)
        elif error.status != GONE:
            await self.wire.fail(error)

    async def _come_to_an_end(self) -> tuple[bytes, ApiError | None]:
        """Return the last bytes of the answer, or why there is none.

        Apart from `run`: an error in a variable of a frame that it went through holds itself.
        """
        try:
            last = await self._within_limits()
        except ApiError as refusal:
            return b"", refusal
        except ClientGoneError as gone:
            return b"", ApiError(GONE, "client_gone", gone.message)
        except KeelmarkError as failure:
            return b"", as_api_error(failure)
        except Exception as defect:  # boundary: a defect of ours must answer 500, not a traceback
            log.error("request %s failed: %s", self.trace.trace_id, told(defect))  # noqa: TRY400 (quotes)
            return b"", ApiError(
                500, "internal_error", "Keelmark failed on this request: see its log and trace."
            )
        self.trace.status = 200
        return last, None

    async def _within_limits(self) -> bytes:
        seconds = self.desk.config.policy.limits.request_seconds
        presence = Presence(self.call.request)
        leash = self.desk.config.steering.hold(self.call.leash)
        try:
            async with asyncio.timeout(seconds):
                for stage in self.once:
                    self.call = await stage(self.desk, self.call)
                if self.call.tab is not None:
                    self.wire.more = self.call.tab.headers
                async with presence:
                    plan = self.call.plan
                    last = await (Attempts(self, plan).run() if plan else self._try())
                    return self.wire.last(last)
        except TimeoutError:
            raise ApiError(
                504, "timeout", f"The answer was not complete within {seconds:g} seconds."
            ) from None
        except asyncio.CancelledError:
            if leash and (stopped := leash.pulled()):
                raise stopped from None
            if not presence.gone:
                raise
            raise ClientGoneError from None
        finally:
            self.desk.config.steering.let_go(leash)
            await presence.settle()

    async def _try(self) -> bytes:
        """Try the call at its target; return the last bytes of the answer."""
        for stage in self.each:
            self.call = await stage(self.desk, self.call)
        return await self.ask()

    def fork(self, call: Call, wire: Wire) -> Self:
        """Return a copy for one attempt at a call, which shares nothing that changes."""
        other = copy.copy(self)
        other.call, other.trace, other.wire, other.answer = call, call.trace, wire, None
        return other

    def take(self, attempt: Self) -> None:
        """Go on with what an attempt has come to; its trace is taken elsewhere."""
        self.call = msgspec.structs.replace(attempt.call, trace=self.trace)
        self.answer = attempt.answer

    def forsake(self) -> None:
        """Let go of what this attempt has taken: it is not the one that answers."""
        if self.call.charge is not None:
            self.call.charge.lose()

    async def ask(self) -> bytes:
        """Forward the call and return the last bytes of its answer."""
        if self.call.charge is None:
            return await self._with_others()
        with self.call.charge:
            return await self._with_others()

    async def _with_others(self) -> bytes:
        """Ask, with what else the guard needs of the engine."""
        rewrites, samples = self.call.needs.asks and self.call.kind is CHAT, comparable(self.call)
        if not (rewrites or samples):
            return await self._asked()
        self.further = Further(self.desk, self.call, self._send_other)
        self.sampling = Sampling(self.further) if samples else None
        try:
            return await self._asked()
        finally:
            await self.further.settle()
            note_further(self.trace, self.further)

    async def _send_other(self, call: Call) -> Admitted:
        other = self.fork(call, self.wire)
        other.at_engine, other.at_answer, other.sampling = _nothing, _nothing, None
        return await other.send()

    async def _asked(self) -> bytes:
        call = self.call
        memo = memo_of(self.desk, call)
        response = await self.send() if memo is None else await memo.answer(self.send)
        since = response.since
        try:
            if response.status != 200:
                said = await read_answer(response)
                raise refused_by_engine(response.status, response.headers, said, call.body)
            if call.charge is not None:
                call.charge.answered = call.charge.sent
            if call.kind is EMBEDDINGS:
                last = await self._vectors(response)
            elif self.trace.stream:
                last = await self._stream(response, since)
            else:
                last = await self._whole(response)
            response.complete(self.trace, self.answer.usage if self.answer else {})
            if memo is not None and (kept := memo.kept(self.answer)):
                self.kept.append(kept)
        finally:
            stamp(self.trace, "engine", since)
            await response.close(over=self.answer is not None and self.answer.done)
        return last

    async def send(self) -> Admitted:
        """Send the call to its engine in its turn; nothing of the answer is read here."""
        call, config = self.call, self.desk.config
        if call.engine is None:
            raise UnavailableError("No engine was chosen: this is a defect, please report it.")
        scorer = call.engine if call.echo and isinstance(call.engine, Scoring) else None
        patience = call.engine.first_byte_seconds
        if scorer:  # it answers all at once, in the end
            patience = max(patience, config.policy.limits.request_seconds)
        slot = await slot_for(self.desk, call, call.engine, self.began)
        self.at_engine()
        if self.sampling is not None:
            self.sampling.begin()
        return await sent(slot, patience, self._forward(call.engine, scorer, patience))

    async def _forward(
        self, engine: Engine, scorer: Scoring | None, patience: float
    ) -> UpstreamResponse:
        endpoint = await scorer.scorer() if scorer else engine.endpoint()
        if self.call.charge is not None:
            self.call.charge.sent = True
        return await self.desk.config.transport.send(
            "POST",
            endpoint.base_url + self.call.kind.path,
            headers={"content-type": "application/json", **endpoint.headers},
            body=self.call.prompt,
            timeout=patience,
        )

    async def _begin(self) -> Answer:
        if self.call.guard is None or self.call.asked is None:
            raise UnavailableError("The prompt was not judged: this is a defect, please report it.")
        if self.sampling is not None:
            self.at_answer()
            self.call.guard.sampled(await self.sampling.all())
        self.answer = Answer(self.call.guard, self.call.asked)
        if self.further is not None:
            self.answer.more = self.further.usage
            if self.call.kind is CHAT:
                again = Rewriting(self.further, asyncio.get_running_loop())
                self.call.guard.again = again
        if self.call.charge is not None:
            self.call.charge.answer = self.answer
        return self.answer

    async def _vectors(self, response: UpstreamResponse) -> bytes:
        model = self.call.asked.model if self.call.asked else ""
        packed = self.call.body.get("encoding_format") == "base64"
        last, usage = read_vectors(
            await read_answer(response), model or self.trace.model, packed=packed
        )
        note_usage(self.trace, usage)
        return last

    async def _whole(self, response: Response) -> bytes:
        body = await read_answer(response)
        if self.further is not None:
            response.over()
        answer = await self._begin()
        since = perf_counter()
        if self.call.echo is None:
            last = await self._guarded(answer.whole, body)
        else:
            rest, heads = cut(body, self.call.echo)
            last = glue(await self._guarded(answer.whole, rest), heads)
        stamp(self.trace, "guard_output", since)
        return last

    async def _guarded(self, work: Callable[[bytes], bytes], data: bytes) -> bytes:
        """Guard something of the answer, aside where that takes long."""
        if self.further is not None:
            return await aside_waiting(self.further.stop, work, data)
        return await aside(work, data) if self.call.needs.heavy else work(data)

    async def _stream(self, response: Response, since: float) -> bytes:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise not_streamed(await read_answer(response))
        if self.further is None:
            return await self._streamed(response, since)
        ahead = Ahead(response)
        try:
            return await self._streamed(ahead, since)
        finally:
            await ahead.close()

    async def _streamed(self, response: Response | Ahead, since: float) -> bytes:
        reader, answer = EventReader(), await self._begin()
        spent, left = 0.0, LONGEST_STREAM
        try:
            async for chunk in response.chunks():
                at = perf_counter()
                left -= len(chunk)
                if left < 0:
                    raise too_long(LONGEST_STREAM)
                over = await self._pass_on(reader.feed(chunk), since)
                spent += perf_counter() - at
                if over:
                    break
            else:
                await self._leftover(reader.finish(), since)
        except UnavailableError:
            raise ApiError(502, "engine_gone", _CUT) from None
        except EventTooLongError as error:
            raise ApiError(502, "engine_protocol", str(error)) from None
        finally:
            self.trace.timings["guard_output"] = round(spent * 1000, 3)
        if not answer.done and not answer.complete:
            raise ApiError(502, "engine_gone", _CUT)
        if not self.wire.started:
            await self.wire.events(b"")  # an answer without any text is a stream nevertheless
        return answer.rest() + DONE

    async def _leftover(self, events: list[bytes], since: float) -> None:
        """Pass on an event whose closing blank line never came, if it is one."""
        try:
            await self._pass_on(events, since)
        except ApiError:
            raise ApiError(502, "engine_gone", _CUT) from None

    async def _pass_on(self, events: list[bytes], since: float) -> bool:
        """Guard events and send what may leave; say whether the answer is over."""
        answer = self.answer
        if answer is None:
            return True
        ready: list[bytes] = []
        try:
            for data in events:
                ready.append(await self._guarded(answer.chunk, data))
                if answer.done or (answer.filtered and answer.complete):
                    return True
            return False
        finally:
            if data := b"".join(ready):
                if not self.wire.started:
                    stamp(self.trace, "first_token", since)
                await self.wire.events(data)

    def _close(self, error: ApiError | None) -> None:
        trace = self.trace
        if self.answer is not None and self.call.guard is not None:
            trace.output = self.call.guard.output_verdict()
            note_answer(trace, self.answer)
        shorten(trace)
        if "first_token" in trace.timings:
            trace.attributes[RESPONSE_FIRST_CHUNK] = round(trace.timings["first_token"] / 1000, 6)
        if error is not None:
            trace.status = 200 if self.wire.started and error.status != GONE else error.status
            trace.error = trace.attributes[ERROR_TYPE] = error.code
        stamp(trace, "total", self.began)

    async def _record(self) -> ApiError | None:
        """Write the record; without it there is no answer."""
        trace, tab = self.trace, self.call.tab
        config = self.desk.config
        failure: ApiError | None = None
        if trace.key_id:
            used = (tab.bill(trace),) if tab is not None else ()
            try:
                await config.recorder.record(trace, self._content(), *used)
            except Exception as broken:  # boundary: what cannot be recorded is not answered
                why = told(broken)
                log.error("request %s not recorded: %s", trace.trace_id, why)  # noqa: TRY400 (quotes)
                trace.status = trace.status if self.wire.started else 500
                trace.error = "not_recorded"
                failure = ApiError(
                    500,
                    "not_recorded",
                    "The request could not be recorded, so it is not answered: check the disk, or "
                    "the database.",
                )
        if tab is not None:
            tab.close(recorded=failure is None)
        for hook in config.on_trace:
            hook(trace)
        return failure

    def _content(self) -> Content | None:
        if self.desk.config.policy.retention.content == "none" or not self.call.prompt:
            return None
        kept = self.answer.kept() if self.answer is not None else b""
        return Content(prompt=without_canary(self.call.prompt), answer=kept)


def _nothing() -> None: ...
