import ctypes
import datetime as dt
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from safetensors import TensorSpec, serialize

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.core.findings import Severity
from keelmark.core.policy import Admission, Policy, Waiver
from keelmark.core.vetting import VetVerdict
from keelmark.passport.manifest import build_manifest
from keelmark.vet import VetLimits, all_surveys, run, vet, vetted
from keelmark.vet.examiner import Examiner

EVIL = b"cposix\nsystem\n(S'true'\ntR."
TODAY = dt.date(2026, 11, 22)


def _waiver(rule: str, expires: str, path: str = "*") -> Admission:
    return Admission(waivers=(Waiver(rule=rule, reason="read it", expires=expires, path=path),))


def _slow_gguf(path: Path, strings: int = 20_000_000) -> Path:
    """Write a sparse file whose header announces millions of empty strings."""
    header = b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + (1).to_bytes(8, "little")
    header += (1).to_bytes(8, "little") + b"k" + (9).to_bytes(4, "little")
    header += (8).to_bytes(4, "little") + strings.to_bytes(8, "little")
    path.write_bytes(header)
    os.truncate(path, len(header) + 8 * strings)
    return path


def test_pass_is_bound_to_the_digest(tmp_path: Path) -> None:
    data = ctypes.create_string_buffer(16)
    tensor = TensorSpec(dtype="float32", shape=[2, 2], data_ptr=ctypes.addressof(data), data_len=16)
    path = tmp_path / "model.safetensors"
    path.write_bytes(serialize({"w": tensor}, {"format": "pt"}))
    report = vet(path, today=TODAY)
    assert report.verdict is VetVerdict.PASS
    assert {f.severity for f in report.findings} <= {Severity.INFO}
    assert report.digest == build_manifest(path).digest
    assert report.policy_digest == Policy().admission_digest
    assert (report.coverage.files, report.coverage.checked) == (1, 1)
    assert report.checks["safetensors"]


def test_same_input_same_report(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(EVIL)
    (tmp_path / "b.bin").write_bytes(bytes(range(256)))
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"b": "x.Y", "a": "x.Z"}}))
    assert vet(tmp_path, today=TODAY) == vet(tmp_path, today=TODAY)


