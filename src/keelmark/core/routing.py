"""Routes: who answers a call, as trees of targets. One section of the policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import time
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from keelmark.core.errors import UsageError, sentence
from keelmark.core.yamlfile import Strict, meant

Failure = Literal[
    "connect",
    "slow",
    "rate_limited",
    "server_error",
    "broken",
    "refused",
    "unable",
    "busy",
    "over_budget",
]
"""What can go wrong with an engine before the first byte of an answer has left."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WAYS = ("engine", "fallback", "weights", "when", "cheapest", "fastest", "least_busy")
_FIXED = frozenset(
    {
        *("model", "messages", "prompt", "input", "documents", "query", "tools", "functions"),
        *("stream", "stream_options", "n", "best_of", "tool_choice", "function_call"),
    }
)
"""Fields that a target may not set: checked already, or said by the client."""
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)\Z")
_HEDGE_KINDS = "`after_ms` or `percentile`"

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class When(Strict, frozen=True):
    """The requests that a branch is for: all that is said must hold, one name of a list is enough.

    Attributes:
        keys: API keys, by id or by name, with `*` and `?`.
        teams: Teams of the keys.
        scopes: Scopes that the key has.
        operations: chat, text_completion, embeddings, ...
        tags: Tags in the header `x-keelmark-tags`, separated by commas.
        stream: Whether the answer is to be streamed.
        tools: Whether tools are offered to the model.
        schema: Whether the answer is to be a JSON document.
        images: Whether there are images in the request.
        audio: Whether there is sound in the request.
        longer_than: Characters that the model would read, more than this.
        shorter_than: Characters that the model would read, fewer than this.
        languages: Languages that the request is written in (ISO 639-1); where that does not show,
            the branch is not for it.
        finds: What is found in anything that the model would read: labels (EMAIL), detectors
            (secrets), their tags, or guard rules by their id. What cannot be looked through
            counts as found.
        untrusted: Whether there is text that neither the operator nor the user wrote: results of
            tools, documents that were looked up.
        hours: Time of the day, `08:00-18:00`; the end may be on the next day.
        days: Days of the week.
        zone: Time zone of hours and days.
    """

    keys: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    scopes: tuple[Literal["models", "admin"], ...] = ()
    operations: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    stream: bool | None = None
    tools: bool | None = None
    schema: bool | None = None
    images: bool | None = None
    audio: bool | None = None
    longer_than: Annotated[int, msgspec.Meta(ge=0)] | None = None
    shorter_than: Annotated[int, msgspec.Meta(ge=0)] | None = None
    languages: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    untrusted: bool | None = None
    hours: str = ""
    days: tuple[Day, ...] = ()
    zone: str = "UTC"


class Node(Strict, frozen=True):
    """A part of a tree: an engine, or one way of choosing among other parts.

    Where a part may stand, the id of an engine may stand too.

    Attributes:
        engine: Id of an engine.
        model: The model's name there; the client's when left out, if the engine knows it.
        parameters: Fields that requests get on their way there; null takes one out.
        first_byte_ms: Longest wait for the first byte there before the next one is tried.
        fallback: These, in this order.
        weights: One of these, by its share.
        sticky: Who keeps getting the same share: a subject (of one key), a key, or nobody.
        when: The first of these that is for the request.
        otherwise: What is done when none of them is; nothing: the request is refused.
        cheapest: These, the one first at which a call of 3,000 tokens read, 1,000 written and ten
            seconds costs least; those whose price nobody knows come last.
        fastest: These, the one first that answers soonest.
        least_busy: These, the one first that has the fewest requests at work.
    """

    engine: str = ""
    model: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    first_byte_ms: Annotated[int, msgspec.Meta(ge=1)] | None = None
    fallback: tuple[Node | str, ...] = ()
    weights: tuple[Weighted, ...] = ()
    sticky: Literal["subject", "key", "nobody"] = "subject"
    when: tuple[Branch, ...] = ()
    otherwise: Node | str = ""
    cheapest: tuple[Node | str, ...] = ()
    fastest: tuple[Node | str, ...] = ()
    least_busy: tuple[Node | str, ...] = ()

    @property
    def way(self) -> str:
        """Which of the ways it is; "" when that is not clear."""
        given = [way for way in WAYS if getattr(self, way)]
        return given[0] if len(given) == 1 else ""


