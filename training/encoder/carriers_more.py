"""More documents with room for one more text: tables of many kinds, forums, notes, settings."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

from carriers import Carrier, Desk
from grammar import capital

COLUMNS = (
    ("date", "day"), ("city", "city"), ("person", "name"), ("article", "product"),
    ("remarks", "review"), ("event", "event"), ("subject", "subject"), ("comment", "mail"),
    ("to do", "p_do"), ("account", "user"), ("message", "chat"),
)  # fmt: skip


INSERT = "INSERT INTO items"


def _grid(desk: Desk, text: str | None) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of a table; the text is in one cell, or a row of its own."""
    picked = desk.rng.sample(COLUMNS, desk.rng.randint(2, 5))
    rows = [[desk.write(name) for _, name in picked] for _ in range(desk.rng.randint(2, 7))]
    row, column = desk.rng.randrange(len(rows)), desk.rng.randrange(len(picked))
    if desk.rng.random() < 0.3:
        line = [desk.rng.choice(["", "-", "n/a"])] * (len(picked) - 1)
        rows = rows if text is None else [*rows[:row], [text, *line], *rows[row:]]
    else:
        rows[row][column] = desk.within(rows[row][column], text).replace("\n", " ")
    heads = [head for head, _ in picked]
    return heads, rows


def _html_table(heads: list[str], rows: list[list[str]]) -> str:
    cells = [[f"<td>{html.escape(cell, quote=False)}</td>" for cell in row] for row in rows]
    lines = [[f"<th>{head}</th>" for head in heads], *cells]
    return "<table>\n" + "\n".join(f"<tr>{''.join(line)}</tr>" for line in lines) + "\n</table>"


def _records(heads: list[str], rows: list[list[str]]) -> str:
    return "\n\n".join(
        "\n".join(f"{head}: {cell}" for head, cell in zip(heads, row, strict=True)) for row in rows
    )


def _inserts(heads: list[str], rows: list[list[str]]) -> str:
    names = ", ".join(head.replace(" ", "_") for head in heads)
    shown = [", ".join(repr(cell) for cell in row) for row in rows]
    return "\n".join(f"{INSERT} ({names}) VALUES ({line});" for line in shown)


def _lines(_: list[str], rows: list[list[str]]) -> str:
    return "\n".join(" \u00b7 ".join(row) for row in rows)


