"""Small detectors for tests of the guard's core: one of each kind, and broken ones."""

import itertools
import re
import time
from collections.abc import Iterable

import msgspec

from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.guard.contract import BaseDetector, Example, Hit


class Sample(BaseDetector):
    title = "sample"
    version = "1"
    pattern = re.compile(r"(?!)")
    score = 0.9

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        for match in self.pattern.finditer(text, start):
            yield Hit(self.labels[0], self.score, match.start(), match.end(), "looks like it")


class Address(Sample):
    """No white space within: the default `open_from`."""

    labels = ("EMAIL",)
    pattern = re.compile(r"(?<![a-z0-9.])[a-z0-9.]+@[a-z0-9]+(?:\.[a-z0-9]+)+")
    examples = (Example("a@b.example", ("EMAIL",), ""),)
    tags = ("owasp:llm02",)


class Digits(Sample):
    """Several tokens, own `open_from`."""

    labels = ("DIGITS",)
    pattern = re.compile(r"\d(?:[ -]?\d){7,15}")
    examples = (Example("1234 5678", ("DIGITS",), ""),)

    def open_from(self, text: str, start: int = 0) -> int:
        tail = text[start:]
        run = tail[len(tail.rstrip("0123456789 -")) :]
        return len(text) - len(run.lstrip(" -"))


class Phrase(Sample):
    """Words with white space between, read in encoded runs too."""

    labels = ("PHRASE",)
    family = "injection"
    decoded = True
    pattern = re.compile(r"open\s+sesame")
    begun = re.compile(r"(?:o|op|ope|open|open\s+(?:s|se|ses|sesa|sesam)?)\Z")
    examples = (Example("open  sesame", ("PHRASE",), ""),)

    def open_from(self, text: str, start: int = 0) -> int:
        match = self.begun.search(text, max(start, len(text) - 200))
        return match.start() if match else len(text)


class Unseen(Sample):
    """Reads the text as written; a hit is decided at once."""

    labels = ("UNSEEN",)
    raw = True
    pattern = re.compile("\u200b+")
    examples = (Example("a\u200bb", ("UNSEEN",), ""),)

    def open_from(self, text: str, start: int = 0) -> int:
        return max(start, len(text.rstrip("\u200b")))


class Overlap(Address):
    """Overlaps what `Address` finds."""

    labels = ("HOST",)
    pattern = re.compile(r"@[a-z0-9.]+!?")
    score = 0.4
    examples = (Example("@host", ("HOST",), ""),)


class Broken(Address):
    labels = ("NEVER",)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        raise ValueError(f"the text was {text}")


class Lawless(Address):
    """Answers with a place outside the text."""

    labels = ("NEVER",)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        return [Hit("NEVER", 1.0, start, len(text) + 1, "")]


class Patience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: float = 0.02


class Slow(Address):
    Config = Patience

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        time.sleep(self.config.seconds)
        return super().find(text, start)


def told(detector: BaseDetector, text: str, end: int) -> BaseDetector:
    """The detector for a text of which the first part has left, in uneven pieces."""
    if not detector.remembers:
        return detector
    own = detector.for_text()
    edges = [*range(0, end, 1 + end % 97), end]
    for first, last in itertools.pairwise(edges):
        own.passed(text[first:last])
    return own


SAMPLES: dict[str, type[BaseDetector]] = {
    "address": Address,
    "digits": Digits,
    "phrase": Phrase,
    "unseen": Unseen,
    "overlap": Overlap,
    "broken": Broken,
    "lawless": Lawless,
    "slow": Slow,
}


def policy(*rules: tuple[str, str] | Rule, stage: str = "both") -> Policy:
    """A policy of `(detector, action)` pairs, with all the time there is, or of whole rules."""
    made = [
        rule
        if isinstance(rule, Rule)
        else Rule(
            id=f"{rule[0]}-{rule[1]}",
            detector=rule[0],
            action=rule[1],
            stage=stage,
            timeout_ms=600_000,
        )
        for rule in rules
    ]
    return Policy(guard=GuardRules(rules=tuple(made)))
