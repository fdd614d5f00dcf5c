"""Save small models with the libraries that people save models with.

    python make.py FOLDER torch|tensorflow

Run by the interpreter of `.real`, which `make real-models` sets up; one folder for each way of
saving. Keelmark's vetting has to find nothing in any of them.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["KERAS_BACKEND"] = sys.argv[2]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

MAKERS: dict[str, list[Callable[[Path], None]]] = {"torch": [], "tensorflow": []}
"""Which backend a way of saving needs."""


def _maker(backend: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    def add(make: Callable[[Path], None]) -> Callable[[Path], None]:
        MAKERS[backend].append(make)
        return make

    return add


def _network():
    import torch

    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))


@_maker("torch")
def torch_state_dict(folder: Path) -> None:
    import torch

    torch.save(_network().state_dict(), folder / "pytorch_model.bin")


@_maker("torch")
def torch_legacy(folder: Path) -> None:
    import torch

    state = _network().state_dict()
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)


@_maker("torch")
def torch_checkpoint(folder: Path) -> None:
    import torch

    network = _network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network(torch.ones(3, 8)).sum().backward()
    optimizer.step()
    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(state, folder / "checkpoint.pth")


@_maker("torch")
def torch_script(folder: Path) -> None:
    import torch

    torch.jit.trace(_network(), torch.ones(1, 8)).save(str(folder / "scripted.pt"))


@_maker("torch")
def torch_export(folder: Path) -> None:
    import torch

    torch.export.save(torch.export.export(_network(), (torch.ones(1, 8),)), folder / "program.pt2")


@_maker("torch")
def safetensors_file(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(_network().state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


@_maker("torch")
def onnx_file(folder: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((8, 2), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [weights],
    )
    model = helper.make_model(graph)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "linear.onnx")
    onnx.save(
        model, folder / "beside.onnx", save_as_external_data=True, location="beside.bin",
        size_threshold=0,
    )  # fmt: skip


@_maker("torch")
def sklearn_joblib(folder: Path) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = load_iris(return_X_y=True)
    forest = RandomForestClassifier(n_estimators=5, random_state=7)
    model = make_pipeline(StandardScaler(), forest).fit(features, labels)
    joblib.dump(model, folder / "forest.joblib")
    joblib.dump(model, folder / "forest.joblib.gz", compress=("gzip", 3))


@_maker("torch")
def sklearn_pickle(folder: Path) -> None:
    import pickle

    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
    for protocol in range(6):
        (folder / f"protocol{protocol}.pkl").write_bytes(pickle.dumps(model, protocol))


@_maker("torch")
def skops_file(folder: Path) -> None:
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
    skops.io.dump(model, folder / "model.skops")


@_maker("torch")
def numpy_files(folder: Path) -> None:
    import numpy as np

    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(folder / "table.npy", table)
    np.savez_compressed(folder / "tables.npz", first=table, second=table * 2)


@_maker("torch")
def core_ml(folder: Path) -> None:
    import coremltools
    import torch

    traced = torch.jit.trace(_network().eval(), torch.ones(1, 8))
    inputs = [coremltools.TensorType(shape=(1, 8))]
    for kind, name in (("mlprogram", "model.mlpackage"), ("neuralnetwork", "model.mlmodel")):
        coremltools.convert(traced, inputs=inputs, convert_to=kind).save(str(folder / name))


def _keras_model():
    import keras

    layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile(optimizer="adam", loss="mse")
    return model


@_maker("torch")
def keras_files(folder: Path) -> None:
    model = _keras_model()
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")


@_maker("tensorflow")
def saved_model(folder: Path) -> None:
    _keras_model().export(folder / "saved_model", verbose=False)


@_maker("tensorflow")
def tensorflow_keras(folder: Path) -> None:
    _keras_model().save(folder / "model.keras")


@_maker("tensorflow")
def tflite(folder: Path) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(_keras_model())
    (folder / "model.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    (folder / "quantised.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    for make in MAKERS[sys.argv[2]]:
        folder = Path(sys.argv[1]) / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)
