"""One word for one thing: the synonyms in the glossary's last column are used nowhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "keelmark"
GLOSSARY = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| ?(.*?) ?\|$", GLOSSARY, re.MULTILINE)
FORBIDDEN = [word.strip() for _, _, words in ROWS for word in words.split(",") if word.strip()]
SYNONYM = re.compile(r"(?<![\w`-])(" + "|".join(FORBIDDEN) + r")(e?s)?(?![\w`-])", re.IGNORECASE)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(SOURCE.rglob("*.py"))


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """String literals that people read: all of the command line's, elsewhere those with a space.

    Docstrings count in the command line only, where they are the help.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    is_cli = path.is_relative_to(SOURCE / "cli")
    unread = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and not is_cli
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in unread:
            continue
        if isinstance(node.value, str) and (is_cli or " " in node.value):
            yield node.lineno, node.value


def test_the_glossary_is_a_table_of_nouns():
    nouns = [noun for noun, _, _ in ROWS]
    assert len(nouns) == GLOSSARY.count("\n| **")
    assert len(nouns) == len(set(nouns)) >= 25
    assert len(FORBIDDEN) >= 15
    assert not {word for noun in nouns for word in noun.split(" / ")} & set(FORBIDDEN)


def test_every_noun_is_used():
    everything = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for noun, _, _ in ROWS:
        for word in noun.split(" / "):
            assert re.search(rf"\b{word}", everything, re.IGNORECASE), word


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_use_the_nouns(page):
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        found = SYNONYM.search(line)
        assert not found, f"{page.name}:{number} says {found[0]!r}; see GLOSSARY.md"


def test_messages_use_the_nouns():
    wrong = [
        f"{path.relative_to(ROOT)}:{number} says {found[0]!r}; see GLOSSARY.md"
        for path in MODULES
        for number, text in messages(path)
        if (found := SYNONYM.search(text))
    ]
    assert not wrong, "\n".join(wrong)


def test_a_synonym_is_noticed():
    assert SYNONYM.search("see the audit logs")
    assert SYNONYM.search("The Scanner says")
    assert not SYNONYM.search("llm-guard scanners-free `fingerprint`")
