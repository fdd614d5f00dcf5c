"""Log-probabilities of an answer: only for tokens whose text the guard released unchanged.

The alternatives and the bytes of a token could spell what the guard withholds, so the policy
`sampled` drops them. Tokens are matched against the released text; once a token does not match
(it was masked, unmasked, or it is not the text), the rest of the choice goes without.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple


class _Token(NamedTuple):
    text: str
    logprob: Any
    offset: Any


class SampledTokens:
    """The tokens of one channel that wait for their text to be released."""

    def __init__(self) -> None:
        self._waiting: deque[_Token] = deque()
        self._text = ""
        self._lost = False

    def take(self, given: Any, released: str, *, legacy: bool) -> dict[str, Any] | None:
        """Return the log-probabilities that may leave with the released text.

        Args:
            given: What the engine sent with its text: chat's or completions' form, or None.
            released: The text that the guard released at the same time.
            legacy: Whether to answer in completions' form.
        """
        if self._lost or (given is None and not self._waiting):
            self._lost = self._lost or bool(released)
            return None
        if given is not None:
            self._waiting.extend(tokens_in(given))
        ready = self._match(released)
        if given is None and not ready:
            return None
        if legacy:
            return {
                "tokens": [token.text for token in ready],
                "token_logprobs": [token.logprob for token in ready],
                "top_logprobs": None,
                "text_offset": [token.offset for token in ready],
            }
        return {"content": [_entry(token) for token in ready], "refusal": None}

    def _match(self, released: str) -> list[_Token]:
        self._text += released
        ready: list[_Token] = []
        at = 0
        while self._waiting and self._text.startswith(self._waiting[0].text, at):
            token = self._waiting.popleft()
            at += len(token.text)
            ready.append(token)
        self._text = self._text[at:]
        if self._waiting and not self._waiting[0].text.startswith(self._text):
            self._lost = True
            self._waiting.clear()
        return ready


def name_of(piece: bytes) -> str:
    """Return how a token is told; a part of a character as OpenAI does: `bytes:\\xf0\\x9f`."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def _entry(token: _Token) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": None, "top_logprobs": []}


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, (int, float)) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def tokens_in(given: Any) -> list[_Token]:
    """Read either form; anything else gives a token that never matches."""
    if not isinstance(given, dict):
        return [_Token("\0", None, None)]
    if "tokens" in given:
        texts = _list(given["tokens"])
        numbers = _list(given.get("token_logprobs"))
        offsets = _list(given.get("text_offset"))
        return [
            _Token(
                text if isinstance(text, str) else "\0",
                _number(numbers[at]) if at < len(numbers) else None,
                _number(offsets[at]) if at < len(offsets) else None,
            )
            for at, text in enumerate(texts)
        ]
    entries = _list(given.get("content"))
    return [
        _Token(str(entry.get("token", "\0")), _number(entry.get("logprob")), None)
        if isinstance(entry, dict)
        else _Token("\0", None, None)
        for entry in entries
    ]
