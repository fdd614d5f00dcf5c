import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keelmark.guard.normalise import Piece, backwards, fold, folded, substituted

LINES = [
    ("Ｉｇｎｏｒｅ", "Ignore"),
    ("іgnоrе аll", "ignore all"),  # Cyrillic і о е а
    ("ιgnορe", "ignope"),  # Greek rho looks like p
    ("i\u200bg\u200dn\u00ado\u2060re\ufeff", "ignore"),
    ("i\u0336g\u0336n\u0336", "ign"),
    ("𝗶𝗴𝗻𝗼𝗿𝗲 𝒶𝓁𝓁", "ignore all"),
    ("ⓘⓖⓝⓞⓡⓔ 🄸 🅘 🇮", "ignore I I I"),
    ("ɪɢɴᴏʀᴇ", "ignore"),
    ("für prévu été", "fur prevu ete"),
    ("fu\u0308r", "fur"),
    ("٤١١١ ４１", "4111 41"),
    ("a\u00a0b\u2003c", "a b c"),
    ("one\u2028two", "one\ntwo"),
    ("x‑y – z", "x-y - z"),
    ("don’t “x”", 'don\'t "x"'),
    ("ﬁx", "fix"),
    ("bob＠x．example", "bob@x.example"),
    ("a\x00b\x7f\tc\n", "ab\tc\n"),
    ("a\U000e0041\U000e007fb\ufe0f", "ab"),
    ("\ud800", "\ufffd"),
    ("Straße", "Straße"),
    ("が 한국 न्दी 日本", "が 한국 न्दी 日本"),
    ("don´t ¨", "don't ¨"),
]


@pytest.mark.parametrize(("written", "read"), LINES)
def test_reads_as(written: str, read: str) -> None:
    assert fold(written) == read


def test_plain_text_is_the_same_object() -> None:
    text = "Plain ASCII,\twith\nwhite space."
    assert fold(text) is text
    assert folded(text).text is text


odd = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aA1 \n@\u200b\u0301ﬁﷺ½е\u00ad\U000e0041\ufe0f\ud800Ⅷ㎏"),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(odd, odd)
def test_folding_goes_code_point_by_code_point(a: str, b: str) -> None:
    assert fold(a + b) == fold(a) + fold(b)


@settings(max_examples=300, deadline=None)
@given(odd)
def test_every_character_knows_where_it_comes_from(text: str) -> None:
    view = folded(text)
    assert view.text == fold(text)
    places = [view.origin(i, i + 1) for i in range(len(view.text))]
    assert places == sorted(places)
    for index, (start, end) in enumerate(places):
        assert end == start + 1
        assert view.text[index] in fold(text[start])
        assert view.position(index) == start
    assert view.position(len(view.text)) == len(text)
    kept = {start for start, _ in places}
    assert all(fold(char) == "" for i, char in enumerate(text) if i not in kept)


def test_every_code_point_folds_to_something_that_folds_to_itself() -> None:
    for code in range(0x20000):
        once = fold(chr(code))
        assert fold(once) == once, (hex(code), unicodedata.name(chr(code), "?"), once)


def test_a_span_over_a_ligature_covers_it_whole() -> None:
    view = folded("a\u200bﬁx")
    assert view.text == "afix"
    assert view.origin(1, 2) == view.origin(2, 3) == (2, 3)
    assert view.origin(0, 3) == (0, 3)
    assert view.origin(3, 4) == (3, 4)


def test_substituted_and_composed() -> None:
    below = substituted("ab[cd]ef[gh]", [Piece(2, 6, "XYZ"), Piece(5, 7, "no"), Piece(8, 12, "")])
    assert below.text == "abXYZef"
    assert below.origin(1, 3) == (1, 6)
    assert below.origin(4, 6) == (2, 7)
    assert not below.changed(0, 2)
    assert below.changed(1, 3)
    above = substituted(below.text, [Piece(1, 4, "Q")]).over(below)
    assert above.text == "aQZef"
    assert above.origin(1, 2) == (1, 6)
    assert above.origin(3, 4) == (6, 7)
    assert above.length == 12


def test_backwards() -> None:
    view = backwards("abcdef")
    assert view.text == "fedcba"
    assert view.origin(0, 2) == (4, 6)
    assert folded("ab").origin(0, 2) == (0, 2)
    assert backwards("abc").over(folded("a\u200bbc")).origin(0, 1) == (3, 4)
