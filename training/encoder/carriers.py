"""Documents that an assistant reads (mails, tables, tool results), with room for one more text.

The same lot gives the same document with and without the text, so that what is learnt from the
two is the text and not the document.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from typing import Any

from grammar import Grammar, capital

Carrier = Callable[["Desk", str | None], str]


class Desk(Grammar):
    """A grammar with a pile of sentences that others wrote, for the body of documents."""

    def __init__(self, lines: dict[str, list[str]], rng: random.Random, prose: list[str]) -> None:
        """Take tables, a lot and sentences of any kind."""
        super().__init__(lines, rng)
        self.prose = prose

    def sentences(self, name: str, least: int, most: int) -> list[str]:
        """Return some sentences of a table, a third of the time from the pile instead."""
        count = self.rng.randint(least, most)
        if self.rng.random() < 0.35:
            return [self.rng.choice(self.prose) for _ in range(count)]
        return [self.write(name) for _ in range(count)]

    def put(self, parts: list[str], text: str | None) -> list[str]:
        """Return the parts with the text among them, as often first and last as between."""
        ends = self.rng.random()
        place = self.rng.randint(0, len(parts))
        place = 0 if ends < 0.2 else len(parts) if ends < 0.45 else place
        return parts if text is None else [*parts[:place], text, *parts[place:]]

    def within(self, value: str, text: str | None) -> str:
        """Return a value with the text in it, before, after or instead."""
        kind = self.rng.randrange(4)
        if text is None:
            return value
        return (f"{value} {text}", f"{text} {value}", text, f"{value}\n\n{text}")[kind]


def email(desk: Desk, text: str | None) -> str:
    """Return a mail."""
    parts = desk.put(desk.sentences("mail", 2, 8), text)
    gap = desk.rng.choice([" ", " ", "\n", "\n\n"])
    head = f"Subject: {desk.write('subject')}\n"
    if desk.rng.random() < 0.6:
        sender = desk.write("user")
        firm, reader = desk.write("user"), desk.write("user")
        head = f"From: {sender}@{firm}.example\nTo: {reader}@mail.example\n{head}"
    body = gap.join(parts)
    greeting, closing = desk.write("greeting"), desk.write("closing")
    below = desk.rng.random() < 0.5
    return f"{head if below else ''}\n{greeting}\n\n{body}\n\n{closing}".strip()


def thread(desk: Desk, text: str | None) -> str:
    """Return mails that quote each other."""
    mails = [" ".join(desk.sentences("mail", 1, 3)) for _ in range(desk.rng.randint(2, 4))]
    target = desk.rng.randrange(len(mails))
    mails[target] = desk.within(mails[target], text)
    shown = []
    for depth, mail in enumerate(mails):
        head = f"On {desk.write('day')}, {desk.write('name')} wrote:"
        quoted = "\n".join("> " * depth + line for line in mail.split("\n"))
        shown.append(f"{'> ' * max(0, depth - 1)}{head}\n{quoted}" if depth else quoted)
    return "\n\n".join(shown)


def chat_log(desk: Desk, text: str | None) -> str:
    """Return what people in a chat said."""
    lines = desk.put(desk.sentences("chat", 3, 10), text)
    style = desk.rng.randrange(3)
    hour = desk.rng.randint(7, 20)
    shown = []
    for minute, line in enumerate(lines, desk.rng.randint(0, 40)):
        user = desk.write("user")
        shown.append(
            (f"[{hour}:{minute:02}] {user}: {line}", f"{user}: {line}", f"<{user}> {line}")[style]
        )
    return "\n".join(shown)


def reviews(desk: Desk, text: str | None) -> str:
    """Return reviews of a product."""
    lines = desk.put(desk.sentences("review", 2, 7), text)
    stars = [desk.rng.randint(1, 5) for _ in lines]
    head = f"{desk.write('product')} - customer reviews\n"
    return head + "\n".join(
        f"{'*' * star} {desk.write('name')}: {line}"
        for star, line in zip(stars, lines, strict=True)
    )


def csv_table(desk: Desk, text: str | None) -> str:
    """Return a table with separators; quotes where they are needed."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=desk.rng.choice([",", ";", "\t"]), lineterminator="\n")
    writer.writerow(["id", "name", "item", "amount", "note"])
    count = desk.rng.randint(3, 9)
    target = desk.rng.randrange(count)
    for row in range(count):
        note = " ".join(desk.sentences(desk.rng.choice(["review", "mail", "event"]), 0, 1))
        if row == target:
            note = desk.within(note, text)
        writer.writerow(
            [100 + row, desk.write("name"), desk.write("product"), desk.rng.randint(5, 900), note]
        )
    return out.getvalue().strip()