def test_findings_beat_missing_coverage(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(EVIL)
    (tmp_path / "b.bin").write_bytes(bytes(range(256)))
    report = vet(tmp_path, today=TODAY)
    assert report.verdict is VetVerdict.FAIL
    assert [item.path for item in report.coverage.not_checked] == ["b.bin"]
    assert report.coverage.checked == 1
    assert "pickle.dangerous_call" in report.reason


def test_unknown_is_incomplete_unless_the_policy_allows_it(tmp_path: Path) -> None:
    path = tmp_path / "b.bin"
    path.write_bytes(bytes(range(256)))
    assert vet(path).verdict is VetVerdict.INCOMPLETE
    report = vet(path, admission=Admission(allow_incomplete=True))
    assert report.verdict is VetVerdict.PASS
    assert "the policy allows that" in report.reason


def test_waiver_counts_until_its_last_day(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(EVIL)
    rule = "pickle.dangerous_call"
    kept = vet(path, admission=_waiver(rule, "2026-11-22"), today=TODAY)
    assert kept.verdict is VetVerdict.PASS
    assert "1 finding waived" in kept.reason
    late = vet(path, admission=_waiver(rule, "2026-11-21"), today=TODAY)
    assert late.verdict is VetVerdict.FAIL
    assert "ended on 2026-11-21" in late.reason
    other = vet(path, admission=_waiver(rule, "2027-01-01", "other.pkl"), today=TODAY)
    assert other.verdict is VetVerdict.FAIL
    assert vet(path, admission=_waiver(rule, "2026-02-30"), today=TODAY).verdict is VetVerdict.FAIL


def test_threshold_is_the_policy_s(tmp_path: Path) -> None:
    path = tmp_path / "config_x.py"
    path.write_text("SIZE = 3\n")
    assert vet(path).verdict is VetVerdict.PASS
    strict = vet(path, admission=Admission(fail_on=Severity.LOW))
    assert strict.verdict is VetVerdict.FAIL


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_bytes_that_change_while_they_are_read(kind: str, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("text")

    def meddle(done: int, total: int) -> None:
        (tmp_path / "b.txt").write_text("evil")

    with pytest.raises(IntegrityError, match="changed while it was read"):
        vet(tmp_path / "b.txt" if kind == "file" else tmp_path, progress=meddle)


def test_what_is_examined_is_what_the_manifest_names(tmp_path: Path) -> None:
    for name in ("a.txt", "b/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    report, manifest, _ = vetted(tmp_path)
    assert manifest == build_manifest(tmp_path)
    assert report.digest == manifest.digest


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}')
    (folder / "README.md").write_text("---\nlicense: mit\ntags: [a, b]\n---\n# Model\n")
    (folder / "b.pkl").write_bytes(EVIL)
    (folder / "odd.bin").write_bytes(bytes(range(256)))
    said = set()
    for seed in ("1", "2"):
        command = [Path(sys.executable).parent / "keelmark", "vet", str(folder), "--json"]
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=tmp_path if seed == "1" else folder,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        report = json.loads(done.stdout)
        assert report["rule_pack"].startswith("sha256:")
        assert report["sections"]
        said.add(done.stdout)
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["missing", "empty folder", "pipe", "link inside"])
def test_bad_input_is_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link inside":
        path.mkdir()
        (path / "a").symlink_to("/etc/passwd")
    with pytest.raises(UsageError) as caught:
        vet(path)
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(EVIL)
    path.chmod(0)
    with pytest.raises(UsageError):
        vet(path)


def test_names_from_the_artefact_cannot_write_to_a_terminal(tmp_path: Path) -> None:
    header = json.dumps({"\x1b[2Jx\u202e": {"dtype": "?"}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    (finding,) = (f for f in vet(path).findings if f.severity.rank)
    assert "\x1b" not in finding.location
    assert r"\x1b[2Jx\u202e" in finding.location


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), MemoryError()])
def test_a_survey_that_fails_leaves_it_incomplete(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> object:
        raise error

    broken = all_surveys()["licence"]._replace(run=fails)
    monkeypatch.setattr(run, "all_surveys", lambda: {"licence": broken})
    (tmp_path / "config.json").write_text("{}")
    report = vet(tmp_path)
    assert report.verdict is VetVerdict.INCOMPLETE
    assert type(error).__name__ in report.reason
    assert report.sections["licence"].answer == "could not tell"


class TestWorker:
    def test_too_much_cpu_time(self, tmp_path: Path) -> None:
        slow = _slow_gguf(tmp_path / "a.gguf")
        (tmp_path / "b.pkl").write_bytes(EVIL)
        with Examiner(VetLimits(cpu_seconds=1)) as examiner:
            first = _examine(examiner, slow)
            assert any("CPU time" in reason for reason in first.unexamined)
            second = _examine(examiner, tmp_path / "b.pkl")
        assert "pickle.dangerous_call" in {f.rule for f in second.findings}

    def test_too_long(self, tmp_path: Path) -> None:
        slow = _slow_gguf(tmp_path / "a.gguf")
        with Examiner(VetLimits(wall_seconds=0.8)) as examiner:
            result = _examine(examiner, slow)
        assert "the gguf check took longer than it may take" in result.unexamined

    def test_too_much_memory(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_bytes(b"text" * (20 * 1024 * 1024))
        with Examiner(VetLimits(memory_mib=128)) as examiner:
            result = _examine(examiner, path)
        assert any("memory" in r or "crashed" in r for r in result.unexamined), result

    def test_killed_in_the_middle_of_a_check(self, tmp_path: Path) -> None:
        slow = _slow_gguf(tmp_path / "a.gguf", 6_000_000)
        with Examiner(VetLimits()) as examiner:
            _examine(examiner, _written(tmp_path / "warm.txt", b"text"))
            victim = examiner.pid
            assert victim

            def kill() -> None:
                time.sleep(0.7)
                os.kill(victim, signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            result = _examine(examiner, slow)
            killer.join()
            assert result.unexamined == ("the gguf check crashed (signal 9)",)
            after = _examine(examiner, _written(tmp_path / "b.pkl", EVIL))
        assert after.findings

    def test_killed_between_two_files(self, tmp_path: Path) -> None:
        path = _written(tmp_path / "b.pkl", EVIL)
        with Examiner(VetLimits()) as examiner:
            first = _examine(examiner, path)
            victim = examiner.pid
            assert victim
            os.kill(victim, signal.SIGKILL)
            assert _examine(examiner, path) == first

    def test_is_confined(self, tmp_path: Path) -> None:
        with Examiner(VetLimits(memory_mib=1024)) as examiner:
            _examine(examiner, _written(tmp_path / "a.txt", b"text"))
            pid = examiner.pid
            assert pid
            assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
            assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
            assert resource.prlimit(pid, resource.RLIMIT_AS)[0] == 1024 * 1024 * 1024
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] <= 64
            assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] < 600
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert environment.split(b"\0") == [b"LC_ALL=C.UTF-8", b""]
            links = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
            assert not any(str(tmp_path) in link for link in links)

    def test_many_files_need_one_worker(self, tmp_path: Path) -> None:
        with Examiner(VetLimits()) as examiner:
            pids = set()
            for number in range(5):
                _examine(examiner, _written(tmp_path / f"{number}.txt", b"text"))
                pids.add(examiner.pid)
        assert len(pids) == 1


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _examine(examiner: Examiner, path: Path) -> object:
    fd = os.open(path, os.O_RDONLY)
    try:
        return examiner.examine(path.name, fd)
    finally:
        os.close(fd)
