"""The detector of `first-detector.md`, installed by its entry point, does what is shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorials" / "first-detector.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TEXTS = {name: text for name, text in FENCE.findall(PAGE.read_text()) if name != "console"}


@pytest.fixture
def installed(tmp_path):
    """Lay the page's files out as an installation would; return how to run Python beside them."""
    ((group, entry),) = re.findall(
        r'^\[project\.entry-points\."(.*)"\]\n(.*)$', TEXTS["toml"], re.MULTILINE
    )
    info = tmp_path / "acme_detectors-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-detectors\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    (tmp_path / "employee_number.py").write_text(TEXTS["python"], encoding="utf-8")
    (tmp_path / "acme.yaml").write_text(TEXTS["yaml"], encoding="utf-8")

    def run(*words, **options):
        return subprocess.run(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    return run


def test_it_is_short():
    assert TEXTS["python"].count("\n") < 80


def test_it_passes_the_contract(installed):
    contract = "tests/contract/test_detectors.py"
    assert contract in PAGE.read_text()
    done = installed(
        "-m", "pytest", "-p", "no:cacheprovider", contract, "-k", "employee_number", cwd=ROOT
    )
    assert done.returncode == 0, done.stdout
    assert "no tests ran" not in done.stdout


def test_it_does_what_the_page_shows(installed, tmp_path):
    keelmark = Path(sys.executable).parent / "keelmark"
    checked = installed(keelmark, "policy", "check", "acme.yaml", cwd=tmp_path)
    said = "Ask E-204872-5, not E-204872-6.\n"
    guarded = installed(keelmark, "guard", "--policy", "acme.yaml", input=said, cwd=tmp_path)
    assert (checked.returncode, guarded.returncode) == (0, 1)
    first, _, last = TEXTS["text"].splitlines()
    assert first in checked.stderr
    assert guarded.stdout.splitlines() == [last]
