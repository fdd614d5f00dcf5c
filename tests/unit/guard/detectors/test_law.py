"""The law of the contract, for every detector: what starts before `open_from` is decided."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from guard_samples import told
from keelmark.guard import detectors
from keelmark.guard.contract import LOOK_BEHIND, BaseDetector, Hit, last_token
from keelmark.plugins import discover

KINDS = {name: module.Detector for name, module in discover(detectors.__name__).items()}
DETECTORS = {name: kind.examples[0].detector(kind) for name, kind in KINDS.items()}
PIECES = [
    *(
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        ".",
        ",",
        ":",
        ";",
        "=",
        "-",
        "+",
        "(",
        ")",
        "@",
        "/",
        "'",
        '"',
    ),
    *("a", "AB", "I", "of", "Mar", "12", "1980", "call me", "password", "key: ", "born ", "SSN "),
    *("password: hunter# ", "pwd=hunter$ ", "passwort: hunter! ", "secret = hun%ter "),
    *("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "Q" * 40, "eyJ", "://"),
    *("sk-", "ghp_", "AKIA", "ignore", "previous instructions", "\u200b", "\u202e", "\u2066"),
    *("\u2069", "\U000e0041", "\U000e007f", "\ufe0f", "😀", "日本", "é", "می", "\ue000"),
]


SECRET_PIECES = [
    *(
        "password",
        "Password: ",
        "passwd=",
        "api_key",
        "token: ",
        "secret => ",
        "'pwd': ",
        '"key": ',
    ),
    *(
        '\\"',
        "\\'",
        "\\",
        "\\n",
        "\\\\",
        '"',
        "'",
        "`",
        ": |\n  ",
        ": >-\n",
        "=",
        " is ",
        ":=",
        "]",
    ),
    *(
        "--password ",
        "--token ",
        "--user ",
        "curl -u a:",
        "sshpass -p ",
        "mysql -p",
        " -",
        "export ",
    ),
    *("----", "-----BEGIN ", "RSA PRIVATE KEY-----", "PRIVATE KEY-----\n", "-----END ", "----\n"),
    *("---- BEGIN SSH2 PRIVATE KEY ----", "Private-Lines: 1\n", "Private-MAC: ", "Comment: x\n"),
    *(
        "Qa1" * 12,
        "Zm9v" * 16 + "\n",
        "0a1b2c3d" * 4,
        "a" * 15,
        "a" * 64,
        "hunter2!",
        "hunter",
        "aB3$",
    ),
    *(
        "://",
        "https://",
        "u:p@",
        "user:Pa55word@host",
        "?sig=",
        "&token=",
        "%3D",
        "@sentry",
        "jdbc:a://",
    ),
    *("AKIAIOSFODNN7EXAMPLE", "sk-", "ghp_", "xoxb-1234567890", "eyJhbGciOiJub25lIn0.", "datadog"),
    *("azure key ", "AZURE_KEY=", "basic ", "Bearer ", "SSWS 00", "+ASt", "AIoT", "hf_", "$2b$12$"),
    *(
        "123e4567-e89b-12d3-a456-426614174000",
        "xxxx",
        "your-",
        "<key>",
        "${X}",
        "...",
        "{",
        "}",
        "\r\n",
    ),
]


def _before(hits: Iterable[Hit], limit: int) -> list[Hit]:
    return [hit for hit in hits if hit.start < limit]


def _check_splits(detector: BaseDetector, text: str, splits: Iterable[int]) -> None:
    whole = list(detector.find(text))
    for split in splits:
        prefix = text[:split]
        opened = detector.open_from(prefix)
        assert 0 <= opened <= split
        assert _before(detector.find(prefix), opened) == _before(whole, opened), (prefix, opened)
        for start in {0, split // 2, max(0, split - 30), max(0, split - 7)}:
            if told(detector, prefix, start).quiet(prefix, start):
                settled = range(start, last_token(prefix, start))
                assert not [h for h in whole if h.start in settled], (prefix, start)


def _check_starts(detector: BaseDetector, text: str, starts: Iterable[int]) -> None:
    whole = list(detector.find(text))
    for start in starts:
        if any(hit.start < start < hit.end for hit in whole):
            continue
        expected = [hit for hit in whole if hit.start >= start]
        informed = told(detector, text, start)
        assert list(informed.find(text, start)) == expected, (text, start)
        cut = max(0, start - LOOK_BEHIND)
        moved = [replace(h, start=h.start + cut, end=h.end + cut) for h in
                 informed.find(text[cut:], start - cut)]  # fmt: skip
        assert moved == expected, (text[cut:], start - cut)
        assert start <= informed.open_from(text, start) <= len(text)


def _examples() -> list[tuple[str, str]]:
    return [(name, e.text) for name, d in DETECTORS.items() for e in d.examples]


@pytest.mark.parametrize(("name", "text"), _examples())
def test_examples_at_every_split(name: str, text: str) -> None:
    _check_splits(DETECTORS[name], text, range(len(text) + 1))
    _check_starts(DETECTORS[name], text, range(len(text) + 1))


@pytest.mark.parametrize("name", DETECTORS)
def test_all_examples_in_one_text(name: str) -> None:
    detector = DETECTORS[name]
    chance = random.Random(7)
    texts = [e.text for d in DETECTORS.values() for e in d.examples]
    for joint in (" ", "\n", "", ". "):
        chance.shuffle(texts)
        text = joint.join(texts[:25])
        places = sorted(chance.sample(range(len(text)), 30))
        _check_splits(detector, text, places)
        _check_starts(detector, text, places)


@st.composite
def _mixtures(draw: st.DrawFn) -> str:
    snippets = [e.text for d in DETECTORS.values() for e in d.examples]
    piece = st.one_of(
        st.sampled_from(PIECES),
        st.sampled_from(snippets),
        st.sampled_from(snippets).flatmap(
            lambda t: st.integers(0, len(t)).flatmap(
                lambda i: st.integers(i, len(t)).map(lambda j: t[i:j])
            )
        ),
        st.text(max_size=6),
        st.text("0123456789 -+.()", max_size=24),
    )
    return "".join(draw(st.lists(piece, max_size=9)))


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=80, deadline=None)
@given(text=_mixtures(), data=st.data())
def test_mixtures(name: str, text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    _check_splits(DETECTORS[name], text, places)
    _check_starts(DETECTORS[name], text, places)


_secret_texts = st.lists(
    st.one_of(
        st.sampled_from(SECRET_PIECES),
        st.sampled_from(SECRET_PIECES),
        st.sampled_from([e.text for e in DETECTORS["secrets"].examples]).flatmap(
            lambda t: st.integers(0, len(t)).map(lambda cut: t[cut:])
        ),
        st.text(" \n\\\"':=-_/@aA1+.|", max_size=5),
    ),
    max_size=9,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(text=_secret_texts, data=st.data())
def test_mixtures_of_what_secrets_are_made_of(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    _check_splits(DETECTORS["secrets"], text, places)
    _check_starts(DETECTORS["secrets"], text, places)


@pytest.mark.parametrize("name", DETECTORS)
def test_hits_are_in_order_and_apart(name: str) -> None:
    for example in DETECTORS[name].examples:
        hits = list(DETECTORS[name].find(example.text))
        assert all(a.end <= b.start for a, b in pairwise(hits))
        assert all(0 <= h.start < h.end <= len(example.text) and 0 < h.score <= 1 for h in hits)
        assert {h.label for h in hits} <= set(DETECTORS[name].labels)


@pytest.mark.parametrize("mark", "#$%&*+<>=|~^@\"'()[]{}`")
def test_a_password_that_ends_in_a_mark(mark: str) -> None:
    """Its only sign of being one stands at its end; being quiet must not hide it."""
    text = f"password: hunter{mark} and more words"
    _check_splits(DETECTORS["secrets"], text, range(len(text) + 1))
