"""Looking through a request without acting on it: what routes ask before an engine is chosen.

A name stands for a rule of the policy (its detector, settings, labels and threshold), a detector,
a label, or a tag of detectors; detectors are set as the policy's rules set them. Exceptions of
rules do not count here: they say what may be shown, not where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.looking import Looked
from keelmark.core.policy import Policy, Rule
from keelmark.core.scope import EVERYWHERE
from keelmark.core.yamlfile import meant
from keelmark.guard._languages import language
from keelmark.guard.engine import Engine, discovered
from keelmark.guard.run import MEMORY, Memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from keelmark.core.ports import RequestGuard, Segment
    from keelmark.guard.engine import Detectors

_SPOKEN = frozenset({"user", "input"})
_LONGEST = 20_000
"""Characters of which the language is told."""


class Look:
    """Looks for some things in requests. Implements `keelmark.core.looking.Looking`.

    Args:
        policy: The policy whose rules may be named.
        names: What to look for.
        engine: The guard's rules; their detectors are used where they are set alike.
        open_: Begins a request whose guard goes by an engine.

    Raises:
        UsageError: Nothing is called so.
    """

    def __init__(
        self,
        policy: Policy,
        names: Sequence[str],
        engine: Engine,
        open_: Callable[[Engine], RequestGuard],
    ) -> None:
        kinds = discovered()
        self._names: dict[str, str] = {}
        self._open = open_
        rules: list[Rule] = []
        for name in dict.fromkeys(names):
            for rule in _rules(name, policy, kinds):
                own = msgspec.structs.replace(rule, id=f"look-{len(rules)}")
                self._names[own.id] = name
                rules.append(own)
        self._engine = engine.of(rules)

    async def look(self, segments: Sequence[Segment]) -> Looked:
        """See Looking. The guard of this request, which comes later, need not ask again."""
        MEMORY.set(Memory())
        verdict = (await self._open(self._engine).check_input(segments)).verdict
        found = frozenset(self._names[finding.rule] for finding in verdict.findings)
        lost = {self._names[one.rule] for one in verdict.rules if not one.outcome.examined}
        if verdict.coverage < 1 or verdict.stops:
            lost.update(self._names.values())
        return Looked(found, frozenset(lost) - found)

    def language(self, segments: Sequence[Segment]) -> str:
        """See Looking."""
        texts = [one.text for one in segments if one.role in _SPOKEN]
        return language("\n".join(texts)[-_LONGEST:])


def _rules(name: str, policy: Policy, kinds: Detectors) -> Iterator[Rule]:
    """The rules that look for what is called so."""
    own = [rule for rule in policy.guard.rules if rule.id == name]
    if not own:
        sets = [rule for rule in policy.guard.rules if _reads(rule.detector, kinds)]
        used = {rule.detector for rule in sets}
        sets += [
            Rule(id=one, detector=one, action="flag")
            for one in kinds
            if one not in used and _reads(one, kinds)
        ]
        own = list(_asked(name, sets, kinds))
    if not own:
        raise UsageError(f"nothing that can be found is called {name!r}; {_meant(name, policy)}")
    for rule in own:
        yield msgspec.structs.replace(
            rule,
            action="flag",
            stage="input",
            roles=(),
            mode="enforce",
            scope=EVERYWHERE,
            on_failure="closed",
            repair=None,
        )


def _asked(name: str, sets: Sequence[Rule], kinds: Detectors) -> Iterator[Rule]:
    """Rules with the settings of others, each setting once, for a detector, a tag or a label."""
    seen: list[tuple[str, object]] = []
    for rule in sets:
        kind = kinds[rule.detector]
        whole = name == rule.detector or name in kind.tags
        if not (whole or name in _labels(rule, kinds)) or (rule.detector, rule.config) in seen:
            continue
        seen.append((rule.detector, rule.config))
        yield msgspec.structs.replace(rule, labels=() if whole else (name,))


def _labels(rule: Rule, kinds: Detectors) -> Sequence[str]:
    """The labels that a detector gives as it is set."""
    kind = kinds[rule.detector]
    try:
        return kind(msgspec.convert(rule.config, kind.Config)).labels
    except Exception:  # boundary: settings that are wrong are told where the guard is made
        return kind.labels


def _reads(detector: str, kinds: Detectors) -> bool:
    """Whether a detector is there, and for what a model reads."""
    return detector in kinds and not kinds[detector].whole


def _meant(name: str, policy: Policy) -> str:
    kinds = discovered()
    known = {rule.id for rule in policy.guard.rules}
    for kind_id, kind in kinds.items():
        known |= {kind_id, *kind.labels, *kind.tags}
    return meant(name, known)
