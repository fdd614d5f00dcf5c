"""Archives and compressed streams: opened in memory, never to disk, each member examined.

Read as loaders read them, not as the specification says: a wrong checksum or a set encryption bit
stops no loader of models, so it stops nothing here; but it is reported.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import READ_CAP, Check, File, ReadLimitError, Result, Rule
from keelmark.vet.sniff import has_zip_behind, is_container, is_tar, is_zip
from keelmark.vet.unpack import Stream, compressed_kind, inflate, tar_members, unpack

_LARGE = READ_CAP  # a larger member is read where it lies, and only where checks look
MAX_MEMBERS = 10_000
_PIECE, _MOST_BEHIND = 64 * 1024, 16 * 1024 * 1024
_TAGS = ("owasp:llm03",)
_FETCH = "Do not use this archive; ask its publisher for a clean one."
_TORCH_RAW = re.compile(
    r"((data|constants|traced_inputs|bytecode)/\d+|version|byteorder|archive_(format|version)|"
    r"\.data/(serialization_id|version|python_version|extern_modules|\d+\.storage)|"
    r"\.format_version|\.storage_alignment|"
    r"data/(weights/weight_\d+|constants/(tensor_|opaque_obj_|custom_obj_)?\w*\d+))\Z"
)
_TORCH_ROOTS = re.compile(
    r"(.*/)?(data\.pkl|constants\.pkl|archive_format|\.data/extern_modules)\Z"
)
_CODE = re.compile(r"code/.*\.py\Z")

BOMB = Rule(
    "archive.bomb",
    "Unpacks to far more than it is",
    Severity.HIGH,
    "Unpacking exhausts memory or disk.",
    _FETCH,
    ("owasp:llm10", "cwe:CWE-409"),
)
TRAVERSAL = Rule(
    "archive.traversal",
    "Member that leaves the folder",
    Severity.HIGH,
    "Unpacking it overwrites files elsewhere.",
    _FETCH,
    (*_TAGS, "cwe:CWE-22"),
)
MISMATCH = Rule(
    "archive.mismatch",
    "Two tables of contents that differ",
    Severity.HIGH,
    "A check and a loader may each follow another one.",
    _FETCH,
    (*_TAGS, "cve:CVE-2025-1944"),
)
FLAGS = Rule(
    "archive.flags",
    "Flags or checksums that lie",
    Severity.HIGH,
    "They make checks give up on a member that loaders still read.",
    _FETCH,
    (*_TAGS, "cve:CVE-2025-1945", "cve:CVE-2025-10156"),
)
HIDDEN = Rule(
    "archive.hidden_bytes",
    "Bytes that belong to no member",
    Severity.MEDIUM,
    "They may be a second file for a loader that reads from the start.",
    _FETCH,
    _TAGS,
)
LINK = Rule(
    "archive.link",
    "Link or device in an archive",
    Severity.HIGH,
    "Unpacking it reaches files outside the archive.",
    _FETCH,
    (*_TAGS, "cwe:CWE-59"),
)


def _run(file: File) -> Result:
    if is_tar(file):
        return _tar(file)
    if is_zip(file):
        return _zip(file)
    kind = compressed_kind(file)
    unpacked = unpack(kind, file)
    if unpacked.bomb:
        return Result((_bomb(file, kind),), f"the {kind} stream unpacks to more than is allowed")
    packed = {".gz", ".bz2", ".xz", ".lzma"}
    name = file.name.removesuffix(file.suffix) if file.suffix in packed else kind
    return Result((), unpacked.problem, (file.member(name, unpacked.data),))


def _bomb(file: File, where: str) -> ArtefactFinding:
    return BOMB.at(file, where, "It unpacks to more than the limits allow, or a thousandfold.")


def _zip(file: File) -> Result:
    try:
        archive = zipfile.ZipFile(Stream(file))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        return Result((), f"the ZIP directory cannot be read ({error})")
    if len(entries) > MAX_MEMBERS:
        return Result((), f"the archive has more than {MAX_MEMBERS} members")
    findings: list[ArtefactFinding] = []
    reasons: list[str] = []
    members: list[File] = []
    roots = _torch_roots(entry.filename for entry in entries)
    findings += _twice(file, [entry.filename for entry in entries])
    for entry in entries:
        if entry.filename.endswith("/") and not entry.file_size:
            continue
        findings += _directory_findings(file, entry)
        raw = any(_is_raw(entry.filename, prefix) for prefix in roots)
        reason = _extract(file, entry, (findings, members), raw=raw)
        if members and any(_is_script(entry.filename, prefix) for prefix in roots):
            members[-1].facts["torchscript"] = True
        reasons += [reason] if reason else []
    for where, message in _unclaimed(file, archive):
        findings.append(HIDDEN.at(file, where, message))
        reasons.append(message.rstrip("."))
    return Result(tuple(findings), "; ".join(dict.fromkeys(reasons[:3])), members)


def _unclaimed(file: File, archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the stretches of an archive that no member and no table of contents claims."""
    at = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset > at and (at or not has_zip_behind(file)):
            yield f"offset {at}", f"{entry.header_offset - at} bytes belong to no member."
        sizes = struct.unpack("<HH", file.read(entry.header_offset + 26, 4).ljust(4, b"\0"))
        at = max(at, entry.header_offset + 30 + sum(sizes) + entry.compress_size)
        if entry.flag_bits & 0x8:  # sizes and checksum follow the data, with or without a mark
            follows = file.read(at, 24)
            wide = 24 if entry.file_size >= 1 << 32 or follows[20:22] == b"PK" else 16
            at += wide if follows.startswith(b"PK\x07\x08") else wide - 4
    if archive.start_dir > at:
        yield f"offset {at}", f"{archive.start_dir - at} bytes belong to no member."
    if archive.comment:
        yield "comment", f"The archive carries a comment of {len(archive.comment)} bytes."


