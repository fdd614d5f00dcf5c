"""Conversations that go on, wishes how to answer, and questions of a quiz set into documents.

Users speak of the answer before, doubt it, change the rules of a game: none of it is an attack. A
question that a document puts to its reader is one, in any language, with or without a call for
attention before it; a sentence about the same things in the same place is not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from documents import Document
from grammar import Grammar, capital, tables
from injection_attacks import CODE, Attacks, Found, around, disguise, finish, trained_names, twins

COUNTS = {
    "again": 2600,
    "how": 1800,
    "tool_ask": 900,
    "sorting": 700,
    "rights": 700,
    "reply_only": 500,
    "riddle": 500,
    "known_to": 500,
}
LANGUAGE, ASKED, QUIZZES = 420, 110, 6000
_FOREIGN, _NOTICED = 0.35, 0.55
_OTHER_SCRIPTS = ("ar", "ar", "hi", "ja", "ru", "uk", "zh") * 2
"""Drawn more often: the base model's vocabulary has little more than their letters."""


def foreign(rng: random.Random) -> dict[str, Grammar]:
    """Return the grammars of other languages: `again`, `quiz` and `fact`."""
    return {
        name: Grammar(lines, rng) for name, lines in tables("injection_rounds_languages").items()
    }


def written(grammar: Attacks, rng: random.Random) -> Iterator[Found]:
    """Yield innocent turns and questions, in English and other languages."""
    for name, count in COUNTS.items():
        for _ in range(count):
            yield disguise(finish(capital(grammar.write(name))), rng, 0.05), 0, f"benign_{name}"
    for language, own in foreign(rng).items():
        for _ in range(LANGUAGE):
            said = [capital(own.write("again")) for _ in range(rng.choice([1, 1, 2]))]
            yield " ".join(said), 0, f"benign_rounds_{language}"
        for _ in range(ASKED):
            yield capital(own.write("quiz")), 0, f"benign_rounds_{language}"


def quiz(grammar: Attacks, others: dict[str, Grammar], rng: random.Random) -> tuple[str, str]:
    """Return a question for a document, and a sentence for the same place."""
    if rng.random() < _FOREIGN:
        own = others[rng.choice([*sorted(others), *_OTHER_SCRIPTS])]
        return capital(own.write("quiz")), capital(own.write("fact"))
    asked = capital(finish(grammar.write("quiz")))
    if rng.random() < _NOTICED:
        mark = rng.choice(["", "", "Question: ", "Q: ", "\n"])
        asked = f"{finish(grammar.write('notice'))} {mark}{asked}"
    told = " ".join(grammar.write("fact") for _ in range(rng.choice([1, 1, 2])))
    return asked, capital(finish(told))


def quizzes(grammar: Attacks, pool: list[Document], rng: random.Random) -> Iterator[Found]:
    """Yield documents with and without a question that is put to their reader."""
    others = foreign(rng)
    code = [document.text for document in pool if document.collection == "python_code"]
    prose = [document.text for document in pool if document.collection != "python_code"]
    for _ in range(QUIZZES):
        name = rng.choice(trained_names())
        text = rng.choice(code if name in CODE else prose)
        write = around(grammar, name, text, rng.randrange(2**32), wrapped=True)
        yield from twins(write, quiz(grammar, others, rng), rng, "embedded_quiz")
