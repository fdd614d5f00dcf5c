"""What the branches of a route may ask of a call, found out when they do.

What asks for nothing in the texts costs nothing there, and what is found is found once. What
cannot be looked through counts as found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

from keelmark.core import semconv
from keelmark.core.looking import Looked, Looking
from keelmark.core.policy import Limits
from keelmark.core.ports import Segment
from keelmark.core.routing import When, within_hours
from keelmark.serve.calls import Call
from keelmark.serve.segments import read_segments
from keelmark.serve.shapes import asks_document

_TAGS = b"x-keelmark-tags"
_STRANGERS = frozenset({"tool", "retrieved"})
_TOKENS = ("prompt", "input", "tokens")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NOTHING = Looked(frozenset(), frozenset())

Now = Callable[[], datetime]


def now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


class Facts:
    """What is known of a call, and what can be found out.

    Args:
        call: The call.
        looking: Looks through its texts; None when no branch of its route asks for that.
        limits: How deep its body may be nested.
        clock: The time, with its zone.

    Attributes:
        unpriced: Engines whose price was asked for, and nobody knew.
    """

    def __init__(
        self, call: Call, looking: Looking | None, limits: Limits, clock: Callable[[], datetime]
    ) -> None:
        self.call = call
        self._looking, self._limits, self._clock = looking, limits, clock
        self.unpriced: set[str] = set()
        self._segments: Sequence[Segment] | None = None
        self._looked: Looked | None = None

    @property
    def segments(self) -> Sequence[Segment]:
        """Everything that a model would read."""
        if self._segments is None:
            self._segments = read_segments(self.call.body, self._limits).segments
        return self._segments

    @property
    def characters(self) -> int:
        """How much that is."""
        return sum(len(one.text) for one in self.segments)

    @property
    def language(self) -> str:
        """The language it is written in; "" when that does not show."""
        return self._looking.language(self.segments) if self._looking else ""

    @property
    def media(self) -> frozenset[str]:
        """What there is that is not text, by the types of parts."""
        return frozenset(part.kind for part in self.call.media)

    @property
    def tags(self) -> list[str]:
        """What the client tags the request with."""
        said = self.call.request.headers.get(_TAGS, b"").decode("utf-8", "replace")
        return [one.strip() for one in said.split(",") if one.strip()]

    def moment(self, zone: str) -> datetime:
        """The time in a zone."""
        return self._clock().astimezone(ZoneInfo(zone))

    async def finds(self, names: Sequence[str]) -> bool:
        """Whether any of these is in it, or might be."""
        if self._looked is None and self._looking is not None:
            self._looked = await self._looking.look(self.segments)
        looked = self._looked or _NOTHING
        if not looked.found.isdisjoint(names):
            return True
        opaque = any(_numbers(self.call.body.get(name)) for name in _TOKENS) or bool(self.media)
        if opaque:
            self._looked = Looked(looked.found, looked.unsure | set(names))
        return opaque or self._looking is None or not looked.unsure.isdisjoint(names)

    def note(self, route: str) -> None:
        """Write into the trace which route it was, and what was found on the way."""
        attributes = self.call.trace.attributes
        attributes[semconv.ROUTE] = route
        if self.unpriced:
            attributes[semconv.ROUTE_UNPRICED] = sorted(self.unpriced)
        if self._looked is not None:
            attributes[semconv.ROUTE_FOUND] = sorted(self._looked.found)
            if self._looked.unsure:
                attributes[semconv.ROUTE_UNSURE] = sorted(self._looked.unsure)


async def holds(when: When, facts: Facts) -> bool:
    """Say whether everything that a branch asks for is so; what is dear is asked last."""
    for name, test in _TESTS.items():
        wanted = getattr(when, name)
        if wanted not in (None, (), "") and not test(when, facts):
            return False
    return not when.finds or await facts.finds(when.finds)


def told(when: When) -> str:
    """Return what a branch asks for, for the trace."""
    given = ((name, getattr(when, name)) for name in (*_TESTS, "finds"))
    return ", ".join(f"{n} {_said(v)}" for n, v in given if v not in (None, (), ""))


def _said(value: Any) -> str:
    return "/".join(value) if isinstance(value, tuple) else str(value)


def _any(patterns: Sequence[str], *names: str) -> bool:
    escaped = [one.replace("[", "[[]") for one in patterns]
    return any(fnmatchcase(name, pattern) for name in names if name for pattern in escaped)


def _numbers(value: Any) -> bool:
    """Whether there are tokens in a prompt."""
    return isinstance(value, list) and any(
        isinstance(one, int) or (isinstance(one, list) and bool(one)) for one in value
    )


_TESTS: Mapping[str, Callable[[When, Facts], bool]] = {
    "keys": lambda w, f: _any(w.keys, f.call.trace.key_id, f.call.key_name),
    "teams": lambda w, f: _any(w.teams, f.call.trace.team),
    "scopes": lambda w, f: not set(w.scopes).isdisjoint(f.call.scopes),
    "operations": lambda w, f: _any(w.operations, f.call.trace.operation),
    "stream": lambda w, f: w.stream == f.call.trace.stream,
    "tools": lambda w, f: w.tools == bool(f.call.body.get("tools") or f.call.body.get("functions")),
    "schema": lambda w, f: w.schema == asks_document(f.call.body),
    "tags": lambda w, f: _any(w.tags, *f.tags),
    "hours": lambda w, f: within_hours(w.hours, f.moment(w.zone).time()),
    "days": lambda w, f: _DAYS[f.moment(w.zone).weekday()] in w.days,
    "images": lambda w, f: w.images == ("image_url" in f.media),
    "audio": lambda w, f: w.audio == ("input_audio" in f.media),
    "longer_than": lambda w, f: f.characters > (w.longer_than or 0),
    "shorter_than": lambda w, f: f.characters < (w.shorter_than or 0),
    "untrusted": lambda w, f: w.untrusted == any(s.role in _STRANGERS for s in f.segments),
    "languages": lambda w, f: f.language in w.languages,
}
"""Name of a condition to what it asks, the cheap ones first."""
