"""What becomes of one text: detectors look, and what they say or fail to say is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from time import perf_counter
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from keelmark.core.errors import IntegrityError, UnavailableError
from keelmark.core.findings import TextFinding
from keelmark.core.grounding import Sentence
from keelmark.core.outcome import Outcome
from keelmark.core.policy import Rule
from keelmark.core.ports import Again
from keelmark.guard.contract import BaseDetector, ContractError, Hit
from keelmark.guard.excuses import Excuse, first


def heavy(plan: Iterable[Probe]) -> bool:
    """Whether a plan takes so long, or may ask an engine, that it is to be worked off aside."""
    return any(
        probe.detector.tier >= HEAVY
        or probe.detector.costly
        or any(rule.repair for rule in probe.rules)
        for probe in plan
    )


_TOLD = 256  # labels and scores that are remembered
_REWRITTEN = frozenset({"redact"})  # what becomes of what was asked for again
HEAVY = 3
"""The first tier that takes long: what comes before is cheap."""


class Probe(NamedTuple):
    """One detector with one configuration, and the rules that read its hits.

    Attributes:
        number: Its place in the plan.
        id: Detector id.
        detector: The detector.
        rules: Rules that read its hits; none when only its scores are wanted.
        patience: Seconds after which the first of the rules times out.
        told: What was said of hits so far, by label and score; it begins empty.
        excuses: What excuses a hit from each of its rules.
        yields: Whether it is not asked about a text that a cheaper tier has stopped.
    """

    number: int
    id: str
    detector: BaseDetector
    rules: tuple[Rule, ...]
    patience: float
    told: dict[tuple[str, float], tuple[list[Rule], frozenset[str]]]
    excuses: tuple[Excuse, ...] = ()
    yields: bool = False

    def weighed(self, hit: Hit) -> tuple[list[Rule], frozenset[str]]:
        """Return the rules for which a hit counts, by label and threshold, and their actions."""
        key = hit.label, hit.score
        if (known := self.told.get(key)) is None:
            rules = [
                rule
                for rule in self.rules
                if hit.score >= float(rule.threshold)
                and (not rule.labels or hit.label in rule.labels)
            ]
            known = rules, frozenset(rule.action for rule in rules)
            if len(self.told) < _TOLD:
                self.told[key] = known
        return known

    def counts(self, hit: Hit) -> bool:
        """Whether a hit counts for each of the rules."""
        return len(self.weighed(hit)[0]) == len(self.rules)

    @property
    def enough(self) -> int:
        """Hits that count for each rule after which no more are looked for; 0: never."""
        if not self.detector.enough or self.excuses or not self.rules:
            return 0
        idle = all(rule.action in {"block", "flag"} for rule in self.rules)
        return self.detector.enough if idle else 0


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A hit in the coordinates of the text as it reads, with the probe that saw it.

    `instead` is what was written when it was asked for again.
    """

    start: int
    end: int
    hit: Hit
    probe: Probe
    instead: str | None = None

    def rules(self) -> list[Rule]:
        """The rules for which the hit counts: by label and threshold."""
        return self.probe.weighed(self.hit)[0]

    def actions(self) -> frozenset[str]:
        """What the rules for which the hit counts do."""
        return _REWRITTEN if self.instead is not None else self.probe.weighed(self.hit)[1]


class Loss(NamedTuple):
    """A rule that could not examine a text, or not all of it.

    Attributes:
        outcome: failed, timeout, or skipped.
        reason: Why, without the text.
        examined: Code points it had examined.
    """

    outcome: Outcome
    reason: str
    examined: int


