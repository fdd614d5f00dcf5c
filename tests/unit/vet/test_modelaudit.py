"""What modelaudit says, as it prints it, becomes an opinion; whatever else it does is an error."""

import json
import stat
import sys
from pathlib import Path

import pytest

from keelmark.core.errors import CouldNotCheckError, UsageError
from keelmark.core.findings import Severity
from keelmark.vet import Asked, vet
from keelmark.vet.modelaudit import opinion


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.json").write_text("{}")
    return folder


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program of that name, which does what a test says."""
    tool = tmp_path / "bin" / "modelaudit"
    tool.parent.mkdir()
    tool.write_text(f"#!{sys.executable}\nimport json, os, socket, sys\n{body}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent))


def issue(severity: str, location: str) -> dict[str, object]:
    return {
        "message": "Found something",
        "severity": severity,
        "location": location,
        "details": {},
        "rule_code": "S201",
    }


def test_what_it_prints_is_read(model: Path, tmp_path: Path, monkeypatch) -> None:
    issues = [
        issue("critical", f"{model}/a.json (pos 22)"),
        issue("warning", f"{model}/b/m.zip:inner/x"),
        issue("info", ""),
    ]
    said = {"issues": issues, "scanner_version": "0.2.54", "success": True}
    install(tmp_path, monkeypatch, f"print('a line before'); print(json.dumps({said!r}))")
    found = opinion(model)
    assert (found.tool, found.version, found.complete) == ("modelaudit", "0.2.54", True)
    assert [(r.path, r.location, r.severity, r.code) for r in found.remarks] == [
        ("a.json", "pos 22", Severity.HIGH, "S201"),
        ("b/m.zip", "inner/x", Severity.MEDIUM, "S201"),
    ]
    report = vet(model, asked=Asked(opinions=(found,)))
    assert {f.rule for f in report.findings if f.severity.rank} == {"opinions.remark"}
    assert report.sections["opinions"].answer == "they disagree"


def test_it_runs_apart(model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("SECRET_OF_MINE", "1")
    body = "print(json.dumps({'issues': [], 'scanner_version': json.dumps(dict(os.environ))}))"
    install(tmp_path, monkeypatch, body)
    environment = json.loads(opinion(model).version)
    assert environment["PROMPTFOO_DISABLE_TELEMETRY"] == "1"
    assert "SECRET_OF_MINE" not in environment
    assert "HTTPS_PROXY" not in environment
    assert environment["HOME"] != str(Path.home())


@pytest.mark.parametrize(
    "body",
    [
        "sys.exit(2)",
        "print('no JSON')",
        "print('{}')",
        "print(json.dumps({'issues': 1}))",
        "print(json.dumps({'issues': [1]}))",
        "print('{' * 100000)",
        "os.kill(os.getpid(), 9)",
    ],
)
def test_anything_else_could_not_be_checked(
    body: str, model: Path, tmp_path: Path, monkeypatch
) -> None:
    install(tmp_path, monkeypatch, body)
    with pytest.raises(CouldNotCheckError, match="modelaudit"):
        opinion(model)


def test_one_that_saw_not_everything_leaves_it_incomplete(
    model: Path, tmp_path: Path, monkeypatch
) -> None:
    install(tmp_path, monkeypatch, "print(json.dumps({'issues': [], 'success': False}))")
    report = vet(model, asked=Asked(opinions=(opinion(model),)))
    assert report.verdict == "incomplete"
    assert "could not look at everything" in report.reason


def test_it_is_not_installed(model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"pip install"):
        opinion(model)