class Weighted(Strict, frozen=True):
    """A part and its share of the requests.

    Attributes:
        to: The part.
        weight: Its share, beside those of the others.
    """

    to: Node | str
    weight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Branch(When, frozen=True, kw_only=True):
    """A part and the requests that it is for.

    Attributes:
        to: The part.
    """

    to: Node | str


class Retry(Strict, frozen=True):
    """What is tried again at the same engine before the next one; never after the first byte.

    Attributes:
        attempts: How often at most.
        after: After which failures.
        backoff_ms: Longest pause before the first time; it doubles, and a random part is waited.
        most_wait_ms: Longest pause; an engine that asks for more (`Retry-After`) is left.
        budget: Share of the requests that may be tried again, so that a failing engine is not
            given more than it can do.
    """

    attempts: Annotated[int, msgspec.Meta(ge=0, le=5)] = 1
    after: tuple[Failure, ...] = ("connect", "rate_limited", "server_error")
    backoff_ms: Milliseconds = 100
    most_wait_ms: Milliseconds = 2000
    budget: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2


class Hedge(Strict, frozen=True):
    """A second engine is asked when the first one is late; the one that answers first is taken.

    Attributes:
        after_ms: When it is late.
        percentile: It is late when so many of its answers of late came sooner, instead.
        most: How many more are asked.
    """

    after_ms: Milliseconds | None = None
    percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] | None = None
    most: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1


class Breaker(Strict, frozen=True):
    """When an engine is left alone for a while.

    Attributes:
        failures: After so many failures in a row.
        error_ratio: When so large a share of the requests of the window failed.
        least: Requests in the window before its share counts.
        window_seconds: The window.
        slow_ms: When `slow_percentile` of the first bytes came later than this.
        slow_percentile: See `slow_ms`.
        rest_seconds: How long it is left alone; doubles each time up to sixteen times as long.
            Then one request tries it.
    """

    failures: Annotated[int, msgspec.Meta(ge=1)] = 5
    error_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    least: Annotated[int, msgspec.Meta(ge=1)] = 20
    window_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    slow_ms: Annotated[int, msgspec.Meta(ge=1)] | None = None
    slow_percentile: Annotated[float, msgspec.Meta(gt=0, lt=100)] = 95.0
    rest_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0


class Routes(Strict, frozen=True):
    """Who answers which call. Without any, the first engine that knows the model's name.

    Attributes:
        models: Name of a model as clients ask for it, with `*` and `?`, to its tree; the name
            itself wins over a pattern, and an earlier pattern over a later one.
        next_on: After which failures the next target is tried: there is no connection, the first
            byte is late, 429, another failure of the server, an answer that breaks off, a key or a
            model that it does not know, a request of a kind that it does not do, a queue that is
            full, a budget that is used up.
        retry: What is tried again at the same engine.
        hedge: When a second engine is asked beside the first one; null: never.
        breaker: When an engine is left alone.
        after_first_byte: What is done when an engine stops within a stream: `error` ends it with
            an error; `restart` begins again at the next target behind a marker, for clients that
            ask for it.
        salt: Makes other requests fall into the shares of `weights`.
    """

    models: dict[str, Node | str] = msgspec.field(default_factory=dict)
    next_on: tuple[Failure, ...] = (
        *("connect", "slow", "rate_limited", "server_error", "broken", "refused", "unable"),
        "busy",
    )
    retry: Retry = Retry()
    hedge: Hedge | None = None
    breaker: Breaker = Breaker()
    after_first_byte: Literal["error", "restart"] = "error"
    salt: str = ""


class Mistake(NamedTuple):
    """What is wrong with a part of the section.

    Attributes:
        path: Names and numbers that lead to it, from the section on.
        message: What is wrong, as a sentence without a full stop.
    """

    path: tuple[str | int, ...]
    message: str


class Part(NamedTuple):
    """A part of a tree and the way that leads to it."""

    path: tuple[str | int, ...]
    node: Node


