"""What hostile text costs, in steps instead of seconds: calls of functions, and looks of a stream.

Steps do not depend on the machine. The time itself is measured by `make bench ARGS=hostile`.
"""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from itertools import count
from types import FrameType
from typing import Any, ClassVar

import pytest

from keelmark.core.policy import Rule
from keelmark.guard import stream
from keelmark.guard.contract import BaseDetector, Hit
from keelmark.guard.decode import decoded
from keelmark.guard.engine import discovered
from keelmark.guard.run import Probe, Run
from scripts import load

WARM, SMALL, LARGE = 200, 1_000, 2_000
MOST_STEPS = 25  # for each character: a text in which something is found at every second one


HOSTILE = load("bench/hostile.py")
ENCODED = {"harm_classifier", "injection_classifier"}  # one pass a window: see test_encoder
NAMES = sorted({*discovered(), "decode"} - ENCODED)


def steps(work: Callable[[], object]) -> int:
    """How many functions are called, those written in C included."""
    calls = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@cache
def probe(name: str) -> Probe:
    """A probe for the detector, made once: that costs more than most of the texts."""
    made: Probe = HOSTILE.probe(name)
    return made


def work_on(name: str, unit: str, size: int) -> Callable[[], object]:
    text = (unit * (size // len(unit) + 1))[:size]
    if name == "decode":
        return lambda: decoded(text)
    return lambda: HOSTILE.through(probe(name), [text])


@pytest.mark.parametrize("name", NAMES)
def test_twice_the_text_takes_at_most_twice_the_steps(name: str) -> None:
    wrong = {}
    for what, unit in HOSTILE.UNITS.items():
        work_on(name, unit, WARM)()  # whatever is made once is made now
        small, large = (steps(work_on(name, unit, size)) for size in (SMALL, LARGE))
        if large > 2.2 * small + LARGE or large > MOST_STEPS * LARGE:
            wrong[what] = small, large
    assert not wrong


class Busy(BaseDetector):
    """Finds nothing, decides nothing before the last `hold` characters, and counts its looks."""

    title, version, labels, examples = "busy", "1", ("X",), ()
    looks: ClassVar[list[int]] = []

    def __init__(self, hold: int) -> None:
        super().__init__()
        self._hold = hold

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        self.looks.append(len(text))
        return []

    def open_from(self, text: str, start: int = 0) -> int:
        return max(start, len(text) - self._hold)


def poured(hold: int, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Sizes of the windows that are looked at while 50,000 characters come in chunks of 16."""
    ticks = count()
    monkeypatch.setattr(stream, "perf_counter", lambda: seconds * next(ticks))
    monkeypatch.setattr(Busy, "looks", [])
    rule = Rule(id="r", detector="busy", action="flag", threshold=0.0)
    passing = stream.Filter(Run((Probe(0, "busy", Busy(hold), (rule,), 1e9, {}),)))
    text = "x, " * 16_667
    out = [passing.feed(text[i : i + 16]) for i in range(0, len(text), 16)]
    assert "".join([*out, passing.finish()]) == text
    return Busy.looks


@pytest.mark.parametrize("hold", [0, 100, 1_000, 10_000])
def test_a_stream_shows_every_character_a_bounded_number_of_times(
    hold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(poured(hold, monkeypatch, seconds=0.0)) < 30 * 50_000


@pytest.mark.parametrize("hold", [0, 100, 1_000])
def test_what_pours_in_faster_than_looks_take_is_read_in_larger_pieces(
    hold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = poured(hold, monkeypatch, seconds=1e-4)
    assert len(looks) < 64 + 50_000 / 16 / 8
    assert len(poured(hold, monkeypatch, seconds=0.0)) > len(looks)
