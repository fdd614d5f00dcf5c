"""Write the ledger as a bundle that verifies with Python's standard library alone."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from keelmark.core.errors import UsageError
from keelmark.store import verify_bundle
from keelmark.store.ledger import newest_checkpoint, split
from keelmark.store.port import Db, stream
from keelmark.store.report import known_keys
from keelmark.store.verify_bundle import Key

_README = """This is the ledger of a Keelmark installation.

records.jsonl      the records, one a line, exactly as they were hashed
leaves.txt         the leaf hash of each record, hex
checkpoint         the newest signed checkpoint (C2SP tlog-checkpoint)
checkpoints.jsonl  older ones, with the roots of their perfect subtrees
keys.txt           public keys (C2SP verifier keys), the newest first

Verify it:  python verify_bundle.py THIS.zip --key KEY
Take KEY and, if you can, verify_bundle.py from somewhere else than this bundle: whoever could
forge one could forge the other.
"""


def export_bundle(db: Db, out: Path, key: Key | None) -> int:
    """Write a bundle; an old file of that name is replaced only when the new one is whole.

    Args:
        db: Reader that stays in one transaction meanwhile.
        out: File to write (.zip).
        key: Key of the ledger, or None for the last one the store knows.

    Returns:
        Number of records.

    Raises:
        UsageError: The ledger is empty, or the file cannot be written.
    """
    newest = newest_checkpoint(db)
    if newest is None:
        raise UsageError("The ledger is empty: there is nothing to export yet.")
    keys = [str(known) for known in reversed(known_keys(db))]
    keys = list(dict.fromkeys([str(key), *keys] if key else keys))
    try:
        with _whole(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in {
                "README.txt": _README,
                "keys.txt": "\n".join(keys) + "\n",
                "checkpoint": newest[2],
                "verify_bundle.py": Path(verify_bundle.__file__).read_text(encoding="utf-8"),
            }.items():
                bundle.writestr(_entry(name), text)
            return _write_streams(db, bundle)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written ({error.strerror}); choose another place, or free some space."
        ) from None


def _write_streams(db: Db, bundle: zipfile.ZipFile) -> int:
    count = 0
    with bundle.open(_entry("records.jsonl"), "w", force_zip64=True) as file:
        for (record,) in stream(db, "SELECT record FROM records ORDER BY seq"):
            file.write(record + b"\n")
            count += 1
    with bundle.open(_entry("leaves.txt"), "w", force_zip64=True) as file:
        for (leaf,) in stream(db, "SELECT leaf FROM records ORDER BY seq"):
            file.write(leaf.hex().encode() + b"\n")
    with bundle.open(_entry("checkpoints.jsonl"), "w", force_zip64=True) as file:
        for frontier, note in stream(db, "SELECT frontier, note FROM checkpoints ORDER BY size"):
            line = {"note": note, "frontier": [part.hex() for part in split(frontier)]}
            file.write(json.dumps(line).encode() + b"\n")
    return count


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # the same ledger gives the same bytes: no time of writing
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[IO[bytes]]:
    """Lend a temporary file beside `out` that takes its place at the end."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(out)
    finally:
        Path(name).unlink(missing_ok=True)
