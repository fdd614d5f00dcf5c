"""Verify an exported Keelmark ledger with nothing but Python 3.10 or newer: no other package.

    python verify_bundle.py BUNDLE [--key PUBLIC_KEY] [--against CHECKPOINT]

Exit status: 0 it verifies, 1 it was tampered with (records are named), 2 it could not be checked.
Sources: RFC 9162 2.1 (Merkle tree), C2SP signed-note and tlog-checkpoint, RFC 8032 5.1.7 (Ed25519).
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import itertools
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SHOWN = 50


class MalformedError(ValueError):
    """Something is not in the form it must have."""


def leaf_hash(record: bytes) -> bytes:
    """Return the hash of one record."""
    return hashlib.sha256(b"\0" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def push(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf hash to a frontier: the roots of its perfect subtrees, largest first."""
    frontier.append(leaf)
    while size & 1:
        right = frontier.pop()
        frontier[-1] = node_hash(frontier[-1], right)
        size >>= 1


def frontier_root(frontier: Frontier) -> bytes:
    """Return the root of the tree with this frontier."""
    if not frontier:
        return hashlib.sha256(b"").digest()
    return functools.reduce(lambda root, left: node_hash(left, root), reversed(frontier))


_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_Point = tuple[int, int, int, int]  # extended coordinates, RFC 8032 section 5.1.4


def _add(a: _Point, b: _Point) -> _Point:
    u, v = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    w, z = 2 * a[3] * b[3] * _D, 2 * a[2] * b[2]
    e, f, g, h = v - u, z - w, z + w, v + u
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    for bit in f"{scalar:b}":
        result = _add(result, result)
        result = _add(result, point) if bit == "1" else result
    return result


def _point(data: bytes) -> _Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    x = x if x * x % _P == square else x * pow(2, (_P - 1) // 4, _P) % _P
    if len(data) != 32 or y >= _P or x * x % _P != square or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


def ed25519_verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether an Ed25519 signature holds (RFC 8032 section 5.1.7, without cofactor)."""
    scalar = int.from_bytes(signature[32:], "little")
    base, key, commitment = map(_point, (b"\x58" + b"\x66" * 31, public, signature[:32]))
    if not (base and key and commitment) or len(signature) != 64 or scalar >= _L:
        return False
    hashed = hashlib.sha512(signature[:32] + public + message).digest()
    a = _multiply(scalar, base)
    b = _add(commitment, _multiply(int.from_bytes(hashed, "little") % _L, key))
    return not any((a[i] * b[2] - b[i] * a[2]) % _P for i in (0, 1))


Frontier = Sequence[bytes]
Verify = Callable[[bytes, bytes, bytes], bool]


class Key(NamedTuple):
    """A public key that signs checkpoints: C2SP key name and 32 bytes."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four-byte key id of C2SP signed-note."""
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([1]) + self.public).decode()}"


class Checkpoint(NamedTuple):
    """A parsed C2SP checkpoint; `lines` are (key name, key id, signature)."""

    size: int
    root: bytes
    text: bytes
    lines: tuple[tuple[str, bytes, bytes], ...]


