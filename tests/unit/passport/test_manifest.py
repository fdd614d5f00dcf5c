"""The manifest: identity of a model, safe against whatever lies in a folder."""

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from keelmark.core.errors import (
    CouldNotCheckError,
    IntegrityError,
    KeelmarkError,
    LimitError,
    UsageError,
)
from keelmark.passport import manifest as manifest_module
from keelmark.passport.manifest import build_manifest

ROOT_USER = os.geteuid() == 0


def test_file_is_the_resource_dot(model: Path) -> None:
    manifest = build_manifest(model)
    raw = hashlib.sha256(model.read_bytes()).digest()
    assert manifest.name == "model.gguf"
    assert [(e.path, e.size, e.sha256) for e in manifest.entries] == [
        (".", model.stat().st_size, raw.hex())
    ]
    assert manifest.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert manifest.is_file


def test_folder_is_sorted_by_the_parts_of_the_path_and_ignores_nothing(folder: Path) -> None:
    manifest = build_manifest(folder)
    paths = [entry.path for entry in manifest.entries]
    assert paths == [".git/HEAD", "config.json", "tokenizer/vocab.txt", "tokenizer-notes.txt"]
    raw = b"".join(hashlib.sha256((folder / path).read_bytes()).digest() for path in paths)
    assert manifest.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert not manifest.is_file
    assert manifest.size == sum((folder / path).stat().st_size for path in paths)


def test_large_and_empty_files(tmp_path: Path) -> None:
    content = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    manifest = build_manifest(tmp_path)
    assert [entry.sha256 for entry in manifest.entries] == [
        hashlib.sha256(b"").hexdigest(),
        hashlib.sha256(content).hexdigest(),
    ]


