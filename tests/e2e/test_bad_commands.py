"""Bad input to the command line: one sentence, the right exit code, nothing half-written."""

import contextlib
import ctypes
import functools
import os
import pickle
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.make import CASES as CORPUS

from .conftest import KEELMARK, called, free_port, keelmark
from .wire import check_sentence

RULE = "version: 1\nguard:\n  rules:\n    - id: a\n      detector: {}\n      action: {}\n"
FILES: dict[str, bytes] = {
    "empty.gguf": b"",
    "text.gguf": b"this is no model",
    "cut.gguf": CORPUS["gguf-truncated"].files["model.gguf"],
    "good.gguf": CORPUS["gguf-twin"].files["model.gguf"],
    "pickle.gguf": pickle.dumps({"a": 1}),
    "broken.yaml": b"version: 1\nguard: [\n",
    "tabs.yaml": b"version: 1\n\tname: x\n",
    "field.yaml": b"version: 1\nadmision: {}\n",
    "type.yaml": b"version: 1\nadmission:\n  passport_days: many\n",
    "range.yaml": b"version: 1\nadmission:\n  passport_days: 0\n",
    "twice.yaml": b"version: 1\nname: a\nname: b\n",
    "list.yaml": b"- a\n",
    "detector.yaml": RULE.format("nonsense", "block").encode(),
    "action.yaml": RULE.format("secrets", "explode").encode(),
    "setting.yaml": (RULE.format("secrets", "block") + "      config: {nonsense: 1}\n").encode(),
    "latin.yaml": b"name: caf\xe9\n",
    "latin.txt": b"fine\ncaf\xe9\n",
    "number.jsonl": b'{"text": "fine"}\n{"text": 7}\n',
    "file": b"x",
}
HERE = {  # words, exit code, what the sentence says
    "verb": ("vett model.gguf", 2, "No such command 'vett'"),
    "option": ("up --polcy x", 2, "did you mean"),
    "vet a missing file": ("vet missing.gguf", 2, "missing.gguf does not exist"),
    "vet an empty folder": ("vet folder", 2, "holds no files"),
    "vet a pipe": ("vet pipe", 2, "named pipe"),
    "vet into a folder": ("vet good.gguf --sarif folder", 2, "is a directory"),
    "vet into nowhere": ("vet good.gguf --sarif no/where", 2, "no/where cannot be written"),
    "admit a missing file": ("admit missing.gguf", 2, "missing.gguf does not exist"),
    "admit a pickle": ("admit pickle.gguf", 1, "2 findings"),
    "up with a missing model": ("up --model missing.gguf", 2, "does not exist"),
    "up with an empty model": ("up --model empty.gguf", 2, "is empty"),
    "up with a pickle": ("up --model pickle.gguf", 2, "not a GGUF file"),
    "up with a cut model": ("up --model cut.gguf", 1, "fails vetting"),
    "up before nobody": ("up --upstream http://127.0.0.1:9/v1", 2, "Nothing answers"),
    "up before nonsense": ("up --upstream nonsense", 2, "give a URL or one of"),
    "up under a broken policy": ("up --policy detector.yaml", 2, "detector.yaml, line 4"),
    "policy missing": ("policy check missing.yaml", 2, "missing.yaml cannot be read"),
    "policy a folder": ("policy check folder", 2, "is a directory"),
    "policy broken": ("policy check broken.yaml", 2, "broken.yaml, line 3 is not valid YAML"),
    "policy field": ("policy check field.yaml", 2, "line 2: there is no field `admision`"),
    "policy type": ("policy check type.yaml", 2, "line 3: `admission.passport_days` must be"),
    "policy name twice": ("policy check twice.yaml", 2, "line 3: 'name' is given twice"),
    "policy a list": ("policy check list.yaml", 2, "line 1"),
    "policy detector": ("policy check detector.yaml", 2, "line 4"),
    "policy action": ("policy check action.yaml", 2, "line 6: `guard.rules[0].action`"),
    "policy setting": ("policy check setting.yaml", 2, "line 4"),
    "policy no UTF-8": ("policy check latin.yaml", 2, "not UTF-8"),
    "passport unknown": ("passport show nobody", 2, "There is no passport"),
    "passport of a model": ("passport verify good.gguf", 2, "There is no passport"),
    "passport damaged": ("passport verify number.jsonl", 1, "number.jsonl"),
    "guard a missing file": ("guard missing.txt", 2, "missing.txt cannot be read"),
    "guard a folder": ("guard folder", 2, "folder cannot be read"),
    "guard no UTF-8": ("guard latin.txt", 2, "latin.txt, line 2 is not UTF-8"),
    "guard a number": ("guard number.jsonl", 2, "line 2"),
    "ledger against nothing": ("ledger verify --against missing", 2, "missing cannot be read"),
    "ledger against rubbish": ("ledger verify --against file", 2, "keelmark ledger checkpoint"),
    "report unknown": ("report nonsense", 2, "no framework 'nonsense'"),
    "report into a folder": ("report owasp-llm --out folder", 2, "is a directory"),
    "key unknown": ("keys revoke key_nobody", 2, "no key key_nobody"),
    "key for ever": ("keys create x --days 1e300", 2, "--days"),
    "trace unknown": ("traces 0123456789abcdef", 2, "no trace"),
    "subject unknown": ("erase nobody --yes", 2, "nobody"),
    "data folder a file": ("keys list --data file", 2, "is a file"),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that is wrong."""
    folder = tmp_path_factory.mktemp("shelf")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    return folder


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    found = sorted(folder.rglob("*"))
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in found}


def drafts(folder: Path) -> list[Path]:
    """What a write that did not end would leave."""
    return [p for p in folder.rglob("*") if p.name.startswith(".") or "tmp" in p.name]


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one sentence on stderr; lines of progress end in dots and come before it."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.endswith("...")]
    assert len(lines) == 1, done.stderr
    check_sentence(lines[0].removeprefix("keelmark: "))
    return lines[0]


@pytest.mark.parametrize("name", HERE)
def test_commands(shelf: Path, tmp_path: Path, name: str) -> None:
    words, code, part = HERE[name]
    before = contents(shelf)
    more = ("--port", free_port()) if words.startswith("up") else ()
    done = called(*words.split(), *more, data=tmp_path / "data", cwd=shelf)
    assert part in told(done, code)
    assert contents(shelf) == before
    assert not drafts(tmp_path)
    if ".yaml" in words:
        assert not (tmp_path / "data").exists(), "a policy is read before anything is made"


@pytest.mark.parametrize(
    ("name", "rule"),
    [("empty", "gguf.malformed"), ("cut", "gguf.malformed"), ("pickle", "pickle.disguised")],
)
def test_vet_tells_findings_on_stdout(shelf: Path, tmp_path: Path, name: str, rule: str) -> None:
    done = keelmark("vet", f"{name}.gguf", data=tmp_path, cwd=shelf)
    assert (done.returncode, done.stderr) == (1, "")
    assert rule in done.stdout


def test_a_port_in_use_costs_nothing(shelf: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = keelmark("up", "--port", port, data=tmp_path / "data")
    assert f"127.0.0.1:{port} cannot be used (Address already in use)" in told(done, 2)
    assert not (tmp_path / "data").exists()


def give_up_root() -> None:
    """In a child: be subject to file permissions, also as root."""
    if os.geteuid() == 0:
        system = ctypes.CDLL(None)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            system.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.skipif(
    os.geteuid() == 0 and sys.platform != "linux", reason="root may read and write everything"
)
def test_what_this_user_may_not_touch(tmp_path: Path) -> None:
    secret, locked = tmp_path / "model.gguf", tmp_path / "locked"
    secret.write_bytes(FILES["good.gguf"])
    secret.chmod(0)
    locked.mkdir()
    locked.chmod(0o555)
    before = contents(tmp_path)
    for words, data, part in (
        (("vet", secret), locked, "is not readable"),
        (("up", "--model", secret, "--port", free_port()), locked / "new", "Permission denied"),
        (("keys", "create", "x"), locked, "Permission denied"),
        (("keys", "create", "x"), locked / "new", "cannot be made (Permission denied)"),
        (("report", "--out", locked / "r.html"), tmp_path / "data", "(Permission denied)"),
    ):
        done = keelmark(*words, data=data, preexec_fn=give_up_root)
        assert part in told(done, 2)
    shutil.rmtree(tmp_path / "data")
    assert contents(tmp_path) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 KB, where a test may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root mounts a small disk; the limit on file sizes is tested beside")
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here; the limit on file sizes is tested beside")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(shelf: Path, tmp_path: Path, small_disk: Path) -> None:
    data = small_disk / "data"
    assert keelmark("keys", "create", "before", data=data).returncode == 0
    free = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(b"x" * (free - 4096))
    for words in (["keys", "create", "x" * 3000], ["admit", shelf / "good.gguf"]):
        assert re.search("full|free space", told(keelmark(*words, data=data), 2))
    for words in (
        ["report", "owasp-llm", "--out", small_disk / "report.html"],
        ["ledger", "export", small_disk / "audit.zip"],
    ):
        said = told(keelmark(*words, data=data), 2)
        assert re.search("No space left|full", said)
    (small_disk / "ballast").unlink()
    assert sorted(p.name for p in small_disk.iterdir()) == ["data"]
    assert keelmark("ledger", "verify", data=data).returncode == 0
    (key,) = keelmark("keys", "list", data=data).stdout.splitlines()
    assert key.endswith("before")


def test_files_that_may_not_grow(shelf: Path, tmp_path: Path) -> None:
    """As a full disk, where nobody may mount one: every write beyond 2 KB fails."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    data = tmp_path / "data"
    said = told(keelmark("keys", "create", "x", data=data, preexec_fn=limit), 2)
    assert "keelmark.db" in said
    assert keelmark("keys", "create", "x", data=data).returncode == 0
    for words in (["report", "--out", "r.html"], ["ledger", "export", "a.zip"]):
        said = told(keelmark(*words, data=data, cwd=tmp_path, preexec_fn=limit), 2)
        assert "File too large" in said or "could not be read or written" in said
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    assert keelmark("ledger", "verify", data=data).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_and_out(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [KEELMARK, "policy", "schema"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr
    keelmark("keys", "create", "x", data=tmp_path)
    assert "/dev/full" in told(keelmark("report", "--out", "/dev/full", data=tmp_path), 2)


def test_a_reader_that_leaves(tmp_path: Path) -> None:
    lines = "write to ada@example.org\n" * 4000
    text = tmp_path / "many.txt"
    text.write_text(lines)
    command = subprocess.Popen(
        [KEELMARK, "guard", str(text)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with command:
        assert command.stdout is not None
        assert b"<EMAIL_1>" in command.stdout.readline()
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == b""
    assert command.returncode == 141, "not 0: what was not told was not found clean"


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in found]
    return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("when", ["hashing", "checking"])
def test_ctrl_c_while_vetting(tmp_path: Path, when: str) -> None:
    model = tmp_path / "model.safetensors"
    with model.open("wb") as file:
        file.truncate(20_000_000_000 if when == "hashing" else 1000)
    before = contents(tmp_path)
    process = subprocess.Popen(
        [KEELMARK, "vet", model, "--sarif", tmp_path / "x.sarif"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 20
    begun = _children if when == "checking" else functools.partial(_has_open, model)
    while not begun(process.pid) and time.monotonic() < end:
        time.sleep(0.002)
    workers = _children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    said, complaint = process.communicate(timeout=20)
    assert (process.returncode, said, complaint.strip()) == (130, "", "keelmark: stopped.")
    assert contents(tmp_path) == before
    end = time.monotonic() + 20  # one that was only just made ends when it finds nobody there
    while any(map(_alive, workers)) and time.monotonic() < end:
        time.sleep(0.002)
    assert not [pid for pid in workers if _alive(pid)]


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def _has_open(path: Path, pid: int) -> bool:
    with contextlib.suppress(OSError):
        return any(p.resolve() == path for p in Path(f"/proc/{pid}/fd").iterdir())
    return False
