"""ZIP and tar archives as the loaders read them, and compressed streams."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import warnings
import zipfile

from corpus.case import benign, hostile
from corpus.families.pickles import CALL, INNER, glob


def torch_pickle() -> bytes:
    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = (
        b"(" + text("storage") + glob("torch.FloatStorage") + text("0") + text("cpu") + b"K\x04tQ"
    )
    tensor = (
        glob("torch._utils._rebuild_tensor_v2") + b"(" + storage + b"K\0K\2K\2\x86K\2K\1\x86\x89"
    )
    return (
        b"\x80\x02" + glob("collections.OrderedDict") + b")R" + text("weight")
        + tensor + glob("collections.OrderedDict") + b")RtRs."
    )  # fmt: skip


def make_zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def torch_zip(payload: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    return make_zip(
        {
            "archive/data.pkl": payload,
            "archive/byteorder": b"little",
            "archive/data/0": struct.pack("<4f", 1, 2, 3, 4),
            "archive/version": b"3\n",
        },
        method,
    )


def patched(data: bytes, *changes: tuple[bytes, int, bytes]) -> bytes:
    """Overwrite bytes at an offset from the first place where a mark stands."""
    out = bytearray(data)
    for mark, offset, new in changes:
        at = data.index(mark) + offset
        out[at : at + len(new)] = new
    return bytes(out)


def streamed_zip(name: str, data: bytes) -> bytes:
    """A ZIP written to a pipe: the sizes follow the data."""

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, piece: bytes) -> int:
            out.write(piece)
            return len(piece)

    out = io.BytesIO()
    with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def with_gap(data: bytes, gap: bytes) -> bytes:
    """Put bytes between the last member and the directory, and mend the directory's offset."""
    at = data.index(CENTRAL)
    end = data.index(b"PK\x05\x06")
    moved = data[end : end + 16] + struct.pack("<I", at + len(gap)) + data[end + 20 :]
    return data[:at] + gap + data[at:end] + moved


def with_twice(data: bytes, other: bytes) -> bytes:
    """Add a second `data.pkl`."""
    out = io.BytesIO(data)
    with warnings.catch_warnings(), zipfile.ZipFile(out, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(zipfile.ZipInfo("archive/data.pkl", (1980, 1, 1, 0, 0, 0)), other)
    return out.getvalue()


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
EVIL_ZIP = torch_zip(INNER)
hostile("zip-empty-name", CALL, {"m.zip": make_zip({"": INNER})})
benign("zip-empty-name-twin", {"m.zip": make_zip({"": b"text"})}, "incomplete")
benign("zip-streamed-twin", {"m.zip": streamed_zip("a.txt", b"text" * 9)})
hostile(
    "zip-gap",
    "archive.hidden_bytes",
    {"m.pt": with_gap(torch_zip(torch_pickle()), b"PAYLOAD" * 9)},
    "incomplete",
)
hostile(
    "zip-comment",
    "archive.hidden_bytes",
    {"m.pt": torch_zip(torch_pickle())[:-2] + b"\x07\x00PAYLOAD"},
    "incomplete",
)
benign("torch-zip-twin", {"pytorch_model.bin": torch_zip(torch_pickle())})
benign("torch-zip-deflated-twin", {"model.pt": torch_zip(torch_pickle(), zipfile.ZIP_DEFLATED)})
hostile("torch-zip-os-system", CALL, {"pytorch_model.bin": EVIL_ZIP})
hostile(
    "torch-zip-renamed-member",
    CALL,
    {"model.pt": make_zip({"archive/readme.txt": INNER, "archive/version": b"3\n"})},
)
hostile(
    "torch-zip-storage-pickle",
    CALL,
    {"m.pt": make_zip({"a/data.pkl": torch_pickle(), "a/data/0": INNER})},
)
hostile(
    "zip-cve-2025-10156-crc",
    f"{CALL} archive.flags",
    {"m.pt": patched(EVIL_ZIP, (LOCAL, 14, b"\0\1\2\3"), (CENTRAL, 16, b"\0\1\2\3"))},
)
hostile(
    "zip-cve-2025-1945-flags",
    f"{CALL} archive.flags",
    {"m.pt": patched(EVIL_ZIP, (LOCAL, 6, b"\1"), (CENTRAL, 8, b"\1"))},
)
hostile(
    "zip-cve-2025-1944-name",
    f"{CALL} archive.mismatch",
    {"m.pt": patched(EVIL_ZIP, (LOCAL, 30, b"ARCHIVE"))},
)
hostile(
    "zip-prefix",
    "archive.hidden_bytes",
    {"m.pt": b"\0" * 64 + torch_zip(torch_pickle())},
    "incomplete",
)
hostile("zip-behind-pickle", CALL, {"m.pt": INNER + torch_zip(torch_pickle())})
hostile("zip-traversal", "archive.traversal", {"m.zip": make_zip({"../../etc/x.txt": b"x"})})
hostile(
    "zip-bomb",
    "archive.bomb",
    {"m.zip": make_zip({"zeros.txt": bytes(64 << 20)}, zipfile.ZIP_DEFLATED)},
)
hostile(
    "gzip-bomb",
    "archive.bomb",
    {"m.gz": gzip.compress(gzip.compress(bytes(64 << 20), mtime=0), mtime=0)},
)
hostile("zip-nested", CALL, {"m.zip": make_zip({"a.zip": make_zip({"b.zip": EVIL_ZIP})})})
_DEEP = b"plain text"
for _ in range(8):
    _DEEP = make_zip({"a.zip": _DEEP})
hostile("zip-too-deep", "", {"m.zip": _DEEP}, "incomplete")
benign(
    "zip-of-texts-twin",
    {"m.zip": make_zip({"a.txt": b"text", "b/c.json": b"{}"}, zipfile.ZIP_DEFLATED)},
)
benign("zip-lzma-twin", {"m.zip": make_zip({"a.txt": b"text"}, zipfile.ZIP_LZMA)})
hostile("zip-lzma", CALL, {"m.pt": torch_zip(INNER, zipfile.ZIP_LZMA)})
hostile("zip-bzip2", CALL, {"m.pt": torch_zip(INNER, zipfile.ZIP_BZIP2)})
hostile(
    "zip-unknown-method",
    "",
    {"m.zip": patched(make_zip({"a": b"text"}), (LOCAL, 8, b"\x5d"), (CENTRAL, 10, b"\x5d"))},
    "incomplete",
)
hostile(
    "zip-same-name-twice",
    f"{CALL} archive.mismatch",
    {"m.pt": with_twice(torch_zip(torch_pickle()), INNER)},
)


def make_tar(members: dict[str, bytes], link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return out.getvalue()


hostile("tar-link", "archive.link", {"m.tar": make_tar({}, "/etc/passwd")})
hostile("tar-pickle", CALL, {"m.tar": make_tar({"storages": INNER})})
hostile("tar-gz-pickle", CALL, {"m.tar.gz": gzip.compress(make_tar({"x": INNER}), mtime=0)})
hostile(
    "tar-zip-polyglot",
    f"{CALL} archive.hidden_bytes",
    {"m.nemo": make_tar({"a.txt": b"text"}) + EVIL_ZIP},
)
benign("tar-with-zip-twin", {"m.nemo": make_tar({"w.ckpt": torch_zip(torch_pickle())})})
benign("tar-twin", {"m.tar": make_tar({"a.txt": b"text"})})
