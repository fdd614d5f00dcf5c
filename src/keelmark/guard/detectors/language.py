"""Languages: texts in one that is not allowed, answers in another than the question's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from keelmark.core.errors import UsageError
from keelmark.core.ports import Segment
from keelmark.guard._languages import ENOUGH, FADE, MOST, Reading, known, language, wants_another
from keelmark.guard.contract import BaseDetector, Example, Hit, Request

_WORD = re.compile(r"[A-Za-z]+|```")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for languages.

    Attributes:
        allowed: Codes of the languages a text may be in (ISO 639-1: en, de, zh); empty means all.
        same: Whether an answer has to be in the language of the last question. Nothing is said
            where the question is too short to tell, or where it names a language or asks for a
            translation.
    """

    allowed: tuple[str, ...] = ()
    same: bool = False


def _asked(text: str) -> Request:
    return Request((Segment(role="user", path="messages[0].content", text=text),))


_GERMAN = _asked("Kannst du mir bitte sagen, wie man einen guten Kuchen backt und was ich brauche?")
_ONLY = {"allowed": ["en", "de"]}
_SAME = {"same": True}


class Detector(BaseDetector):
    """The language of a text, by small words and scripts. Without settings it says nothing.

    A language is reported once in a text: where it leads so clearly over those that are allowed
    that some twelve words, or a line of Chinese, have been read. The hit is one character, so it
    suits the actions block and flag. Blocks of code do not count. Names and single foreign
    sentences in a longer text are not reported.
    """

    title = "Language of the text, and of the question"
    version = "1"
    labels: ClassVar[tuple[str, ...]] = ("LANGUAGE", "OTHER_LANGUAGE")
    tags = ("nist-ai-600-1:info-integrity",)
    raw = True
    remembers = True
    Config = Settings
    config: Settings

    examples = (
        Example(
            "Je ne sais pas ce que vous voulez, mais il est tard et nous avons faim.",
            ("LANGUAGE",),
            "French, where English and German are allowed",
            config=_ONLY,
        ),
        Example(
            "我不知道你想要什么，但是现在已经很晚了，我们都饿了，所以先去吃饭吧。",
            ("LANGUAGE",),
            "Chinese",
            config=_ONLY,
        ),
        Example(
            "Я не знаю, что вы хотите, но уже поздно, и мы все очень хотим есть.",
            ("LANGUAGE",),
            "Russian",
            config=_ONLY,
        ),
        Example(
            "You will need some flour and eggs, and then you can mix it all in a bowl.",
            ("OTHER_LANGUAGE",),
            "an English answer to a German question",
            _GERMAN,
            _SAME,
        ),
        Example(
            "Je ne sais pas ce\u200b que vous vоulez, mais il est tard et nous avons très faim, "
            "et les enfants sont avec moi.",
            ("LANGUAGE",),
            "evasion: look-alike letters",
            config=_ONLY,
        ),
        Example(
            "Du brauchst Mehl und Eier; dann kannst du das alles in einer Schüssel mischen.",
            (),
            "look-alike: the language of the question",
            _GERMAN,
            _SAME,
        ),
        Example("C'est la vie, as they say in the streets of Paris.", (), "a quote", config=_ONLY),
        Example("OK, merci!", (), "too short", config=_ONLY),
        Example(
            "So geht es:\n```\nfor x in a: if x is not in the list and was there: do that\n```\n",
            (),
            "look-alike: code",
            _GERMAN,
            _SAME,
        ),
        Example(
            "Of course: this is what it would be in English, and that is all there is to it.",
            (),
            "a translation was asked for",
            _asked("Kannst du mir das bitte ins Englische übersetzen, wenn es dir nichts macht?"),
            _SAME,
        ),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean", config=_ONLY),
    )

    def __init__(self, config: Settings | None = None, question: str = "") -> None:
        super().__init__(config)
        if unknown := sorted(set(self.config.allowed) - known()):
            raise UsageError(
                f"language: {unknown[0]!r} is no language that can be told; choose from: "
                f"{', '.join(sorted(known()))}."
            )
        self._question = question
        borders = (("LANGUAGE", self.config.allowed), ("OTHER_LANGUAGE", (question,)))
        self._borders = [(label, frozenset(over)) for label, over in borders if any(over)]
        self._reading = Reading()

    def for_request(self, request: Request) -> Detector:
        """See BaseDetector: the language of the last question."""
        asked = [segment.text for segment in request.segments if segment.role == "user"]
        if not self.config.same or not asked or wants_another(asked[-1]):
            return self
        return Detector(self.config, language(asked[-1]))

    def for_text(self) -> Detector:
        """See BaseDetector."""
        return Detector(self.config, self._question)

    def passed(self, text: str) -> None:
        """See BaseDetector."""
        if self._borders:
            for _ in self._judged(self._reading, text):
                pass

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        if not self._borders:
            return []
        found = self._judged(self._reading.copy(), text[start:])
        return [replace(hit, start=start + hit.start, end=start + hit.end) for hit in found]

    def _judged(self, reading: Reading, text: str) -> Iterator[Hit]:
        for at in reading.read(text):
            for label, over in self._borders:
                best, most, rest = reading.lead(over | reading.said)
                if most - rest >= ENOUGH:
                    reading.said |= {best}
                    yield Hit(label, 0.9, at, at + 1, f"the text is in another language ({best})")
                    break

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: too few words for a language to take the lead."""
        held = text[start:]
        words = len(_WORD.findall(held)) + 1 if held.isascii() else len(held) + 1
        for _, over in self._borders:
            _, most, rest = self._reading.lead(over | self._reading.said)
            if most + MOST * words - rest * FADE**words >= ENOUGH:
                return False
        return True

    def open_from(self, text: str, start: int = 0) -> int:  # noqa: ARG002
        """Return the end: a language is told by what has come."""
        return len(text)
