"""Data files and training sets through the guard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from keelmark.app.batch.journal import Journal, State
from keelmark.app.batch.pools import Opener, processes
from keelmark.app.batch.rays import on_ray
from keelmark.app.batch.report import Report, as_page, as_text, labels
from keelmark.app.batch.run import Cleaning, Progress, Scan
from keelmark.app.batch.sources import Source, find
from keelmark.app.batch.tally import Problem
from keelmark.app.batch.work import Plan, Worker
from keelmark.core.errors import UsageError
from keelmark.passport.files import printable, write_whole

__all__ = [
    "Cleaning",
    "Opener",
    "Plan",
    "Progress",
    "Report",
    "as_page",
    "as_text",
    "on_ray",
    "processes",
    "scan",
]


def scan(
    paths: Sequence[Path],
    plan: Plan,
    *,
    out: Path | None = None,
    reports: Sequence[Path] = (),
    cleaning: Cleaning | None = None,
    pool: Opener | None = None,
    resume: bool = False,
    progress: Progress = lambda _done, _total, _note: None,
) -> Report:
    """Read data files through the guard, and write cleaned copies and reports where asked to.

    Args:
        paths: Files and folders.
        plan: What is to be done with every row.
        out: Folder for copies and lists.
        reports: Files for reports; those that end in `.html` are pages, others JSON.
        cleaning: What becomes of duplicates and blocked rows.
        pool: Opens what reads the batches; a process for each core when None.
        resume: Whether to go on with a run that ended early.
        progress: Told how far it is.

    Raises:
        UsageError: The input, the output or the policy is not usable.
    """
    Worker(plan)  # what is wrong with the policy is said before anything is made
    outputs = [*reports, *([out] if out else [])]
    _refuse_input(paths, out)
    _refuse_nowhere(reports)
    sources, problems, hidden = find(paths, leave=outputs)
    _refuse_nothing(paths, sources, problems, hidden)
    run = Scan(sources, plan, out=out, cleaning=cleaning or Cleaning(), progress=progress)
    journal_path = _journal(out, reports)
    with Journal(journal_path, run.identity(), resume=resume) as journal:
        state = run.run(journal, pool or processes())
        for problem in problems:
            state.tally.wrong(problem)
        _note_nothing(state, sources)
        report = _report(plan, state, len(sources), hidden)
        for path in reports:
            _write(path, report)
        journal.close(done=True)
    return report


def _refuse_input(paths: Sequence[Path], out: Path | None) -> None:
    """Copies never take the place of what they are copies of."""
    for path in paths:
        if out is not None and out.resolve() in {path.resolve(), path.resolve().parent}:
            raise UsageError(
                f"The copies would take the place of what is read from {path}: choose another "
                "folder for --out."
            )


def _refuse_nothing(
    paths: Sequence[Path], sources: Sequence[Source], problems: Sequence[Problem], hidden: int
) -> None:
    """Where there is nothing to read, nothing is clean."""
    if problems or any(source.size for source in sources):
        return
    where = ", ".join(map(printable, paths))
    if sources:
        why = "the file is empty" if len(sources) == 1 else f"all {len(sources)} files are empty"
    elif hidden:
        why = "all files there have names that begin with a dot, and such are left out"
    else:
        why = "there is no file"
    raise UsageError(f"Nothing was read from {where}, because {why}: name other files or folders.")


def _note_nothing(state: State, sources: Sequence[Source]) -> None:
    """Files that are not empty may still hold nothing: a table without rows, blank lines."""
    tally = state.tally
    if not (tally.rows or tally.texts or tally.unchecked):
        why = "it has no rows; nothing was read" + " in any file" * (len(sources) > 1)
        tally.wrong(Problem(file=sources[0].shown, why=why))


def _refuse_nowhere(reports: Sequence[Path]) -> None:
    """A report that cannot be written is said before the work, not after it."""
    for path in reports:
        if not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
            raise UsageError(
                f"{path} cannot be written (its folder is not there, or is read-only): choose "
                "another place."
            )


def _journal(out: Path | None, reports: Sequence[Path]) -> Path | None:
    """Where the journal lies: beside the output."""
    place = out / "scan" if out else reports[0] if reports else None
    if place is None:
        return None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{place.parent} cannot be made ({error.strerror}): choose another place."
        ) from None
    return place.with_name(f".{place.name}.journal")


def _report(plan: Plan, state: State, files: int, hidden: int) -> Report:
    tally = state.tally
    places = list(tally.places.values())
    return Report(
        policy=plan.policy.name,
        policy_digest=plan.policy.digest,
        stage=plan.stage,
        fields=plan.fields,
        files=files,
        hidden=hidden,
        rows=tally.rows,
        texts=tally.texts,
        characters=tally.characters,
        found=labels(places),
        places=places,
        unchecked=tally.unchecked,
        problems=tally.problems,
        copies=plan.write,
        written=state.written,
        rows_by=state.marks,
        seconds=round(state.seconds, 3),
    )


def _write(path: Path, report: Report) -> None:
    if path.suffix.lower() in {".html", ".htm"}:
        data = as_page(report).encode()
    else:
        data = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}): choose another place."
        ) from None
