"""Dumps in every layout, hostile dumps, the seed."""

import datetime as dt
import json
import re
import struct
import zipfile
from pathlib import Path

import pytest

from keelmark.core.errors import UsageError
from keelmark.vet.vulnerabilities import database, osv
from keelmark.vet.vulnerabilities.versions import package

TORCH = package("PyPI", "torch")
WANTED = frozenset([TORCH])
TODAY = dt.date(2026, 11, 22)


def record(name: str = "X-1", where: str = "torch", day: str = "2026-11-20") -> bytes:
    part = {
        "package": {"ecosystem": "PyPI", "name": where},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }
    full = {"id": name, "modified": f"{day}T00:00:00Z", "affected": [part]}
    return json.dumps(full).encode()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


TWO = {"X-1.json": record(), "X-2.json": record("X-2", "other", "2026-11-21")}


@pytest.mark.parametrize("layout", ["zip", "osv-scanner", "ecosystem", "folder", "one"])
def test_every_layout_is_read(layout: str, tmp_path: Path) -> None:
    paths = {
        "zip": lambda: archive(tmp_path / "all.zip", TWO),
        "osv-scanner": lambda: archive(tmp_path / "osv-scanner/PyPI/all.zip", TWO).parents[2],
        "ecosystem": lambda: archive(tmp_path / "PyPI/all.zip", TWO).parent,
        "folder": lambda: tmp_path,
        "one": lambda: tmp_path / "X-1.json",
    }
    if layout in {"folder", "one"}:
        for name, data in TWO.items():
            (tmp_path / name).write_bytes(data)
    found = database.read(paths[layout](), WANTED)
    assert [one.id for one in found.records] == ["X-1"]
    assert found.read == (1 if layout == "one" else 2)
    assert found.problems == ()
    assert found.ecosystems == {"PyPI"}
    assert found.doubts(TODAY) == []


def test_several_ecosystems_are_read_together(tmp_path: Path) -> None:
    archive(tmp_path / "PyPI/all.zip", TWO)
    commits = {
        "id": "X-3",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{"ranges": [{"type": "GIT", "repo": "https://github.com/a/b", "events": []}]}],
    }
    archive(tmp_path / "GIT/all.zip", {"X-3.json": json.dumps(commits).encode()})
    found = database.read(tmp_path, WANTED)
    assert found.read == 3
    assert found.ecosystems == {"PyPI", "GitHub"}


def test_age_is_told_and_makes_doubt(tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {"X-1.json": record(day="2026-10-20")})
    found = database.read(path, WANTED)
    assert "ends on 2026-10-20, 33 days ago" in found.doubts(TODAY)[0]
    assert found.doubts(TODAY, stale_days=40) == []
    assert "future" in found.doubts(dt.date(2026, 1, 1))[0]


def test_a_dump_that_changed_is_read_again(tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {"X-1.json": record()})
    assert database.read(path, WANTED).read == 1
    archive(path, TWO)
    assert database.read(path, WANTED).read == 2


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a.json": b"{"}, "a.json"),
        ({"a.json": b"[" * 100_000}, "a.json"),
        ({"a.json": b" " * (osv.MAX_RECORD + 1)}, "too large"),
        ({}, "no advisory"),
        ({"readme.txt": b"x"}, "no advisory"),
    ],
)
def test_what_cannot_be_read_is_said(members: dict[str, bytes], says: str, tmp_path: Path) -> None:
    doubts = database.read(archive(tmp_path / "all.zip", members), WANTED).doubts(TODAY)
    assert any(says in doubt for doubt in doubts)


def test_one_broken_record_among_good_ones_is_said(tmp_path: Path) -> None:
    found = database.read(archive(tmp_path / "all.zip", {**TWO, "z.json": b"{}"}), WANTED)
    assert found.read == 2
    assert found.problems


@pytest.mark.parametrize("damage", ["cut", "text", "crc", "encrypted", "directory"])
def test_a_broken_archive_is_no_clean_one(damage: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", TWO)
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "text":
        data = bytearray(b"PK but not a ZIP file")
    elif damage == "crc":
        data[central + 16 : central + 20] = b"\0\0\0\0"
    elif damage == "encrypted":
        data[6:8] = data[central + 8 : central + 10] = struct.pack("<H", 1)
    else:
        end = data.rindex(b"PK\x05\x06")
        data[end + 12 : end + 16] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    assert database.read(path, WANTED).doubts(TODAY)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", {"a.json": b" " * (64 * 1024 * 1024)})
    assert database.read(path, WANTED).problems


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    (tmp_path / "secret.json").write_bytes(record())
    (tmp_path / "dump" / "a.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(UsageError, match="holds no OSV dump"):
        database.read(tmp_path / "dump", WANTED)


@pytest.mark.parametrize("name", ["nothing", "/dev/null"])
def test_a_path_that_is_no_dump_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        database.read(tmp_path / name, WANTED)


SEED = database.seed()


def test_the_seed_is_dated() -> None:
    assert SEED.seed
    assert SEED.read >= 60
    assert SEED.newest == max(one.day for one in SEED.records)


@pytest.mark.parametrize("one", SEED.records, ids=lambda one: one.id)
def test_a_record_of_the_seed_is_whole(one: osv.Advisory) -> None:
    assert re.fullmatch(r"CVE-\d{4}-\d{4,}", one.id)
    assert one.summary
    assert len(one.summary) <= 120
    assert one.details.endswith(".")
    assert one.references
    assert all(reference.url.startswith("https://") for reference in one.references)
    assert one.database_specific
    assert one.database_specific["checked"] == str(one.day)
    (part,) = one.affected
    (where,) = {found for found in part.packages() if found.ecosystem != "GitHub"} or (
        part.packages()
    )
    least, most = ("b1", "b999999") if where.name.endswith("llama.cpp") else ("0.0.1", "99999")
    expected = {osv.Affects.NO, osv.Affects.YES}
    if where.name == "executorch":  # its records name commits only
        expected = {osv.Affects.UNKNOWN}
    assert osv.affects(one, where, least) in expected
    last = {osv.Affects.YES} if one.id == "CVE-2024-37052" else expected - {osv.Affects.YES}
    assert osv.affects(one, where, most) in last  # one has no fix on record


@pytest.mark.parametrize(
    ("name", "where", "bad", "good"),
    [
        ("CVE-2026-33298", ("GitHub", "ggml-org/llama.cpp"), "b7823", "b7824"),
        ("CVE-2026-7482", ("Go", "github.com/ollama/ollama"), "v0.17.0", "v0.17.1"),
        ("CVE-2024-34359", ("PyPI", "llama_cpp_python"), "0.2.71", "0.2.72"),
        ("CVE-2025-32434", ("PyPI", "torch"), "2.5.1+cpu", "2.6.0+cpu"),
        ("CVE-2021-37678", ("PyPI", "tensorflow"), "2.4.2", "2.4.3"),
        ("CVE-2026-1839", ("PyPI", "transformers"), "5.0.0rc2", "5.0.0rc3"),
        ("CVE-2025-23319", ("GitHub", "triton-inference-server/server"), "25.06", "25.07"),
        ("CVE-2026-5760", ("PyPI", "sglang"), "0.5.9", "0.5.10"),
    ],
)
def test_edges_of_the_seed(name: str, where: tuple[str, str], bad: str, good: str) -> None:
    (one,) = [found for found in SEED.records if found.id == name]
    assert osv.affects(one, package(*where), bad) is osv.Affects.YES
    assert osv.affects(one, package(*where), good) is osv.Affects.NO
