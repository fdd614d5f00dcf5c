"""What changed between two versions of a model."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark import app
from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Section
from keelmark.passport.manifest import Manifest, ManifestEntry
from keelmark.vet.difference import Side, difference, to_text

TEMPLATE = "{{ bos }}\n{% for m in messages %}\n{{ m.content }}\n{% endfor %}"


def side(name: str = "m.gguf", *, path: str = ".", sha: str = "a", **facts: object) -> Side:
    entry = ManifestEntry(path=path, size=4, sha256=sha * 64)
    where = name if path == "." else path
    return Side(Manifest(name=name, entries=(entry,)), (), {}, {where: facts})


def gguf(tensors: list[object], **metadata: object) -> dict[str, object]:
    return {"version": 3, "metadata": metadata, "tensors": tensors}


def test_nothing_changed() -> None:
    found = difference(side(gguf=gguf([], a=1)), side(gguf=gguf([], a=1)))
    assert found.changes == ()
    assert to_text(found).startswith("The same: sha256:")


def test_every_kind_of_change() -> None:
    old = side(
        sha="a", gguf=gguf([["t", "F32", [2, 3]], ["u", "F16", [1]]], n=1), template=TEMPLATE
    )
    new = side(
        "other.gguf",
        sha="b",
        gguf=gguf([["t", "Q4_0", [2, 3]]], n=2, new="x"),
        template=TEMPLATE.replace("m.content", "m.content | trim"),
    )
    finding = ArtefactFinding(
        rule="gguf.odd", severity=Severity.LOW, path="m", location="x", message="y"
    )
    section = Section(title="Fit", answer="fits", summary="It fits.")
    found = difference(old, new._replace(findings=(finding,), sections={"fit": section}))
    said = {(c.kind, c.what): (c.before, c.after) for c in found.changes}
    assert said["metadata", ". n"] == ("1", "2")
    assert said["metadata", ". new"] == ("", "x")
    assert said["tensor", "t"] == ("F32 2x3", "Q4_0 2x3")
    assert said["tensor", "u"] == ("F16 1", "")
    assert said["finding", "gguf.odd"] == ("", "low, 1 times")
    assert said["answer", "fit"] == ("", "fits: It fits.")
    assert ("file", ".") in said
    text = to_text(found)
    assert "-{{ m.content }}" in text
    assert "+{{ m.content | trim }}" in text


def test_a_passport_says_what_it_cannot_tell() -> None:
    old, new = side(), side()
    found = difference(old._replace(facts=None), new)
    assert found.changes == ()
    assert "a passport does not hold them" in found.not_compared[0]
    assert "not compared" in to_text(found)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.integers()), st.dictionaries(st.text(), st.integers()))
def test_changes_are_exactly_what_differs(old: dict[str, int], new: dict[str, int]) -> None:
    found = difference(side(json=old), side(json=new))
    keys = {c.what.removeprefix(". ") for c in found.changes}
    assert keys == {k for k in old.keys() | new.keys() if old.get(k) != new.get(k)}
    assert all(line.isprintable() for line in to_text(found).splitlines())


def test_folders_are_compared_file_by_file(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a")
        (tmp_path / name / "b.txt").write_text(name)
    found = app.compare(str(tmp_path / "old"), str(tmp_path / "new"))
    assert [(c.kind, c.what) for c in found.changes] == [("file", "b.txt")]
    assert found.before != found.after