def _base64(text: str, length: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    # Written back, because base64 has more than one spelling of the same bytes.
    if len(data) != length or base64.b64encode(data).decode() != text:
        raise MalformedError(f"expected {length} bytes in base64")
    return data


def parse_key(text: str) -> Key:
    """Read a C2SP verifier key, `name+id+base64`; raises MalformedError."""
    name, _, rest = text.strip().partition("+")
    key = Key(name, _base64(rest.partition("+")[2], 33)[1:])
    if not name or str(key) != text.strip():
        raise MalformedError("the public key is not a C2SP verifier key (name+id+base64)")
    return key


def parse_checkpoint(note: str) -> Checkpoint:
    """Read a signed checkpoint in the form of C2SP tlog-checkpoint; raises MalformedError."""
    body, blank, signatures = note.rpartition("\n\n")
    head, lines = body.split("\n"), []
    if not blank or not signatures.endswith("\n") or len(head) < 3 or not head[0]:
        raise MalformedError("a checkpoint is not a signed note")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", head[1]):
        raise MalformedError("the size in a checkpoint is not a number")
    for line in signatures[:-1].split("\n"):
        name, _, encoded = line[2:].partition(" ")
        if not line.startswith("— "):
            raise MalformedError("a signature line is malformed")
        data = _base64(encoded, 68)
        lines.append((name, data[:4], data[4:]))
    return Checkpoint(int(head[1]), _base64(head[2], 32), f"{body}\n".encode(), tuple(lines))


def is_signed(point: Checkpoint, keys: Iterable[Key], verify: Verify = ed25519_verify) -> bool:
    """Return whether the checkpoint carries a signature by one of the keys that holds."""
    return any(
        (name, identifier) == (key.name, key.id) and verify(key.public, signature, point.text)
        for key in keys
        for name, identifier, signature in point.lines
    )


class Problem(NamedTuple):
    """One thing that is wrong, the record it names (or the first of several), a sentence."""

    what: str  # changed leaf rewritten missing moved inserted uncovered checkpoint signature trace
    seq: int | None
    kind: str
    message: str


class Findings:
    """Problems found so far: all are counted, the first `SHOWN` are kept."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.count = 0

    def add(self, what: str, seq: int | None, kind: str, message: str) -> None:
        """Take note of a problem."""
        self.count += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(what, seq, kind, message))

    def missing(self, places: Sequence[int]) -> None:
        """Take note of records that are not there, neighbours in one sentence."""
        for _, run in itertools.groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
            seqs = [seq for _, seq in run]
            which = f"s {seqs[0]} to {seqs[-1]} are" if len(seqs) > 1 else f" {seqs[0]} is"
            self.add("missing", seqs[0], "", f"Record{which} missing: removed after being written.")


class Row(NamedTuple):
    """One place of the ledger: what stands there (hash `actual`, if any), what it claims to be."""

    seq: int
    kind: str
    claims: int | None
    leaf: bytes
    actual: bytes | None


def make_row(seq: int, record: bytes, leaf: bytes) -> Row:
    """Read what a record says of itself and hash it."""
    try:
        value = json.loads(record)
        kind, claims = str(value["kind"]), int(value["seq"])
    except (ValueError, KeyError, TypeError, RecursionError):
        kind, claims = "", None
    return Row(seq, kind, claims, leaf, leaf_hash(record))


class Mark(NamedTuple):
    """A signed size and root, and the frontier that hashes to that root where it is known."""

    size: int
    root: bytes
    frontier: Frontier | None


def make_mark(point: Checkpoint, frontier: Frontier, found: Findings) -> Mark:
    """Make a mark of a checkpoint whose signature holds; reports a frontier that is not its."""
    if len(frontier) == point.size.bit_count() and frontier_root(frontier) == point.root:
        return Mark(point.size, point.root, frontier)
    message = f"The tree hashes stored with the checkpoint at size {point.size} are not its own."
    found.add("checkpoint", None, "", message)
    return Mark(point.size, point.root, None)


def audit(
    rows: Iterable[Row], marks: Sequence[Mark], saved: Checkpoint | None, found: Findings
) -> None:
    """Hold records, leaf hashes and signed roots against each other.

    Between two marks the records are checked on their own, because a mark's frontier is proven by
    its root: damage in one stretch does not hide the others. Memory is one stretch. Rows and
    marks come in ascending order; `saved` is a checkpoint kept elsewhere, its signature checked.
    """
    frontier: Frontier | None = []
    start, source = 0, iter(rows)
    row = next(source, None)
    size = marks[-1].size if marks else 0
    if saved is not None and saved.size > size:
        covers = f"a checkpoint saved elsewhere covers {saved.size} records, this ledger {size}"
        found.add("rollback", size, "", f"The ledger was rolled back: {covers}.")
    elif saved is not None:
        marks = sorted([*marks, Mark(saved.size, saved.root, None)], key=lambda mark: mark.size)
    for mark in marks:
        window = {}
        while row is not None and row.seq < mark.size:
            window[row.seq] = row
            row = next(source, None)
        frontier = _stretch(window, frontier, start, mark, found)
        start = mark.size
    while row is not None:
        message = f"Record {row.seq} ({row.kind}) is covered by no signed checkpoint: added later."
        found.add("uncovered", row.seq, row.kind, message)
        row = next(source, None)


def _stretch(
    window: dict[int, Row], frontier: Frontier | None, start: int, mark: Mark, found: Findings
) -> Frontier | None:
    """Check the records from `start` up to a mark; return the frontier to go on from."""
    places = range(start, mark.size)
    absent = [seq for seq in places if seq not in window]
    found.missing(absent)
    by_leaf, by_record, after = False, False, None
    if frontier is not None and not absent:
        after = _extend(frontier, start, (window[s].leaf for s in places))
        by_leaf = by_record = frontier_root(after) == mark.root
        if not by_leaf:
            actual = (window[s].actual or window[s].leaf for s in places)
            by_record = frontier_root(_extend(frontier, start, actual)) == mark.root
        if not by_leaf and not by_record:
            where = f"from record {start} to {mark.size - 1}" if places else f"before {start}"
            message = f"History {where} was rewritten: the checkpoint at {mark.size} does not match"
            found.add("rewritten", start, "", message + ", the one before does.")
    for row in window.values():
        name = f"ecord {row.seq} ({row.kind or 'unreadable'})"
        if row.actual not in (None, row.leaf):
            what = "leaf" if by_record and not by_leaf else "changed"
            message = f"The leaf hash of r{name}" if what == "leaf" else f"R{name}"
            found.add(what, row.seq, row.kind, f"{message} was changed after being written.")
        elif row.claims != row.seq:
            message = f"R{name} is out of place: it says that it is {row.claims}."
            found.add("moved", row.seq, row.kind, message)
    return after if mark.frontier is None else mark.frontier


def _extend(frontier: Frontier, size: int, leaves: Iterable[bytes]) -> list[bytes]:
    result = list(frontier)
    for count, leaf in enumerate(leaves, size):
        push(result, count, leaf)
    return result


def _align(records: Iterable[bytes], leaves: Sequence[bytes], found: Findings) -> Iterator[Row]:
    """Bring records and leaf hashes together where lines were removed, inserted or swapped."""
    place, total, skipped = 0, len(leaves), set[int]()
    for number, record in enumerate(records, 1):
        row = make_row(place, record, leaves[place] if place < total else b"")
        says = place if row.claims is None else row.claims
        genuine = 0 <= says < total and leaves[says] == row.actual
        if row.actual == row.leaf or (not genuine and says == place < total):
            yield row
            place += 1
        elif genuine and says > place:
            skipped.update(range(place, says))
            yield from (Row(s, "", s, leaves[s], None) for s in range(place, says))
            yield row._replace(seq=says, leaf=leaves[says])
            place = says + 1
        else:
            what = "moved" if genuine and says in skipped else "inserted"
            skipped.discard(says)
            message = f"Record {says} ({row.kind}) was {what}: line {number}."
            found.add(what, says, row.kind, message)
    found.missing(sorted(skipped) + list(range(place, total)))
    yield from (Row(s, "", s, leaves[s], None) for s in range(place, total))


def _older_marks(bundle: zipfile.ZipFile, keys: Sequence[Key], found: Findings) -> Iterator[Mark]:
    for line in bundle.read("checkpoints.jsonl").splitlines():
        entry = json.loads(line)
        point = parse_checkpoint(entry["note"])
        if is_signed(point, keys):
            yield make_mark(point, [bytes.fromhex(part) for part in entry["frontier"]], found)
        else:
            message = f"The signature of the checkpoint at size {point.size} does not hold."
            found.add("signature", None, "", message)


def verify_bundle(path: str, key: str | None, against: str | None, found: Findings) -> str:
    """Verify a bundle with a given key (or its own); return what was signed by whom.

    Raises:
        MalformedError, OSError, LookupError, zipfile.BadZipFile: It cannot be checked.
    """
    with zipfile.ZipFile(path) as bundle:
        keys = [parse_key(line) for line in bundle.read("keys.txt").decode().splitlines()]
        keys.insert(0, parse_key(key) if key else keys[0])
        newest = parse_checkpoint(bundle.read("checkpoint").decode())
        saved = parse_checkpoint(against) if against else None
        if saved is not None and not is_signed(saved, keys):
            raise MalformedError("the saved checkpoint is not signed by a key of this ledger")
        if not is_signed(newest, keys[:1]):
            message = f"The newest checkpoint is not signed by {keys[0]}."
            found.add("signature", None, "", message)
        leaves = [bytes.fromhex(line) for line in bundle.read("leaves.txt").decode().splitlines()]
        older = [m for m in _older_marks(bundle, keys, found) if m.size < newest.size]
        marks = [*older, Mark(newest.size, newest.root, None)]
        with bundle.open("records.jsonl") as lines:
            rows = _align((line.rstrip(b"\n") for line in lines), leaves, found)
            audit(rows, marks, saved, found)
    root = base64.b64encode(newest.root).decode()
    return f"{newest.size} records, root {root}, signed by {keys[0]}"


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Verify an exported Keelmark ledger offline.")
    parser.add_argument("bundle", help="the exported .zip")
    parser.add_argument("--key", help="the public key you were given: name+id+base64, or its file")
    parser.add_argument("--against", help="file with a signed checkpoint that you saved earlier")
    options = parser.parse_args()
    if sys.version_info < (3, 10):  # noqa: UP036 (it runs wherever an auditor runs it)
        parser.error("Python 3.10 or newer is needed.")
    key, found = options.key, Findings()
    try:
        key = Path(key).read_text("utf-8") if key and Path(key).is_file() else key
        saved = Path(options.against).read_text("utf-8") if options.against else None
        signed = verify_bundle(options.bundle, key, saved, found)
    except (OSError, ValueError, LookupError, TypeError, zipfile.BadZipFile) as error:
        sys.stdout.write(f"Could not check {options.bundle}: {str(error).strip('.')}.\n")
        return 2
    sys.stdout.writelines(problem.message + "\n" for problem in found.problems)
    if found.count:
        sys.stdout.write(f"The ledger does NOT verify: {found.count} problems.\n")
        return 1
    trust = "" if key else " (the key inside the bundle: compare it with the one you were given)"
    sys.stdout.write(f"The ledger verifies: {signed}{trust}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
