"""What a regular expression finds in an answer.

`exact` is 1 where it is a right answer, `found` where it found anything: the share of answers that
keep to the form that was asked for. An answer without it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from keelmark.core.yamlfile import Strict
from keelmark.evaluate.contract import Judge, Reply, Sample, Scores, nothing_to_compare
from keelmark.evaluate.texts import View, right_ones, seen

_MOST = 20_000


class Options(Strict, frozen=True):
    """What suites may set.

    Attributes:
        pattern: Regular expression of Python. Its first group that took part counts, all of it
            where it has none. The first 20,000 characters of an answer are searched.
        take: Which place counts where it is found several times.
        cased: Whether case counts.
        view: What is compared: see `texts.View`.
    """

    pattern: str
    take: Literal["last", "first"] = "last"
    cased: bool = False
    view: View = "loose"

    def __post_init__(self) -> None:
        """Refuse what is no regular expression, where the suite is loaded."""
        try:
            _compiled(self.pattern, self.cased)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{self.pattern!r} is no regular expression ({error})") from None


def score(
    sample: Sample,
    replies: Sequence[Reply],
    options: Options,
    judges: Mapping[str, Judge],  # noqa: ARG001 (of the interface)
) -> tuple[Scores, str]:
    """Return the scores of one answer."""
    rights = right_ones(sample.target, options.view)
    if not rights:
        return nothing_to_compare(("exact", "found"))
    said = taken(replies[0].text, options)
    right = said is not None and seen(said, options.view) in rights
    return {"exact": float(right), "found": float(said is not None)}, said or ""


def taken(text: str, options: Options) -> str | None:
    """Return what the pattern finds; None for nothing."""
    found = list(_compiled(options.pattern, options.cased).finditer(text[:_MOST]))
    if not found:
        return None
    one = found[-1 if options.take == "last" else 0]
    return next((group for group in one.groups() if group is not None), one[0])


@cache
def _compiled(pattern: str, cased: bool) -> re.Pattern[str]:  # noqa: FBT001 (a key)
    return re.compile(pattern, re.NOFLAG if cased else re.IGNORECASE)
