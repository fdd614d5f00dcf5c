"""Write the shipped weights as a training's beginning, so that it can go on from them.

    python training/encoder/restore.py WEIGHTS BASE OUT

WEIGHTS holds `encoder.onnx` and `training.json`; OUT gets `start.pt`, and `runs.json` with the runs
so far. A weight comes back as it was rounded, at most half a step from what was trained.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import torch
from model import Encoder, base, paths
from numpy.typing import NDArray
from onnx import numpy_helper
from outliers import PREFIX
from torch.nn import Embedding

_MATRIX = re.compile(r"onnx::MatMul_(\d+)$")


def tables(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return what a graph holds by name, 8-bit numbers as what they stand for."""
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    made = {}
    for name, values in held.items():
        if name.endswith("_quantized"):
            plain = name.removesuffix("_quantized")
            zero = held[f"{plain}_zero_point"].astype(np.float32)
            made[plain] = (values.astype(np.float32) - zero) * held[f"{plain}_scale"]
        elif not name.endswith(("_scale", "_zero_point")):
            made[name] = values
    return made


def state(held: dict[str, NDArray[np.float32]], encoder: Encoder) -> dict[str, torch.Tensor]:
    """Return the parameters of an encoder from the tables of a graph.

    The export names a matrix that it turned by a running number, so these come in the order of use.
    """
    looked_up = {
        f"{name}.weight" for name, one in encoder.named_modules() if isinstance(one, Embedding)
    }
    turned = sorted((int(found[1]), name) for name in held if (found := _MATRIX.match(name)))
    matrices = iter([held[name] for _, name in turned])
    inner = iter(range(2 * len(encoder.layers)))
    made = {}
    for name, value in encoder.state_dict().items():
        if name in held:
            table = held[name]
        else:
            table = next(matrices)
            if re.search(r"\.(up|down)\.", name):  # a few channels stand apart
                number = next(inner)
                table = table.copy()
                table[held[f"{PREFIX}_top_{number}"]] = held[f"{PREFIX}_rows_{number}"]
        if table.ndim == 2 and name not in looked_up:
            table = table.T
        if table.shape != value.shape:
            raise SystemExit(f"{name} has {table.shape} where {tuple(value.shape)} is expected.")
        made[name] = torch.from_numpy(np.array(table, np.float32, order="C"))
    if next(matrices, None) is not None:
        raise SystemExit("The graph has more matrices than this encoder.")
    return made


def main() -> None:
    """Restore."""
    asked = paths(__doc__, "weights", "base", "out")
    encoder = base(asked.base)
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.save(state(tables(asked.weights / "encoder.onnx"), encoder), asked.out / "start.pt")
    runs = json.loads((asked.weights / "training.json").read_text())["runs"]
    (asked.out / "runs.json").write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
