"""The guard as a library and as the port that the gateway uses."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from keelmark.core.aside import aside
from keelmark.core.findings import TextFinding
from keelmark.core.form import AnswerForm, Expected, Formed
from keelmark.core.policy import Limits, Policy, Rule
from keelmark.core.ports import Again, InputResult, Rated, Sample, Segment
from keelmark.core.scope import NOWHERE, Origin
from keelmark.core.segments import read_segments, write_back
from keelmark.core.verdict import Verdict
from keelmark.guard._canaries import plant
from keelmark.guard.binding import bound, letting_pass
from keelmark.guard.bodies import Read, at_once, body_of, like
from keelmark.guard.contract import Request
from keelmark.guard.engine import Detectors, Engine
from keelmark.guard.excuses import first
from keelmark.guard.forms import Forms, streamed
from keelmark.guard.looks import Look
from keelmark.guard.needs import needed
from keelmark.guard.places import channel_role, is_answer, place
from keelmark.guard.rating import rated
from keelmark.guard.reading import read_all
from keelmark.guard.ready import policy_at, read_policy, shipped_policies, shipped_policy
from keelmark.guard.run import MEMORY, Probe, Run, heavy
from keelmark.guard.shadow import GuardedText, Shadow, ShadowedChannel
from keelmark.guard.standins import Mask
from keelmark.guard.stream import Channel
from keelmark.guard.tape import as_read
from keelmark.guard.vault import Vault
from keelmark.guard.warm import warm
from keelmark.guard.whole import judged

__all__ = ["Guard", "GuardedRequest", "Result", "read_policy", "shipped_policies", "shipped_policy"]

_LIMITS = Limits()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard makes of one text.

    Attributes:
        text: The text after masking and redaction; "" when the verdict stops it.
        verdict: The verdict, with findings and one result per rule.
        scores: Best score of each family of detectors that ran, 0 to 1.
    """

    text: str
    verdict: Verdict
    scores: dict[str, float]

    @property
    def findings(self) -> tuple[TextFinding, ...]:
        """What counted, in the order of the text."""
        return self.verdict.findings


