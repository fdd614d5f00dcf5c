"""The number that an answer comes to.

`number` compares the number that stands where `take` says, whatever is around it; `marked` only
accepts one behind a mark that the question asked for (`#### 72`, `The answer is 72`). Both compare
values: 18 is 18.0 and 1,000 is 1000. lm-evaluation-harness' `flexible-extract` and `strict-match`
take the same numbers and compare them as text, so that 18.00 is wrong there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Literal

import msgspec

from keelmark.core.figures import Decimals, figure, figures
from keelmark.core.yamlfile import Strict
from keelmark.evaluate.contract import Judge, Reply, Sample, Scores
from keelmark.evaluate.texts import references

Share = Annotated[float, msgspec.Meta(ge=0)]


class Options(Strict, frozen=True):
    """What suites may set.

    Attributes:
        take: Which number of an answer counts; `only` accepts no answer with several.
        marks: What stands before the number that `marked` counts, without case. The last place
            where one of them stands before a number counts.
        decimals: What the answer writes before decimals.
        within: How far off a right answer may be.
        share: The same, as a share of the right answer.
    """

    take: Literal["last", "first", "only"] = "last"
    marks: tuple[str, ...] = ("####",)
    decimals: Decimals = "."
    within: Share = 0.0
    share: Share = 0.0


def score(
    sample: Sample,
    replies: Sequence[Reply],
    options: Options,
    judges: Mapping[str, Judge],  # noqa: ARG001 (of the interface)
) -> tuple[Scores, str]:
    """Return the scores of one answer; an answer without a number is a wrong one."""
    wanted = [figure(one) for one in references(sample.target)]
    rights = [one for one in wanted if one is not None]
    if not rights or len(rights) < len(wanted):
        return {"number": None, "marked": None}, f"{sample.target!r} is not one number."
    text = replies[0].text
    free, marked = taken(text, options), behind(text, options)
    return {
        "number": float(_near(free, rights, options)),
        "marked": float(_near(marked, rights, options)),
    }, "" if free is not None else "There is no number in the answer."


def taken(text: str, options: Options) -> Fraction | None:
    """Return the number of an answer, wherever it stands."""
    found = [one.value for one in figures(text, options.decimals)]
    if not found or (options.take == "only" and len(found) > 1):
        return None
    return found[-1] if options.take == "last" else found[0]


def behind(text: str, options: Options) -> Fraction | None:
    """Return the number that follows the last mark, with no more than signs between."""
    marks = "|".join(re.escape(one) for one in options.marks)
    if not marks:
        return None
    numbers = list(figures(text, options.decimals))
    for mark in reversed(list(re.finditer(marks, text, re.IGNORECASE))):
        gap = _GAP.match(text, mark.end())
        last = gap.end() if gap else mark.end()
        found = [one.value for one in numbers if mark.end() <= one.start <= last]
        if found:
            return found[0]
    return None


_GAP = re.compile(r"[\s:=*$€£¥(\\-]{0,16}")


def _near(value: Fraction | None, rights: Sequence[Fraction], options: Options) -> bool:
    if value is None:
        return False
    within, share = Fraction(options.within), Fraction(options.share)
    return any(abs(value - one) <= max(within, share * abs(one)) for one in rights)
