"""Asking a served model: any service that speaks as OpenAI's does, or a bare engine.

Exact weights need `/completions` with `echo` and `logprobs`; a service that has them not, or that
makes them up, is told so before the run (`probing`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from keelmark.core.errors import UnavailableError, UsageError
from keelmark.core.ports import Transport, UpstreamResponse
from keelmark.evaluate.contract import Ask, Generate, Reply, Score
from keelmark.evaluate.weights import WrongWeightsError, weights_of

_BUSY = frozenset({429, 502, 503, 504})
_TRIES = 6
_WAIT, _LONGEST_WAIT = 0.5, 30.0
_LIFE_SECONDS = 20.0
_LONGEST_ANSWER = 64 << 20
_SHUT = frozenset({401, 403})
_BLOCKED = "content_filter"
_MASKED = "masked_prompt"
_UNREADABLE = (
    *(msgspec.DecodeError, RecursionError, LookupError, TypeError, AttributeError),
    *(ValueError, OverflowError),
)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, and how.

    Attributes:
        url: Up to and including `/v1`.
        model: Its name there.
        key: API key; none is sent when empty.
        score_url: Where texts are weighed, when that is elsewhere (a bare engine).
        headers: Others to send, for a bare engine.
        template: Who applies the chat template for weighing: `tokenize` (ours and vLLM's way) or
            `apply-template` (llama.cpp's).
        parallel: Requests at a time.
        timeout: Seconds for one answer.
        tries: How often a busy service is asked for one answer.
    """

    url: str
    model: str
    key: str = ""
    score_url: str = ""
    headers: dict[str, str] = {}
    template: Literal["tokenize", "apply-template"] = "tokenize"
    parallel: int = 4
    timeout: float = 300.0
    tries: int = _TRIES


def base_url(url: str) -> str:
    """Return the address of a service up to and including `/v1`, whether or not it has that."""
    base = url.rstrip("/")
    return base if base.endswith("/v1") else f"{base}/v1"


