"""The size ratchet and other rules that a linter does not know."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 400, 40, 8


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or 0) - first.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_file_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE, f"{path.name} is too long: cut it along its nouns"
    for node in _functions(ast.parse(text)):
        assert _body_lines(node) <= MAX_FUNCTION, f"{path.name}: {node.name} is too long"
        count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
        assert count <= MAX_PARAMETERS, f"{path.name}: {node.name} has too many parameters"


def test_no_swallowed_errors() -> None:
    """`except Exception` stands only where a comment on the line says which boundary it is."""
    for path in SOURCES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"except (Base)?Exception\b|except:", line):
                assert "# boundary:" in line, f"{path}:{number} swallows everything"
