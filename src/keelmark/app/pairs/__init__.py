"""Prompts in pairs that differ in one attribute, and whether a served model treats them alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from keelmark.app.pairs.ask import Answer, Asking, Progress, ask_all
from keelmark.app.pairs.compare import MEASURES, Result, compare
from keelmark.app.pairs.plan import Pair, PairSet, load_pairs, pairs_of
from keelmark.app.pairs.report import Report, detailed, make_report, report_text

__all__ = [
    "MEASURES",
    "Answer",
    "Asking",
    "Pair",
    "PairSet",
    "Report",
    "Result",
    "ask_all",
    "compare",
    "detailed",
    "load_pairs",
    "pairs_of",
    "report_text",
    "run_pairs",
]


def run_pairs(
    read: PairSet,
    pairs: Sequence[Pair],
    asking: Asking,
    *,
    margin: float = 0.1,
    measures: Sequence[str] = MEASURES,
    progress: Progress | None = None,
) -> tuple[Report, dict[str, Answer]]:
    """Ask both sides of every pair and compare the answers.

    Args:
        read: The set that the pairs come from.
        pairs: The pairs.
        asking: Whom to ask, and how.
        margin: Difference in rate that matters, above 0 and below 1.
        measures: Which of MEASURES to look at.
        progress: Told how many prompts of how many are answered.

    Raises:
        UnavailableError: Nothing answers at the address.
        UsageError: The address, the key or the model is wrong.
    """
    prompts = [prompt for pair in pairs for prompt in (pair.a, pair.b)]
    model, answers = asyncio.run(ask_all(prompts, asking, progress or _silent))
    results = compare(read, pairs, answers, margin=margin, measures=measures)
    return make_report(read, asking, model, answers, results, margin), answers


def _silent(done: int, total: int) -> None:
    """Show no progress."""
