"""A call of a model: the stages it passes, in order, each a small function.

A stage takes the call as far as it has come and returns it a step further; it raises `ApiError`
to answer at once. The lists at the end are the pipeline: what is done once for a request, and what
is done for each engine that the request is tried at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Protocol

import msgspec

from keelmark.core import semconv
from keelmark.core.errors import UnavailableError
from keelmark.core.ports import Needs, RequestGuard
from keelmark.core.scope import Origin
from keelmark.core.trace import Trace
from keelmark.serve.answers import Asked
from keelmark.serve.charges import Charge
from keelmark.serve.config import GatewayConfig
from keelmark.serve.dialect import Voice
from keelmark.serve.echo import Echo, check_echo, read_tokens, texts_in, tokens_in, unchanged
from keelmark.serve.engine import Engine, Quirks, Scoring
from keelmark.serve.errors import ApiError, bad_request
from keelmark.serve.fields import refuse_dangerous
from keelmark.serve.handed import hand_over
from keelmark.serve.http import Request, check_json, decode_body, read_body
from keelmark.serve.keys import KeyRing, require
from keelmark.serve.marks import drop_hints, unmark
from keelmark.serve.media import Part, addresses, check_media, put_back, set_aside
from keelmark.serve.metering import Tab, limit, reserve
from keelmark.serve.queueing import Lanes
from keelmark.serve.segments import read_segments, write_back
from keelmark.serve.shapes import (
    asks_document,
    check_chat,
    check_common,
    check_completion,
    check_embeddings,
)
from keelmark.serve.steering import Leash
from keelmark.serve.targets import Plan, Target
from keelmark.serve.templated import begin_of, put_before, said_in
from keelmark.serve.tool_choice import demand_call, forced_functions, renamed, tool_names
from keelmark.serve.traces import note_engine, note_request, note_unknown_model, stamp

LONGEST_SUBJECT = 256


class Kind(msgspec.Struct, frozen=True):
    """One kind of call.

    Attributes:
        operation: OpenTelemetry operation.
        path: Where engines answer it, below their base URL.
        check: Checks the shape of a body, returns the number of answers to expect.
        streams: Whether its answer may be streamed.
    """

    operation: str
    path: str
    check: Callable[..., int]
    streams: bool


CHAT = Kind(semconv.OP_CHAT, "/chat/completions", check_chat, streams=True)
COMPLETION = Kind(semconv.OP_COMPLETION, "/completions", check_completion, streams=True)
COUNT = Kind(semconv.OP_COUNT, "/chat/completions/input_tokens", check_chat, streams=False)
EMBEDDINGS = Kind(semconv.OP_EMBEDDINGS, "/embeddings", check_embeddings, streams=False)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as far as it has come.

    Attributes:
        request: What came in.
        kind: Which kind of call it is.
        trace: Its record; with `voice` the one part that fills as it goes.
        key_name: What the owner of the key calls it.
        scopes: What the key may do.
        guard: The guard of this request, with its vault, once it has judged the prompt.
        body: The decoded body; from the guard on with the guard's texts in it.
        asked: What the client wants of the answer.
        media: Images and sound of the request, which stand aside until it is judged.
        plan: Who may answer, where a route says so.
        target: Whom it goes to now.
        engine: Who answers.
        forced: Functions of which one must be called, when the engine needs help with that.
        prompt: The body as the engine gets it.
        own: The body as the client sent it, where an answer may have to be asked for again.
        voice: How the client speaks, where that is not chat itself.
        echo: What is to come back before the answer.
        tab: What the request has used, where that is metered.
        charge: What its engine has used; a part of the tab.
        leash: By which it is ended when its model is stopped.
        needs: What the guard needs to read its answer.
    """

    request: Request
    kind: Kind
    trace: Trace
    key_name: str = ""
    scopes: tuple[str, ...] = ()
    guard: RequestGuard | None = None
    body: dict[str, Any] = {}
    asked: Asked | None = None
    media: tuple[Part, ...] = ()
    plan: Plan | None = None
    target: Target | None = None
    engine: Engine | None = None
    forced: tuple[dict[str, Any], ...] = ()
    prompt: bytes = b""
    own: bytes = b""
    voice: Voice | None = None
    echo: Echo | None = None
    tab: Tab | None = None
    charge: Charge | None = None
    leash: Leash | None = None
    needs: Needs = Needs()

    @property
    def origin(self) -> Origin:
        """Where the call comes from and goes to, for rules that are for some requests only."""
        trace = self.trace
        return Origin(
            trace.key_id,
            self.key_name,
            trace.model,
            trace.engine,
            trace.operation,
            trace.team,
            None if self.engine is None else bool(self.engine.digest),
        )


class Chooser(Protocol):
    """Makes plans for calls."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of models that are routes; patterns are left out."""

    async def plan(self, call: Call) -> Plan | None:
        """Return the plan for a call; None when no route is for its model."""


