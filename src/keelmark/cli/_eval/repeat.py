"""`keelmark eval repeat`: the same run once more, and where it came otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from keelmark.app.engines import Person
from keelmark.app.evaluation import Order, Wanted, evaluate
from keelmark.app.home import Home, data_folder
from keelmark.cli._common import home_options, print_json, progress, say, tell
from keelmark.cli._eval.run import target_options, wanted_of
from keelmark.core.errors import UsageError
from keelmark.evaluate.journal import Journal
from keelmark.evaluate.manifest import Manifest
from keelmark.evaluate.repeat import Repeat, compare, other_manifest
from keelmark.evaluate.result import read_manifest
from keelmark.evaluate.suite import load_suite
from keelmark.evaluate.vary import variants_of


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
@target_options
@click.option("--suite", default="", help="File of the suite, when it is one of your own.")
@home_options
def command(
    run: Path,
    other: Path | None,
    data: Path | None,
    policy: Path | None,
    *,
    suite: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Make RUN (its name, or its folder) once more from its manifest, and compare every reply.

    With OTHER, two runs that are there are compared. The report says which samples came otherwise,
    and how: log-probabilities by how much, answers from which character on. Who is asked is taken
    from the manifest; name a model file, a policy or a key again when the run had one.

    Ends with 0 when all is the same bit for bit, 1 when not.

    \b
    Examples:
      keelmark eval repeat arc_easy-26dfa41f9eb5
      keelmark eval repeat gsm8k-8d01b2a77c30 --parallel 1
      keelmark eval repeat ./runs/one ./runs/other --json
    """
    first = _folder(run, data)
    if other is None:
        with Home.open(data, policy) as home:
            second = _again(first, suite, home, wanted_of(options, policy))
    else:
        second = _folder(other, data)
    found = compare(Journal(first).kept(), Journal(second).kept())
    changed = other_manifest(read_manifest(first), read_manifest(second))
    _show(found, changed, first, second, as_json=as_json)
    return 0 if found.same else 1


def _folder(run: Path, data: Path | None) -> Path:
    folder = run if run.is_dir() else data_folder(data) / "runs" / run
    if not folder.is_dir():
        raise UsageError(
            f"There is no run {str(run)!r}; `keelmark eval show` lists those there are."
        )
    return folder


def _again(folder: Path, suite: str, home: Home, wanted: Wanted) -> Path:
    """Make a run once more, beside the other runs; return its folder.

    Raises:
        UsageError: It would be another run.
    """
    old = read_manifest(folder)
    name = suite or old.suite.id
    if load_suite(name).suite.digest != old.suite_digest:
        raise UsageError(
            f"The suite {name} is another one than that of the run: give its file with --suite."
        )
    if old.judge is not None:
        raise UsageError(
            "Another model judged this run: run it again with `eval run ... --judge ... --out "
            "FOLDER`, and compare both with `eval repeat RUN OTHER`."
        )
    sampling = old.sampling
    done = evaluate(
        Order(
            suite=name,
            wanted=_same_target(old, wanted),
            sampling=msgspec.structs.replace(sampling, variants=()),
            variants=variants_of(old.suite, sampling.variants, sampling.seed),
            out=home.data / "repeats",
            again=True,
        ),
        home,
        Person(say, progress),
        progress("Asked", things="samples"),
    )
    return done.folder


def _same_target(old: Manifest, wanted: Wanted) -> Wanted:
    if wanted.how == "raw" or wanted.url:
        return wanted
    how, asked = old.asked.how, old.asked
    if how != "url":
        return msgspec.structs.replace(wanted, how=how)
    return msgspec.structs.replace(
        wanted, how=how, url=asked.url, model=wanted.model or asked.model
    )


def _show(
    found: Repeat, changed: tuple[str, ...], first: Path, second: Path, *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                **msgspec.to_builtins(found),
                "sentence": found.sentence,
                "manifest_differs": changed,
                "runs": [str(first), str(second)],
            }
        )
        return
    tell(found.sentence)
    for one in found.first:
        tell(f"  {one.id}, ask {one.ask}, {one.what}: {one.detail}")
    if found.differing > len(found.first):
        tell("  ...")
    if changed:
        tell(
            f"The runs were not of one manifest: {', '.join(changed)} differ, so this says "
            "nothing about determinism."
        )
    tell(f"Compared {first} and {second}")
