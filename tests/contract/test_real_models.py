"""Models saved by the libraries that people save them with: vetting has nothing to say of them."""

import ast
import os
from pathlib import Path

import pytest

from keelmark.core.findings import Severity
from keelmark.vet import vet

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / ".real" / "models"


def _ways() -> list[str]:
    """Every function of the maker that saves something."""
    tree = ast.parse((ROOT / "tests" / "real_models" / "make.py").read_text(encoding="utf-8"))
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


@pytest.mark.parametrize("way", _ways())
def test_a_model_as_its_library_saves_it_passes_without_noise(way: str):
    folder = MODELS / way
    if not MODELS.exists() and not os.environ.get("CI"):
        pytest.skip("there are no models of other libraries here: run `make real-models`")
    report = vet(folder)
    assert report.coverage.files, "nothing was saved"
    assert report.verdict == "pass", report.reason
    assert [f for f in report.findings if f.severity.rank > Severity.INFO.rank] == []
    assert report.coverage.not_checked == ()
