"""Claims about talks: chats, calls, meetings, and what a summary says of them.

A claim is true, or says another day, number or thing than the talk (one of the talk itself where
it has any), or lets the other person do it, or is one of those that the scene says are not so.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grounding_facts import PARTS
from grounding_text import changed
from rows import Row

_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_WORDS = {sort: line.split(" | ") for sort, line in _TABLES["words"].items()}
_SLOT = re.compile(r"\{([a-z]+)(\d?)\}")
HELD_OUT = frozenset({"pet", "sales", "exam"})
SUPPORTED, CONTRADICTED, UNSUPPORTED = range(3)
_EXTRA = ("Hi!", "Right.", "Hm, I see.", "Haha.", "One moment, please.", "Ok.", "Really?")


def dialogues(count: int, seed: int) -> Iterator[Row]:
    """Yield claims about made-up talks; of some scenes for validation."""
    rng = random.Random(f"dialogues {seed}")
    for number in range(count):
        scene = _TABLES["scenes"][number % len(_TABLES["scenes"])]
        values = _values(scene, rng)
        talk = _talk(scene, values, rng)
        for _ in range(3):
            text, spans, label = _claim(scene, values, rng)
            kind, split = ("dialogues", "train")
            if scene["name"] in HELD_OUT:
                kind, split = "valid_dialogues", "valid"
            y = {"grounding": label}
            yield Row(text, y, f"{kind}/{scene['name']}", talk, split, 1.0, spans)


def _values(scene: dict[str, Any], rng: random.Random) -> dict[str, str]:
    """Draw a value for each slot of a scene; those of a sort differ."""
    values = dict(zip("ABC", rng.sample(PARTS["given"], 3), strict=True))
    drawn: dict[str, list[str]] = {}
    every = " ".join((*scene["turns"], *scene["claims"], *scene["wrong"]))
    for sort, number in sorted(set(_SLOT.findall(every))):
        left = [one for one in _WORDS[sort] if one not in drawn.get(sort, ())]
        values[sort + number] = rng.choice(left)
        drawn.setdefault(sort, []).append(values[sort + number])
    return values


def _filled(form: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], form)


def _talk(scene: dict[str, Any], values: dict[str, str], rng: random.Random) -> str:
    """Write the talk, turn by turn, with a word now and then that says nothing."""
    names = dict(values)
    if speakers := scene.get("speakers"):
        names |= zip("AB", speakers.split(" | "), strict=True)
    lines: list[tuple[str, str]] = []
    for turn in scene["turns"]:
        if lines and rng.random() < 0.15:
            lines.append((rng.choice("AB"), rng.choice(_EXTRA)))
        who, _, _ = turn.partition(":")
        form = rng.choice([one.partition(": ")[2] for one in turn.split(" | ")])
        said = _filled(form, values)
        lines.append((who, said[0].upper() + said[1:]))
    mark, dash = rng.choice(
        (("{}: {}", "\n"), ("{}: {}", " "), ("[{}] {}", "\n"), ("{}\n{}", "\n\n"))
    )
    text = dash.join(mark.format(names[who], said) for who, said in lines)
    head = rng.choice(
        ("", "", "", "Transcript\n\n", "Chat history:\n", f"{values['A']} and {values['B']}\n\n")
    )
    return head + text


def _claim(
    scene: dict[str, Any], values: dict[str, str], rng: random.Random
) -> tuple[str, tuple[tuple[int, int], ...], int]:
    """Say one thing of the talk, or two; as often so as not."""
    forms = rng.sample(scene["claims"], 2 if rng.random() < 0.3 else 1)
    right = [_said(form, values) for form in forms]
    if rng.random() < 0.5:
        return " ".join(right), (), SUPPORTED
    at = rng.randrange(len(forms))
    wrong = _wrong(forms[at], right[at], scene, values, rng)
    before = len(right[0]) + 1 if at else 0
    spans = tuple((a + before, b + before) for a, b in changed(wrong, right[at]))
    if wrong in {_said(form, values) for form in scene["wrong"]}:
        spans = ((before, before + len(wrong)),)
    parts = [wrong if number == at else one for number, one in enumerate(right)]
    return " ".join(parts), spans, CONTRADICTED


def _said(form: str, values: dict[str, str]) -> str:
    text = _filled(form.removeprefix("="), values)
    return text[0].upper() + text[1:]


def _wrong(
    form: str, right: str, scene: dict[str, Any], values: dict[str, str], rng: random.Random
) -> str:
    """Say it otherwise: another value, the other person, or what is not so anyway."""
    ways = [lambda: _said(rng.choice(scene["wrong"]), values)]
    if slots := sorted(set(_SLOT.findall(form))):
        ways += [lambda: _said(form, values | _other(*rng.choice(slots), values, rng))] * 6
    people = set(re.findall(r"\{([ABC])\}", form))
    if people and not form.startswith("=") and not scene.get("speakers"):
        ways += [lambda: _said(form, values | _exchanged(people, values, rng))] * 3
    for _ in range(8):
        if (wrong := rng.choice(ways)()) != right:
            return wrong
    return _said(scene["wrong"][0], values)


def _other(sort: str, number: str, values: dict[str, str], rng: random.Random) -> dict[str, str]:
    """Another value of a sort: one of the talk where there is one, as often as not."""
    own = values[sort + number]
    near = [v for name, v in values.items() if _SLOT.match(f"{{{name}}}") and name != sort + number
            and name.rstrip("0123456789") == sort]  # fmt: skip
    far = [one for one in _WORDS[sort] if one != own]
    return {sort + number: rng.choice(near if near and rng.random() < 0.6 else far)}


def _exchanged(people: set[str], values: dict[str, str], rng: random.Random) -> dict[str, str]:
    """Two people in each other's places, one of them in the claim."""
    one = rng.choice(sorted(people))
    other = rng.choice([who for who in "ABC" if who != one])
    return {one: values[other], other: values[one]}
