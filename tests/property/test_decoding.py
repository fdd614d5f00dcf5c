"""Whatever a text is, its decoded views say where they come from; what is encoded is read."""

from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import SAMPLES, policy
from keelmark.evaluate.mutators import in_caesar, in_morse, in_numbers
from keelmark.guard import Guard
from keelmark.guard.decode import decoded

GUARD = Guard(policy(("phrase", "redact")), detectors=SAMPLES)
FRAGMENTS = (
    *("105", "103 110 ", "32,", "0110100", "101101001 ", "U+0069", ".", "-", " / ", "..-. ", "\n"),
    *("ig", "nore", "pre-", "vious", "ingore", "all ", "İ", "\u200b", "nlstwj fqq ", "ymj ", "%41"),
)
words = st.lists(st.sampled_from(["please", "the", "password", "now", "you"]), max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join))
def test_every_character_of_a_view_comes_from_the_text(text: str) -> None:
    views, unread = decoded(text)
    assert 0 <= unread <= len(text)
    for view, _ in views:
        assert view.length == len(text)
        for at in range(len(view.text)):
            start, end = view.origin(at, at + 1)
            assert 0 <= start < end <= len(text)


@settings(max_examples=20, deadline=None)
@given(words, words, st.sampled_from([in_caesar, in_morse, in_numbers]))
def test_an_order_is_read_however_it_is_encoded(before, after, way) -> None:
    said = " ".join(["your", "system", *before, "open sesame", *after])
    assert GUARD.check(way.FRAME.format(text=way.mutate(said))).findings
