"""What came of passages so far, so that work that was cut off goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from keelmark.core.canonical import digest
from keelmark.core.errors import UsageError
from keelmark.evaluate.own.grounding import Pair
from keelmark.passport.files import printable


class Passage(NamedTuple):
    """A part of a document.

    Attributes:
        file: Name of the document.
        line: Line that it begins on.
        text: What it says.
    """

    file: str
    line: int
    text: str


class Written(msgspec.Struct, frozen=True):
    """What came of one passage.

    Attributes:
        passage: The passage.
        pairs: Those that hold.
        reasons: Why the others do not.
        error: What went wrong, where the model could not be asked.
    """

    passage: Passage
    pairs: list[Pair]
    reasons: list[str]
    error: str = ""


class Journal:
    """A file, a line for each passage.

    A line begins with the end of the one before, which may have been cut off.

    Args:
        path: The file.
        same: What has to be the same for what it holds to count.
    """

    def __init__(self, path: Path, same: Sequence[Any]) -> None:
        self._path, self._same = path, list(same)
        self._known: dict[str, Written] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(msgspec.DecodeError):
                    key, written = msgspec.json.decode(line, type=tuple[str, Written])
                    self._known[key] = written

    def known(self, part: Passage) -> Written | None:
        """Return what came of a passage before."""
        return self._known.get(self._key(part))

    def keep(self, written: Written) -> None:
        """Keep what came of a passage; what failed is asked again.

        Raises:
            UsageError: It cannot be written.
        """
        if written.error:
            return
        line = b"\n" + msgspec.json.encode((self._key(written.passage), written))
        try:
            self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise UsageError(
                f"{printable(self._path)} cannot be written ({error.strerror}); choose another "
                "folder with --out."
            ) from None

    def remove(self) -> None:
        """The work is done."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._path.parent.rmdir()  # it goes when nothing is in it

    def _key(self, part: Passage) -> str:
        return digest([self._same, list(part)])