class Desk(msgspec.Struct, frozen=True):
    """What the stages may use.

    Attributes:
        config: What the gateway is made of.
        keys: Recognises keys.
        lanes: Slots and queues of the engines.
        router: Makes plans; None when the policy has no routes.
    """

    config: GatewayConfig
    keys: KeyRing
    lanes: Lanes = msgspec.field(default_factory=Lanes)
    router: Chooser | None = None


Stage = Callable[[Desk, Call], Awaitable[Call]]
_with = msgspec.structs.replace
_encode = msgspec.json.Encoder().encode


async def authenticate(desk: Desk, call: Call) -> Call:
    """No key, no answer."""
    since = perf_counter()
    shown = call.request.headers.get(b"authorization")
    if shown is None and call.voice is not None:
        shown = call.voice.key(call.request.headers)
    key = await desk.keys.recognise(shown)
    require(key, "models")
    call.trace.key_id = call.trace.subject = key.id
    call.trace.team = key.team
    stamp(call.trace, "key", since)
    return _with(call, key_name=key.name, scopes=key.scopes)


async def read(desk: Desk, call: Call) -> Call:
    """Read and decode the body; one in a dialect becomes that of a chat call."""
    check_json(call.request)
    raw = await read_body(call.request, desk.config.policy.limits)
    since = perf_counter()
    body = decode_body(raw)
    if call.voice is not None:
        body = call.voice.hear(body)
    stamp(call.trace, "parse", since)
    return _with(call, body=body)


async def check(desk: Desk, call: Call) -> Call:
    """Check the shape; note what was asked."""
    body, trace = call.body, call.trace
    trace.model = check_common(body)
    media, chats = desk.config.policy.media, call.kind.check is check_chat
    aside = set_aside(body, media) if chats and media.passes else ()
    choices = call.kind.check(body, guarded=desk.config.guarded)
    refuse_dangerous(body, call.kind.operation)
    trace.stream = bool(call.kind.streams and body.get("stream"))
    trace.subject = _subject(call) or trace.key_id
    note_request(trace, body)
    options = body.get("stream_options") or {}
    asked = Asked(
        chat=call.kind is CHAT,
        choices=choices,
        usage=options.get("include_usage") is True,
        model="",
        tools={},
        logprobs=desk.config.policy.guard.logprobs,
        document=asks_document(body),
        parts=call.voice is not None,
    )
    return _with(call, asked=asked, media=aside)


def _subject(call: Call) -> str:
    header = call.request.headers.get(b"x-keelmark-subject", b"").decode("utf-8", "replace")
    body = call.body
    subject = header or body.get("safety_identifier") or body.get("user") or ""
    if len(subject) > LONGEST_SUBJECT:
        raise bad_request(f"A subject has at most {LONGEST_SUBJECT} characters.", "user")
    return str(subject)


async def choose(desk: Desk, call: Call) -> Call:
    """Choose who may answer: what the route of the name says, or the engine that knows the name."""
    if desk.router is not None and (plan := await desk.router.plan(call)):
        own = call.own or _encode(call.body)  # for a second attempt, if there is one
        return _with(call, plan=plan, target=plan.targets[0], own=own)
    name = desk.config.steering.arm(call.trace)
    named = [e for e in desk.config.engines if name in e.models]
    found = named or [e for e in desk.config.engines if not e.models]
    if not found:
        note_unknown_model(call.trace)
        raise ApiError(
            404,
            "model_not_found",
            f"There is no model `{name}` here: GET /v1/models lists what there is.",
            param="model",
        )
    engine = next((e for e in found if e.ready), found[0])
    other = "" if name == call.trace.model else name
    return _with(call, target=Target(engine, engine.upstream_model or other))


async def aim(desk: Desk, call: Call) -> Call:
    """Turn to the target: the stages after this one are for its engine."""
    if call.target is None:
        raise UnavailableError("No engine was chosen: this is a defect, please report it.")
    engine, model, parameters, *_ = call.target
    note_engine(call.trace, engine)
    desk.config.steering.enter(engine.upstream_model or model or call.trace.model, call.leash)
    if not engine.digest and desk.config.policy.admission.unattested == "refuse":
        raise ApiError(
            403,
            "unattested",
            f"The engine `{engine.id}` shows no passport for its weights and the policy refuses "
            "such engines: serve an admitted model, or set admission.unattested to allow.",
        )
    if not engine.ready:
        raise ApiError(
            503,
            "engine_unavailable",
            f"The engine `{engine.id}` is not ready: try again in a moment.",
            retry_after=2,
        )
    if model:
        call.body["model"] = model
    for name, value in parameters.items():
        call.body[name] = value
        if value is None:
            del call.body[name]
    if model and call.asked is not None:
        return _with(call, engine=engine, asked=call.asked._replace(model=call.trace.model))
    return _with(call, engine=engine)


