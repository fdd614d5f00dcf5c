"""Hostile files and their benign twins, made from advisories and specifications.

`python corpus/make.py FOLDER` writes every case below FOLDER/<id>/ (with <id>.use.json,
<id>.parent/, <id>.stack.txt and <id>.advisories/ where the case has them) and prints its id and
the verdict that vetting must give. Nothing here is ever loaded. Payloads do nothing but name a
command (`true`), and every file is the same on every run. A family of cases is one file in
`families/`.
"""

from __future__ import annotations

import importlib
import json
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
    return _write(case.files, folder)


def write_parent(case: Case, folder: Path) -> Path | None:
    """Write the parent of a case into another empty folder, if it has one."""
    return _write(case.parent, folder) if case.parent else None


def write_stack(case: Case, path: Path) -> Path | None:
    """Write what will load a case to a path, if it is declared."""
    if not case.stack:
        return None
    path.write_text(case.stack)
    return path


def write_advisories(case: Case, folder: Path) -> Path | None:
    """Write the OSV dump of a case into another empty folder, if it has one."""
    if not case.advisories:
        return None
    _write(case.advisories, folder)
    return folder


def _write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / next(iter(files)) if len(files) == 1 else folder


def main(target: Path) -> None:
    for item in CASES.values():
        write(item, target / item.id)
        beside = write_parent(item, target / f"{item.id}.parent")
        write_stack(item, target / f"{item.id}.stack.txt")
        write_advisories(item, target / f"{item.id}.advisories")
        if item.use is not None:
            (target / f"{item.id}.use.json").write_text(json.dumps(item.use))
        print(f"{item.id}\t{item.verdict}" + (f"\t{beside.name}" if beside else ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
