"""Innocent text, written from tables, full of the words that attacks use.

The words in everyday senses, orders about one's own text, operators' instructions, roles, talk
about attacks, marks of turns around honest requests, and the same in a dozen languages.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from documents import HELD_LANGUAGES, cut
from grammar import capital, languages, tables
from injection_attacks import (
    Attacks,
    disguise,
    encoded,
    finish,
    language_grammar,
    suffix,
)

COUNTS = {
    "ask": 1900, "say": 900, "mine": 1300, "operator": 600, "about": 1400, "scene": 1000,
    "duo": 600, "task": 2000, "about_text": 900, "turns": 1400, "role": 900,
    "brief": 2200, "meta_prompt": 700, "system": 900, "asking_mail": 1000, "howto": 900,
    "dev": 600, "todo": 700,
}  # fmt: skip
EACH_LANGUAGE = 540
ALONE = ("ask", "mine", "scene", "task", "duo", "role")


def _passage(grammar: Attacks, name: str) -> str:
    """Return one to four sentences, sometimes with others' sentences around."""
    count = grammar.rng.choice([1, 1, 2, 3, 4])
    parts = [grammar.write(name) for _ in range(count)]
    if grammar.rng.random() < 0.35:
        parts.insert(grammar.rng.randint(0, count), grammar.rng.choice(grammar.prose))
    return grammar.rng.choice([" ", " ", "\n"]).join(parts)


def _about(grammar: Attacks) -> str:
    """Return talk about an attack that is quoted."""
    attack = grammar.direct() if grammar.rng.random() < 0.6 else grammar.indirect(1.0)
    return grammar.write("about").replace("QUOTE", attack.replace("\n", " "))


def _task(grammar: Attacks) -> str:
    """Return what a user asks: the same requests that are attacks where a document makes them."""
    task = grammar.write("task")
    if grammar.rng.random() < 0.3:
        task = f"{grammar.write('polite')} {grammar.write('task_low')}"
    if grammar.rng.random() < 0.3:
        return f"{task} {grammar.write(grammar.rng.choice(['task', 'style_fine', 'ask']))}"
    return task


def _write(grammar: Attacks, name: str) -> str:
    if name == "about":
        return _about(grammar)
    if name == "say":
        return _passage(grammar, name)
    if name == "task":
        return _task(grammar)
    if name == "about_text":
        text = cut(grammar.rng.choice(grammar.prose), 120)
        before, after = grammar.write("task_before"), grammar.write("task_after")
        return grammar.rng.choice([f"{before}\n\n{text}", f"{text}\n\n{after}", f"{before} {text}"])
    if name == "duo":
        return f"{grammar.write('mine')} {grammar.write('ask')}"
    text = grammar.write(name)
    if "ENCODED" in text:
        text = text.replace("ENCODED", encoded(grammar.write("say"), grammar.rng))
    return text.replace("SUFFIX", suffix(grammar, grammar.rng)) if "SUFFIX" in text else text


def written(grammar: Attacks, rng: random.Random) -> Iterator[tuple[str, int, str]]:
    """Yield innocent texts, each with label and source."""
    for name, count in COUNTS.items():
        for _ in range(count):
            text = finish(_write(grammar, name))
            if name in ALONE and rng.random() < 0.15:
                text = f"{rng.choice(grammar.prose)} {text}"
            yield disguise(text, rng, 0.06), 0, f"benign_{name}"
    for text in tables("injection_valid")["trigger_words"]:
        yield text, 0, "valid_trigger_words"
    for language in languages():
        own = language_grammar(language, rng)
        held = language in HELD_LANGUAGES
        for _ in range(EACH_LANGUAGE // 4 if held else EACH_LANGUAGE):
            count = rng.choice([1, 1, 2] if held else [1, 2, 2, 3])
            text = " ".join(capital(own.write("benign")) for _ in range(count))
            yield text, 0, "valid_multilingual" if held else f"benign_{language}"
