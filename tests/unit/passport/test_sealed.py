"""What the engine opens is what was checked."""

import errno
import fcntl
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keelmark.core.errors import IntegrityError, UnavailableError, UsageError
from keelmark.passport import sealed
from keelmark.passport.manifest import build_manifest
from keelmark.passport.sealed import seal

MODES = ["sealed", "hash", "mtime"]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hashes.json"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files of the test look older than a moment."""
    clock = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: clock() + 10_000_000_000)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("mode", MODES)
def test_child_reads_the_very_bytes(mode: str, model: Path, records: Path) -> None:
    before = _descriptors()
    manifest = build_manifest(model)
    with seal(model, manifest, mode=mode, records=records) as bound:
        assert bound.digest == manifest.digest
        assert bound.size == manifest.size
        model.unlink()
        model.write_bytes(b"another model under the same name")
        script = (
            "import hashlib,sys;print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())"
        )
        child = subprocess.run(
            [sys.executable, "-c", script, bound.path],
            pass_fds=(bound.fd,),
            capture_output=True,
            text=True,
            check=True,
        )
    assert child.stdout.strip() == manifest.entries[0].sha256
    assert _descriptors() == before


def test_nobody_can_alter_the_sealed_copy(model: Path) -> None:
    with seal(model, build_manifest(model), mode="sealed") as bound:
        assert (bound.mode_used, bound.backing) == ("sealed", "memfd")
        with model.open("r+b") as file:
            file.write(b"altered after the check")
        assert os.pread(bound.fd, 4, 0) == b"GGUF"
        for attempt in (
            lambda: os.pwrite(bound.fd, b"X", 0),
            lambda: os.ftruncate(bound.fd, 1),
            lambda: os.ftruncate(bound.fd, bound.size + 1),
            lambda: fcntl.fcntl(bound.fd, fcntl.F_ADD_SEALS, 0),
            lambda: mmap.mmap(bound.fd, 0, mmap.MAP_SHARED),
        ):
            with pytest.raises(PermissionError):
                attempt()
        again = os.open(bound.path, os.O_RDWR)  # another opening of the same memory
        try:
            with pytest.raises(PermissionError):
                os.write(again, b"X")
        finally:
            os.close(again)


def test_copy_that_is_altered_before_the_seal_is_found(model: Path) -> None:
    manifest = build_manifest(model)
    done = []

    def intrude(progress: int, total: int) -> None:
        if done:
            return
        done.append(True)
        for entry in Path("/proc/self/fd").iterdir():
            try:
                if "memfd:keelmark" in str(entry.readlink()):
                    with entry.open("r+b", buffering=0) as copy:
                        copy.write(b"X")
            except FileNotFoundError:
                continue

    with pytest.raises(IntegrityError, match="is not the model that was vetted"):
        seal(model, manifest, mode="sealed", progress=intrude)
    assert done


def test_copy_that_somebody_maps_for_writing_is_found(model: Path) -> None:
    maps: list[mmap.mmap] = []

    def intrude(progress: int, total: int) -> None:
        for entry in Path("/proc/self/fd").iterdir():
            try:
                if not maps and "memfd:keelmark" in str(entry.readlink()):
                    with entry.open("r+b", buffering=0) as copy:
                        maps.append(mmap.mmap(copy.fileno(), 1))
            except FileNotFoundError:
                continue

    with pytest.raises(IntegrityError, match="reached into the copy"):
        seal(model, build_manifest(model), mode="sealed", progress=intrude)
    maps[0].close()


@pytest.mark.parametrize("mode", MODES)
def test_flipped_byte_is_refused_and_nothing_stays_open(
    mode: str, model: Path, records: Path
) -> None:
    expected = build_manifest(model).digest
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    before = _descriptors()
    with pytest.raises(IntegrityError, match=r"model\.gguf is not the model that was vetted"):
        seal(model, expected, mode=mode, records=records)
    assert _descriptors() == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", [b"", b"longer" * 10**6])
def test_file_that_changes_meanwhile(mode: str, change: bytes, model: Path, records: Path) -> None:
    manifest = build_manifest(model)
    before = _descriptors()
    with pytest.raises(IntegrityError, match=r"model\.gguf changed while it was read"):
        seal(
            model,
            manifest,
            mode=mode,
            records=records,
            progress=lambda *_: model.write_bytes(change),
        )
    assert _descriptors() == before


