"""A registry of models: every one of them vetted, on several cores or a Ray cluster.

Models come and go in the order of their names, each as one line of the results. A line that is
there is not made again when the run goes on; the files, the policy and the version decide whether
it still holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from keelmark import __version__
from keelmark.app.batch.pools import cores
from keelmark.app.batch.rays import check_address, cluster, refused, same_version
from keelmark.core.canonical import digest
from keelmark.core.errors import KeelmarkError, UsageError
from keelmark.core.policy import Admission
from keelmark.core.vetting import VetVerdict
from keelmark.passport.files import Fingerprint, printable, write_whole
from keelmark.vet import VetLimits
from keelmark.vet.examiner import Examiner
from keelmark.vet.registry import rule_pack
from keelmark.vet.run import examine_and_judge
from keelmark.vet.survey import NOTHING

_AHEAD = 3
"""Models for each core that are on the way."""

_BEGIN = '{"path": "'

Told = Callable[[int, int, str], None]
"""Called with models done, models in total, and what was found of the last."""


class Summary(NamedTuple):
    """What came of a run.

    Attributes:
        verdicts: Verdict to number of models.
        kept: How many lines an earlier run had made.
        worst: Paths of models that did not pass, with the reason, in the order of their names.
    """

    verdicts: Counter[str]
    kept: int
    worst: list[tuple[str, str, str]]


def models_in(folder: Path) -> dict[str, Path]:
    """Return the models of a registry by name: what lies in it, or the snapshots of a hub cache.

    Raises:
        UsageError: It is no folder, or there is nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{printable(folder)} is not a folder: give the one that holds models.")
    found: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        snapshots = entry / "snapshots"
        hub = entry.name.startswith("models--") and snapshots.is_dir()
        found += sorted(snapshots.iterdir()) if hub else [entry]
    if not found:
        raise UsageError(f"{printable(folder)} holds no models: give the folder that holds them.")
    return {path.relative_to(folder).as_posix(): path for path in found}


def vet_each(
    folder: Path,
    out: Path,
    *,
    admission: Admission,
    jobs: int = 0,
    ray: str = "",
    told: Told | None = None,
) -> Summary:
    """Vet every model of a registry; go on where an earlier run with the same results ended.

    Args:
        folder: The registry.
        out: Results, one line of JSON for each model.
        admission: Policy.
        jobs: Models at once on this machine; one for each core when 0.
        ray: `local`, `auto` or HOST:PORT: vet on Ray, whose nodes must see the same files.
        told: Told of the progress.

    Raises:
        UsageError: There is nothing to vet, or the results cannot be written.
    """
    if ray:
        check_address(ray, jobs)
    models = models_in(folder)
    marks = {name: _mark(path, admission) for name, path in models.items()}
    lines = {n: line for n, line in _known(out).items() if marks.get(n) == line["mark"]}
    kept = len(lines)
    _rewrite(out, lines)
    with (
        out.open("a", encoding="utf-8") as file,
        _on_ray(ray, jobs) if ray else _here(jobs or cores()) as submit,
    ):
        missing = [name for name in models if name not in lines]
        tasks = ((name, submit(models[name], admission)) for name in missing)
        for name, said in _in_order(tasks, jobs or cores()):
            lines[name] = {"path": name, "mark": marks[name], **said}
            file.write(_text(lines[name]))
            file.flush()
            os.fsync(file.fileno())
            if told:
                told(len(lines), len(models), f"{said['verdict']}  {name}")
    _rewrite(out, lines)
    return Summary(
        Counter(line["verdict"] for line in lines.values()),
        kept,
        [
            (name, line["verdict"], line["reason"])
            for name, line in sorted(lines.items())
            if line["verdict"] != VetVerdict.PASS
        ],
    )


def judged(path: Path, admission: Admission, examiner: Examiner) -> dict[str, Any]:
    """Return what is known of one model, for its line; what cannot be read could not be checked."""
    try:
        done = examine_and_judge(path, admission=admission, asked=NOTHING, examiner=examiner)
    except KeelmarkError as error:
        return {"verdict": VetVerdict.INCOMPLETE.value, "reason": error.message, "report": None}
    report = msgspec.to_builtins(done.report)
    return {"verdict": report["verdict"], "reason": report["reason"], "report": report}


