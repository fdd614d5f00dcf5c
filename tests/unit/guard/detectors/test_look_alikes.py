"""Texts that are nobody's personal data: not one may be reported, whatever its score."""

from pathlib import Path

import pytest

from keelmark.guard.detectors.personal_data import Detector
from keelmark.guard.normalise import fold

TABLE = Path(__file__).with_name("look_alikes.txt")
TEXTS = [
    line.replace("\\n", "\n")
    for line in TABLE.read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def test_there_are_many_of_each_sort() -> None:
    assert len(TEXTS) >= 150
    assert len(set(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("text", TEXTS)
def test_no_alarm(text: str) -> None:
    assert list(Detector().find(text)) == []
    assert list(Detector().find(fold(text))) == []


def test_no_alarm_when_they_stand_together() -> None:
    for joint in ("\n", " ", "; "):
        hits = Detector().find(joint.join(TEXTS))
        assert [hit for hit in hits if hit.score >= 0.7] == []