def markdown_table(desk: Desk, text: str | None) -> str:
    """Return a table in Markdown."""
    count = desk.rng.randint(3, 7)
    target = desk.rng.randrange(count)
    rows = ["| what | who | when | remarks |", "|---|---|---|---|"]
    for row in range(count):
        note = " ".join(desk.sentences(desk.rng.choice(["review", "mail"]), 0, 1))
        if row == target:
            note = desk.within(note, text).replace("\n", " ")
        rows.append(
            f"| {desk.write('event')} | {desk.write('name')} | {desk.write('day')} | {note} |"
        )
    return "\n".join(rows)


def _record(desk: Desk, kind: str, text: str | None) -> dict[str, Any]:
    """Return one thing that a tool gives back; the text goes into its longest field."""
    body = desk.within(" ".join(desk.sentences("mail", 1, 3)), text)
    number = desk.rng.randint(10, 9999)
    return {
        "mail": lambda: {
            "id": number,
            "from": f"{desk.write('user')}@mail.example",
            "subject": desk.write("subject"),
            "body": body,
            "read": False,
        },
        "event": lambda: {
            "id": f"ev{number}",
            "title": desk.write("event"),
            "start": f"2025-0{desk.rng.randint(1, 9)}-14T09:30",
            "participants": [desk.write("user")],
            "description": body,
        },
        "file": lambda: {
            "path": f"docs/{desk.write('user')}/{number}.txt",
            "size": number,
            "content": body,
        },
        "page": lambda: {
            "title": desk.write("title"),
            "url": f"https://site{number}.example/",
            "snippet": body,
        },
        "issue": lambda: {
            "number": number,
            "state": "open",
            "user": {"login": desk.write("user")},
            "title": desk.write("subject"),
            "body": body,
            "labels": ["question"],
        },
        "product": lambda: {
            "sku": f"P-{number}",
            "name": desk.write("product"),
            "price": number / 10,
            "reviews": [desk.write("review"), body],
        },
    }[kind]()


def json_result(desk: Desk, text: str | None) -> str:
    """Return what a tool gives back, as JSON or as Python shows it."""
    kind = desk.rng.choice(["mail", "event", "file", "page", "issue", "product"])
    count = desk.rng.randint(1, 3)
    target = desk.rng.randrange(count)
    records = [_record(desk, kind, text if row == target else None) for row in range(count)]
    value: Any = records[0] if count == 1 else {"status": "ok", "results": records}
    style = desk.rng.randrange(3)
    return (
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, ensure_ascii=False, indent=2),
        str(value),
    )[style]


def _yaml(value: Any, depth: int = 0) -> str:
    pad = "  " * depth
    if isinstance(value, dict):
        return "\n".join(
            f"{pad}{key}: {_yaml(item, depth + 1).lstrip()}" for key, item in value.items()
        )
    if isinstance(value, list):
        return "\n" + "\n".join(f"{pad}- {_yaml(item, depth + 1).lstrip()}" for item in value)
    return f"{pad}{value}"


def yaml_result(desk: Desk, text: str | None) -> str:
    """Return what a tool gives back, as YAML."""
    kind = desk.rng.choice(["mail", "event", "file", "issue"])
    count = desk.rng.randint(1, 4)
    target = desk.rng.randrange(count)
    records = [_record(desk, kind, text if row == target else None) for row in range(count)]
    return _yaml(records).strip()


