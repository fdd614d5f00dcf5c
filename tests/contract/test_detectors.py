"""The contract of detectors, for every one that is installed."""

import asyncio
import itertools
import re
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from guard_samples import told
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.guard.contract import LOOK_BEHIND, BaseDetector, Example, Hit
from keelmark.guard.engine import discovered
from keelmark.guard.normalise import fold

KINDS = dict(discovered())
EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name, kind in KINDS.items()
    for number, example in enumerate(kind.examples)
]
each = pytest.mark.parametrize("name", KINDS)


def reading(kind: type[BaseDetector], text: str) -> str:
    return text if kind.raw else fold(text)


def before(hits: Iterable[Hit], limit: int) -> list[Hit]:
    return [hit for hit in hits if hit.start < limit]


def check_law(detector: BaseDetector, text: str) -> None:
    """Every prefix decides what it says it decides, and a window sees what the whole shows."""
    whole = list(detector.find(text))
    assert all(a.end <= b.start for a, b in itertools.pairwise(whole))
    for end in range(len(text) + 1):
        prefix = text[:end]
        limit = detector.open_from(prefix)
        assert 0 <= limit <= end
        shown = prefix[:limit] if detector.costly else prefix
        assert before(detector.find(shown), limit) == before(whole, limit), (prefix, limit)
    for start in range(len(text) + 1):
        if any(hit.start < start < hit.end for hit in whole):
            continue
        skip = max(0, start - LOOK_BEHIND)
        seen = told(detector, text, start).find(text[skip:], start - skip)
        moved = [replace(hit, start=hit.start + skip, end=hit.end + skip) for hit in seen]
        assert moved == [hit for hit in whole if hit.start >= start], start
        if not detector.remembers and detector.quiet(text[skip:] + "\n", start - skip):
            assert not moved, "white space after the end: nothing is open, so nothing is there"


def test_there_are_detectors() -> None:
    assert {"personal_data", "secrets", "prompt_injection", "invisible_text"} <= set(KINDS)


@each
def test_says_what_it_is(name: str) -> None:
    kind = KINDS[name]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert kind.title
    assert kind.version
    assert kind.labels
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", label) for label in kind.labels)
    assert len(set(kind.labels)) == len(kind.labels)
    assert all(re.fullmatch(r"[a-z0-9-]+:[a-z0-9.-]+", tag) for tag in kind.tags)
    assert kind.languages
    assert kind.tier in {1, 2, 3, 4}
    assert kind.__doc__


def test_scores_have_the_names_that_scripts_rely_on() -> None:
    assert KINDS["prompt_injection"].family == "injection"


@each
def test_settings_have_defaults_and_forbid_what_is_unknown(name: str) -> None:
    config = KINDS[name].Config
    assert config() == msgspec.convert({}, config)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such_setting": 1}, config)


@each
def test_has_examples_of_found_and_clean(name: str) -> None:
    found = [bool(example.labels) for example in KINDS[name].examples]
    assert len(found) >= 4
    assert True in found
    assert False in found
    assert all(example.note for example in KINDS[name].examples)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_example_gives_its_labels(name: str, example: Example) -> None:
    kind = KINDS[name]
    detector = example.detector(kind)
    hits = list(detector.find(reading(kind, example.text)))
    counting = [hit for hit in hits if hit.score >= example.least]
    assert tuple(hit.label for hit in counting) == example.labels
    assert all(hit.label in detector.labels and 0 <= hit.score <= 1 for hit in hits)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_example_keeps_the_law(name: str, example: Example) -> None:
    kind = KINDS[name]
    check_law(example.detector(kind), reading(kind, example.text))


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_reasons_do_not_quote_the_text(name: str, example: Example) -> None:
    kind = KINDS[name]
    text = reading(kind, example.text)
    for hit in example.detector(kind).find(text):
        assert hit.reason
        assert len(hit.reason) < 100
        span = text[hit.start : hit.end]
        assert len(span) == 1 or span not in hit.reason


def guard(name: str, example: Example) -> Guard:
    config = dict(example.config)
    action = "flag" if KINDS[name].whole else "redact"
    rule = Rule(id="r", detector=name, action=action, threshold=0.0, config=config)
    return Guard(Policy(guard=GuardRules(rules=(rule,))))


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_example_streams_the_same_however_it_is_split(name: str, example: Example) -> None:
    judge = guard(name, example)
    text = f"{example.text} and so on."

    def leaves(parts: list[str]) -> tuple[str, object]:
        request = judge.open()
        asyncio.run(request.check_input(example.request.segments))
        channel = request.channel("c")
        out = "".join([*(channel.feed(part) for part in parts), channel.finish()])
        verdict = request.output_verdict()
        assert verdict.outcome.examined, verdict.rules
        return out, [(f.label, f.start, f.end, f.score) for f in verdict.findings]

    whole = leaves([text])
    assert leaves(list(text)) == whole
    step = max(1, len(text) // 40)
    for cut in range(0, len(text) + 1, step):
        assert leaves([text[:cut], text[cut:]]) == whole
    for size in (3, 7, 16):
        assert leaves([text[i : i + size] for i in range(0, len(text), size)]) == whole


shards = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.text("0123456789 -./:@+()abcdefXYZ=_\n\"'", max_size=12),
        st.sampled_from(
            [
                part
                for kind in KINDS.values()
                for example in kind.examples
                for part in (example.text, example.text[: len(example.text) // 2])
                if len(part) < 80
            ]
            or [""]
        ),
    ),
    max_size=4,
).map("".join)


@each
@settings(max_examples=25, deadline=None)
@given(text=shards)
def test_any_text_keeps_the_law(name: str, text: str) -> None:
    kind = KINDS[name]
    check_law(kind.examples[0].detector(kind), reading(kind, text))


@each
def test_a_memory_belongs_to_one_text(name: str) -> None:
    for example in KINDS[name].examples:
        detector = example.detector(KINDS[name])
        if not detector.remembers:
            assert detector.for_text() is detector
            continue
        text = reading(type(detector), example.text)
        told(detector, text * 3, 3 * len(text))
        hits = list(detector.for_text().find(text))
        assert tuple(hit.label for hit in hits) == example.labels
        assert list(detector.find(text)) == hits


@each
def test_asking_twice_answers_the_same(name: str) -> None:
    kind = KINDS[name]
    detector = kind.examples[0].detector(kind)
    texts = [reading(kind, example.text) for example in kind.examples]
    first = [list(detector.find(text)) for text in texts]
    assert [list(detector.find(text)) for text in reversed(texts)] == first[::-1]


HOSTILE = ("a", "1", "1 ", "a@", "a.", "-", "=", "A1", "aA0/+", " ", "\n", "é", "\u200b", "i ", "<")


@each
@pytest.mark.timeout(30)
@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_hostile_lengths_come_to_an_end(name: str, unit: str) -> None:
    """In linear time that is a part of a second, in quadratic time minutes (bench/hostile.py)."""
    kind = KINDS[name]
    detector = kind.examples[0].detector(kind)
    text = reading(kind, unit * ((1 << 16) // len(unit)))
    hits = list(detector.find(text))
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert 0 <= detector.open_from(text) <= len(text)


def test_the_policies_that_come_with_keelmark_fit_the_detectors() -> None:
    for name in ("default", "strict"):
        assert Guard(name).describe()["detectors"]
