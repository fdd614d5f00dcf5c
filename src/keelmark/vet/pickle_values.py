"""What a pickle stream makes, without making it: the values on the stack of `pickle_machine`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Name(NamedTuple):
    """Something imported: a class, a function, a module, whatever stands under the name."""

    module: str
    name: str
    at: int

    @property
    def full(self) -> str:
        """Module and name with a dot between."""
        return f"{self.module}.{self.name}"


class Blob(NamedTuple):
    """A literal too long to keep: its kind (`bytes` or `str`), where its content is, its size."""

    kind: str
    at: int
    size: int


class Opaque(NamedTuple):
    """A value that only the loader knows: a persistent id, an extension code, a buffer."""

    what: str
    value: object = None


class Pairs(list[tuple[object, object]]):
    """A dictionary, as pairs: its keys need not be hashable."""

    def get(self, key: str) -> object:
        """Return the last value under a string key, or None."""
        return next((v for k, v in reversed(self) if isinstance(k, str) and k == key), None)


class Made:
    """What a call returns.

    Attributes:
        callee: What was called.
        args: With what, as a tuple, or whatever stood there instead.
        at: Offset of the opcode that calls.
        state: What the last BUILD gave it.
    """

    __slots__ = ("args", "at", "callee", "state")

    def __init__(self, callee: object, args: object, at: int) -> None:
        self.callee, self.args, self.at = callee, args, at
        self.state: object = None


class Call(NamedTuple):
    """A call that loading makes.

    Attributes:
        at: Offset of the opcode.
        how: `call`; `new`, which runs only `__new__`; `state`, which fills something that was
            not made by a call; `fill`, which puts members into such a thing.
        callee: What is called or filled.
        args: With what.
    """

    at: int
    how: str
    callee: object
    args: object


def names_in(value: object, depth: int = 6) -> Iterator[Name]:
    """Yield the imported names in an argument, to a depth."""
    if isinstance(value, Name):
        yield value
    elif isinstance(value, tuple | list) and depth and not isinstance(value, Blob | Opaque):
        for item in value[:10_000]:
            yield from names_in(item, depth - 1)


def shown(value: object) -> str:
    """Return a short text of a value, for evidence."""
    if isinstance(value, Name):
        return value.full
    if isinstance(value, Made):
        return f"{shown(value.callee)}(…)"
    if isinstance(value, Blob):
        return f"<{value.size} bytes>"
    if isinstance(value, Opaque):
        return f"<{value.what}>"
    if isinstance(value, Pairs):
        return "{…}" if value else "{}"
    if isinstance(value, tuple | list):
        inner = ", ".join(shown(item) for item in value[:4])
        more = ", …" if len(value) > 4 else ""
        return f"({inner}{more})" if isinstance(value, tuple) else f"[{inner}{more}]"
    return repr(value)[:80]
