"""Whatever the bytes, our own readers answer: a finding, or why they could not; never a crash."""

import json
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from keelmark.vet.checks import archive, documents, gguf, numpy, pickle, safetensors
from keelmark.vet.contract import Budget, Check, File, ReadLimitError, printable
from keelmark.vet.worker import examine

GGUF = (
    b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 3) + b"a.b" + struct.pack("<II", 4, 7)
    + struct.pack("<Q", 1) + b"t" + struct.pack("<IQQIQ", 2, 32, 2, 0, 0)
)  # fmt: skip
GGUF = GGUF + bytes(-len(GGUF) % 32) + bytes(256)
HEADER = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
SAFE = struct.pack("<Q", len(HEADER)) + HEADER + bytes(8)


def _file(data: bytes, name: str) -> File:
    return File(name, len(data), lambda size, at: data[at : at + size], Budget(1 << 26))


@st.composite
def _damaged(draw: st.DrawFn, good: bytes) -> bytes:
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=10))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def _answers(check: Check, data: bytes, name: str) -> bool:
    """Run a check; return whether it calls the file clean."""
    try:
        result = check.run(_file(data, name))
    except ReadLimitError:
        return False
    return not result.findings and not result.unexamined


@settings(max_examples=400, deadline=None)
@given(_damaged(SAFE))
def test_safetensors_that_we_call_clean_is_what_the_library_loads(data: bytes) -> None:
    if _answers(safetensors.CHECK, data, "m.safetensors"):
        deserialize(data)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=3),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "U8", "F16", "X"]),
                "shape": st.lists(st.integers(-1, 4), max_size=2),
                "data_offsets": st.lists(st.integers(-1, 16), min_size=1, max_size=3),
            }
        ),
        max_size=3,
    ),
    st.integers(0, 16),
)
def test_safetensors_headers(header: dict[str, object], size: int) -> None:
    text = json.dumps(header).encode()
    data = struct.pack("<Q", len(text)) + text + bytes(size)
    clean = _answers(safetensors.CHECK, data, "m.safetensors")
    try:
        deserialize(data)
    except SafetensorError:
        assert not clean


@settings(max_examples=500, deadline=None)
@given(_damaged(GGUF))
def test_gguf_never_crashes(data: bytes) -> None:
    _answers(gguf.CHECK, data, "m.gguf")


def test_the_undamaged_ones_are_clean() -> None:
    assert _answers(gguf.CHECK, GGUF, "m.gguf")
    assert _answers(safetensors.CHECK, SAFE, "m.safetensors")


@pytest.mark.parametrize("end", range(0, len(GGUF), 3))
def test_gguf_cut_short_is_never_clean(end: int) -> None:
    assert not _answers(gguf.CHECK, GGUF[:end], "m.gguf")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["", ".bin", ".pkl", ".npy", ".zip", ".json"]))
def test_any_bytes_are_answered(data: bytes, suffix: str) -> None:
    known = {
        name: module.CHECK
        for name, module in {
            "archive": archive,
            "documents": documents,
            "gguf": gguf,
            "numpy": numpy,
            "pickle": pickle,
            "safetensors": safetensors,
        }.items()
    }
    answers = list(examine(_file(data, "m" + suffix), known, skip=frozenset(), depth=2))
    assert any("result" in answer for answer in answers)
    assert not any("failed" in answer.get("unexamined", "") for answer in answers)


@given(st.text())
@example("\u088f")  # within a range of letters, but assigned to none
def test_printable_is_printable_and_short(text: str) -> None:
    shown = printable(text, 50)
    assert len(shown) <= 50
    assert shown.isprintable()
