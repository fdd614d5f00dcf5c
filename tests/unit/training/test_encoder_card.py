"""The encoder's card says what vetting asks of cards, and shows figures with their intervals."""

import json
import sys

import pytest
import yaml

from keelmark.vet.documentation import card as asked
from tests.scripts import ROOT, load

sys.path.insert(0, str(ROOT / "training/encoder"))
load("training/encoder/evaluate.py", "evaluate")
made = load("training/encoder/card.py", "encoder_card")
compare = load("training/encoder/compare.py", "encoder_compare")
ENTRY = {"n": 9, "positive": 4, "auroc": 0.9, "auroc_95": [0.8, 0.95]} | {
    f"{rate}@{point}{end}": [0.1, 0.3] if end else 0.2
    for rate in ("recall", "false", "balanced_accuracy", "f1")
    for point in ("fpr_1", "fpr_5", "balanced")
    for end in ("", "_95")
}


@pytest.fixture
def text(tmp_path):
    figures = {"injection": {"valid_a": ENTRY}, "grounding": {"valid_b": ENTRY}}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    (tmp_path / "calibration.json").write_text('{"version": "7"}')
    runs = [{"minutes": 60, "device": "2 CPU cores"}]
    return made.card(tmp_path, {"base": made.BASE, "runs": runs, "rows": {"injection.train": 1200}})


def test_vetting_misses_little_in_the_card(text):
    front = yaml.safe_load(text.split("---")[1])
    said = asked.judge(text, front)
    assert asked.points(said) >= 90, [one.item.title for one in said if one.answer != "present"]


def test_each_head_has_one_operating_point_with_intervals(text):
    assert "| valid_a | 9 | 4 | 0.900 [0.80, 0.95] |  | 20.0 [10, 30] | 20.0 [10, 30] |\n" in text
    assert "### grounding, at `balanced`" in text
    assert "| balanced accuracy | f1 |" in text
    assert "| injection | 1,200 | 0 |" in text


def _entry(**figures):
    intervals = {f"{key.replace('_at_', '@')}_95": [0.4, 0.6] for key in figures}
    return {key.replace("_at_", "@"): value for key, value in figures.items()} | intervals


@pytest.mark.parametrize(
    ("measure", "here", "verdict"),
    [
        ("auroc", 0.6, "within"),
        ("auroc", 0.61, "better"),
        ("auroc", 0.39, "worse"),
        ("false_at_fpr_1", 0.39, "better"),
        ("false_at_fpr_1", 0.61, "worse"),
        ("recall_at_fpr_1", 0.39, "worse"),
    ],
)
def test_a_second_training_lies_within_or_is_better_or_worse(measure, here, verdict):
    stated = {"toxic": {"a": _entry(**{measure: 0.5}), "gone": _entry(auroc=0.5)}}
    (one,) = compare.pairs(stated, {"toxic": {"a": _entry(**{measure: here})}})
    assert (one.source, one.verdict) == ("a", verdict)
    assert compare.missing(stated, [one]) == ["toxic/gone"]
    *_, last = compare.table([one])
    counts = {"within": "1 lie within", "better": "1 are better", "worse": "1 worse"}
    assert counts[verdict] in last


def test_a_folder_without_figures_is_said(tmp_path):
    with pytest.raises(SystemExit, match=r"evaluate\.py writes it"):
        compare.read(tmp_path)
