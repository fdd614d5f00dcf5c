"""A second opinion on pickle streams, by fickling; evidence only, it decides nothing.

fickling decompiles a stream to Python and looks at that. It has been led astray before (calls whose
result is popped, names with dots, frames that end elsewhere), and it doubts what is harmless, so
its word is reported beside ours and never in its place.
"""

from __future__ import annotations

from importlib.metadata import version

from keelmark.core.findings import Severity
from keelmark.core.lazily import Lazy
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.sniff import looks_like_pickle

_analysis = Lazy("fickling.analysis")
_fickle = Lazy("fickling.fickle")

_MAX = 128 * 1024
_TAGS = ("owasp:llm03", "cwe:CWE-502")

AGREES = Rule(
    "pickle_fickling.agrees",
    "fickling warns as well",
    Severity.INFO,
    "A second engine, made by others, comes to the same answer.",
    "Read the finding of the pickle check.",
    _TAGS,
)
DIFFERS = Rule(
    "pickle_fickling.differs",
    "fickling says otherwise",
    Severity.INFO,
    "Two engines that differ are a reason to look; the graver answer of the pickle check counts.",
    "Compare the two and read the named parts of the stream.",
    _TAGS,
)


def _opinion(file: File) -> tuple[int, str]:
    """Return what the pickle check has left: the rank of its gravest finding, and what it lacks."""
    left = file.facts.get("pickle_opinion")
    return (int(left[0]), str(left[1])) if isinstance(left, tuple) else (0, "it did not end")


def _run(file: File) -> Result:
    worst, unexamined = _opinion(file)
    if file.size > _MAX:
        return Result()
    try:
        report = _analysis.check_safety(_fickle.Pickled.load(file.all()))
    except Exception as error:  # boundary: fickling raises whatever the stream makes it raise
        if worst >= Severity.HIGH.rank:
            message = f"fickling cannot read the stream ({type(error).__name__})."
            return Result((DIFFERS.at(file, "stream", message),))
        return Result()
    rank, scale = report.severity.value[0], _analysis.Severity
    doubts = rank >= scale.SUSPICIOUS.value[0]
    said = report.severity.name.lower().replace("_", " ")
    ours = worst >= Severity.HIGH.rank
    if doubts and ours:
        finding = AGREES.at(file, "stream", f"fickling: {said}.", evidence=report.to_string())
    elif doubts and rank >= scale.LIKELY_OVERTLY_MALICIOUS.value[0]:
        told = (
            f"is not told by us either: {unexamined}" if unexamined else "is known to be harmless"
        )
        message = f"fickling doubts it ({said}); what it builds {told}."
        finding = DIFFERS.at(file, "stream", message, evidence=report.to_string())
    elif ours and not doubts:
        finding = DIFFERS.at(file, "stream", f"fickling sees nothing wrong ({said}).")
    else:
        return Result()
    return Result((finding,))


CHECK = Check(
    title="Second opinion on pickle streams",
    version=f"1 (fickling {version('fickling')})",
    tags=_TAGS,
    rules=(AGREES, DIFFERS),
    examples=("pickle-os-system-proto2", "pickle-second-stream"),
    claims=lambda file: not file.raw and looks_like_pickle(file),
    run=_run,
)
