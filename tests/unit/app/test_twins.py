"""Rows that say the same, or nearly."""

import random
import sqlite3
from array import array

import pytest

from keelmark.app.batch.twins import SLOTS, Twins, signature

WORDS = [f"word{number}" for number in range(3000)]


def likeness(one: str, other: str) -> float:
    pair = [array("I", signature(text)[16:]) for text in (one, other)]
    return sum(map(int.__eq__, *pair)) / SLOTS


def jaccard(one: list[str], other: list[str]) -> float:
    sets = [{tuple(words[n : n + 3]) for n in range(len(words) - 2)} for words in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("changes", [0, 2, 5, 20])
@pytest.mark.parametrize("length", [60, 400])
def test_likeness_estimates_the_share_of_common_threes(length, changes):
    rng, errors = random.Random(length + changes), []
    for _ in range(30):
        one = rng.choices(WORDS, k=length)
        other = list(one)
        for _ in range(changes):
            other[rng.randrange(length)] = rng.choice(WORDS)
        errors.append(likeness(" ".join(one), " ".join(other)) - jaccard(one, other))
    assert abs(sum(errors) / 30) < 0.04
    assert max(map(abs, errors)) < 0.2


def test_twins_are_met_and_strangers_are_not():
    rng = random.Random(7)
    base = sqlite3.connect(":memory:")
    twins = Twins(base, 0.8)
    texts = [" ".join(rng.choices(WORDS, k=80)) for _ in range(200)]
    assert not any(twins.meet(0, n, signature(text)) for n, text in enumerate(texts))
    for number, text in enumerate(texts):
        same = twins.meet(1, number, signature(text.upper().replace(" ", ",  ")))
        assert (same.file, same.row, same.likeness) == (0, number, 1.0)
        near = twins.meet(1, number, signature(f"{text} and two more"))
        assert (near.file, near.row) == (0, number)
        assert 0.8 <= near.likeness < 1
    assert base.execute("SELECT count(*) FROM kept").fetchone() == (200,), "twins are not kept"
    base.close()


@pytest.mark.parametrize("text", ["", "  \n", "...", "—"])
def test_without_words_there_is_nothing_to_compare(text):
    assert signature(text) == b""


@pytest.mark.parametrize("text", ["one", "one two", "東京都は晴れです", "\ud800"])
def test_short_and_odd_texts(text):
    assert len(signature(text)) in {0, 16 + 4 * SLOTS}
    assert signature(text) == signature(text)
