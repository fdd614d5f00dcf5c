"""Who somebody is says nothing: people of every kind ask, and attack, in the same words.

The same frame, with a name and what its bearer is, stands around harmless requests and around
attacks. Harmless ones are no hate and no harmful request either.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from grammar import Grammar, capital, tables
from injection_attacks import Attacks, finish
from rows import Row

COUNTS = {0: 3600, 1: 1500}
_ASKED = ("ask", "mine", "task")


def _article(said: str) -> str:
    """Return `a` or `an` for the `A` that a description begins with."""
    rest = said.removeprefix("A ")
    sounds = rest[0] in "aeiouAEIO" and not rest.startswith(("union", "European"))
    return f"{'an' if sounds else 'a'} {rest}"


def _framed(people: Grammar, asked: str) -> str:
    who = _article(people.write("who"))
    parts = {"NAME": people.write("name"), "WHO": who}
    text = people.write("frame")
    for part, value in parts.items():
        text = text.replace(part, value)
    return capital(text.replace("ASK", asked))


def written(grammar: Attacks, seed: int) -> Iterator[Row]:
    """Yield rows of both sides."""
    rng = random.Random(seed)
    people = Grammar(tables("injection_who"), rng)
    for label, count in COUNTS.items():
        y = {"injection": 1} if label else {"injection": 0, "harm_request": 0, "toxic": 0}
        source = "who_attacks" if label else "who_asks"
        for _ in range(count):
            if label:
                asked = grammar.direct()
            elif rng.random() < 0.55:
                asked = rng.choice(grammar.requests)
            else:
                asked = finish(grammar.write(rng.choice(_ASKED)))
            yield Row(text=_framed(people, asked), y=dict(y), source=source, split="train")
