"""What a file is, by its content; the name only adds suspicion."""

from __future__ import annotations

import io
import pickletools
import re

from keelmark.vet.contract import File
from keelmark.vet.unpack import compressed_kind

_MAGIC = (
    (b"7z\xbc\xaf\x27\x1c", "7-Zip archives"),
    (b"\x28\xb5\x2f\xfd", "Zstandard streams"),
    (b"\x04\x22\x4d\x18", "LZ4 streams"),
    (b"PAR1", "Parquet files"),
    (b"%PDF", "PDF files"),
    (b"ARROW1", "Arrow files"),
    (b"Rar!", "RAR archives"),
    (b"\xff\xd8\xff", "JPEG images"),
    (b"GIF8", "GIF images"),
    (b"RIFF", "RIFF media"),
)
_NAMES = {
    ".ort": "ONNX Runtime's own format",
    ".t7": "Torch 7 files",
    ".rds": "R objects",
    ".rdata": "R objects",
    ".params": "MXNet weights",
    ".dnn": "CNTK models",
    ".cntk": "CNTK models",
    ".pdmodel": "Paddle models",
    ".pdiparams": "Paddle weights",
    ".cbm": "CatBoost models",
    ".ubj": "XGBoost models in UBJSON",
    ".bst": "XGBoost models in their old form",
    ".rknn": "Rockchip models",
    ".hef": "Hailo models",
    ".om": "Ascend models",
    ".mlmodelc": "compiled Core ML models",
    ".axmodel": "Axera models",
    ".ncnn": "ncnn models",
    ".mnn": "MNN models",
    ".keras": "Keras models",
    ".model": "SentencePiece models",
}

