"""`keelmark vet`: is this model safe to load, and may it be used?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.cli._ask import ask_for_use
from keelmark.cli._common import (
    EXIT,
    coloured,
    json_option,
    policy_option,
    print_json,
    progress,
    say,
    write_out,
)
from keelmark.core.errors import UsageError
from keelmark.core.policy import Admission
from keelmark.core.vetting import VetVerdict
from keelmark.passport.cyclonedx import to_cyclonedx
from keelmark.passport.files import escape
from keelmark.passport.spdx import to_spdx
from keelmark.vet import Vetted, vetted
from keelmark.vet.explain import explain
from keelmark.vet.fit.cache import CACHE_TYPES
from keelmark.vet.html import to_html
from keelmark.vet.render import to_json, to_sarif, to_text


def _bom(found: Vetted, place: Path) -> str:
    """A bill of materials in the format that the name of its file asks for."""
    return to_spdx(*found) if place.name.endswith(".spdx.json") else to_cyclonedx(*found)


_FILE = click.Path(dir_okay=False, path_type=Path)
_ANY = click.Path(path_type=Path)
_WRITTEN: dict[str, tuple[str, Callable[[Vetted, Path], str]]] = {
    "sarif": ("SARIF", lambda found, _: to_sarif(found.report)),
    "bom": ("The bill of materials", _bom),
    "html": ("The report", lambda found, _: to_html(found.report)),
}


def asked_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is to be answered beyond the artefact itself."""
    for option in (
        click.option(
            "--also",
            type=click.Choice(["modelaudit"]),
            help="Ask another tool too, if it is installed; what it finds counts.",
        ),
        click.option(
            "--cache-type",
            type=click.Choice(list(CACHE_TYPES)),
            default="f16",
            help="Will it fit: what its context is kept in [default: f16].",
        ),
        click.option(
            "--requests",
            type=click.IntRange(1, 65536),
            default=1,
            help="Will it fit: requests at work together, each with that context [default: 1].",
        ),
        click.option(
            "--context",
            type=click.IntRange(0, 1 << 27),
            default=0,
            help="Will it fit: tokens of each request [default: 8192, or less if made for less].",
        ),
        click.option("--stack", type=_FILE, help="What will load it: requirements, lock or BOM."),
        click.option("--advisories", type=_ANY, help="OSV dump: all.zip, or a folder of them."),
        click.option("--project", type=_ANY, help="Local git clone of the project behind it."),
        click.option("--parent", type=_ANY, help="The model that it is said to be made from."),
        click.option(
            "--ask",
            type=_FILE,
            metavar="FILE",
            callback=_ask,
            expose_value=False,
            help="Answer a few questions instead; FILE keeps the answers as a declared use.",
        ),
        click.option("--use", type=_FILE, help="Declared use (YAML): may we do this with it?"),
    ):
        command = option(command)
    return command


def _ask(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        ask_for_use(path)
        context.params["use"] = path


def _explain(context: click.Context, _: click.Parameter, rule: str | None) -> None:
    if rule is not None:
        click.echo(explain(rule), nl=False)
        context.exit()


@click.command()
@click.argument("path", type=_ANY)
@json_option
@click.option("--details", is_flag=True, help="Show every part of every answer.")
@click.option("--sarif", type=_FILE, help="Also write SARIF 2.1.0 here.")
@click.option(
    "--bom",
    type=_FILE,
    help="Also write a bill of materials here: SPDX 3 if the name ends in .spdx.json, CycloneDX "
    "1.6 else.",
)
@click.option("--html", type=_FILE, help="Also write a report for people here.")
@asked_options
@policy_option
@click.option(
    "--each",
    type=_FILE,
    metavar="RESULTS",
    help="Vet every model in PATH; RESULTS gets one line of JSON for each. What it has already "
    "is not done again while files, policy and version are the same.",
)
@click.option(
    "--jobs",
    default=0,
    type=click.IntRange(0, 256),
    help="With --each: models at once [default: one for each core].",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    default="",
    metavar="[ADDRESS]",
    help="With --each: vet on Ray, `auto` or HOST:PORT of a cluster whose nodes see the same "
    "files, or without a value a Ray of this machine that ends with the run.",
)
@click.option(
    "--explain",
    metavar="RULE",
    is_eager=True,
    expose_value=False,
    callback=_explain,
    help="Say what a rule is about, and stop.",
)
def command(
    path: Path,
    *,
    as_json: bool,
    policy: Path | None,
    each: Path | None,
    jobs: int,
    ray: str,
    also: str | None,
    details: bool,
    **wanted: Any,
) -> int:
    """Run every applicable check on a model file or folder. Nothing in it is executed.

    Ends with 0 when it passes the policy, 1 with findings against it, 2 when something could not
    be checked.

    \b
    Examples:
      keelmark vet ./model.gguf
      keelmark vet ./my-model-folder --bom bom.json --html report.html
      keelmark vet ./my-model-folder --use use.yaml --parent ./its-parent
      keelmark vet ./pytorch_model.bin --json | jq .verdict
      keelmark vet ./registry --each results.jsonl
      keelmark vet --explain pickle.dangerous_call
    """
    admission = app.load_policy(policy).admission
    if each:
        return _each(path, each, admission, jobs, ray, as_json=as_json)
    if jobs or ray:
        raise UsageError("--jobs and --ray are for many models: give --each RESULTS too.")
    places = {name: place for name in _WRITTEN if (place := wanted.pop(name))}
    asked = app.asked(**wanted, also=path if also else None)
    found = vetted(path, admission=admission, asked=asked, progress=progress("Reading"))
    for option, place in places.items():
        what, make = _WRITTEN[option]
        write_out(place, make(found, place))
        say(f"{what} was written to {place}.")
    report = found.report
    text = to_text(report, color=coloured(), details=details)
    click.echo(to_json(report) if as_json else text)
    return EXIT[report.verdict]


def _each(
    folder: Path, out: Path, admission: Admission, jobs: int, ray: str, *, as_json: bool
) -> int:
    def told(done: int, total: int, what: str) -> None:
        say(f"[{done} of {total}] {escape(what)}")

    found = app.vet_each(folder, out, admission=admission, jobs=jobs, ray=ray, told=told)
    if as_json:
        print_json({"results": str(out), "verdicts": found.verdicts, "kept": found.kept})
    else:
        for name, verdict, reason in found.worst:
            click.echo(f"{verdict:<11} {escape(name)}: {escape(reason)}")
        passed = found.verdicts[VetVerdict.PASS]
        kept = f", {found.kept} known from before" if found.kept else ""
        click.echo(f"{passed} of {found.verdicts.total()} models pass{kept}; all is in {out}.")
    worst = [v for v in (VetVerdict.FAIL, VetVerdict.INCOMPLETE) if found.verdicts[v]]
    return EXIT[worst[0]] if worst else 0
