"""Train the encoder: all heads at once, for as long as it is given.

    python training/encoder/train.py ROWS BASE OUT --minutes 60 [--resume] [--seed 1]

ROWS is what `rows.py` wrote, BASE the folder of all-MiniLM-L6-v2. On a GPU where there is one. The
rate falls to nothing at the end of the time given, so a run is as good as its time allows; OUT
keeps a checkpoint, and `--resume` goes on from there after an accident.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from batches import GROUNDING, HAZARD, Batch, Screen, rows_of, stream, tokenizer
from model import Encoder, base
from rows import BUILDERS
from torch import Tensor
from torch.nn import functional as fn

RATE, HEAD_RATE, WARM, CLIP = 1.2e-4, 8e-4, 0.04, 1.0
TOKENS_A_STEP = 4096
HAZARD_WEIGHT, MARK_WEIGHT = 2.0, 6.0
HARD, SELDOM = 0.35, 0.12
"""The loss from which on a row is always taken, and how often the best known are."""
_EVERY = 300.0  # seconds between checkpoints


def losses(said: tuple[Tensor, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return the loss of each kind of head, summed over rows and divided by the rows of the batch.

    A row weighs the same whatever its batch holds beside it.
    """
    sequence, tokens = said
    rows = len(batch.weights)
    known = ~batch.targets.isnan()
    wanted = batch.targets.nan_to_num()
    each = fn.binary_cross_entropy_with_logits(sequence, wanted, reduction="none")
    each = each * known * batch.weights[:, None]
    three = sequence[:, GROUNDING : GROUNDING + 3]
    ground = fn.cross_entropy(three, wanted[:, GROUNDING : GROUNDING + 3], reduction="none")
    ground = ground * known[:, GROUNDING] * batch.weights
    marked = ~batch.marks.isnan()
    mark = fn.binary_cross_entropy_with_logits(
        tokens[..., 0], batch.marks.nan_to_num(), reduction="none"
    )
    mark = (mark * marked).sum(1) / marked.sum(1).clamp(min=1) * batch.weights
    return {
        "plain": each[:, :GROUNDING].sum() / rows,
        "hazards": HAZARD_WEIGHT * each[:, HAZARD:].mean(1).sum() / rows,
        "grounding": ground.sum() / rows,
        "marks": MARK_WEIGHT * mark.sum() / rows,
    }


def hard(encoder: Callable[..., tuple[Tensor, Tensor]], device: str, lot: random.Random) -> Screen:
    """Return what keeps the rows that the encoder gets wrong, and few of those that it knows.

    A look forwards costs a third of a step, so where most rows are known the time goes further (as
    Shrivastava et al. 2016, arXiv 1604.03540, and Jiang et al. 2019, arXiv 1910.00762).
    """

    def screen(batch: Batch) -> list[bool]:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            said = encoder(*(one.to(device) for one in (batch.ids, batch.attention, batch.kinds)))
        known = ~batch.targets.isnan()
        known[:, GROUNDING:] = False
        wanted = batch.targets.nan_to_num()
        each = fn.binary_cross_entropy_with_logits(said[0].cpu().float(), wanted, reduction="none")
        loss = (each * known).amax(1)
        chance = (loss / HARD).clamp(SELDOM, 1.0).tolist()
        return [lot.random() < one for one in chance]

    return screen


def rate(part: float) -> float:
    """Return the part of the full rate at a part of the time: a short rise, then a cosine."""
    if part < WARM:
        return part / WARM
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (part - WARM) / (1 - WARM))))


