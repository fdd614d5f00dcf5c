"""Data files through the guard: at all cores, in order, so that a run can be stopped and go on.

One process cuts files into batches and writes what comes back in the order of the rows; the others
read, judge and clean. At most a few batches for each process are on the way, so memory does not
depend on the length of a file.
"""

from __future__ import annotations

import contextlib
import gzip
import time
import zlib
from collections.abc import Callable, Generator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Literal

import msgspec

from keelmark import __version__
from keelmark.app.batch.journal import Draft, Journal, State, land, made_of
from keelmark.app.batch.pools import Opener, Task, judged
from keelmark.app.batch.sources import LISTS, Source
from keelmark.app.batch.tally import Problem
from keelmark.app.batch.twins import Twins
from keelmark.app.batch.work import FORMATS, PATIENCE_MS, Mark, Piece, Plan
from keelmark.core.canonical import digest
from keelmark.core.errors import CouldNotCheckError

_CHECKPOINT = 1.0  # seconds between checkpoints, at least
_LONG = 10.0  # seconds after which the patience of rules is said
_SHARE = 20  # of the time goes into work for each part that goes into checkpoints
Choice = Literal["keep", "flag", "drop"]
Progress = Callable[[int, int, str], None]
"""Told bytes read, bytes in all, and what is waited for when that takes long."""


