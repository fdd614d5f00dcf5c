"""What is written in the place of a finding, or behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter, le

from keelmark.core.policy import Replacement, Rule
from keelmark.guard.normalise import fold
from keelmark.guard.run import Seen
from keelmark.guard.tape import Replace

Mask = Callable[[str, str, Replacement], str]
"""From label, value and kind of replacement to what stands for the value."""

TAKES = frozenset({"mask", "redact"})
"""What a rule does that takes something out of a text."""

_SPAN, _START, _END = attrgetter("start", "end"), attrgetter("start"), attrgetter("end")


def joined(seen: list[Seen]) -> Iterator[list[Seen]]:
    """Yield what overlaps together, from left to right."""
    if len(seen) == 1:
        yield seen
        return
    ordered = sorted(seen, key=_SPAN)
    if all(map(le, map(_END, ordered), map(_START, islice(ordered, 1, None)))):
        yield from ([one] for one in ordered)
        return
    group: list[Seen] = []
    reach = 0
    for one in ordered:
        if group and one.start >= reach:
            yield group
            group = []
        group.append(one)
        reach = max(reach, one.end) if len(group) > 1 else one.end
    if group:
        yield group


def annotation(group: list[Seen]) -> str:
    """Return what is written behind what overlaps and stays: the marker of each rule, once."""
    told = (
        spelled(marked(rule, one.hit.label, f" [{one.hit.label.lower()}]"), one.hit.within)
        for one in group
        for rule in one.rules()
        if rule.action == "annotate" and one.hit.within != "record"
    )
    return "".join(dict.fromkeys(told))


def spelled(text: str, within: str) -> str:
    """Return a text as it is written: within quotes of JSON, in its place with quotes, or as is."""
    return {"": text, "quotes": json.dumps(text)[1:-1], "record": json.dumps(text)}[within]


def marked(rule: Rule, label: str, otherwise: str) -> str:
    """Return the marker of a rule for what it has found."""
    return rule.marker.replace("{label}", label.lower()) if rule.marker else otherwise


def substitute(group: list[Seen], mask: Mask | None) -> Replace:
    """Return what puts something in the place of what overlaps: a placeholder, or the label."""
    if told := next((one.instead for one in group if one.instead is not None), ""):
        return lambda _: told
    longest = group[0] if len(group) == 1 else _longest(group)
    label = longest.hit.label
    if mask is None or any("redact" in one.actions() for one in group):
        rules = (rule for rule in longest.rules() if rule.action == "redact")
        told = next((marked(rule, label, "") for rule in rules), "")
        unseen = longest.probe.detector.unseen
        # Only what others read past: without it they would have read another text.
        return lambda value: told or ("" if unseen and not fold(value) else f"[{label}]")
    wanted = next(rule.replacement for rule in longest.rules() if rule.action == "mask")
    return lambda value: mask(label, value, wanted)


def _longest(group: list[Seen]) -> Seen:
    """Return what names all of what overlaps: the longest of what can be seen."""
    shown = [one for one in group if not one.probe.detector.unseen] or group
    return max(shown, key=lambda one: (one.end - one.start, one.hit.score, one.hit.label))