def optimizer(encoder: Encoder) -> torch.optim.AdamW:
    """Return AdamW with a higher rate for the new heads, and no decay of biases and norms."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, value in encoder.named_parameters():
        new, plain = name.startswith(("pools.", "token.")), value.ndim < 2
        groups.setdefault((new, plain), []).append(value)
    made = [
        {
            "params": values,
            "lr": HEAD_RATE if new else RATE,
            "full": HEAD_RATE if new else RATE,
            "weight_decay": 0.0 if plain else 0.01,
        }
        for (new, plain), values in groups.items()
    ]
    return torch.optim.AdamW(made, betas=(0.9, 0.98), fused=True)


def train(encoder: Encoder, asked: argparse.Namespace) -> None:
    """Train in place, write checkpoints and a log line every 25 steps."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder.to(device).train()
    steps = optimizer(encoder)
    done, spent, place = 0, 0.0, asked.out / "checkpoint.pt"
    if asked.resume and place.exists():
        kept: dict[str, Any] = torch.load(place, map_location=device)
        encoder.load_state_dict(kept["encoder"])
        steps.load_state_dict(kept["optimizer"])
        done, spent = kept["step"], kept["seconds"]
    rows = rows_of(asked.rows, "train", asked.kinds.split(","))
    look = torch.compile(encoder, dynamic=True) if asked.compile else encoder
    screen = hard(look, device, random.Random(asked.seed + done))
    screens = dict.fromkeys(filter(None, asked.screen.split(",")), screen)
    batches = stream(rows, tokenizer(asked.base), asked.tokens, asked.seed + done, screens)
    began, saved, seen, sums = time.monotonic() - spent, time.monotonic(), 0, {}
    while (part := (time.monotonic() - began) / (60 * asked.minutes)) < 1:
        batch = Batch(*(tensor.to(device) for tensor in next(batches)))
        for group in steps.param_groups:
            group["lr"] = group["full"] * asked.rate * rate(part)
        with torch.autocast(device, torch.bfloat16):
            said = look(batch.ids, batch.attention, batch.kinds)
        parts = losses(said, batch)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), CLIP)
        steps.step()
        steps.zero_grad(set_to_none=True)
        done, seen = done + 1, seen + int(batch.attention.sum())
        sums = {name: sums.get(name, 0.0) + value.item() for name, value in parts.items()}
        if done % 25 == 0:
            told = {name: round(value / 25, 4) for name, value in sums.items()}
            print(
                json.dumps({"step": done, "part": round(part, 4), "tokens": seen} | told),
                flush=True,
            )
            sums = {}
        if time.monotonic() - saved > _EVERY:
            _save(place, encoder, steps, done, time.monotonic() - began)
            saved = time.monotonic()
    torch.save(encoder.cpu().state_dict(), asked.out / "encoder.pt")
    _save(place, encoder, steps, done, time.monotonic() - began)


def note(asked: argparse.Namespace) -> None:
    """Add this run to `runs.json`: what it learns from, how long, from which seed."""
    place = asked.out / "runs.json"
    runs = json.loads(place.read_text()) if place.exists() and asked.resume else []
    kinds = asked.kinds.split(",")
    digests = {
        name: hashlib.sha256((asked.rows / f"{name}.jsonl.gz").read_bytes()).hexdigest()
        for name in kinds
    }
    device = "cuda" if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU cores"
    this = {"rows": digests, "minutes": asked.minutes, "seed": asked.seed, "device": device}
    if asked.screen:
        this["screened"] = asked.screen
    if asked.rate != 1:
        this["rate"] = asked.rate
    if runs and {**runs[-1], "minutes": asked.minutes} == this:
        runs.pop()  # the same run goes on; its minutes are counted from its begin
    runs.append(this)
    place.write_text(json.dumps(runs, indent=1) + "\n")


def _save(
    place: Path, encoder: Encoder, steps: torch.optim.Optimizer, step: int, seconds: float
) -> None:
    kept = {"encoder": encoder.state_dict(), "optimizer": steps.state_dict()}
    new = place.with_suffix(".new")
    torch.save(kept | {"step": step, "seconds": seconds}, new)
    new.replace(place)


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--tokens", type=int, default=TOKENS_A_STEP)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(BUILDERS), help="kinds of rows to learn from")
    parser.add_argument(
        "--screen", default="", help="kinds of rows of which those known are left out: injection"
    )
    parser.add_argument(
        "--rate", type=float, default=1.0, help="of the full rates; .5 where little is to be learnt"
    )
    parser.add_argument("--start", type=Path, help="weights of an earlier run to begin with")
    parser.add_argument(
        "--compile", action="store_true", help="a sixth faster, where a C++ compiler is"
    )
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args()
    if "grounding" in asked.screen.split(","):
        parser.error("rows on grounding cannot be screened: their loss is of three classes")
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(asked.seed)
    encoder = base(asked.base)
    if asked.start:
        encoder.load_state_dict(torch.load(asked.start, map_location="cpu"))
    note(asked)
    train(encoder, asked)


if __name__ == "__main__":
    main()
