"""What a foreign service says (names, reasons, errors) cannot steer the terminal it is shown on."""

import inspect
import pkgutil
from pathlib import Path

import msgspec
import pytest

from evaluated import make_run, rows
from evaluation_parts import WEIGHS, called, own_suite
from keelmark import cli
from keelmark.cli import _eval, _foreign, redteam
from keelmark.cli._common import print_json, say, tell
from keelmark.cli.main import run
from keelmark.serve.fake import FakeEngine, Script

CLEARS = "\x1b[2J\x9b2J\u202eevil"
SHOWN = "\\x1b[2J\\x9b2J\\u202eevil"


def printed(capsys) -> str:
    """All that came, without steering characters."""
    said = "".join(capsys.readouterr())
    assert all(c.isprintable() or c == "\n" for c in said)
    return said


@pytest.mark.parametrize(
    "words", [("show",), ("show", "{}"), ("compare", "{}", "{}"), ("card", "{}"), ("repeat", "{}")]
)
def test_a_model_with_a_wild_name_is_shown_with_escapes(tmp_path, capsys, words):
    runs = tmp_path / "data" / "runs"
    names = iter(make_run(runs, rows([1.0, 0.0]), model=f"{CLEARS}{n}").name for n in range(2))
    given = [next(names) if one == "{}" else one for one in words]
    if words[0] == "show" and len(words) == 1:
        next(names)
    run(["eval", *given, "--data", str(tmp_path / "data")])
    printed(capsys)
    if words[0] == "show":
        run(["eval", *given, "--data", str(tmp_path / "data")])
        assert SHOWN in printed(capsys)


def test_names_and_errors_of_a_service_are_escaped(tmp_path, capsys):
    suite = own_suite(tmp_path / "suite")
    engine = FakeEngine(WEIGHS, models=(CLEARS, "other"))
    assert called(engine, "run", suite, "--data", tmp_path, "--model", "third") == 2
    assert f"choose from: {SHOWN}, other" in printed(capsys)
    failing = Script(fault="error", status=400, message=f"{CLEARS}\nkeelmark: all is well")
    assert called(FakeEngine(failing), "run", suite, "--data", tmp_path) == 2
    said = printed(capsys)
    assert SHOWN in said
    assert said.count("\n") == 1


def test_what_all_of_it_goes_through(capsys):
    tell(f"one\ntwo {CLEARS}")
    say(CLEARS)
    assert printed(capsys) == f"one\ntwo {SHOWN}\n{SHOWN}\n"
    print_json({CLEARS: "é\u2028\U000e0041"})
    said = printed(capsys)
    assert msgspec.json.decode(said) == {CLEARS: "é\u2028\U000e0041"}
    assert "é" in said


def test_nothing_of_a_run_goes_around_it():
    files = [Path(inspect.getfile(one)) for one in (redteam, _foreign)]
    files += [
        Path(_eval.__path__[0]) / f"{one.name}.py" for one in pkgutil.iter_modules(_eval.__path__)
    ]
    assert len(files) > 15
    assert [one.name for one in files if "click.echo" in one.read_text()] == []
    assert Path(cli.__path__[0]) in files[0].parents
