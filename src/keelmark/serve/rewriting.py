"""A sentence that does not rest on its sources is asked for again.

Only for policies with a rule that says so (`repair`), and for chat. The guard works in a thread
then and waits there, in one of few that may wait. The engine gets what it was given, the sentence,
and what is wrong with it; what it answers is judged like the first.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from threading import BoundedSemaphore
from typing import Any

from keelmark.core.aside import MOST_WAITING
from keelmark.core.ports import Another
from keelmark.serve.further import ANSWERED, REPAIR, Further

SECONDS = 30.0
"""Longest wait for a sentence."""
MOST = 32
"""Sentences that are asked for in one answer."""

_TOKENS = 96
_SEATS = BoundedSemaphore(MOST_WAITING)
_STOPPED = Another(None, "the request was over")
_LEFT_OUT = frozenset(
    {"tools", "tool_choice", "functions", "function_call", "response_format", "stop"}
)
_AGAIN = (
    "That sentence does not hold: {reason}. Write one sentence in its place that says only what "
    "the sources above say, or that they do not tell. Write nothing else."
)


class Rewriting:
    """Asks the engine of a call for other sentences; see keelmark.core.ports.Again.

    Args:
        further: Asks it.
        loop: The loop that it is on.
    """

    def __init__(self, further: Further, loop: asyncio.AbstractEventLoop) -> None:
        self._further = further
        self._loop = loop
        self._asked = 0

    def __call__(self, sentence: str, reason: str) -> Another:
        """Wait for another sentence, in a thread."""
        if self._further.stopped:
            return _STOPPED
        if self._asked >= MOST:
            return Another(None, "too many were asked for in this answer")
        if not _SEATS.acquire(blocking=False):
            return Another(None, "too many requests wait for other sentences")
        self._asked += 1
        asking = self._further.ask(REPAIR, self._body(sentence, reason), SECONDS)
        waiting = asyncio.run_coroutine_threadsafe(asking, self._loop)
        try:
            said = waiting.result(2 * SECONDS)  # the loop has its own clock
        except (TimeoutError, CancelledError):
            waiting.cancel()
            return _STOPPED
        finally:
            _SEATS.release()
        if said.told != ANSWERED:
            return Another(None, said.told)
        if not said.text or not said.whole:
            return Another(None, "what was written instead has no end")
        return Another(said.text)

    def _body(self, sentence: str, reason: str) -> dict[str, Any]:
        body = self._further.body(_TOKENS)
        body["messages"] = [
            *body["messages"],
            {"role": "assistant", "content": sentence},
            {"role": "user", "content": _AGAIN.format(reason=reason)},
        ]
        return {name: value for name, value in body.items() if name not in _LEFT_OUT}
