"""Sentences from tables: `{name}` is a line of that table, `{this|that|}` is one of these."""

from __future__ import annotations

import random
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SLOT = re.compile(r"\{([^{}]*)\}")


@cache
def tables(name: str) -> dict[str, Any]:
    """Return the tables of a file beside this one; nobody changes them."""
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


@cache
def languages() -> dict[str, dict[str, list[str]]]:
    """Return the tables of every language but English, those of one name joined."""
    found = {language: {**lines} for language, lines in tables("injection_languages").items()}
    for language, lines in tables("injection_more_languages").items():
        own = found.setdefault(language, {})
        for name, more in lines.items():
            own[name] = own.get(name, []) + more
    return found


class Grammar:
    """Tables of lines, and the lot that picks from them."""

    def __init__(self, lines: dict[str, list[str]], rng: random.Random) -> None:
        """Take tables as `tables` gives them."""
        self.lines = lines
        self.rng = rng

    def write(self, name: str) -> str:
        """Return a sentence from a table."""
        return self.fill(self.rng.choice(self.lines[name]))

    def fill(self, text: str) -> str:
        """Fill the slots of a text, innermost first.

        Raises:
            KeyError: A slot names no table.
        """
        while match := SLOT.search(text):
            inside = match[1]
            choices = inside.split("|") if "|" in inside else self.lines[inside]
            text = text[: match.start()] + self.rng.choice(choices) + text[match.end() :]
        return re.sub(r" +([.,!?;:])(?=\s|$)", r"\1", re.sub(r"  +", " ", text)).strip()


def capital(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]