async def adapt(_desk: Desk, call: Call) -> Call:
    """Adapt the request to what its engine differs in; `judge` does what must wait for the guard.

    A stream is asked for its token counts whether or not the client wants them: the trace does.
    """
    if call.engine is None or call.asked is None:
        return call
    quirks, body = call.engine.quirks, call.body
    if call.media:
        check_media(call.media, call.engine)
    if call.voice is not None:
        _suit(body, quirks)
    if not quirks.stream_options:
        body.pop("stream_options", None)
    elif call.trace.stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    if quirks.forces_tools or not call.asked.chat:
        return call
    forced = forced_functions(body)
    return _with(call, forced=forced, asked=call.asked._replace(forced=bool(forced)))


def _suit(body: dict[str, Any], quirks: Quirks) -> None:
    """Say what a dialect asked for as the engine wants to hear it."""
    if not quirks.thinking_budget:
        body.pop("thinking_budget_tokens", None)
    if quirks.completion_tokens and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    if not quirks.prompt_cache:
        drop_hints(body)
    if not quirks.cache_marks:
        unmark(body)


async def judge(desk: Desk, call: Call) -> Call:
    """Let the guard judge and mask everything the model will read."""
    since = perf_counter()
    tokens = await _as_texts(desk, call)
    completes = call.kind is COMPLETION
    own = texts_in(call.body["prompt"]) if completes else ()
    said = said_in(call.body) if completes else b""
    reading = read_segments(call.body, desk.config.policy.limits)
    guard = desk.config.guard.open(call.origin)
    segments = reading.segments
    result = await guard.check_input(segments + addresses(call.media) if call.media else segments)
    call.trace.input = result.verdict
    if result.verdict.stops:
        stamp(call.trace, "guard_input", since)
        reason = result.verdict.reason or "The guard stopped this prompt."
        raise ApiError(400, "content_filter", reason, param="prompt")
    names = tool_names(call.body)
    write_back(reading, result.texts[: len(segments)])
    if call.media:
        put_back(call.body, call.media, result.texts[len(segments) :])
    hand_over(call.body)
    if call.forced:
        demand_call(call.body, call.forced)
    asked = call.asked and call.asked._replace(tools=renamed(names, call.body))
    if completes:
        if asked and call.body.get("echo") and not desk.config.guarded:
            asked = asked._replace(logprobs="full")  # nothing is withheld that a token could spell
        coded, way = tokens is not None, desk.config.transport
        echo = _echo(desk, call, own, tokens=coded)
        whole = echo is not None and not echo.full
        begin = await begin_of(call.body, said, call.engine, way, whole=whole, tokens=coded)
        call = _with(call, echo=echo and _with(echo, begin=begin))
        call.body["prompt"] = call.body["prompt"] if tokens is None else tokens
        put_before(call.body, begin)
    if result.needs.weighs and asked and asked.chat and call.engine and call.engine.digest:
        asked = asked._replace(weighed="shown" if call.body.get("logprobs") else "hidden")
        call.body["logprobs"] = True
    prompt = _encode(call.body)
    stamp(call.trace, "guard_input", since)
    return _with(call, guard=guard, asked=asked, prompt=prompt, needs=result.needs)


async def _as_texts(desk: Desk, call: Call) -> Any:
    """Put what they say in the place of tokens; return the tokens, or None."""
    if call.kind is not COMPLETION:
        return None
    given = call.body["prompt"]
    tokens = tokens_in(given)
    echoed = bool(call.body.get("echo")) and isinstance(call.engine, Scoring)
    if not tokens or not (desk.config.guarded or echoed):
        return None
    call.body["prompt"] = await read_tokens(call.engine, desk.config.transport, tokens)
    return given


def _echo(desk: Desk, call: Call, own: tuple[str, ...], *, tokens: bool) -> Echo | None:
    """What is to come back; refuses what cannot be answered rightly."""
    body = call.body
    read = texts_in(body["prompt"])
    full = desk.config.policy.guard.logprobs == "full" or not desk.config.guarded
    echoes = body.get("echo") is True and call.engine is not None
    scored = echoes and body.get("logprobs") is not None and not full
    unchanged(own, read, tokens=tokens, scored=scored)
    if not echoes or call.engine is None:
        return None
    check_echo(body, call.engine)
    if call.trace.stream or not read:
        return None
    return Echo(own=own, read=read, each=body.get("n") or 1, full=full)


def before(*checks: Stage) -> tuple[Stage, ...]:
    """Return the stages of a request until it is known what is asked; `checks` look at the body."""
    return (authenticate, read, *checks, limit)


ONCE: tuple[Stage, ...] = (*before(check), choose)
"""What is done once for a request: in the end it is known who may answer."""
EACH: tuple[Stage, ...] = (aim, adapt, judge, reserve)
"""What is done for each target, with a body that no other target has changed."""