class _EndlessError(UnavailableError):
    """An answer took too long, or was too long; it would be so again."""


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """A target, opened.

    Args:
        target: Who is asked.
        transport: How it is reached.
        seed: First seed of what is drawn.

    Attributes:
        target: See above.
        seen: Headers by which the service says what stands behind its answers
            (`x-keelmark-model-digest`, `x-keelmark-policy-digest`) to the values that came.
    """

    def __init__(self, target: Target, transport: Transport, seed: int = 1) -> None:
        self.target = target
        self.seen: dict[str, set[str]] = {}
        self._transport, self._seed = transport, seed
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            **({"authorization": f"Bearer {target.key}"} if target.key else {}),
            **target.headers,
        }

    def of(self, model: str) -> Client:
        """Return a client that asks another model there."""
        target = msgspec.structs.replace(self.target, model=model)
        return Client(target, self._transport, self._seed)

    async def ask(self, ask: Ask) -> Reply:
        """Ask once; what goes wrong with this one answer is a reply that failed.

        Raises:
            UnavailableError: Nothing answers there any more.
            UsageError: The service does not accept the key.
        """
        began = time.perf_counter()
        try:
            reply = await (self._score(ask) if isinstance(ask, Score) else self._generate(ask))
        except UnavailableError as error:
            if not await self._lives():
                raise
            reply = Reply(state="failed", code="no_answer", error=error.message)
        return msgspec.structs.replace(reply, seconds=round(time.perf_counter() - began, 6))

    async def models(self) -> list[str]:
        """Return what the service lists; empty when it lists nothing.

        Raises:
            UnavailableError: Nothing answers there.
            UsageError: The service does not accept the key.
        """
        answer = await self._send("GET", f"{self.target.url}/models", None)
        if answer.status != 200:
            return []
        try:
            return [str(one["id"]) for one in msgspec.json.decode(answer.body)["data"]]
        except (msgspec.DecodeError, RecursionError, LookupError, TypeError):
            return []

    async def _lives(self) -> bool:
        """Whether anybody answers there, whatever became of one request."""
        try:
            await self._send("GET", f"{self.target.url}/models", None, seconds=_LIFE_SECONDS)
        except UnavailableError:
            return False
        return True

    # --- weighing ---

    async def _score(self, ask: Score) -> Reply:
        context, before = ask.context, {}
        if ask.messages and self.seen and not self.target.score_url:
            before = {"messages": list(ask.messages)}  # a service of ours puts them before itself
        elif ask.messages:
            begin = await self._templated(ask.messages)
            if isinstance(begin, Reply):
                return begin
            context = begin + context
        body = {
            "model": self.target.model,
            "prompt": [context + one for one in ask.continuations],
            "echo": True,
            "logprobs": 1,
            "max_tokens": 0,
            **before,
            # A service of ours leaves out what nobody counts, which saves it time.
            **({"logprobs_from": len(context)} if self.target.score_url or self.seen else {}),
        }
        base = self.target.score_url or self.target.url
        answer = await self._tried(f"{base}/completions", body)
        if answer.status != 200:
            return _refused(answer)
        try:
            read = msgspec.json.decode(answer.body)
            weights = weights_of(read, context, ask.continuations, each=ask.each)
            used = _used(read)
        except (msgspec.DecodeError, RecursionError):
            return _strange(answer)
        except WrongWeightsError as error:
            return Reply(state="failed", code="no_weights", error=str(error), **_marks(answer))
        return Reply(state="answered", weights=weights, **used, **_marks(answer))

    async def _templated(self, messages: Sequence[dict[str, Any]]) -> Any:
        """What a conversation is for the model, up to where the answer begins."""
        beside = self.target.url.removesuffix("/v1")
        if self.target.template == "apply-template":
            answer = await self._tried(f"{beside}/apply-template", {"messages": list(messages)})
            return _field(answer, "prompt")
        asked = {"model": self.target.model, "messages": list(messages)}
        answer = await self._tried(
            f"{self.target.url}/tokenize", {**asked, "add_generation_prompt": True}
        )
        tokens = _field(answer, "tokens")
        if isinstance(tokens, Reply):
            return tokens
        answer = await self._tried(
            f"{self.target.url}/detokenize", {"model": self.target.model, "tokens": tokens}
        )
        return _field(answer, "prompt")

    # --- writing ---

    async def _generate(self, ask: Generate) -> Reply:
        drawn = await asyncio.gather(
            *(self._draw(ask, self._seed + number) for number in range(ask.n))
        )
        worst = next((one for one in drawn if one.state != "answered"), None)
        if worst is not None and ask.n > 1:
            return worst
        if ask.n == 1:
            return drawn[0]
        return msgspec.structs.replace(
            drawn[0],
            texts=tuple(one.text for one in drawn),
            finish=tuple(one.finish[0] for one in drawn),
            calls=tuple(one.calls[0] for one in drawn),
            logprobs=tuple(one.logprobs[0] for one in drawn) if ask.logprobs else (),
            tokens_in=sum(one.tokens_in for one in drawn),
            tokens_out=sum(one.tokens_out for one in drawn),
        )

    async def _draw(self, ask: Generate, seed: int) -> Reply:
        body: dict[str, Any] = {
            "model": self.target.model,
            "max_tokens": ask.max_tokens,
            "temperature": ask.temperature,
            "seed": seed,
            **({"stop": list(ask.stop)} if ask.stop else {}),
            **ask.extra,
        }
        if ask.messages:
            logprobs = {"logprobs": True} if ask.logprobs else {}
            path, asked = "chat/completions", {"messages": list(ask.messages), **logprobs}
        else:
            path, asked = "completions", {"prompt": ask.prompt}
            asked |= {"logprobs": 0} if ask.logprobs else {}
        answer = await self._tried(f"{self.target.url}/{path}", {**body, **asked})
        if answer.status != 200:
            return _refused(answer)
        try:
            read = msgspec.json.decode(answer.body)
            choice = read["choices"][0]
            return _written(choice, _used(read), _marks(answer))
        except _UNREADABLE:
            return _strange(answer)

    # --- the way there ---

    async def streamed(self, path: str, body: Mapping[str, Any]) -> UpstreamResponse:
        """Send a request whose answer the caller reads as it comes, and closes."""
        return await self._transport.send(
            "POST", f"{self.target.url}/{path}", headers=self._headers,
            body=msgspec.json.encode(body), timeout=self.target.timeout,
        )  # fmt: skip

    async def _tried(self, url: str, body: Mapping[str, Any]) -> _Answer:
        """Ask, and again while the service is busy."""
        for attempt in range(1, self.target.tries + 1):
            try:
                answer = await self._send("POST", url, body)
            except UnavailableError as error:
                if attempt == self.target.tries or isinstance(error, _EndlessError):
                    raise
                answer = None
            if answer is not None and (answer.status not in _BUSY or attempt == self.target.tries):
                return answer
            await asyncio.sleep(_pause(answer, attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None, seconds: float = 0
    ) -> _Answer:
        seconds = seconds or self.target.timeout
        data = b"" if body is None else msgspec.json.encode(body)
        try:
            async with asyncio.timeout(seconds):
                response = await self._transport.send(
                    method, url, headers=self._headers, body=data, timeout=seconds
                )
                read = b"".join([one async for one in pieces(response, self.target.url)])
        except TimeoutError:
            raise _EndlessError(
                f"{self.target.url} gave no answer within {seconds:g} seconds."
            ) from None
        if response.status in _SHUT:
            what = "does not accept the key" if self.target.key else "asks for a key"
            raise UsageError(
                f"{self.target.url} {what}; put a valid one into KEELMARK_KEY or --key."
            )
        for name, value in response.headers.items():
            if name.endswith("-digest") and value.startswith("sha256:"):
                self.seen.setdefault(name, set()).add(value)
        return _Answer(response.status, dict(response.headers), read)


async def pieces(response: UpstreamResponse, url: str) -> AsyncGenerator[bytes, None]:
    """Yield the body of an answer as it comes, and close it.

    Raises:
        UnavailableError: It has no end.
    """
    length = 0
    try:
        async for chunk in response.chunks():
            length += len(chunk)
            if length > _LONGEST_ANSWER:
                raise _EndlessError(
                    f"{url} sent an answer of more than {_LONGEST_ANSWER >> 20} MiB: nothing asked "
                    "for is as long."
                )
            yield chunk
    finally:
        await response.close()


def _pause(answer: _Answer | None, attempt: int) -> float:
    said = answer.headers.get("retry-after", "") if answer else ""
    wait = float(said) if said.isdigit() else _WAIT * 2 ** (attempt - 1)
    return min(wait, _LONGEST_WAIT)


def _marks(answer: _Answer) -> dict[str, Any]:
    return {
        "verdict": answer.headers.get("x-keelmark-verdict", ""),
        "trace": answer.headers.get("x-keelmark-trace-id", ""),
    }


def _used(read: Any) -> dict[str, Any]:
    usage = read.get("usage") if isinstance(read, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    pairs = {"tokens_in": usage.get("prompt_tokens"), "tokens_out": usage.get("completion_tokens")}
    return {name: n for name, n in pairs.items() if type(n) is int}


def _written(choice: Any, used: dict[str, Any], marks: dict[str, Any]) -> Reply:
    """A reply of one choice, of a chat or of a plain completion."""
    message = choice.get("message") or {"content": choice.get("text")}
    text, calls = message.get("content") or "", message.get("tool_calls") or ()
    finish = str(choice.get("finish_reason") or "")
    told = choice.get("logprobs") or {}
    chances = told.get("token_logprobs") or [t["logprob"] for t in told.get("content") or ()]
    return Reply(
        state="blocked" if finish == _BLOCKED else "answered",
        texts=(str(text),),
        finish=(finish,),
        calls=(tuple(calls),),
        logprobs=(tuple(float(one) for one in chances if one is not None),),
        **used,
        **marks,
    )


def _refused(answer: _Answer) -> Reply:
    """What a service that answers with an error has said."""
    try:
        error = msgspec.json.decode(answer.body)["error"]
        code, message = str(error.get("code") or ""), str(error["message"])[:300]
    except _UNREADABLE:
        return _strange(answer)
    states: dict[str, Literal["blocked", "masked"]] = {_BLOCKED: "blocked", _MASKED: "masked"}
    said = message if code in states else f"HTTP {answer.status}: {message}"
    return Reply(
        state=states.get(code, "failed"), code=code or str(answer.status), error=said,
        **_marks(answer),
    )  # fmt: skip


def _strange(answer: _Answer) -> Reply:
    said = f"HTTP {answer.status} with an answer that cannot be read."
    return Reply(state="failed", code="unreadable", error=said, **_marks(answer))


def _field(answer: _Answer, name: str) -> Any:
    if answer.status != 200:
        return _refused(answer)
    try:
        return msgspec.json.decode(answer.body)[name]
    except (msgspec.DecodeError, RecursionError, LookupError, TypeError):
        return _strange(answer)
