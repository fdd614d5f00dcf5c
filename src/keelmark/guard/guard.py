"""The guard as a library and as the port that the gateway uses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.findings import TextFinding
from keelmark.core.policy import Policy, parse_policy
from keelmark.core.ports import InputResult, Segment
from keelmark.core.verdict import Verdict
from keelmark.guard import decode
from keelmark.guard.contract import Request
from keelmark.guard.engine import ROLES, Detectors, Engine, bound
from keelmark.guard.run import Probe, Run
from keelmark.guard.seams import mend
from keelmark.guard.stream import WINDOW, Channel, Filter, Mask
from keelmark.guard.tape import as_read
from keelmark.guard.vault import Vault

_POLICIES = Path(__file__).parent / "policies"


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


def shipped_policies() -> tuple[str, ...]:
    """Return the names of the policies that come with Keelmark."""
    return tuple(sorted(path.stem for path in _POLICIES.glob("*.yaml")))


@cache
def shipped_policy(name: str = "default") -> Policy:
    """Return a policy that comes with Keelmark.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in shipped_policies():
        known = ", ".join(shipped_policies())
        raise UsageError(f"No policy called {name!r} comes with Keelmark; there are: {known}.")
    text = (_POLICIES / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_policy(text, source=f"policy {name}")


def _policy(given: Policy | str | Path | None) -> Policy:
    if isinstance(given, Policy):
        return given
    if given is None or given in shipped_policies():
        return shipped_policy(str(given or "default"))
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"The policy {path} cannot be read: {why}.") from None
    return read_policy(text, source=str(path))


def read_policy(text: str, *, source: str) -> Policy:
    """Read a policy; where it says nothing of guard rules, those of `default` are in force.

    Raises:
        UsageError: Not a policy; the message names the line.
    """
    return parse_policy(text, source=source, rules=shipped_policy().guard.rules)


class Guard:
    """Judges, masks and redacts text by a policy.

    Args:
        policy: A policy, the name of one that comes with Keelmark (`default`, `strict`), or the
            path of a YAML file. None means `default`.
        detectors: The detectors to choose from; all that are installed when None.

    Raises:
        UsageError: The policy cannot be read, or a rule asks for what does not exist.
    """

    def __init__(
        self, policy: Policy | str | Path | None = None, *, detectors: Detectors | None = None
    ) -> None:
        self.policy = _policy(policy)
        self._digest = self.policy.digest
        self._engine = Engine(self.policy.guard.rules, detectors)

    @property
    def policy_digest(self) -> str:
        """Digest of the policy in force."""
        return self._digest

    def describe(self) -> dict[str, Any]:
        """Return `rules` and `detectors` as the ledger's `policy.loaded` record wants them."""
        return self._engine.describe()

    def check(
        self, text: str, *, stage: str = "input", role: str = "user", every: bool = False
    ) -> Result:
        """Judge one whole text.

        Findings go to the end of the text, also behind one that blocks. Masked values are not
        kept: use `open` to get them back in an answer.

        Args:
            text: The text.
            stage: `input` (what a model reads) or `output` (what it writes).
            role: Role of an input text.
            every: Also run detectors that no rule asks for, so that `scores` are complete.

        Raises:
            UsageError: There is no such stage or role.
        """
        began = perf_counter()
        run = self._run(stage, role, every=every)
        mask = Vault([text]).mask if stage == "input" else None
        out = "".join(_judged(run, text, mask=mask, decoding=stage == "input"))
        verdict = self._verdict(stage, [run], began)
        families = {probe.detector.family or probe.id: 0.0 for probe in run.plan}
        return Result(
            text="" if verdict.stops else out, verdict=verdict, scores=families | run.scores
        )

    def stream(
        self, stage: str = "output", *, role: str = "user", is_json: bool = False
    ) -> Channel:
        """Return a stream that guards one text while it comes (see `TextStream`).

        Masking rules redact here; decoded views are read in whole texts only.

        Args:
            stage: `input` or `output`.
            role: Role of an input text.
            is_json: Whether the text is a JSON document.

        Raises:
            UsageError: There is no such stage or role.
        """
        return Channel(self._run(stage, role), is_json=is_json)

    def open(self) -> GuardedRequest:
        """Begin a request with an empty vault."""
        return GuardedRequest(self._engine, self._digest)

    def _run(self, stage: str, role: str, *, every: bool = False) -> Run:
        if stage not in {"input", "output"}:
            raise UsageError(f"There is no stage {stage!r}; use input or output.")
        if role not in ROLES:
            known = ", ".join(sorted(ROLES))
            raise UsageError(f"There is no role {role!r}; use one of: {known}.")
        return Run(self._engine.plan(stage, role if stage == "input" else "", every=every))

    def _verdict(self, stage: str, runs: list[Run], began: float) -> Verdict:
        ms = 1000 * (perf_counter() - began)
        return self._engine.verdict(stage, runs, self._digest, ms)


