"""The contract of every check, and the corpus: what is hostile fires, what is benign is silent."""

import datetime as dt
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus import floor
from corpus.case import Case
from corpus.make import CASES, write, write_advisories, write_parent, write_stack
from keelmark.core.findings import Severity
from keelmark.core.policy import Admission
from keelmark.core.vetting import VetVerdict
from keelmark.vet import Asked, VetLimits, all_checks, all_rules, all_surveys, look
from keelmark.vet.contract import Check
from keelmark.vet.examiner import Examiner
from keelmark.vet.machine import Machine
from keelmark.vet.run import examine_and_judge
from keelmark.vet.survey import Opinion, Remark, Survey

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner(VetLimits(cpu_seconds=30, wall_seconds=60)) as one:
        yield one


def _opinions(case: Case) -> tuple[Opinion, ...]:
    remarks = (
        Remark(path, "file", Severity(severity), code, message)
        for path, severity, code, message in case.remarks
    )
    return (Opinion("another", "1", tuple(remarks), complete=True),) if case.remarks else ()


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_corpus_case(case: Case, examiner: Examiner, tmp_path: Path) -> None:
    parent = write_parent(case, tmp_path / "parent")
    report = examine_and_judge(
        write(case, tmp_path / "model"),
        admission=Admission(),
        asked=Asked(
            use=case.use,
            parent=look(parent) if parent else None,
            stack=write_stack(case, tmp_path / "requirements.txt"),
            advisories=write_advisories(case, tmp_path / "advisories"),
            opinions=_opinions(case),
        ),
        machine=Machine(memory=16 * 2**30),
        examiner=examiner,
        today=dt.date(2026, 1, 1),
    ).report
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
    for example in check.examples:
        assert example in CASES


def test_every_rule_has_a_case_that_fires_it() -> None:
    fired = {rule for case in CASES.values() for rule in case.rules}
    missing = set(all_rules()) - fired
    assert missing == set()


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
