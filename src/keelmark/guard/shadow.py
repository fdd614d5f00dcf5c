"""Shadow: the same texts under rules that are not in force, on the side and without effect.

A shadow has its own runs and filters. It shares nothing with the guard but the detectors, which
are stateless, so it cannot change what leaves, when it leaves, or the verdict. It costs its own
time. What it would have written is thrown away; its verdict is kept.

It sees what it would see if it were in force. What the model is given to read was changed by the
policy that is: where a placeholder or a surrogate stands for a value, the shadow reads the value,
as the model would have written it. And a value that the shadow would have taken out of the prompt
does not count in the answer: the model would not have known it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

from keelmark.core.form import AnswerForm
from keelmark.core.policy import Replacement
from keelmark.core.ports import Sample, Segment
from keelmark.core.scope import NOWHERE, Origin
from keelmark.core.verdict import Verdict
from keelmark.guard.binding import bound
from keelmark.guard.contract import Request, Token
from keelmark.guard.engine import Engine
from keelmark.guard.excuses import Values
from keelmark.guard.forms import Forms, streamed
from keelmark.guard.places import is_answer
from keelmark.guard.reading import read_all
from keelmark.guard.run import Probe, Run
from keelmark.guard.stream import Channel, Filter
from keelmark.guard.vault import Unmasker, Vault
from keelmark.guard.whole import judged


class Shadow:
    """Rules in shadow; one is opened for each request.

    Args:
        engine: The rules and detectors.
        policy_digest: Digest of the policy that they come from.
        beside: Whether they would be in force beside the ones that are, not instead of them.
    """

    def __init__(self, engine: Engine, policy_digest: str, *, beside: bool = False) -> None:
        self.engine = engine
        self.policy_digest = policy_digest
        self._beside = beside
        self._taken: set[str] = set()
        self._request = Request()
        self._runs: list[Run] = []
        self._seconds = 0.0
        self._forms: Forms | None = None

    def within(self, origin: Origin = NOWHERE) -> Shadow:
        """Return a shadow for one request."""
        return Shadow(self.engine.within(origin), self.policy_digest, beside=self._beside)

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
        read = await read_all(self.engine, segments, _label)
        for segment, run in zip(read.segments, read.runs[-len(read.segments) :], strict=True):
            self._taken.update(_taken_out(run, segment.text))
        return self._verdict("input", read.runs, read.seconds)

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Take other answers to the request."""
        self._request = self._request._replace(samples=tuple(samples))

    def plan(self, role: str = "", *, answer: bool = True) -> tuple[Probe, ...]:
        """What would read a channel of the answer; see `bound`."""
        return bound(streamed(self.engine.plan("output", role)), self._request, answer=answer)

    def channel(self, name: str, role: str, vault: Vault, *, is_json: bool) -> ShadowFilter:
        """Return what reads one channel of the answer.

        Args:
            name: The channel.
            role: Role of what is written there.
            vault: What stands for values in the answer, by the policy in force.
            is_json: Whether it is a JSON document.
        """
        plan = self.plan(role, answer=is_answer(name))
        unread = Values((*self._taken, *(vault.values if self._beside else ())), _UNREAD)
        if unread:
            plan = tuple(probe._replace(excuses=(*probe.excuses, unread)) for probe in plan)
        run = Run(plan, name)
        self._runs.append(run)
        return ShadowFilter(self, run, vault, is_json=is_json)

    def reader(self, side: str, role: str, *, is_json: bool) -> ShadowFilter:
        """Return what reads one text that belongs to no request."""
        run = Run(streamed(self.engine.plan(side, role)))
        self._runs.append(run)
        return ShadowFilter(self, run, Vault(), is_json=is_json)

    def so_far(self, side: str) -> Verdict:
        """The verdict over what was read of the texts of a side."""
        return self._verdict(side, self._runs, self._seconds)

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
    """Reads one channel for a shadow, with the user's values in place."""

    def __init__(self, shadow: Shadow, run: Run, vault: Vault, *, is_json: bool) -> None:
        self._shadow = shadow
        self._run = run
        self._filter = Filter(run, is_json=is_json)
        self._unmasker = Unmasker(vault, is_json=is_json) if vault else None

    def weigh(self, tokens: Sequence[Token]) -> None:
        """Take note of the log-probabilities of what comes next."""
        for probe in self._run.mindful:
            probe.detector.weigh(tokens)

    def feed(self, text: str, *, final: bool = False) -> None:
        """Take the next piece, or the end."""
        began = perf_counter()
        if self._unmasker:
            text = self._unmasker.feed(text, final=final)
        if final:
            self._filter.finish(text)
        else:
            self._filter.feed(text)
        self._shadow.spend(perf_counter() - began)


_UNREAD = "a value passed that the model would not have read"


def _label(label: str, _value: str, _replacement: Replacement) -> str:
    return f"<{label}>"


def _taken_out(run: Run, text: str) -> Iterator[str]:
    """The values of a text that its rules would have masked or redacted."""
    acting = {
        rule.id for probe in run.plan for rule in probe.rules if rule.action in {"mask", "redact"}
    }
    return (text[one.start : one.end] for one in run.findings if one.rule in acting)


class ShadowedChannel(Channel):
    """A channel of which shadows read along."""

    def __init__(
        self, run: Run, vault: Vault | None, *, is_json: bool, filters: Sequence[ShadowFilter]
    ) -> None:
        super().__init__(run, vault, is_json=is_json)
        self._shadows = filters

    def weigh(self, tokens: Sequence[tuple[str, float]]) -> None:
        """See Channel."""
        for one in self._shadows:
            one.weigh([Token(*token) for token in tokens])
        super().weigh(tokens)

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


class GuardedText(ShadowedChannel):
    """One text that is guarded while it comes, and belongs to no request.

    Args:
        run: The probes, and where to write down what becomes of them.
        verdict: Makes the verdict, from the time that was spent, milliseconds.
        is_json: Whether the text is a JSON document.
        filters: The shadows that read along.
    """

    def __init__(
        self,
        run: Run,
        verdict: Callable[[float], Verdict],
        *,
        is_json: bool,
        filters: Sequence[ShadowFilter],
    ) -> None:
        super().__init__(run, None, is_json=is_json, filters=filters)
        self._verdict = verdict

    @property
    def verdict(self) -> Verdict:
        """The verdict over what has come so far."""
        return self._verdict(1000 * self.seconds)