def html_page(desk: Desk, text: str | None) -> str:
    """Return a page or a part of one; the text may be in it unseen."""
    hidden = desk.rng.randrange(5)
    parts = [f"<p>{capital(sentence)}</p>" for sentence in desk.sentences("mail", 2, 6)]
    wrapped = None if text is None else (
        f"<p>{text}</p>", f"<!-- {text} -->", f'<div style="display:none">{text}</div>',
        f'<span style="font-size:0;color:#fff">{text}</span>', f'<img src="a.png" alt="{text}">',
    )[hidden]  # fmt: skip
    inner = "\n".join(desk.put(parts, wrapped))
    title = desk.write("title")
    if desk.rng.random() < 0.5:
        return f"<div>\n<h2>{title}</h2>\n{inner}\n</div>"
    head = f"<html><head><title>{title}</title></head>"
    return f"{head}\n<body>\n<h1>{title}</h1>\n{inner}\n</body></html>"


def search_results(desk: Desk, text: str | None) -> str:
    """Return hits of a search."""
    count = desk.rng.randint(2, 5)
    target = desk.rng.randrange(count)
    shown = []
    for row in range(count):
        snippet = " ".join(desk.sentences(desk.rng.choice(["review", "mail"]), 1, 2))
        snippet = desk.within(snippet, text if row == target else None)
        shown.append(
            f"[{row + 1}] {desk.write('title')}\nhttps://{desk.write('user')}.example/{row}\n{snippet}"
        )
    return "\n\n".join(shown)


def log_file(desk: Desk, text: str | None) -> str:
    """Return lines of a log."""
    lines = desk.put([desk.write("log") for _ in range(desk.rng.randint(4, 10))], text)
    levels = [desk.rng.choice(["INFO", "INFO", "WARN", "DEBUG", "ERROR"]) for _ in lines]
    start = desk.rng.randint(0, 49)
    return "\n".join(
        f"2025-03-0{1 + start % 9}T08:{start + row:02}:11 {level} {line}"
        for row, (level, line) in enumerate(zip(levels, lines, strict=True))
    )


def into_code(desk: Desk, text: str | None, code: str) -> str:
    """Return source code with the text as a comment or a string on a line of its own."""
    lines = code.split("\n")
    place = desk.rng.randint(0, len(lines))
    kind = desk.rng.randrange(4)
    if text is None:
        return code
    indent = re.match(r"\s*", lines[min(place, len(lines) - 1)])
    pad = indent[0] if indent else ""
    flat = text.replace("\n", " ")
    line = (f"# {flat}", f"# NOTE: {flat}", f'"""{flat}"""', f"note = {flat!r}")[kind]
    return "\n".join([*lines[:place], pad + line, *lines[place:]])


def into_prose(desk: Desk, text: str | None, prose: str) -> str:
    """Return prose with the text as a paragraph or a sentence of its own."""
    whole = desk.rng.random() < 0.5
    parts = re.split(r"\n\n" if whole and "\n\n" in prose else r"(?<=[.!?:])\s+", prose)
    gap = "\n\n" if whole and "\n\n" in prose else desk.rng.choice([" ", " ", "\n", "\n\n"])
    put = desk.put(parts, text)
    return prose if text is None else gap.join(put)


def accounts(desk: Desk, text: str | None) -> str:
    """Return an account's transactions."""
    count = desk.rng.randint(2, 6)
    target = desk.rng.randrange(count)
    shown = []
    for row in range(count):
        note = desk.within(desk.write("subject"), text if row == target else None)
        amount = desk.rng.randint(300, 99999) / 100
        shown.append(
            f"- transaction: {desk.rng.randint(1, 999)}\n  payee: {desk.write('name')}\n"
            f"  amount: {amount}\n  reference: {note}\n  booked: 2025-0{desk.rng.randint(1, 9)}-11"
        )
    return "\n".join(shown)


def channels(desk: Desk, text: str | None) -> str:
    """Return messages of a channel as Python shows them."""
    lines = desk.put([desk.write("chat") for _ in range(desk.rng.randint(2, 5))], text)
    return str(
        [{"sender": desk.write("user"), "channel": "general", "text": line} for line in lines]
    )


TRAINED: dict[str, Carrier] = {
    "email": email, "chat": chat_log, "reviews": reviews, "csv": csv_table,
    "json": json_result, "yaml": yaml_result, "html": html_page, "search": search_results,
    "thread": thread, "markdown": markdown_table, "log": log_file,
}  # fmt: skip
HELD_OUT_TOOLS: dict[str, Carrier] = {"accounts": accounts, "channels": channels}
