"""What a detector is: one file in `guard/detectors/`, one class called `Detector`.

The law that makes streaming exact. For every text T and every prefix P of it::

    hits of T that start before open_from(P)  ==  hits of P that start before open_from(P)

So whatever starts before `open_from` is decided for good, however the text goes on. The contract
test checks the law for every detector, example and split.

The text that `find` and `open_from` get is the folded view (`guard.normalise.fold`: look-alike
letters read as ASCII, accents and invisible characters gone, case kept) unless `raw` is set.
Patterns for words with accents or in other scripts are written as `fold("...")`. What the law
promises is promised of that text. A stream hands over a window: some context, then what is held.

Two things that a window does not show come in by their own doors. What the request says (its
system prompt) is given to `for_request`. What has left long ago (whether a code block is open,
how often a paragraph came) is kept by a detector that `remembers`: `for_text` makes one with a
memory of its own for each text, and `passed` tells it what has left, in order. Its law: after
`passed` of the first part of T, in whatever pieces, `find` sees in the rest what it sees in T.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec

from keelmark.core.errors import KeelmarkError
from keelmark.core.form import Form
from keelmark.core.grounding import Sentence
from keelmark.core.ports import Sample, Segment

LOOK_BEHIND = 96
"""Characters before `start` that a detector may look at; the stream keeps that many."""


_LONGEST_TOKEN, _LONGEST_WORD = 256, 64
_LAST_WORD = re.compile(rf"(?<![^\W_])[^\W_]{{1,{_LONGEST_WORD}}}\Z")


class ContractError(KeelmarkError):
    """A detector does not keep the contract."""


class Hit(msgspec.Struct, frozen=True, gc=False):
    """Something seen, offsets in the text that `find` was given.

    `tier` 0 is its detector's; `within` says that it is a value of JSON that the text has in it,
    in `quotes` or bare in a `record`: what takes its place has to be one too.
    """

    label: str
    score: float
    start: int
    end: int
    reason: str
    tier: int = 0
    within: Literal["", "quotes", "record"] = ""


class Token(NamedTuple):
    """A token of an answer, and the logarithm of its probability."""

    text: str
    logprob: float


class Request(NamedTuple):
    """What the model is given to read, as it is given it: masked values are placeholders.

    Attributes:
        segments: The texts.
        form: The form that the text at hand was asked for in; only detectors of whole texts are
            told (`whole`), because only what leaves can have it.
        canary: What the guard has put at the end of the system prompt because a detector `plants`,
            made for this request: it must never come out. "" for none.
        samples: Other answers to it, where they were asked for (`BaseDetector.samples`).
    """

    segments: tuple[Segment, ...] = ()
    form: Form | None = None
    canary: str = ""
    samples: tuple[Sample, ...] = ()


class Example(NamedTuple):
    """A text and the labels that must come out of it, in order of appearance (may be none).

    `request` is what the text answers, for detectors that want to know (`for_request`), and
    `config` the settings, for those that look for nothing without. Hits below `least` do not
    count, for detectors that give every text a score.
    """

    text: str
    labels: tuple[str, ...]
    note: str
    request: Request = Request()
    config: Mapping[str, Any] = MappingProxyType({})
    least: float = 0.0

    def detector(self, kind: type[BaseDetector]) -> BaseDetector:
        """Make the detector that gives the labels."""
        return kind(msgspec.convert(dict(self.config), kind.Config)).for_request(self.request)


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detector without settings."""


