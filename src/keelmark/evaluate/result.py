"""What came of a run, for programmes and for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from keelmark.core.errors import IntegrityError, UsageError
from keelmark.evaluate.contract import Measure, Scored
from keelmark.evaluate.manifest import Manifest
from keelmark.evaluate.measures import Summary
from keelmark.passport.files import escape

MANIFEST, SCORES, RESULT = "manifest.json", "scores.jsonl", "result.json"


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used.

    Attributes:
        seconds: From its beginning to its end, all its parts together; 0 when it is not known.
        tokens_in: Tokens of prompts.
        tokens_out: Tokens of answers.
        asks: Requests.
        more: Energy, memory and money, as `app` tells them.
    """

    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    asks: int = 0
    more: dict[str, Any] = {}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run.

    Attributes:
        suite: Id of the suite.
        version: Of the suite.
        run: Name of the run.
        state: `complete`, or `incomplete`: samples are missing or could not be scored.
        reason: Why it is incomplete, a sentence; "" when it is not.
        primary: The measure that decides.
        metrics: Name of a measure to the measure.
        slices: Field to its values to the measures of each.
        counts: How many samples were asked, answered, blocked, masked, failed and unscored.
        manifest: Digest of the manifest.
        asked: Who was asked, in words.
        spent: See `Spent`.
        notes: What a reader has to know, sentences.
    """

    suite: str
    version: str
    run: str
    state: Literal["complete", "incomplete"]
    reason: str = ""
    primary: str
    metrics: dict[str, Measure]
    slices: dict[str, dict[str, dict[str, Measure]]] = {}
    counts: dict[str, int]
    manifest: str
    asked: str
    spent: Spent = Spent()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when it is complete, 2 when it is not."""
        return 0 if self.state == "complete" else 2


def make_result(
    manifest: Manifest, summary: Summary, total: int, spent: Spent, reason: str = ""
) -> Result:
    """Make the result of a run.

    Args:
        manifest: What decided it.
        summary: Measures of the scores.
        total: Samples that it should have.
        spent: What it used.
        reason: Why it ended early; "" when it did not.
    """
    suite, counts = manifest.suite, summary.counts
    missing = total - counts.get("asked", 0) - counts.get("variants", 0)
    failed = counts.get("failed", 0)
    if not reason and not total:
        reason = _nothing(manifest)
    if not reason and missing:
        reason = f"{missing} of {total} samples were not asked."
    if not reason and failed:
        reason = (
            f"{failed} of {total} samples failed: the same command asks them again, and "
            "scores.jsonl says why."
        )
    unscored = summary.measures[suite.primary].unscored
    if not reason and 2 * unscored > total:
        reason = f"{unscored} of {total} answers could not be scored: scores.jsonl says why."
    return Result(
        suite=suite.id,
        version=suite.version,
        run=manifest.id,
        state="incomplete" if reason else "complete",
        reason=reason,
        primary=suite.primary,
        metrics=summary.measures,
        slices=summary.slices,
        counts=counts,
        manifest=manifest.digest,
        asked=_named(manifest),
        spent=spent,
        notes=tuple(_notes(manifest, summary)),
    )


def _named(manifest: Manifest) -> str:
    asked = manifest.asked
    ways = {
        "served": "as served, guard included",
        "raw": "the bare engine, no guard",
        "url": f"at {asked.url or 'an address that was not told'}",
    }
    weights = asked.model_digest[:19] or "weights not seen"
    return f"{asked.model} ({weights}), {ways[asked.how]}"


def _nothing(manifest: Manifest) -> str:
    """Why there is no sample at all."""
    if limit := manifest.sampling.limit:
        return (
            f"There was nothing to ask: the suite leaves out every one of the {limit} rows that "
            f"were drawn of {manifest.data.file}, if it has any; draw more, or look into it."
        )
    return (
        f"There was nothing to ask: {manifest.data.file} has no rows, or the suite leaves out "
        "every one of them."
    )


