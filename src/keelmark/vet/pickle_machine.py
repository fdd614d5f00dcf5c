"""An unpickler that makes nothing: it follows a stream as loaders do and tells what they would do.

It reads at least as far as any loader. Frames are ignored, as the C unpickler does; names are
looked up as Python 3 does, dots included; a position that no loader gets past ends the stream.
Source: CPython's `Lib/pickletools.py`, `Lib/pickle.py` and `Modules/_pickle.c`, 3.11 to 3.14.
"""

from __future__ import annotations

import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any

from keelmark.vet.pickle_source import BrokenError, Source, escaped, number, text
from keelmark.vet.pickle_values import Blob, Call, Made, Name, Opaque, Pairs

MAX_OPCODES = 20_000_000
_STOP = 0x2E


class Machine:
    """The state of one unpickler.

    Attributes:
        opcodes: How many were followed.
        odd: What no pickler writes, with its offset.
        persistent: Persistent ids that were asked for.
        spans: `(start, end, instead)` of every opcode whose literal was passed over and of every
            frame: what another reader is given instead.
        dry: Whether values made before must stay as they are, because another reading of the same
            stream goes on with them.
    """

    def __init__(
        self,
        source: Source,
        *,
        on_import: Callable[[Name], None],
        on_call: Callable[[Call], None],
        on_literal: Callable[[object, int], None],
        on_built: Callable[[Machine, Made], None] | None = None,
        most: int = MAX_OPCODES,
    ) -> None:
        self.source, self._most = source, most
        self.on_import, self.on_call, self.on_literal = on_import, on_call, on_literal
        self.on_built = on_built
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.opcodes = 0
        self.proto = 0
        self.odd: list[tuple[int, str]] = []
        self.persistent: list[Any] = []
        self.spans: list[tuple[int, int, bytes]] = []
        self.dry = False

    def run(self) -> object:
        """Follow the stream to its end; return what it leaves.

        Raises:
            BrokenError: No unpickler gets past the position of the source.
            ReadLimitError: The budget for reading is spent, or there are too many opcodes.
        """
        take, table = self.source.take, _TABLE
        while True:
            code = take(1)[0]
            self.opcodes += 1
            if self.opcodes > self._most:
                raise OpcodeLimitError
            if code == _STOP:
                return self.pop()
            step = table[code]
            if step is None:
                raise BrokenError("it has a byte that is no opcode")
            step(self)

    def pop(self) -> Any:
        """Take the topmost value."""
        if not self.stack:
            raise BrokenError("it takes from an empty stack")
        return self.stack.pop()

    def to_mark(self) -> list[Any]:
        """Take everything above the last mark."""
        if not self.marks:
            raise BrokenError("it looks for a mark that was never set")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def top(self) -> Any:
        """Return the topmost value."""
        if not self.stack:
            raise BrokenError("it looks at an empty stack")
        return self.stack[-1]

    def found(self, module: object, name: object) -> None:
        """Import."""
        at = self.source.at
        if not isinstance(module, str) or not isinstance(name, str):
            self.odd.append((at, "it imports by something that is no text"))
            self.stack.append(Opaque("import"))
            return
        if self.proto < 3:
            module, name = NAME_MAPPING.get((module, name), (module, name))
            module = IMPORT_MAPPING.get(module, module)
        seen = Name(module, name, at)
        self.on_import(seen)
        self.stack.append(seen)

    def called(self, callee: object, args: object, how: str = "call") -> None:
        """Call, and leave what comes back."""
        at = self.source.at - 1
        self.on_call(Call(at, how, callee, args))
        self.stack.append(Made(callee, args, at))

    def filled(self, target: object, items: object) -> None:
        """Note members put into something that is no plain container."""
        if not isinstance(target, list):
            self.on_call(Call(self.source.at - 1, "fill", target, items))

    def keep(self, literal: object, width: int) -> None:
        """Push a literal; `width` is how many bytes its opcode and length take."""
        if isinstance(literal, Blob):
            code = b"C\0" if literal.kind == "bytes" else b"\x8c\0"
            self.spans.append((literal.at - width, self.source.at, code))
        self.stack.append(literal)
        if isinstance(literal, Blob) or len(literal) > 24:  # type: ignore[arg-type]
            self.on_literal(literal, self.source.at)


