"""Write trained weights as the ONNX file that ships: one graph, all heads, 8-bit weights.

    python training/encoder/export.py ENCODER.pt BASE OUT

Weights of matrices are 8-bit by output channel, activations 8-bit by what they hold (dynamic) but
for a few channels (`outliers.py`), embeddings 8-bit by row block. The 32-bit graph stays beside OUT
as `encoder.fp32.onnx`, so that what rounding costs can be measured; it is not shipped.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from model import base, paths
from onnxruntime.quantization import QuantType, quantize_dynamic
from outliers import samples, split

ENDS = 101, 102  # [CLS] and [SEP]
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


def graph(weights: Path, folder: Path, out: Path) -> None:
    """Write the 32-bit graph."""
    encoder = base(folder)
    encoder.load_state_dict(torch.load(weights, map_location="cpu"))
    encoder.eval()
    ids = torch.randint(1000, 20000, (2, 16))
    given = ids, torch.ones_like(ids), torch.zeros_like(ids)
    axes = {name: {0: "rows", 1: "length"} for name in (*NAMES, "tokens")} | {
        "sequence": {0: "rows"}
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            given,
            str(out),
            input_names=NAMES,
            output_names=["sequence", "tokens"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of the probabilities of two graphs on random text."""
    lot = np.random.default_rng(1)
    ids = lot.integers(1000, 20000, (8, 96))
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0}
    said = [
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
            ["sequence"], given
        )[0]
        for path in (one, other)
    ]
    first, second = (1 / (1 + np.exp(-values)) for values in said)
    return float(np.abs(first - second).max())


def main() -> None:
    """Export."""
    asked = paths(__doc__, "weights", "base", "out")
    asked.out.mkdir(parents=True, exist_ok=True)
    plain, small = asked.out.with_name("encoder.fp32.onnx"), asked.out / "encoder.onnx"
    graph(asked.weights, asked.base, plain)
    between = asked.out.with_name("encoder.split.onnx")
    quantize_dynamic(
        between,
        small,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=split(plain, between, samples(*ENDS)),
    )
    between.unlink()
    shutil.copyfile(asked.base / "vocab.txt", asked.out / "vocab.txt")
    sizes = [path.stat().st_size for path in (plain, small)]
    print(f"{sizes[0]:,} bytes in 32 bits, {sizes[1]:,} as shipped")
    print(f"largest difference of a probability: {difference(plain, small):.3f}")


if __name__ == "__main__":
    main()
