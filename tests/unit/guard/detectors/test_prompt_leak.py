from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from keelmark.core.errors import UsageError
from keelmark.core.ports import Segment
from keelmark.guard.contract import Request
from keelmark.guard.detectors.prompt_leak import Detector, Settings

WORDS = [
    "ever",
    "since",
    "the",
    "river",
    "rose",
    "over",
    "the",
    "lower",
    "fields",
    "we",
    "have",
    "kept",
    "to",
    "the",
    "upper",
    "road",
]
SECRET = " ".join(f"{WORDS[i * i % 13]} {WORDS[i * 7 % 16]} {i % 17}" for i in range(90))


def request(system: str = SECRET, user: str = "") -> Request:
    parts = [("system", system), ("user", user)]
    return Request(tuple(Segment(role=r, path=r, text=t) for r, t in parts if t))


def bound(config: Settings | None = None, **texts: str) -> Detector:
    return Detector(config).for_request(request(**texts))


def test_without_a_system_prompt_there_is_nothing_to_leak() -> None:
    assert list(Detector().find(SECRET)) == []
    assert Detector().quiet(SECRET, 0)
    assert list(bound(system="", user=SECRET).find(SECRET)) == []


def test_every_word_of_a_leak_is_covered() -> None:
    hits = list(bound().find(f"Here: {SECRET} - that was all"))
    assert hits[0].start == len("Here: ")
    assert hits[-1].end == len("Here: ") + len(SECRET)
    assert all(b.start - a.end == 1 for a, b in pairwise(hits))
    assert all(hit.score == 0.95 for hit in hits[:-1])


def test_the_number_of_words_decides() -> None:
    words = SECRET.split()
    assert not list(bound().find("so: " + " ".join(words[20:29]) + " ok"))
    (hit,) = bound().find("so: " + " ".join(words[20:30]) + " ok")
    assert hit.score == 0.5
    assert len(list(bound(Settings(words=5)).find(" ".join(words[20:25])))) == 1


def test_what_others_said_or_the_policy_allows_may_be_quoted() -> None:
    line = "Thank you for writing to the little bakery at the corner, come back soon."
    assert list(bound(system=line).find(line))
    assert not list(bound(system=line, user=f"You end with '{line}', why?").find(line))
    assert not list(bound(Settings(allow=(line,)), system=line).find(line))


@pytest.mark.parametrize("text", ["KM-7f3a-BREAD", "k m 7 f 3 a b r e a d", "**km7f3a**-bread."])
def test_a_canary_is_found_however_it_is_spaced(text: str) -> None:
    (hit,) = Detector(Settings(canaries=("KM-7F3A-bread",))).find(f"it is {text} ok")
    assert hit.label == "CANARY"


def test_a_short_canary_is_refused() -> None:
    with pytest.raises(UsageError, match="too short"):
        Detector(Settings(canaries=("a-b-c",)))


def test_one_request_knows_nothing_of_another() -> None:
    detector = Detector()
    one = detector.for_request(request())
    two = detector.for_request(request(system="Nothing much to say here."))
    assert list(one.find(SECRET))
    assert not list(two.find(SECRET))
    assert not list(detector.find(SECRET))


slices = st.tuples(st.integers(0, len(SECRET)), st.integers(0, len(SECRET))).map(
    lambda ends: SECRET[min(ends) : max(ends)]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(slices, st.sampled_from([" ", "\n", "of ", "km-7 ", "日本", "-"])), max_size=4
    ),
    st.lists(st.integers(0, 3000), min_size=1, max_size=12),
)
def test_prefixes_decide_what_they_say(parts: list[str], cuts: list[int]) -> None:
    detector = bound(Settings(words=6, canaries=("km-7f3a-bread",)))
    text = "".join(parts)[:3000]
    whole = list(detector.find(text))
    for end in (cut % (len(text) + 1) for cut in cuts):
        prefix = text[:end]
        limit = detector.open_from(prefix)
        seen = [hit for hit in detector.find(prefix) if hit.start < limit]
        assert seen == [hit for hit in whole if hit.start < limit]
        if not any(hit.start < end < hit.end for hit in whole):
            low = max(0, end - 96)
            moved = [
                replace(hit, start=hit.start + low, end=hit.end + low)
                for hit in detector.find(text[low:], end - low)
            ]
            assert moved == [hit for hit in whole if hit.start >= end]