def _piped(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


GRIDS: tuple[Callable[[list[str], list[list[str]]], str], ...] = (
    _html_table,
    _records,
    _inserts,
    lambda heads, rows: "\n".join(" & ".join(row) + r" \\" for row in [heads, *rows]),
    lambda heads, rows: "\n".join(
        "   ".join(f"{cell:<14}" for cell in row) for row in [heads, *rows]
    ),
    _lines,
    _piped,
    _piped,
    lambda heads, rows: str([heads, *rows]),
)


def grid(desk: Desk, text: str | None) -> str:
    """Return a table in one of many notations."""
    heads, rows = _grid(desk, text)
    return desk.rng.choice(GRIDS)(heads, rows)


def notes(desk: Desk, text: str | None) -> str:
    """Return notes or minutes, point by point."""
    sign = desk.rng.choice(["- ", "* ", "\u2022 ", "", "[ ] "])
    names = [desk.rng.choice(["mail", "to_people", "say", "event"]) for _ in range(5)]
    parts = [desk.write(name) for name in names[: desk.rng.randint(2, 5)]]
    lines = desk.put(parts, text)
    return f"{desk.write('subject')}\n" + "\n".join(sign + capital(line) for line in lines)


def settings(desk: Desk, text: str | None) -> str:
    """Return a file of settings with a comment or a value more."""
    lines = [
        f"{desk.write('user')}_{desk.write('word_low')} = {desk.rng.randint(1, 99)}"
        for _ in range(4)
    ]
    lines += [f"# {desk.write('h_dev')}", f'greeting = "{desk.write("mail")}"']
    desk.rng.shuffle(lines)
    form = desk.rng.choice(["# {}", 'description = "{}"', "; {}", "prompt: {}", "help = '{}'"])
    wrapped = None if text is None else form.format(text.replace("\n", " "))
    return "[main]\n" + "\n".join(desk.put(lines, wrapped))


def transcript(desk: Desk, text: str | None) -> str:
    """Return what was said in a meeting or a film, with times."""
    lines = desk.put(desk.sentences("chat", 2, 4) + desk.sentences("mail", 1, 3), text)
    start = desk.rng.randint(0, 40)
    return "\n".join(f"00:{start + at:02}:0{at % 10} {line}" for at, line in enumerate(lines))


def faq(desk: Desk, text: str | None) -> str:
    """Return questions that a page asks and answers itself."""
    count = desk.rng.randint(2, 4)
    asked = [desk.fill("How do I {vp}?") for _ in range(count)]
    parts = [f"{question}\n{' '.join(desk.sentences('mail', 1, 2))}" for question in asked]
    return "Frequently asked questions\n\n" + "\n\n".join(desk.put(parts, text))


def into_forum(desk: Desk, text: str | None, code: str) -> str:
    """Return a question about code with answers; the text stands in an answer."""
    asked = desk.write("task_after")
    opening = f"{desk.write('subject')}\n\n{code}\n\n{asked}"
    parts = [desk.write(name) for name in ("h_dev", "h_step", "say")[: desk.rng.randint(1, 3)]]
    answer = desk.rng.choice([" ", "\n", "\n\n"]).join(desk.put(parts, text))
    solution = f"```\n{desk.write(desk.rng.choice(['h_code', 'h_js']))}\n```"
    pieces = [opening, f"Answer by {desk.write('user')}:", answer, solution]
    if desk.rng.random() < 0.4:
        pieces = [pieces[0], pieces[1], solution, answer]
    return "\n\n".join(pieces if desk.rng.random() < 0.8 else pieces[1:])


def into_comment(desk: Desk, text: str | None, code: str) -> str:
    """Return code with the text as a comment of another language, or as bare lines."""
    lines = code.split("\n")
    place = desk.rng.choice([0, len(lines), desk.rng.randint(0, len(lines))])
    form = desk.rng.choice(
        ["// {}", "/* {} */", "-- {}", "<!-- {} -->", "{}", "{}", "\n{}\n", "TODO: {}"]
    )
    return code if text is None else "\n".join([*lines[:place], form.format(text), *lines[place:]])


_HOLDERS = ("user", "record", "post", "entry", "device", "ticket", "visit", "repository", "alert")
_TEXTS = ("about", "remark", "details", "message_text", "summary", "what", "answer", "label")
_PLAIN = ("owner", "since", "count", "state", "place", "address", "ref", "level")


def nested(desk: Desk, text: str | None) -> str:
    """Return an answer of a tool, records within records, as Python or JSON shows it."""
    rng = desk.rng
    values = {
        "owner": desk.write("name"), "since": f"2025-{rng.randint(10, 12)}-{rng.randint(10, 28)}",
        "count": rng.randint(0, 900), "state": rng.choice([True, False, None, "open"]),
        "place": desk.write("city"), "address": f"{desk.write('user')}@mail.example",
        "ref": f"{rng.choice('ABK')}-{rng.randint(100, 9999)}", "level": rng.randint(1, 99) / 10,
    }  # fmt: skip
    body = desk.within(desk.write(rng.choice(["subject", "review", "mail", "event"])), text)
    keys = [*rng.sample(_PLAIN, rng.randint(1, 5)), rng.choice(_TEXTS)]
    rng.shuffle(keys)
    inner: Any = {key: values.get(key, body) for key in keys}
    if rng.random() < 0.4:
        inner = {f"{rng.choice(_TEXTS)}_list": [inner], rng.choice(_PLAIN): rng.randint(1, 50)}
    holder = rng.choice(_HOLDERS)
    value = {holder: inner} if rng.random() < 0.6 else {f"{holder}s": [inner]}
    shown = json.dumps(value, ensure_ascii=False) if rng.random() < 0.3 else str(value)
    return f'"{shown}"' if rng.random() < 0.3 else shown


MORE: dict[str, Carrier] = {
    "grid": grid, "notes": notes, "settings": settings, "transcript": transcript, "faq": faq,
    "nested": nested,
}  # fmt: skip
