"""The contract of every check, and the corpus: what is hostile fires, what is benign is silent."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import floor
from corpus.case import Case
from corpus.examine import EXAMPLES as EXAMPLES_FILE
from corpus.examine import example, vetted
from corpus.make import CASES
from keelmark.core.findings import Severity
from keelmark.core.vetting import VetVerdict
from keelmark.vet import VetLimits, all_checks, all_rules, all_surveys
from keelmark.vet.contract import Check
from keelmark.vet.examiner import Examiner
from keelmark.vet.survey import Survey

EXAMPLES = json.loads(EXAMPLES_FILE.read_text(encoding="utf-8"))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner(VetLimits(cpu_seconds=30, wall_seconds=60)) as one:
        yield one


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_corpus_case(case: Case, examiner: Examiner, tmp_path: Path) -> None:
    report = vetted(case, examiner, tmp_path)
    assert report.verdict == case.verdict, (report.findings, report.reason)
    assert set(case.rules) <= {finding.rule for finding in report.findings}
    if case.quiet:
        assert [f for f in report.findings if f.severity is not Severity.INFO] == []
        incomplete = case.verdict == VetVerdict.INCOMPLETE
        assert incomplete or not report.coverage.not_checked
        assert not incomplete or report.coverage.not_checked or case.use
    for finding in report.findings:
        assert finding.rule in all_rules()
        assert finding.path in {*case.files, "."}
        assert finding.location
        assert finding.message.isprintable()
        assert len(finding.message) <= 400
    for name, section in report.sections.items():
        assert name in all_surveys()
        assert section.summary.endswith(".")
        assert all(line.answer for line in section.lines)
    shown = {(f.rule, example(f)) for f in report.findings}
    for rule, told in EXAMPLES.items():
        assert told["case"] != case.id or (rule, told["says"]) in shown, "run corpus/examine.py"
    fired = {f.rule for f in report.findings if f.severity is not Severity.INFO}
    assert not floor.worse(case, floor.Answer(report.verdict, len(fired)))


@pytest.mark.parametrize("name", sorted(CASES))
def test_hostile_cases_never_pass_unseen(name: str) -> None:
    case = CASES[name]
    if not case.quiet and case.verdict == VetVerdict.PASS:
        assert case.rules, "a case that passes must at least show a finding"
    if case.quiet:
        assert case.verdict != VetVerdict.FAIL


@pytest.mark.parametrize(("name", "check"), [*all_checks().items(), *all_surveys().items()])
def test_check_keeps_the_contract(name: str, check: Check | Survey) -> None:
    assert check.title
    assert check.version
    assert isinstance(check, Survey) or check.rules
    assert bool(check.examples) == bool(check.rules)
    assert any(tag.startswith("owasp:llm") for tag in check.tags)
    for tag in check.tags:
        assert re.fullmatch(r"(owasp:llm\d\d|cve:CVE-\d{4}-\d{4,}|cwe:CWE-\d+)", tag)
    for rule in check.rules:
        assert re.fullmatch(name + r"\.[a-z][a-z_]*", rule.id)
        assert rule.title
        assert rule.why.endswith(".")
        assert rule.mend.endswith(".")
    for name_of_case in check.examples:
        assert name_of_case in CASES


def test_every_rule_has_a_case_that_fires_it() -> None:
    fired = {rule for case in CASES.values() for rule in case.rules}
    missing = set(all_rules()) - fired
    assert missing == set()


def test_every_rule_has_an_example() -> None:
    assert set(EXAMPLES) == set(all_rules()), "run corpus/examine.py"


def test_every_rule_id_belongs_to_one_check() -> None:
    everyone = [*all_checks().values(), *all_surveys().values()]
    ids = [rule.id for one in everyone for rule in one.rules]
    assert len(ids) == len(set(ids))


def test_generator_is_deterministic(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "corpus" / "make.py", tmp_path],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    for case in CASES.values():
        for name, data in case.files.items():
            assert (tmp_path / case.id / name).read_bytes() == data
