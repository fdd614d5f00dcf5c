"""The contract of every check, and the corpus: what is hostile fires, what is benign is silent."""

import datetime as dt
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.case import Case
from corpus.make import CASES, write
from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.policy import Admission
from keelmark.core.vetting import NotChecked, VetVerdict
from keelmark.vet import VetLimits, all_checks, all_rules
from keelmark.vet.examiner import Examiner
from keelmark.vet.judge import judge

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner(VetLimits(cpu_seconds=30, wall_seconds=60)) as one:
        yield one


def _examine(
    examiner: Examiner, case: Case, folder: Path
) -> tuple[list[ArtefactFinding], list[NotChecked]]:
    findings, not_checked = [], []
    write(case, folder)
    for name in case.files:
        fd = os.open(folder / name, os.O_RDONLY)
        try:
            result = examiner.examine(name, fd)
        finally:
            os.close(fd)
        findings += result.findings
        if result.unexamined:
            not_checked.append(NotChecked(path=name, reason="; ".join(result.unexamined)))
    return findings, not_checked


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_corpus_case(case: Case, examiner: Examiner, tmp_path: Path) -> None:
    findings, not_checked = _examine(examiner, case, tmp_path)
    verdict = judge(findings, not_checked, Admission(), dt.date(2026, 1, 1)).verdict
    assert verdict == case.verdict, (findings, not_checked)
    fired = {finding.rule for finding in findings}
    assert set(case.rules) <= fired
    if case.quiet:
        assert [f for f in findings if f.severity is not Severity.INFO] == []
        assert bool(not_checked) == (case.verdict == VetVerdict.INCOMPLETE)
    for finding in findings:
        assert finding.rule in all_rules()
        assert finding.path in case.files
        assert finding.location
        assert finding.message.isprintable()
        assert len(finding.message) <= 400


@pytest.mark.parametrize("name", sorted(CASES))
def test_hostile_cases_never_pass_unseen(name: str) -> None:
    case = CASES[name]
    if not case.quiet and case.verdict == VetVerdict.PASS:
        assert case.rules, "a case that passes must at least show a finding"
    if case.quiet:
        assert case.verdict != VetVerdict.FAIL


@pytest.mark.parametrize(("name", "check"), all_checks().items())
def test_check_keeps_the_contract(name: str, check: object) -> None:
    assert check.title
    assert check.version
    assert check.rules
    assert check.examples
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
    ids = [rule.id for check in all_checks().values() for rule in check.rules]
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
