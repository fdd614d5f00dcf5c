"""Text that people do not see but a model reads: tags, zero widths, bidi tricks, selectors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from keelmark.guard._patterns import chosen, settle
from keelmark.guard.contract import BaseDetector, Example, Hit

_ZERO = "\u200b\u200c\u200d\u2060-\u2064\ufeff\u180e"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_CONTROLS = "\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f"
# Letters of scripts that are written without joiners and without invisible word breaks.
_PLAIN = "0-9A-Za-z\u00aa-\u024f\u0370-\u03ff\u0400-\u052f\u0531-\u0587\u1e00-\u1fff"

_SUSPECT = re.compile(
    f"[{_ZERO}{_SELECTORS}{_PRIVATE}{_CONTROLS}\u00ad\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_BLANKS = re.compile(r"(?<=\s{80})\s+|(?<=\n{24})\n+")
_TAGS = re.compile("(?<![\U000e0000-\U000e007f])[\U000e0000-\U000e007f]+")
_FLAG = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_ZERO_RUN = re.compile(f"(?<![{_ZERO}])[{_ZERO}]+")
_SPLITS = re.compile(f"(?<=[{_PLAIN}])[{_ZERO}]+(?=[{_PLAIN}])")
_SELECTOR_RUN = re.compile(f"(?<![{_SELECTORS}])[{_SELECTORS}]{{2,}}")
_PRIVATE_RUN = re.compile(f"(?<![{_PRIVATE}])[{_PRIVATE}]{{3,}}")
_CONTROL_RUN = re.compile(f"(?<![{_CONTROLS}])[{_CONTROLS}]+")
_HYPHENS = re.compile(r"(?<!\u00ad\w)\u00ad(?:\w\u00ad)+")
_OVERRIDES = re.compile("(?<![\u202d\u202e])[\u202d\u202e]+")
_BIDI = re.compile("[\u202a\u202b\u2066-\u2068]")
_PAIRING = re.compile("([\u202a\u202b\u2066-\u2068])\\1*|[\u202c\u2069\n]")
_CLOSERS = dict.fromkeys("\u202a\u202b", "\u202c") | dict.fromkeys("\u2066\u2067\u2068", "\u2069")
_REACH = 400  # characters within which an embedding or isolate must be closed on its line

# What a run at the end of a text ends with, and the run, which may go on.
_RUNS = (
    *(
        (re.compile(f"[{kind}]\\Z"), re.compile(f"(?<![{kind}])[{kind}]+\\Z"))
        for kind in (
            _ZERO,
            _SELECTORS,
            _PRIVATE,
            _CONTROLS,
            "\u202d\u202e",
            "\U000e0000-\U000e007f",
        )
    ),
    (re.compile("\u00ad\\w?\\Z"), re.compile("(?<!\u00ad\\w)\u00ad(?:\\w\u00ad)*\\w?\\Z")),
    (
        re.compile(r"\s{25}\Z"),
        re.compile(r"(?:(?<!\s{81})(?<=\s{80})\s+|(?<!\n{25})(?<=\n{24})\n+)\Z"),
    ),
)
_MANY_BLANKS = re.compile(r"\s{80}|\n{24}")
_CONTROL = re.compile(f"[{_CONTROLS}]")
_WIDE = 20 * " "
# ASCII as it matters here: a control character is NUL, white space a blank, all else a letter.
_SKETCH = bytes(
    32 if chr(code).isspace() and not _CONTROL.match(chr(code)) else 97 * chr(code).isprintable()
    for code in range(256)
)
_DEEPEST = 16  # nesting of embeddings that is still taken for writing
_NEVER, _DEEP, _OPEN_YET, _CLOSED = 1, 2, 3, 4
_UNCLOSED = re.compile(b"[%c-%c]+" % (_NEVER, _OPEN_YET))
_EMBEDDING = "".join(_CLOSERS)
_WHY_UNCLOSED = "embedding or isolate that its line does not close"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the detector for invisible text.

    Attributes:
        labels: Labels to look for; empty means all. Leave PRIVATE_USE out where icon fonts or
            constructed scripts are at home.
    """

    labels: tuple[str, ...] = ()