def _torch_roots(names: Iterable[str]) -> set[str]:
    """Return the folders in which torch keeps one model each."""
    return {match[1] or "" for match in map(_TORCH_ROOTS.match, names) if match}


def _twice(file: File, names: list[str]) -> Iterator[ArtefactFinding]:
    """Yield the names that stand for more than one member."""
    for name in sorted({name for name, count in Counter(names).items() if count > 1})[:20]:
        message = f"Two members are called {name!r}: loaders differ in which they take."
        yield MISMATCH.at(file, name, message)


def _is_script(name: str, prefix: str) -> bool:
    """Whether torch takes a member for TorchScript, which is not Python."""
    return name.startswith(prefix) and bool(_CODE.match(name[len(prefix) :]))


def _is_raw(name: str, prefix: str) -> bool:
    """Whether torch takes a member for raw numbers (or a short note about them)."""
    return name.startswith(prefix) and bool(_TORCH_RAW.match(name[len(prefix) :]))


def _directory_findings(file: File, entry: zipfile.ZipInfo) -> Iterator[ArtefactFinding]:
    name = entry.orig_filename
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or name[1:2] == ":":
        yield TRAVERSAL.at(file, name, f"The member {name!r} leads out of the folder.")
    if entry.external_attr >> 28 == 0o12:
        yield LINK.at(file, name, "The member is a symbolic link.")
    if entry.flag_bits & 0x1:
        yield FLAGS.at(file, name, "The member is marked as encrypted.")