class OpcodeLimitError(Exception):
    """There are more opcodes than are followed."""


_Step = Callable[[Machine], None]


def _sized(form: str, kind: str) -> _Step:
    width = struct.calcsize(form)

    def step(m: Machine) -> None:
        (count,) = struct.unpack(form, m.source.take(width))
        data = m.source.literal("bytes" if kind == "bytes" else "str", count)
        if kind == "text":
            m.keep(text(data), 1 + width)
        elif kind == "old":  # a Python 2 string: bytes or text as the loader likes
            m.keep(data if isinstance(data, Blob) else data.decode("latin-1"), 1 + width)
        else:
            m.keep(data, 1 + width)

    return step


def _const(value: object) -> _Step:
    return lambda m: m.stack.append(value)


def _scalar(form: str) -> _Step:
    width = struct.calcsize(form)
    return lambda m: m.stack.append(struct.unpack(form, m.source.take(width))[0])


def _long(form: str) -> _Step:
    width = struct.calcsize(form)

    def step(m: Machine) -> None:
        data = m.source.literal("bytes", struct.unpack(form, m.source.take(width))[0])
        m.stack.append(0 if isinstance(data, Blob) else int.from_bytes(data, "little", signed=True))

    return step


def _put(form: str) -> _Step:
    width = struct.calcsize(form)

    def step(m: Machine) -> None:
        m.memo[struct.unpack(form, m.source.take(width))[0]] = m.top()

    return step


def _get(form: str) -> _Step:
    width = struct.calcsize(form)
    return lambda m: _recall(m, struct.unpack(form, m.source.take(width))[0])


def _recall(m: Machine, key: Any) -> None:
    if key not in m.memo:
        raise BrokenError("it recalls what was never kept")
    m.stack.append(m.memo[key])


def _line_float(m: Machine) -> None:
    m.source.line()
    m.stack.append(0.0)


def _line_put(m: Machine) -> None:
    m.memo[int(number(m.source.line()))] = m.top()  # type: ignore[arg-type]


def _frame(m: Machine) -> None:
    (size,) = struct.unpack("<Q", m.source.take(8))
    m.spans.append((m.source.at - 9, m.source.at, b""))
    if m.source.at + size > m.source.size:
        m.odd.append((m.source.at - 9, "a frame reaches beyond the end"))


def _proto(m: Machine) -> None:
    m.proto = m.source.take(1)[0]
    if m.proto > 5:
        raise BrokenError("it is of a protocol that does not exist")


def _pop(m: Machine) -> None:
    if not m.stack and m.marks:
        m.stack = m.marks.pop()
    else:
        m.pop()


def _pop_mark(m: Machine) -> None:
    m.to_mark()


def _mark(m: Machine) -> None:
    m.marks.append(m.stack)
    m.stack = []


def _tuple(count: int) -> _Step:
    def step(m: Machine) -> None:
        if len(m.stack) < count:
            raise BrokenError("it takes from an empty stack")
        m.stack[-count:] = [tuple(m.stack[-count:])]

    return step


def _dict(m: Machine) -> None:
    items = m.to_mark()
    m.stack.append(Pairs(zip(items[::2], items[1::2], strict=False)))


def _marked(make: Callable[[list[Any]], object]) -> _Step:
    def step(m: Machine) -> None:
        value = make(m.to_mark())
        m.stack.append(value)

    return step


def _append(m: Machine) -> None:
    value = m.pop()
    _extend(m, [value])


def _extend(m: Machine, items: list[Any]) -> None:
    target = m.top()
    if isinstance(target, list) and not isinstance(target, Pairs):
        if not m.dry:
            target.extend(items)
    else:
        m.filled(target, items)


def _extend_marked(m: Machine) -> None:
    _extend(m, m.to_mark())


