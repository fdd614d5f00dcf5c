"""However a text is split, the same leaves, the same is found, and never a flagged character."""

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES, policy
from keelmark.core.outcome import Outcome
from keelmark.core.verdict import Verdict
from keelmark.guard import Guard
from keelmark.guard.normalise import folded
from keelmark.guard.stream import Channel

FRAGMENTS = (
    *("bob@x.example", "a@b.c", "@", "x.", "@host!", "bоb＠x。c", "ｂ@ｃ.ｄ", "e\u0301@b.c"),
    *("4111 1111 1111", "12345678", "1", "23-", "٤٥٦ ٧٨٩٠١", "open", "sesame", "open sesame"),
    *("op", "o\u200bpen\u200b sesame", "\u200b", "\u200b\u200b", "ﬁ", "é", "ﷺ", "\U0001f600"),
    *(" ", "  ", "\n", "-", ".", ",", "word", "the", "<EMAIL_1>", "<EMA", "[EMAIL]", "日本語"),
)
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join)

MIXED = policy(
    ("address", "redact"), ("digits", "redact"), ("unseen", "redact"), ("overlap", "flag")
)
BLOCKING = policy(
    ("phrase", "block"), ("address", "redact"), ("digits", "flag"), ("unseen", "redact")
)
UNION = policy(("overlap", "redact"), ("address", "redact"), ("digits", "block"))
POLICIES = [MIXED, BLOCKING, UNION]
GUARDS = [Guard(one, detectors=SAMPLES) for one in POLICIES]
guards = st.sampled_from(GUARDS)


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    at = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(at)]


def play(stream: Channel, parts: Sequence[str]) -> list[str]:
    return [*(stream.feed(part) for part in parts), stream.finish()]


def essence(verdict: Verdict) -> object:
    """What must not depend on how the text was split: everything but times."""
    return (
        verdict.outcome,
        verdict.stops,
        verdict.reason,
        verdict.coverage,
        sorted((f.rule, f.label, f.start, f.end, f.score) for f in verdict.findings),
        [(r.rule, r.outcome, r.reason) for r in verdict.rules],
    )


def judged(
    guard: Guard, parts: Sequence[str], *, is_json: bool = False
) -> tuple[list[str], object]:
    request = guard.open()
    out = play(request.channel("c", is_json=is_json), parts)
    return out, essence(request.output_verdict())


def prefixes(out: Sequence[str], whole: str) -> bool:
    so_far = ""
    for part in out:
        so_far += part
        if not whole.startswith(so_far):
            return False
    return so_far == whole


@settings(max_examples=60, deadline=None)
@given(guards, texts)
def test_split_at_every_point(guard: Guard, text: str) -> None:
    whole, verdict = judged(guard, [text])
    for cut in range(len(text) + 1):
        out, other = judged(guard, [text[:cut], text[cut:]])
        assert prefixes(out, "".join(whole)), cut
        assert other == verdict, cut


@settings(max_examples=250, deadline=None)
@given(guards, texts, st.lists(st.integers(0, 400), max_size=40))
def test_any_split(guard: Guard, text: str, cuts: list[int]) -> None:
    whole, verdict = judged(guard, [text])
    out, other = judged(guard, pieces(text, cuts))
    assert prefixes(out, "".join(whole))
    assert other == verdict


@settings(max_examples=100, deadline=None)
@given(guards, texts)
def test_character_by_character(guard: Guard, text: str) -> None:
    whole, verdict = judged(guard, [text])
    out, other = judged(guard, list(text))
    assert prefixes(out, "".join(whole))
    assert other == verdict


@settings(max_examples=250, deadline=None)
@given(texts, st.lists(st.integers(0, 400), max_size=20))
def test_what_leaves_is_what_a_naive_reading_says(text: str, cuts: list[int]) -> None:
    """An oracle of its own: find everything in the whole text, join, replace."""
    view = folded(text)
    spans = [
        (*view.origin(hit.start, hit.end), hit.score, hit.label)
        for name in ("address", "digits")
        for hit in SAMPLES[name]().find(view.text)
    ]
    spans += [(hit.start, hit.end, hit.score, hit.label) for hit in SAMPLES["unseen"]().find(text)]
    expected, done = "", 0
    for start, end, label in joined(spans):
        expected += text[done:start] + f"[{label}]"
        done = end
    out, _ = judged(GUARDS[0], pieces(text, cuts))
    assert "".join(out) == expected + text[done:]


