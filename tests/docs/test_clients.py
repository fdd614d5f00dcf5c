"""The table of clients is of the versions that are locked, and says what failed."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOUND = json.loads((ROOT / "tests" / "clients" / "results.json").read_text("utf-8"))["clients"]
LOCKS = "".join(
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("requirements-dev.lock", "requirements-clients.lock")
)
NPM = json.loads((ROOT / "tests" / "javascript" / "package-lock.json").read_text("utf-8"))
PACKAGES = {"llama-index": "llama-index-core", "openai (JavaScript)": "node_modules/openai"}
PACKAGES["@anthropic-ai/sdk"] = "node_modules/@anthropic-ai/sdk"


def _locked(package: str) -> set[str]:
    if package.startswith("node_modules/"):
        return {NPM["packages"][package]["version"]}
    return set(re.findall(rf"^{re.escape(package)}==(\S+)", LOCKS, re.MULTILINE))


@pytest.mark.parametrize("name", FOUND)
def test_versions_are_the_locked_ones(name):
    locked = _locked(PACKAGES.get(name, name))
    assert FOUND[name]["version"] in locked, "run `make clients`"


def test_every_client_and_every_attempt_is_in_the_table():
    run = (ROOT / "tests" / "clients" / "run.py").read_text(encoding="utf-8")
    assert set(FOUND) - {"schemathesis"} == set(
        re.findall(r'^    "([^"]+)": \[', run, re.MULTILINE)
    )
    page = (ROOT / "docs" / "reference" / "clients.md").read_text(encoding="utf-8")
    for name, one in FOUND.items():
        for word, why in one["results"].items():
            assert f"| **{word}**: " in page, f"{name}: {word}"
            assert why in page


def test_locks_name_no_host():
    assert "://" not in (ROOT / "requirements-clients.lock").read_text(encoding="utf-8")
    assert not [p for p in NPM["packages"].values() if "resolved" in p]
