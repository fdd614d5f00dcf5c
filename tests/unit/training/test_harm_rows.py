"""Rows on harm: what tables of templates write, and what is taken of the shared data."""

import random
import sys
from collections import defaultdict

import pytest

from keelmark.guard.detectors import harm_classifier
from keelmark.serve.moderation import CATEGORIES
from tests.scripts import ROOT, load

sys.path.insert(0, str(ROOT / "training/encoder"))
written = load("training/encoder/harm_written.py", "harm_written")
given = load("training/encoder/harm_data.py", "harm_data")
harm = load("training/encoder/harm.py", "harm")

DATA = ROOT.parent / "shared/data"
WRITERS = (written.requests, written.ordinary, written.comments, written.answers)


@pytest.fixture(scope="module")
def own():
    return [row for write in WRITERS for row in write(1)]


def test_every_slot_is_filled_and_no_text_is_empty(own):
    for row in own:
        assert row.text.strip()
        assert not set("{}") & set(row.text + (row.pair or "")), row


def test_hazards_are_known_and_only_harm_has_them(own):
    for row in own:
        assert set(row.y.get("hazards", ())) <= set(harm.HAZARDS), row
        if row.y.get("hazards"):
            assert 1 in {row.y.get(head) for head in ("harm_request", "toxic", "harm_answer")}


def test_a_source_is_for_training_or_for_validation(own):
    for row in own:
        assert row.source.startswith("valid_") == (row.split == "valid"), row


def test_the_same_seed_writes_the_same_texts(own):
    assert own == [row for write in WRITERS for row in write(1)]
    assert own != [row for write in WRITERS for row in write(2)]


def test_both_sides_of_a_pair_are_written_and_differ(own):
    sides = defaultdict(lambda: (set(), set()))
    for row in own:
        if row.source.startswith(("requests/", "valid_overrefusal/")):
            sides[row.source][row.y["harm_request"]].add(row.text)
    assert len(sides) > 50
    for source, (safe, harmful) in sides.items():
        assert safe, source
        assert harmful, source
        assert not safe & harmful, source


def test_frames_say_nothing_of_harm(own):
    starts = defaultdict(lambda: [0, 0])
    for row in own:
        if row.source.startswith("requests/") and "-" not in row.source:
            starts[" ".join(row.text.lower().split()[:2])][row.y["harm_request"]] += 1
    common = [counts for counts in starts.values() if sum(counts) >= 80]
    assert len(common) >= 8
    for safe, harmful in common:
        assert 0.25 < harmful / (safe + harmful) < 0.75


def test_hazards_are_those_of_the_detector_and_of_the_moderation_endpoint():
    assert list(harm.HAZARDS) == list(harm_classifier.HAZARDS)
    assert len({hazard["key"] for hazard in harm.HAZARDS.values()}) == 12
    for code, hazard in harm.HAZARDS.items():
        label = harm_classifier.HAZARDS[code]
        fits = [name for name, labels in CATEGORIES.items() if label in labels]
        assert sorted(hazard["moderation"]) == sorted(fits), code


def test_equal_lengths_are_kept_of_each_label():
    lot = random.Random(0)
    rows = {
        label: [
            given.Row(
                text="word " * lot.randint(low, low + 90), y={"harm_answer": label}, source="s"
            )
            for _ in range(600)
        ]
        for label, low in ((0, 1), (1, 60))
    }
    kept = given.match_lengths({str(label): found for label, found in rows.items()}, lot)
    means = [sum(len(row.text) for row in found) / len(found) for found in kept.values()]
    assert abs(means[0] - means[1]) < 75
    before = [sum(len(row.text) for row in found) / len(found) for found in rows.values()]
    assert abs(before[0] - before[1]) > 250


def test_cut_keeps_whole_words():
    assert given.cut("  one two  three ", 2) == "one two"
    assert given.cut(" \n", 5) == ""
    assert len(given.cut("字" * 900, 100)) == 700


@pytest.mark.skipif(
    not (DATA / "train/harm").is_dir(),
    reason="the training data (shared/data/train) are not on this machine",
)
def test_no_text_of_the_shared_data_is_in_both_splits():
    texts = defaultdict(set)
    for row in harm.rows(DATA, 1):
        assert row.text.strip()
        assert set(row.y.get("hazards", ())) <= set(harm.HAZARDS)
        assert 0 < row.weight <= 1
        assert len(row.text.split()) <= 235
        texts[row.split].add((row.text.lower(), row.pair))
    assert len(texts["train"]) > 30_000
    assert len(texts["valid"]) > 5_000
    assert not texts["train"] & texts["valid"]
