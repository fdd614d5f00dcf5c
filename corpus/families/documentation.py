"""Model cards: forms that nobody filled in, cards that are all headings, data in Croissant.

No rule hangs on how well a model is documented, so none of these may be found at fault; they are
here so that a card, whatever it says, neither stops the survey nor wears it out.
"""

from __future__ import annotations

import json

from corpus.case import benign
from corpus.families.remote_code import config
from corpus.families.safetensors_files import TWO, safetensors

WEIGHTS = {"model.safetensors": safetensors(TWO, bytes(16)), "config.json": config()}
FORM = """---
license: mit
---
# Model Card for {{ model_id | default("Model ID", true) }}

## Uses

### Out-of-Scope Use

[More Information Needed]

## Bias, Risks, and Limitations

[More Information Needed]

## Training Data

<!-- This should link to a Data Card. -->

TODO
"""
CROISSANT = {
    "@context": {"cr": "http://mlcommons.org/croissant/", "sc": "https://schema.org/"},
    "@type": "sc:Dataset",
    "conformsTo": "http://mlcommons.org/croissant/1.0",
    "name": "letters",
    "description": "Letters, one a line.",
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "url": "https://example.com/letters",
    "distribution": [],
}

benign("documentation-unfilled", {**WEIGHTS, "README.md": FORM.encode()})
benign(
    "documentation-croissant",
    {**WEIGHTS, "README.md": b"# M\n", "data/croissant.json": json.dumps(CROISSANT).encode()},
)
benign(
    "documentation-headings",
    {**WEIGHTS, "README.md": b"# Training data\n## Limitations\n" * 5_000},
)
benign(
    "documentation-tables",
    {**WEIGHTS, "README.md": b"# M\n\n" + b"|" * 20_000 + b"\n" + b"|-" * 20_000 + b"\n"},
)
