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


GROUP = "keelmark.guard.detectors"


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Lay out a distribution that offers entry points, as an installation would."""

    def lay_out(entries: str, code: str = "") -> None:
        info = tmp_path / "acme-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
        (tmp_path / "acme_broken.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        plugins._offered.cache_clear()

    yield lay_out
    sys.modules.pop("acme_broken", None)
    plugins._offered.cache_clear()


def test_two_of_one_name_are_refused(offered):
    offered("secrets = acme")
    with pytest.raises(UsageError, match=r"Two extensions are called 'secrets'.*acme"):
        plugins.discover(GROUP)


@pytest.mark.parametrize("code", ["{}['x']", "import nothing_of_this_name", "x = 1", "1 / 0"])
def test_one_that_does_not_load_is_said_so_and_not_that_there_is_none(offered, code):
    offered("broken = acme_broken", code)
    found = plugins.discover(GROUP, "Detector")
    assert "broken" in found
    assert found["secrets"].title, "the others are as they were"
    with pytest.raises(UsageError, match=r"'broken' does not load .* in acme_broken\): mend"):
        found.get("broken")