class Guard:
    """Judges, masks and redacts text by a policy.

    Args:
        policy: A policy, the name of one that comes with Keelmark (`default`, `strict`), or the
            path of a YAML file. None means `default`.
        detectors: The detectors to choose from; all that are installed when None.
        shadow: A second policy, of which only is recorded what it would have done.
        key: Secret of the installation, for exceptions that name a value by its keyed hash, and
            for surrogates.

    Attributes:
        policy: The policy in force; `second` is the one in shadow, or None.

    Raises:
        UsageError: The policy cannot be read, or a rule asks for what does not exist.
    """

    def __init__(
        self,
        policy: Policy | str | Path | None = None,
        *,
        detectors: Detectors | None = None,
        shadow: Policy | str | Path | None = None,
        key: bytes = b"",
    ) -> None:
        self.policy = policy_at(policy)
        self._digest = self.policy.digest
        self._key = key
        self._asked = Request()
        rules = self.policy.guard
        self._engine = Engine(
            rules.enforced, detectors, exceptions=rules.exceptions, key=key, cascade=rules.cascade
        )
        shadows: list[Shadow] = []
        if rules.shadowed:
            engine = Engine(rules.shadowed, detectors, exceptions=rules.exceptions, key=key)
            shadows.append(Shadow(engine, self._digest, beside=True))
        self.second = None if shadow is None else policy_at(shadow)
        if self.second is not None:
            excused = self.second.guard.exceptions
            engine = Engine(self.second.guard.rules, detectors, exceptions=excused, key=key)
            shadows.append(Shadow(engine, self.second.digest))
        self._shadows = tuple(shadows)

    def about(self, asked: Sequence[Segment]) -> Guard:
        """Return the same guard for texts that answer a request with these segments."""
        other = copy.copy(self)
        vars(other)["_asked"] = Request(tuple(asked))
        return other

    @property
    def policy_digest(self) -> str:
        """Digest of the policy in force."""
        return self._digest

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of the policy in force and of what is in shadow."""
        return (self._digest, *(shadow.policy_digest for shadow in self._shadows))

    @property
    def judges_form(self) -> bool:
        """See GuardPort."""
        engines = (self._engine, *(shadow.engine for shadow in self._shadows))
        plans = [one.plan("output", role) for one in engines for role in ("", "tool_call")]
        return any(probe.detector.whole for plan in plans for probe in plan)

    def warm(self) -> None:
        """Load and compile what detectors need on first use, so that no request waits for it."""
        warm((self._engine, *(shadow.engine for shadow in self._shadows)))

    def describe(self) -> dict[str, Any]:
        """Return what the ledger's `policy.loaded` record says of rules and detectors."""
        told = self._engine.describe()
        shadows = [rule for shadow in self._shadows for rule in shadow.engine.describe()["rules"]]
        excused = [
            {"id": one.id, "rule": one.rule, "author": one.author, "expires": one.expires}
            for one in self.policy.guard.exceptions
        ]
        more = {"shadow": shadows, "exceptions": excused}
        return told | {name: value for name, value in more.items() if value}

    def check(
        self,
        text: str,
        *,
        stage: str = "input",
        role: str = "user",
        every: bool = False,
        origin: Origin = NOWHERE,
        mask: Mask | None = None,
        before: str = "",
    ) -> Result:
        """Judge one whole text.

        Findings go to the end of the text, also behind one that blocks. Masked values are not
        kept: use `open` to get them back in an answer.

        Args:
            text: The text.
            stage: `input` (what a model reads), `output` (what it writes), or a part of these:
                `tool_call`, `tool_result`, `retrieved`.
            role: Role of an input text.
            every: Also run detectors that no rule asks for, so that `scores` are complete.
            origin: Where the request comes from, for rules that are for some requests only.
            mask: Makes what stands for a masked value from its label and the value; numbered
                placeholders in what a model reads, and redaction in the rest, when None.
            before: What stands before the text and is not part of it, such as the name of its
                field and a colon: it may say what the text is, and nothing is found in it.

        Raises:
            UsageError: There is no such stage or role.
        """
        began = perf_counter()
        engine, (side, role) = self._engine.within(origin), place(stage, role)
        run = Run(bound(engine.plan(side, role, every=every), self._asked))
        mask = mask or (Vault([text], self._key).mask if side == "input" else None)
        out = "".join(judged(run, text, mask=mask, decoding=side == "input", before=before))
        ms = 1000 * (perf_counter() - began)
        verdict = engine.verdict(side, [run], self._digest, ms)
        if self._shadows:
            said = [one.within(origin).on_text(text, side, role) for one in self._shadows]
            verdict = msgspec.structs.replace(verdict, shadow=tuple(said))
        return Result(text="" if verdict.stops else out, verdict=verdict, scores=run.best)

    def stream(
        self,
        stage: str = "output",
        *,
        role: str = "user",
        is_json: bool = False,
        origin: Origin = NOWHERE,
    ) -> GuardedText:
        """Return a stream that guards one text while it comes; `verdict` says what was found.

        Masking rules redact here; decoded views are read in whole texts only. For the answer to a
        request use `open`: it gives masked values back and knows what was asked.

        Args:
            stage: As for `check`.
            role: Role of an input text.
            is_json: Whether the text is a JSON document.
            origin: Where the request comes from, for rules that are for some requests only.

        Raises:
            UsageError: There is no such stage or role.
        """
        engine, (side, role) = self._engine.within(origin), place(stage, role)
        shadows = tuple(one.within(origin) for one in self._shadows)
        run = Run(streamed(bound(engine.plan(side, role), self._asked)))

        def verdict(ms: float) -> Verdict:
            said = tuple(one.so_far(side) for one in shadows)
            own = engine.verdict(side, [run], self._digest, ms)
            return msgspec.structs.replace(own, shadow=said) if said else own

        filters = [one.reader(side, role, is_json=is_json) for one in shadows]
        return GuardedText(run, verdict, is_json=is_json, filters=filters)

    def counting(
        self, found: TextFinding, stage: str, role: str, origin: Origin = NOWHERE
    ) -> list[Rule]:
        """Return the rules for which something counts that a detector saw in the past.

        Args:
            found: What it saw; exceptions that ask for its value do not hold.
            stage: `input` or `output`.
            role: Role of the text; "" when it is not known.
            origin: Where the request came from.
        """
        return [
            rule
            for probe in self._engine.within(origin).plan(stage, role)
            if probe.id == found.detector and not first(probe.excuses, found.label, "", 0, 0)
            for rule in probe.rules
            if found.score >= float(rule.threshold)
            and (not rule.labels or found.label in rule.labels)
        ]

    def looking(self, names: Sequence[str]) -> Look:
        """See keelmark.core.looking.Looks. Raises UsageError."""
        return Look(self.policy, names, self._engine, self._request)

    def open(self, origin: Origin = NOWHERE) -> GuardedRequest:
        """Begin a request with an empty vault.

        Args:
            origin: Where the request comes from, for rules that are for some requests only.
        """
        shadows = tuple(one.within(origin) for one in self._shadows) if self._shadows else ()
        return self._request(self._engine.within(origin), shadows)

    def _request(self, engine: Engine, shadows: tuple[Shadow, ...] = ()) -> GuardedRequest:
        return GuardedRequest(engine, self._digest, shadows, self._key, self.policy.limits)