def _notes(manifest: Manifest, summary: Summary) -> list[str]:
    suite, notes = manifest.suite, []
    n = summary.measures[suite.primary].n
    if n < suite.minimum:
        has = f" ({suite.id} has {suite.data.rows})" if suite.data.rows > n else ""
        notes.append(f"{n} samples are few: below {suite.minimum} the figure says little{has}.")
    unscored = summary.measures[suite.primary].unscored
    if unscored:
        notes.append(f"{unscored} could not be scored and count for nothing: see scores.jsonl.")
    if manifest.sampling.limit:
        notes.append(
            f"Only {manifest.sampling.limit} rows, drawn by seed {manifest.sampling.seed}."
        )
    for state, why in _BESIDE.items():
        if count := summary.counts.get(state, 0):
            notes.append(f"{why}: {count} of {summary.counts['asked']} samples.")
    for one in suite.published:
        setting = f", {one.setting}" if one.setting else ""
        notes.append(f"Published of {one.model}: {one.measure} {one.value:.4f}{setting}.")
    if suite.canary:
        notes.append(suite.canary)
    return notes


_BESIDE = {
    "blocked": "Blocked by the guard",
    "masked": "Changed by the guard, so that nothing could be weighed",
}


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a run. Raises UsageError when there is none that can be read."""
    manifest: Manifest = _read(folder / MANIFEST, Manifest)
    return manifest


def read_result(folder: Path) -> Result:
    """Return the result of a run. Raises UsageError when there is none that can be read."""
    result: Result = _read(folder / RESULT, Result)
    return result


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}): name the folder of a run."
        ) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path} is not what a run writes ({error}).") from None


def each_score(folder: Path) -> Iterator[Scored]:
    """Yield the scores of a run one by one, in the order of its samples.

    Raises:
        UsageError: There are none.
        IntegrityError: They cannot be read.
    """
    path = folder / SCORES
    decode = msgspec.json.Decoder(Scored).decode
    try:
        with path.open("rb") as file:
            for line in file:
                yield decode(line)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}): name the folder of a run."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path} is not what a run writes ({error}).") from None


def read_scores(folder: Path) -> list[Scored]:
    """Return the scores of a run, in the order of its samples; see `each_score`."""
    return list(each_score(folder))


def table(result: Result) -> str:
    """Return a result as a person reads it."""
    lines = [f"{result.suite} {result.version}: {result.asked}", ""]
    width = max((len(name) for name in result.metrics), default=0)
    for name, one in result.metrics.items():
        mark = "*" if name == result.primary else " "
        lines.append(f"{mark} {name:{width}}  {figure(one)}")
    lines.append("")
    counts = result.counts
    used = result.spent
    lines.append(
        f"{counts.get('asked', 0)} samples, {used.asks} requests, {used.tokens_in:,} tokens read, "
        f"{used.tokens_out:,} written, {used.seconds:,.0f} s"
    )
    lines += filter(None, [_used(used)])
    lines += [f"Note: {one}" for one in result.notes]
    if result.state == "incomplete":
        lines.append(f"INCOMPLETE: {result.reason}")
    lines.append(f"Run {result.run}, manifest {result.manifest[:19]}")
    return "\n".join(map(escape, lines))


def _used(used: Spent) -> str:
    """Energy, memory and money, as far as they are known."""
    more, told = used.more, []
    joules, tokens = more.get("joules"), used.tokens_in + used.tokens_out
    how = str(more.get("energy_how", "")).rstrip(".")
    if joules is not None:
        each = f", {joules / tokens:.3g} J a token" if tokens else ""
        told.append(f"Energy {joules:,.0f} J{each} ({more['energy']}: {how})")
    elif how:
        told.append(how)
    if "memory_bytes" in more:
        told.append(f"Memory {more['memory_bytes'] / 1e6:,.0f} MB at most")
    if "cost" in more:
        told.append(f"Cost {more['cost']:.4f} {more['currency']}")
    return ". ".join(told) + "." if told else ""


def figure(one: Measure) -> str:
    """Return a measure with its interval and what it rests on."""
    if one.value is None:
        return f"could not be measured ({one.how or 'nothing was scored'})"
    span = (
        f" [{one.low:.4f}, {one.high:.4f}]" if one.low is not None and one.high is not None else ""
    )
    unscored = f", {one.unscored} unscored" if one.unscored else ""
    return f"{one.value:.4f}{span}  n = {one.n}{unscored}"
