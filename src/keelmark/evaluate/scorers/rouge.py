"""ROUGE (Lin 2004): what an answer shares with the right one.

`rouge1` and `rouge2` count shared words and pairs of words, `rouge_l` the longest shared sequence;
each as F1, the best of several right answers.

The same as the package rouge-score without its stemmer, on texts in plain English; words of other
scripts count here and are passed over there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keelmark.evaluate.contract import Judge, Reply, Sample, Scores, nothing_to_compare
from keelmark.evaluate.texts import ROUGE, references, rouge


def score(
    sample: Sample,
    replies: Sequence[Reply],
    options: None,  # noqa: ARG001 (of the interface)
    judges: Mapping[str, Judge],  # noqa: ARG001 (of the interface)
) -> tuple[Scores, str]:
    """Return the scores of one answer; no answer shares nothing."""
    wanted = [one for one in references(sample.target) if one.strip()]
    if not wanted:
        return nothing_to_compare(ROUGE)
    each = [rouge(replies[0].text, one) for one in wanted]
    return {name: max(one[name] for one in each) for name in ROUGE}, ""
