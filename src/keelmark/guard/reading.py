"""Everything that a model reads, judged text by text: at once, or in threads where it takes long.

Cheap tiers first. Where one of them has decided that a request is stopped, the encoder is not
asked about what comes after (`Probe.yields`): its rules say so, and are never "allow".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from keelmark.core.aside import aside
from keelmark.core.ports import Segment
from keelmark.guard.engine import Engine
from keelmark.guard.run import Memory, Run, heavy
from keelmark.guard.seams import mended
from keelmark.guard.standins import Mask
from keelmark.guard.whole import judged

_SLICE = 0.005  # seconds of work before other requests get their turn


class Reading(NamedTuple):
    """What became of the texts.

    Attributes:
        segments: They, with what crosses from one part to the next taken care of.
        texts: What may be read of them, in their order.
        runs: What became of each, and of the seams between them.
        seconds: Time that it took, without that of others.
    """

    segments: list[Segment]
    texts: list[str]
    runs: list[Run]
    seconds: float


async def read_all(
    engine: Engine, segments: Sequence[Segment], mask: Mask, memory: Memory | None = None
) -> Reading:
    """Judge all texts of a request.

    Args:
        engine: The rules and detectors.
        segments: The texts.
        mask: Makes placeholders.
        memory: What detectors have said of them before.
    """
    began, waited = perf_counter(), 0.0
    mended_segments, runs = await mended(engine, segments, mask)
    texts: list[str] = []
    for segment in mended_segments:
        plan = engine.plan("input", segment.role)
        settled = any(run.settled for run in runs)
        run = Run(plan, segment.path, memory, settled=settled)
        pieces = judged(run, segment.text, mask=mask, is_json=segment.is_json)
        if heavy(plan):
            texts.append(await aside("".join, pieces))
        else:
            out, turn = [], perf_counter()
            for piece in pieces:
                out.append(piece)
                if (paused := perf_counter()) - turn > _SLICE:
                    await asyncio.sleep(0)
                    turn = perf_counter()
                    waited += turn - paused
            texts.append("".join(out))
        runs.append(run)
    return Reading(mended_segments, texts, runs, perf_counter() - began - waited)
