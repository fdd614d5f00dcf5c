"""`keelmark guard`: what the guard makes of texts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from keelmark import app
from keelmark.cli import _corpus, _pairs, _scan
from keelmark.cli._common import (
    coloured,
    json_option,
    policy_option,
    print_json,
    progress,
    say,
    store_option,
)
from keelmark.core.errors import UsageError
from keelmark.core.outcome import Outcome
from keelmark.core.ports import Segment
from keelmark.core.segments import context_segments
from keelmark.guard.engine import STAGES
from keelmark.guard.guard import Result

_COLOURS = {Outcome.ALLOW: "green", Outcome.FLAG: "yellow", Outcome.REDACT: "yellow"}
_FAILURES = {Outcome.FAILED, Outcome.SKIPPED, Outcome.TIMEOUT}


class _Guard(click.Group):
    """Without the name of a command, `check` is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `check` in front of what does not begin with a command."""
        known = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, args if args and args[0] in known else ["check", *args])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; `check` for what is none."""
        return super().get_command(ctx, cmd_name) or self.commands["check"]


@click.group(cls=_Guard)
def command() -> None:
    """Guard lines of text, data files and training sets, or judge past requests again.

    `keelmark guard FILE` is short for `keelmark guard check FILE`.

    \b
    Examples:
      echo "write to ada@example.org" | keelmark guard
      keelmark guard scan data/ --report found.html
      keelmark guard replay --policy new.yaml
    """


command.add_command(_scan.scan)
command.add_command(_scan.clean)
command.add_command(_corpus.corpus)
command.add_command(_pairs.pairs)


@command.command()
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, 1_000_000))
@policy_option
@store_option
@json_option
def replay(limit: int, policy: Path | None, data: Path | None, *, as_json: bool) -> int:
    """Judge the newest requests again under a policy, and say what would change.

    Where the texts are kept, they are read again; where not, the findings of the trace decide.
    Nothing is written. Ends with 1 when something would be stopped that was not, or the other way
    round; with 2 when the stored texts of a request cannot be read, so that it is not judged.

    \b
    Example:
      keelmark guard replay --policy new.yaml
    """
    guard = app.make_guard(app.load_policy(policy), policy, data=data)
    with app.Home.open(data, policy) as home:
        report = app.replay(
            home, guard, limit=limit, progress=progress("Judging", things="requests")
        )
    if as_json:
        print_json(report)
    else:
        click.echo(app.replay_text(report))
    changed = report.newly_stopped or report.no_longer_stopped
    return _left_out(report.unreadable) or int(bool(changed))


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--rate",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of texts that may give a false alarm.",
)
@click.option("--stage", type=click.Choice(list(STAGES)), default="input", show_default=True)
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, 1_000_000))
@policy_option
@store_option
@json_option
def calibrate(file: Path | None, policy: Path | None, data: Path | None, **options: Any) -> int:
    """Choose thresholds for a rate of false alarms on texts in which nothing is wrong.

    The texts are the lines or JSONL records of FILE, or without one the stored prompts and answers
    of the newest requests, which were not stopped. Look through what gives alarms first: an attack
    among them would be taught to the guard as harmless. Ends with 2 when stored texts cannot be
    read, so that they are left out.

    \b
    Examples:
      keelmark guard calibrate ordinary-prompts.txt --rate 0.001
      keelmark guard calibrate --limit 5000
    """
    loaded, rate = app.load_policy(policy), options["rate"]
    unread: list[str] = []
    app.make_guard(loaded, policy, data=data)
    if file is None:
        with app.Home.open(data, policy) as home:
            stored = app.stored_samples(home, limit=options["limit"], unreadable=unread.append)
            results = app.calibrate(loaded, stored, rate)
    else:
        with _opened(file) as stream:
            texts = (record["text"] for record in _records(stream, str(file)))
            samples = (app.Sample(text, options["stage"]) for text in texts)
            results = app.calibrate(loaded, samples, rate)
    if not results and unread:
        return _left_out(len(unread))
    if not results:
        raise UsageError("There is no text to calibrate on; name a file, or serve requests first.")
    if options["as_json"]:
        print_json(results)
    else:
        click.echo(app.calibration_text(results, rate))
    return _left_out(len(unread))


