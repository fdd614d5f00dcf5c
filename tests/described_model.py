"""A model of which much is known, as vetting would hand it up, for tests of bills of materials."""

from datetime import UTC, datetime

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.core.vetting import Coverage, NotChecked, Section, VetReport, VetVerdict
from keelmark.passport.manifest import Manifest, ManifestEntry

WHEN = datetime(2026, 11, 22, 12, tzinfo=UTC)
CARD = """---
license: apache-2.0
---
# Tiny

Tiny is small.

## Intended uses

Answer **questions** about [plants](https://example.com). <!-- not shown -->

### Out-of-Scope Use

[More Information Needed]

## Limitations

It knows only English plants.

```python
# Limitations of code blocks are no headings
```

## Bias and risks

It prefers roses.

## Fairness

Gardeners without roses are put at a disadvantage.

## Trade-offs

Small, so it forgets.

## Who is it for

- Gardeners

## Environmental impact

Trained on the sun.

## Training data

A herbarium.

## Evaluation

Looked at by a gardener.
"""
FACTS = {
    "README.md": {
        "text": CARD,
        "card": {
            "license": "apache-2.0",
            "license_link": "https://www.apache.org/licenses/LICENSE-2.0",
            "base_model": "gardens/rose-7b",
            "base_model_relation": "finetune",
            "datasets": ["gardens/herbarium", "gardens/soil"],
            "language": ["en"],
            "tags": ["plants"],
            "pipeline_tag": "text-generation",
            "library_name": "transformers",
            "model_name": "Tiny",
            "co2_eq_emissions": {
                "emissions": 1200,
                "source": "codecarbon",
                "hardware_used": "1 T4",
            },
            "model-index": [
                {
                    "name": "Tiny",
                    "results": [
                        {
                            "task": {"type": "text-generation"},
                            "dataset": {
                                "name": "Leaves",
                                "split": "test",
                                "type": "gardens/leaves",
                            },
                            "metrics": [{"type": "accuracy", "value": 0.75}],
                        }
                    ],
                }
            ],
        },
    },
    "config.json": {
        "json": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "max_position_embeddings": 2048,
            "hidden_size": 64,
            "quantization_config": {"quant_method": "gptq"},
        }
    },
    "model.safetensors": {
        "safetensors": {
            "metadata": {"format": "pt"},
            "tensors": [["a", "F16", [10, 20]], ["b", "F32", [5]]],
        }
    },
}
FILES = ("LICENSE", "README.md", "config.json", "model.safetensors", "sub/évil file.py")


def manifest() -> Manifest:
    return Manifest(
        name="tiny",
        entries=tuple(
            ManifestEntry(path=path, size=10 * n, sha256=f"{n:064x}")
            for n, path in enumerate(FILES, 1)
        ),
    )


def report(**changes) -> VetReport:
    values = {
        "digest": manifest().digest,
        "name": "tiny",
        "verdict": VetVerdict.FAIL,
        "findings": (
            ArtefactFinding(
                rule="remote_code.python",
                severity=Severity.HIGH,
                path="sub/évil file.py",
                location="line 3",
                message="It runs a shell.",
                evidence="os.system",
            ),
            ArtefactFinding(
                rule="documents.note",
                severity=Severity.INFO,
                path="README.md",
                location="line 1",
                message="A note.",
            ),
        ),
        "coverage": Coverage(
            files=5, checked=4, not_checked=(NotChecked(path="LICENSE", reason="too long"),)
        ),
        "checks": {"documents": "1", "remote_code": "1"},
        "policy_digest": f"sha256:{7:064x}",
        "reason": "1 finding of severity high or above.",
        "sections": {
            "fit": Section(title="Fit", answer="fits", summary="This machine has room."),
            "licence": Section(title="Licence", answer="allowed if", summary="Name the licence."),
            "vulnerabilities": Section(
                title="Known vulnerabilities",
                answer="affected",
                summary="One.",
                data={
                    "affected": [
                        {
                            "package": "PyPI/transformers",
                            "version": "4.0",
                            "ids": ["CVE-2026-0001", "GHSA-xxxx-yyyy-zzzz"],
                            "severity": "HIGH",
                            "fixed": ["4.1"],
                            "needs": None,
                            "triggered_by": ["model.safetensors!part"],
                            "exposed_by": [],
                        },
                        {
                            "package": "PyPI/other",
                            "version": "1",
                            "ids": ["CVE-2026-0002"],
                            "severity": None,
                            "fixed": [],
                            "needs": None,
                            "triggered_by": [],
                            "exposed_by": [],
                        },
                    ]
                },
            ),
        },
    }
    return VetReport(**{**values, **changes})
