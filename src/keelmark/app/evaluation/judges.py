"""The guard's detectors as judges of answers, and the sandbox as the judge of programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from keelmark.app.evaluation import sandbox
from keelmark.core.errors import UsageError
from keelmark.core.ports import Segment
from keelmark.core.yamlfile import meant
from keelmark.evaluate.contract import Judge
from keelmark.guard.contract import BaseDetector, Request
from keelmark.guard.engine import discovered
from keelmark.guard.normalise import fold

_NONE: Mapping[str, Any] = MappingProxyType({})


def judges(names: Iterable[str], *, run_code: bool = False) -> dict[str, Judge]:
    """Return detectors as judges, by their ids, and `sandbox`, which runs programs.

    Args:
        names: The ids.
        run_code: Whether the sandbox may run anything.

    Raises:
        UsageError: There is no such detector.
    """
    known = discovered()
    own = {sandbox.ID: sandbox.judge if run_code else sandbox.not_asked}
    return {name: own[name] if name in own else _judge(name, _named(name, known)) for name in names}


def _named(name: str, known: Mapping[str, type[BaseDetector]]) -> type[BaseDetector]:
    if name not in known:
        raise UsageError(f"There is no detector {name!r}; {meant(name, known)}")
    return known[name]


def _judge(name: str, kind: type[BaseDetector]) -> Judge:
    def judge(
        text: str, *, context: str = "", options: Mapping[str, Any] = _NONE
    ) -> list[dict[str, Any]]:
        try:
            detector = kind(msgspec.convert(dict(options), kind.Config))
        except msgspec.ValidationError as error:
            raise UsageError(f"Settings of the detector {name!r}: {error}.") from None
        segments = (Segment(role="system", path="context", text=context),) if context else ()
        detector = detector.for_stage("output").for_request(Request(segments)).for_text()
        hits = detector.find(text if kind.raw else fold(text))
        return [
            {"label": hit.label, "score": hit.score, "start": hit.start, "end": hit.end}
            for hit in hits
        ]

    return judge