def _mark(path: Path, admission: Admission) -> str:
    """What decides whether an earlier line still holds: names, sizes and times of the files."""
    state = hashlib.sha256(f"{rule_pack()} {digest(admission)}".encode())
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            state.update(_looks(Path(folder, name)))
    if not path.is_dir():
        state.update(_looks(path))
    return state.hexdigest()


def _looks(path: Path) -> bytes:
    try:
        return repr((os.fsencode(path), Fingerprint.of(path.stat()))).encode()
    except OSError as error:
        return repr((os.fsencode(path), error.errno)).encode()


def _known(out: Path) -> dict[str, dict[str, Any]]:
    """Lines of an earlier run, by path; a line that was cut off was never there."""
    try:
        text = out.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"{printable(out)} cannot be read as results: name another file with --each."
        ) from None
    *whole, cut = text.split("\n")
    lines = {line["path"]: line for line in map(_line, whole) if line}
    if len(lines) != len(whole) or not _BEGIN.startswith(cut[: len(_BEGIN)]):
        raise UsageError(
            f"{printable(out)} holds something else than results: name another file with --each."
        )
    return lines


def _line(text: str) -> dict[str, Any] | None:
    """One line of results, or None for anything else."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = isinstance(line, dict) and {"path", "mark", "verdict", "reason"} <= line.keys()
    return line if known else None


def _rewrite(out: Path, lines: dict[str, dict[str, Any]]) -> None:
    """Put exactly these lines into the results, in the order of their names, or nothing."""
    text = "".join(_text(lines[name]) for name in sorted(lines))
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise UsageError(
            f"{printable(out)} cannot be written ({error.strerror}): choose another place."
        ) from None


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


Wait = Callable[[], dict[str, Any]]
Submit = Callable[[Path, Admission], Wait]


def _in_order(
    tasks: Iterator[tuple[str, Wait]], width: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what comes of the tasks, in their order, with a bounded number on the way."""
    ahead: deque[tuple[str, Wait]] = deque()
    for task in tasks:
        ahead.append(task)
        if len(ahead) > _AHEAD * width:
            name, wait = ahead.popleft()
            yield name, wait()
    for name, wait in ahead:
        yield name, wait()


@contextlib.contextmanager
def _here(jobs: int) -> Iterator[Submit]:
    """Threads of this process, each with a worker process of its own for hostile bytes."""
    with contextlib.ExitStack() as stack:
        examiners = [stack.enter_context(Examiner(VetLimits())) for _ in range(jobs)]
        free: queue.SimpleQueue[Examiner] = queue.SimpleQueue()
        for examiner in examiners:
            free.put(examiner)

        def one(path: Path, admission: Admission) -> dict[str, Any]:
            examiner = free.get()
            try:
                return judged(path, admission, examiner)
            finally:
                free.put(examiner)

        pool = stack.enter_context(ThreadPoolExecutor(jobs))

        def submit(path: Path, admission: Admission) -> Wait:
            return pool.submit(one, path, admission).result

        try:
            yield submit
        except BaseException:  # boundary: whatever ends the run ends what it started
            pool.shutdown(wait=False, cancel_futures=True)
            for examiner in examiners:
                examiner.interrupt()
            raise


@contextlib.contextmanager
def _on_ray(address: str, jobs: int) -> Iterator[Submit]:
    """Tasks of a Ray cluster, whose nodes see the same files under the same paths."""
    with cluster(address, jobs or cores()) as ray:
        task = ray.remote(max_retries=3, num_cpus=1)(_remote)

        def submit(path: Path, admission: Admission) -> Wait:
            held = task.remote(str(path.absolute()), admission)

            def wait() -> dict[str, Any]:
                try:
                    version, line = ray.get(held)
                except ray.exceptions.RayTaskError as error:
                    raise refused(error) from None
                except ray.exceptions.RayError:
                    return {
                        "verdict": VetVerdict.INCOMPLETE.value,
                        "reason": "Every process of the cluster that vetted it ended.",
                        "report": None,
                    }
                same_version(version)
                return dict(line)

            return wait

        yield submit


def _remote(path: str, admission: Admission) -> tuple[str, dict[str, Any]]:
    """Vet a model on a node."""
    return __version__, judged(Path(path), admission, _examiner())


@lru_cache(1)
def _examiner() -> Examiner:
    """The worker of this process of a node, kept from model to model."""
    return Examiner(VetLimits())