def _judged(
    run: Run, text: str, *, mask: Mask | None, is_json: bool = False, decoding: bool = True
) -> Iterator[str]:
    """Judge a whole text to its end; yield what may leave, after each window."""
    known = decode.hits(run, as_read(text) if is_json else text) if decoding else ()
    judge = Filter(run, mask=mask, is_json=is_json, known=known, whole=True)
    last = max(0, len(text) - 1) // WINDOW * WINDOW
    for start in range(0, last, WINDOW):
        yield judge.feed(text[start : start + WINDOW])
    yield judge.finish(text[last:])


class GuardedRequest:
    """The guard of one request: its vault and its channels, which end with it.

    Args:
        engine: Rules and detectors.
        policy_digest: Digest of the policy in force.
    """

    def __init__(self, engine: Engine, policy_digest: str) -> None:
        self._engine = engine
        self._digest = policy_digest
        self._vault = Vault()
        self._request = Request()
        self._plan: tuple[Probe, ...] | None = None
        self._channels: dict[str, Channel] = {}

    async def check_input(self, segments: Sequence[Segment]) -> InputResult:
        """Judge and mask everything the model will read.

        Every text of the request has to be there at once, so that no placeholder can be mistaken
        for something that was typed. Gives way to other requests after each window of a long
        text. When the verdict stops the request, the texts are empty.
        """
        spent = 0.0
        vault = Vault([as_read(s.text) if s.is_json else s.text for s in segments])
        self._vault = vault
        began = perf_counter()
        texts: list[str] = []
        segments, runs = await self._mended(segments)
        for segment in segments:
            run = Run(self._engine.plan("input", segment.role), segment.path)
            pieces = []
            for piece in _judged(run, segment.text, mask=vault.mask, is_json=segment.is_json):
                pieces.append(piece)
                if perf_counter() - began > _SLICE:
                    spent += perf_counter() - began
                    await asyncio.sleep(0)
                    began = perf_counter()
            runs.append(run)
            texts.append("".join(pieces))
        ms = 1000 * (spent + perf_counter() - began)
        verdict = self._engine.verdict("input", runs, self._digest, ms)
        if verdict.stops:
            texts = [""] * len(texts)
        pairs = zip(segments, texts, strict=True)
        self._request = Request(tuple(msgspec.structs.replace(s, text=text) for s, text in pairs))
        return InputResult(texts=tuple(texts), verdict=verdict)

    async def _mended(self, segments: Sequence[Segment]) -> tuple[list[Segment], list[Run]]:
        """Take care of what crosses from one part of a message to the next."""
        out, runs = list(segments), list[Run]()
        wholes: dict[str, list[int]] = {}
        for number, segment in enumerate(segments):
            if segment.part_of:
                wholes.setdefault(segment.part_of, []).append(number)
        for path, numbers in wholes.items():
            if len(numbers) > 1:
                plan = self._engine.plan("input", out[numbers[0]].role)
                parts = [out[number].text for number in numbers]
                mended, looked = await mend(plan, path, parts, self._vault.mask)
                runs += looked
                for number, text in zip(numbers, mended, strict=True):
                    out[number] = msgspec.structs.replace(out[number], text=text)
        return out, runs

    def channel(self, name: str, *, is_json: bool = False) -> Channel:
        """Return the stream for one channel of the answer, made on first use."""
        if name not in self._channels:
            if self._plan is None:
                self._plan = bound(self._engine.plan("output"), self._request)
            run = Run(self._plan, name)
            self._channels[name] = Channel(run, self._vault, is_json=is_json)
        return self._channels[name]

    def output_verdict(self) -> Verdict:
        """The verdict over all channels so far."""
        channels = self._channels.values()
        ms = 1000 * sum(channel.seconds for channel in channels)
        return self._engine.verdict("output", [c.run for c in channels], self._digest, ms)


_SLICE = 0.005  # seconds of work before other requests get their turn
