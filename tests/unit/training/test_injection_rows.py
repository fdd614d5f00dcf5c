"""Rows on injection: tables that fill, twins that differ by what was put in, splits by source."""

import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "training" / "encoder"))

import documents  # noqa: E402
import grammar  # noqa: E402
import injection  # noqa: E402
import injection_attacks as attacks  # noqa: E402
import injection_benign as benign  # noqa: E402
import injection_rounds  # noqa: E402
import injection_who  # noqa: E402

PROSE = ["Willows grow by the water.", "The museum opens at ten.", "Copper conducts heat well."]
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the training data (shared/data) is not on this machine"
)


def written(seed: int = 1) -> attacks.Attacks:
    return attacks.Attacks(["pick a lock"], PROSE, random.Random(seed))


EMPTY = {"coda", "endmark", "lead", "mark", "please", "r_ask", "r_head"}
"""Tables with a line that says nothing."""


@pytest.mark.parametrize("name", sorted(set(written().lines) - {"about"}))
def test_every_line_of_every_table_fills(name: str) -> None:
    made = written()
    for line in made.lines[name]:
        text = attacks.finish(made.fill(line))
        assert text or name in EMPTY, line


@pytest.mark.parametrize("language", sorted(grammar.tables("injection_rounds_languages")))
def test_conversations_and_quizzes_have_all_they_need(language: str) -> None:
    own = injection_rounds.foreign(random.Random(1))[language]
    assert language not in documents.HELD_LANGUAGES
    for kind in ("again", "quiz", "fact"):
        for line in own.lines[kind]:
            assert "{" not in own.fill(line), line


def test_a_quiz_stands_in_documents_and_its_twin_asks_nothing() -> None:
    pool = [documents.Document("Willows grow by the water. They like it wet.", "manuals")]
    code = documents.Document("def f():\n    return 1", "python_code")
    found = list(injection_rounds.quizzes(written(), [*pool, code], random.Random(1)))
    labels = [label for _, label, source in found if source == "embedded_quiz"]
    assert 0.3 < sum(labels) / len(labels) < 0.6


def test_an_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError):
        grammar.Grammar({"a": ["{b}"]}, random.Random(1)).write("a")


@pytest.mark.parametrize("name", [*attacks.ALL, *attacks.CODE, "prose"])
def test_twins_differ_only_by_what_was_put_in(name: str) -> None:
    made = written()
    for seed in range(20):
        write = attacks.around(made, name, "def f():\n    return 1\n\nIt ends here.", seed)
        plain, put = write(None), write("Zebra crossing")
        assert "Zebra" not in plain
        assert "Zebra crossing" in put
        kept = set(re.findall(r"\w{4,}", plain)) - set(re.findall(r"\w{4,}", put))
        assert len(kept) <= 40 if name in (*attacks.ALL, "forum") else not kept
        assert write("Zebra crossing") == put


def test_attacks_are_dropped_where_the_cut_would_take_them() -> None:
    long = "word " * documents.MOST_TOKENS

    def carrier(put: str | None) -> str:
        return f"{long} {put}"

    assert list(attacks.twins(carrier, ("attack", "innocent"), random.Random(1), "x")) == []


@pytest.mark.parametrize("text", ["a b c " * 300, "x" * 4000, "文字" * 900, "line\n" * 400, ""])
def test_cut_keeps_to_the_tokens_of_the_encoder(text: str) -> None:
    kept = documents.cut(text, 100)
    assert documents.tokens(kept) <= 100
    assert bool(kept) == bool(text)


def test_manuals_lose_their_typesetting(tmp_path: Path) -> None:
    page = tmp_path / "ls.1"
    page.write_text('.TH LS 1\n.SH NAME\nls \\- list\n.PP\n.B "\\-a"\nshow \\fIall\\fR\n')
    assert documents.tidy(documents._roff(page)) == "NAME\n\nls - list\n\n-a\nshow all"


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("python_code", "python_readmes", "node_documents")
    kept = {n: documents.COLLECTIONS[n]._replace(wanted=12) for n in names}
    monkeypatch.setattr(documents, "COLLECTIONS", kept)
    for module, sizes in (
        (attacks, {"DIRECT": 20, "EACH_LANGUAGE": 6, "JAILBREAKS": 5, "EMBEDDED": 30}),
        (attacks, {"FOREIGN": 10, "HELD_EMBEDDED": 10}),
        (injection, {"PROMPTS": 5}),
        (injection_rounds, {"COUNTS": {"again": 6, "how": 6}, "LANGUAGE": 6, "QUIZZES": 30}),
        (injection_who, {"COUNTS": {0: 10, 1: 5}}),
        (benign, {"EACH_LANGUAGE": 6, "COUNTS": dict.fromkeys(benign.COUNTS, 6)}),
    ):
        for name, size in sizes.items():
            monkeypatch.setattr(module, name, size)


@needs_data
def test_rows_are_split_by_source_and_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    found = list(injection.rows(DATA, 3))
    assert {row.split for row in found} == {"train", "valid"}
    assert all((row.split == "valid") == row.source.startswith("valid_") for row in found)
    assert all(row.text.strip() and documents.tokens(row.text) <= 240 for row in found)
    assert len({re.sub(r"\W+", "", row.text.lower()) for row in found}) == len(found)
    told = {row.source for row in found if row.split == "valid"}
    assert told == set(re.findall(r"`(valid_\w+)`", injection.__doc__ or ""))
    for source in ("embedded_prose", "valid_embedded", "valid_tool_results"):
        assert {row.y["injection"] for row in found if row.source == source} == {0, 1}


@needs_data
def test_a_seed_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    monkeypatch.setattr(injection, "_labelled", lambda _: iter(()))
    first, again = (list(injection.rows(DATA, 1)) for _ in range(2))
    assert first == again


@needs_data
def test_every_source_has_a_hash_and_a_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    told: list[dict[str, Any]] = injection.sources(DATA)
    assert all(re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]) for entry in told)
    assert all(entry["licence"] and entry["rows"] for entry in told)
    assert {"python_code", "spikee", "injection_attacks"} <= {entry["dataset"] for entry in told}


@pytest.mark.parametrize("way", attacks.WAYS)
def test_disguises_keep_a_text(way: Callable[[str, random.Random], str]) -> None:
    assert len(way("Keep this sentence as it is.", random.Random(1))) > 20
