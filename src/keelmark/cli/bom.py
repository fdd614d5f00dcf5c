"""`keelmark bom`: other tools' bills of materials."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.cli._common import json_option, print_json, progress, say
from keelmark.passport.bom import MAX_BYTES, Comparison, Part, ReadBill, compare, read_bom
from keelmark.passport.files import escape, printable, read_small
from keelmark.passport.manifest import build_manifest


@click.group()
def command() -> None:
    """Read bills of materials. To write one: `keelmark vet --bom`, `keelmark passport export`."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="Compare its files with the bill.")
@json_option
def show(file: Path, model: Path | None, *, as_json: bool) -> int:
    """Print what a bill of materials says (CycloneDX, SPDX 2, SPDX 3; JSON).

    With --model, ends with 1 when a file is not in the bill by its SHA-256, or the bill names one
    that is not there.

    \b
    Examples:
      keelmark bom show vendor.cdx.json
      keelmark bom show vendor.cdx.json --model ./model --json
    """
    bill = read_bom(read_small(file, MAX_BYTES, printable(file)), source=printable(file))
    found = compare(bill, build_manifest(model, progress("Reading"))) if model else None
    if as_json:
        print_json({"bill": bill, "files": found} if found else bill)
    else:
        click.echo(_text(bill))
        for note in bill.left_out[:20]:
            say(f"left out: {escape(note)}")
        if found:
            click.echo(_compared(found))
    return 1 if found and (found.unlisted or found.missing) else 0


def _text(bill: ReadBill) -> str:
    lines = [f"form        {bill.form}, parts: {len(bill.parts)}"]
    lines += [line for part in bill.models for line in _model(part)]
    others = [part for part in bill.parts if part not in bill.models]
    for part in others[:50]:
        licences = f" ({', '.join(part.licences)})" if part.licences else ""
        lines.append(f"{part.kind:<12}{f'{part.name} {part.version}'.strip()}{licences}")
    if len(others) > 50:
        lines.append(f"            and {len(others) - 50} more")
    return "\n".join(escape(line) for line in lines)


def _model(part: Part) -> list[str]:
    lines = [f"model       {part.name} {part.version}".rstrip()]
    card = part.card
    rows = [
        ("licences", part.licences),
        ("made from", part.ancestors),
        *((f"hash {name}", (digest,)) for name, digest in sorted(part.hashes.items())),
    ]
    if card:
        rows += [
            ("task", (card.task,)),
            ("family", (card.family,)),
            ("built as", (card.architecture,)),
            ("data", card.datasets),
            ("in and out", (*card.inputs, *card.outputs)),
            ("results", tuple(" ".join(filter(None, metric)) for metric in card.metrics)),
            *card.considerations.items(),
        ]
    for name, texts in rows:
        if said := "; ".join(filter(None, texts)):
            lines.append(f"  {name:<24}{said}")
    return lines


def _compared(found: Comparison) -> str:
    lines = [f"files       {len(found.listed)} as the bill says"]
    lines += [f"not in it   {name}" for name in found.unlisted]
    lines += [f"not here    {name}" for name in found.missing]
    return "\n".join(escape(line) for line in lines)
