"""The answer, word for word.

`exact` is 1 where it is one of the right ones, `contains` where one of them is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from keelmark.core.yamlfile import Strict
from keelmark.evaluate.contract import Judge, Reply, Sample, Scores, nothing_to_compare
from keelmark.evaluate.texts import View, references, right_ones, seen, words

_NAMES = ("exact", "contains")


class Options(Strict, frozen=True):
    """What suites may set.

    Attributes:
        part: Which part of the answer counts. `line` is its first line that is not empty.
        view: What is compared: see `texts.View`.
    """

    part: Literal["all", "line", "last_line"] = "all"
    view: View = "text"


def score(
    sample: Sample,
    replies: Sequence[Reply],
    options: Options,
    judges: Mapping[str, Judge],  # noqa: ARG001 (of the interface)
) -> tuple[Scores, str]:
    """Return the scores of one answer; no answer is a wrong one."""
    rights = right_ones(sample.target, options.view)
    if not rights:
        return nothing_to_compare(_NAMES)
    said = seen(part(replies[0].text, options.part), options.view)
    answer = words(replies[0].text)
    inside = any(_within(words(one), answer) for one in references(sample.target))
    return {"exact": float(said in rights), "contains": float(inside)}, ""


def part(text: str, which: str) -> str:
    """Return the part of an answer that counts."""
    if which == "all":
        return text
    lines = [one for one in text.splitlines() if one.strip()]
    return lines[-1 if which == "last_line" else 0] if lines else ""


def _within(wanted: Sequence[str], answer: Sequence[str]) -> bool:
    """Whether all of `wanted` stands in the answer in a row."""
    size = len(wanted)
    if not size:
        return False
    starts = (at for at, word in enumerate(answer) if word == wanted[0])
    return any(answer[at : at + size] == wanted for at in starts)
