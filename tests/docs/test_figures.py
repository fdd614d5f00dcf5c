"""The README's figures are those that the benchmarks wrote, and they reach the goals."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keelmark.plugins import discover

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import guard_tables
import personal_texts

BENCH = Path(guard_tables.__file__).parent
REFERENCE = BENCH.parent / "docs" / "reference"
FIGURES = json.loads((BENCH / "figures.json").read_text(encoding="utf-8"))


def test_the_readme_says_what_was_measured():
    command = [sys.executable, BENCH / "figures.py", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_nothing_was_lost_in_the_measurement():
    rows = FIGURES["gateway"]["rows"]
    for name in ("pass-through", "metered", "guarded"):
        for run in ("json", "json_busy", "stream", "stream_busy", "fast"):
            told = rows[name][run]
            assert told["asked"] == told["right"] == told["usage right"]
            assert not told["no end mark"]
            assert "stream" not in run or told["chunk for chunk"] == told["right"]
    for points in FIGURES["gateway_soak"]["soak"].values():
        assert not any(point.get("wrong") for point in points)
        assert points[-1]["mb"] <= 1.1 * points[len(points) // 2]["mb"], "it grows"
    assert FIGURES["digest"]["ratio"] >= 0.9


def test_vetting_reaches_its_goals():
    found = FIGURES["vet"]
    assert min(row["ratio"] for row in found["large"].values()) >= 0.8
    ours = found["small"]["keelmark"]
    missed, of = ours["hostile"].split(" of ")
    assert missed == of
    assert ours["benign"].startswith("0 of ")


PEERS = FIGURES["guard_peers"]
QUALITY = PEERS["personal"]["quality"]


def test_the_guard_reaches_its_goals():
    held, own = (QUALITY[f"{name}, all kinds"] for name in ("held-out sentences", "own, English"))
    assert held["Keelmark + names"]["f1"] > 0.75
    assert own["Keelmark + names"]["f2_low"] > own["presidio"]["f2_high"]
    assert QUALITY["own, English, without names"]["Keelmark"]["f2"] > 0.65
    assert PEERS["personal"]["false_alarms"]["Keelmark"]["texts"] == 0
    for size, alone, named in (("150", 1, 15), ("1500", 5, 60)):
        speed = PEERS["personal"]["speed"]
        assert speed["default guard"][size]["p50_ms"] <= alone
        assert speed["default guard + names"][size]["p50_ms"] <= named
    assert FIGURES["secrets"]["found"]["Keelmark"] >= 0.99 * FIGURES["secrets"]["samples"]
    assert FIGURES["false_alarms"]["ratio"] <= 0.1
    assert FIGURES["guard"]["cost"]["answer, 40 chunks of 20"]["best_ms"] <= 1


def test_what_was_measured_is_what_is_here():
    for language, name in (("en", "own, English"), ("other", "own, other")):
        texts = personal_texts.own(language)
        measured = PEERS["personal"]["sets"][name]
        assert (len(texts), personal_texts.digest(texts)) == (measured["texts"], measured["digest"])


def test_every_detector_says_how_well_it_does():
    page = (REFERENCE / "detectors.md").read_text(encoding="utf-8")
    measured = guard_tables.measured(FIGURES)
    for name in discover("keelmark.guard.detectors"):
        row = re.search(rf"^\| \[`{name}`\].*$", page, re.MULTILINE)
        assert row, name
        for said in measured.get(name, ("not measured",)):
            assert f"| {said} |" in row[0]


@pytest.mark.parametrize("text", [*personal_texts.own("en")[::4], *personal_texts.own("other")])
def test_marked_texts_mark_whole_values(text):
    assert not re.search(r"[{]\w+[}]", text.text)
    last = 0
    for start, end, kind in text.spans:
        assert kind
        assert last <= start < end
        assert text.text[start:end] == text.text[start:end].strip()
        last = end


def test_no_text_of_ours_is_learnt_from():
    templates = (BENCH.parent / "training" / "names" / "templates.toml").read_text(encoding="utf-8")
    for language in ("en", "other"):
        for template in personal_texts.source()[language]["texts"]:
            assert json.dumps(template, ensure_ascii=False) not in templates
