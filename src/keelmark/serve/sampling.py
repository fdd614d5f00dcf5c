"""Other answers to a request, asked for beside the first, so that the guard can compare them.

Only for policies with a rule that wants them. The same model gets the same request, at temperature
1 and for a bounded answer. Nobody is shown what it says; the first answer is held until they are
there, or have taken too long.
"""

from __future__ import annotations

import asyncio

from keelmark.core.ports import Sample
from keelmark.serve.bounds import asked_output
from keelmark.serve.calls import Call
from keelmark.serve.further import SAMPLES, Further, Said

MOST_TOKENS = 512
"""Longest sample."""

_LEFT_OUT = frozenset(
    {
        "seed", "top_k", "top_p", "min_p", "tools", "tool_choice", "parallel_tool_calls",
        "functions", "function_call",
    }
)  # fmt: skip


def comparable(call: Call) -> bool:
    """Whether other answers to a call are wanted, and say anything of its own."""
    asked, body = call.asked, call.body
    if not call.needs.samples or asked is None or asked.document or call.forced:
        return False
    several = asked.choices != (body.get("n") or 1)  # prompts
    return not several and body.get("tool_choice", "auto") in ("auto", "none", None)


class Sampling:
    """The samples for one answer.

    Args:
        further: Asks the engine of the call.
    """

    def __init__(self, further: Further) -> None:
        self._further = further
        self._tasks: list[asyncio.Task[Said]] = []

    def begin(self) -> None:
        """Ask for them, if that is not done."""
        further, count = self._further, self._further.call.needs.samples
        if not self._tasks:
            body = further.body(min(asked_output(further.call.body) or MOST_TOKENS, MOST_TOKENS))
            body = {name: value for name, value in body.items() if name not in _LEFT_OUT}
            body["temperature"] = 1.0
            self._tasks = [
                asyncio.create_task(further.ask(SAMPLES, body, None)) for _ in range(count)
            ]

    async def all(self) -> list[Sample]:
        """Wait for them, as long as the policy says; return those that came."""
        self.begin()
        done, late = await asyncio.wait(self._tasks, timeout=self._further.call.needs.seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        said = [task.result() for task in self._tasks if task in done]
        return [Sample(one.text, one.whole) for one in said if one.text]