def joined(spans: list[tuple[int, int, float, str]]) -> list[tuple[int, int, str]]:
    groups: list[list[tuple[int, int, float, str]]] = []
    for span in sorted(spans):
        if groups and span[0] < max(one[1] for one in groups[-1]):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [
        (g[0][0], max(s[1] for s in g), max(g, key=lambda s: (s[1] - s[0], *s[2:]))[3])
        for g in groups
    ]


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(0, 400), max_size=20))
def test_stream_and_check_agree(text: str, cuts: list[int]) -> None:
    guard = GUARDS[0]
    checked = guard.check(text, stage="output")
    out, verdict = judged(guard, pieces(text, cuts))
    assert "".join(out) == checked.text
    assert verdict == essence(checked.verdict)


escaping = st.sampled_from(["ensure", "keep", "all"])


def spell(value: object, how: str) -> str:
    document = json.dumps(value, ensure_ascii=how == "ensure")
    if how == "all":
        document = document.replace("@", "\\u0040").replace("<", "\\u003C").replace("e", "\\u0065")
    return document


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(texts, st.one_of(texts, st.integers(0, 10**12), st.lists(texts, max_size=2))),
    escaping,
    st.lists(st.integers(0, 2000), max_size=40),
)
def test_json_stays_json_however_it_is_split(
    value: dict[str, object], how: str, cuts: list[int]
) -> None:
    document = spell(value, how)
    whole, verdict = judged(GUARDS[0], [document], is_json=True)
    out, other = judged(GUARDS[0], pieces(document, cuts), is_json=True)
    assert prefixes(out, "".join(whole))
    assert other == verdict
    json.loads("".join(out))


@pytest.mark.parametrize("how", ["ensure", "keep", "all"])
def test_json_is_read_through_its_escapes(how: str) -> None:
    document = spell({"to": "bob@x.example", "n": 4111111111111111, "q": 'a "b" \U0001f600'}, how)
    out, _ = judged(GUARDS[0], list(document), is_json=True)
    assert json.loads("".join(out)) == {
        "to": "[EMAIL]",
        "n": "[DIGITS]",
        "q": 'a "b" \U0001f600',
    }


def test_a_block_ends_the_channel_before_the_span() -> None:
    stream = GUARDS[1].stream()
    out = play(stream, list("hello bob@x.example, open sesame and more a@b.c"))
    assert "".join(out) == "hello [EMAIL], "
    assert stream.blocked
    assert stream.feed("more") == stream.finish() == ""


def test_a_failing_detector_lets_nothing_out_or_says_so() -> None:
    closed = Guard(policy(("broken", "flag"), ("address", "redact")), detectors=SAMPLES)
    request = closed.open()
    assert play(request.channel("c"), list("some words a@b.c")) == [""] * 17
    verdict = request.output_verdict()
    assert (verdict.outcome, verdict.stops, verdict.coverage) == (Outcome.FAILED, True, 0.0)
    assert "words" not in repr(verdict)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["abcd", "a.b.", "日本語字", "1111", "\u200ba\u200bb", "\\u0061"])
def test_a_megabyte_without_a_break_comes_to_an_end(piece: str) -> None:
    """In linear time that is a second, in quadratic time an hour."""
    active = policy(("address", "redact"), ("digits", "redact"), ("phrase", "redact"))
    stream = Guard(active, detectors=SAMPLES).stream(is_json="\\" in piece)
    fed = (1 << 20) // len(piece)
    out = [stream.feed(piece) for _ in range(fed)]
    out.append(stream.finish())
    assert sum(map(len, out)) in {fed * len(piece), len("[DIGITS]") * -(-fed * len(piece) // 16)}
