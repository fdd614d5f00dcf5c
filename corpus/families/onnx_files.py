"""ONNX models."""

from __future__ import annotations

import functools

from corpus.case import benign, hostile
from corpus.wire import message

MATRIX = message({1: [4, 2], 2: 1, 8: "w", 9: bytes(32)})


def tensor(entries: dict[str, str], dims: tuple[int, ...] = (4, 2)) -> bytes:
    """A tensor whose data are elsewhere."""
    pairs = [message({1: key, 2: value}) for key, value in entries.items()]
    return message({1: list(dims), 2: 1, 8: "w", 13: pairs, 14: 1})


def node(operator: str, domain: str = "", **texts: str) -> bytes:
    attributes = [message({1: key, 4: value, 20: 3}) for key, value in texts.items()]
    return message({1: ["x", "w"], 2: "y", 4: operator, 5: attributes, 7: domain})


def value(name: str) -> bytes:
    shape = message({1: [message({1: 1}), message({2: "n"})]})
    return message({1: name, 2: message({1: message({1: 1, 2: shape})})})


def graph(nodes: list[bytes] | None = None, tensors: list[bytes] | None = None) -> bytes:
    return message(
        {
            1: nodes or [node("MatMul")],
            2: "g",
            5: [MATRIX] if tensors is None else tensors,
            11: value("x"),
            12: value("y"),
        }
    )


def onnx(whole: bytes | None = None, more: dict[int, object] | None = None) -> bytes:
    return message(
        {
            1: 9,
            2: "probe",
            3: "1.0",
            7: whole or graph(),
            8: message({1: "", 2: 21}),
            **(more or {}),
        }
    )


def model(data: bytes) -> dict[str, bytes]:
    return {"model.onnx": data}


def outside(location: str) -> dict[str, bytes]:
    entries = {"location": location, "offset": "0", "length": "32"}
    return model(onnx(graph(tensors=[tensor(entries)])))


