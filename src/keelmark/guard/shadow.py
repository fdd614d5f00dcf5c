"""Shadow: the same texts under rules that are not in force, on the side and without effect.

A shadow has its own runs and filters. It shares nothing with the guard but the detectors, which
are stateless, so it cannot change what leaves, when it leaves, or the verdict. It costs its own
time. What it would have written is thrown away; its verdict is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

from keelmark.core.form import AnswerForm
from keelmark.core.ports import Segment
from keelmark.core.scope import NOWHERE, Origin
from keelmark.core.verdict import Verdict
from keelmark.guard.contract import Request
from keelmark.guard.engine import Engine, bound
from keelmark.guard.forms import Forms, streamed
from keelmark.guard.run import Run
from keelmark.guard.stream import Channel, Filter
from keelmark.guard.vault import Vault
from keelmark.guard.whole import judged


class Shadow:
    """Rules in shadow; one is opened for each request.

    Args:
        engine: The rules and detectors.
        policy_digest: Digest of the policy that they come from.
    """

    def __init__(self, engine: Engine, policy_digest: str) -> None:
        self.engine = engine
        self.policy_digest = policy_digest
        self._request = Request()
        self._runs: list[Run] = []
        self._seconds = 0.0
        self._forms: Forms | None = None

    def within(self, origin: Origin = NOWHERE) -> Shadow:
        """Return a shadow for one request."""
        return Shadow(self.engine.within(origin), self.policy_digest)

    def on_text(self, text: str, side: str, role: str) -> Verdict:
        """Judge one whole text of `input` or `output`."""
        began = perf_counter()
        run = Run(self.engine.plan(side, role))
        for _ in judged(run, text, mask=None, decoding=side == "input"):
            pass
        return self._verdict(side, [run], perf_counter() - began)

    async def on_input(self, segments: Sequence[Segment]) -> Verdict:
        """Judge everything that a model reads."""
        self._request = Request(tuple(segments))
        spent, runs = 0.0, []
        for segment in segments:
            began = perf_counter()
            run = Run(self.engine.plan("input", segment.role), segment.path)
            for _ in judged(run, segment.text, mask=None, is_json=segment.is_json):
                spent += perf_counter() - began
                await asyncio.sleep(0)
                began = perf_counter()
            runs.append(run)
        return self._verdict("input", runs, spent)

    def channel(self, name: str, role: str, *, is_json: bool) -> ShadowFilter:
        """Return what reads one channel of the answer."""
        run = Run(bound(streamed(self.engine.plan("output", role)), self._request), name)
        self._runs.append(run)
        return ShadowFilter(self, run, is_json=is_json)

    def expect(self, form: AnswerForm) -> bool:
        """Take note of the form that the answer was asked for in; say whether it is judged.

        What cannot be checked stops nothing here: the verdict says it.
        """
        self._forms = Forms(self.engine, self.policy_digest)
        return self._forms.expect(form, strict=False).judged

    def formed(self, name: str, text: str, tool: str | None = None) -> None:
        """Judge the form of one whole text of the answer."""
        if self._forms is not None:
            self._forms.formed(name, text, tool)

    def output_verdict(self) -> Verdict:
        """The verdict over all channels so far."""
        runs, seconds = list(self._runs), self._seconds
        if self._forms is not None:
            runs += self._forms.runs
            seconds += self._forms.seconds
        return self._verdict("output", runs, seconds)

    def spend(self, seconds: float) -> None:
        """Note the time that a channel took."""
        self._seconds += seconds

    def _verdict(self, side: str, runs: Sequence[Run], seconds: float) -> Verdict:
        return self.engine.verdict(side, runs, self.policy_digest, 1000 * seconds)


class ShadowFilter:
    """Reads one channel for a shadow."""

    def __init__(self, shadow: Shadow, run: Run, *, is_json: bool) -> None:
        self._shadow = shadow
        self._filter = Filter(run, is_json=is_json)

    def feed(self, text: str, *, final: bool = False) -> None:
        """Take the next piece, or the end."""
        began = perf_counter()
        if final:
            self._filter.finish(text)
        else:
            self._filter.feed(text)
        self._shadow.spend(perf_counter() - began)


class ShadowedChannel(Channel):
    """A channel of which shadows read along."""

    def __init__(
        self, run: Run, vault: Vault, *, is_json: bool, filters: Sequence[ShadowFilter]
    ) -> None:
        super().__init__(run, vault, is_json=is_json)
        self._shadows = filters

    def feed(self, text: str) -> str:
        """See Channel."""
        if not self.blocked:
            for one in self._shadows:
                one.feed(text)
        return super().feed(text)

    def finish(self) -> str:
        """See Channel."""
        for one in self._shadows:
            one.feed("", final=True)
        return super().finish()
