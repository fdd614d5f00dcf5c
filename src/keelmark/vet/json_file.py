"""JSON that several checks want of the same file is parsed once."""

from __future__ import annotations

import json
from typing import Any

from keelmark.vet.contract import File


def load_json(file: File) -> Any:
    """Return what a JSON file says; the same value for every check that asks, so change nothing.

    Raises:
        ValueError: It is not JSON, or not UTF-8.
        RecursionError: It is nested too deeply.
        ReadLimitError: It is larger than may be read.
    """
    if "parsed" not in file.facts:
        file.facts["parsed"] = json.loads(file.all().decode("utf-8-sig"), parse_constant=str)
    return file.facts["parsed"]
