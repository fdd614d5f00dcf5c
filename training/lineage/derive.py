"""Derive the table of known base models that the lineage survey compares with.

    python training/lineage/derive.py base-model-features.tar.gz

The archive holds one JSON file for each base model: the features of the AI Provenance Kit by
Cisco (Apache-2.0). Kept are facts only: model type, dimensions, and figures and a short digest of
the tokenizer. The same archive gives the same bytes.
"""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[2] / "src/keelmark/vet/lineage/known.json"
SOURCE = (
    "Facts derived from the base-model features of the AI Provenance Kit by Cisco "
    "(Apache-2.0); changed: reduced to dimensions, tokenizer "
    "figures and shortened digests."
)
COLUMNS = [
    *("family", "name", "type", "hidden", "layers", "heads", "kept_heads", "inner", "vocabulary"),
    *("tokens", "mean_length", "longest", "single", "spaced", "bytes", "merges", "merges_first"),
]


def main() -> None:
    """Read the archive named on the command line and write the table."""
    rows = []
    with tarfile.open(sys.argv[1]) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".json") else None
            if file is not None:
                rows.append(row_of(json.load(file)))
    rows.sort()
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    head = json.dumps({"source": SOURCE, "columns": COLUMNS})[:-1]
    OUT.write_text(f'{head}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{len(rows)} models, {OUT.stat().st_size} bytes")


def row_of(features: dict[str, Any]) -> list[Any]:
    """Return the facts that are kept of one model, as `COLUMNS` names them."""
    model, words = features["mfi"], features["tfv"]
    merges = words["num_merges"]
    return [
        features["family_id"],
        features["model_id"],
        model["model_type"],
        model["hidden_size"] or 0,
        model["num_hidden_layers"] or 0,
        model["num_attention_heads"] or 0,
        model["num_key_value_heads"] or 0,
        model["intermediate_size"] or 0,
        model["vocab_size"] or 0,
        words["vocab_size"],
        words["avg_token_length"],
        words["max_token_length"],
        words["pct_single_char"],
        words["pct_whitespace_prefix"],
        words["pct_byte_tokens"],
        merges,
        words["merge_rule_hash"][:16] if merges else "",
    ]


if __name__ == "__main__":
    main()