def _extract(
    file: File,
    entry: zipfile.ZipInfo,
    into: tuple[list[ArtefactFinding], list[File]],
    *,
    raw: bool,
) -> str:
    """Read one member by its local header; return why it was not examined, or ""."""
    findings, members = into
    name = entry.orig_filename
    header = file.read(entry.header_offset, 30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        findings.append(MISMATCH.at(file, name, "There is no local header where it should be."))
        return f"the member {name!r} cannot be found"
    method, name_size, extra_size = struct.unpack("<8xH16xHH", header)
    local = file.read(entry.header_offset + 30, name_size)
    if local.rstrip(b"/") not in {
        name.encode(c, "replace").rstrip(b"/") for c in ("utf-8", "cp437")
    }:
        message = f"The directory says {name!r}, the member itself {local[:80]!r}."
        findings.append(MISMATCH.at(file, name, message))
    if method != entry.compress_type:
        findings.append(MISMATCH.at(file, name, "The two say different kinds of compression."))
    start = entry.header_offset + 30 + name_size + extra_size
    if raw and method == zipfile.ZIP_STORED:
        return _examine_raw(file, start, entry, members)
    stored = method == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
    if stored and entry.file_size > _LARGE and start + entry.file_size <= file.size:
        members.append(file.part(name, start, entry.file_size))
        return ""
    unpacked = inflate(file, start, entry.compress_size, entry.file_size, method)
    if unpacked.bomb:
        findings.append(_bomb(file, name))
        return f"the member {name!r} unpacks to more than is allowed"
    if unpacked.problem:
        return f"the member {name!r}: {unpacked.problem}"
    if zlib.crc32(unpacked.data) != entry.CRC:
        findings.append(FLAGS.at(file, name, "The checksum does not fit the content."))
    members.append(file.member(name, unpacked.data, raw=raw))
    return ""


def _examine_raw(file: File, start: int, entry: zipfile.ZipInfo, members: list[File]) -> str:
    """Raw numbers need no reading; but a pickle put in their place is examined."""
    if start + entry.file_size > file.size:
        return f"the member {entry.filename!r} ends outside the file"
    head = file.read(start, min(entry.file_size, 4))
    last = file.read(start + entry.file_size - 1, 1) if entry.file_size else b""
    pickled = head[:1] == b"\x80" and head[1:2] <= b"\x05" and last == b"."
    if pickled or head == b"PK\x03\x04":
        members.append(file.member(entry.filename, file.read(start, entry.file_size), raw=True))
    return ""


def _tar(file: File) -> Result:
    findings: list[ArtefactFinding] = []
    members: list[File] = []
    names: list[str] = []
    problem, end = "", 0
    try:
        for name, kind, data, until in tar_members(file, MAX_MEMBERS):
            end = max(end, until)
            names += [name] if kind == "file" else []
            if name.startswith("/") or ".." in name.split("/"):
                message = f"The member {name!r} leads out of the folder."
                findings.append(TRAVERSAL.at(file, name, message))
            if kind == "link":
                findings.append(LINK.at(file, name, "The member is a link or a device."))
            elif kind == "file":
                members.append(file.member(name, data))
    except ReadLimitError:
        raise
    except ValueError as error:
        problem = str(error)
    findings += _twice(file, names)
    if behind := _behind(file, end):
        findings.append(HIDDEN.at(file, f"offset {end}", behind))
        problem = problem or behind.rstrip(".")
        if is_zip(file):
            second = _zip(file)
            findings += second.findings
            members += second.members
    return Result(tuple(findings), problem, members)


def _behind(file: File, end: int) -> str:
    """Say what follows the last member of a tar archive, "" when it is only zeros."""
    left = file.size - end
    for at in range(end, min(file.size, end + _MOST_BEHIND), _PIECE):
        if file.read(at, _PIECE).strip(b"\0"):
            return f"{left} bytes follow the last member."
    return f"{left} bytes follow the last member." if left > _MOST_BEHIND else ""


CHECK = Check(
    title="Archives and compressed streams",
    version="2",
    tags=(*_TAGS, "cve:CVE-2025-1944", "cve:CVE-2025-1945", "cve:CVE-2025-10156"),
    rules=(BOMB, TRAVERSAL, MISMATCH, FLAGS, HIDDEN, LINK),
    examples=(
        "zip-bomb",
        "zip-traversal",
        "zip-cve-2025-1944-name",
        "zip-cve-2025-1945-flags",
        "zip-prefix",
        "tar-link",
    ),
    claims=is_container,
    run=_run,
)
