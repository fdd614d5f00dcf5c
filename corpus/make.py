"""Hostile files and their benign twins, made from advisories and specifications.

`python corpus/make.py FOLDER` writes every case below FOLDER/<id>/ and prints its id and the
verdict that vetting must give. Nothing here is ever loaded. Payloads do nothing but name a command
(`true`), and every file is the same on every run. A family of cases is one file in `families/`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
if str(_HERE.parent) not in sys.path:
    sys.path.insert(0, str(_HERE.parent))

from corpus.case import CASES, Case  # noqa: E402

for _family in sorted(path.stem for path in (_HERE / "families").glob("*.py")):
    importlib.import_module(f"corpus.families.{_family}")


def write(case: Case, folder: Path) -> Path:
    """Write a case into an empty folder; return the artefact: the file if it is only one."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / next(iter(case.files)) if len(case.files) == 1 else folder


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for item in CASES.values():
        write(item, target / item.id)
        print(f"{item.id}\t{item.verdict}")
