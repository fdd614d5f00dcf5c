"""Documents of a request, written into its conversation: few chat templates have a place for them.

Engines that know the field give it to the chat template of the model, most of which leave it out,
and others refuse it or take no notice: the model would answer from memory, while the guard holds
the answer to documents that nobody has read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from keelmark.core.segments import RETRIEVED, TEXTS
from keelmark.serve.marks import MARK

_LONG = 40  # characters from which on a text that is said already is no chance
_MOST_SEARCHED = 50_000_000  # characters that are searched for texts said already
_END = re.compile(r"</(?=\s*document)", re.IGNORECASE)


def hand_over(body: dict[str, Any]) -> None:
    """Move the documents of a chat call before the text of its last user message, in place.

    A document whose text, forty characters or more, stands in the conversation already is not said
    twice, unless so much is said that the search would keep others waiting. A field of another
    form than a list or an object of documents is left to the engine, and so are all beside a prompt
    that goes on from a conversation: its scores are those of what was sent. Where a document has
    the mark of a prompt cache, a part of the message ends with it, and has the mark.
    """
    given = [one for name in RETRIEVED for one in _listed(body.get(name))]
    if not given or "prompt" in body or not isinstance(body.get("messages"), list):
        return
    for name in RETRIEVED:
        if _listed(body.get(name)):
            del body[name]
    spoken = "\n".join(_texts(body["messages"]))
    if len(given) * len(spoken) > _MOST_SEARCHED:
        spoken = ""
    parts = _parts([one for one in given if one and not _is_said(one, spoken)])
    if parts:
        _put(body["messages"], parts)


def _parts(documents: list[Any]) -> list[dict[str, Any]]:
    """The documents, as parts of a message: one, but for marks."""
    parts: list[dict[str, Any]] = []
    told: list[str] = []
    for number, one in enumerate(documents, 1):
        mark = _mark(one)
        told.append(_written(one))
        if mark or number == len(documents):
            part = {"type": "text", "text": "\n\n".join(told)}
            parts.append(part | ({MARK: mark} if mark else {}))
            told.clear()
    return parts


def _mark(document: str | dict[str, Any]) -> dict[str, Any] | None:
    mark = document.get(MARK) if isinstance(document, dict) else None
    return mark if isinstance(mark, dict) else None


def _listed(given: Any) -> list[Any]:
    known = given if isinstance(given, list) else [given]
    return known if all(isinstance(one, (str, dict)) for one in known) else []


def _texts(messages: list[Any]) -> list[str]:
    said = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        parts = content if isinstance(content, list) else [{"text": content}]
        said += [part.get("text") for part in parts if isinstance(part, dict)]
    return [text for text in said if isinstance(text, str)]


def _body(document: str | dict[str, Any]) -> tuple[str, str]:
    """The field that holds the text of a document, and the text; "" where there is none."""
    if isinstance(document, str):
        return "", document
    found = ((name, document[name]) for name in TEXTS if isinstance(document.get(name), str))
    return next(found, ("", ""))


def _is_said(document: str | dict[str, Any], spoken: str) -> bool:
    text = _body(document)[1].strip()
    return len(text) >= _LONG and text in spoken


def _written(document: str | dict[str, Any]) -> str:
    """A document between its marks: its short fields a line each, then its text."""
    main, text = _body(document)
    lines = []
    for name, value in document.items() if isinstance(document, dict) else ():
        if name != main and value is not None and not (name == MARK and _mark(document)):
            said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{name}: {said}")
    whole = "\n".join([*lines, text] if text else lines)
    return f"<document>\n{_END.sub('< /', whole)}\n</document>"


def _put(messages: list[Any], parts: list[dict[str, Any]]) -> None:
    """Put the parts before the last words of the user; a single one without a mark as text."""
    plain = "" if len(parts) > 1 or MARK in parts[0] else parts[0]["text"]
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if plain and not isinstance(content, list):
                message["content"] = f"{plain}\n\n{content}" if content else plain
                return
            own = content if isinstance(content, list) else [{"type": "text", "text": content}]
            message["content"] = [*parts, *(own if content else ())]
            return
    messages.append({"role": "user", "content": plain or parts})
