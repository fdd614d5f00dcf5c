"""A policy in words, for whoever has to answer for it and reads no YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from keelmark.core.policy import Policy, Rule
from keelmark.core.scope import RuleException, Scope
from keelmark.guard.engine import discovered

_WHERE = {
    "both": "what a model reads and writes",
    "input": "what a model reads",
    "output": "what a model writes",
    "tool_call": "what a model writes to a tool",
    "tool_result": "what a tool returns",
    "retrieved": "documents that were looked up",
}
_DOES = {
    "mask": "masked: the model reads {}, and the user gets the value back",
    "redact": "taken out for good",
    "block": "a reason to stop the text",
    "flag": "noted, and nothing is done about it",
    "annotate": "left, with a marker behind it",
}
_INSTEAD = {"placeholder": "a placeholder", "surrogate": "a made-up value of the same form"}
_THRESHOLD = 0.5  # of rules that say none
_LOAD = {
    "sealed": "the bytes that were checked are the ones that are loaded, from memory",
    "hash": "the file is hashed before it is loaded",
    "mtime": "a file that looks unchanged is taken for the one that was checked",
}


def policy_in_words(policy: Policy, notes: list[str]) -> str:
    """Return what a policy demands after inheritance, a sentence for everything.

    Args:
        policy: The policy.
        notes: What is worth a warning (see `policy_notes`).
    """
    kinds = discovered()
    titles = {rule.detector: kinds[rule.detector].title for rule in policy.guard.rules}
    guarded = "What a rule cannot check is stopped, where nothing else is said. Rule by rule:"
    lines = [f"Policy {policy.name}, {policy.digest}", *(f"WARNING: {note}" for note in notes)]
    lines += ["", guarded if policy.guard.rules else "The guard has no rule."]
    for rule in policy.guard.rules:
        shadow = rule in policy.guard.shadowed
        lines.append(f"  {rule.id} {_rule(rule, titles, shadow=shadow)}")
    if policy.guard.exceptions:
        lines += ["", "What does not count:"]
        lines += (f"  {one.id}: {_exception(one)}" for one in policy.guard.exceptions)
    return "\n".join([*lines, "", *_rest(policy)])


def _rule(rule: Rule, titles: Mapping[str, str], *, shadow: bool) -> str:
    only = f", of it only {', '.join(rule.labels)}," if rule.labels else ""
    does = _DOES[rule.action].format(_INSTEAD[rule.replacement])
    said = [f"looks for {_thing(titles[rule.detector])}{only} in {_WHERE[rule.stage]}"]
    said.append(f"What it finds {'would be' if shadow else 'is'} {does}")
    if rule.roles:
        said.append(f"Of the roles, it reads {', '.join(rule.roles)}")
    said += (f"It is {part}" for part in _scope(rule.scope))
    if rule.threshold != _THRESHOLD:
        point = "operating point" if isinstance(rule.threshold, str) else "score"
        said.append(f"It counts from the {point} {rule.threshold} on")
    if rule.on_failure == "open":
        said.append("What it cannot check passes, and the record says so")
    if rule.config:
        said.append(f"Settings: {msgspec.json.encode(rule.config).decode()}")
    return f"{'(in shadow) ' if shadow else ''}{'. '.join(said)}."


def _thing(title: str) -> str:
    """A detector's title as a part of a sentence."""
    name, colon, parts = title.partition(": ")
    name = name if name[:2].isupper() else name[0].lower() + name[1:]
    return f"{name} ({parts})" if colon else name


def _exception(one: RuleException) -> str:
    rule = "no rule" if one.rule == "*" else f"rule {one.rule}"
    what = ", ".join(one.labels) or "what is found"
    like = [f"like {one.pattern}"] * bool(one.pattern) + ["of one value"] * bool(one.value)
    verb = "counts" if one.rule == "*" else "does not count"
    where = "".join(f", {part}" for part in _scope(one.scope))
    said = f"{rule} {verb} {' '.join([what, *like])}{where}, until {one.expires}"
    return f"{said}. {one.author}: {one.reason.rstrip('.')}."


def _scope(scope: Scope) -> Iterator[str]:
    for name, wanted in msgspec.to_builtins(scope).items():
        if wanted:
            yield f"only for the {name} {', '.join(wanted)}"


def _rest(policy: Policy) -> Iterator[str]:
    kept, admission = policy.retention, policy.admission
    if policy.routes.models:
        names = ", ".join(policy.routes.models)
        yield f"Who answers is told by routes for: {names} (`keelmark routes` shows them)."
    for what in (name for name in ("images", "audio") if getattr(policy.media, name) == "pass"):
        yield f"In chat, {what} may pass to engines that take them; nobody reads them here."
    if kept.content == "none":
        yield "Nothing of what is said is kept."
    else:
        yield f"What is said is kept for {kept.days} days, masked and encrypted for each person."
    yield (
        f"A model is served when no finding of severity {admission.fail_on.value} or above is in "
        f"it; {_LOAD[admission.load]}; a passport holds {admission.passport_days} days."
    )
    if admission.allow_incomplete:
        yield "Parts of a model that cannot be checked do not keep it from being served."
    for waiver in admission.waivers:
        yield f"Accepted until {waiver.expires}: {waiver.rule} in {waiver.path}. {waiver.reason}"
    may = "may serve" if admission.unattested == "allow" else "may not serve"
    yield f"Engines whose weights cannot be seen {may}."
    yield from (f"An evaluation must show: {gate.words}." for gate in policy.gates.require)
