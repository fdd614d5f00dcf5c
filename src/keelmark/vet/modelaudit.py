"""modelaudit as a second opinion: another tool, in a process of its own, asked on purpose.

It is never part of Keelmark: 82 packages, and telemetry that is on unless it is told otherwise.
Here it runs without telemetry, without its list of trusted publishers, without a cache, with an
empty home, limited memory and time, and, where the kernel allows it, without a network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from keelmark.core.errors import CouldNotCheckError, UsageError
from keelmark.core.findings import Severity
from keelmark.passport.files import printable
from keelmark.vet.survey import Opinion, Remark

_SECONDS = 900
_MEMORY = 8 << 30
_LONGEST = 64 << 20
_LEVELS = {"critical": Severity.HIGH, "warning": Severity.MEDIUM}
_ENVIRONMENT = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LC_ALL": "C.UTF-8",
}


def opinion(path: Path) -> Opinion:
    """Ask modelaudit about a model.

    Raises:
        UsageError: It is not installed.
        CouldNotCheckError: It failed, took too long, or said something that cannot be read.
    """
    tool = _tool()
    with tempfile.TemporaryDirectory(prefix="keelmark-") as home:
        apart = [sys.executable, "-I", "-m", "keelmark.vet.apart", str(_MEMORY)]
        scan = ["scan", str(path.absolute()), "--no-whitelist", "--no-cache", "-f", "json"]
        try:
            done = subprocess.run(  # noqa: S603 (no shell; the path is one argument)
                [*apart, tool, *scan],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
                cwd=home,
                env={**_ENVIRONMENT, "HOME": home, "PATH": os.defpath},
            )
        except subprocess.TimeoutExpired:
            raise CouldNotCheckError(
                f"modelaudit took more than {_SECONDS} seconds over {printable(path)}: leave out "
                "--also modelaudit, or give it less."
            ) from None
        except OSError as error:
            raise CouldNotCheckError(f"modelaudit does not start ({error.strerror}).") from None
    return _read(done.stdout, path)


def _tool() -> str:
    beside = Path(sys.executable).with_name("modelaudit")
    tool = str(beside) if beside.exists() else shutil.which("modelaudit")
    if tool is None:
        raise UsageError(
            'modelaudit is not installed: run `pip install "keelmark[modelaudit]"`, or leave out '
            "--also modelaudit."
        )
    return tool


def _read(said: bytes, path: Path) -> Opinion:
    """Read what it printed: JSON, perhaps with lines before it."""
    begin = said.find(b"{")
    try:
        plain = json.loads(said[begin:] if begin >= 0 and len(said) <= _LONGEST else b"")
        issues = plain["issues"]
        version = str(plain.get("scanner_version") or plain.get("version") or "")
        remarks = [_remark(issue, path) for issue in issues]
        success = plain.get("success", True) is not False and not plain.get("has_errors")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CouldNotCheckError(
            f"modelaudit could not say anything of {printable(path)}: run `modelaudit scan` on it "
            "to see why, or leave out --also modelaudit."
        ) from None
    return Opinion("modelaudit", version, tuple(r for r in remarks if r), complete=success)


def _remark(issue: dict[str, Any], path: Path) -> Remark | None:
    severity = _LEVELS.get(str(issue["severity"]).lower())
    if severity is None:
        return None
    place = str(issue.get("location") or "")
    root = str(path.absolute())
    inside = place.removeprefix(root).lstrip("/") if place.startswith(root) else place
    file, _, where = inside.partition(":")
    file, _, position = file.partition(" (")
    return Remark(
        path=(file or path.name) if path.is_dir() else path.name,
        location=where or position.rstrip(")") or "file",
        severity=severity,
        code=str(issue.get("rule_code") or issue.get("type") or "issue"),
        message=str(issue["message"]),
    )