_GLOBALS = {"GLOBAL", "INST", "STACK_GLOBAL"}
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}  # not enough alone: many binary formats begin like one
_CALLS = {"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
_IDENTIFIER = re.compile(r"[^\W\d][\w.]* [^\W\d][\w.]*\Z")
_PICKLE_NAMES = {".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt"}
_MAX_OPCODES = 20_000


POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that was left at the server."""


def named(file: File, *suffixes: str) -> bool:
    """Whether the name says that a file is of a format; a pointer to a file is of none."""
    return file.suffix in suffixes and not file.head.startswith(POINTER)


def is_text(data: bytes, *, whole: bool) -> bool:
    """Whether bytes are UTF-8 text without control characters; `whole` if nothing follows."""
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return not whole and error.start >= len(data) - 3
    return True


def is_zip(file: File) -> bool:
    """Whether a ZIP reader would take the file: magic at the start, or a directory at the end."""
    if file.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return True
    if "zip" not in file.facts:
        tail = file.read(max(0, file.size - 65_557), 65_557)
        at = tail.rfind(b"PK\x05\x06")
        file.facts["zip"] = at >= 0 and len(tail) - at >= 22
    return bool(file.facts["zip"])


def has_zip_behind(file: File) -> bool:
    """Whether the format has its archive behind other data: TensorFlow Lite, llamafile."""
    return file.head[4:8] == b"TFL3" or file.head.startswith(b"MZqFpD")


def is_tar(file: File) -> bool:
    """Whether a tar reader would take the file: the mark, or a first header whose sum is right."""
    head = file.head[:512]
    if len(head) < 512 or head[257:262] == b"ustar":
        return len(head) == 512
    try:
        said = int(head[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return said == sum(head[:148]) + 8 * 32 + sum(head[156:])


def is_container(file: File) -> bool:
    """Whether the file is an archive or a compressed stream."""
    return is_zip(file) or is_tar(file) or bool(compressed_kind(file))


def looks_like_pickle(file: File) -> bool:
    """Whether an unpickler would do anything with the file.

    True when the opcodes from the start lead to an import followed by a call, or to a proper
    end; text that happens to begin with opcodes does neither.
    """
    if "pickle" not in file.facts:
        file.facts["pickle"] = _walk(file)
    return bool(file.facts["pickle"])


def _walk(file: File) -> bool:
    head = file.head
    if not head:
        return False
    binary = len(head) > 1 and head[0] == 0x80 and head[1] <= 5
    if (binary or file.suffix in _PICKLE_NAMES) and not _is_structured(file):
        return True
    state, last = _Walk(), 0
    stream = io.BytesIO(head)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            last = stream.tell()
            answer = state.answer(opcode, argument, head)
            if answer is not None:
                return answer
    except (ValueError, IndexError, OverflowError):
        # The rest cannot be read. A loader gets no further than here, unless only the head ends
        # here: in the middle of a long literal, for example.
        if file.size > len(head) and _may_go_on(head, last):
            return True
    return state.imported and not is_text(head, whole=False)


def _is_structured(file: File) -> bool:
    """Whether the content says that a file is of another format."""
    head = file.head
    if head.startswith((b"GGUF", b"PK")) or head[8:9] == b"{" or is_container(file):
        return True
    return head.startswith(tuple(magic for magic, _ in _MAGIC))


def _may_go_on(head: bytes, last: int) -> bool:
    """Whether the opcode after a position is one whose literal reaches beyond the head."""
    if head[last : last + 1] in (b"S", b"V", b"c", b"i", b"P", b"I", b"L", b"F"):
        line = head[last + 1 :]
        quoted = head[last : last + 1] != b"S" or line[:1] in (b"'", b'"')
        return b"\n" not in line and quoted and len(line) > 4096
    widths = {b"X": 4, b"T": 4, b"B": 4, b"\x8d": 8, b"\x8e": 8, b"\x96": 8}
    width = widths.get(head[last : last + 1], 0)
    size = int.from_bytes(head[last + 1 : last + 1 + width], "little")
    return bool(width) and len(head) < last + 1 + width + size < 1 << 40


class _Walk:
    """How deep an unpickler's stack is; it stops where that would run dry."""

    def __init__(self) -> None:
        self.imported = self.extended = False
        self.count = 0
        self._depth = 0
        self._marks: list[int] = []

    def answer(self, opcode: pickletools.OpcodeInfo, argument: object, head: bytes) -> bool | None:
        """Follow one opcode; return whether it is a pickle as soon as that is clear."""
        if opcode.name in {"GLOBAL", "INST"} and not _IDENTIFIER.match(str(argument)):
            return False
        if not self.step(opcode):
            return self.imported and not is_text(head, whole=False)
        if (self.imported or self.extended) and opcode.name in _CALLS:
            return True
        if opcode.name == "STOP":
            return (
                self.imported
                or self.extended
                or (self.count > 2 and not is_text(head, whole=False))
            )
        return True if self.count > _MAX_OPCODES else None

    def step(self, opcode: pickletools.OpcodeInfo) -> bool:
        """Follow one opcode; return whether there was enough on the stack for it."""
        self.count += 1
        before = opcode.stack_before
        if pickletools.markobject in before:
            if not self._marks:
                return False
            self._depth = self._marks.pop()
            before = before[: before.index(pickletools.markobject)]
        floor = self._marks[-1] if self._marks else 0
        if self._depth - len(before) < floor:
            return False
        self._depth += len(opcode.stack_after) - len(before)
        if opcode.name == "MARK":
            self._depth -= 1
            self._marks.append(self._depth)
        self.imported = self.imported or opcode.name in _GLOBALS
        self.extended = self.extended or opcode.name in _EXTENSIONS
        return True


UNKNOWN = "no check knows this format"
"""What is said of a file whose bytes tell nothing at all."""


def unknown_reason(file: File) -> str:
    """Why no check knows a file: the sentence that goes into the report."""
    if not file.size:
        return "the file is empty, so there is nothing that could be examined"
    for magic, what in _MAGIC:
        if file.head.startswith(magic):
            return f"no check reads {what} yet"
    if file.suffix in _NAMES:
        return f"no check reads {_NAMES[file.suffix]} yet"
    return "no check reads text of this kind" if is_text(file.head, whole=False) else UNKNOWN
