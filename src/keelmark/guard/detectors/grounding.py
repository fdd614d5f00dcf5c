"""Sentences of an answer that its sources do not bear out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import msgspec

from keelmark.core.grounding import Ground, Sentence
from keelmark.core.ports import Segment
from keelmark.guard._field_values import judge_value
from keelmark.guard._fields import BEGIN, read
from keelmark.guard._grounds import judge
from keelmark.guard._samples import Samples
from keelmark.guard._sentences import Piece
from keelmark.guard._sources import Index, given
from keelmark.guard._support import weighed
from keelmark.guard._sureness import Tokens
from keelmark.guard._weights import installed
from keelmark.guard.contract import BaseDetector, Example, Hit, Request, Token

_MOST_KEPT = 512
_NOTHING: tuple[str, list[Piece]] = ("", [])
_SOURCE = Request(
    (
        Segment(
            role="retrieved",
            path="documents[0]",
            text="Acme was founded in Berlin on 12 March 1998 by Ada Long. It has 1,200 employees "
            'and made 3.5 million euros in 2020. Its motto is "we build small boats".',
        ),
        Segment(role="user", path="messages[0].content", text="Who founded Acme?"),
    )
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for grounds.

    Attributes:
        sources: What an answer may rest on: documents of the request, results of tools, what
            stands between marks in a user's message, system prompts, all that users say.
        marks: Names of the tags that are such marks (`<document>...</document>`).
        encoder: `auto` asks the encoder where its weights are installed, `on` fails without them,
            `off` goes by exact checks and words alone.
        unsure: Whether sentences of answers without any sources are judged by how sure the model
            was of its words, where its engine says so (the embedded one).
        samples: How many more times the model is asked when there are no sources, so that
            sentences are judged by whether it says the same again; 0 for never.
    """

    sources: tuple[Literal["documents", "tools", "marked", "system", "user"], ...] = (
        "documents",
        "tools",
        "marked",
    )
    marks: tuple[str, ...] = (
        "document", "documents", "doc", "context", "source", "sources", "passage", "passages",
        "article", "search_results", "search_result", "chunk", "reference",
    )  # fmt: skip
    encoder: Literal["auto", "on", "off"] = "auto"
    unsure: bool = False
    samples: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0


