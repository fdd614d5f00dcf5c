"""Answers that are given again: which request may have one, under which name, and what is kept.

What is kept is what the engine sent, before the guard: placeholders stand where values were
masked, and what is given again passes the guard of the present request, with its vault and its
rules. The name is a digest of the prompt as the engine gets it, of the policy, of the model's
digest (or of who it is, where that cannot be seen), and of who may have the answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from keelmark.core import semconv
from keelmark.core.caching import Caching, KeptAnswer
from keelmark.core.canary import without_canary
from keelmark.core.canonical import digest
from keelmark.core.outcome import Outcome
from keelmark.core.ports import RequestGuard
from keelmark.core.trace import Trace
from keelmark.serve.admitting import Admitted
from keelmark.serve.answers import Answer
from keelmark.serve.calls import CHAT, COMPLETION, EMBEDDINGS, Call, Desk
from keelmark.serve.engine import Endpoint, Engine
from keelmark.serve.errors import ApiError, bad_request, told
from keelmark.serve.marks import unmark
from keelmark.serve.recast import as_stream, as_whole

log = logging.getLogger("keelmark.serve")

_KINDS = (CHAT, COMPLETION, EMBEDDINGS)
_NOT_ASKED = frozenset(
    {
        *("stream", "stream_options", "user", "safety_identifier", "metadata", "store"),
        *("prompt_cache_key", "prompt_cache_retention"),
    }
)
"""Fields that change nothing of what is answered: how it comes, and for whom."""
_DIRECTIVES = frozenset({"no-store", "no-cache", "only-if-cached"})
_decode = msgspec.json.Decoder().decode


class Wish(NamedTuple):
    """What a client says of caches, in `x-keelmark-cache` or `cache-control`.

    Attributes:
        find: Whether a kept answer will do.
        keep: Whether the answer may be kept.
        only: Whether nothing but a kept answer will do.
        age: Longest age that will do, seconds.
    """

    find: bool = True
    keep: bool = True
    only: bool = False
    age: float = float("inf")


def wish_of(headers: Mapping[bytes, bytes]) -> Wish:
    """Return what a client says of caches.

    Raises:
        ApiError: 400, `x-keelmark-cache` says what it cannot.
    """
    own = headers.get(b"x-keelmark-cache")
    said = headers.get(b"cache-control", b"") if own is None else own
    words = {word.strip() for word in said.decode("ascii", "replace").lower().split(",")} - {""}
    ages = [word.removeprefix("max-age=") for word in words if word.startswith("max-age=")]
    known = _DIRECTIVES | {f"max-age={age}" for age in ages if age.isdigit() and len(age) < 10}
    if own is not None and words - known:
        raise bad_request(
            "The header `x-keelmark-cache` says no-store, no-cache, only-if-cached or max-age=N.",
            code="invalid_cache_directive",
        )
    return Wish(
        find=not words & {"no-store", "no-cache"},
        keep="no-store" not in words,
        only="only-if-cached" in words,
        age=min((float(age) for age in ages if age.isdigit()), default=float("inf")),
    )


class Memo:
    """What is to become of one answer of an engine: given again, or kept.

    Attributes:
        name: Name of the answer; "" when neither may be.
    """

    def __init__(self, desk: Desk, call: Call, name: str, seconds: float, wish: Wish) -> None:
        self.name = name
        self._desk, self._call = desk, call
        self._seconds, self._wish = seconds, wish
        self._copied: Copied | None = None

    async def find(self) -> Again | None:
        """Return the answer that was kept.

        Raises:
            ApiError: 504, there is none and the client wants no other.
        """
        config, trace, now = self._desk.config, self._call.trace, time.time()
        kept = None
        if self._wish.find and self.name and config.answers is not None:
            kept = await config.answers.find(self.name)
        if kept is not None and now - kept.created <= self._wish.age:
            body = _in_form(kept, self._call)
            if body is not None:
                age = max(0, int(now - kept.created))
                trace.attributes[semconv.CACHE] = "hit"
                trace.attributes[semconv.CACHE_AGE] = age
                return Again(body, streamed=trace.stream)
        if self._wish.only:
            raise ApiError(
                504, "not_cached", "No answer is kept for this request, and no other was wanted."
            )
        if self.name and self._wish.find:
            trace.attributes[semconv.CACHE] = "miss"
        elif self.name:
            note_bypass(trace, "the client wants a new answer")
        return None

    async def answer(self, send: Callable[[], Awaitable[Admitted]]) -> Again | Admitted | Copied:
        """Return what was kept, or else what is sent for, copied on its way if it may be kept.

        Raises:
            ApiError: As `find`, or as `send`.
        """
        again = await self.find()
        if again is not None:
            return again
        response = await send()
        if not (self.name and self._wish.keep):
            return response
        self._copied = Copied(response, self._desk.config.policy.cache.answer_bytes)
        return self._copied

    def kept(self, answer: Answer | None) -> KeptAnswer | None:
        """Return what is to be kept of an answer that is complete; None when nothing is."""
        copied, call = self._copied, self._call
        body = None if copied is None else copied.body
        if body is None or (answer is not None and not _whole(answer, call)):
            return None
        now = time.time()
        return KeptAnswer(
            name=self.name,
            subject=call.trace.subject,
            created=now,
            expires=now + self._seconds,
            streamed=call.trace.stream,
            body=body,
        )


def memo_of(desk: Desk, call: Call) -> Memo | None:
    """Return what the cache makes of a call; None where the policy keeps no answers.

    Raises:
        ApiError: 400, for a header that says what it cannot.
    """
    caching, engine = desk.config.policy.cache, call.engine
    if not caching.enabled or desk.config.answers is None or engine is None:
        return None
    wish = wish_of(call.request.headers)
    seconds = caching.seconds if engine.digest else caching.unattested_seconds
    why = _bypassed(desk, call, caching, seconds)
    if not wish.keep and not wish.find:
        why = why or "the client wants no cache"
    if why:
        note_bypass(call.trace, why)
    name = "" if why else _name(desk, call, engine)
    seconds = min(seconds, 86_400.0 * desk.config.policy.retention.days)
    return Memo(desk, call, name, seconds, wish)


async def keep_all(desk: Desk, answers: Sequence[KeptAnswer]) -> None:
    """Keep answers; one that cannot be kept costs nobody the answer itself."""
    config = desk.config
    for answer in answers:
        try:
            if config.answers is not None:
                await config.answers.keep(answer, config.policy.cache.bytes)
        except Exception as broken:  # boundary: the answer is there, kept or not
            log.warning("an answer was not kept: %s", told(broken))


def note_bypass(trace: Trace, why: str) -> None:
    """Write down that the cache was not asked, and why."""
    trace.attributes[semconv.CACHE] = "bypass"
    trace.attributes[semconv.CACHE_WHY] = why


def _bypassed(desk: Desk, call: Call, caching: Caching, seconds: float) -> str:
    """Why a call has nothing to do with the cache; "" when it has."""
    body = call.body
    if call.kind not in _KINDS or call.echo is not None:
        return "not a kind of call that is kept"
    if desk.config.policy.retention.content == "none":
        return "the policy keeps no content"
    if not caching.scope.covers(call.origin, unknown=False):
        return "out of the scope"
    if not seconds:
        return "the weights of the engine cannot be seen"
    same = body.get("temperature") == 0 or body.get("seed") is not None
    if caching.only_deterministic and not same and call.kind is not EMBEDDINGS:
        return "not deterministic"
    return ""


def _name(desk: Desk, call: Call, engine: Engine) -> str:
    trace, config = call.trace, desk.config
    sharing = config.policy.cache.shared_by
    who = {
        "subject": ["subject", trace.key_id, trace.subject],
        "key": ["key", trace.key_id],
        "team": ["team", trace.team] if trace.team else ["key", trace.key_id],
        "all": ["all"],
    }[sharing]
    body = _decode(without_canary(call.prompt))
    if call.charge is not None and call.charge.output is not None:
        for limit in ("max_tokens", "max_completion_tokens"):
            body.pop(limit, None)  # ours, and not always the same
    unmark(body)
    asked = {name: value for name, value in body.items() if name not in _NOT_ASKED}
    return digest(
        {
            "version": [1, config.version],
            "path": call.kind.path,
            "who": who,
            "policy": config.guard.policy_digest,
            "model": engine.digest or _unseen(engine),
            "engine": [engine.id, getattr(engine, "chat_template", "")],
            "asked": asked,
        }
    )


def _unseen(engine: Engine) -> list[str]:
    """Who an engine is whose weights cannot be seen."""
    endpoint: Endpoint = engine.endpoint()
    return [engine.id, endpoint.base_url, engine.upstream_model]


def _whole(answer: Answer, call: Call) -> bool:
    """Whether an answer is complete, and nothing was amiss with it."""
    guard: RequestGuard | None = call.guard
    if guard is None or answer.filtered or not answer.finishes:
        return False
    ended = set(answer.finishes.values())
    if "content_filter" in ended or not (answer.done or answer.complete):
        return False
    if "length" in ended and call.charge is not None and call.charge.output is not None:
        return False
    verdict = guard.output_verdict()
    if without_canary(call.prompt) != call.prompt:  # another request could not know this canary
        return verdict.outcome is Outcome.ALLOW
    return not verdict.stops


def _in_form(kept: KeptAnswer, call: Call) -> bytes | None:
    """A kept answer in the form that is asked for; None when it cannot be had in it."""
    if kept.streamed == call.trace.stream:
        return kept.body
    chat = call.kind is CHAT
    return as_stream(kept.body, chat=chat) if call.trace.stream else as_whole(kept.body, chat=chat)


class Again:
    """An answer that was kept. Implements `UpstreamResponse`, as far as it is read.

    Args:
        body: As an engine would send it.
        streamed: Whether it is a stream of events.
    """

    status = 200

    def __init__(self, body: bytes, *, streamed: bool) -> None:
        kind = "text/event-stream" if streamed else "application/json"
        self.headers: Mapping[str, str] = {"content-type": kind}
        self.since = perf_counter()
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        """See UpstreamResponse."""
        yield self._body

    async def read(self) -> bytes:
        """See UpstreamResponse."""
        return self._body

    def over(self, first: float = 0.0) -> None:
        """See Admitted: it has no slot."""

    def complete(self, trace: Trace, usage: Mapping[str, Any]) -> None:
        """See Admitted: nothing was measured."""

    async def close(self, *, over: bool = False) -> None:
        """See UpstreamResponse: nothing is open."""


class Copied:
    """An answer that is copied while it passes. Implements `UpstreamResponse`.

    Args:
        response: The answer.
        most: Longest copy, bytes.
    """

    def __init__(self, response: Admitted, most: int) -> None:
        self.status, self.headers, self.since = response.status, response.headers, response.since
        self._response, self._most = response, most
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes | None:
        """What has passed; None when it is too long."""
        return b"".join(self._parts) if self._most >= 0 else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """See UpstreamResponse."""
        async for chunk in self._response.chunks():
            self._most -= len(chunk)
            if self._most >= 0:
                self._parts.append(chunk)
            yield chunk

    async def read(self) -> bytes:
        """See UpstreamResponse."""
        return await self._response.read()

    def over(self, first: float = 0.0) -> None:
        """See Admitted."""
        self._response.over(first)

    def complete(self, trace: Trace, usage: Mapping[str, Any]) -> None:
        """See Admitted."""
        self._response.complete(trace, usage)

    async def close(self, *, over: bool = False) -> None:
        """See UpstreamResponse."""
        await self._response.close(over=over)
