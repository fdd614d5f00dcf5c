"""The encoder beside its peers: which texts are asked, and how what products say is counted."""

import sys
from pathlib import Path

import pytest

from tests.scripts import load

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
bench = load("bench/guard_heads.py", "guard_heads")
TABLES = bench.guard_tables


def row(text, y, source="valid_a/x", **more):
    return bench.Row(text=text, y=y, source=source, **({"split": "valid"} | more))


def test_only_held_out_texts_that_a_head_knows_are_asked():
    rows = [
        row("learnt from", {"toxic": 1}, split="train"),
        row("of another head", {"injection": 1}),
        row("harm of another kind", {"toxic": 0, "harm_request": 1}),
        row("an answer", {"toxic": 0, "harm_answer": 0}, pair="a question"),
        row("hateful", {"toxic": 1}),
        row("harmless", {"toxic": 0, "harm_request": 0}, "valid_b"),
    ]
    found = bench.cases(rows, "toxic", 9)
    assert [(case.text.text, case.truth, case.source) for case in found] == [
        ("hateful", 1, "valid_a"),
        ("harmless", 0, "valid_b"),
    ]
    (answer,) = bench.cases(rows, "harm_answer", 9)
    assert answer.text == ("an answer", "a question", "output")


def test_a_source_gives_so_many_texts_at_most_and_always_the_same():
    rows = [row(f"text {n}", {"injection": n % 2}, f"valid_{n % 3}") for n in range(90)]
    found = bench.cases(rows, "injection", 4)
    assert len(found) == 12
    assert found == bench.cases(rows, "injection", 4)


def test_what_is_counted_is_what_is_shown():
    found = [
        bench.Case(bench.Text("t"), truth, source)
        for truth, source in ((1, "valid_a"), (0, "valid_a"), (1, "valid_b"), (1, "valid_b"))
    ]
    scored = bench.told(bench.np.asarray([0.9, 0.1, 0.9, 0.2]), found, 0.8, area=True)
    flags = bench.told(bench.np.asarray([1.0, 1, 0, 0]), found, 0.5, area=False)
    assert scored["recall@shipped"] == pytest.approx(2 / 3, abs=1e-4)
    assert scored["sources"] == {"valid_a": [[0, 1], [1, 1]], "valid_b": [[0, 0], [1, 2]]}
    products = {"injection_classifier": scored, "aicordon": flags}
    one = {"heads": {"injection": {"texts": 4, "positive": 3, "products": products}}}
    said = "".join(TABLES.heads(one))
    assert "| valid_a | 100 % / 0 % | 100 % / 100 % |" in said
    assert "| valid_b | 50 % / – | 0 % / – |" in said
    assert "| 1.000 [1.000, 1.000] | 66.7 % [20.8, 93.8] | 0.0 % [0.0, 79.3] |" in said
    assert "| aicordon 1.4.0 (Picket) | – | 33.3 %" in said