@pytest.mark.parametrize("mode", MODES)
def test_interrupt_leaves_nothing_open(mode: str, model: Path, records: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = _descriptors()
    manifest = build_manifest(model)
    with pytest.raises(KeyboardInterrupt):
        seal(model, manifest, mode=mode, records=records, progress=stop)
    assert _descriptors() == before


def test_progress_reaches_its_total(model: Path) -> None:
    seen: list[tuple[int, int]] = []
    size = model.stat().st_size
    seal(
        model, build_manifest(model), mode="sealed", progress=lambda *step: seen.append(step)
    ).close()
    assert seen[-1] == (2 * size, 2 * size)


def test_folder_and_missing_file_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="loads one GGUF file"):
        seal(folder, build_manifest(folder), mode="sealed")
    with pytest.raises(UsageError, match="does not exist"):
        seal(folder / "nothing", "sha256:0", mode="hash")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="named pipe"):
        seal(folder / "pipe", "sha256:0", mode="hash")


def test_too_little_memory_names_the_mend(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _descriptors()
    monkeypatch.setattr(sealed, "free_memory", lambda: 70 << 20)
    seal(model, build_manifest(model), mode="sealed").close()
    monkeypatch.setattr(sealed, "free_memory", lambda: 65 << 20)
    with pytest.raises(UnavailableError, match=r"admission\.load: hash") as refused:
        seal(model, build_manifest(model), mode="sealed")
    assert "65 MiB are free" in refused.value.message
    assert _descriptors() == before


def _full_memory(fd: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_memory_that_runs_out_meanwhile(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = build_manifest(model)
    before = _descriptors()
    monkeypatch.setattr(os, "write", _full_memory)
    with pytest.raises(UnavailableError, match="No space left"):
        seal(model, manifest, mode="sealed")
    assert _descriptors() == before


def _forbidden(name: str, flags: int) -> int:
    raise PermissionError(errno.EPERM, "forbidden")


@pytest.mark.parametrize("how", ["absent", "forbidden"])
def test_without_memfd_an_unlinked_file_serves(
    how: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = build_manifest(model)
    if how == "absent":
        monkeypatch.delattr(os, "memfd_create")
    else:
        monkeypatch.setattr(os, "memfd_create", _forbidden)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with seal(model, manifest, mode="sealed") as bound:
        assert (bound.mode_used, bound.backing) == ("sealed", "unlinked file")
        assert list(temporary.iterdir()) == []
        model.write_bytes(b"altered")
        assert Path(bound.path).read_bytes()[:4] == b"GGUF"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(bound.fd, b"X", 0)


class TestTimes:
    @pytest.mark.usefixtures("settled")
    def test_second_load_reads_nothing(self, model: Path, records: Path) -> None:
        manifest = build_manifest(model)
        steps: list[int] = []
        modes = []
        for _ in range(2):
            with seal(
                model,
                manifest,
                mode="mtime",
                records=records,
                progress=lambda *step: steps.append(step[0]),
            ) as bound:
                modes.append(bound.mode_used)
                assert os.pread(bound.fd, 4, 0) == b"GGUF"
        assert modes == ["hash", "mtime"]
        assert steps[-1] == manifest.size == max(steps)
        assert steps.count(manifest.size) == 1

    @pytest.mark.usefixtures("settled")
    @pytest.mark.parametrize("restore_times", [False, True])
    def test_altered_file_is_hashed_again(
        self, restore_times: bool, model: Path, records: Path
    ) -> None:
        manifest = build_manifest(model)
        seal(model, manifest, mode="mtime", records=records).close()
        info = model.stat()
        with model.open("r+b") as file:
            file.seek(100)
            file.write(b"X")
        if restore_times:
            os.utime(model, ns=(info.st_atime_ns, info.st_mtime_ns))
        with pytest.raises(IntegrityError, match="is not the model that was vetted"):
            seal(model, manifest, mode="mtime", records=records)

    def test_fresh_file_is_not_remembered(self, model: Path, records: Path) -> None:
        manifest = build_manifest(model)
        for _ in range(2):
            with seal(model, manifest, mode="mtime", records=records) as bound:
                assert bound.mode_used == "hash"
        assert not records.exists()

    @pytest.mark.usefixtures("settled")
    @pytest.mark.parametrize("content", [b"", b"junk", b"\xff", b'{"/model": [1]}'])
    def test_damaged_records_only_cost_time(
        self, content: bytes, model: Path, records: Path
    ) -> None:
        records.parent.mkdir()
        records.write_bytes(content)
        manifest = build_manifest(model)
        modes = []
        for _ in range(2):
            with seal(model, manifest, mode="mtime", records=records) as bound:
                modes.append(bound.mode_used)
        assert modes == ["hash", "mtime"]

    def test_no_place_for_records_is_said(self, model: Path) -> None:
        with pytest.raises(UsageError, match="mtime"):
            seal(model, build_manifest(model), mode="mtime")


def test_check_is_about_the_passports_digest(model: Path, issue: Callable[..., object]) -> None:
    passport = issue(model)
    with seal(model, passport.manifest, mode="sealed") as bound:
        assert bound.digest == passport.digest
