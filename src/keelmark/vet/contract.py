"""What a check is: one file in `vet/checks/` with one value called `CHECK`.

A check says of which files it knows the format (`claims`) and examines those (`run`). It reads
only through the `File` it is given, never opens anything, never executes, imports or renders what
it reads, and says of every file whether it examined all of it. Several checks may claim one file;
the file counts as checked when at least one claims it and all that claim it examined all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from keelmark.core.findings import ArtefactFinding, Severity

HEAD = 64 * 1024
"""Bytes at the start of a file that `claims` may look at."""

READ_CAP = 256 * 1024 * 1024
"""Largest single read, bytes."""

FACTS = 8 * 1024 * 1024
"""Largest fact that a check may hand up, bytes of JSON."""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa1-\u1fff\u2c00-\ud7ff\uf900-\ufdff]|\u00ad")


class ReadLimitError(Exception):
    """A check asked for more bytes than it may have; the file counts as not checked."""


class Rule(NamedTuple):
    """One thing that a check may report.

    Attributes:
        id: `<check id>.<name>`.
        title: What it is, a few words.
        severity: The severity it has unless the finding says otherwise.
        why: Why it matters, one or two sentences.
        mend: What to do about it, one sentence.
        tags: References, `framework:id` or `cve:id`.
    """

    id: str
    title: str
    severity: Severity
    why: str
    mend: str
    tags: tuple[str, ...] = ()

    def at(
        self,
        file: File,
        location: str,
        message: str,
        *,
        evidence: str = "",
        severity: Severity | None = None,
    ) -> ArtefactFinding:
        """Return a finding of this rule; untrusted text in it is made printable and short."""
        where = f"{file.inner}: {location}" if file.inner else location
        return self.about(file.path, where, message, evidence=evidence, severity=severity)

    def about(
        self,
        path: str,
        location: str,
        message: str,
        *,
        evidence: str = "",
        severity: Severity | None = None,
    ) -> ArtefactFinding:
        """Return a finding of this rule about a path; "." is the model as a whole."""
        return ArtefactFinding(
            rule=self.id,
            severity=severity or self.severity,
            path=path,
            location=printable(location, 300) or "(empty name)",
            message=printable(message, 400),
            evidence=printable(evidence, 200),
        )


class Budget:
    """How many bytes may still be read or unpacked on behalf of one file."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> None:
        """Spend bytes.

        Raises:
            ReadLimitError: Nothing is left of the budget.
        """
        if size > self.left:
            raise ReadLimitError("more would have to be read than the limits on vetting allow")
        self.left -= size


class File:
    """A file, or a member of an archive, as checks see it: bytes behind a bounded reader.

    Attributes:
        path: Path of the file within the artefact.
        inner: Names of the members that lead here from the file, "" for the file itself.
        size: Size, bytes.
        depth: 0 for a file, one more for each archive around it.
        raw: Whether the archive says that this member is raw numbers, so that no check need know
            its format.
    """

    def __init__(
        self,
        path: str,
        size: int,
        pread: Callable[[int, int], bytes],
        budget: Budget,
        *,
        inner: str = "",
        depth: int = 0,
        raw: bool = False,
    ) -> None:
        self.path, self.size, self.inner, self.depth, self.raw = path, size, inner, depth, raw
        self.budget = budget
        self._pread = pread
        self.head = pread(min(size, HEAD), 0)
        self.facts: dict[str, object] = {}

    @property
    def name(self) -> str:
        """Last part of the name, in lower case."""
        return (self.inner or self.path).rpartition("/")[2].lower()

    @property
    def suffix(self) -> str:
        """Extension with its dot, in lower case, or ""."""
        stem, dot, end = self.name.rpartition(".")
        return dot + end if stem else ""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer only at the end of the file.

        Raises:
            ReadLimitError: The read is too large or the budget is spent.
        """
        size = max(0, min(size, self.size - offset))
        if size > READ_CAP:
            raise ReadLimitError(f"a piece of {size} bytes is too large to be examined at once")
        self.budget.take(size)
        return self._pread(size, offset)

    def all(self) -> bytes:
        """Return the whole content.

        Raises:
            ReadLimitError: It is too large or the budget is spent.
        """
        return self.read(0, self.size)

    def part(self, name: str, start: int, size: int) -> File:
        """Return a stretch of this file as a member that is read only where checks look."""
        size = max(0, min(size, self.size - start))

        def pread(count: int, offset: int) -> bytes:
            return self._pread(max(0, min(count, size - offset)), start + offset)

        name = name or "(no name)"  # an empty one would stand for this file itself
        inner = f"{self.inner}!{name}" if self.inner else name
        return File(self.path, size, pread, self.budget, inner=inner, depth=self.depth + 1)

    def member(self, name: str, data: bytes, *, raw: bool = False) -> File:
        """Return a member of this archive whose content has been unpacked into memory."""
        name = name or "(no name)"  # an empty one would stand for this file itself
        inner = f"{self.inner}!{name}" if self.inner else name
        return File(
            self.path,
            len(data),
            lambda size, offset: data[offset : offset + size],
            self.budget,
            inner=inner,
            depth=self.depth + 1,
            raw=raw,
        )


class Result(NamedTuple):
    """What a check says of one file.

    Attributes:
        findings: What it saw.
        unexamined: Empty when the whole file was examined, else why not, a phrase.
        members: Files inside this file, to be examined like any other.
        facts: What surveys may want to know of it, plain JSON values by name; at most `FACTS` bytes
            of JSON for each name, or the name alone is handed up.
    """

    findings: tuple[ArtefactFinding, ...] = ()
    unexamined: str = ""
    members: Iterable[File] = ()
    facts: Mapping[str, object] = {}


class Check(NamedTuple):
    """A check.

    Attributes:
        title: What it examines, a few words.
        version: Version of this check and of the libraries it asks.
        tags: Risks it answers (`owasp:llm03`) and advisories it knows (`cve:...`).
        rules: Every rule it can report.
        examples: Ids of corpus cases that fire its rules.
        claims: Whether it knows the format of a file; may look at name, size and head.
        run: Examine a file that it claims.
    """

    title: str
    version: str
    tags: tuple[str, ...]
    rules: tuple[Rule, ...]
    examples: tuple[str, ...]
    claims: Callable[[File], bool]
    run: Callable[[File], Result]


class CheckModule(Protocol):
    """A module in `vet/checks/`."""

    CHECK: Check


def printable(text: str, limit: int) -> str:
    """Return text with control, invisible and bidirectional characters escaped, shortened."""
    plain = text.isascii() and text.isprintable()
    shown = (
        text
        if plain
        else "".join(
            char
            if char.isprintable() and not _UNPRINTABLE.match(char)
            else char.encode("unicode_escape", "surrogatepass").decode()
            for char in text[: 2 * limit]
        )
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
