"""Whatever a loader would import, our reading of the stream has seen; and it never breaks down."""

import io
import pickle
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.make import CASES
from keelmark.vet.contract import Budget, File, ReadLimitError
from keelmark.vet.pickle_stream import read_streams
from keelmark.vet.registry import all_checks
from keelmark.vet.worker import examine

_SUFFIXES = (".pkl", ".pt", ".joblib", ".skops", ".nemo", ".npy", ".mar", ".pt2", ".yaml", ".dat")
_KEPT = {
    "archive",
    "hydra",
    "numpy",
    "pickle",
    "skops",
    "torch_archive",
}
CHECKS = {name: check for name, check in all_checks().items() if name in _KEPT}
FILES = [
    (case.id, name, data)
    for case in CASES.values()
    for name, data in case.files.items()
    if name.endswith(_SUFFIXES) and 0 < len(data) < 4096
]
STREAMS = [(name, data) for name, file, data in FILES if file.endswith((".pkl", ".dat"))]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(max_size=300) | st.builds(bytearray, st.binary()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
    | st.frozensets(st.text()),
    max_leaves=12,
)  # fmt: skip


def _file(data: bytes, name: str = "m.pkl") -> File:
    return File(name, len(data), lambda size, at: data[at : at + size], Budget(1 << 26))


@st.composite
def _damaged(draw: st.DrawFn, good: bytes) -> bytes:
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 6))] = draw(
            st.binary(max_size=6) | st.sampled_from([b"R", b".", b"0", b"\x93", b"h\0", b"\x94"])
        )
    return bytes(data)


class _Dummy:
    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None: ...

    def append(self, _: Any) -> None: ...

    def __setitem__(self, *_: Any) -> None: ...


class _Recorder(pickle._Unpickler):  # type: ignore[name-defined,misc]
    """Imports nothing: notes what would be, and goes on with something that does nothing."""

    def find_class(self, module: str, name: str) -> type:
        if self.proto < 3:
            module, name = pickle._compat_pickle.NAME_MAPPING.get(  # type: ignore[attr-defined]
                (module, name), (module, name)
            )
            module = pickle._compat_pickle.IMPORT_MAPPING.get(module, module)  # type: ignore[attr-defined]
        self.seen.append(f"{module}.{name}")
        return _Dummy

    def persistent_load(self, _: Any) -> _Dummy:
        return _Dummy()

    def get_extension(self, _: int) -> None:
        self.append(_Dummy)


def _seen(data: bytes) -> set[str]:
    reading = read_streams(_file(data))
    return set(reading.imports) | {name.full for name, _ in reading.hidden}


def _imports(data: bytes) -> list[str]:
    recorder = _Recorder(io.BytesIO(data))
    recorder.seen = []
    with suppress(Exception):
        recorder.load()
    return recorder.seen


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_import_of_a_loader_is_seen(data: st.DataObject) -> None:
    _, good = data.draw(st.sampled_from(STREAMS))
    stream = data.draw(_damaged(good))
    if b"\x96" in stream:
        return  # a loader makes room for as many bytes as the opcode says
    assert set(_imports(stream)) <= _seen(stream)


@pytest.mark.parametrize(("name", "data"), STREAMS, ids=[name for name, _ in STREAMS])
def test_every_import_of_a_case_is_seen(name: str, data: bytes) -> None:
    assert set(_imports(data)) <= _seen(data), name


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(0, 5))
@example(b"\0\0\0\0\0\0i.\nsystem\n" + bytes(9), 0)
def test_plain_data_is_read_whole_and_is_clean(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol=protocol)
    reading = read_streams(_file(data))
    assert not reading.problem
    assert not reading.rest
    assert not reading.odd
    result = CHECKS["pickle"].run(_file(data))
    found = [f for f in result.findings if f.severity.rank]
    if any(map(_holds_a_pickle, _literals(value))):
        found = [f for f in found if not f.location.startswith("literal")]
    assert found == []
    assert not result.unexamined


def _literals(value: Any) -> Iterator[bytes]:
    """Yield the texts and bytes of plain data."""
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes | bytearray):
        yield bytes(value)
    elif isinstance(value, dict):
        yield from _literals([*value, *value.values()])
    elif isinstance(value, list | tuple | frozenset):
        for one in value:
            yield from _literals(one)


def _holds_a_pickle(literal: bytes) -> bool:
    """Whether bytes that were drawn by lot read as a stream that imports, from some place on."""
    return any(_seen(literal[at:]) for at in range(len(literal)))


@settings(max_examples=100, deadline=None)
@given(VALUES, st.integers(2, 5))
def test_skeleton_is_a_stream_of_the_same_imports(value: Any, protocol: int) -> None:
    data = pickle.dumps([value, st.text, bytes(100_000)], protocol=protocol)
    reading = read_streams(_file(data))
    skeleton = reading.skeleton()
    assert len(skeleton) < len(data)
    assert list(read_streams(_file(skeleton)).imports) == list(reading.imports)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_cases_are_answered(data: st.DataObject) -> None:
    _, name, good = data.draw(st.sampled_from(FILES))
    file = _file(data.draw(_damaged(good)), name)
    with suppress(ReadLimitError):
        answers = list(examine(file, CHECKS, skip=frozenset(), depth=4))
        assert any("result" in answer for answer in answers)
        for answer in answers:
            assert "check failed" not in answer.get("unexamined", ""), (name, answer)
