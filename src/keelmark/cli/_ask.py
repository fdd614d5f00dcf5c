"""A declared use, asked for in a few questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from keelmark.cli._common import say, write_out
from keelmark.core.errors import UsageError
from keelmark.vet.licence.use import QUESTIONS, Question, use_from

_YES = {"y": True, "yes": True, "n": False, "no": False}


def ask_for_use(path: Path) -> None:
    """Ask what is to be done with a model, and keep the answers in a file.

    Raises:
        UsageError: The file is there already, or cannot be written.
        click.Abort: The person went away.
    """
    if path.exists():
        raise UsageError(f"{path} is there already: give it with --use, or name another file.")
    say("A few questions on what you mean to do; an empty answer says nothing.")
    answers = {q.field: value for q in QUESTIONS if (value := _answer(q)) is not None}
    write_out(path, yaml.safe_dump(answers, sort_keys=False, allow_unicode=True) or "{}\n")
    say(f"Your answers are kept in {path}; next time, give --use {path}.")


def _answer(question: Question) -> Any:
    """Ask until the answer is one, or empty."""
    hint = {"yes-no": " [y/n]", "number": "", "words": " (commas between)"}[question.kind]
    while True:
        said = click.prompt(
            f"{question.asks} {question.help}{hint}", default="", show_default=False, err=True
        ).strip()
        if not said:
            return None
        try:
            value = _value(question, said)
            use_from({question.field: value}, source="the answer")
        except UsageError as error:
            say(error.message)
            continue
        return value


def _value(question: Question, said: str) -> Any:
    if question.kind == "yes-no":
        if said.lower() not in _YES:
            raise UsageError(f"Please answer y or n, not {said!r}.")
        return _YES[said.lower()]
    if question.kind == "number":
        digits = said.replace(",", "").replace("_", "").replace(" ", "")
        if not digits.isdecimal():
            raise UsageError(f"Please answer with a whole number, not {said!r}.")
        return int(digits)
    return [word.strip() for word in said.split(",") if word.strip()]
