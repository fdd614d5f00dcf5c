"""Token numbers and their places, as the reference implementation gives them.

`wordpiece.json` was written by the library `tokenizers` 0.23.3 with the base model's vocabulary.
"""

import itertools
import json
import unicodedata
from pathlib import Path

import keelmark_weights
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard._wordpiece import WordPiece

WORDS = (keelmark_weights.folder() / "vocab.txt").read_text("utf-8").rstrip("\n").split("\n")
PIECES = WordPiece(WORDS)
GOLDEN = json.loads((Path(__file__).parent / "wordpiece.json").read_text("utf-8"))
NEWER = {0x166D, 0x1734}  # in another category since


def known(char: str) -> bool:
    """Whether the reference's tables, of 2015, and ours agree on a character."""
    unicode_3 = unicodedata.ucd_3_2_0.category(char) != "Cn"
    return ord(char) not in NEWER and (unicode_3 or unicodedata.category(char) == "Cn")


def test_the_vocabulary_is_that_of_bert_uncased() -> None:
    assert len(WORDS) == 30_522
    assert (PIECES.unknown, PIECES.cls, PIECES.sep) == (100, 101, 102)


@pytest.mark.parametrize(("text", "numbers", "spans"), GOLDEN, ids=range(len(GOLDEN)))
def test_gives_what_the_reference_gives(text, numbers, spans) -> None:
    tokens = PIECES.tokens(text)
    assert [token.number for token in tokens] == numbers
    assert [[token.start, token.end] for token in tokens] == spans
    assert PIECES.numbers(text) == numbers


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"]).filter(known), max_size=60))
def test_gives_what_the_reference_gives_where_it_is_installed(text: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordPiece(
        {word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"
    )
    reference = tokenizers.Tokenizer(model)
    reference.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    reference.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    told = reference.encode(text, add_special_tokens=False)
    ours = PIECES.tokens(text)
    assert [token.number for token in ours] == told.ids
    assert [(token.start, token.end) for token in ours] == told.offsets


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_places_are_in_the_text_and_in_order(text: str) -> None:
    tokens = PIECES.tokens(text)
    assert all(0 <= token.start < token.end <= len(text) for token in tokens)
    assert all(a.start <= b.start for a, b in itertools.pairwise(tokens))
    assert PIECES.numbers(text) == [token.number for token in tokens]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_white_space_parts_what_is_read(first: str, second: str) -> None:
    assert PIECES.numbers(f"{first} {second}") == PIECES.numbers(first) + PIECES.numbers(second)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["a" * 1_000_000, "é" * 300_000, "-" * 100_000, "한" * 100_000])
def test_takes_linear_time(text: str) -> None:
    assert PIECES.numbers(text)


def test_a_word_of_a_million_letters_is_unknown() -> None:
    assert PIECES.tokens("a" * 1_000_000) == [(PIECES.unknown, 0, 1_000_000)]
