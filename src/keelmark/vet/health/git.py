"""Running git on a clone that may be hostile, with nothing of its own.

A repository can name programs to be run in its configuration (`core.fsmonitor`, `core.pager`,
`diff.external`, text conversions, filters, hooks, aliases, credential helpers), include other files
of configuration, and lead out of itself by links and alternates. So git never sees its
configuration: the objects are read through a repository of our own, an empty folder whose only
content is a pointer to the clone's objects and a list of its references. Only commands that read
objects are used, there is no working tree, no network, and every run has a limit on time and
output. Nothing is written into the clone.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keelmark.core.errors import CouldNotCheckError, UsageError

SECONDS = 60.0
"""Longest that one git command may take."""

MAX_OUTPUT = 64 * 1024 * 1024
"""Most that one git command may say, bytes."""

_MAX_REFS = 50_000
_SHA = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(rb"refs/[!-~]{1,200}")
_SAFE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_PAGER": "cat",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.commitGraph=false",
    "core.multiPackIndex=false",
    "core.pager=cat",
    "gc.auto=0",
    "log.showSignature=false",
    "safe.directory=*",
    "protocol.allow=never",
)


def git_folder(path: Path) -> Path:
    """Return the folder with the objects: `.git` of a clone, or a bare repository itself."""
    for folder in (path / ".git", path):
        if _is_folder(folder) and _is_folder(folder / "objects") and _is_file(folder / "HEAD"):
            return folder.absolute()
    raise UsageError(f"{path} is no git clone: name the folder that holds its .git folder.")


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


class Git:
    """Runs git in a repository of our own that borrows the clone's objects."""

    def __init__(self, folder: Path) -> None:
        self._base = ["git", "--no-pager", "--no-optional-locks", f"--git-dir={folder}"]
        self._base += [part for setting in _SETTINGS for part in ("-c", setting)]
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
        self._environment |= _SAFE

    def run(self, *arguments: str, given: bytes = b"", limit: int = MAX_OUTPUT) -> bytes:
        """Run a command that only reads objects; return what it prints.

        Raises:
            CouldNotCheckError: It fails, takes too long or prints too much.
        """
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
            source.write(given)
            source.seek(0)
            process = subprocess.Popen(  # noqa: S603  (a fixed command; no part comes from the clone)
                [*self._base, *arguments],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
            return _collect(process, arguments[0], limit)


def _collect(process: subprocess.Popen[bytes], name: str, limit: int) -> bytes:
    watch = _Watch(process)
    try:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        with watch, process.stdout as out:
            data = out.read(limit + 1)
            if len(data) > limit:
                raise CouldNotCheckError(
                    f"The repository is larger than the limits allow (git {name} says too much)."
                )
            code = process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()
    if watch.late:
        raise CouldNotCheckError(f"git {name} took longer than {SECONDS:.0f} seconds.")
    if code:
        raise CouldNotCheckError(f"git {name} cannot read the repository: it is damaged.")
    return data


class _Watch:
    """Ends a process that takes too long, while its output is read."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.late = False
        self._process = process
        self._timer = threading.Timer(SECONDS, self._end)

    def _end(self) -> None:
        self.late = True
        self._process.kill()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


@contextmanager
def beside(where: Path) -> Iterator[tuple[Git, str]]:
    """Make an empty repository that borrows the objects of a clone; yield it and its head."""
    with tempfile.TemporaryDirectory(prefix="keelmark-clone-") as name:
        folder = Path(name) / "own.git"
        for inner in ("objects/info", "refs"):
            (folder / inner).mkdir(parents=True)
        refs = dict(_references(where))
        head = _head(where, refs)
        wide = "64" if len(head) == 64 else "40"
        extra = "[extensions]\n\tobjectFormat = sha256\n" if wide == "64" else ""
        version = 1 if extra else 0
        (folder / "config").write_text(
            f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extra}"
        )
        (folder / "HEAD").write_text("ref: refs/heads/keelmark\n")
        (folder / "objects/info/alternates").write_bytes(os.fsencode(where / "objects") + b"\n")
        packed = b"".join(b"%s %s\n" % (sha, ref) for ref, sha in sorted(refs.items()))
        (folder / "packed-refs").write_bytes(b"# pack-refs with: sorted \n" + packed)
        if (shallow := where / "shallow").is_file():
            lines = _read(shallow).split()
            kept = [line for line in lines if _SHA.fullmatch(line)]
            (folder / "shallow").write_bytes(b"\n".join(kept) + b"\n")
        yield Git(folder), head


def _read(path: Path) -> bytes:
    """Return a small file of the clone; a link is none."""
    if not _is_file(path):
        return b""
    with path.open("rb") as stream:
        return stream.read(MAX_OUTPUT)


def _references(where: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield heads and tags, packed and loose; the loose one counts where both are."""
    if _is_file(where / "objects/info/alternates"):
        raise CouldNotCheckError(
            "The clone borrows its objects from another repository: make a full clone."
        )
    for line in _read(where / "packed-refs").splitlines()[:_MAX_REFS]:
        sha, _, ref = line.partition(b" ")
        if _SHA.fullmatch(sha) and _REF.fullmatch(ref):
            yield ref, sha
    for path in _loose(where):
        sha, ref = _read(path).strip(), os.fsencode(path.relative_to(where))
        if _SHA.fullmatch(sha) and _REF.fullmatch(ref):
            yield ref, sha


def _loose(where: Path) -> Iterator[Path]:
    waiting = [where / "refs" / name for name in ("heads", "tags")]
    seen = 0
    while waiting:
        folder = waiting.pop()
        for entry in os.scandir(folder) if _is_folder(folder) else ():
            seen += 1
            if seen > _MAX_REFS:
                return
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            else:
                yield Path(entry.path)


def _head(where: Path, refs: dict[bytes, bytes]) -> str:
    said = _read(where / "HEAD").strip()
    sha = refs.get(said.removeprefix(b"ref:").strip(), said)
    if not _SHA.fullmatch(sha):
        raise CouldNotCheckError("The clone has no commit at its head: check a branch out.")
    return sha.decode()
