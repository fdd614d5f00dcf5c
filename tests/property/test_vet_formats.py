"""Damaged models of every format: each of our readers answers, within its steps, and none fails."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.make import CASES
from keelmark.vet import all_checks
from keelmark.vet.contract import Budget, File, ReadLimitError
from keelmark.vet.flatbuffer import FlatBuffer, FlatBufferError
from keelmark.vet.hdf5 import HDF5Error, Reader
from keelmark.vet.msgpack import MessagePackError, Walk
from keelmark.vet.protobuf import Span, StepsError, Wire, WireError, walk
from keelmark.vet.template_logic import examine_logic
from keelmark.vet.worker import examine

FAMILIES = (
    *("onnx", "keras", "hdf5", "savedmodel", "graphdef", "tf-checkpoint", "tflite", "executorch"),
    *("coreml", "openvino", "pmml", "xml", "tensorrt", "msgpack", "notebook", "tokenizer"),
    *("weights", "gguf", "safetensors", "sentencepiece"),
)
SMALL = [
    (name, data)
    for family in FAMILIES
    for case in CASES.values()
    if case.id.startswith(family)
    for name, data in case.files.items()
    if len(data) < 20_000
]
THEIRS = {"archive", "hydra", "numpy", "pickle", "pickle_fickling", "skops", "torch_archive"}
OURS = {name: check for name, check in all_checks().items() if name not in THEIRS}
SCHEMA = {"A": {1: "int", 2: "text", 3: "A", 4: "data", 5: "fixed"}}


def _file(data: bytes, name: str) -> File:
    return File(name, len(data), lambda size, at: data[at : at + size], Budget(1 << 26))


@st.composite
def _damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    name, good = draw(st.sampled_from(SMALL))
    data = bytearray(good)
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=10))
    return name, bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@settings(max_examples=500, deadline=None)
@given(_damaged())
def test_no_check_fails_on_a_damaged_file(damaged: tuple[str, bytes]) -> None:
    name, data = damaged
    answers = list(examine(_file(data, name), OURS, skip=frozenset(), depth=3))
    said = [answer["unexamined"] for answer in answers if "result" in answer]
    assert said, "no answer at all would read as clean"
    assert not [reason for reason in said if "check failed" in reason]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([name for name, _ in SMALL]))
def test_no_check_fails_on_any_bytes_under_a_name(data: bytes, name: str) -> None:
    answers = list(examine(_file(data, name), OURS, skip=frozenset(), depth=3))
    said = [answer["unexamined"] for answer in answers if "result" in answer]
    assert not [reason for reason in said if "check failed" in reason]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_protocol_buffers_are_walked_to_their_end_or_refused(data: bytes) -> None:
    try:
        seen = list(walk(Wire(_file(data, "x")), SCHEMA, "A", Span(0, len(data))))
    except (WireError, StepsError):
        return
    assert seen[0].span == Span(0, len(data))
    assert all(0 <= m.span.start <= m.span.end <= len(data) for m in seen)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_other_readers_answer_or_refuse(data: bytes) -> None:
    file = _file(b"\x89HDF\r\n\x1a\n" + data, "x")
    with contextlib.suppress(HDF5Error, ReadLimitError):
        list(Reader(file).events())
    walker = Walk(_file(data, "x"))
    with contextlib.suppress(MessagePackError):
        assert all(item.start + item.size <= len(data) for item in walker.items())
    tables = FlatBuffer(_file(data, "x"))
    with contextlib.suppress(FlatBufferError):
        for table in tables.tables(tables.root(), 0):
            tables.text(table, 1)


WORDS = ("{%", "%}", "{{", "}}", "if ", "for m in messages", "endfor", "endif", "m.content", "'a'")
WORDS += (" in ", " ~ ", "|replace('x','y')", "set x =", "(", ")", "[", "]", ".get(", "Say so now.")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map("".join) | st.text(max_size=60))
def test_templates_are_read_or_refused(source: str) -> None:
    remarks, reason = examine_logic(source)
    assert isinstance(reason, str)
    assert all(remark.message.endswith(".") for remark in remarks)
