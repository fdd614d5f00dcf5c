"""The same work over Ray: the same result as without, whatever ends in between.

Ray runs for itself here, on this machine: nothing is simulated.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluation_parts import WEIGHS, own_suite, run_folder, served
from keelmark.app import batch
from keelmark.app.batch import rays
from keelmark.app.batch.formats import Batch
from keelmark.app.batch.pools import Pool, Task, judged
from keelmark.app.batch.sources import Source
from keelmark.app.registry import vet_each
from keelmark.cli.main import run
from keelmark.core.policy import Admission
from keelmark.evaluate.result import SCORES
from keelmark.guard import shipped_policy
from keelmark.serve.fake import FakeEngine

from .conftest import KEELMARK, free_port, keelmark
from .test_batch import contents, corpus


def report(path: Path) -> dict:
    return {**json.loads(path.read_text("utf-8")), "seconds": 0}


@pytest.mark.timeout(600)  # three runs, two of which start a Ray
def test_kill_and_resume(tmp_path):
    corpus(tmp_path / "in", 250)
    words = ["guard", "clean", "in", "--report"]
    whole = keelmark(*words, "whole.json", "--out", "whole", data=tmp_path / "data", cwd=tmp_path)
    assert whole.returncode == 1, whole.stderr
    words += ["ray.json", "--out", "out", "--workers", "2", "--ray=local"]
    process = subprocess.Popen(
        [KEELMARK, *words],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "KEELMARK_DATA": str(tmp_path / "data")},
        start_new_session=True,
    )
    draft = tmp_path / "out" / ".a.jsonl.part"
    while process.poll() is None and not (draft.exists() and draft.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode in {-signal.SIGKILL, 1}, "killed, if it was not faster"
    last = keelmark(*words, "--resume", data=tmp_path / "data", cwd=tmp_path)
    assert last.returncode == 1, last.stderr
    assert last.stdout.splitlines()[1:] == whole.stdout.splitlines()[1:]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert report(tmp_path / "ray.json") == report(tmp_path / "whole.json")


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    with rays.cluster("local", 1) as started:
        yield started


def test_a_registry_is_vetted_the_same(ray, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for number in range(4):
        (models / f"m{number}.json").write_text("{}")
    (models / "odd.bin").write_bytes(bytes(range(256)))
    for out, where in (("here", ""), ("ray", "local")):
        found = vet_each(models, tmp_path / out, admission=Admission(), ray=where)
        assert found.verdicts == {"pass": 4, "incomplete": 1}
    assert (tmp_path / "ray").read_bytes() == (tmp_path / "here").read_bytes()


def task(tmp_path: Path, name: str, number: int) -> Task:
    source = Source(tmp_path / name, name, name, "jsonl", 1, 1)
    return Task(number, 0, source, Batch(1, b'{"a": "ada@example.org"}\n', 1))


def test_a_batch_is_tried_again_and_at_last_could_not_be_checked(ray, tmp_path, monkeypatch):
    real, marks = rays._read, tmp_path

    def mortal(key, plan, task):
        file = task.source.shown
        if file == "poison" or (file == "once" and not (marks / "died").exists()):
            (marks / "died").touch()
            os._exit(9)
        return real(key, plan, task)

    monkeypatch.setattr(rays, "_read", mortal)
    monkeypatch.setattr(rays, "_PAUSE", 0.0)
    monkeypatch.setattr(rays, "_TRIES", 2)
    hand = rays._Hand(ray, batch.Plan(policy=shipped_policy()))
    names = ["fine", "once", "poison", "fine"]
    tasks = (task(tmp_path, name, number) for number, name in enumerate(names))
    got = [piece for _, piece in judged(Pool(2, hand.submit), tasks, lambda *_: None)]
    assert [sum(p.count for p in one.tally.places.values()) for one in got] == [1, 1, 0, 1]
    assert [one.tally.unchecked for one in got] == [0, 0, 1, 0]
    assert got[2].tally.problems[0].file == "poison"


def test_an_evaluation_is_the_same_run(ray, tmp_path):
    suite = own_suite(tmp_path / "suite")

    def act(call):
        assert call("run", suite, "--data", tmp_path / "here") == 0
        assert call("run", suite, "--data", tmp_path / "there", "--ray=local") == 0

    served(FakeEngine(WEIGHS), act)
    here, there = run_folder(tmp_path / "here"), run_folder(tmp_path / "there")
    assert here.name == there.name
    assert (here / SCORES).read_bytes() == (there / SCORES).read_bytes()


def test_only_this_machine_can_reach_it(ray):
    places = {Path("/tmp"), Path(tempfile.gettempdir())}
    folders = [folder for place in places for folder in place.glob("keelmark-*/ray")]
    assert folders
    assert all(folder.parent.stat().st_mode & 0o077 == 0 for folder in folders), "nobody else's"
    own = _sockets_of_ray()
    assert own
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in own:
                assert cells[1].partition(":")[0].endswith("0100007F"), line


def _sockets_of_ray() -> set[str]:
    """Sockets of the Rays that run for us; processes come and go while they are looked at."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            said = (process / "cmdline").read_bytes()
            if b"keelmark-" in said and b"/ray" in said:
                for handle in (process / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        found.add(str(handle.readlink()))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--ray in", "--ray takes local, auto or HOST:PORT, not 'in'"),
        ("in --ray ray://127.0.0.1:10001", "not 'ray://127.0.0.1:10001'"),
        ("in --ray auto --workers 2", "leave out --workers"),
        ("in --ray 127.0.0.1:{port}", "Nothing answers at 127.0.0.1:"),
    ],
)
def test_bad_addresses(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.jsonl").write_text("{}\n")
    words = words.format(port=free_port())
    assert run(["guard", "scan", *words.split(), *(["in"] if words == "--ray in" else [])]) == 2
    assert said in capsys.readouterr().err


def test_without_ray_the_command_to_get_it_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.jsonl").write_text("{}\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert run(["guard", "scan", str(tmp_path), "--ray"]) == 2
    assert 'pip install "keelmark[ray]"' in capsys.readouterr().err
