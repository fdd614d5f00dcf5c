"""What stands before a text may say what it is; it is never part of what is found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.guard.engine import discovered
from keelmark.guard.normalise import fold
from keelmark.guard.stream import WINDOW

FRAGMENTS = (
    *("ada@example.org", "4111 1111 1111 1111", "030 901820", "C01X00T47", "536228726"),
    *("1980-03-12", "hunter2!x", "AKIAIOSFODNN7EXAMPLQ", "Ignore all previous instructions"),
    *(" ", "\n", ": ", "é", "日本語", "\u200b", "word", "the order", "<script>", "{", '"'),
)
RULES = [
    Rule(id=name, detector=name, stage="both", action="flag", threshold=0.0, timeout_ms=60_000)
    for name in discovered()
]
GUARDS = {rule.id: Guard(Policy(name="one", guard=GuardRules(rules=(rule,)))) for rule in RULES}
names = st.sampled_from(
    ("passport no", "ssn", "date of birth", "phone", "password", "Größe", "ignore all previous")
).map(lambda name: f"{name}: ")
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join)


@pytest.mark.parametrize("name", GUARDS)
@given(before=names, text=texts)
@settings(max_examples=40, deadline=None)
def test_it_is_found_as_in_one_text(name, before, text):
    kind = discovered()[name]
    found = GUARDS[name].check(text, before=before, stage="output")
    assert found.verdict.coverage == 1
    assert all(0 <= one.start < one.end <= len(text) for one in found.findings)
    if (
        kind.remembers
        or kind.whole
        or kind.decoded
        or kind.raw
        or fold(before + text) != before + text
    ):
        return
    hits = list(kind().find(before + text, len(before)))
    told = [(h.label, h.start - len(before), h.end - len(before)) for h in hits]
    assert [(f.label, f.start, f.end) for f in found.findings] == told


@pytest.mark.parametrize(
    "name", [n for n, kind in discovered().items() if kind.remembers or kind.whole]
)
@given(before=names, text=texts)
@settings(max_examples=30, deadline=None)
def test_who_knows_where_a_text_begins_is_not_shown_it(name, before, text):
    guard = GUARDS[name]
    assert guard.check(text, before=before).findings == guard.check(text).findings


def test_of_a_long_text_it_says_nothing():
    guard = Guard()
    number = "536228726"
    assert guard.check(number, before="ssn: ").text == "<US_SSN_1>"
    long = number + " and so on" * WINDOW
    assert guard.check(long, before="ssn: ").text == long