class BaseDetector(ABC):
    """Base of all detectors: pure, stateless, cheap to import.

    Attributes:
        title: One line for people.
        version: Changes whenever the findings may change.
        labels: Every label it can give.
        tags: Risks it answers, `framework:id` (`owasp:llm01`).
        languages: BCP 47 codes, or "*" when language plays no part.
        family: Name under which its best score is reported (`injection`, `harm`); its id if empty.
        points: Operating points by name: thresholds that a rule may ask for instead of a number.
        tier: 1 deterministic, 2 linear model, 3 encoder, 4 judge.
        raw: Whether it wants the text as written instead of the folded view (see normalise).
        decoded: Whether it also reads the text with its encoded runs decoded (base64, hex, Morse
            ...), where a text is there as a whole; and, unless it is `costly`, guesses at the whole
            text (Caesar, reversed ...).
        remembers: Whether it keeps a memory of each text (`for_text`, `passed`). `start` is then
            always where what it was told of ends.
        whole: Whether it judges the form of complete answers: it is asked once, at the end, with
            the text as it leaves (values given back) and as it is written (escapes in place).
            It would hold all of a stream, so streams leave it out and it is asked beside them
            (`guard.forms`). Its rules block or flag.
        assembles: Whether it matters what successive messages of one role say together, and what
            values with names do (`guard._turns`): orders do, numbers and names of people do not.
        enough: Hits in one text after which more say nothing new, so that no more are looked for
            where all its rules block or flag; 0 when every one is wanted. `find` may then do its
            work while it is asked for one hit after the other.
        costly: Whether a look costs so much that a stream shows it only what is decided: up to
            what it has just answered to `open_from`.
        answers: Whether it reads only what is said to the user: no thoughts, no calls of tools.
        unseen: Whether what it finds is nothing that people see: redacting takes out what the
            other detectors do not read either, and names no label there.
        Config: Its settings with defaults, a frozen msgspec struct that forbids unknown fields.
        examples: At least one that is found, one clean, one evasion, one look-alike.
    """

    title: ClassVar[str]
    version: ClassVar[str]
    labels: ClassVar[tuple[str, ...]]
    tags: ClassVar[tuple[str, ...]] = ()
    languages: ClassVar[tuple[str, ...]] = ("*",)
    family: ClassVar[str] = ""
    points: ClassVar[Mapping[str, float]] = {}
    tier: ClassVar[int] = 1
    raw: ClassVar[bool] = False
    decoded: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    assembles: ClassVar[bool] = False
    enough: ClassVar[int] = 0
    costly: ClassVar[bool] = False
    answers: ClassVar[bool] = False
    unseen: ClassVar[bool] = False
    Config: ClassVar[type[msgspec.Struct]] = NoConfig
    examples: ClassVar[tuple[Example, ...]]

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    def for_stage(self, stage: str) -> BaseDetector:  # noqa: ARG002 (default: no use)
        """Return the detector for texts of `input` or `output`: itself, or one made for them."""
        return self

    def for_request(self, request: Request) -> BaseDetector:  # noqa: ARG002 (default: no use)
        """Return the detector for the answers to a request: itself, or one that knows more.

        It keeps the same law. It must not change this one: another request asks it too.
        """
        return self

    def plants(self) -> bool:
        """Whether system prompts get a canary of their own for it (`Request.canary`)."""
        return False

    def for_text(self) -> BaseDetector:
        """Return the detector for one text: itself, or one with an empty memory of its own."""
        return self

    def passed(self, text: str) -> None:  # noqa: B027 (the default keeps nothing)
        """Take note of text that will not be shown again, in the order of the text.

        Only detectors that remember are told. `passed(a)` and `passed(b)` must leave the same
        memory as `passed(a + b)`, and the memory must be bounded.
        """

    @abstractmethod
    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """Return every hit that starts at or after `start`, left to right, not overlapping.

        May look at no more than LOOK_BEHIND characters before `start`. A hit found from an
        earlier `start` that begins at or after this one is found from here too, provided no hit
        straddles `start`. Linear time in the length of the text.
        """

    def open_from(self, text: str, start: int = 0) -> int:
        """Return the index from which hits may still appear or change when more text follows.

        At least `start`, at most `len(text)`. A stream asks it for every chunk, with some 30
        characters held: it should cost about as much as the default when nothing has begun, so
        look for a telling character first. The default suits detectors whose hits contain no
        white space: the last unbroken token is open.
        """
        return last_token(text, start)

    def explain(self, text: str) -> tuple[str, ...]:  # noqa: ARG002 (the default says nothing)
        """Return what is wrong with a whole text, for who may see it; see `whole`."""
        return ()

    def weighs(self) -> bool:
        """Whether it wants the log-probabilities of the answer's tokens (`weigh`)."""
        return False

    def weigh(self, tokens: Sequence[Token]) -> None:  # noqa: B027 (the default has no use)
        """Take note of tokens whose text is shown next; only who remembers is told."""

    def samples(self) -> int:
        """Return how many other answers to the request it wants (`Request.samples`)."""
        return 0

    def judged(self) -> Iterable[Sentence]:
        """Return what it has said of the sentences of its text so far, in their order."""
        return ()

    def rates(self, text: str) -> Mapping[str, float]:  # noqa: ARG002 (the default has none)
        """Return a score for each of its labels over a whole text, where it weighs them all."""
        return {}

    def quiet(self, text: str, start: int) -> bool:  # noqa: ARG002 (the default has no opinion)
        """Say cheaply that the last unbroken token is all that is open, and nothing is found.

        True promises, however the text goes on, that no hit starts between `start` and where the
        last token begins. A stream asks this first for every chunk; False is always right. A text
        that has ended is shown with a line break after it: then True promises that nothing is
        found in it at all.
        """
        return False


def last_token(text: str, start: int) -> int:
    """Return where the last unbroken token begins; the text's length after white space."""
    tail = text[start:]
    if not tail or tail[-1].isspace():
        return len(text)
    return len(text) - len(tail.rsplit(None, 1)[-1])


def last_word(text: str, start: int) -> int:
    """Return where the last unbroken token begins, or the last word of one that goes on and on.

    For detectors whose hits begin at words: scripts without spaces have sentences of one token. In
    a run of more letters than any word has, nothing is open.
    """
    opened = last_token(text, start)
    if len(text) - opened <= _LONGEST_TOKEN:
        return opened
    word = _LAST_WORD.search(text, len(text) - _LONGEST_WORD - 1)
    return word.start() if word else len(text)
