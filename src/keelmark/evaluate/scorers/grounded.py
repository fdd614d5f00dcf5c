"""Answers that have to rest on given texts, and to abstain where these do not hold the answer.

`f1` and `rouge_l` compare with the right answer; where there is none (its field is empty), an
answer that abstains has 1 and every other 0, as in SQuAD 2.0. `decision` is whether the model
answered where it could and abstained where it should. `supported` is the share of what answers say
(words of four letters and more, names, numbers) that stands in the given texts: a sign, not proof.
It sees made-up names and numbers and is blind to `not`. `invented` is 1 where a number of
the answer is in none of them. Both are only told of answers that do not abstain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from keelmark.core.figures import figures
from keelmark.core.yamlfile import Strict
from keelmark.evaluate.abstaining import JUDGE, abstains
from keelmark.evaluate.contract import Judge, Reply, Sample, Scores
from keelmark.evaluate.texts import bag, leaves, plain, references, rouge_l, words

JUDGES = (JUDGE,)
_NAME = re.compile(r"(?<![.!?]\s)(?<!\A)\b[A-Z][^\W\d_]*")
_SHORT, _STEM = 4, 5


class Options(Strict, frozen=True):
    """What suites may set.

    Attributes:
        context: Field with the given texts: a text, or lists and objects of texts. "" when there
            are none (the model answers from memory): nothing is said of support then.
        question: Field with the question, whose words an answer may repeat.
    """

    context: str = "passages"
    question: str = "question"


def score(
    sample: Sample, replies: Sequence[Reply], options: Options, judges: Mapping[str, Judge]
) -> tuple[Scores, str]:
    """Return the scores of one answer."""
    reply = replies[0]
    wanted = [one for one in references(sample.target) if one.strip()]
    silent = abstains(reply, judges[JUDGE])
    scores: Scores = {"abstained": float(silent), "decision": float(silent != bool(wanted))}
    if wanted:
        said = [] if silent else words(reply.text)
        known = [] if silent else plain(reply.text).split()
        scores["f1"] = max(bag(known, plain(one).split()).f1 for one in wanted)
        scores["rouge_l"] = max(rouge_l(said, words(one)).f1 for one in wanted)
    else:
        scores |= {"f1": float(silent), "rouge_l": float(silent)}
    if options.context and not silent:
        given = "\n".join(
            leaves([sample.row.get(options.context), sample.row.get(options.question)])
        )
        scores["supported"] = supported(reply.text, given)
        scores["invented"] = float(bool(invented(reply.text, given)))
    return scores, ""


def supported(answer: str, given: str) -> float | None:
    """Return the share of an answer's telling words that are in a text; None when it has none.

    Words are compared by their first five letters, so that endings do not matter.
    """
    has = {one[:_STEM] for one in words(given)}
    telling = _telling(answer)
    return sum(one[:_STEM] in has for one in telling) / len(telling) if telling else None


def invented(answer: str, given: str) -> list[str]:
    """Return the numbers of an answer, as written, that are in a text in no form."""
    has = {abs(one.value) for one in figures(given)}
    return [answer[f.start : f.end] for f in figures(answer) if abs(f.value) not in has]


def _telling(text: str) -> list[str]:
    names = {one.casefold() for one in _NAME.findall(text)}
    return [
        one
        for one in words(text)
        if len(one) >= _SHORT or one in names or one.isdigit() or not one.isascii()
    ]
