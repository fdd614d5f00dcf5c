import json

import pytest

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Coverage, NotChecked, VetReport, VetVerdict
from keelmark.vet import all_rules
from keelmark.vet.render import to_json, to_sarif, to_text

FINDING = ArtefactFinding(
    rule="pickle.dangerous_call",
    severity=Severity.CRITICAL,
    path="sub dir/m.pkl",
    location="offset 42",
    message="Found REDUCE opcode invoking dangerous global: os.system.",
    evidence="os.system",
)
MINOR = ArtefactFinding(
    rule="remote_code.python_file",
    severity=Severity.MEDIUM,
    path="x.py",
    location="line 3",
    message="Python stands beside the weights.",
)


def _report(verdict: VetVerdict, *findings: ArtefactFinding, missing: bool = False) -> VetReport:
    gaps = (NotChecked(path="b.bin", reason="no check knows this format"),) if missing else ()
    return VetReport(
        digest="sha256:" + "a" * 64,
        name="m\x1b[2J",
        verdict=verdict,
        findings=findings,
        coverage=Coverage(files=2, checked=2 - len(gaps), not_checked=gaps),
        checks={"pickle": "1"},
        policy_digest="sha256:" + "b" * 64,
        reason="A reason.",
    )


@pytest.mark.parametrize(
    ("verdict", "answer", "advice"),
    [
        (VetVerdict.PASS, "PASS", "keelmark admit"),
        (VetVerdict.FAIL, "FAIL", "Do not load this file"),
        (VetVerdict.INCOMPLETE, "COULD NOT CHECK", "Do not serve it yet"),
    ],
)
def test_first_line_answers_second_says_what_to_do(
    verdict: VetVerdict, answer: str, advice: str
) -> None:
    lines = to_text(_report(verdict, MINOR, FINDING, missing=True)).splitlines()
    assert lines[0].startswith(answer)
    assert advice in lines[1]
    text = "\n".join(lines)
    assert text.index("CRITICAL") < text.index("MEDIUM")
    assert "b.bin: no check knows this format" in text


def test_colour_only_on_demand_and_nothing_untrusted_reaches_the_terminal() -> None:
    report = _report(VetVerdict.FAIL, FINDING)
    assert "\x1b" not in to_text(report)
    assert "\x1b[31" in to_text(report, color=True) or "\x1b[1;31" in to_text(report, color=True)
    assert "\x1b[2J" not in to_text(report, color=True)


def test_json_has_the_shape_for_scripts() -> None:
    value = json.loads(to_json(_report(VetVerdict.FAIL, FINDING, missing=True)))
    assert list(value)[:4] == ["digest", "verdict", "findings", "coverage"]
    assert value["verdict"] == "fail"
    assert {"rule", "severity", "path", "location", "message"} <= value["findings"][0].keys()
    assert value["coverage"] == {
        "files": 2,
        "checked": 1,
        "not_checked": [{"path": "b.bin", "reason": "no check knows this format"}],
    }


def test_sarif_structure() -> None:
    log = json.loads(to_sarif(_report(VetVerdict.FAIL, FINDING, MINOR, missing=True)))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert {rule["id"] for rule in rules} == set(all_rules())
    for rule in rules:
        assert rule["shortDescription"]["text"]
        assert rule["fullDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}
    first, second = run["results"]
    assert rules[first["ruleIndex"]]["id"] == first["ruleId"] == FINDING.rule
    assert first["level"] == "error"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "sub%20dir/m.pkl"
    assert place["region"] == {"byteOffset": 42}
    assert second["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    (notice,) = invocation["toolExecutionNotifications"]
    assert "no check knows this format" in notice["message"]["text"]


def test_sarif_of_a_clean_model_is_successful() -> None:
    log = json.loads(to_sarif(_report(VetVerdict.PASS)))
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is True
