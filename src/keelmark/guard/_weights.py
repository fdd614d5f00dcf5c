"""The files of the guard's encoder: where they are, whether they are whole, how to read it."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from keelmark.core.errors import IntegrityError, UnavailableError

FOLDER = "KEELMARK_WEIGHTS"
"""Environment variable that names another folder of weights, for their development."""
MEND = "install them with `pip install ./weights` (in a checkout: `make up` does it)"


OTHERS = "others"
ENGLISH = frozenset(["", "en"])
Knots = tuple[tuple[float, float], ...]


class Entry(msgspec.Struct, frozen=True):
    """A head in `calibration.json`: probabilities from logits, and thresholds by name.

    `points` are for English and for texts too short to tell, `languages` for others by their code,
    OTHERS for those that have no entry.
    """

    platt: tuple[float, float] = (1.0, 0.0)
    points: Mapping[str, float] = {}
    languages: Mapping[str, Mapping[str, float]] = {}


class Calibration(msgspec.Struct, frozen=True):
    """`calibration.json`.

    Attributes:
        version: Of the weights.
        sequence: What each number means that a text gets.
        tokens: What each number means that a token gets.
        heads: How to read them.
        model: SHA-256 of `encoder.onnx`.
    """

    version: str
    sequence: tuple[str, ...]
    tokens: tuple[str, ...]
    heads: Mapping[str, Entry]
    model: str


class Head(NamedTuple):
    """One head: how its logit becomes a probability, and a score with common thresholds.

    Attributes:
        slope: Of the logit.
        offset: Added to that.
        knots: Probabilities and the scores that stand for them, ascending; it jumps at equal ones.
        languages: The same for languages that have their own.
    """

    slope: float
    offset: float
    knots: Knots
    languages: Mapping[str, Knots]

    def score(self, logit: float, language: str = "") -> float:
        """Return the score, 0 to 1: SCORES of a point for what has its probability.

        Args:
            logit: What the encoder said.
            language: Of the text (ISO 639-1), "" if unclear.
        """
        given = chance(self.slope * logit + self.offset)
        (low, from_), *rest = self._knots(language)
        for high, to in rest:
            if given < high:
                return from_ + (to - from_) * (given - low) / (high - low)
            low, from_ = high, to
        return 1.0

    def _knots(self, language: str) -> Knots:
        if language in ENGLISH:
            return self.knots
        return self.languages.get(language) or self.languages.get(OTHERS, self.knots)


SCORES = {"balanced": 0.5, "fpr_5": 0.65, "fpr_1": 0.8}
"""The score that stands for the threshold of an operating point, in every head and language.

So a rule keeps its meaning when weights are replaced, and heads can be compared.
"""


def chance(logit: float) -> float:
    """Return the probability of a logit."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def head(entry: Entry) -> Head:
    """Return a head as its table says."""
    others = {name: _joined(points) for name, points in entry.languages.items()}
    return Head(*entry.platt, _joined(entry.points), others)


def _joined(given: Mapping[str, float]) -> Knots:
    """Return the knots through the points of a table; `balanced` is at most `fpr_5`."""
    points, most = {}, 1.0
    for name in reversed(SCORES):
        points[name] = most = min(given.get(name, SCORES[name]), most)
    return ((0.0, 0.0), *((points[name], score) for name, score in SCORES.items()), (1.0, 1.0))


class Weights:
    """A folder of weights.

    Args:
        folder: `encoder.onnx`, `vocab.txt` and `calibration.json`.

    Raises:
        UnavailableError: A file is missing.
        IntegrityError: The files do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            raw = (folder / "calibration.json").read_bytes()
            self.words = (folder / "vocab.txt").read_text("utf-8").rstrip("\n").split("\n")
            digest = hashlib.sha256(self.model.read_bytes()).hexdigest()
        except OSError as error:
            raise UnavailableError(
                f"The weights of the guard's encoder are not complete ({error.strerror}: "
                f"{Path(str(error.filename)).name}); {MEND}.",
                retryable=False,
            ) from None
        try:
            self.calibration = msgspec.json.decode(raw, type=Calibration)
        except msgspec.DecodeError as error:
            raise IntegrityError(
                f"The calibration of the guard's encoder cannot be read ({error}); {MEND}."
            ) from None
        if digest != self.calibration.model:
            raise IntegrityError(
                "The weights of the guard's encoder are not the ones that were calibrated "
                f"(sha256 {digest[:16]}...); {MEND}."
            )

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.folder / "encoder.onnx"

    @cached_property
    def heads(self) -> dict[str, Head]:
        """The calibrated heads by name."""
        return {name: head(entry) for name, entry in self.calibration.heads.items()}


def found() -> Path:
    """Return the folder of the weights that are installed.

    Raises:
        UnavailableError: There are none.
    """
    if chosen := os.environ.get(FOLDER):
        return Path(chosen)
    try:
        package: Any = importlib.import_module("keelmark_weights")
    except ImportError:
        raise UnavailableError(
            f"The weights of the guard's encoder are not installed; {MEND}.", retryable=False
        ) from None
    folder: Path = package.folder()
    return folder


def installed() -> bool:
    """Whether there are weights; whether they can be used shows when they are loaded."""
    try:
        return (found() / "encoder.onnx").is_file()
    except UnavailableError:
        return False