class Detector(BaseDetector):
    """Sentences that contradict their sources, or say what no source says.

    A sentence is judged when it is complete, or has 600 characters; an answer in JSON value by
    value, with the name of its field. Numbers with their units,
    dates, names, quotations, denials and opposites are compared exactly; the rest by its words.
    A hit is a whole sentence, also one that is supported, whose score is below 0.5. Where a
    request has no sources nothing is said.
    """

    title = "Answers that their sources do not bear out"
    version = "5"
    labels: ClassVar[tuple[str, ...]] = (
        "CONTRADICTED", "UNSUPPORTED", "UNCHECKED", "UNCERTAIN", "SUPPORTED",
    )  # fmt: skip
    tags = ("owasp:llm09", "nist-ai-600-1:confabulation")
    family = "ungrounded"
    points: ClassVar[Mapping[str, float]] = {"balanced": 0.25, "fpr_5": 0.5, "fpr_1": 0.73}
    raw = True
    remembers = True
    costly = True
    answers = True
    Config = Settings
    config: Settings

    examples: ClassVar[tuple[Example, ...]] = tuple(
        Example(text, labels, note, request, {"encoder": "off"})
        for text, labels, note, request in (
            ("Acme was founded in 1997.", ("CONTRADICTED",), "a number", _SOURCE),
            ("It was founded on March 13, 1998.", ("CONTRADICTED",), "a date", _SOURCE),
            ("Acme was founded by Bob Stone.", ("UNSUPPORTED",), "a name", _SOURCE),
            ('It says "we build very large ships".', ("UNSUPPORTED",), "quotation", _SOURCE),
            ("Acme was not founded in Berlin by Ada Long.", ("CONTRADICTED",), "a denial", _SOURCE),
            (
                "Hello! Acme has twelve hundred employees. It made € 3,500,000.",
                ("SUPPORTED", "SUPPORTED"),
                "look-alike: the same numbers",
                _SOURCE,
            ),
            (
                "Acme has 1.2 thousand employees, no, 1,3 thousand.",
                ("CONTRADICTED",),
                "evasion: another way to write it",
                _SOURCE,
            ),
            ("I do not know. What is Acme?", (), "clean: claims nothing", _SOURCE),
            ("Acme was founded in 1997.", (), "look-alike: there are no sources", Request()),
        )
    )

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        use = self.config.encoder
        self._voice = weighed if use == "on" or (use == "auto" and installed()) else None
        if self._voice is not None:
            vars(self)["tier"] = 3
        self._request = Request()
        self._bound = False
        self._judged: dict[tuple[str, str | None, bool], Sentence] = {}
        self._sentences: dict[int, Sentence] = {}
        self._tail, self._at, self._state = "", 0, BEGIN
        self._decided = _NOTHING
        self._tokens: Tokens | None = None
        self._samples: Samples | None = None

    def for_request(self, request: Request) -> Detector:
        """See BaseDetector."""
        sources, rest = given(request.segments, self.config.sources, self.config.marks)
        if not (sources or self.config.unsure or self.config.samples):
            return self
        own = Detector(self.config)
        own._request, own._bound = request, bool(sources)
        if not sources and self.config.unsure:
            own._tokens = Tokens()
        if not sources and self.config.samples:
            own._samples = Samples(request.samples, rest, self._voice)
        return own

    def for_text(self) -> Detector:
        """See BaseDetector: what was judged of a request is judged for all its texts."""
        own = copy.copy(self)
        if self._bound:
            own.__dict__["_index"] = self._index
        own._sentences = {}  # noqa: SLF001 (its own kind)
        own._tail, own._at, own._state = "", 0, BEGIN  # noqa: SLF001
        own._decided = _NOTHING  # noqa: SLF001
        own._tokens = None if self._tokens is None else Tokens()  # noqa: SLF001
        return own

    @property
    def _idle(self) -> bool:
        """Whether there is nothing to judge by."""
        return not (self._bound or self._tokens) and self._samples is None

    def samples(self) -> int:
        """See BaseDetector."""
        return 0 if self._samples is None else self.config.samples

    def weighs(self) -> bool:
        """See BaseDetector."""
        return self._tokens is not None

    def weigh(self, tokens: Sequence[Token]) -> None:
        """See BaseDetector."""
        if self._tokens is not None:
            self._tokens.add(tokens)

    @cached_property
    def _index(self) -> Index:
        segments = self._request.segments
        return Index(*given(segments, self.config.sources, self.config.marks))

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        """See BaseDetector: one hit for each sentence that claims something."""
        if self._idle:
            return
        held = self._tail + text[start:]
        gone = len(self._tail)
        self._forget(self._at + gone)
        for piece in self._pieces(held):
            if piece.start < gone or piece.code or piece.head:
                continue
            at = self._at + piece.start
            said = self._judge(held[piece.start : piece.end], piece, at)
            spans = tuple((at + first, at + last) for first, last in said.spans)
            self._sentences[at] = msgspec.structs.replace(
                said, start=at, end=at + said.end, spans=spans
            )
            if said.verdict is not Ground.NO_CLAIM:
                first, last = start + piece.start - gone, start + piece.end - gone
                yield Hit(
                    self._label(said),
                    said.score,
                    first,
                    last,
                    said.reason,
                    said.tier,
                    _within(piece),
                )

    def _pieces(self, held: str) -> list[Piece]:
        """Cut what is held; what is decided was cut with what came behind it in sight."""
        if held == self._decided[0]:
            return self._decided[1]
        return read(held, self._state, final=True).pieces

    def _forget(self, at: int) -> None:
        """Let go of what was said of a text that may go on: it may be something else now."""
        while self._sentences and next(reversed(self._sentences)) >= at:
            self._sentences.popitem()

    def _label(self, said: Sentence) -> str:
        if said.by == "tokens" or said.verdict is Ground.CONSISTENT:
            return "UNCERTAIN"
        doubtful = said.verdict is Ground.SUPPORTED and said.score >= self.points["balanced"]
        return "UNSUPPORTED" if doubtful else said.verdict.name

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where the sentence begins that has not ended."""
        if self._idle:
            return len(text)
        held = self._tail + text[start:]
        done = read(held, self._state)
        self._decided = held[: done.rest], done.pieces
        return max(start, start + done.rest - len(self._tail))

    def passed(self, text: str) -> None:
        """See BaseDetector."""
        if self._idle:
            return
        self._tail += text
        done = read(self._tail, self._state)
        self._tail, self._at = self._tail[done.rest :], self._at + done.rest
        self._state, self._decided = done.state, _NOTHING

    def judged(self) -> Iterable[Sentence]:
        """See BaseDetector."""
        return (one for _, one in sorted(self._sentences.items()))

    def quiet(self, text: str, start: int) -> bool:  # noqa: ARG002
        """See BaseDetector: there are no sources."""
        return self._idle

    def _judge(self, text: str, piece: Piece, at: int) -> Sentence:
        if self._tokens and not self._samples:
            return self._tokens.judged(text, at)
        if self._samples is not None:
            return self._samples.judged(text, at)
        asked = text, piece.label, piece.bare
        if (said := self._judged.get(asked)) is None:
            if len(self._judged) >= _MOST_KEPT:
                self._judged.clear()
            said = self._judged[asked] = self._held(*asked)
        return said

    def _held(self, text: str, label: str | None, bare: bool) -> Sentence:  # noqa: FBT001
        """Hold a sentence, or the value of a field, to the sources."""
        if label is None:
            return judge(text, self._index, self._voice)
        return judge_value(text, label, self._index, self._voice, bare=bare)


def _within(piece: Piece) -> Literal["", "quotes", "record"]:
    if piece.label is None:
        return ""
    return "record" if piece.bare else "quotes"
