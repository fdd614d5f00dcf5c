"""Bytes that stand between or behind pickle streams: joblib's arrays, torch's old storages.

Sources: `joblib/numpy_pickle.py` (0.10 to 1.6), `torch/serialization.py` (`_legacy_load`).
"""

from __future__ import annotations

import math
import re
import struct

from keelmark.vet.pickle_source import BrokenError, Source
from keelmark.vet.pickle_values import Made, Name, Pairs

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_WRAPPER = re.compile(r"(sklearn\.externals\.)?joblib\.numpy_pickle\.NumpyArrayWrapper\Z")
_WIDTHS = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1,
    "Byte": 1, "Bool": 1, "ComplexFloat": 8, "ComplexDouble": 16, "Untyped": 1, "QInt8": 1,
    "QUInt8": 1, "QInt32": 4, "QUInt4x2": 1, "QUInt2x4": 1,
}  # fmt: skip


def is_array(made: Made) -> bool:
    """Whether an object makes joblib read an array from behind it."""
    return isinstance(made.callee, Name) and bool(_WRAPPER.match(made.callee.full))


def array_size(made: Made) -> tuple[int | None, bool]:
    """Return the bytes of joblib's array, None when it is pickled, and whether it is aligned.

    Raises:
        BrokenError: Its size cannot be told.
    """
    state = made.state
    if not isinstance(state, Pairs):
        raise BrokenError("an array in it has no size")
    width = _item_size(state.get("dtype"))
    if width is None:
        return None, False
    shape = state.get("shape")
    sizes = [_integer(item) for item in shape] if isinstance(shape, tuple) else [-1]
    if min(sizes, default=0) < 0:
        raise BrokenError("an array in it has no size")
    return math.prod(sizes) * width, state.get("numpy_array_alignment_bytes") is not None


def _integer(value: object) -> int:
    """Read a size; joblib may have written it as a NumPy scalar."""
    if isinstance(value, int):
        return value
    if isinstance(value, Made) and isinstance(value.args, tuple) and len(value.args) == 2:
        data = value.args[1]
        if isinstance(data, str):
            data = data.encode("latin-1", "replace")
        return int.from_bytes(data, "little") if isinstance(data, bytes) and data else -1
    return -1


def _item_size(kind: object) -> int | None:
    """Return the bytes of one element, None when it holds Python objects."""
    if not isinstance(kind, Made) or not isinstance(kind.args, tuple) or not kind.args:
        raise BrokenError("an array in it is of no known type")
    code = kind.args[0]
    match = re.fullmatch(r"[<>|=]?([?bBhHiIlLqQefdgFDuUSaVOcmM])(\d*).*", str(code))
    if not match or not isinstance(code, str):
        raise BrokenError("an array in it is of no known type")
    state = kind.state if isinstance(kind.state, tuple) else ()
    if match[1] == "O" or _holds_objects(state):
        return None
    size = state[5] if len(state) > 5 else -1
    if isinstance(size, int) and size > 0:
        return size
    if not match[2]:
        raise BrokenError("an array in it is of no known type")
    return int(match[2]) * (4 if match[1] == "U" else 1)


def _holds_objects(state: tuple[object, ...]) -> bool:
    """Whether a structured type has a field of Python objects; unsure counts as no field."""
    parts: list[object] = []
    if len(state) > 4 and isinstance(state[4], Pairs):
        parts += [field[0] for _, field in state[4] if isinstance(field, tuple) and field]
    if len(state) > 2 and isinstance(state[2], tuple):
        parts += state[2][:1]
    return any(isinstance(part, Made) and _item_size(part) is None for part in parts)


def skip_array(source: Source, size: int, *, aligned: bool) -> None:
    """Pass over the bytes of an array.

    Raises:
        BrokenError: The file ends before.
    """
    end = source.at + size
    if aligned:
        end += 1 + source.take(1)[0]
    if end > source.size:
        raise BrokenError("an array in it is longer than the file")
    source.at = end


def skip_storages(source: Source, keys: object, storages: dict[str, int]) -> None:
    """Pass over the storages behind the five streams of torch's old format.

    Args:
        source: Where the first begins.
        keys: What the fifth stream left: the order of the storages.
        storages: Bytes per element of each, by key.

    Raises:
        BrokenError: They do not fill the file as they should.
    """
    for key in keys if isinstance(keys, list) else []:
        (count,) = struct.unpack("<q", source.take(8))
        end = source.at + count * storages.get(str(key), 0)
        if count < 0 or end > source.size or str(key) not in storages:
            raise BrokenError("a storage in it is longer than the file")
        source.at = end


def storage_widths(persistent: list[object]) -> dict[str, int]:
    """Return the bytes per element of each storage that a stream of torch refers to."""
    widths: dict[str, int] = {}
    for key in persistent:
        if isinstance(key, tuple) and len(key) >= 3 and key[0] == "storage":
            width = _storage_width(key[1])
            if width:
                widths[str(key[2])] = width
    return widths


def is_storage(key: object) -> bool:
    """Whether a persistent id is how torch refers to a tensor's bytes or a module's source."""
    if not isinstance(key, tuple) or not key:
        return False
    if key[0] == "module":
        return len(key) >= 4
    return key[0] == "storage" and len(key) >= 5 and _storage_width(key[1]) > 0


def _storage_width(kind: object) -> int:
    if not isinstance(kind, Name) or not kind.module.startswith("torch"):
        return 0
    return _WIDTHS.get(kind.name.removesuffix("Storage"), 0) if "Storage" in kind.name else 0


def skip_old(source: Source, left: object) -> bool:
    """Pass over the numbers that follow a stream in a part of torch's oldest format (tar).

    Returns:
        Whether the stream was one of those that numbers follow.

    Raises:
        BrokenError: The file ends before.
    """
    if not isinstance(left, tuple) or len(left) != 3 or not isinstance(left[2], Name):
        return False
    width = _storage_width(left[2])
    if width:
        (count,) = struct.unpack("<q", source.take(8))
        if count < 0 or source.at + count * width > source.size:
            raise BrokenError("a storage in it is longer than the file")
        source.at += count * width
        return True
    if left[2].module == "torch" and left[2].name.endswith("Tensor"):
        (dims,) = struct.unpack("<i", source.take(4))
        if not 0 <= dims <= 64:
            raise BrokenError("a tensor in it has no shape")
        source.take(4 + 16 * dims + 8)
        return True
    return False
