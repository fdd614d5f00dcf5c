"""A case of the corpus through the whole vetting, and what every rule looks like there.

`python corpus/examine.py` writes `vet/tables/examples.json`, from which `vet --explain` shows what
a rule looks like: the first finding of the first case that names it.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

from corpus.case import Case  # noqa: E402
from corpus.make import (  # noqa: E402
    CASES,
    write,
    write_advisories,
    write_parent,
    write_stack,
)
from keelmark.core.findings import ArtefactFinding, Severity  # noqa: E402
from keelmark.core.policy import Admission  # noqa: E402
from keelmark.core.vetting import VetReport  # noqa: E402
from keelmark.vet import Asked, VetLimits, look  # noqa: E402
from keelmark.vet.examiner import Examiner  # noqa: E402
from keelmark.vet.machine import Machine  # noqa: E402
from keelmark.vet.run import examine_and_judge  # noqa: E402
from keelmark.vet.survey import Opinion, Remark  # noqa: E402

EXAMPLES = _ROOT / "src" / "keelmark" / "vet" / "tables" / "examples.json"


def vetted(case: Case, examiner: Examiner, folder: Path) -> VetReport:
    """Vet a case, written into an empty folder, on a machine and a day that are always the same."""
    parent = write_parent(case, folder / "parent")
    return examine_and_judge(
        write(case, folder / "model"),
        admission=Admission(),
        asked=Asked(
            use=case.use,
            parent=look(parent) if parent else None,
            stack=write_stack(case, folder / "requirements.txt"),
            advisories=write_advisories(case, folder / "advisories"),
            opinions=_opinions(case),
        ),
        machine=Machine(memory=16 * 2**30),
        examiner=examiner,
        today=dt.date(2026, 1, 1),
    ).report


def _opinions(case: Case) -> tuple[Opinion, ...]:
    remarks = (
        Remark(path, "file", Severity(severity), code, message)
        for path, severity, code, message in case.remarks
    )
    return (Opinion("another", "1", tuple(remarks), complete=True),) if case.remarks else ()


def example(finding: ArtefactFinding) -> str:
    """What a finding looks like, in one line."""
    saw = f" Saw: {finding.evidence}" if finding.evidence else ""
    return f"{finding.path}: {finding.location}: {finding.message}{saw}"


def main() -> None:
    found: dict[str, dict[str, str]] = {}
    with Examiner(VetLimits()) as examiner:
        for case in CASES.values():
            if not set(case.rules) - found.keys():
                continue
            with tempfile.TemporaryDirectory() as folder:
                report = vetted(case, examiner, Path(folder))
            for finding in report.findings:
                if finding.rule in case.rules:
                    found.setdefault(finding.rule, {"case": case.id, "says": example(finding)})
    text = json.dumps(dict(sorted(found.items())), indent=1, ensure_ascii=False)
    EXAMPLES.write_text(text + "\n", encoding="utf-8")
    print(f"{len(found)} rules have an example")


if __name__ == "__main__":
    main()
