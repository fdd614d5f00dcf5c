"""A whole text, judged in windows."""

from __future__ import annotations

from collections.abc import Iterator

from keelmark.guard import decode
from keelmark.guard.run import Run
from keelmark.guard.standins import Mask
from keelmark.guard.stream import WINDOW, Filter
from keelmark.guard.tape import as_read


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
    last = max(0, len(text) - 1) // WINDOW * WINDOW
    for start in range(0, last, WINDOW):
        yield judge.feed(text[start : start + WINDOW])
    yield judge.finish(text[last:])
