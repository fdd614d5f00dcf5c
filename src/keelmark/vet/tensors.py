"""Where the tensors of a file stand, told by the check that has read its header to later ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keelmark.vet.contract import File


class Tensor(NamedTuple):
    """Where the values of a tensor stand; its rows are its last dimension."""

    name: str
    dtype: str
    rows: int
    row: int
    start: int
    end: int


def place(
    file: File, entries: Sequence[tuple[str, str, Sequence[int], int, int]], *, last: bool = True
) -> None:
    """Remember name, type, shape, first byte and end of every tensor of a sound file.

    Args:
        file: The file.
        entries: The tensors.
        last: Whether rows are the last dimension of a shape, or the first.
    """
    tensors = []
    for name, dtype, shape, start, end in entries:
        row = (shape[-1] if last else shape[0]) if shape else 1
        count = 1
        for size in shape:
            count *= size
        tensors.append(Tensor(name, dtype, count // row if row else 0, row, start, end))
    file.facts["tensors"] = tensors


def placed(file: File) -> list[Tensor]:
    """Return what has been remembered; nothing for a file without tensors or an unsound one."""
    tensors = file.facts.get("tensors")
    return tensors if isinstance(tensors, list) else []
