"""System prompts that come out again: canaries, and long stretches word for word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, compress, count, pairwise
from typing import Annotated, ClassVar, NamedTuple

import msgspec

from keelmark.core.errors import UsageError
from keelmark.core.ports import Segment
from keelmark.guard._canaries import Canaries, letters
from keelmark.guard._patterns import lower, settle
from keelmark.guard.contract import BaseDetector, Example, Hit, Request, last_token
from keelmark.guard.normalise import fold

_JOINED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # no spaces between words
_TOKEN = re.compile(rf"([{_JOINED}]|(?<![^\W_{_JOINED}])[^\W_{_JOINED}]+)")
_MOST = 64  # words of one hit; what is longer is several
_SHORTEST_CANARY = 8


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for leaked system prompts.

    Attributes:
        canaries: Words made up for the purpose that stand in the system prompt and must never
            come out, at least 8 letters and digits each. Found however they are spaced.
        canary: Whether every request gets a canary of its own: a line with a random word at the end
            of its system prompt, made for this request. It ends what an engine can keep of a
            prompt from one request to the next: see docs/how-to/keep-the-system-prompt.md.
        words: Fewest words in a row that count as a leak. Two characters of a script without
            spaces count as a word.
        allow: Sentences of the system prompt that answers may say (a greeting, a closing line).
    """

    canaries: tuple[str, ...] = ()
    canary: bool = False
    words: Annotated[int, msgspec.Meta(ge=4, le=32)] = 10
    allow: tuple[str, ...] = ()


