"""Marks of prompt caches: where a prompt may be cut so that its beginning is reused.

Anthropic's Messages sets them on blocks (`cache_control`); in a chat call they stand on parts of
the texts of system and user, on whole messages of the others, on tools, on documents, and on the
call itself. An engine that does not know them gets the call without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keelmark.serve.errors import bad_request

MARK = "cache_control"
_HINTS = ("prompt_cache_key", "prompt_cache_retention")
_TTLS = (None, "5m", "1h")


def mark_of(block: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Return the mark of a block as a field to add; nothing when it has none.

    Raises:
        ApiError: 400, it is none that there is.
    """
    given = block.get(MARK)
    if given is None:
        return {}
    if not isinstance(given, dict) or given.get("type") != "ephemeral" or not _known(given):
        where = f"{at}.{MARK}" if at else MARK
        raise bad_request(
            f"The field `{where}` must be of the type `ephemeral`, with a `ttl` of 5m or 1h.", where
        )
    return {MARK: given}


def _known(given: Mapping[str, Any]) -> bool:
    return not given.keys() - {"type", "ttl"} and given.get("ttl") in _TTLS


def unmark(body: dict[str, Any]) -> None:
    """Take the marks out of a chat call; parts that were there only for them become one text."""
    body.pop(MARK, None)
    documents = body.get("documents")
    for document in documents if isinstance(documents, list) else ():
        if isinstance(document, dict):
            document.pop(MARK, None)
    for message in (*(body.get("messages") or ()), *(body.get("tools") or ())):
        message.pop(MARK, None)
        parts = message.get("content")
        if not isinstance(parts, list):
            continue
        marked = [part.pop(MARK, None) for part in parts]
        if not any(marked):
            continue
        texts = [part["text"] for part in parts if part.get("type") == "text"]
        if len(texts) == len(parts) and (message["role"] == "system" or len(parts) == 1):
            message["content"] = "\n\n".join(texts)


def drop_hints(body: dict[str, Any]) -> None:
    """Take out OpenAI's hints for its prompt cache."""
    for name in _HINTS:
        body.pop(name, None)
