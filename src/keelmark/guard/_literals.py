"""JSON and Python's literals in a text, with where each value is written.

Both are read by one grammar, RFC 8259 with Python's quotes and names; the readers of the standard
library do not say where a value stands.
"""

from __future__ import annotations

import re
from contextlib import suppress

from keelmark.guard._html import is_html, read
from keelmark.guard._nodes import Node, placed, told, words

BEGIN = re.compile(r"[{\[](?=\s*(?:[{\[\"']|[uU][\"']))")
"""How a record may begin."""

_DEEPEST = 16
_FEW = 300  # code points of a list of plain values up to which it is one value
_TOKEN = re.compile(
    r"\s*(?:(?P<mark>[{}\[\]:,])|[uU]?(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<bare>[-+]?[\w.+-]+))",
    re.DOTALL,
)
_LITERAL = re.compile(r"[uU]?'([^']*)'")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")
_CUT_OFF = re.compile(r"\s*(?:[uU]?[\"'][^\n]*)?\Z")
_WRITTEN = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " "}


class NotARecordError(ValueError):
    """What begins here is no record, or one nested too deep.

    Attributes:
        at: How far it could be read.
    """

    def __init__(self, at: int) -> None:
        super().__init__(f"no record: something else begins at {at}")
        self.at = at


def value(text: str, at: int, name: str = "", depth: int = 0) -> Node:
    """Read the value that begins here; what the end of the text cuts off ends there.

    Args:
        text: What it is written in.
        at: Where it begins.
        name: Of the field that it is the value of.
        depth: How many brackets are around it.

    Raises:
        NotARecordError: There is none.
    """
    token = _token(text, at)
    start = token.start(token.lastgroup or 0)
    if depth > _DEEPEST:
        raise NotARecordError(start)
    if token["mark"] in {"{", "["}:
        return _held(text, start, name, depth)
    if token["mark"]:
        raise NotARecordError(start)
    return _leaf(token, name, start)


def _token(text: str, at: int) -> re.Match[str]:
    if token := _TOKEN.match(text, at):
        return token
    raise NotARecordError(at)


def _held(text: str, start: int, name: str, depth: int) -> Node:
    """Read the fields or items between two brackets."""
    fields, at = text[start] == "{", start + 1
    close = "}" if fields else "]"
    inner: list[Node] = []
    try:
        while (token := _token(text, at))["mark"] != close:
            own = ""
            if fields:
                own, at = _name(text, token)
            node = value(text, at, own, depth + 1)
            inner.append(node)
            at = _behind(text, node.end, close)
    except NotARecordError as error:
        if not inner or not _CUT_OFF.match(text, error.at):
            raise
        return _joined(Node(name, None, tuple(inner), start, inner[-1].end))
    return _joined(Node(name, None, tuple(inner), start, token.end()))


def _behind(text: str, at: int, close: str) -> int:
    """Where the next field or item may begin, or the bracket that closes them stands."""
    token = _token(text, at)
    if token["mark"] not in {",", close}:
        raise NotARecordError(at)
    return token.end() if token["mark"] == "," else at


def _name(text: str, token: re.Match[str]) -> tuple[str, int]:
    """The name of a field in words, and where its value begins."""
    colon = _token(text, token.end())
    if token["mark"] or colon["mark"] != ":":
        raise NotARecordError(token.end())
    return words(_unquoted(token)), colon.end()


def _joined(node: Node) -> Node:
    """A list of a few plain values is told as one value."""
    node = node._replace(inner=placed(node.inner))
    texts = [one.text for one in node.inner if one.text is not None and not one.name]
    if len(texts) < len(node.inner) or sum(map(len, texts)) > _FEW:
        return node
    return node._replace(text=", ".join(texts) or "not given", inner=())


def _leaf(token: re.Match[str], name: str, start: int) -> Node:
    said = _unquoted(token)
    if token["bare"] == "None":
        said = "null"
    if is_html(said):
        said = "".join(bit[0] for bit in read(said))
    if BEGIN.match(said):
        with suppress(NotARecordError):
            inside = value(said, 0, name, _DEEPEST - 4)
            if inside.end >= len(said.rstrip()):
                return _moved(inside, start, token.end())
    literal = _LITERAL.fullmatch(said)
    text = told(literal[1] if literal else said)
    same = text == token["bare"] or text == (token["text"] or "")[1:-1]
    return Node(name, text, (), start, token.end(), same)


def _moved(node: Node, start: int, end: int) -> Node:
    """A record that was written within a text: all of it is written where that stands."""
    inner = tuple(_moved(one, start, end) for one in node.inner)
    return node._replace(inner=inner, start=start, end=end, same=False)


def _unquoted(token: re.Match[str]) -> str:
    if token["bare"]:
        return token["bare"]
    said = _ESCAPE.sub(_unescaped, (token["text"] or "")[1:-1])
    if _HALF.search(said):  # `\ud83d\ude00` is one character; half of one is none
        said = said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return said


def _unescaped(found: re.Match[str]) -> str:
    if code := found[1] or found[2]:
        return chr(int(code, 16))
    return _WRITTEN.get(found[3], found[3])