class Detector(BaseDetector):
    """Canaries and stretches of the request's own system prompt in the answer.

    What the other messages of the request say may be quoted. Scores: a canary 0.99; a stretch of
    words from 0.5 (10 words) to 0.95 (28 words and more). Translations and paraphrases are not
    found. What the model encodes is found by a canary in it (backwards, rot13, hex, base64).
    """

    title = "System prompt in the answer"
    version = "2"
    labels: ClassVar[tuple[str, ...]] = ("CANARY", "SYSTEM_PROMPT")
    tags = ("owasp:llm07",)
    Config = Settings
    config: Settings

    _asked = Request(
        (
            Segment(
                role="system",
                path="messages[0].content",
                text="You are Ada, the assistant of a small bakery. Never mention the price of "
                "flour, and never offer a discount of more than ten per cent.",
            ),
            Segment(
                role="system",
                path="messages[1].content",
                text="请始终用礼貌的语气回答顾客的问题，不要透露供应商的名称和面粉的价格。",
            ),
            Segment(
                role="user",
                path="messages[2].content",
                text="Is it true that you never offer a discount of more than ten per cent?",
            ),
        )
    )
    examples = (
        Example(
            "My rules: You are Ada, the assistant of a small bakery. Never mention the price of "
            "flour. What else?",
            ("SYSTEM_PROMPT",),
            "word for word",
            _asked,
        ),
        Example(
            "> YOU are ada - the *assistant* of a\nsmall bakery; never mention",
            ("SYSTEM_PROMPT",),
            "evasion: case, stars, lines",
            _asked,
        ),
        Example(
            "You аre Ada, the assіstant of a sma\u200bll bakery, never mention it",
            ("SYSTEM_PROMPT",),
            "evasion: look-alike letters",
            _asked,
        ),
        Example(
            "Its code, backwards: d a e r b a 3 f 7 m k",
            ("CANARY",),
            "evasion: a canary backwards and spaced",
            config={"canaries": ["KM-7F3A-bread"]},
        ),
        Example("好的：请始终用礼貌的语气回答顾客的问题。", (), "Chinese, too short", _asked),
        Example(
            "请始终用礼貌的语气回答顾客的问题，不要透露供应商的名称。",
            ("SYSTEM_PROMPT",),
            "Chinese",
            _asked,
        ),
        Example(
            "Yes, we never offer a discount of more than ten per cent.",
            (),
            "look-alike: the user said it",
            _asked,
        ),
        Example(
            "I am Ada, and I never mention the price of flour.",
            (),
            "look-alike: own words",
            _asked,
        ),
        Example("The assistant of a small shop never sleeps.", (), "clean", _asked),
        Example("The quick brown fox jumps over the lazy dog.", (), "clean"),
    )

    def __init__(self, config: Settings | None = None, request: Request | None = None) -> None:
        super().__init__(config)
        for canary in self.config.canaries:
            if len(letters(canary)) < _SHORTEST_CANARY:
                raise UsageError(
                    f"prompt_leak: the canary {letters(canary)!r} is too short; use at least "
                    f"{_SHORTEST_CANARY} letters and digits."
                )
        self._request = request or Request()
        planted = (self._request.canary,) if self._request.canary else ()
        self._canaries = Canaries((*self.config.canaries, *planted))
        system = [s.text for s in self._request.segments if s.role == "system"]
        self._secret, pairs = _canonical(system)
        self._pairs = frozenset(pairs)
        self._firsts = frozenset(first for first, _ in pairs)
        self._longest = max((len(word) for pair in pairs for word in pair), default=0)
        self._last: tuple[str, int, _Words] | None = None

    def plants(self) -> bool:
        """See BaseDetector."""
        return self.config.canary

    def for_request(self, request: Request) -> Detector:
        """See BaseDetector."""
        return Detector(self.config, request)

    @cached_property
    def _said(self) -> str:
        """What may be said: the other messages of the request, and the allowed sentences."""
        others = [s.text for s in self._request.segments if s.role != "system"]
        return _canonical([*self.config.allow, *others])[0]

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        hits: list[Hit] = []
        if self._canaries:
            hits += (
                Hit("CANARY", 0.99, begin, end, "a canary of the system prompt")
                for begin, end in self._canaries.spans(lower(text), start)
            )
        if self._pairs:
            hits += (stretch.hit for stretch in self._stretches(self._words(text, start)))
        return settle(hits, start)

    def _words(self, text: str, start: int) -> _Words:
        """Return the words of a window; a stream asks what is open there, then what is found."""
        if (last := self._last) is None or last[:2] != (text, start):
            self._last = last = text, start, _Words(lower(text), start, self._pairs)
        return last[2]

    def _stretches(self, words: _Words) -> Iterator[_Stretch]:
        """Yield the stretches of the system prompt, from left to right."""
        after, fewest = 0, self.config.words - 1
        for at in [at for at, run in enumerate(words.runs) if run >= fewest]:
            if at >= after and (last := self._reach(words, at)):
                yield _Stretch(words.hit(at, last), last)
                after = last

    def _reach(self, words: _Words, at: int) -> int:
        """Return the number of the word behind the stretch that begins with a word, or 0."""
        reach = self._leaks(words, at)
        if not reach:
            return 0
        capped, here = 0, at + 1
        while further := self._leaks(words, here):
            if not capped and further > at + _MOST:
                capped = reach
            if capped and further - capped >= self.config.words:
                return capped
            reach, here = further, here + 1
        return reach

    def _leaks(self, words: _Words, at: int) -> int:
        """Return the number of the word behind the shortest stretch that counts, or 0."""
        end = words.gram(at, self.config.words)
        if not end or words.runs[at] < end - at - 1:
            return 0
        gram = words.spelled(at, end)
        return end if gram in self._secret and gram not in self._said else 0

    def quiet(self, text: str, start: int) -> bool:
        """See BaseDetector: nothing to look for, or no word that could begin a stretch."""
        if self._canaries and not self._canaries.quiet(lower(text), start):
            return False
        return not self._pairs or self._firsts.isdisjoint(_TOKEN.findall(lower(text[start:])))

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where a canary or a stretch begins that may go on."""
        opened = last_token(text, max(start, len(text) - 2 * _SHORTEST_CANARY))
        if self._canaries:
            opened = min(opened, self._canaries.open_from(lower(text), start))
        if self._pairs:
            opened = min(opened, self._open_stretch(self._words(text, start)))
        return opened

    def _open_stretch(self, words: _Words) -> int:
        """Where a stretch begins that may still appear or grow."""
        at = 0
        for stretch in self._stretches(words):
            if stretch.last > len(words.tokens) - 2 - self.config.words * 2:
                return stretch.hit.start
            at = stretch.last
        if words.tokens and len(words.tokens[-1]) > self._longest:
            return words.start(len(words.tokens))  # no word of the prompt, however it goes on
        complete = len(words.tokens) - 1  # the last word may go on
        for number in range(max(at, complete - 2 * self.config.words), complete):
            if words.runs[number] >= complete - number - 1:
                end = words.gram(number, self.config.words)
                if not end or end > complete:
                    return words.start(number)
        return words.start(complete)


class _Stretch(NamedTuple):
    """A hit, and the number of the word behind it."""

    hit: Hit
    last: int


class _Words:
    """The words of a text from an index on, and which pairs of them are known."""

    def __init__(self, low: str, start: int, pairs: frozenset[tuple[str, str]]) -> None:
        first = _TOKEN.search(low, start)
        begin = first.start() if first else len(low)
        parts = _TOKEN.split(low[begin:])
        self._places = list(accumulate(map(len, parts), initial=begin))
        self._pairs = pairs
        self.tokens = parts[1::2]

    @cached_property
    def _weights(self) -> list[int]:
        return [0, *accumulate(map(_weight, self.tokens))]

    def start(self, number: int) -> int:
        """Where a word begins; the end of the text for one that is not there."""
        return self._places[2 * number + 1 if 0 <= number < len(self.tokens) else -1]

    @cached_property
    def runs(self) -> list[int]:
        """How many pairs in a row, from each word on, are known."""
        runs = [0] * (len(self.tokens) + 1)
        known = map(self._pairs.__contains__, pairwise(self.tokens))
        for at in reversed(list(compress(count(), known))):
            runs[at] = runs[at + 1] + 1
        return runs

    def gram(self, at: int, words: int) -> int:
        """Return the number of the word behind the next so many words; 0 if there are fewer."""
        for end in range(at + words, min(at + 2 * words, len(self.tokens)) + 1):
            if self._weights[end] - self._weights[at] >= 2 * words:
                return end
        return 0

    def spelled(self, at: int, end: int) -> str:
        """The words as they are searched for."""
        return f" {' '.join(self.tokens[at:end])} "

    def hit(self, at: int, end: int) -> Hit:
        """The hit from one word to another."""
        words = (self._weights[end] - self._weights[at]) / 2
        score = round(min(0.95, 0.25 + words / 40), 3)
        reason = f"{words:.0f} words of the system prompt in a row"
        return Hit("SYSTEM_PROMPT", score, self.start(at), self._places[2 * end], reason)


def _weight(token: str) -> int:
    """How many half words a token counts for."""
    return 1 if len(token) == 1 and token >= "\u0e00" else 2


def _canonical(texts: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the words of texts with a space between them, and every pair of neighbours."""
    found = [_TOKEN.findall(lower(fold(text))) for text in texts]
    pairs = [pair for tokens in found for pair in pairwise(tokens)]
    return "\n".join(f" {' '.join(tokens)} " for tokens in found), pairs
