"""One HTML file: no script, no address outside the file, made to be printed.

Text becomes HTML in one place only: `tag` escapes every child that is not already `Html`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def document(title: str, *body: str) -> str:
    """Return a complete document.

    Args:
        title: For the window and for print.
        body: Its parts, one below the other.
    """
    style = files("keelmark.core").joinpath("report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", title),
        tag("style", Html(style)),
    )
    page = tag("html", head, tag("body", tag("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str) -> Html:
    """Return a table; on a narrow screen each cell is told by the name of its column."""
    names = list(head)
    body = [
        tag("tr", *(tag("td", cell, data_name=name) for name, cell in zip(names, row, strict=True)))
        for row in rows
    ]
    return tag("table", columns(names), tag("tbody", *body), class_=kind)


def columns(names: Iterable[str]) -> Html:
    """Return the head of a table."""
    return tag("thead", tag("tr", *(tag("th", name) for name in names)))


def facts(rows: Iterable[tuple[str, str]]) -> Html:
    """Return a table of names and values."""
    shown = (tag("tr", tag("th", name), tag("td", value)) for name, value in rows)
    return tag("table", *shown, class_="facts")


def bullets(items: Iterable[str]) -> Html:
    """Return a list."""
    return tag("ul", *(tag("li", item) for item in items))


def prose(text: str) -> Html:
    """Return text in which `back quotes` mark what is typed."""
    parts = text.split("`")
    marked = (tag("code", part) if n % 2 else escape(part) for n, part in enumerate(parts))
    return Html("".join(marked))


def tag(name: str, /, *children: str, **attributes: str) -> Html:
    """Return one element. A name ending in _ loses it, other underscores become hyphens."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    if name == "br":
        return Html("<br>")
    inner = "".join(c if isinstance(c, Html) else escape(c) for c in children)
    return Html(f"<{name}{pairs}>{inner}</{name}>")