def test_progress_counts_every_byte_once(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    manifest = build_manifest(folder, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (manifest.size, manifest.size)


def test_progress_may_interrupt_the_work(folder: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        build_manifest(folder, progress=stop)
    assert threading.active_count() == before


def test_relative_path_and_trailing_slash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert build_manifest(".") == build_manifest(f"{folder}/")
    assert build_manifest(".").name == "model"


def test_top_level_link_is_the_file_it_leads_to(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link.gguf").symlink_to(model)
    linked = build_manifest(tmp_path / "link.gguf")
    assert linked.entries == build_manifest(model).entries
    assert linked.name == "link.gguf"


def _pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")


def _socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(root / "s"))


def _device(root: Path) -> None:
    os.mknod(root / "null", 0o20666, os.makedev(1, 3))


def _deep(root: Path) -> None:
    (root / "/".join("d" * 70)).mkdir(parents=True)


def _bad_name(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"x")


HOSTILE: list[tuple[str, Callable[[Path], object], str]] = [
    ("link out", lambda r: (r / "l").symlink_to("/etc/hostname"), "symbolic link"),
    ("link inside", lambda r: (r / "l").symlink_to("config.json"), "symbolic link"),
    ("link in a circle", lambda r: (r / "l").symlink_to("l"), "symbolic link"),
    ("link to the parent", lambda r: (r / "l").symlink_to(".."), "symbolic link"),
    ("dangling link", lambda r: (r / "l").symlink_to("nothing"), "symbolic link"),
    ("pipe", _pipe, "named pipe"),
    ("socket", _socket, "a socket"),
    pytest.param(
        "device", _device, "a device", marks=pytest.mark.skipif(not ROOT_USER, reason="needs root")
    ),
    ("name not UTF-8", _bad_name, "not plain UTF-8"),
    ("line break in a name", lambda r: (r / "a\nb").touch(), "not plain UTF-8"),
    ("too deep", _deep, "nested deeper"),
]


@pytest.mark.parametrize(("name", "make", "says"), HOSTILE)
def test_hostile_folder_is_refused(
    name: str, make: Callable[[Path], object], says: str, folder: Path
) -> None:
    make(folder)
    with pytest.raises((UsageError, LimitError), match=says) as refused:
        build_manifest(folder)
    message = refused.value.message
    assert message.endswith(".")
    assert "\n" not in message
    assert message.isprintable()


@pytest.mark.parametrize("kind", ["pipe", "folder", "missing", "circle", "zero byte", "below file"])
def test_bad_path_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "path"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "circle":
            path.symlink_to(path)
        case "zero byte":
            path = Path("a\0b")
        case "below file":
            path.touch()
            path = path / "x"
    with pytest.raises(UsageError) as refused:
        build_manifest(path)
    assert refused.value.message.endswith(".")


@pytest.mark.skipif(ROOT_USER, reason="root may read everything")
@pytest.mark.parametrize("name", ["config.json", "tokenizer"])
def test_unreadable_is_refused(name: str, folder: Path) -> None:
    (folder / name).chmod(0)
    with pytest.raises(UsageError, match="chmod u\\+r"):
        build_manifest(folder)
    (folder / name).chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_file_that_the_system_cannot_read_is_not_checked() -> None:
    with pytest.raises(CouldNotCheckError, match=r"could not be read \(Input/output error\)"):
        build_manifest("/proc/self/mem")


def test_too_many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "MAX_FILES", 3)
    with pytest.raises(LimitError, match="more than 3"):
        build_manifest(folder)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _same_size(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"X")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


CHANGES = [_append, _same_size, _replace, Path.unlink, _to_link, lambda p: os.truncate(p, 1)]


@pytest.mark.parametrize("change", CHANGES)
def test_file_that_changes_while_it_is_read(change: Callable[[Path], object], model: Path) -> None:
    def interfere(done: int, total: int) -> None:
        if done < total:
            change(model)

    with pytest.raises(IntegrityError, match=r"model\.gguf changed while it was read"):
        build_manifest(model, progress=interfere)


@pytest.mark.parametrize("change", CHANGES)
def test_folder_that_changes_while_it_is_read(
    change: Callable[[Path], object], folder: Path
) -> None:
    done_once = threading.Event()

    def interfere(done: int, total: int) -> None:
        if not done_once.is_set():
            done_once.set()
            change(folder / "tokenizer" / "vocab.txt")

    with pytest.raises(KeelmarkError, match=r"vocab\.txt"):
        build_manifest(folder, progress=interfere)


def test_file_that_is_added_while_the_folder_is_read(folder: Path) -> None:
    with pytest.raises(IntegrityError, match=r"late\.py changed"):
        build_manifest(folder, progress=lambda *_: (folder / "late.py").touch())


def _other_folder(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _file_instead(path: Path) -> None:
    path.rename(path.parent.parent / "moved")
    path.touch()


@pytest.mark.parametrize("swap", [_other_folder, _file_instead])
def test_folder_that_is_swapped_while_it_is_read(
    swap: Callable[[Path], object], folder: Path
) -> None:
    for number in range(8):
        (folder / "tokenizer" / f"part-{number}").write_bytes(b"x" * 100)
    swapped = threading.Event()

    def interfere(done: int, total: int) -> None:
        if not swapped.is_set():
            swapped.set()
            swap(folder / "tokenizer")

    with pytest.raises(IntegrityError, match=r"tokenizer\b.* changed while it was read"):
        build_manifest(folder, progress=interfere)


def test_difference_names_the_file(folder: Path) -> None:
    before = build_manifest(folder)
    assert before.difference(build_manifest(folder)) == ""
    (folder / "config.json").rename(folder / "config.py")
    renamed = build_manifest(folder)
    assert renamed.digest == before.digest  # the specification's root does not cover names
    assert before.difference(renamed) == "config.json is missing"
    assert renamed.difference(before) == "config.json was added"
    (folder / "config.py").write_text("other")
    assert renamed.difference(build_manifest(folder)) == "config.py has other content"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A Hugging Face hub cache as its library lays it out."""
    repo = tmp_path / "models--acme--tiny"
    snapshot = repo / "snapshots" / "0123abcd"
    (snapshot / "onnx").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "blobs" / "b1").write_text("config")
    (repo / "blobs" / "b2").write_text("weights")
    (snapshot / "config.json").symlink_to("../../blobs/b1")
    (snapshot / "onnx" / "model.onnx").symlink_to("../../../blobs/b2")
    return snapshot


def test_hub_snapshot_equals_a_plain_copy(snapshot: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    (plain / "onnx").mkdir(parents=True)
    (plain / "config.json").write_text("config")
    (plain / "onnx" / "model.onnx").write_text("weights")
    linked = build_manifest(snapshot)
    assert linked.entries == build_manifest(plain).entries
    assert linked.links_followed
    (tmp_path / "latest").symlink_to(snapshot)
    assert build_manifest(tmp_path / "latest").entries == linked.entries


@pytest.mark.parametrize(
    "target",
    [
        "../../refs/main",
        "../../blobs/../refs/main",
        "../../blobs/sub/x",
        "../../blobs/link",
        "../../blobs/missing",
        "../../blobs/pipe",
        "../../blobs/..",
        "../../blobs",
        "/etc/hostname",
        "config.json",
    ],
)
def test_hub_link_that_leads_elsewhere_is_refused(target: str, snapshot: Path) -> None:
    repo = snapshot.parent.parent
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0123abcd")
    (repo / "blobs" / "sub").mkdir()
    (repo / "blobs" / "sub" / "x").touch()
    (repo / "blobs" / "link").symlink_to("/etc/hostname")
    os.mkfifo(repo / "blobs" / "pipe")
    (snapshot / "evil").symlink_to(target)
    with pytest.raises(UsageError, match=r"0123abcd/evil is"):
        build_manifest(snapshot)


def test_hub_link_that_is_turned_while_it_is_read(snapshot: Path) -> None:
    def turn(done: int, total: int) -> None:
        (snapshot / "config.json").unlink(missing_ok=True)
        (snapshot / "config.json").symlink_to("../../blobs/b2")

    with pytest.raises(IntegrityError, match=r"config\.json changed"):
        build_manifest(snapshot, progress=turn)
