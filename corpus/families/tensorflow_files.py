"""TensorFlow: SavedModels, frozen graphs, checkpoints."""

from __future__ import annotations

import json
import struct

from corpus.case import benign, hostile
from corpus.families.hdf5_files import LAMBDA, keras_config
from corpus.wire import message, varint


def node(operation: str, name: str = "n") -> bytes:
    attribute = message({1: "dtype", 2: message({6: 1})})
    return message({1: name, 2: operation, 3: ["x:0"], 5: attribute})


def function(*operations: str) -> bytes:
    return message({1: message({1: "__inference_f"}), 3: [node(item) for item in operations]})


def graph(*operations: str, functions: list[bytes] | None = None) -> bytes:
    nodes = [node("Placeholder", "x"), node("MatMul", "y"), *(node(item) for item in operations)]
    library = {2: message({1: functions})} if functions else {}
    return message({1: nodes, **library, 4: message({1: 1700})})


def meta_graph(whole: bytes | None = None, more: dict[int, object] | None = None) -> bytes:
    info = message({2: message({1: message({1: "MatMul"})}), 4: "serve", 5: "2.19.0"})
    return message({1: info, 2: whole or graph(), **(more or {})})


def saved_model(*graphs: bytes) -> bytes:
    return message({1: 1, 2: list(graphs) or [meta_graph()]})


def model(data: bytes) -> dict[str, bytes]:
    return {"saved_model.pb": data}


def objects(metadata: str) -> bytes:
    user = message({1: "_tf_keras_layer", 2: message({1: 2}), 3: metadata})
    return message({1: [message({4: user})]})


for name, operation, rule in (
    ("py-func", "PyFunc", "python_operation"),
    ("eager-py-func", "EagerPyFunc", "python_operation"),
    ("write-file", "WriteFile", "writes_file"),
    ("read-file", "ReadFile", "reads_file"),
    ("matching-files", "MatchingFiles", "reads_file"),
    ("io-package", "IO>KafkaReadable", "reads_file"),
    ("hidden-graph", "DatasetFromGraph", "hidden_graph"),
):
    hostile(
        f"savedmodel-{name}",
        f"savedmodel.{rule}",
        model(saved_model(meta_graph(graph(operation)))),
    )
    hostile(
        f"savedmodel-{name}-in-function",
        f"savedmodel.{rule}",
        model(saved_model(meta_graph(graph(functions=[function("Add"), function(operation)])))),
    )
    hostile(f"graphdef-{name}", f"savedmodel.{rule}", {"frozen.pb": graph(operation)})
    hostile(
        f"graph-text-{name}",
        f"savedmodel.{rule}",
        {"graph.pbtxt": f'node {{\n  name: "n"\n  op: "{operation}"\n}}\n'.encode()},
    )
hostile(
    "savedmodel-second-meta-graph",
    "savedmodel.writes_file",
    model(saved_model(meta_graph(), meta_graph(graph("WriteFile")))),
)
hostile("graphdef-renamed", "savedmodel.reads_file", {"weights.dat": graph("ReadFile")})
hostile(
    "savedmodel-custom-operation",
    "savedmodel.custom_operation",
    model(saved_model(meta_graph(graph("Attacker>Run")))),
    "incomplete",
)
hostile("savedmodel-engine", "", model(saved_model(meta_graph(graph("TRTEngineOp")))), "incomplete")
hostile(
    "savedmodel-asset-path",
    "savedmodel.asset_path",
    model(saved_model(meta_graph(more={6: message({2: "../../../etc/passwd"})}))),
)
hostile(
    "savedmodel-lambda",
    "keras.lambda",
    model(saved_model(meta_graph(more={7: objects(keras_config(LAMBDA).decode())}))),
)
hostile(
    "keras-metadata-lambda",
    "keras.lambda",
    {"keras_metadata.pb": message({1: message({2: 1, 4: "l", 5: json.dumps(LAMBDA)})})},
)
hostile(
    "savedmodel-foreign-field",
    "savedmodel.foreign_data",
    model(saved_model(meta_graph(more={99: b"payload"}))),
    "incomplete",
)
hostile("savedmodel-truncated", "savedmodel.malformed", model(saved_model()[:-7]))
hostile("savedmodel-trailing", "savedmodel.malformed", model(saved_model() + b"\x7fELF\0\0"))
hostile("other-pb", "", {"input_0.pb": message({1: [2, 2], 2: 1, 9: bytes(16)})}, "incomplete")
hostile("savedmodel-no-graph", "", model(b""), "incomplete")
hostile("graph-text-escaped", "", {"graph.pbtxt": b'node { op: "Py\\x46unc" }\n'}, "incomplete")


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    out = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    return out + struct.pack("<II", 0, 1)


def index(offset: int = 0, size: int = 16, *, outside: int = 0) -> bytes:
    shape = message({2: [message({1: 4})]})
    entry = message({1: 1, 2: shape, 4: offset, 5: size}) + b"\x35" + bytes(4)
    data = block([(b"", message({1: 1, 3: message({1: 1})})), (b"w", entry)])
    table = block([(b"w", varint(outside) + varint(len(data)))])
    out = data + bytes(5)
    handles = varint(0) + varint(0) + varint(len(out)) + varint(len(table))
    return out + table + bytes(5) + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


FOLDER = {
    "saved_model.pb": saved_model(
        meta_graph(
            graph("SaveV2", "RestoreV2", functions=[function("Add", "PartitionedCall")]),
            {6: message({2: "vocab.txt"}), 7: objects(keras_config().decode())},
        )
    ),
    "keras_metadata.pb": message({1: message({2: 1, 4: "l", 5: keras_config().decode()})}),
    "fingerprint.pb": message({1: 5, 2: 6, 3: 7, 4: 8, 5: 9, 6: "id"}),
    "assets/vocab.txt": b"a\nb\n",
    "variables/variables.index": index(),
    "variables/variables.data-00000-of-00001": struct.pack("<4f", 1, 2, 3, 4),
}
benign("savedmodel-twin", FOLDER)
benign("graphdef-twin", {"frozen.pb": graph("Relu", functions=[function("Softmax")])})
benign("graph-text-twin", {"graph.pbtxt": b'node {\n  name: "ReadFile"\n  op: "Add"\n}\n'})
hostile("tf-checkpoint-outside", "tf_checkpoint.malformed", {"c.index": index(outside=1 << 30)})
hostile("tf-checkpoint-size", "tf_checkpoint.malformed", {"c.index": index(size=-1)})
