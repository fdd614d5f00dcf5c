"""Python files that belong to no package, such as those of `bench`, `corpus` and `training`."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load(path: str, name: str = "") -> ModuleType:
    """Import a file of the project by its path from the root, under its own or another name."""
    file = ROOT / path
    name = name or file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