class Memory:
    """What detectors have said of the texts of one request, which is read more than once.

    A route may ask what is in a request before it is known who answers, and another engine may get
    it when one fails. Detectors say the same of the same text, so they are asked once.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[int, str, int, bool], tuple[BaseDetector, list[Hit], int]] = {}

    def ask(
        self, probe: Probe, sated: dict[int, int], text: str, start: int, *, final: bool
    ) -> tuple[list[Hit], int]:
        """Return what a detector has decided about a window, and up to where."""
        detector = probe.detector
        if detector.remembers or detector.enough:  # it depends on more than the window
            return _ask(probe, sated, text, start, final=final)
        key = id(detector), text, start, final
        if (said := self._said.get(key)) is None:
            hits, stop = _ask(probe, sated, text, start, final=final)
            said = self._said[key] = detector, hits, stop
        return [*said[1]], said[2]


_SPARED = "a cheaper tier had decided, so it was not asked"
MEMORY: ContextVar[Memory | None] = ContextVar("MEMORY", default=None)
"""Of the request that is at work; None where a request is read once."""


class Run:
    """What became of the probes on one text.

    Attributes:
        path: Where the text stands.
        plan: The probes.
        live: The probes that still run.
        mindful: The probes whose detectors remember.
        findings: What counted, in the order of the text.
        scores: Best score of each family, whether or not it counted.
        lost: Rules that could not examine the text.
        excused: Rules and exceptions because of which something that was found did not count.
        read: Code points that came in.
        decided: Code points that every live probe has decided.
        unread: Code points of encoded runs that could not be decoded for limits.
        sated: Probes that have found enough, by number, and how many hits of each counted.
        again: Asks the engine for another sentence; None where nobody can.
        rewritten: Where sentences began that were asked for again, and what came of it.
        place: From code points as detectors read them to those as they are written.
        closed: Whether the text has ended or was stopped, so that no more of it is to be decided.
        stopped: Whether a rule that fails closed could not examine the text.
        settled: Whether a cheap tier has stopped this text, or one before it.
    """

    def __init__(
        self,
        plan: tuple[Probe, ...],
        path: str = "",
        memory: Memory | None = None,
        *,
        settled: bool = False,
    ) -> None:
        self.path = path
        self._ask = _ask if memory is None else memory.ask
        self.plan = self.live = plan
        self.findings: list[TextFinding] = []
        self.scores: dict[str, float] = {}
        self.lost: dict[str, Loss] = {}
        self.excused: set[tuple[str, str]] = set()
        self.sated: dict[int, int] = {}
        self.again: Again | None = None
        self.rewritten: dict[int, str] = {}
        self.place: Callable[[int], int] = int
        self.read = self.decided = self.unread = 0
        self.stopped = self.closed = False
        self._mute: set[int] = set()
        self.settled = settled
        self._spent = [0.0] * len(plan)
        if any(probe.detector.remembers for probe in plan):
            self.plan = self.live = tuple(
                probe._replace(detector=probe.detector.for_text()) for probe in plan
            )
        self.mindful = tuple(probe for probe in self.plan if probe.detector.remembers)

    def look(self, probe: Probe, text: str, start: int, *, final: bool) -> tuple[list[Hit], int]:
        """Let a detector read a window.

        Args:
            probe: The detector and its rules.
            text: Context and what is held, as the detector reads it.
            start: Where what is held begins.
            final: Whether the text ends with the window.

        Returns:
            The decided hits, and from where on nothing is decided. A detector that fails has
            decided everything and found nothing: its rules are lost, which may stop the text.
        """
        began = perf_counter()
        try:
            answer = self._ask(probe, self.sated, text, start, final=final)
        except Exception as error:  # boundary: a detector's failure is a verdict, not a crash
            self._fail(probe, error)
            return [], len(text)
        self._spend(probe, began)
        return (self._counted(probe, answer[0], text), answer[1]) if probe.excuses else answer

    def _counted(self, probe: Probe, hits: list[Hit], text: str) -> list[Hit]:
        """Put what is excused below every threshold; it stays a hit, so nothing is cut in it."""
        kept = []
        for hit in hits:
            if excuse := first(probe.excuses, hit.label, text, hit.start, hit.end):
                self.excused.update((rule.id, excuse) for rule in probe.rules)
                kept.append(replace(hit, score=-1.0))
            else:
                kept.append(hit)
        return kept

    def spared(self, probe: Probe, seen: Iterable[Seen]) -> bool:
        """Whether cheaper tiers have stopped the text, so that a probe is not asked any more.

        Its rules say that they were not.
        """
        if not probe.yields:
            return False
        self.settled = self.settled or any(
            one.probe.detector.tier < HEAVY and "block" in one.actions() for one in seen
        )
        if not self.settled:
            return False
        for rule in probe.rules:
            self.lost.setdefault(rule.id, Loss(Outcome.SKIPPED, _SPARED, self.decided))
        self._mute.add(probe.number)
        self._retire(probe)
        return True

    def passed(self, probe: Probe, text: str) -> None:
        """Tell a detector that remembers what has left, as it reads it."""
        began = perf_counter()
        try:
            probe.detector.passed(text)
        except Exception as error:  # boundary: a detector's failure is a verdict, not a crash
            self._fail(probe, error)
        else:
            self._spend(probe, began)

    def _fail(self, probe: Probe, error: Exception) -> None:
        told = f"its detector raised {type(error).__name__}"
        if isinstance(error, UnavailableError | IntegrityError):  # these name no text
            told = error.message
        for rule in probe.rules:
            self._lose(rule, Outcome.FAILED, told)
        self._mute.add(probe.number)
        self._retire(probe)

    def _spend(self, probe: Probe, began: float) -> None:
        spent = self._spent[probe.number] + perf_counter() - began
        self._spent[probe.number] = spent
        if spent > probe.patience:
            for rule in probe.rules:
                if 1000 * spent > rule.timeout_ms:
                    self._lose(rule, Outcome.TIMEOUT, f"it took over {rule.timeout_ms} ms")
            if all(rule.id in self.lost for rule in probe.rules):
                self._mute.add(probe.number)
                self._retire(probe)

    def _retire(self, probe: Probe) -> None:
        self.live = tuple(other for other in self.live if other is not probe)

    def _lose(self, rule: Rule, outcome: Outcome, reason: str) -> None:
        if rule.id not in self.lost:
            self.lost[rule.id] = Loss(outcome, reason, self.decided)
            self.stopped = self.stopped or rule.on_failure == "closed"

    def note(self, seen: Seen, start: int, end: int) -> frozenset[str]:
        """Write down a decided hit with its place in the original; return what its rules do."""
        hit, probe = seen.hit, seen.probe
        detector = probe.detector
        family = detector.family or probe.id
        if hit.score > self.scores.setdefault(family, 0.0):
            self.scores[family] = hit.score
        rules, actions = probe.weighed(hit)
        tier = hit.tier or detector.tier
        for rule in rules:
            self.findings.append(
                TextFinding(
                    rule=rule.id,
                    detector=probe.id,
                    label=hit.label,
                    score=hit.score,
                    start=start,
                    end=end,
                    reason=hit.reason,
                    tier=tier,
                    path=self.path,
                )
            )
        if detector.enough and probe.enough and len(rules) == len(probe.rules):
            self.sated[probe.number] = self.sated.get(probe.number, 0) + 1
            if self.sated[probe.number] >= probe.enough:
                self._retire(probe)
        return actions

    @property
    def sentences(self) -> Iterator[Sentence]:
        """What detectors say of the sentences that have left, and of the one that blocked."""
        blocking = {
            rule.id for probe in self.plan for rule in probe.rules if rule.action == "block"
        }
        stops = (one.start + 1 for one in self.findings if one.rule in blocking)
        limit = min(self.decided, *stops, self.decided)
        for probe in self.plan:
            for one in map(self._written, probe.detector.judged()):
                if one.start < limit:
                    reason = one.reason + self.rewritten.get(one.start, "")
                    yield msgspec.structs.replace(one, path=self.path, reason=reason)

    def _written(self, one: Sentence) -> Sentence:
        """A sentence where it is written."""
        start, end = self.place(one.start), self.place(one.end)
        spans = tuple((self.place(first), self.place(last)) for first, last in one.spans)
        return msgspec.structs.replace(one, start=start, end=end, spans=spans)

    @property
    def best(self) -> dict[str, float]:
        """Best score of each family that was looked for to the end, and of what was seen."""
        read = (probe for probe in self.plan if probe.number not in self._mute)
        return {probe.detector.family or probe.id: 0.0 for probe in read} | self.scores

    def enough(self, probe: Probe) -> bool:
        """Whether a probe has found so much that it looked no further."""
        return 0 < probe.enough <= self.sated.get(probe.number, 0)

    def spent(self, probe: Probe) -> float:
        """Seconds that a probe took."""
        return self._spent[probe.number]

    def examined(self, probe: Probe, rule: Rule) -> int:
        """Code points of the text that a rule examined."""
        if rule.id in self.lost:
            return min(self.lost[rule.id].examined, self.read)
        open_end = 0 if self.closed else self.read - self.decided
        return self.read - open_end - (self.unread if probe.detector.decoded else 0)


def _ask(
    probe: Probe, sated: dict[int, int], text: str, start: int, *, final: bool
) -> tuple[list[Hit], int]:
    """Return what a detector has decided about a window, and up to where.

    Raises:
        ContractError: A hit or the border lies outside the window.
    """
    detector = probe.detector
    stop = len(text) if final else detector.open_from(text, start)
    if not start <= stop <= len(text):
        raise ContractError("A detector answered with a border outside the text.")
    if stop == start:
        return [], stop
    found: Iterable[Hit] = detector.find(text[:stop] if detector.costly else text, start)
    if detector.enough and (enough := probe.enough):
        found = _first(probe, found, enough - sated.get(probe.number, 0))
    hits = [hit for hit in found if hit.start < stop]
    if hits and not all(start <= hit.start < hit.end <= len(text) for hit in hits):
        raise ContractError("A detector answered with a place outside the text.")
    return hits, stop


def _first(probe: Probe, found: Iterable[Hit], most: int) -> Iterator[Hit]:
    """Yield hits until so many count for each rule."""
    for hit in found:
        yield hit
        most -= probe.counts(hit)
        if most <= 0:
            return