def _setitem(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    _setitems(m, [key, value])


def _setitems(m: Machine, items: list[Any]) -> None:
    target = m.top()
    if isinstance(target, Pairs):
        if not m.dry:
            target.extend(zip(items[::2], items[1::2], strict=False))
    else:
        m.filled(target, items)


def _reduce(m: Machine) -> None:
    args, callee = m.pop(), m.pop()
    m.called(callee, args)


def _newobj(m: Machine) -> None:
    args, callee = m.pop(), m.pop()
    m.called(callee, args, "new")


def _newobj_ex(m: Machine) -> None:
    named, args, callee = m.pop(), m.pop(), m.pop()
    m.called(callee, (args, named), "new")


def _obj(m: Machine) -> None:
    items = m.to_mark()
    if not items:
        raise BrokenError("it calls nothing")
    m.called(items[0], tuple(items[1:]), "call" if items[1:] else "new")


def _inst(m: Machine) -> None:
    module, name = text(m.source.line()), text(m.source.line())
    m.found(module, name)
    callee = m.pop()
    args = tuple(m.to_mark())
    m.called(callee, args, "call" if args else "new")


def _build(m: Machine) -> None:
    state, target = m.pop(), m.top()
    if not isinstance(target, Made):
        m.on_call(Call(m.source.at - 1, "state", target, state))
        return
    if not m.dry:
        target.state = state
    if m.on_built:
        m.on_built(m, target)


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.found(module, name)


def _extension(form: str) -> _Step:
    width = struct.calcsize(form)

    def step(m: Machine) -> None:
        (code,) = struct.unpack(form, m.source.take(width))
        m.on_call(Call(m.source.at, "extension", Opaque("extension", code), ()))
        m.stack.append(Opaque("extension", code))

    return step


def _persistent(m: Machine, key: object) -> None:
    m.persistent.append(key)
    m.stack.append(Opaque("persistent id", key))


_STEPS: dict[bytes, _Step] = {
    b"\x80": _proto, b"\x95": _frame, b"(": _mark, b"0": _pop, b"1": _pop_mark,
    b"2": lambda m: m.stack.append(m.top()), b"F": _line_float,
    b"I": lambda m: m.stack.append(number(m.source.line())),
    b"L": lambda m: m.stack.append(number(m.source.line())),
    b"J": _scalar("<i"), b"K": _scalar("<B"), b"M": _scalar("<H"), b"G": _scalar(">d"),
    b"\x8a": _long("<B"), b"\x8b": _long("<i"), b"N": _const(None), b"\x88": _const(value=True),
    b"\x89": _const(value=False), b")": _const(()),
    b"]": lambda m: m.stack.append([]), b"}": lambda m: m.stack.append(Pairs()),
    b"\x8f": lambda m: m.stack.append([]),
    b"S": lambda m: m.keep(escaped(m.source.line()), 1),
    b"V": lambda m: m.keep(text(m.source.line(), "raw-unicode-escape"), 1),
    b"T": _sized("<i", "old"), b"U": _sized("<B", "old"), b"X": _sized("<I", "text"),
    b"\x8c": _sized("<B", "text"), b"\x8d": _sized("<Q", "text"), b"B": _sized("<I", "bytes"),
    b"C": _sized("<B", "bytes"), b"\x8e": _sized("<Q", "bytes"), b"\x96": _sized("<Q", "bytes"),
    b"\x97": _const(Opaque("buffer")), b"\x98": lambda m: m.stack.append(m.pop()),
    b"a": _append, b"e": _extend_marked, b"\x90": _extend_marked,
    b"s": _setitem, b"u": lambda m: _setitems(m, m.to_mark()), b"d": _dict,
    b"l": _marked(list), b"t": _marked(tuple), b"\x91": _marked(list),
    b"\x85": _tuple(1), b"\x86": _tuple(2), b"\x87": _tuple(3),
    b"p": _line_put, b"q": _put("<B"), b"r": _put("<I"),
    b"\x94": lambda m: m.memo.__setitem__(len(m.memo), m.top()),
    b"g": lambda m: _recall(m, number(m.source.line())), b"h": _get("<B"), b"j": _get("<I"),
    b"P": lambda m: _persistent(m, text(m.source.line(), "latin-1")),
    b"Q": lambda m: _persistent(m, m.pop()),
    b"c": lambda m: m.found(text(m.source.line()), text(m.source.line())),
    b"\x93": _stack_global, b"\x82": _extension("<B"), b"\x83": _extension("<H"),
    b"\x84": _extension("<i"), b"R": _reduce, b"\x81": _newobj, b"\x92": _newobj_ex, b"o": _obj,
    b"i": _inst, b"b": _build,
}  # fmt: skip
_TABLE: list[_Step | None] = [_STEPS.get(bytes([code])) for code in range(256)]
