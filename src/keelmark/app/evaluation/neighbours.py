"""Red-team tools of others, pointed at a running service: garak and PyRIT."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from keelmark.app.evaluation.run import OWNER_ONLY
from keelmark.app.evaluation.targets import Wanted
from keelmark.app.home import Home
from keelmark.core import events
from keelmark.core.errors import UnavailableError, UsageError
from keelmark.evaluate.client import base_url
from keelmark.evaluate.foreign import Foreign, by_entry

_NO_KEY = "none"
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool is run.

    Attributes:
        program: Its program, by name or path.
        what: What it is to try, in its words: garak's `--spec`, a scenario of PyRIT.
        folder: Where it may write.
        more: Other arguments for it.
    """

    program: str
    what: str
    folder: Path
    more: tuple[str, ...] = ()


def run_garak(tool: Tool, wanted: Wanted) -> Path:
    """Let garak attack a service; return its report. What it says goes to our stderr.

    Raises:
        UsageError: There is no such program, or nothing can be written.
        UnavailableError: It ended without a report.
    """
    program = _found(tool.program, "garak")
    settings = {"uri": f"{base_url(wanted.url)}/", "stop": [], "max_tokens": 150}
    options = tool.folder / "garak-options.json"
    prefix = tool.folder / "garak"
    report = tool.folder / "garak.report.jsonl"
    _prepare(tool.folder, options, json.dumps({"openai": {"OpenAICompatible": settings}}), report)
    names = {"DATA": "share", "CONFIG": "config", "CACHE": "cache"}
    homes = {f"XDG_{name}_HOME": str(tool.folder / part) for name, part in names.items()}
    command = [
        *(program, "--target_type", "openai.OpenAICompatible", "--target_name", wanted.model),
        *("--generator_option_file", str(options), "--report_prefix", str(prefix)),
        *("--spec", tool.what, *tool.more),
    ]
    _run("garak", command, {**homes, "OPENAICOMPATIBLE_API_KEY": wanted.key or _NO_KEY}, report)
    return report


def run_pyrit(tool: Tool, wanted: Wanted) -> Path:
    """Let a Python script that uses PyRIT attack a service; return the memory that it leaves.

    The script finds the service in PyRIT's own variables (`OPENAI_CHAT_ENDPOINT`, `_KEY` and
    `_MODEL`) and the place of its memory in `KEELMARK_PYRIT_MEMORY`.

    Raises:
        UsageError: There is no such program or script, or nothing can be written.
        UnavailableError: It ended without results.
    """
    program = _found(tool.program, "PyRIT")
    memory = tool.folder / "pyrit.db"
    if not Path(tool.what).is_file():
        raise UsageError(f"There is no script {tool.what}: see docs/how-to/red-team.md for one.")
    _prepare(tool.folder, None, "", memory)
    told = {
        "OPENAI_CHAT_ENDPOINT": base_url(wanted.url),
        "OPENAI_CHAT_KEY": wanted.key or _NO_KEY,
        "OPENAI_CHAT_MODEL": wanted.model,
        "KEELMARK_PYRIT_MEMORY": str(memory),
    }
    _run("PyRIT", [program, tool.what, *tool.more], told, memory)
    return memory


def _found(program: str, name: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise UsageError(
            f"There is no program {program!r}: install {name} into an environment of its own "
            f"(python -m venv {name.lower()}-env; {name.lower()}-env/bin/pip install "
            f"{name.lower()}), and name it with --program."
        )
    return path


def _prepare(folder: Path, options: Path | None, text: str, old: Path) -> None:
    try:
        folder.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        old.unlink(missing_ok=True)
        if options:
            options.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}); choose another place with --out."
        ) from None


def _run(name: str, command: list[str], told: Mapping[str, str], result: Path) -> None:
    """Run a tool; it finds no hub, as nothing here phones home unless somebody has said so."""
    try:
        done = subprocess.run(  # noqa: S603 (a program that the user has named)
            command, env={**_OFFLINE, **os.environ, **told}, stdout=2, check=False
        )
    except OSError as error:
        raise UsageError(f"{command[0]} cannot be run ({error.strerror}).") from None
    if not result.is_file():
        raise UnavailableError(
            f"{name} ended with {done.returncode} and left no results: what it said stands above."
        )


def record_foreign(home: Home, made: Foreign) -> int:
    """Write what another tool found into the ledger; return the index of the record.

    Raises:
        UnavailableError: The database does not answer.
    """
    hits, n, unjudged = (sum(getattr(one, key) for one in made.found) for key in _COUNTS)
    entries = {name or "none": dict(zip(_COUNTS, one, strict=True)) for name, one in _rows(made)}
    body = {
        "run": f"{made.tool.lower()}-{made.sha256[:12]}",
        "suite": made.tool.lower(),
        "version": made.version,
        "data": made.sha256,
        "how": "url",
        "model": made.target,
        "model_digest": "",
        "policy_digest": "",
        "state": "complete" if made.complete else "incomplete",
        "primary": "attack_success",
        "metrics": {"attack_success": {"value": hits / n if n else None, "n": n}},
        "counts": {"hits": hits, "judged": n, "unjudged": unjudged},
        "owasp_2025": entries,
    }
    return home.store.append(events.EVALUATION_FINISHED, body)


_COUNTS = ("hits", "n", "unjudged")


def _rows(made: Foreign) -> list[tuple[str, tuple[int, int, int]]]:
    return list(by_entry(made).items())
