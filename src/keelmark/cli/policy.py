"""`keelmark policy`: show, check, test, compare and explain the policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keelmark import app
from keelmark.cli._common import (
    coloured,
    data_option,
    json_option,
    policy_option,
    print_json,
    say,
    store_option,
)
from keelmark.core.difference import policy_difference
from keelmark.core.errors import UsageError
from keelmark.core.policy import policy_schema
from keelmark.guard.cases import Report, read_cases, run_cases
from keelmark.guard.excuses import value_hash
from keelmark.guard.ready import shipped_policies

_FILE = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Show, check, test, compare and explain policies.

    FILE is a policy file in YAML, or the name of a policy that comes with Keelmark.
    """


@command.command()
@policy_option
@click.option("--words", is_flag=True, help="Say in words what is in force, after inheritance.")
@json_option
def show(policy: Path | None, *, words: bool, as_json: bool) -> None:
    """Print the policy file in force, comments included.

    With --json it is what is in force after inheritance, with all defaults; with --words, too, in
    sentences.

    \b
    Examples:
      keelmark policy show > my-policy.yaml
      keelmark policy show --policy hipaa --words
    """
    loaded = app.load_policy(policy)
    if words and as_json:
        raise UsageError("--words and --json exclude each other; give one of them.")
    if as_json:
        print_json(loaded)
    elif words:
        app.make_guard(loaded, policy)  # what no guard can be made of is in force nowhere
        click.echo(app.policy_in_words(loaded, app.policy_notes(loaded)))
    else:
        click.echo(app.policy_text(policy), nl=False)


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a policy file: names, types, detectors.

    \b
    Example:
      keelmark policy check my-policy.yaml
    """
    loaded = app.load_policy(file)
    app.check_routes(app.make_guard(loaded, file), path=file)
    say(f"{file} is a valid policy with guard rules: {len(loaded.guard.rules)}.")
    for note in app.policy_notes(loaded):
        say(f"WARNING: {note}")
    click.echo(loaded.digest)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the policy file, for editors.

    \b
    Example:
      keelmark policy schema > policy.schema.json
    """
    print_json(policy_schema())


@command.command()
@click.argument("file", type=_FILE)
@policy_option
@data_option
@json_option
def test(file: Path, policy: Path | None, data: Path | None, *, as_json: bool) -> int:
    """Run the tests of FILE: what is given, and what is expected of the policy.

    FILE names its policy; --policy tests another one. For a policy file, the tests beside it are
    run (my-policy.yaml, my-policy.test.yaml). Ends with 1 when a test fails.

    \b
    Example:
      keelmark policy test my-policy.test.yaml
    """
    beside = file.with_name(f"{file.stem}.test{file.suffix}")
    file = beside if not file.stem.endswith(".test") and beside.exists() else file
    cases = read_cases(file)
    named = Path(cases.policy)
    if str(named) not in shipped_policies():
        named = file.parent / named
    chosen = policy if policy is not None and _said("policy") else named
    reports = run_cases(app.make_guard(app.load_policy(chosen), chosen, data=data), cases)
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            click.echo(_reported(report))
    failed = sum(bool(report.complaints) for report in reports)
    say(f"{len(reports) - failed} of {len(reports)} passed under {chosen}.")
    return int(failed > 0)


def _said(option: str) -> bool:
    """Whether an option was given on the command line rather than by the environment."""
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def _reported(report: Report) -> str:
    word, colour = ("FAIL", "red") if report.complaints else ("ok", "green")
    word = f"{word:>4}"
    said = "".join(f"\n      {one}" for one in report.complaints)
    return f"{click.style(word, fg=colour) if coloured() else word}  {report.name}{said}"


@command.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@json_option
def diff(before: Path, after: Path, *, as_json: bool) -> int:
    """Say in words what changes from the policy BEFORE to AFTER, after inheritance.

    Ends with 0 when nothing changes, 1 when something does.

    \b
    Examples:
      keelmark policy diff default my-policy.yaml
      keelmark policy diff old.yaml new.yaml --json
    """
    said = policy_difference(app.load_policy(before), app.load_policy(after))
    if as_json:
        print_json(said)
    else:
        for line in said or ["Nothing changes."]:
            click.echo(line)
    return int(bool(said))


@command.command()
@click.argument("trace_id")
@policy_option
@store_option
def explain(trace_id: str, policy: Path | None, data: Path | None) -> None:
    """Say why the request of a trace was judged as it was, rule by rule.

    \b
    Example:
      keelmark policy explain 4bf92f35
    """
    with app.Home.open(data, policy) as home:
        click.echo(app.explain(home, trace_id))


@command.command("hash")
@data_option
def hash_value(data: Path | None) -> None:
    """Print the keyed hash by which an exception names a value that is read from stdin.

    The key is made on first use and lies in the data folder; elsewhere the hash means nothing.

    \b
    Example:
      printf %s office@example.org | keelmark policy hash
    """
    try:
        value = sys.stdin.buffer.read(4096).decode().strip()
    except UnicodeDecodeError:
        raise UsageError("The value is not UTF-8 text; send it as such.") from None
    if not value:
        raise UsageError("There is no value on stdin; pipe it into this command.")
    click.echo(value_hash(value, app.value_key(data, make=True)))
