"""Programs in `tests/javascript`, which `make javascript` installs."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent / "javascript"


def need(package: str) -> Path:
    """Folder of an installed package; without it the test is left out, and fails in CI."""
    folder = FOLDER / "node_modules" / package
    if shutil.which("node") and folder.is_dir():
        return folder
    reason = f"{package} is not installed: `make javascript` does it, with Node 20 or newer"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def aimock(*arguments: object) -> Iterator[str]:
    """Run aimock; yields its address."""
    program = need("@copilotkit/aimock") / "dist" / "cli.js"
    command = ["node", program, "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
                line = process.stdout.readline()
                assert line, said
                said += line
            yield found.group()
        finally:
            process.kill()
