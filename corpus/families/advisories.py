"""Models that meet a known vulnerability of their loader, and the same with a fixed loader."""

from __future__ import annotations

import json

from corpus.case import benign, hostile
from corpus.families.gguf_files import PLAIN
from corpus.families.remote_code import config
from corpus.families.safetensors_files import TWO, safetensors


def record(name: str, package: str, events: list[dict[str, str]], **more: object) -> bytes:
    """Return an advisory in OSV's format, on a package of the Python index."""
    affected = {
        "package": {"ecosystem": "PyPI", "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return json.dumps(
        {
            "id": name,
            "modified": "2025-12-30T00:00:00Z",
            "summary": f"{package}: something is wrong",
            "affected": [affected],
            **more,
        }
    ).encode()


DUMP = {
    "PyPI/EXAMPLE-1.json": record(
        "EXAMPLE-1", "Example.Server", [{"introduced": "1.0"}, {"fixed": "1.4"}]
    ),
    "PyPI/MAL-2025-1.json": record("MAL-2025-1", "torchh", [{"introduced": "0"}]),
    "PyPI/EXAMPLE-2.json": record(
        "EXAMPLE-2", "safetensors", [{"introduced": "0"}], withdrawn="2025-12-01T00:00:00Z"
    ),
}
WEIGHTS = {"model.safetensors": safetensors(TWO, bytes(16)), "config.json": config()}
FETCHING = {
    **WEIGHTS,
    "config.json": config(_attn_implementation_internal="someone/attention"),
}
TEMPLATED = {
    **WEIGHTS,
    "tokenizer_config.json": json.dumps({"chat_template": PLAIN}).encode(),
}

hostile(
    "advisory-triggered",
    "vulnerabilities.triggered vulnerabilities.affected_package",
    FETCHING,
    stack="transformers==5.2.0\n",
    advisories=DUMP,
)
benign("advisory-triggered-twin", FETCHING, stack="transformers==5.5.0\n", advisories=DUMP)
hostile(
    "advisory-exposed",
    "vulnerabilities.exposed vulnerabilities.affected_package",
    TEMPLATED,
    "pass",
    stack="vllm==0.31.0\n",
    advisories=DUMP,
)
benign("advisory-exposed-twin", TEMPLATED, stack="vllm==0.32.0\n", advisories=DUMP)
hostile(
    "advisory-package",
    "vulnerabilities.affected_package",
    WEIGHTS,
    stack="example_server==1.3.9 --hash=sha256:00\n",
    advisories=DUMP,
)
benign("advisory-package-twin", WEIGHTS, stack="example-server==1.4\n", advisories=DUMP)
hostile(
    "advisory-malware",
    "vulnerabilities.malicious_package",
    WEIGHTS,
    stack="torchh==2.6.0\n",
    advisories=DUMP,
)
benign("advisory-malware-twin", WEIGHTS, stack="torch==2.12.0\n", advisories=DUMP)
hostile(
    "advisory-stale",
    "",
    WEIGHTS,
    "incomplete",
    stack="torch==2.12.0\n",
    advisories={
        "PyPI/EXAMPLE-3.json": record("EXAMPLE-3", "torch", [], modified="2025-11-01T00:00:00Z")
    },
)
hostile("advisory-seed-only", "", WEIGHTS, "incomplete", stack="torch==2.12.0\n")
hostile(
    "advisory-broken-dump",
    "",
    WEIGHTS,
    "incomplete",
    stack="torch==2.12.0\n",
    advisories={**DUMP, "PyPI/broken.json": b'{"id": "EXAMPLE-4"'},
)
