"""What the ledger shows: verification, export and reports."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from keelmark.app.home import Home
from keelmark.core.errors import UsageError
from keelmark.core.events import KINDS, Record
from keelmark.prove.compile import compile_report
from keelmark.prove.framework import load_framework
from keelmark.prove.render import render
from keelmark.prove.report import LedgerState
from keelmark.store import LedgerReport


def verify_ledger(home: Home, against: Path | None = None) -> LedgerReport:
    """Recompute the ledger, also against a checkpoint that was kept elsewhere.

    Raises:
        UsageError: The checkpoint cannot be read, or is of another ledger.
    """
    if against is None:
        return home.store.verify()
    try:
        return home.store.verify(against.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"The checkpoint {against} cannot be read ({why}).") from None


def newest_checkpoint(home: Home) -> str:
    """Return the newest signed checkpoint.

    Raises:
        UsageError: The ledger is empty.
    """
    note = home.store.checkpoint()
    if note is None:
        raise UsageError("The ledger is empty: there is nothing to keep a checkpoint of yet.")
    return note


def newest_records(home: Home, kinds: Iterable[str], limit: int) -> list[Record]:
    """Return the newest records of some kinds, oldest first.

    Raises:
        UsageError: There is no such kind.
    """
    wanted = set(kinds)
    if unknown := wanted - KINDS:
        known = ", ".join(sorted(KINDS))
        raise UsageError(f"There are no {', '.join(sorted(unknown))} records; choose from {known}.")
    return list(deque(home.store.records(wanted or None), maxlen=max(limit, 0)))


def report(home: Home, framework: str, kind: str) -> str:
    """Compile a report from the ledger, as html, md or json.

    Raises:
        UsageError: There is no such framework.
    """
    loaded = load_framework(framework)
    checked = home.store.verify()
    state = LedgerState(
        verdict="verified" if checked.ok else "broken",
        records=checked.size,
        root=checked.root,
        checkpoint=home.store.checkpoint() or "",
        key=checked.key,
        checked=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        problems=tuple(problem.message for problem in checked.problems),
    )
    compiled = compile_report(loaded, home.store.records(), now=datetime.now(UTC), ledger=state)
    return render(compiled, kind)
