"""From findings and coverage to the verdict. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keelmark.core.findings import ArtefactFinding
from keelmark.core.policy import Admission, Waiver
from keelmark.core.vetting import NotChecked, Section, VetVerdict


class Judgement(NamedTuple):
    """The verdict and one sentence why."""

    verdict: VetVerdict
    reason: str


def judge(
    findings: Sequence[ArtefactFinding],
    not_checked: Sequence[NotChecked],
    admission: Admission,
    today: dt.date,
    sections: Mapping[str, Section] | None = None,
) -> Judgement:
    """Judge an artefact.

    Args:
        findings: Everything that was found.
        not_checked: Every file that was not fully examined.
        admission: The policy.
        today: The day on which waivers must still hold.
        sections: What surveys say; one that was asked for must have an answer.
    """
    grave = [f for f in findings if f.severity.rank >= admission.fail_on.rank]
    counting = [f for f in grave if not any(_waives(w, f, today) for w in admission.waivers)]
    waived = len(grave) - len(counting)
    note = f" ({_count(waived, 'finding')} waived)" if waived else ""
    if counting:
        worst = max(counting, key=lambda f: f.severity.rank)
        expired = [
            w
            for w in admission.waivers
            if any(_matches(w, f) for f in counting) and _is_over(w, today)
        ]
        late = f"; the waiver of {expired[0].rule} ended on {expired[0].expires}" if expired else ""
        return Judgement(
            VetVerdict.FAIL,
            f"{_count(len(counting), 'finding')} of severity {admission.fail_on.value} or above, "
            f"the gravest {worst.rule} in {worst.subject}{late}{note}.",
        )
    if not_checked:
        first = not_checked[0]
        what = f"{_count(len(not_checked), 'file')} could not be fully checked, first {first.path}"
        if admission.allow_incomplete:
            return Judgement(VetVerdict.PASS, f"{what}; the policy allows that{note}.")
        return Judgement(VetVerdict.INCOMPLETE, f"{what}: {first.reason}{note}.")
    for section in (sections or {}).values():
        if section.required and section.unanswered and not admission.allow_incomplete:
            what = f"{section.title}: {section.unanswered[0].rstrip('.')}"
            return Judgement(VetVerdict.INCOMPLETE, f"{what}{note}.")
    nothing = f"no finding of severity {admission.fail_on.value} or above"
    return Judgement(VetVerdict.PASS, f"Every file was fully checked, {nothing}{note}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _matches(waiver: Waiver, finding: ArtefactFinding) -> bool:
    return waiver.rule == finding.rule and waiver.path in {"*", finding.path}


def _is_over(waiver: Waiver, today: dt.date) -> bool:
    try:
        return dt.date.fromisoformat(waiver.expires) < today
    except ValueError:  # 2026-02-30 fits the pattern but is no day
        return True


def _waives(waiver: Waiver, finding: ArtefactFinding, today: dt.date) -> bool:
    return _matches(waiver, finding) and not _is_over(waiver, today)
