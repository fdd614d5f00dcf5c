"""Vetting of artefacts: from files to findings, coverage and a verdict, bound to the digest."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from types import ModuleType

from keelmark.core.policy import Admission
from keelmark.core.vetting import VetReport
from keelmark.passport.files import Progress
from keelmark.vet.examiner import VetLimits
from keelmark.vet.registry import all_checks, all_rules, all_surveys
from keelmark.vet.run import Vetted, look, vetted
from keelmark.vet.survey import NOTHING, Asked

__all__ = [
    "NOTHING",
    "Admission",
    "Asked",
    "VetLimits",
    "VetReport",
    "Vetted",
    "all_checks",
    "all_rules",
    "all_surveys",
    "look",
    "vet",
    "vetted",
]


def vet(
    path: Path | str,
    *,
    admission: Admission | None = None,
    asked: Asked = NOTHING,
    progress: Progress | None = None,
    limits: VetLimits | None = None,
    today: dt.date | None = None,
) -> VetReport:
    """Examine a model with every check that applies, survey the whole, judge it under a policy.

    Nothing of it is executed, imported, rendered or unpacked to disk; everything is read in a
    process of its own with limits. The report says of every file whether it was fully examined.
    The same input gives the same report, byte for byte; only the section `fit` is about this
    machine.

    Args:
        path: File or folder.
        admission: Policy; the default one fails on high and critical findings.
        asked: What is to be answered beyond the artefact itself: a declared use, a parent.
        progress: Called with bytes done and bytes in total.
        limits: What may be used.
        today: The day on which waivers must still hold; today by default.

    Raises:
        UsageError: Missing, unreadable, a link, a special file.
        LimitError: Too many files, too deep.
        IntegrityError: It changed while it was read.
        UnavailableError: The worker process does not start.
    """
    return vetted(
        path, admission=admission, asked=asked, progress=progress, limits=limits, today=today
    ).report


class _Room(ModuleType):
    """Lets `from keelmark import vet; vet(path)` work although the room has the same name."""

    __call__ = staticmethod(vet)


sys.modules[__name__].__class__ = _Room
