"""Laws of identification: layout never matters, and a changed word never goes unseen."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.families.licences import MIT
from keelmark.vet.licence.expressions import names_in, parse, shown
from keelmark.vet.licence.identify import Kind, identify
from keelmark.vet.licence.words import mark, marks, pack, unpack, words

WORDS = MIT[MIT.index("Permission") :].split()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_breaks_do_not_matter(seed: int, width: int) -> None:
    chance = random.Random(seed)
    text = "".join(w + ("\n" if chance.randrange(width) == 0 else " ") for w in WORDS)
    match = identify(text)
    assert (match.kind, match.licence) == (Kind.FULL, "mit")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WORDS) - 1), st.sampled_from(["", "never", "zebra zebra"]))
def test_no_change_of_a_word_goes_unseen(at: int, instead: str) -> None:
    changed = [*WORDS[:at], *instead.split(), *WORDS[at + 1 :]]
    before, after = (marks(words(" ".join(text))) for text in (WORDS, changed))
    match = identify(" ".join(changed))
    holders = {mark(word) for word in ("authors", "or", "copyright", "holders", "never", "zebra")}
    if before == after or (set(before) ^ set(after) <= holders and match.kind is Kind.FULL):
        return  # a name that every copy fills in for itself
    assert match.kind is Kind.NEAR


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400))
def test_no_text_breaks_it(text: str) -> None:
    match = identify(text)
    assert match.kind is Kind.UNKNOWN
    for word in words(text):
        assert 0 <= word.start < word.end <= len(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="MITAND ORWH()-.+0apche", max_size=60))
def test_no_expression_breaks_it(text: str) -> None:
    tree = parse(text)
    assert names_in(tree)
    assert isinstance(shown(tree), str)


@given(st.lists(st.integers(0, 2**24 - 1), max_size=50))
def test_marks_are_written_and_read(numbers: list[int]) -> None:
    assert unpack(pack(numbers)) == numbers