class Cleaning(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of rows of a training set.

    Attributes:
        duplicates: What becomes of a row that says the same as an earlier one.
        blocked: What becomes of a row that a rule blocks.
        flagged: What becomes of a row that a rule flags.
        similar: Likeness from which rows are near duplicates, 0 to 1.
    """

    duplicates: Choice = "keep"
    blocked: Choice = "keep"
    flagged: Choice = "keep"
    similar: float = 0.8


class Scan:
    """One run over files.

    Args:
        sources: The files.
        plan: What is to be done with every row; the key of its placeholders is the journal's.
        out: Folder for copies and lists; None writes none.
        cleaning: What becomes of duplicates and blocked rows.
        progress: Told how far it is.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        plan: Plan,
        *,
        out: Path | None = None,
        cleaning: Cleaning = Cleaning(),  # noqa: B008 (frozen)
        progress: Progress = lambda _done, _total, _note: None,
    ) -> None:
        self._sources, self._plan, self._out = list(sources), plan, out
        self._cleaning, self._progress = cleaning, progress
        self._before = [0, *accumulate(source.size for source in sources)]
        self._read = 0
        self._state = State()
        self._drafts: dict[str, Draft] = {}
        self._twins: Twins | None = None

    def identity(self) -> dict[str, str]:
        """Return what has to be the same for a run to go on."""
        options = msgspec.structs.replace(self._plan, policy=self._plan.policy.__class__())
        made = {name: v for name, v in msgspec.structs.asdict(options).items() if name != "secret"}
        made["key"] = options.key.hex()
        files = [[str(s.path), s.size, s.mtime_ns] for s in self._sources]
        return {
            "the policy": self._plan.policy.digest,
            "the options": digest([made, self._cleaning, bool(self._plan.secret), __version__]),
            "the input": digest(files),
        }

    def run(self, journal: Journal, opener: Opener) -> State:
        """Do it, from the last checkpoint on; return where it ended.

        Args:
            journal: Where checkpoints are written.
            opener: Opens what reads the batches.

        Raises:
            UsageError: The output cannot be written.
            UnavailableError: Processes that check rows end again and again.
        """
        self._state = state = journal.state()
        began = time.monotonic() - state.seconds
        if self._plan.secret:
            self._plan = msgspec.structs.replace(self._plan, secret=journal.secret)
        if self._plan.compare:
            self._twins = Twins(journal.base, self._cleaning.similar)
        self._land()
        try:
            for name in self._lists() if not state.done else ():
                self._draft(name)
            if not state.done:
                self._read_all(journal, opener, began)
            for name in list(self._drafts):
                self._complete(name)
            state.done = True
            self._checkpoint(journal, began)
        finally:
            for draft in self._drafts.values():
                draft.close()
        return state

    def _read_all(self, journal: Journal, opener: Opener, began: float) -> None:
        due = time.monotonic() + _CHECKPOINT
        with (
            opener(self._plan) as pool,
            contextlib.closing(judged(pool, self._tasks(), self._waiting)) as pieces,
        ):
            for task, piece in pieces:
                self._take(task, piece)
                if time.monotonic() >= due:
                    due = self._checkpoint(journal, began)

    def _waiting(self, task: Task, seconds: float) -> None:
        row = f" {task.batch.first}" if task.batch else ""
        note = f"{seconds:.0f} s at row{row} of {task.source.shown}"
        if seconds >= _LONG:
            note += f": a rule gives up on a text after {PATIENCE_MS // 1000} s"
        self._progress(self._read, self._before[-1], note)

    def _lists(self) -> tuple[str, ...]:
        """The lists that are written beside the copies."""
        return LISTS[: self._plan.listed + (self._cleaning != Cleaning())]

    def _tasks(self) -> Generator[Task, None, None]:
        """Cut what is still to be done."""
        skip = self._state.batch
        for number, source in islice(enumerate(self._sources), self._state.file, None):
            done = skip
            try:
                for batch in islice(FORMATS[source.kind].batches(source.path), skip, None):
                    yield Task(number, done, source, batch)
                    done += 1
            except (OSError, EOFError, zlib.error, CouldNotCheckError) as error:
                yield Task(number, done, source, None, _why(error))
            else:
                yield Task(number, done, source)
            skip = 0

    def _take(self, task: Task, piece: Piece | None) -> None:
        """Write down what came of a task."""
        state = self._state
        if piece is None or task.batch is None:
            self._end(task.source, task.wrong)
            state.file, state.batch, state.seen = task.file + 1, 0, set()
            return
        source = task.source
        state.tally.add(piece.tally, self._plan.samples)
        state.seen |= piece.seen
        state.batch = task.number + 1
        if self._plan.listed:
            self._draft(LISTS[0]).write(piece.findings)
        keep = [self._stays(task.file, mark) for mark in piece.marks]
        if self._plan.write:
            self._draft(source.target).write(FORMATS[source.kind].kept(piece.pieces, keep))
            state.written += sum(keep) - (keep[:1] == [True] and piece.marks[0].row == 0)
        self._read = self._before[task.file] + task.batch.position
        self._progress(self._read, self._before[-1], "")

    def _stays(self, file: int, mark: Mark) -> bool:
        """Decide whether a row is written to the copy."""
        if not mark.clear:
            return False
        does: Choice = "keep"
        for what, rules, choice in (
            ("blocked", mark.blocked, self._cleaning.blocked),
            ("flagged", mark.flagged, self._cleaning.flagged),
        ):
            if rules and choice != "keep" and does != "drop":
                does = choice
                self._mark(file, mark, what, {"rules": rules, "done": does})
        if does != "drop" and mark.signature and self._twins is not None:
            twin = self._twins.meet(file, mark.row, mark.signature)
            if twin is not None:
                does = self._cleaning.duplicates
                of = {"file": self._sources[twin.file].shown, "row": twin.row}
                what = "duplicate" if twin.likeness == 1 else "near duplicate"
                more = {"of": of, "likeness": round(twin.likeness, 3), "done": does}
                self._mark(file, mark, what, more)
        if does == "drop":
            self._state.marks["dropped"] = self._state.marks.get("dropped", 0) + 1
        return does != "drop"

    def _mark(self, file: int, mark: Mark, what: str, more: dict[str, object]) -> None:
        self._state.marks[what] = self._state.marks.get(what, 0) + 1
        line = {"file": self._sources[file].shown, "row": mark.row, "what": what, **more}
        self._draft(LISTS[1]).write(msgspec.json.encode(line) + b"\n")

    def _end(self, source: Source, wrong: str) -> None:
        """A file is done, or cannot be read on."""
        tally, form = self._state.tally, FORMATS[source.kind]
        wrong = wrong or source.changed()
        if wrong:
            tally.wrong(Problem(file=source.shown, why=wrong))
        else:
            for why in form.unread(source.path, self._plan.fields):
                tally.wrong(Problem(file=source.shown, why=why))
            if source.kind != "text":
                for name in set(self._plan.fields) - self._state.seen:
                    tally.wrong(Problem(file=source.shown, why=f"no row has a field {name!r}"))
        if self._plan.write:
            self._end_copy(source, wrong)

    def _end_copy(self, source: Source, wrong: str) -> None:
        draft = self._draft(source.target)
        length = draft.sync()
        if not wrong and (length or source.kind != "text" or not source.size):
            try:
                FORMATS[source.kind].finish(draft.draft, made_of(draft.draft))
            except CouldNotCheckError as error:
                made_of(draft.draft).unlink(missing_ok=True)
                self._state.tally.wrong(Problem(file=source.shown, why=error.message))
            else:
                self._complete(source.target)
                return
        draft.drop()
        del self._drafts[source.target]
        self._state.lengths.pop(source.target, None)

    def _complete(self, name: str) -> None:
        """A draft is complete; it gets its name with the next checkpoint."""
        draft = self._drafts[name]
        draft.sync()
        draft.close()
        del self._drafts[name]
        self._state.lengths.pop(name, None)
        self._state.finished.append(name)

    def _land(self) -> None:
        """Give complete drafts their names."""
        for name in self._state.finished:
            assert self._out is not None  # noqa: S101 (there are drafts)
            land(self._out / name)
        self._state.finished = []

    def _draft(self, name: str) -> Draft:
        if name not in self._drafts:
            assert self._out is not None  # noqa: S101 (a plan that writes has a folder)
            self._drafts[name] = Draft(self._out / name, self._state.lengths.get(name, 0))
        return self._drafts[name]

    def _checkpoint(self, journal: Journal, began: float) -> float:
        """Make everything durable; return when to do so again."""
        now = time.monotonic()
        state = self._state
        state.lengths |= {name: draft.sync() for name, draft in self._drafts.items()}
        state.seconds = now - began
        journal.commit(state)
        self._land()
        took = time.monotonic() - now
        return now + max(_CHECKPOINT, _SHARE * took)


def _why(error: Exception) -> str:
    if isinstance(error, CouldNotCheckError):
        return error.message
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return f"it cannot be read on ({error.strerror or error})"
    return "it is damaged, or not packed with gzip"