class Detector(BaseDetector):
    """Tag characters, zero widths, bidirectional controls, selectors, private use, blanks."""

    title = "Invisible and misleading characters"
    version = "3"
    labels: ClassVar[tuple[str, ...]] = (
        "TAG_CHARACTERS",
        "ZERO_WIDTH",
        "BIDI_CONTROL",
        "VARIATION_SELECTORS",
        "PRIVATE_USE",
        "CONTROL_CHARACTERS",
        "BLANK_RUN",
    )
    tags = ("owasp:llm01",)
    raw = True
    unseen = True
    Config = Settings
    config: Settings

    examples = (
        Example("ig\u200bno\u200bre", ("ZERO_WIDTH", "ZERO_WIDTH"), "words split"),
        Example("a \u200b\u200c\u200b\u200c b", ("ZERO_WIDTH",), "bits in zero widths"),
        Example("hi\U000e0068\U000e0069\U000e0021", ("TAG_CHARACTERS",), "smuggled ASCII"),
        Example("if (x) { \u202e } // ok", ("BIDI_CONTROL",), "override"),
        Example("name \u2066 admin\nnext", ("BIDI_CONTROL",), "isolate left open"),
        Example("\U0001f600\ufe01\ufe02\U000e0100\U000e0101", ("VARIATION_SELECTORS",), "bytes"),
        Example("\ue000\ue001\ue002 x", ("PRIVATE_USE",), "private use"),
        Example("a\x1b[8m", ("CONTROL_CHARACTERS",), "terminal escape"),
        Example("i\u00adg\u00adn\u00ado\u00adre", ("ZERO_WIDTH",), "evasion: soft hyphens"),
        Example("see" + "\n" * 40 + "below", ("BLANK_RUN",), "evasion: below the fold"),
        Example(
            "\U0001f3f4\U000e0078\U000e0078\U000e0078\U000e0078\U000e0078\U000e0078\U000e0078",
            ("TAG_CHARACTERS",),
            "evasion: behind a flag, not closed",
        ),
        Example(
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\U000e0068",
            ("TAG_CHARACTERS",),
            "evasion: behind a flag that is closed",
        ),
        Example("Plain text, with tabs\tand lines\r\n.", (), "clean"),
        Example(
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f 1\ufe0f\u20e3", (), "emoji"
        ),
        Example(
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", (), "flag"
        ),
        Example("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", (), "look-alike: Persian"),
        Example("\u0915\u094d\u200d\u0937 \u0928\u094d\u200c", (), "look-alike: Devanagari"),
        Example("\u05e9\u05dc\u05d5\u05dd\u200f! \u2067\u05d0\u2069 ok", (), "look-alike: Hebrew"),
        Example("\ufeffBOM, a soft hy\u00adphen, \u845b\U000e0100", (), "look-alike: file start"),
    )

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self._wanted = chosen(self.config.labels, self.labels)

    def find(self, text: str, start: int = 0) -> Iterable[Hit]:
        """See BaseDetector."""
        hits = list(_blanks(text, start)) if _MANY_BLANKS.search(text, max(0, start - 90)) else []
        if (_CONTROL if text.isascii() else _SUSPECT).search(text, start):
            hits.extend(_runs(text, start))
            hits.extend(_zero_widths(text, start))
            hits.extend(_bidi(text, start))
        return settle([hit for hit in hits if hit.label in self._wanted], start)

    def quiet(self, text: str, start: int) -> bool:  # noqa: ARG002 (blanks may begin before it)
        """See BaseDetector: ASCII without control characters and runs of blanks."""
        if not text.isascii():
            return False
        if text.isprintable():
            return _WIDE not in text
        sketch = text.encode().translate(_SKETCH)
        return b"\0" not in sketch and _WIDE.encode() not in sketch

    def open_from(self, text: str, start: int = 0) -> int:
        """Return where a run of such characters, or an embedding not yet closed, begins."""
        opened, near = len(text), max(0, len(text) - 25)
        for end, run in _RUNS if _ends_oddly(text) else ():
            if end.search(text, near) and (match := run.search(text, start)):
                opened = min(opened, match.start())
        low = max(start, len(text) - _REACH - 1)
        first = _embeddings(text, low).find(_OPEN_YET)
        if first < 0:
            return opened
        return min(opened, start + len(text[start : low + first].rstrip(_EMBEDDING)))


def _ends_oddly(text: str) -> bool:
    """Whether the text ends in much white space, or one of its last two characters in a run."""
    return text[-25:].isspace() or _SUSPECT.search(text, max(0, len(text) - 2)) is not None


