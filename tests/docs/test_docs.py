"""Documentation is executed where it can be, and complete where it can be counted."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from keelmark.cli.main import root

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(p.relative_to(ROOT)) for p in PAGES]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{target} in {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_that_are_named_exist(page):
    named = r"`((?:src|tests|docs|bench|corpus)/[\w./*-]+|(?:serve|guard|core|prove)/[\w./*-]+)`"
    for path in re.findall(named, page.read_text(encoding="utf-8")):
        assert any([*ROOT.glob(path), *(ROOT / "src/keelmark").glob(path)]), f"{page.name}: {path}"


def test_every_page_is_found_from_the_first():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        path = page.relative_to(ROOT / "docs").as_posix()
        assert path == "README.md" or f"]({path})" in index, f"docs/README.md does not link {path}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda p: p.stem)
def test_decisions_say_why_what_and_what_guards_them(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.name[:4])}. ")
    for part in ("**Context.**", "**Choice.**", "**Confirmed by**"):
        assert text.count(part) == 1, part


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_blocks_compile(page):
    for block in _blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_documented_commands_exist(page):
    """Every `keelmark ...` line names a verb that exists and options that it has."""
    for block in _blocks(page, "console"):
        for line in block.splitlines():
            match = re.search(r"(?:^|[|=] ?|\s)keelmark (\w[^|>#]*)", line)
            if match:
                _check_command(shlex.split(match.group(1)))


def _check_command(words: list[str]) -> None:
    command: click.Command = root
    context = click.Context(root)
    for word in list(words):
        if not isinstance(command, click.Group):
            break
        found = command.get_command(context, word)
        assert found is not None, f"keelmark {' '.join(words)}: there is no {word!r}"
        command = found
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"keelmark {' '.join(words)}: {word}"


def _commands(command: click.Command, name: str):
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            yield from _commands(command.get_command(context, sub), f"{name} {sub}")


def test_every_command_has_help_and_an_example():
    for name, command in _commands(root, "keelmark"):
        assert command.help, name
        if not isinstance(command, click.Group) and command.params:
            assert "Example" in command.help or len(command.params) <= 4, name


def test_reference_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
