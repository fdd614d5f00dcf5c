"""How far a run has come, so that it can go on after anything: one small file beside the output.

Everything is written by appending to drafts. A checkpoint makes the drafts durable, then commits
their lengths with what was found so far; going on cuts the drafts back to the last checkpoint. A
draft that is complete gets its name after the checkpoint that says so. The journal leaves with the
end of the run, and with it the key of its placeholders.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import secrets
import sqlite3
from pathlib import Path
from typing import Self

import msgspec

from keelmark.app.batch.tally import Tally
from keelmark.core.errors import UsageError


class State(msgspec.Struct, kw_only=True):
    """How far a run has come.

    Attributes:
        file: Number of the file it is at.
        batch: Batches of it that are done.
        lengths: Bytes of each draft.
        finished: Drafts that are complete, and get their names.
        tally: What was found so far.
        marks: Rows so far by what became of them.
        seen: Fields asked for that the file at work had.
        written: Rows written to copies.
        seconds: Time so far.
        done: Whether everything is read and written.
    """

    file: int = 0
    batch: int = 0
    lengths: dict[str, int] = {}
    finished: list[str] = []
    tally: Tally = msgspec.field(default_factory=Tally)
    marks: dict[str, int] = {}
    seen: set[str] = set()
    written: int = 0
    seconds: float = 0.0
    done: bool = False


class Journal:
    """The journal of one run.

    Args:
        path: Where it lies; None keeps it in memory, and nothing can be resumed.
        identity: What has to be the same for the run to go on: a name and a digest each.
        resume: Whether to go on with what is there.

    Raises:
        UsageError: A run is there and is not to go on, or was another one, or is at work.
    """

    def __init__(self, path: Path | None, identity: dict[str, str], *, resume: bool) -> None:
        self._path = path
        if path is not None and path.exists() and not resume:
            raise UsageError(
                f"An unfinished run lies in {path}: go on with it by --resume, or remove that file "
                "to start again."
            )
        try:
            if path is not None:
                path.touch(0o600)
            self.base = sqlite3.connect(path or ":memory:", timeout=1.0)
            self.base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.base.execute("PRAGMA journal_mode = WAL")
            self.base.execute("PRAGMA synchronous = FULL")
            self.base.execute("PRAGMA cache_size = -65536")  # KiB
            self.base.execute("CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value)")
            self.base.execute("BEGIN IMMEDIATE")
            self._begin(identity)
            self.base.commit()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written ({error.strerror}): choose another place."
            ) from None
        except sqlite3.Error as error:
            self._refuse(error)

    def _refuse(self, error: sqlite3.Error) -> None:
        if "locked" in str(error):
            raise UsageError(f"Another run is at work with {self._path}: wait for it.") from None
        raise UsageError(
            f"The journal {self._path} cannot be used ({error}): remove it to start again."
        ) from None

    def _begin(self, identity: dict[str, str]) -> None:
        known = self._get("identity")
        if known is None:
            self._put("identity", msgspec.json.encode(identity))
            self._put("secret", secrets.token_bytes(32))
            self._put("state", msgspec.json.encode(State()))
            return
        before = msgspec.json.decode(known, type=dict[str, str])
        other = [name for name in identity if before.get(name) != identity[name]]
        if other:
            self.base.close()
            raise UsageError(
                f"The run in {self._path} cannot go on, because {' and '.join(other)} changed: "
                "remove that file to start again."
            )

    def _get(self, name: str) -> bytes | None:
        found = self.base.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if found is None else bytes(found[0])

    def _put(self, name: str, value: bytes) -> None:
        self.base.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    @property
    def secret(self) -> bytes:
        """Key of this run's placeholders."""
        return self._get("secret") or b""

    def state(self) -> State:
        """Return the last checkpoint."""
        return msgspec.json.decode(self._get("state") or b"{}", type=State)

    def commit(self, state: State) -> None:
        """Write a checkpoint, with what was noted of rows that are compared."""
        self._put("state", msgspec.json.encode(state))
        self.base.commit()

    def close(self, *, done: bool = False) -> None:
        """Close it; a run that is done needs it no more."""
        self.base.close()
        if done and self._path is not None:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Draft:
    """A file that is written by appending, and gets its name in the end.

    Args:
        path: Its name in the end; packed with gzip when it ends in `.gz`.
        length: Bytes that were made durable before; what lies behind them is cut off.

    Raises:
        UsageError: It cannot be written there.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self.draft = _draft(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.draft.open("r+b" if length else "wb")
            if os.fstat(self._file.fileno()).st_size < length:
                self._file.close()
                raise UsageError(
                    f"{self.draft} is shorter than the journal says: remove the journal to start "
                    "again."
                )
            self._file.truncate(length)
            self._file.seek(length)
        except OSError as error:
            raise UsageError(
                f"{self.draft} cannot be written ({error.strerror}): choose another place."
            ) from None

    def write(self, data: bytes) -> None:
        """Append."""
        if data and self.path.suffix.lower() == ".gz":
            data = gzip.compress(data, 6, mtime=0)  # a member of its own, so that it can be cut
        self._file.write(data)

    def sync(self) -> int:
        """Make durable what was appended; return the length."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def drop(self) -> None:
        """Remove it."""
        self._file.close()
        with contextlib.suppress(OSError):
            self.draft.unlink()

    def close(self) -> None:
        """Leave it as it is."""
        self._file.close()


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def made_of(draft: Path) -> Path:
    """Return where a format that has to make its file of a draft makes it."""
    return draft.with_name(f"{draft.name}.made")


def land(path: Path) -> None:
    """Give a complete draft its name, unless that was done before."""
    draft = _draft(path)
    made = made_of(draft)
    if made.exists():
        draft.unlink(missing_ok=True)
        made.replace(path)
    elif draft.exists():
        draft.replace(path)
