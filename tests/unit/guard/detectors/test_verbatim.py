"""Registered texts: what is built is found again, wherever a text is cut."""

import hashlib
import random
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard_samples import told
from keelmark.cli.main import main
from keelmark.core.errors import UsageError
from keelmark.guard._corpus import GRAM, WINDOW, Corpus, build, fingerprints
from keelmark.guard.contract import last_token
from keelmark.guard.detectors.verbatim import Detector, Settings

CHANCE = random.Random(3)
VOCABULARY = [
    "".join(CHANCE.choices("abcdefghijklmno", k=CHANCE.randint(2, 9))) for _ in range(900)
]
BOOK = CHANCE.choices(VOCABULARY, k=3000)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "sub").mkdir()
    (folder / "book.txt").write_text(" ".join(BOOK[:2000]))
    (folder / "sub" / "more.md").write_text("\n".join(BOOK[1500:]))
    (folder / "short.txt").write_text("one two three four five six seven eight nine")
    (folder / "chinese.txt").write_text("".join(map(chr, range(0x4E00, 0x4F00))), encoding="utf-8")
    out = folder.parent / f"{folder.name}.fingerprints"
    built = build(folder, out)
    assert (built.documents, built.unread) == (4, ())
    assert built.entries == len(Corpus(out))
    return out


def labels(corpus: Path, text: str, words: int = 40) -> list[float]:
    return [hit.score for hit in Detector(Settings(str(corpus), words)).find(text)]


@pytest.mark.parametrize("first", [0, 1, 7, 501, 1490, 1999, 2900])
def test_a_passage_is_found_wherever_it_begins(corpus: Path, first: int) -> None:
    passage = BOOK[first : first + 54]
    assert labels(corpus, f"So: {', '.join(passage).upper()}. ") == [0.8]
    assert labels(corpus, " ".join(passage[:39]) + " ") == []


def test_longer_passages_score_higher(corpus: Path) -> None:
    assert labels(corpus, " ".join(BOOK[:200]) + " ") == [0.8, 0.9, 0.95]


def test_two_passages_are_two_stretches(corpus: Path) -> None:
    other = " ".join(f"w{number}" for number in range(30))
    text = f"{' '.join(BOOK[:54])} {other} {' '.join(BOOK[600:654])} {other}"
    assert labels(corpus, text) == [0.8, 0.8]


def test_scripts_without_spaces(corpus: Path) -> None:
    assert labels(corpus, "".join(map(chr, range(0x4E20, 0x4E80)))) == [0.8, 0.9]


def test_other_texts_are_not_found(corpus: Path) -> None:
    chance = random.Random(9)
    assert labels(corpus, " ".join(chance.choices(VOCABULARY, k=5000)), 16) == []
    backwards = " ".join(reversed(BOOK))
    assert labels(corpus, backwards, 16) == []


def test_every_window_keeps_a_fingerprint() -> None:
    kept = set(fingerprints([" ".join(BOOK)]))
    for first in range(0, len(BOOK) - GRAM - WINDOW, 97):
        part = " ".join(BOOK[first : first + GRAM + WINDOW - 1])
        assert kept & set(fingerprints([part]))


def test_pieces_of_a_file_give_the_fingerprints_of_the_whole() -> None:
    text = " ".join(BOOK[:300])
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    assert list(fingerprints(pieces)) == list(fingerprints([text]))


def test_a_build_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    folder = corpus.with_suffix("")
    build(folder, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == corpus.read_bytes()


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.integers(0, 1900).map(lambda at: " ".join(BOOK[at : at + 60])),
            st.sampled_from(["x" * 70, " ", "一二三", "ΑΣ", "a"]),
        ),
        max_size=4,
    ),
    data=st.data(),
)
def test_the_place_is_the_same_however_it_is_cut(
    corpus: Path, parts: list[str], data: st.DataObject
) -> None:
    text = " ".join(parts)
    one = Detector(Settings(str(corpus), 20))
    whole = list(one.for_text().find(text))
    for start in data.draw(st.lists(st.integers(0, len(text)), max_size=5)):
        informed = told(one, text, start)
        assert list(informed.find(text, start)) == [h for h in whole if h.start >= start]
        for end in (start + 9, start + 40):
            if informed.quiet(text[:end], start):
                settled = range(start, last_token(text[:end], start))
                assert not [hit for hit in whole if hit.start in settled]


@pytest.mark.parametrize(
    "content", [b"", b"KMCORP2\n", b"x" * 100, b"KMCORP2\n" + bytes(20), b"KMCORP1\n" + bytes(16)]
)
def test_a_file_that_is_no_corpus(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(UsageError):
        Corpus(tmp_path / "c")
    with pytest.raises(UsageError, match="cannot be read"):
        Corpus(tmp_path / "nothing")


def test_what_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        build(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "image").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no text"):
        build(tmp_path / "texts", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_licence_texts_are_what_their_card_says() -> None:
    models = resources.files("keelmark.guard").joinpath("models")
    card = tomllib.loads(models.joinpath("licences.toml").read_text(encoding="utf-8"))
    raw = models.joinpath("licences.fingerprints").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == card["sha256"]
    with resources.as_file(models.joinpath("licences.fingerprints")) as path:
        corpus = Corpus(path)
        assert list(corpus.documents) == card["documents"]
        assert len(corpus) == card["fingerprints"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(" ".join(BOOK[:100]))
    (tmp_path / "texts" / "b.png").write_bytes(b"\xff\xfe\x00")
    arguments = ["guard", "corpus", "build", str(tmp_path / "texts"), "--out", str(tmp_path / "o")]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out.startswith("1 texts, ")
    assert "b.png" in said.err
    assert labels(tmp_path / "o", " ".join(BOOK[:100])) == [0.8, 0.9]