def _blanks(text: str, start: int) -> Iterator[Hit]:
    for match in _BLANKS.finditer(text, start):
        yield Hit(
            "BLANK_RUN", 0.5, match.start(), match.end(), "more white space than a page shows"
        )


def _runs(text: str, start: int) -> Iterator[Hit]:
    for match in _TAGS.finditer(text, max(0, start - 10)):
        flag = _FLAG.match(text, match.start())
        if text[match.start() - 1 : match.start()] == "\U0001f3f4" and flag:
            if flag.end() < match.end():
                yield _hit("TAG_CHARACTERS", 0.95, flag.end(), match.end(), "tags behind a flag")
            continue
        yield _hit("TAG_CHARACTERS", 0.95, *match.span(), "tags that spell hidden text")
    for match in _SELECTOR_RUN.finditer(text, start):
        yield _hit("VARIATION_SELECTORS", 0.9, *match.span(), "selectors that select nothing")
    for match in _PRIVATE_RUN.finditer(text, start):
        yield _hit("PRIVATE_USE", 0.6, *match.span(), "characters without a meaning")
    for match in _CONTROL_RUN.finditer(text, start):
        yield _hit("CONTROL_CHARACTERS", 0.7, *match.span(), "control characters")


_WHY_SPLIT = {size: f"zero width inside a word ({size})" for size in (1, 2)}


def _zero_widths(text: str, start: int) -> Iterator[Hit]:
    for match in _ZERO_RUN.finditer(text, start):
        first, last = match.span()
        if last - first >= 3:
            yield _hit("ZERO_WIDTH", 0.9, first, last, "zero widths in a row")
        elif _SPLITS.match(text, first):
            yield Hit("ZERO_WIDTH", 0.85, first, last, _WHY_SPLIT[last - first])
    for match in _HYPHENS.finditer(text, start):
        yield _hit("ZERO_WIDTH", 0.8, *match.span(), "soft hyphens around single letters")


def _hit(label: str, score: float, start: int, end: int, what: str) -> Hit:
    return Hit(label, score, start, end, f"{what} ({end - start})")


def _bidi(text: str, start: int) -> Iterator[Hit]:
    for match in _OVERRIDES.finditer(text, start):
        yield _hit("BIDI_CONTROL", 0.9, *match.span(), "direction override")
    for run in _UNCLOSED.finditer(_embeddings(text, start)):
        yield _hit("BIDI_CONTROL", 0.8, start + run.start(), start + run.end(), _WHY_UNCLOSED)


def _embeddings(text: str, start: int) -> bytearray:
    """What became of the embedding or isolate at each character from `start` on; 0 where none is.

    Closed means on its line, within _REACH, and with no more than _DEEPEST of its kind nested in
    it; else it is _NEVER (_DEEP where it is nested), or _OPEN_YET where the text ends before that
    is known. What opens again and again is read a run at a time.
    """
    if not _BIDI.search(text, start):
        return bytearray()
    state = bytearray(len(text) - start)
    stacks: dict[str, list[int]] = {"\u202c": [], "\u2069": []}
    for match in _PAIRING.finditer(text, start):
        first, last, char = match.start() - start, match.end() - start, match[0][0]
        if char == "\n":
            for stack in stacks.values():
                stack.clear()
        elif closer := _CLOSERS.get(char):
            _push(state, stacks[closer], first, last)
        elif stack := stacks[char]:
            opener = stack.pop()
            if opener + _REACH >= first and state[opener] != _DEEP:
                state[opener] = _CLOSED
    for index in (index for stack in stacks.values() for index in stack[-_REACH:]):
        if state[index] == _NEVER and index + 1 + _REACH > len(state):
            state[index] = _OPEN_YET
    return state


def _push(state: bytearray, stack: list[int], first: int, last: int) -> None:
    """Open a run of embeddings; those that are now too deep are."""
    if last - first == 1:
        state[first] = _NEVER
        stack.append(first)
        if len(stack) > _DEEPEST:
            state[stack[-_DEEPEST - 1]] = _DEEP
        return
    nested = max(0, len(stack) - _DEEPEST)
    state[first:last] = bytes((_NEVER,)) * (last - first)
    stack.extend(range(first, last))
    for index in stack[nested : max(0, len(stack) - _DEEPEST)]:
        state[index] = _DEEP