PYTHON = "onnx.python_operator"
hostile("onnx-traversal-cve-2022-25882", "onnx.external_path", outside("../../../etc/passwd"))
hostile("onnx-absolute-cve-2024-27318", "onnx.external_path", outside("/etc/passwd"))
hostile("onnx-overwrite-cve-2025-51480", "onnx.external_path", outside("a/../../.ssh/keys"))
hostile("onnx-backslash", "onnx.external_path", outside("..\\..\\secret"))
hostile("onnx-drive", "onnx.external_path", outside("C:\\Windows\\win.ini"))
hostile("onnx-address", "onnx.external_path hayward.complains", outside("http://203.0.113.7/w"))
hostile("onnx-memory-address", "onnx.external_path", outside("*/_ORT_MEM_ADDR_/*"))
hostile("onnx-no-location", "onnx.external_path", outside(""))
hostile(
    "onnx-external-in-subgraph",
    "onnx.external_path",
    model(
        onnx(
            graph(
                [
                    message(
                        {
                            4: "If",
                            5: message(
                                {1: "then_branch", 6: graph(tensors=[tensor({"location": "../x"})])}
                            ),
                        }
                    )
                ]
            )
        )
    ),
)
hostile(
    "onnx-external-in-function",
    "onnx.external_path",
    model(
        onnx(
            more={
                25: message(
                    {
                        1: "f",
                        10: "local",
                        7: message(
                            {4: "Constant", 5: message({1: "v", 5: tensor({"location": "/x"})})}
                        ),
                    }
                )
            }
        )
    ),
)
hostile(
    "onnx-external-negative",
    "onnx.bounds",
    model(onnx(graph(tensors=[tensor({"location": "w.bin", "offset": "-4096"})]))),
)
hostile(
    "onnx-external-too-short",
    "onnx.bounds",
    model(onnx(graph(tensors=[tensor({"location": "w.bin", "length": "8"})]))),
)
hostile(
    "onnx-external-outside",
    "parts.outside_file",
    {
        "model.onnx": onnx(
            graph(tensors=[tensor({"location": "w.onnx_data", "offset": "4096", "length": "32"})])
        ),
        "w.onnx_data": bytes(64),
    },
)
hostile(
    "onnx-size-mismatch",
    "onnx.bounds",
    model(onnx(graph(tensors=[message({1: [1 << 20, 2], 2: 1, 8: "w", 9: bytes(32)})]))),
)
hostile(
    "onnx-dims-overflow",
    "onnx.bounds",
    model(onnx(graph(tensors=[message({1: [1 << 40, 1 << 40], 2: 1, 8: "w", 9: bytes(32)})]))),
)
hostile(
    "onnx-dims-negative",
    "onnx.bounds",
    model(onnx(graph(tensors=[message({1: [-4, 2], 2: 1, 8: "w", 9: bytes(32)})]))),
)
hostile("onnx-python-operator", PYTHON, model(onnx(graph([node("PyOp", "ai.onnx.contrib")]))))
hostile("onnx-python-training", PYTHON, model(onnx(graph([node("PythonOp", "com.microsoft")]))))
hostile(
    "onnx-custom-domain",
    "onnx.custom_operator",
    model(onnx(graph([node("Backdoor", "com.attacker")]))),
    "incomplete",
)
hostile(
    "onnx-native-context",
    "onnx.native_context",
    model(onnx(graph([node("EPContext", "com.microsoft", ep_cache_context="../x.bin")]))),
    "incomplete",
)
hostile(
    "onnx-code-in-metadata",
    "onnx.code_in_metadata",
    model(onnx(more={14: message({1: "note", 2: "__import__('os').system('true')"})})),
)
hostile("onnx-foreign-field", "onnx.foreign_data", model(onnx(more={99: b"payload"})), "incomplete")
hostile("onnx-truncated", "onnx.malformed", model(onnx()[:-9]))
hostile("onnx-trailing", "onnx.malformed", model(onnx() + b"\x7fELF" + bytes(60)))
hostile("onnx-empty-graph", "onnx.malformed", model(message({1: 9, 2: "probe"})))
hostile("onnx-text", "onnx.malformed", model(b"this is no model"))
hostile(
    "onnx-deep",
    "onnx.malformed",
    model(
        onnx(
            functools.reduce(
                lambda g, _: message({1: message({4: "If", 5: message({1: "b", 6: g})})}),
                range(60),
                graph(),
            )
        )
    ),
)
hostile("onnx-renamed", "onnx.external_path", {"weights.bin": outside("/etc/passwd")["model.onnx"]})
benign("onnx-twin", model(onnx(more={14: message({1: "note", 2: "Made with import os in mind."})})))
benign(
    "onnx-external-twin",
    {
        "model.onnx": onnx(
            graph(tensors=[tensor({"location": "model.onnx.data", "offset": "0", "length": "32"})])
        ),
        "model.onnx.data": bytes(range(32)),
    },
)
benign(
    "onnx-any-name-twin",
    {
        "model.onnx": onnx(
            graph(tensors=[tensor({"location": "beside.bin", "offset": "0", "length": "32"})])
        ),
        "beside.bin": b"\xb7" * 32,
    },
)
benign(
    "onnx-subfolder-twin",
    {
        "onnx/model.onnx": onnx(graph(tensors=[tensor({"location": "data/model.onnx_data"})])),
        "onnx/data/model.onnx_data": bytes(range(32)),
    },
)
benign(
    "onnx-function-twin",
    model(
        onnx(
            graph([node("Gelu", "pkg.local")]),
            {25: message({1: "Gelu", 10: "pkg.local", 4: "x", 5: "y", 7: node("Identity")})},
        )
    ),
)
benign("onnx-microsoft-twin", model(onnx(graph([node("QuickGelu", "com.microsoft")]))))
benign(
    "onnx-int4-twin",
    model(onnx(graph(tensors=[message({1: [3, 5], 2: 22, 8: "w", 9: bytes(8)})]))),
)
