"""Fill a licence record from the text it was written from: places of clauses, marks, digests.

    python training/licences/fill.py RECORD.yaml TEXT

Write the record by hand first (docs/how-to/check-a-licence.md): of each clause the words alone, or
its first and last words with ` … ` between them. The text is a plain file, or a YAML file whose
`text` holds it, as the ScanCode LicenseDB has them. The record is written again in place.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import yaml

from keelmark.vet.licence.records import parse_record
from keelmark.vet.licence.words import Word, marks, pack, words, words_digest

LONGEST_QUOTE = 420
_PARAGRAPH = re.compile(
    r"(?m)^[\s>#*•-]*((?:\d{1,2}(?:\.\d{1,2}){0,3}|[a-z]|[ivx]{1,5}))(?=[\s.):])", re.IGNORECASE
)
_BEGINS = re.compile(r"(?:^|\n\s*\n|[.;:,)”\"])[\s>#*•-]*$")


class _Dumper(yaml.SafeDumper):
    """Long base64 as a block, everything else as short as it can be."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def fill(record: dict, text: str) -> dict:
    """Return the record with every place, mark and digest computed from the text."""
    found = words(text)
    numbers = marks(found)
    source = record["text"]
    filled = {key: source[key] for key in ("source", "url")}
    filled["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    filled["words"] = words_digest(numbers)
    loose = _paragraphs(text, found)
    for name in ("optional", "open"):
        passages = source.get(name, [])
        spans = [_span(found, *_place(text, passage)) for passage in passages]
        if name == "optional":
            spans += [[at, 1] for at in loose]
        filled |= {name: passages, f"{name}_words": sorted(spans)} if spans else {}
    packed = pack(numbers)
    filled["marks"] = "\n".join(packed[at : at + 96] for at in range(0, len(packed), 96)) + "\n"
    clauses = [*record.get("terms", []), *filter(None, [record.get("heirs")])]
    for clause in clauses:
        if clause.get("quote"):
            start, end = _place(text, clause["quote"])
            clause["quote"] = " ".join(text[start:end].split())
            if len(clause["quote"]) > LONGEST_QUOTE:
                raise SystemExit(f"{record['id']}: quote less of {clause['quote'][:60]!r}")
            clause["offset"] = start
            clause["words"] = _span(found, start, end)
    record["text"] = filled
    return {key: value for key, value in record.items() if key != "text"} | {"text": filled}


def _place(text: str, quote: str) -> tuple[int, int]:
    """Return where a quotation begins and ends; ` … ` in it stands for anything."""
    parts = [
        r"\s+".join(map(re.escape, part.split())) for part in re.split(r"\s…\s", quote.strip())
    ]
    match = re.search(r"(?s:.{0,6000}?)".join(parts), text)
    if not match:
        raise SystemExit(f"not in the text: {quote!r}")
    return match.start(), match.end()


def _span(found: list[Word], start: int, end: int) -> list[int]:
    inside = [at for at, word in enumerate(found) if word.start >= start and word.end <= end]
    return [inside[0], len(inside)] if inside else [0, 0]


def _paragraphs(text: str, found: list[Word]) -> list[int]:
    starts = {match.start(1) for match in _PARAGRAPH.finditer(text)}
    return [
        at
        for at, word in enumerate(found)
        if word.start in starts
        and re.fullmatch(r"\d{1,2}(?:\.\d{1,2})*|[b-hj-z]|[ivx]{2,5}", word.key)
        and _BEGINS.search(text, max(0, word.start - 80), word.start)
    ]


def dump(record: dict) -> str:
    """Write a record as YAML."""
    return yaml.dump(record, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)


def main(arguments: list[str]) -> None:
    """Fill one record."""
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    path, source = map(Path, arguments)
    text = source.read_text(encoding="utf-8")
    if source.suffix in {".yml", ".yaml"}:
        text = yaml.safe_load(text)["text"]
    filled = dump(fill(yaml.safe_load(path.read_text(encoding="utf-8")), text))
    parse_record(filled, source=path.name, name=path.stem)
    path.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
