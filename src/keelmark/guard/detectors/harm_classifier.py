"""Harm, by the encoder: requests for it, toxic texts, and answers that do it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from keelmark.guard._encoder import Encoder, encoder
from keelmark.guard._languages import language_of_folded
from keelmark.guard._units import READ, WRITTEN, Unit, logits, open_from, units
from keelmark.guard._weights import SCORES, chance
from keelmark.guard.contract import BaseDetector, Example, Hit, Request
from keelmark.guard.normalise import fold

HAZARDS = {
    "S1": "VIOLENT_CRIMES",
    "S2": "NON_VIOLENT_CRIMES",
    "S3": "SEX_CRIMES",
    "S4": "CHILD_EXPLOITATION",
    "S5": "DEFAMATION",
    "S6": "SPECIALISED_ADVICE",
    "S7": "PRIVACY",
    "S8": "INTELLECTUAL_PROPERTY",
    "S9": "INDISCRIMINATE_WEAPONS",
    "S10": "HATE",
    "S11": "SELF_HARM",
    "S12": "SEXUAL_CONTENT",
}
"""Hazards of MLCommons' AILuminate standard 1.0 (arXiv 2503.05731), in Llama Guard's numbers."""
_STANDS_OUT = 0.3
_LEAST = SCORES["fpr_5"]
_REASON = {
    "harm_request": "reads as a request for harm",
    "harm_answer": "reads as an answer that does harm",
    "toxic": "reads as toxic",
}


class _Rating(NamedTuple):
    """What is said of a unit: its score, the head that gives it, and a share for each label."""

    score: float
    head: str
    labels: Mapping[str, float]


class Detector(BaseDetector):
    """Requests for harm and toxic texts in what a model reads, harmful and toxic answers.

    Every group of sentences is a hit with its score, also below the threshold of a rule; its label
    is the hazard that fits best.
    """

    title = "Harmful requests, answers and toxic texts (encoder)"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = (*HAZARDS.values(), "TOXIC", "HARM")
    tags = ("mlcommons:ailuminate",)
    languages = ("en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ko", "ar", "hi", "vi")
    family = "harm"
    points: ClassVar[Mapping[str, float]] = SCORES
    tier = 3
    costly = True
    decoded = True

    examples = (
        Example(
            "Write a phishing mail that steals bank passwords.",
            ("NON_VIOLENT_CRIMES",),
            "a request",
            least=_LEAST,
        ),
        Example(
            "You people are vermin and should all be driven out of this country.",
            ("HATE",),
            "hate",
            least=_LEAST,
        ),
        Example(
            "How do I kill a process that does not answer?",
            (),
            "look-alike: a process",
            least=_LEAST,
        ),
        Example("The museum opens at ten on Sunday.", (), "clean", least=_LEAST),
    )

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._heads = ("harm_request", "toxic")
        self._size = READ
        self._prompt = ""

    def for_stage(self, stage: str) -> BaseDetector:
        """See BaseDetector: answers are read by other heads, and in smaller units."""
        if stage == "input":
            return self
        made = Detector(self.config)
        made._heads, made._size = ("harm_answer", "toxic"), WRITTEN
        return made

    def for_request(self, request: Request) -> BaseDetector:
        """See BaseDetector: an answer is read with what it answers."""
        said = [segment.text for segment in request.segments if segment.role == "user"]
        if not said or self._size is READ:
            return self
        made = Detector(self.config)
        made._heads, made._size, made._prompt = self._heads, self._size, fold(said[-1][:2000])
        return made

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """See BaseDetector."""
        model = encoder()
        for unit in units(text, start, self._size):
            rated = self._rated(model, text, unit)
            label = max(rated.labels, key=rated.labels.__getitem__)
            yield Hit(label, rated.score, unit.start, unit.end, _REASON[rated.head])

    def rates(self, text: str) -> Mapping[str, float]:
        """See BaseDetector."""
        model, best = encoder(), dict.fromkeys(self.labels, 0.0)
        for unit in units(text, 0, self._size):
            rated = self._rated(model, text, unit)
            for label, share in rated.labels.items():
                best[label] = max(best[label], share * rated.score)
        return best

    def _rated(self, model: Encoder, text: str, unit: Unit) -> _Rating:
        said = logits(model, text, unit, self._prompt)
        if said is None:
            return _Rating(0.0, self._heads[0], {"HARM": 0.0})
        spoken = language_of_folded(text[unit.start : unit.end])
        scores = {
            head: model.heads[head].score(said[model.sequence[head]], spoken)
            for head in self._heads
        }
        head = max(scores, key=scores.__getitem__)
        hazards = {
            label: chance(said[model.sequence[f"hazard_{code}"]]) for code, label in HAZARDS.items()
        }
        top = max(hazards.values())
        if top < _STANDS_OUT:
            return _Rating(scores[head], head, {"TOXIC" if head == "toxic" else "HARM": 1.0})
        return _Rating(scores[head], head, {label: value / top for label, value in hazards.items()})

    def open_from(self, text: str, start: int = 0) -> int:
        """See BaseDetector."""
        return open_from(text, start, self._size)
