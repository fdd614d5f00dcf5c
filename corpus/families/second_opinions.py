"""What another scanner says of a file of which we say nothing."""

from __future__ import annotations

from corpus.case import benign, hostile

_FILES = {"config.json": b"{}", "notes.txt": b"nothing\n"}

hostile(
    "second-opinion",
    "opinions.remark",
    _FILES,
    remarks=(("notes.txt", "high", "S201", "It names a function that runs commands."),),
)
benign("second-opinion-agrees-twin", _FILES)
