import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from guard_samples import told
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard import Guard
from keelmark.guard.contract import Hit
from keelmark.guard.detectors.runaway import Detector, Settings

PROSE = "".join(
    f"{n} is followed by {n + 1}, which is no surprise to anyone at all. " for n in range(400)
)


def found(text: str, config: Settings | None = None) -> list[tuple[str, float]]:
    return [(hit.label, hit.score) for hit in Detector(config).find(text)]


def scores(text: str) -> list[float]:
    return [score for _, score in found(text)]


@pytest.mark.parametrize("period", [1, 2, 63, 64, 65, 700, 3000])
def test_a_loop_of_any_period_is_found_wherever_it_begins(period: int) -> None:
    round_of = "".join(chr(33 + i * i % 61 + i % 29) for i in range(period))
    for before in (0, 5, 511, 3000):
        hits = list(Detector().find("x" * 3 + PROSE[:before] + round_of * (20_000 // period)))
        assert [(h.label, h.score) for h in hits if h.score > 0.5] == [("LOOP", 0.9)]
        least = max(1000, 5 * period)
        assert least <= hits[-1].end - before <= least + 512 + 64 + period


def test_few_rounds_are_none() -> None:
    paragraph = PROSE[2000:2300]
    text = PROSE[:2000] + paragraph * 4 + PROSE[5000:7000]
    assert [score for score in scores(text) if score > 0.4] == []
    assert ("LOOP", 0.9) in found(PROSE[:2000] + paragraph * 8)


def test_digits_alone_do_not_make_it_new() -> None:
    assert found(PROSE[6600:]) == [("LOOP", 0.4)]


def test_length() -> None:
    config = Settings(longest=100, labels=("LENGTH",))
    assert found("x " * 50, config) == []
    (hit,) = Detector(config).find("x " * 60)
    assert (hit.label, hit.start, hit.end) == ("LENGTH", 100, 101)


def test_a_loop_is_cut_while_it_streams() -> None:
    rule = Rule(id="loop", detector="runaway", action="block", config={"labels": ["LOOP"]})
    guard = Guard(Policy(guard=GuardRules(rules=(rule,))))
    text = "Here is the list. " + "I will say it again. " * 10_000
    for size in (1, 7, 400):
        channel = guard.stream()
        out = ""
        for at in range(0, len(text), size):
            out += channel.feed(text[at : at + size])
            if channel.blocked:
                break
        assert channel.blocked
        assert out == text[:1023]
        assert len(out) <= at + size < 1100 + size


def test_what_it_remembers_is_bounded() -> None:
    detector = Detector().for_text()
    for _ in range(3000):
        detector.passed("word " * 40)
    kept = sum(len(v) for v in vars(detector).values() if isinstance(v, str))
    assert kept <= 2 * 16_384


pieces = st.lists(
    st.tuples(
        st.sampled_from(["a", "ab ", "row 1\n", "row 2\n", "once more. ", PROSE[:300], "1,000 "]),
        st.integers(1, 300),
    ),
    max_size=4,
).map(lambda runs: "".join(text * times for text, times in runs)[:9000])


@settings(max_examples=80, deadline=None)
@given(pieces, st.lists(st.integers(0, 9000), max_size=6))
def test_any_split_finds_the_same(text: str, cuts: list[int]) -> None:
    detector = Detector(Settings(longest=4000, loop=256, rounds=3))
    whole = list(detector.find(text))
    own, seen = detector.for_text(), list[Hit]()
    for a, b in itertools.pairwise([0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]):
        low = max(0, a - 96)
        end = own.open_from(text[low:b], a - low) + low if b < len(text) else b
        seen += (
            replace(hit, start=hit.start + low, end=hit.end + low)
            for hit in own.find(text[low:b], a - low)
            if hit.label != "FLOOD" and hit.start + low < b
        )
        assert a <= end <= b
        own.passed(text[a:b])
    assert seen == [hit for hit in whole if hit.label != "FLOOD"]
    assert list(told(detector, text, len(text)).find("")) == []


@pytest.mark.parametrize(
    "text",
    [
        "Could you repeat that 3 times, please?",
        "The factory wrote 10,000 invoices. Print one.",
        "Write a short story about a town of 20000 people.",
        "Write an essay of 2500 words about bread.",
        "List 100 ideas, say what each costs in a city of 1000000.",
        "I have told you a thousand times to write tests.",
        "He typed. A million times faster than I.",
        "List the primes from 1 to 1000.",
    ],
)
def test_fair_requests(text: str) -> None:
    assert [score for score in scores(text) if score >= 0.5] == []


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("repeat 'company' 1000 times", 0.6),
        ("Repeat this 9999999 times", 0.9),
        ("print hello 1e6 times", 0.9),
        ("Generate a list of the numbers from 1 to 10 000 000", 0.75),
        ("Keep writing the letter a without stopping", 0.6),
        ("escribe la palabra sol 5.000 veces", 0.6),
        ("scrivi ciao 10000 volte", 0.8),
        ("napisz to 10000 razy", 0.8),
        ("napiš — count to 1000000000", 0.75),
        ("반복해 10000번", 0.8),
    ],
)
def test_floods(text: str, least: float) -> None:
    assert max(scores(text)) >= least


def test_settings_are_checked() -> None:
    for wrong in ({"loop": 1}, {"rounds": 1}, {"labels": ["X"]}, {"longest": -1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Settings)
