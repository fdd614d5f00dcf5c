"""All pickle streams of a file, one after the other, and what stands between and behind them."""

from __future__ import annotations

from bisect import bisect_left
from collections import ChainMap
from collections.abc import Callable

from keelmark.vet.contract import File, ReadLimitError
from keelmark.vet.pickle_layout import (
    TORCH_MAGIC,
    array_size,
    is_array,
    is_storage,
    skip_array,
    skip_old,
    skip_storages,
    storage_widths,
)
from keelmark.vet.pickle_machine import MAX_OPCODES, Machine, OpcodeLimitError
from keelmark.vet.pickle_source import BrokenError, Source
from keelmark.vet.pickle_values import Call, Made, Name

MAX_STREAMS = 10_000
_OTHER_READING = 1_000_000
_SKELETON = 32 * 1024 * 1024


class Reading:
    """What was read of a file.

    Attributes:
        imports: Every import, in order, each name once.
        calls: Every call, in order; many calls of one function with plain arguments count once.
        hidden: Imports by a loader that takes the bytes of an array for opcodes, and where the
            array ends.
        persistent: Persistent ids that are not torch's.
        odd: What no pickler writes, with its offset.
        streams: `(start, end)` of every stream.
        problem: Why not all of it was read, a phrase; "" when all was.
        rest: Bytes behind the last stream that belong to nothing.
        torch: Whether its storages are torch's.
        kept: How many values a stream keeps to recall them, at most.
    """

    def __init__(self, file: File, on_literal: Callable[[object, int], None]) -> None:
        self.file, self._on_literal = file, on_literal
        self.imports: dict[str, Name] = {}
        self.calls: dict[object, Call] = {}
        self.hidden: list[tuple[Name, int]] = []
        self.persistent: list[object] = []
        self.odd: list[tuple[int, str]] = []
        self.streams: list[tuple[int, int]] = []
        self.problem = ""
        self.rest = 0
        self.torch = False
        self.kept = 0
        self._spans: list[tuple[int, int, bytes]] = []
        self._opcodes = MAX_OPCODES
        self._other = _OTHER_READING

    def machine(self, source: Source) -> Machine:
        """Return an unpickler that reports here."""
        return Machine(
            source,
            on_import=lambda name: self.imports.setdefault(name.full, name) and None,
            on_call=self._call,
            on_literal=self._on_literal,
            on_built=self._built,
            most=self._opcodes,
        )

    def stream(self, source: Source) -> tuple[object, Machine]:
        """Follow one stream from the position of the source; return what it leaves."""
        machine, start = self.machine(source), source.at
        try:
            return machine.run(), machine
        finally:
            self._opcodes -= machine.opcodes
            self.streams.append((start, source.at))
            self._spans += machine.spans
            self.kept = max(self.kept, len(machine.memo))
            self.odd += machine.odd
            self.torch = self.torch or any(is_storage(key) for key in machine.persistent)
            self.persistent += [key for key in machine.persistent if not is_storage(key)]

    def _call(self, call: Call) -> None:
        key: object = call.at
        if isinstance(call.callee, Name):
            args = call.args if isinstance(call.args, tuple) else ()
            if len(args) < 2 and all(isinstance(item, int | float) for item in args):
                key = (call.callee.full, call.how)
        self.calls.setdefault(key, call)

    def _built(self, machine: Machine, made: Made) -> None:
        if not is_array(made):
            return
        source, start = machine.source, machine.source.at
        seen, end = self._read_otherwise(machine), start
        try:
            size, aligned = array_size(made)
            if size is None:
                self.stream(source)
            else:
                end = self.file.size
                skip_array(source, size, aligned=aligned)
                end = source.at
        finally:
            self.hidden += [(name, end) for name in seen]
        self._spans.append((start, source.at, b""))

    def _read_otherwise(self, machine: Machine) -> list[Name]:
        """Return what a loader imports that knows nothing of joblib's arrays and reads on."""
        seen: list[Name] = []
        other = Machine(
            Source(self.file, machine.source.at),
            on_import=seen.append,
            on_call=_nothing,
            on_literal=_nothing,
            most=self._other,
        )
        other.stack, other.marks = machine.stack.copy(), [mark.copy() for mark in machine.marks]
        other.memo = ChainMap({}, machine.memo)  # type: ignore[assignment]
        other.proto, other.dry = machine.proto, True
        try:
            other.run()
        except BrokenError:
            pass
        except OpcodeLimitError:
            self.odd.append((machine.source.at, "its arrays go on as opcodes"))
        self._other = max(1000, self._other - other.opcodes)
        return seen

    def skeleton(self) -> bytes:
        """Return the streams without long literals, frames and arrays, for another reader."""
        out = bytearray()
        ends = dict(sorted((start, (end, new)) for start, end, new in self._spans))
        starts = sorted(ends)
        for start, end in sorted(self.streams):
            at = start
            for begin in starts[bisect_left(starts, start) : bisect_left(starts, end)]:
                if begin < at:
                    continue
                stop, new = ends[begin]
                out += self.file.read(at, begin - at) + new
                at = stop
            out += self.file.read(at, max(0, end - at))
            if len(out) > _SKELETON:
                raise ReadLimitError("it has more opcodes than a second engine can be shown")
        return bytes(out)


def _nothing(*_: object) -> None:
    pass


def read_streams(file: File, on_literal: Callable[[object, int], None] = _nothing) -> Reading:
    """Follow every stream of a file.

    Args:
        file: The file.
        on_literal: Called with every long literal and the offset behind it.

    Raises:
        ReadLimitError: More would have to be read than may be.
    """
    reading = Reading(file, on_literal)
    source = Source(file)
    try:
        _streams(reading, source)
    except BrokenError as error:
        reading.problem = f"{error} (offset {source.at})"
    except OpcodeLimitError:
        reading.problem = "it has more opcodes than are followed"
    except RecursionError:
        reading.problem = "it is nested too deeply"
    return reading


def _streams(reading: Reading, source: Source) -> None:
    left, machine = reading.stream(source)
    if left == TORCH_MAGIC and isinstance(left, int):
        widths: dict[str, int] = {}
        for _ in range(4):
            left, machine = reading.stream(source)
            widths |= storage_widths(machine.persistent)
        skip_storages(source, left, widths)
    while source.at < source.size:
        if skip_old(source, left):
            continue
        start = source.at
        if len(reading.streams) >= MAX_STREAMS:
            break
        known = (len(reading.streams), dict(reading.imports), dict(reading.calls))
        try:
            left, machine = reading.stream(source)
        except BrokenError:
            _take_back(reading, known)
            source.at = start
            break
    reading.rest = source.size - source.at


_Known = tuple[int, dict[str, Name], dict[object, Call]]


def _take_back(reading: Reading, known: _Known) -> None:
    """Forget a stream that was none, unless it imports something before it breaks."""
    if len(reading.imports) == len(known[1]):
        del reading.streams[known[0] :]
        reading.calls = known[2]
