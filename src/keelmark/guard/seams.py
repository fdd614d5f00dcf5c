"""What begins in one part of a message and ends in another, or in another message.

Templates put the parts of a message together, bare or with a line break between them, so a phrase
or an address may stand in no part and still be read by the model. Each part is judged on its own
as every text is; here the surroundings of the seams are read both ways, and only what crosses a
seam counts. A replacement goes where the span begins; what is left of the span goes away.

What successive messages, or values with names, say together (`guard._turns`) is read the same way
by the detectors for which it matters.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from keelmark.core.aside import aside
from keelmark.core.ports import Segment
from keelmark.guard import decode
from keelmark.guard._turns import Slice, assemblies
from keelmark.guard.engine import Engine
from keelmark.guard.normalise import View, folded
from keelmark.guard.run import Probe, Run, Seen, heavy
from keelmark.guard.standins import TAKES, Mask, joined, substitute

REACH = 1024
"""Characters before and after a seam that are read."""

_JOINTS = ("", "\n")
_LONGEST = 16_384  # of a window, before other requests get their turn
Edit = tuple[int, int, str]
"""Begin and end of a span, and what stands there instead."""


class _Window(NamedTuple):
    """A stretch of the joined text, and the seams in it, as spans between parts."""

    start: int
    end: int
    seams: list[tuple[int, int]]


async def mended(
    engine: Engine, segments: Sequence[Segment], mask: Mask
) -> tuple[list[Segment], list[Run]]:
    """Take care of what crosses from one part of a message to the next.

    Args:
        engine: The rules and detectors.
        segments: Everything that a model reads.
        mask: Makes placeholders.

    Returns:
        The segments, and what became of the probes on each window that was read.
    """
    out, runs = list(segments), list[Run]()
    wholes: dict[str, list[int]] = {}
    for number, segment in enumerate(segments):
        if segment.part_of:
            wholes.setdefault(segment.part_of, []).append(number)
    for path, numbers in wholes.items():
        if len(numbers) > 1:
            plan = engine.plan("input", out[numbers[0]].role)
            parts = [out[number].text for number in numbers]
            parts, looked = await mend(plan, path, parts, mask)
            runs += looked
            for number, text in zip(numbers, parts, strict=True):
                out[number] = msgspec.structs.replace(out[number], text=text)
    for one in assemblies(out):
        some = [probe for probe in engine.plan("input", one.role) if probe.detector.assembles]
        plan = tuple(probe._replace(number=number) for number, probe in enumerate(some))
        if plan:
            parts = [out[number].text[start:end] for number, start, end in one.slices]
            after, looked = await mend(plan, "messages", parts, mask, one.open_at)
            runs += looked
            said = zip(one.slices, parts, after, strict=True)
            _write(out, {where: text for where, before, text in said if text != before})
    return out, runs


def _write(segments: list[Segment], texts: Mapping[Slice, str]) -> None:
    """Put texts in the place of stretches of the segments."""
    for (number, start, end), text in sorted(texts.items(), reverse=True):
        whole = segments[number].text
        changed = whole[:start] + text + whole[end:]
        segments[number] = msgspec.structs.replace(segments[number], text=changed)


async def mend(
    plan: tuple[Probe, ...],
    path: str,
    parts: list[str],
    mask: Mask,
    open_at: Sequence[Sequence[str]] = (),
) -> tuple[list[str], list[Run]]:
    """Mask or redact what crosses the seams between the parts of a text.

    Args:
        plan: The probes for a text of this role.
        path: Path of the whole, for findings; their offsets count in the parts put together.
        parts: The texts, in their order.
        mask: Makes placeholders.
        open_at: For each seam what may stand there; bare and line breaks at all when empty.

    Returns:
        The parts, and what became of the probes on each window that was read.
    """
    runs: list[Run] = []
    for joint in dict.fromkeys(chain.from_iterable(open_at)) if open_at else _JOINTS:
        text = joint.join(parts)
        edits: list[Edit] = []
        shut = {number for number, joints in enumerate(open_at) if joint not in joints}
        for window in _windows(parts, len(joint), shut):
            run = Run(plan, path)
            runs.append(run)
            if heavy(plan):
                edits += await aside(list, _edits(run, text, window, mask))
                continue
            edits += _edits(run, text, window, mask)
            await asyncio.sleep(0)
        if edits:
            parts = _edited(parts, len(joint), edits)
    return parts, runs


def _ends(parts: Sequence[str], joint: int) -> Iterator[int]:
    """Where each part ends in the joined text, with the joint behind it."""
    return accumulate(len(part) + joint for part in parts)


def _windows(parts: Sequence[str], joint: int, shut: Collection[int] = ()) -> list[_Window]:
    """Return the surroundings of all seams; what overlaps is one window unless that gets long."""
    found: list[_Window] = []
    *seams, length = _ends(parts, joint)
    for number, seam in enumerate(seams):
        if number in shut:
            continue
        start, end = max(0, seam - joint - REACH), min(length - joint, seam + REACH)
        last = found[-1] if found else None
        if last and start <= last.end and end - last.start <= _LONGEST:
            found[-1] = _Window(last.start, end, [*last.seams, (seam - joint, seam)])
        else:
            found.append(_Window(start, end, [(seam - joint, seam)]))
    return found


def _edits(run: Run, text: str, window: _Window, mask: Mask) -> Iterator[Edit]:
    """Judge a window; yield what has to be done about it, left to right."""
    seen = _crossing(run, text, window)
    for one in seen:
        run.note(one, one.start, one.end)
    for group in joined([one for one in seen if not TAKES.isdisjoint(one.actions())]):
        start, end = group[0].start, max(one.end for one in group)
        yield start, end, substitute(group, mask)(text[start:end])


def _crossing(run: Run, text: str, window: _Window) -> list[Seen]:
    """Everything in a window that crosses a seam, in places of the joined text, left to right."""
    held = text[window.start : window.end]
    run.read = run.decided = len(held)
    seen = decode.hits(run, held)
    for probe in run.live:
        if run.spared(probe, seen):
            continue
        view = View(held, len(held)) if probe.detector.raw else folded(held)
        for hit in run.look(probe, view.text, 0, final=True)[0]:
            seen.append(Seen(*view.origin(hit.start, hit.end), hit, probe))
    ends = [end for _, end in window.seams]
    moved = (
        replace(one, start=one.start + window.start, end=one.end + window.start) for one in seen
    )
    crossing = [one for one in moved if _crosses(one, window.seams, ends)]
    return sorted(crossing, key=lambda one: (one.start, one.end))


def _crosses(one: Seen, seams: list[tuple[int, int]], ends: list[int]) -> bool:
    """Whether a span begins before the joint of a seam and goes on behind it."""
    at = bisect_right(ends, one.start)
    while at < len(seams) and seams[at][0] < one.end:
        if one.start < seams[at][0] and one.end > seams[at][1]:
            return True
        at += 1
    return False


def _edited(parts: Sequence[str], joint: int, edits: list[Edit]) -> list[str]:
    """Return the parts with the edits made: a replacement stands in the part it begins in."""
    out: list[list[str]] = [[] for _ in parts]
    ends = list(_ends(parts, joint))
    done = 0
    for start, end, replacement in [*sorted(edits), (ends[-1], ends[-1], "")]:
        at = bisect_right(ends, done)
        while done < start:  # what stays, part by part
            begin = ends[at] - joint - len(parts[at])
            out[at].append(parts[at][max(0, done - begin) : start - begin])
            done = min(start, ends[at])
            at += 1
        if end > done or done == start:
            out[min(bisect_right(ends, start), len(out) - 1)].append(replacement)
        done = max(done, end)
    return ["".join(pieces) for pieces in out]
