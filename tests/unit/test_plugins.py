"""Extensions are found by their names, and imported when they are asked for."""

import subprocess
import sys

import pytest

from keelmark import plugins
from keelmark.core.errors import UsageError


def of(code: str) -> str:
    """What a process of its own prints: here everything is imported already."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_guard_imports_what_its_rules_use():
    said = of(
        "import sys\n"
        "from keelmark.guard import Guard\n"
        "Guard('default')\n"
        "folder = 'keelmark.guard.detectors.'\n"
        "print(*sorted(n[len(folder):] for n in sys.modules if n.startswith(folder)))\n"
        "print('numpy' in sys.modules)"
    )
    assert said == "invisible_text personal_data prompt_injection secrets\nFalse"


def test_names_are_known_without_them():
    found = plugins.discover("keelmark.guard.detectors", "Detector")
    assert list(found) == sorted(found)
    assert "secrets" in found
    assert len(found) == len(list(found)) > 10
    assert found["secrets"].title
    assert found.get("nothing") is None
    assert plugins.discover("keelmark.guard.detectors")["secrets"].Detector is found["secrets"]


def test_two_of_one_name_are_refused(tmp_path, monkeypatch):
    info = tmp_path / "acme-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    group = "keelmark.guard.detectors"
    (info / "entry_points.txt").write_text(f"[{group}]\nsecrets = acme\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._offered.cache_clear()
    try:
        with pytest.raises(UsageError, match=r"Two extensions are called 'secrets'.*acme"):
            plugins.discover(group)
    finally:
        plugins._offered.cache_clear()