def as_node(part: Node | str) -> Node:
    """Return a part as a node; the id of an engine stands for the engine."""
    return Node(engine=part) if isinstance(part, str) else part


def parts_of(routes: Routes) -> Iterator[Part]:
    """Yield every part of every tree, each before what is in it."""
    for name, part in routes.models.items():
        yield from _parts(("models", name), part)


def _parts(path: tuple[str | int, ...], part: Node | str) -> Iterator[Part]:
    node = as_node(part)
    yield Part(path, node)
    for way in ("fallback", "cheapest", "fastest", "least_busy"):
        for number, child in enumerate(getattr(node, way)):
            yield from _parts((*path, way, number), child)
    for way in ("weights", "when"):
        for number, held in enumerate(getattr(node, way)):
            yield from _parts((*path, way, number, "to"), held.to)
    if node.otherwise:
        yield from _parts((*path, "otherwise"), node.otherwise)


def finds_of(part: Node | str) -> tuple[str, ...]:
    """Return everything that the branches of a tree ask to be looked for, each name once."""
    nodes = (one.node for one in _parts((), part))
    return tuple(dict.fromkeys(f for node in nodes for branch in node.when for f in branch.finds))


def check_routes(routes: Routes, at: Callable[..., str]) -> None:
    """Refuse a section that makes no sense, as far as it can be told without the engines.

    Args:
        routes: The section.
        at: Returns the line that names and numbers lead to.

    Raises:
        UsageError: Saying where and what.
    """
    for path, message in _mistakes(routes):
        raise UsageError(f"{at('routes', *path)}: {sentence(message)}")


def _mistakes(routes: Routes) -> Iterator[Mistake]:
    for path, node in parts_of(routes):
        yield from (Mistake((*path, *at), said) for at, said in _wrong(node))
    if (hedge := routes.hedge) and (hedge.after_ms is None) == (hedge.percentile is None):
        yield Mistake(("hedge",), f"a hedge needs {_HEDGE_KINDS}, one of the two")


def _wrong(node: Node) -> Iterator[tuple[tuple[str | int, ...], str]]:
    ways = [way for way in WAYS if getattr(node, way)]
    if len(ways) != 1:
        said = f"not {' and '.join(ways)} together" if ways else "none is given"
        yield (), f"a part of a route is one of {', '.join(WAYS)}; {said}"
    if node.otherwise and not node.when:
        yield ("otherwise",), "`otherwise` stands beside `when` only"
    for name in ("model", "parameters", "first_byte_ms"):
        if getattr(node, name) and not node.engine:
            yield (name,), f"`{name}` stands beside `engine` only"
    for name in sorted(_FIXED & node.parameters.keys()):
        yield ("parameters", name), f"the field `{name}` cannot be set on the way to an engine"
    if node.weights and not any(share.weight for share in node.weights):
        yield ("weights",), "no share is above 0, so nobody would answer"
    for number, branch in enumerate(node.when):
        for at, said in _wrong_branch(branch):
            yield ("when", number, *at), said


def _wrong_branch(branch: Branch) -> Iterator[tuple[tuple[str, ...], str]]:
    if branch == Branch(to=branch.to):
        yield (), "a branch needs a condition; what is for all requests is called `otherwise`"
    if branch.hours and not _HOURS.match(branch.hours):
        yield ("hours",), f"{branch.hours!r} is no time of the day; write `08:00-18:00`"
    try:
        ZoneInfo(branch.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield ("zone",), f"there is no time zone {branch.zone!r}; write one like `Europe/Berlin`"


def unknown_engines(routes: Routes, known: tuple[str, ...]) -> Iterator[Mistake]:
    """Yield the parts that name an engine that is not there."""
    for path, node in parts_of(routes):
        if node.engine and node.engine not in known:
            said = f"there is no engine {node.engine!r}; {meant(node.engine, known)}"
            yield Mistake((*path, "engine"), said)


def within_hours(hours: str, now: time) -> bool:
    """Whether a time of the day lies in `08:00-18:00`; the end may be on the next day."""
    start, end = (time.fromisoformat(one) for one in hours.split("-"))
    return start <= now < end if start <= end else now >= start or now < end
