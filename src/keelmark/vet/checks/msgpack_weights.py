"""MessagePack, as Flax and spaCy write it: walked item by item, arrays by their heads."""

from __future__ import annotations

import re

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.msgpack import Item, MessagePackError, Walk
from keelmark.vet.payload import executable_kind, find_payload, is_pickle_start
from keelmark.vet.sniff import looks_like_pickle, named

_BARE = {"", ".bin"}
_COLLECTIONS = {*range(0x81, 0x90), *range(0x91, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF}
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_DTYPE = re.compile(
    r"(?:float(?:16|32|64)|bfloat16|u?int(?:2|4|8|16|32|64)|bool|complex(?:64|128)|float8_\w+|"
    r"key<\w+>)\Z"
)
_TAGS = ("owasp:llm03",)
_FETCH = "Fetch the file again from its publisher and compare the digest."

OBJECT = Rule(
    "msgpack_weights.object",
    "Something that is no array of numbers",
    Severity.HIGH,
    "A pickle, a program or an array of objects in place of numbers runs code where it is opened.",
    "Do not load this file; ask its publisher for a clean one.",
    (*_TAGS, "cwe:CWE-502"),
)
CODE = Rule(
    "msgpack_weights.code",
    "Code in a name",
    Severity.HIGH,
    "Names are words; code there is meant for whoever shows or evaluates them.",
    "Do not load this file; ask its publisher for a clean one.",
    (*_TAGS, "cwe:CWE-94"),
)
MALFORMED = Rule(
    "msgpack_weights.malformed",
    "Damaged MessagePack",
    Severity.HIGH,
    "It is cut off, has bytes behind its end, or announces more than it holds.",
    _FETCH,
    (*_TAGS, "cwe:CWE-20"),
)


def _claims(file: File) -> bool:
    """By name; without a telling one only what is a map or a list from the first byte to the last.

    spaCy and thinc write such files without an ending.
    """
    if named(file, ".msgpack", ".flax"):
        return True
    if file.suffix not in _BARE or not file.head[:1] or file.head[0] not in _COLLECTIONS:
        return False
    walk = Walk(file)
    try:
        for _ in walk.items():
            pass
    except MessagePackError:
        return False
    return walk.at == file.size


def _run(file: File) -> Result:
    findings: list[ArtefactFinding] = []
    reasons: dict[str, None] = {}
    walk = Walk(file)
    try:
        for item in walk.items():
            _item(file, item, findings, reasons)
        if walk.at != file.size:
            raise MessagePackError(f"{file.size - walk.at} bytes follow it")  # noqa: TRY301
    except MessagePackError as error:
        findings.append(MALFORMED.at(file, "file", f"It is not sound: {error}."))
        reasons["the MessagePack is damaged"] = None
    return Result(tuple(findings[:200]), "; ".join(list(reasons)[:3]))


def _item(
    file: File, item: Item, findings: list[ArtefactFinding], reasons: dict[str, None]
) -> None:
    where = f"offset {item.start}"
    if item.kind == "extension":
        if item.type == _ARRAY:
            _array(file, item, findings, reasons)
        elif item.type not in (_COMPLEX, _SCALAR):
            reasons[f"its extension type {item.type} is not known"] = None
        return
    begins = file.read(item.start, min(item.size, 4096))
    kind = executable_kind(begins) or ("a pickle" if _is_pickle(file, item, begins) else "")
    if kind and item.size > 4:
        findings.append(OBJECT.at(file, where, f"It begins like {kind}."))
    elif payload := find_payload(begins.decode(errors="replace")):
        message = f"It contains {payload.what}."
        findings.append(CODE.at(file, where, message, evidence=payload.shown))


def _is_pickle(file: File, item: Item, begins: bytes) -> bool:
    """Whether bytes are a pickle; msgpack-numpy unpickles what a map with the kind "O" holds.

    Without a binary head, an import takes a new line, or the code of STACK_GLOBAL.
    """
    if is_pickle_start(begins):
        return True
    may = len(begins) < item.size or b"\n" in begins or b"\x93" in begins
    return may and looks_like_pickle(file.part("item", item.start, item.size))


def _array(
    file: File, item: Item, findings: list[ArtefactFinding], reasons: dict[str, None]
) -> None:
    """Shape, type and bytes, again as MessagePack."""
    where = f"offset {item.start}"
    walk = Walk(file, item.start, item.start + item.size)
    parts = list(walk.items())
    if len(parts) != 2 or walk.at != item.start + item.size:
        reasons["an array in it is not as Flax writes it"] = None
        return
    dtype = file.read(parts[0].start, min(parts[0].size, 80)).decode(errors="replace")
    if not _DTYPE.match(dtype):
        message = f"There is an array of the type {dtype!r}."
        findings.append(OBJECT.at(file, where, message, evidence=dtype))
    begins = file.read(parts[1].start, min(parts[1].size, 64))
    if kind := executable_kind(begins):
        findings.append(OBJECT.at(file, where, f"An array begins like {kind}."))


CHECK = Check(
    title="MessagePack: weights of Flax, models of spaCy",
    version="1",
    tags=_TAGS,
    rules=(OBJECT, CODE, MALFORMED),
    examples=("msgpack-pickle", "msgpack-object-array", "msgpack-code", "msgpack-bomb"),
    claims=_claims,
    run=_run,
)
