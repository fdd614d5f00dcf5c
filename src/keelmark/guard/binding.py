"""Detectors that know the request whose answer they read."""

from __future__ import annotations

from collections.abc import Iterable

from keelmark.guard.contract import BaseDetector, Hit, Request
from keelmark.guard.run import Probe
from keelmark.guard.vault import Vault


def bound(plan: tuple[Probe, ...], request: Request, *, answer: bool = True) -> tuple[Probe, ...]:
    """Return the probes for the answers to a request.

    Args:
        plan: The probes.
        request: The request.
        answer: Whether they read what is said to the user, not a thought or a call of a tool.
    """
    if not answer and any(probe.detector.answers for probe in plan):
        kept = [probe for probe in plan if not probe.detector.answers]
        plan = tuple(probe._replace(number=number) for number, probe in enumerate(kept))
    return tuple(
        probe
        if type(probe.detector).for_request is BaseDetector.for_request
        else probe._replace(detector=_bound(probe.detector, request))
        for probe in plan
    )


def letting_pass(vault: Vault, plan: tuple[Probe, ...]) -> tuple[Probe, ...]:
    """Return the plan for an answer in which surrogates of the request may stand."""
    if not vault.surrogates:
        return plan
    return tuple(probe._replace(excuses=(*probe.excuses, vault)) for probe in plan)


def _bound(detector: BaseDetector, request: Request) -> BaseDetector:
    try:
        return detector.for_request(request)
    except Exception as error:  # boundary: its failure is a verdict on the answer, not a crash
        return _Unbound(error)


class _Unbound(BaseDetector):
    """Stands for a detector that could make nothing of the request: it examines no text."""

    title = "A detector that failed"
    version = ""
    labels = ()
    examples = ()

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:  # noqa: ARG002
        raise self._error

    def open_from(self, text: str, start: int = 0) -> int:  # noqa: ARG002
        raise self._error