class GuardedRequest:
    """The guard of one request: its vault and its channels, which end with it.

    Args:
        engine: Rules and detectors.
        policy_digest: Digest of the policy in force.
        shadows: Policies and rules of which only is recorded what they would have done.
        key: Secret of the installation, for surrogates that stay the same in a conversation.
        limits: How deep what is read may be nested.
    """

    def __init__(
        self,
        engine: Engine,
        policy_digest: str,
        shadows: tuple[Shadow, ...] = (),
        key: bytes = b"",
        limits: Limits = _LIMITS,
    ) -> None:
        self._limits = limits
        self._shadows = shadows
        self._key = key
        self._engine = engine
        self._digest = policy_digest
        self.again: Again | None = None
        self._vault = Vault()
        self._request = Request()
        self._plans: dict[tuple[str, bool], tuple[Probe, ...]] = {}
        self._channels: dict[str, Channel] = {}
        self._forms: Forms | None = None

    def expect(self, form: AnswerForm) -> Expected:
        """See RequestGuard.

        Raises:
            FormError: A rule that fails closed cannot check this form.
        """
        self._forms = Forms(self._engine, self._digest)
        shadowed = [shadow.expect(form) for shadow in self._shadows]
        expected = self._forms.expect(form)
        return expected._replace(judged=expected.judged or any(shadowed))

    def formed(self, name: str, text: str, tool: str | None = None) -> Formed:
        """See RequestGuard."""
        for shadow in self._shadows:
            shadow.formed(name, text, tool)
        return self._forms.formed(name, text, tool) if self._forms else Formed(text)

    def read(self, request: str | Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> Read:
        """Judge and mask a request as the gateway does; for programs without one.

        Args:
            request: What a user says; messages in OpenAI's form, with tool calls and tool results;
                or the body of a whole request, with `tools` and `documents` in it. It stays as it
                is.

        Raises:
            UsageError: It is none of these, or nested too deeply.
        """
        body = body_of(request)
        reading = read_segments(body, self._limits)
        result = at_once(self.check_input(reading.segments))
        if result.verdict.stops:
            return Read(request=None, verdict=result.verdict)
        write_back(reading, result.texts)
        return Read(request=like(request, body), verdict=result.verdict)

    async def check_input(self, segments: Sequence[Segment]) -> InputResult:
        """Judge and mask everything the model will read.

        Every text of the request has to be there at once, so that no placeholder can be mistaken
        for something that was typed. Gives way to other requests after each window of a long
        text. When the verdict stops the request, the texts are empty.
        """
        vault = Vault([as_read(s.text) if s.is_json else s.text for s in segments], self._key)
        self._vault = vault
        given = segments
        segments, texts, runs, spent = await read_all(
            self._engine, segments, vault.mask, MEMORY.get()
        )
        verdict = self._engine.verdict("input", runs, self._digest, 1000 * spent)
        if self._shadows:
            said = [await one.on_input(given) for one in self._shadows]
            verdict = msgspec.structs.replace(verdict, shadow=tuple(said))
        if verdict.stops:
            texts = [""] * len(texts)
        canary = plant(segments, texts) if self._engine.plants and not verdict.stops else ""
        read = [msgspec.structs.replace(s, text=t) for s, t in zip(segments, texts, strict=True)]
        self._request, self._plans = Request(tuple(read), canary=canary), {}
        needs = needed(self._plan("", answer=True), self._engine, self._shadows)
        return InputResult(texts=tuple(texts), verdict=verdict, needs=needs)

    def sampled(self, samples: Sequence[Sample]) -> None:
        """See RequestGuard."""
        self._request, self._plans = self._request._replace(samples=tuple(samples)), {}
        for shadow in self._shadows:
            shadow.sampled(samples)

    async def rated(self, text: str) -> dict[str, Rated]:
        """See RequestGuard."""
        plan = self._engine.plan("input", "user")
        return await aside(rated, plan, text) if heavy(plan) else rated(plan, text)

    def channel(self, name: str, *, is_json: bool = False) -> Channel:
        """Return the stream for one channel of the answer, made on first use."""
        if name not in self._channels:
            role = channel_role(name)
            run = Run(self._plan(role, answer=is_answer(name)), name)
            run.again = self.again
            if self._shadows:
                vault = self._vault
                filters = [one.channel(name, role, vault, is_json=is_json) for one in self._shadows]
                shadowed = ShadowedChannel(run, vault, is_json=is_json, filters=filters)
                self._channels[name] = shadowed
            else:
                self._channels[name] = Channel(run, self._vault, is_json=is_json)
        return self._channels[name]

    def _plan(self, role: str, *, answer: bool) -> tuple[Probe, ...]:
        """What reads a channel of the answer."""
        if (role, answer) not in self._plans:
            plan = streamed(self._engine.plan("output", role))
            plan = bound(plan, self._request, answer=answer)
            self._plans[role, answer] = letting_pass(self._vault, plan)
        return self._plans[role, answer]

    def output_verdict(self) -> Verdict:
        """The verdict over all channels so far."""
        channels = self._channels.values()
        ms = 1000 * sum(channel.seconds for channel in channels)
        runs = [channel.run for channel in channels]
        if self._forms is not None:
            runs += self._forms.runs
            ms += 1000 * self._forms.seconds
        verdict = self._engine.verdict("output", runs, self._digest, ms)
        shadow = tuple(one.output_verdict() for one in self._shadows)
        return msgspec.structs.replace(verdict, shadow=shadow) if shadow else verdict