def _left_out(unreadable: int) -> int:
    """Say of how many requests the stored texts cannot be read; return the exit code."""
    if unreadable:
        say(
            f"keelmark: {unreadable} requests are left out, because their stored texts cannot be "
            "read: see `keelmark ledger verify`, or restore a backup."
        )
    return 2 if unreadable else 0


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path), default="-")
@click.option("--stage", type=click.Choice(list(STAGES)), default="input", show_default=True)
@click.option(
    "--role",
    type=click.Choice(
        ["user", "system", "assistant", "tool", "tool_description", "retrieved", "input"]
    ),
    default="user",
    show_default=True,
    help="Who speaks; rules may apply to some roles only.",
)
@policy_option
@click.option(
    "--context",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="A file that answers may rest on; may be given several times.",
)
@click.option("--all", "every", is_flag=True, help="Run every tier, so that scores are complete.")
@json_option
def check(
    file: Path,
    stage: str,
    role: str,
    policy: Path | None,
    *,
    context: tuple[Path, ...],
    every: bool,
    as_json: bool,
) -> int:
    """Guard lines of text, or JSONL records {"id", "text", "context"}, from FILE or "-".

    The `context` of a record is what an answer may rest on: a text, or a list of texts or of
    objects with a "text". A "question" beside it may be repeated. `--context` is for all records.

    Ends with 0 when everything passes, 1 when something is redacted, flagged or blocked, 2 when
    something could not be checked.

    \b
    Examples:
      echo "write to ada@example.org" | keelmark guard
      keelmark guard prompts.jsonl --json > verdicts.jsonl
      keelmark guard answers.txt --stage output
      keelmark guard answers.txt --policy grounded --stage output --context handbook.txt
    """
    given = [_context(one.read_bytes(), str(one)) for one in context]
    guard = app.make_guard(app.load_policy(policy), policy)
    worst = 0
    with _opened(file) as stream:
        for record in _records(stream, str(file)):
            about = guard.about([*given, *record["asked"]])
            result = about.check(record["text"], stage=stage, role=role, every=every)
            row = _row(record["id"], result)
            outcome = Outcome(row["verdict"])
            worst = max(worst, 2 if outcome in _FAILURES else int(outcome is not Outcome.ALLOW))
            click.echo(msgspec.json.encode(row).decode() if as_json else _line(row, outcome))
    return worst


def _opened(file: Path) -> BinaryIO:
    if str(file) == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}); check the path.") from None


def _records(lines: Iterable[bytes], source: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError(f"{source}, line {number} is not UTF-8; convert the file.") from None
        if not text.strip():
            continue
        if text.lstrip().startswith("{"):
            yield _record(text, number, source)
        else:
            yield _plain(number, text)


def _plain(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "text": text, "asked": []}


def _record(text: str, number: int, source: str) -> dict[str, Any]:
    try:
        record = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return _plain(number, text)  # a line of text that happens to begin with a brace
    if not isinstance(record, dict) or "text" not in record:
        return _plain(number, text)
    if not isinstance(record["text"], str):
        raise UsageError(f'{source}, line {number}: "text" must be a string.')
    asked = context_segments(record.get("context"), record.get("question"))
    if asked is None:
        raise UsageError(
            f'{source}, line {number}: "context" must be a text, or a list of texts or of objects '
            'with a "text".'
        )
    return {"id": record.get("id", number), "text": record["text"], "asked": asked}


def _context(raw: bytes, source: str) -> Segment:
    try:
        return Segment(role="retrieved", path=source, text=raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise UsageError(f"{source} is not UTF-8; convert the file.") from None


def _row(record_id: Any, result: Result) -> dict[str, Any]:
    verdict = result.verdict
    return {
        "id": record_id,
        "verdict": verdict.outcome,
        "text": result.text,
        "findings": msgspec.to_builtins(result.findings),
        "scores": result.scores,
        **({"sentences": msgspec.to_builtins(verdict.sentences)} if verdict.sentences else {}),
        "coverage": verdict.coverage,
        "ms": round(verdict.ms, 3),
    }


def _line(row: dict[str, Any], outcome: Outcome) -> str:
    verdict = f"{row['verdict']:<8}"
    if coloured():
        verdict = click.style(verdict, fg=_COLOURS.get(outcome, "red"))
    labels = ", ".join(sorted({f["label"] for f in row["findings"]}))
    shown = "" if outcome is Outcome.BLOCK else row["text"]
    return f"{row['id']!s:>6}  {verdict}  {shown}" + (f"   [{labels}]" if labels else "")
