"""Documents and search results in Anthropic's Messages, as documents of a chat call."""

from __future__ import annotations

from typing import Any

from keelmark.serve.dialects._fields import Block, must, objects, text, unsupported
from keelmark.serve.marks import mark_of

KINDS = ("document", "search_result")
NO_TEXT = "files are not read here; send their text"
_CITED = "answers come without citations here; the grounding map says what rests on what"


class Documents:
    """The documents of a request.

    Args:
        places: Gets where each document stood, for errors.

    Attributes:
        found: Those found so far, as the field `documents` has them.
        places: See above.
    """

    def __init__(self, places: dict[str, str]) -> None:
        self.found: list[dict[str, Any]] = []
        self.places = places

    def add(self, block: Block, at: str) -> None:
        """Read a block of one of the `KINDS`.

        Raises:
            ApiError: 400, it is no text, is to be cited, or has a mark of a cache that is none.
        """
        cited = block.get("citations")
        if isinstance(cited, dict) and cited.get("enabled"):
            raise unsupported(f"{at}.citations", _CITED)
        if block["type"] == "search_result":
            said, where = _joined(block.get("content"), f"{at}.content"), "content"
            heads = ("title", "source")
        else:
            said, where = _of_source(block.get("source"), at)
            heads = ("title", "context")
        heading = {name: text(block, name, at) for name in heads if block.get(name) is not None}
        self.places[f"documents[{len(self.found)}].text"] = f"{at}.{where}"
        self.places[f"documents[{len(self.found)}]"] = at
        self.found.append({**heading, "text": said, **mark_of(block, at)})


def _of_source(source: Any, at: str) -> tuple[str, str]:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "text":
        return text(source, "data", f"{at}.source"), "source.data"
    if kind == "content":
        given = source.get("content")
        said = given if isinstance(given, str) else _joined(given, f"{at}.source.content")
        return said, "source.content"
    raise unsupported(at, NO_TEXT)


def _joined(given: Any, at: str) -> str:
    said = []
    for number, block in enumerate(objects(given, at)):
        if block.get("type") != "text":
            raise must(f"{at}[{number}].type", "`text`")
        said.append(text(block, "text", f"{at}[{number}]"))
    return "\n\n".join(said)
