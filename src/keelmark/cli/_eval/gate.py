"""`keelmark eval gate`: do runs show what the policy demands?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from keelmark.app.evaluation.found import gate_lines, runs_of
from keelmark.app.evaluation.views import seen
from keelmark.app.home import load_policy
from keelmark.cli._common import (
    data_option,
    json_option,
    policy_option,
    print_json,
    tell,
    write_out,
)
from keelmark.core.errors import UsageError
from keelmark.core.gates import Gates
from keelmark.evaluate.ci import gate_sarif, junit, markdown
from keelmark.evaluate.comparison import Run
from keelmark.evaluate.decision import decide, ruling_lines
from keelmark.evaluate.gating import Ruling, overall, rule

_CODES = {"pass": 0, "fail": 1, "could not tell": 2}
_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--baseline", metavar="RUN", help="Runs that these are compared with.")
@click.option("--partial", is_flag=True, help="Leave out suites that were not run.")
@click.option("--junit", "junit_file", type=_file, help="Write JUnit XML there.")
@click.option("--sarif", "sarif_file", type=_file, help="Write SARIF there.")
@click.option("--markdown", "markdown_file", type=_file, help="Write a Markdown table there.")
@data_option
@policy_option
@json_option
def command(
    runs: tuple[str, ...],
    baseline: str | None,
    data: Path | None,
    policy: Path | None,
    *,
    partial: bool,
    as_json: bool,
    **files: Path | None,
) -> int:
    """Say whether each RUN shows what the policy's gates demand, for CI.

    A RUN is its name, its folder, or a folder with several runs. With --baseline, what decides in
    a suite may be worse than there by no more than the policy allows.

    Ends with 0 when every demand is met, 1 when one is not, 2 when one cannot be told: too few
    samples for the interval to keep the limit, an incomplete run, a suite that was not run.

    \b
    Examples:
      keelmark eval gate arc_easy-26dfa41f9eb5 --policy gates.yaml
      keelmark eval gate ./runs --baseline ./runs-of-main --junit gates.xml --sarif gates.sarif
    """
    gates = load_policy(policy).gates
    found = seen([one for name in runs for one in runs_of(name, data)], gates.require)
    _check(gates, found, baseline)
    before = runs_of(baseline, data) if baseline else []
    if partial:
        known = {one.suite.id for one in found}
        some = tuple(one for one in gates.require if one.suite in ("*", *known))
        gates = msgspec.structs.replace(gates, require=some)
        before = [one for one in before if one.suite.id in known] or before
    sentences: list[str] = []
    if before:
        [decision] = decide(before, [found], gates)
        rulings: Sequence[Ruling] = decision.rulings
        sentences.append(decision.sentence)
    else:
        rulings = rule(gates, found)
    _write(rulings, sentences, policy, files)
    if as_json:
        print_json({"answer": overall(rulings), "sentences": sentences, "rulings": rulings})
    else:
        tell("\n".join([*ruling_lines(rulings), *sentences]))
    return _CODES[overall(rulings)]


def _check(gates: Gates, found: Sequence[Run], baseline: str | None) -> None:
    known = {"*", *(one.suite.id for one in found)}
    if not baseline and not any(one.suite in known for one in gates.require):
        some = found[0].suite
        raise UsageError(
            f"The policy demands nothing of {some.id}: add `gates: {{require: [{{suite: {some.id}, "
            "at_least: 0.5}]}` to it, or give --baseline."
        )


def _write(
    rulings: Sequence[Ruling],
    sentences: Sequence[str],
    policy: Path | None,
    files: dict[str, Path | None],
) -> None:
    if path := files["junit_file"]:
        write_out(path, junit(rulings))
    if path := files["sarif_file"]:
        write_out(path, gate_sarif(rulings, *gate_lines(policy)))
    if path := files["markdown_file"]:
        write_out(path, markdown(rulings, sentences))
