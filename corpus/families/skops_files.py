"""skops models: names that are trusted, and what is done with them."""

from __future__ import annotations

import json

from corpus.case import benign, hostile
from corpus.families.archives import make_zip
from corpus.families.pickles import CALL, INNER


def node(full: str, loader: str, **more: object) -> dict[str, object]:
    module, _, name = full.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 1, **more}


def text(value: object) -> dict[str, object]:
    return node("builtins.str", "JsonNode", content=json.dumps(value), is_json=True)


def skops(*steps: dict[str, object]) -> bytes:
    content = node("builtins.dict", "DictNode", content={f"s{i}": s for i, s in enumerate(steps)})
    schema = node("sklearn.pipeline.Pipeline", "ObjectNode", content=content, protocol=2)
    return make_zip({"schema.json": json.dumps(schema, indent=2).encode()})


SCALER = node("sklearn.preprocessing._data.StandardScaler", "ObjectNode", content=None)
benign("skops-twin", {"m.skops": skops(SCALER, node("numpy.log1p", "FunctionNode"), text(1))})
hostile(
    "skops-os-system", "skops.dangerous_type", {"m.skops": skops(node("os.system", "FunctionNode"))}
)
hostile(
    "skops-unknown-type",
    "skops.unknown_type",
    {"m.skops": skops(node("mypackage.Scaler", "ObjectNode", content=None))},
    "incomplete",
)
GET = node("builtins.tuple", "TupleNode", content=[text("shape")])
benign(
    "skops-operator-twin",
    {"m.skops": skops(node("operator.attrgetter", "OperatorFuncNode", attrs=GET))},
)
hostile(
    "skops-cve-2025-54412-operator",
    "skops.operator",
    {"m.skops": skops(node("sklearn.pipeline.call", "OperatorFuncNode", attrs=GET))},
)
benign(
    "skops-method-twin",
    {
        "m.skops": skops(
            node(
                "sklearn.preprocessing._data.StandardScaler",
                "MethodNode",
                content={"func": "transform", "obj": SCALER},
            )
        )
    },
)
hostile(
    "skops-cve-2025-54413-method",
    "skops.method",
    {
        "m.skops": skops(
            node(
                "sklearn.preprocessing._data.StandardScaler",
                "MethodNode",
                content={"func": "__globals__", "obj": node("numpy.log1p", "FunctionNode")},
            )
        )
    },
)
hostile("skops-cve-2025-54886-joblib", f"{CALL} skops.disguised", {"m.skops": INNER})
