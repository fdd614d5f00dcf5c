"""Which kind of suite a table makes: told by what its answers are."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Literal, NamedTuple, TypeAlias

from keelmark.core.errors import UsageError
from keelmark.core.figures import figure
from keelmark.core.yamlfile import meant
from keelmark.evaluate.own.columns import FEW_LABELS
from keelmark.evaluate.own.items import Item, Kind, Naming
from keelmark.evaluate.texts import references

Form: TypeAlias = Literal[
    "choices", "labels", "number", "words", "text", "json", "grounded", "refusal", "consistent"
]
SCORERS: dict[str, tuple[Form, ...]] = {
    "choice": ("choices", "labels"),
    "numeric": ("number",),
    "f1": ("words",),
    "rouge": ("text",),
    "structured": ("json",),
    "grounded": ("grounded",),
    "refusal": ("refusal",),
    "consistent": ("consistent",),
}
"""Scorer to the forms of suite that it can score; the last two need no right answers."""
UNANSWERED: tuple[Form, ...] = ("refusal", "consistent")
_MOST_LABELS = 1000
_SHORT = 8
_LABEL = 40
_LETTERS = re.compile(r"[^\W\d_]|[{\[]")


class Answers:
    """What the answers of a table are, counted."""

    def __init__(self) -> None:
        self.rows = self.answered = self.with_choices = self.with_context = self.with_system = 0
        self.astray: list[str] = []
        self.naming = Naming()
        self.labels: Counter[str] = Counter()
        self.longest = 0
        self._numbers = self._objects = self._short = 0

    def add(self, item: Item) -> None:
        """Count a row that is a question."""
        self.rows += 1
        self.with_context += bool(item.context)
        self.with_system += bool(item.system)
        if item.answer is None:
            return
        self.answered += 1
        if len(item.choices) > 1:
            self.with_choices += 1
            if not self.naming.add(item):
                self.astray.append(item.id)
        texts = references(item.answer)
        lengths = [len(one.split()) for one in texts]
        self.longest = max(self.longest, *lengths)
        self._numbers += all(map(_is_number, texts))
        self._objects += all(map(_is_object, texts))
        self._short += max(lengths) <= _SHORT
        if len(texts) == 1 and len(self.labels) <= _MOST_LABELS:
            self.labels[texts[0]] += 1

    def form(self, columns_have_choices: bool) -> tuple[Form, str]:  # noqa: FBT001
        """Return the kind of suite, and why."""
        if columns_have_choices and self.with_choices * 2 > self.answered:
            return "choices", "the rows have choices"
        if self.are_labels():
            return "labels", f"the answers are {len(self.labels)} labels"
        if self._numbers == self.answered:
            return "number", "every answer is a number"
        if self._objects == self.answered:
            return "json", "every answer is JSON"
        if self.with_context == self.rows:
            return "grounded", "every question has a text that it is about"
        if self._short * 10 >= self.answered * 9:
            return "words", f"the answers have few words (at most {self.longest})"
        return "text", "the answers are sentences"

    def are_labels(self) -> bool:
        """Whether the answers are a few short ones that come again and again."""
        several = 2 <= len(self.labels) <= FEW_LABELS
        short = all(len(one) <= _LABEL for one in self.labels)
        return several and short and len(self.labels) * 3 <= self.answered == self.labels.total()

    def only(self) -> str:
        """Return the answer that all rows have; "" when there is more than one."""
        same = len(self.labels) == 1 and self.labels.total() == self.answered > 1
        return next(iter(self.labels)) if same else ""

    def kind(self, first: int | None) -> Kind:
        """Return how answers name choices.

        Args:
            first: What a person says that the first choice is called: 0 or 1.

        Raises:
            UsageError: It cannot be told.
        """
        kinds = self.naming.kinds()
        if first is not None:
            told: Kind = "one" if first else "zero"
            if told not in (self.naming.possible or ()):
                raise UsageError(
                    f"The answers do not all count the choices from {first}; look at the column of "
                    "answers, or leave out --first."
                )
            return told
        if not kinds:
            raise UsageError(
                "The answers do not name their choices in one way: write all of them as the text "
                "of the choice, as its letter, or as its number."
            )
        if len(kinds) > 1:
            raise UsageError(
                "The answers are numbers that can be meant in several ways: say with --first 0 or "
                "--first 1 what the first choice is called, or write the texts of the choices."
            )
        return kinds[0]


def _is_number(text: str) -> bool:
    return figure(text) is not None and not _LETTERS.search(text)


def _is_object(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def wanted_form(scorer: str, answers: Answers, *, choices: bool) -> Form:
    """Return the form that a named scorer needs.

    Raises:
        UsageError: There is no such scorer here, or these rows have not what it needs.
    """
    forms = SCORERS.get(scorer)
    if forms is None:
        raise UsageError(
            f"No suite can be made in one command for the scorer {scorer!r} "
            f"({meant(scorer, SCORERS).rstrip('.')}); make one and change its YAML."
        )
    form = forms[0] if choices or len(forms) == 1 else forms[1]
    if form == "choices" and not answers.with_choices:
        raise UsageError("The rows have no choices; name their column with --choices.")
    if form == "labels" and not answers.are_labels():
        raise UsageError(
            f"The answers are not a few labels that come again (at most {FEW_LABELS}), and there "
            "are no choices: name the column of these with --choices."
        )
    if form == "grounded" and not answers.with_context:
        raise UsageError("The rows have no texts to answer from; name their column with --passage.")
    return form


class Asked(NamedTuple):
    """What a form of suite asks and how it is scored.

    Attributes:
        ask: Of the suite's YAML.
        scorer: Of the suite's YAML.
        measures: Of the suite's YAML; the first one is primary.
    """

    ask: dict[str, Any]
    scorer: dict[str, Any]
    measures: tuple[str, ...]


_ABOUT = "{% if context %}{{ context }}\n\n{% endif %}"
_USER: dict[Form, str] = {
    "grounded": "Question: {{ question }}",
    "number": "{{ question }}\n\nEnd with a line that says: The answer is NUMBER.",
    "words": "{{ question }}\n\nAnswer in a few words, without a sentence around them.",
    "json": "{{ question }}\n\nAnswer with JSON and nothing else.",
}
_FROM_TEXT = (
    "Answer the question from the text alone. If the text does not hold the answer, say only: "
    "I don't know."
)
_MORE: dict[Form, dict[str, Any]] = {
    "grounded": {"system": _FROM_TEXT},
    "consistent": {"n": 5, "temperature": 0.8},
}
_TOKENS: dict[Form, int] = {"number": 320, "words": 64, "refusal": 256, "consistent": 256}
_SCORED: dict[Form, tuple[dict[str, Any], tuple[str, ...]]] = {
    "choices": ({"id": "choice"}, ("acc_norm", "acc", "brier", "ece")),
    "labels": ({"id": "choice"}, ("acc", "brier", "ece")),
    "number": (
        {"id": "numeric", "options": {"marks": ["the answer is", "####"]}},
        ("number", "marked"),
    ),
    "words": ({"id": "f1"}, ("f1", "exact", "recall")),
    "text": ({"id": "rouge"}, ("rouge_l", "rouge1")),
    "json": ({"id": "structured", "options": {"fenced": True}}, ("same", "fields", "valid")),
    "grounded": (
        {"id": "grounded", "options": {"context": "context"}},
        ("f1", "decision", "abstained", "supported", "invented"),
    ),
    "refusal": ({"id": "refusal"}, ("refused", "blocked")),
    "consistent": ({"id": "consistent"}, ("agreement", "surprise", "abstained")),
}


def asked_of(form: Form, answers: Answers, label: str) -> Asked:
    """Return what a suite of some form asks.

    Args:
        form: The form.
        answers: What is known of the answers.
        label: What a label is called, for `labels`.
    """
    about = _ABOUT if answers.with_context else ""
    ask: dict[str, Any]
    if form == "choices":
        ask = {"kind": "choice", "context": about + "Question: {{ question }}\nAnswer:"}
    elif form == "labels":
        ask = {"kind": "choice", "context": about + "{{ question }}\n\n" + label + ":"}
    else:
        longest = 64 * (1 + answers.longest // 32)  # a word has less than two tokens
        ask = {
            "kind": "generate",
            **({"system": "{{ system }}"} if answers.with_system else {}),
            **_MORE.get(form, {}),
            "user": about + _USER.get(form, "{{ question }}"),
            "max_tokens": _TOKENS.get(form, min(1024, longest)),
        }
    scorer, measures = _SCORED[form]
    return Asked(ask, scorer, measures)
