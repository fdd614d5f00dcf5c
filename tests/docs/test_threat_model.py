"""The threat model names tests that exist, and all of those that were written for it."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE))
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and "`tests/" in line
]


def _tests(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"^(?:async )?def (test_\w+)\(", text, re.MULTILINE))


def test_every_threat_has_an_answer_and_a_test():
    assert len(ROWS) > 30
    for threat, answer, tests in ROWS:
        assert threat, tests
        assert answer, threat
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), threat
    in_tables = [line for line in PAGE.splitlines() if line.startswith("| ") and "::" not in line]
    heads = [line for line in in_tables if re.match(r"\| (threat|who|a |an |hostile)", line)]
    assert heads == in_tables, "a row of a table of threats names no test"


def test_every_test_that_is_named_exists():
    for path, name in NAMED:
        assert name in _tests(ROOT / path), f"{path}::{name}"


def test_every_security_test_is_named():
    for path in (ROOT / "tests" / "unit" / "serve").glob("test_security_*.py"):
        place = str(path.relative_to(ROOT))
        missing = {name for name in _tests(path) if (place, name) not in NAMED}
        assert not missing, f"docs/threat-model.md does not name {missing}"
