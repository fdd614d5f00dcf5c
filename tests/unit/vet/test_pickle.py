"""How pickle streams are read and judged."""

import pickle
import struct

import pytest

from keelmark.vet.checks.pickle import CHECK
from keelmark.vet.contract import Budget, File, Result
from keelmark.vet.pickle_names import Level, level
from keelmark.vet.pickle_stream import read_streams

EVIL = b"cposix\nsystem\n(S'true'\ntR."


def _file(data: bytes, name: str = "m.pkl", budget: int = 1 << 30) -> File:
    return File(name, len(data), lambda size, at: data[at : at + size], Budget(budget))


def _run(data: bytes) -> Result:
    return CHECK.run(_file(data))


@pytest.mark.parametrize(
    ("module", "name", "how", "expected"),
    [
        ("collections", "OrderedDict", "call", Level.HARMLESS),
        ("sklearn.svm._classes", "SVC", "new", Level.HARMLESS),
        ("sklearn.svm._classes", "SVC", "call", Level.UNKNOWN),
        ("sklearn.externals.conda", "Thing", "new", Level.UNKNOWN),
        ("sklearn.datasets._base", "Bunch", "new", Level.DANGEROUS),
        ("torch.nn.modules.linear", "Linear", "new", Level.HARMLESS),
        ("torch.nn.modules.linear", "os.system", "import", Level.DANGEROUS),
        ("numpy", "mean", "import", Level.HARMLESS),
        ("numpy", "mean", "call", Level.UNKNOWN),
        ("numpy", "memmap", "new", Level.DANGEROUS),
        ("numpy", "DataSource", "new", Level.DANGEROUS),
        ("numpy", "__builtins__", "import", Level.DANGEROUS),
        ("mynet.layers", "Block", "new", Level.FOREIGN),
        ("mynet.layers", "Block", "call", Level.UNKNOWN),
        ("mynet.layers", "os.system", "import", Level.DANGEROUS),
        ("builtins", "ValueError", "call", Level.HARMLESS),
        ("__builtin__", "eval", "import", Level.DANGEROUS),
        ("os", "", "import", Level.DANGEROUS),
        ("a b", "c", "import", Level.UNKNOWN),
    ],
)
def test_level(module: str, name: str, how: str, expected: Level) -> None:
    assert level(module, name, how) is expected


def test_long_literals_are_passed_over_not_read() -> None:
    data = pickle.dumps({"w": bytes(1 << 22), "end": b"x"})
    file = _file(data, budget=1 << 20)
    reading = read_streams(file)
    assert not reading.problem
    assert len(reading.skeleton()) < 200


def test_evidence_names_what_is_called_with_what() -> None:
    (finding,) = _run(EVIL).findings
    assert "posix.system" in finding.evidence or "os.system" in finding.evidence
    assert "'true'" in finding.evidence
    assert "modelaudit-picklescan agrees" in finding.evidence


def test_what_only_one_engine_sees_is_said() -> None:
    both = b"\x80\x04]\x94(\x8c\x05numpy\x8c\x04size\x93\x94}\x8c\x01aK\x01sbe."
    rebound = [f for f in _run(both).findings if f.rule == "pickle.rebound"]
    assert rebound
    assert "says nothing" in rebound[0].evidence


def test_tensor_pickled_by_plain_pickle_is_a_member() -> None:
    stream = b"\x80\x04\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B"
    result = _run(stream + struct.pack("<I", len(EVIL)) + EVIL + b"\x85R.")
    (member,) = result.members
    assert member.all() == EVIL


@pytest.mark.parametrize("end", range(1, len(EVIL)))
def test_cut_short_is_never_clean(end: int) -> None:
    result = _run(EVIL[:end])
    assert result.findings or result.unexamined


def test_many_of_one_kind_is_one_finding() -> None:
    call = b"cmynet\nmake\n)R0"
    findings = _run(call * 500 + b"N.").findings
    assert [f.rule for f in findings] == ["pickle.unknown_call"]
