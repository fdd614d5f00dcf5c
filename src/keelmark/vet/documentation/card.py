"""What a model card says, and what of it is a form that nobody filled in.

Sources: Hugging Face's model card template and metadata fields, and Mitchell et al. 2019, "Model
Cards for Model Reporting". A heading without text, a template's own sentence and a placeholder say
nothing, so they count as missing.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from itertools import islice
from typing import Any, NamedTuple

MAX_TEXT = 256 * 1024
"""Longest card that is read, characters."""

_LEAST_LETTERS = 12
_MOST_HEADINGS = 2000
_MOST_LABELS = 2000

_HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]+(.{1,200}?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
_UNDERLINE = re.compile(r"[ ]{0,3}(=+|-+)[ \t]*$")
_LABEL = re.compile(
    r"[ \t]*(?:[-*+][ \t]+)?(?:\*\*|__)([^*_\n]{2,60}?):?(?:\*\*|__):?[ \t]*(.{0,500})"
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_PLACEHOLDER = re.compile(
    r"\[?\b(more information (is )?needed|needs? more information|to be (added|filled|completed|"
    r"determined)|coming soon|work in progress|lorem ipsum)\b[^\n.\]]{0,80}[\].]?"
    r"|\{\{[^{}]{0,200}\}\}"
    r"|\[(optional|todo|tbd|(insert|your) [^\]\n]{0,60}|[^\]\n]{0,40} here)\](?!\()"
    r"|\b(todo|tbd|tba|fixme|xxx)\b|\bn/?a\b|\bnone yet\b|\bunknown\b",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"users \(both direct and downstream\) should be made aware of the risks, biases and "
    r"limitations of the model\.?"
    r"|carbon emissions can be estimated using the .{0,200}?lacoste et al.{0,200}?(\)\.?|\.)"
    r"|use the code below to get started with the model\.?|click to expand"
    r"|this is the model card of a .{0,40}?transformers model that has been pushed on the hub\."
    r"|this model card has been automatically generated\.?"
    r"|this modelcard aims to be a base template for new models\..{0,200}?(\)\.?|\.)"
    r"|this model is a fine-tuned version of .{0,200}? on an unknown dataset\.?",
    re.IGNORECASE | re.DOTALL,
)
_FIELD_LABEL = re.compile(r"(?:\*\*|__)[^*_\n]{2,60}?:?(?:\*\*|__):?")
_TOGETHER = re.compile(r"\s*(?:,|&|/|\+|\band\b)\s*")
_MARKUP = re.compile(r"[*_`#>|\-=~\[\]()!:<>/]|https?://\S+|<[^>\n]{0,200}>")


class Item(NamedTuple):
    """Something a card should say; see weights.toml."""

    id: str
    title: str
    weight: int
    keys: tuple[str, ...]
    headings: re.Pattern[str]
    labels: re.Pattern[str]


class Said(NamedTuple):
    """Whether a card says it.

    Attributes:
        item: What it should say.
        answer: "present", "placeholder" or "missing".
        where: Heading, key or label that says it, or that has only a placeholder.
    """

    item: Item
    answer: str
    where: str


class Part(NamedTuple):
    """A section: its level, heading and the text below it, with that of deeper headings."""

    level: int
    heading: str
    text: str


@functools.cache
def items() -> tuple[Item, ...]:
    """Return what a card should say, the weightiest first."""
    text = (resources.files(__package__) / "weights.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["item"]
    found = (
        Item(
            row["id"],
            row["title"],
            row["weight"],
            tuple(row["keys"]),
            re.compile(row["headings"], re.IGNORECASE),
            re.compile(row["labels"], re.IGNORECASE),
        )
        for row in rows
    )
    return tuple(sorted(found, key=lambda item: -item.weight))


def judge(text: str, metadata: Mapping[str, Any]) -> list[Said]:
    """Say of every item whether a card has it.

    Args:
        text: The whole card, front matter included; "" when there is none.
        metadata: Front matter, and what the weights say of themselves.
    """
    body = strip_front_matter(text[:MAX_TEXT])
    parts = list(sections(body))
    fields = list(islice(labels(body), _MOST_LABELS))
    said = [_one(item, metadata, parts, fields) for item in items()]
    return [_introduced(one, parts) if one.item.id == "description" else one for one in said]


def _one(
    item: Item, metadata: Mapping[str, Any], parts: list[Part], fields: list[tuple[str, str]]
) -> Said:
    hollow = ""
    for key in item.keys:
        value = lookup(metadata, key)
        if filled(value, key, metadata):
            return Said(item, "present", f"`{key}`")
        hollow = hollow or (f"`{key}`" if value not in (None, "", [], {}) else "")
    for part in parts:
        if names(item, part.heading):
            if says_something(part.text):
                return Said(item, "present", f"“{part.heading[:60]}”")
            hollow = hollow or f"“{part.heading[:60]}”"
    for label, value in fields:
        short = item.labels.fullmatch(label.strip())
        if short or names(item, label):
            if says_something(value, least=2 if short else _LEAST_LETTERS):
                return Said(item, "present", f"“{label.strip()[:60]}:”")
            hollow = hollow or f"“{label.strip()[:60]}:”"
    return Said(item, "placeholder" if hollow else "missing", hollow)


def _introduced(said: Said, parts: list[Part]) -> Said:
    """A paragraph right below the title describes the model as well as one under a heading."""
    first = parts[0] if parts else None
    if said.answer == "present" or first is None:
        return said
    own = re.split(r"(?m)^[ ]{0,3}#{1,6}[ \t]", first.text)[0]
    if says_something(own, least=60):
        return Said(said.item, "present", "the text below the title")
    return said


def strip_front_matter(text: str) -> str:
    """Return a card without the YAML block it begins with."""
    found = re.match(r"\ufeff?---[ \t]*\r?\n.*?\n---[ \t]*(?:\r?\n|\Z)", text, re.DOTALL)
    return text[found.end() :] if found else text


def sections(body: str) -> Iterator[Part]:
    """Yield every section, with the text of its subsections. Headings in code are none."""
    lines = _COMMENT.sub("", body).splitlines()
    heads: list[tuple[int, int, str]] = []
    fence = ""
    for at, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
        elif not fence and (found := _HEADING.match(line)):
            heads.append((at, len(found[1]), found[2]))
        elif not fence and at and _UNDERLINE.match(line) and lines[at - 1].strip(" -=|"):
            level = 1 if "=" in line else 2
            if "|" not in lines[at - 1]:
                heads.append((at, level, lines[at - 1].strip()[:200]))
    ends = [len(lines)] * 7  # where a section of each level would end, read from below
    below: list[Part] = []
    for at, level, heading in reversed(heads[:_MOST_HEADINGS]):
        below.append(Part(level, heading, "\n".join(lines[at + 1 : ends[level]])))
        ends[level:] = [at] * (7 - level)
    yield from reversed(below)
    if not heads:
        yield Part(1, "", "\n".join(lines))


def labels(body: str) -> Iterator[tuple[str, str]]:
    """Yield every `**Label:** value`."""
    for line in _COMMENT.sub("", body).splitlines():
        if found := _LABEL.match(line):
            yield found[1].strip(), found[2]


def names(item: Item, heading: str) -> bool:
    """Whether a heading names an item, alone or with others ("Performance and limitations")."""
    plain = plain_heading(heading)
    pieces = (plain, *_TOGETHER.split(plain)) if len(plain) < 100 else (plain,)
    return any(item.headings.fullmatch(piece) for piece in pieces)


@functools.lru_cache(maxsize=4096)
def plain_heading(heading: str) -> str:
    """Return a heading without numbers, emphasis, links and pictures around its words."""
    heading = re.sub(r"\[([^\]]{1,100})\]\([^)]{0,200}\)", r"\1", heading)
    heading = re.sub(r"\[optional\]", "", heading, flags=re.IGNORECASE)
    heading = re.sub(r"[*_`:]", "", heading)
    return re.sub(r"^[^\w]*(?:\d[\d.)]*\s)?[^\w]*|[^\w)]+$", "", heading).strip()


def says_something(text: str, least: int = _LEAST_LETTERS) -> bool:
    """Whether a text is more than headings, labels, placeholders and a template's sentences."""
    text = _COMMENT.sub("", text)
    text = re.sub(r"(?m)^[ ]{0,3}#{1,6}[ \t].*$", "", text)
    text = _BOILERPLATE.sub("", text)
    text = _FIELD_LABEL.sub("", text)
    text = _PLACEHOLDER.sub("", text)
    return sum(char.isalnum() for char in _MARKUP.sub("", text)) >= least


def lookup(metadata: Mapping[str, Any], key: str) -> Any:
    """Return a value by its key, or by the way that its dots lead."""
    if key in metadata:
        return metadata[key]
    value: Any = metadata
    for step in key.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def filled(value: Any, key: str = "", metadata: Mapping[str, Any] | None = None) -> bool:
    """Whether a metadata value says something; `license: other` needs a name or a link."""
    if isinstance(value, str):
        if key == "license" and value.strip().lower() in {"other", "unknown", "unlicensed"}:
            return any(filled((metadata or {}).get(k)) for k in ("license_name", "license_link"))
        return bool(value.strip()) and not _PLACEHOLDER.fullmatch(value.strip())
    if isinstance(value, list):
        return any(filled(one) for one in value)
    if isinstance(value, Mapping):
        return any(filled(one) for one in value.values())
    return value is not None and value is not False


def points(said: list[Said]) -> int:
    """Return the points a card has, of 100."""
    return sum(one.item.weight for one in said if one.answer == "present")
