"""A whole text, judged in windows."""

from __future__ import annotations

from collections.abc import Iterator

from keelmark.guard import decode
from keelmark.guard.run import Run
from keelmark.guard.standins import Mask
from keelmark.guard.stream import WINDOW, Filter
from keelmark.guard.tape import as_read

_SAMPLE = 64
_LONGEST = 4096  # characters of what repeats


def judged(
    run: Run,
    text: str,
    *,
    mask: Mask | None,
    is_json: bool = False,
    decoding: bool = True,
    before: str = "",
) -> Iterator[str]:
    """Judge a whole text to its end; yield what may leave, after each window.

    What stands before a text counts for texts of one window: of longer ones it says nothing.
    """
    before = before if len(text) <= WINDOW else ""
    known = decode.hits(run, as_read(text) if is_json else text) if decoding else ()
    judge = Filter(run, mask=mask, is_json=is_json, known=known, whole=True, before=before)
    start = 0
    while len(text) - start > WINDOW:
        end = start + WINDOW - WINDOW % period(text, start)
        yield judge.feed(text[start:end])
        start = end
    yield judge.finish(text[start:])


def period(text: str, start: int) -> int:
    """Return after how many characters a window repeats itself; 1 for one that does not.

    Windows of a text that says one thing again and again are then the same, and read once.
    """
    again = text.find(text[start : start + _SAMPLE], start + 1, start + _SAMPLE + _LONGEST)
    size = again - start
    if size < 1 or text[start : start + WINDOW - size] != text[again : start + WINDOW]:
        return 1
    return size
