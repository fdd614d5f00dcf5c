"""`keelmark eval compare`: may one model take the place of another?"""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.app.evaluation.found import runs_of
from keelmark.app.evaluation.views import seen
from keelmark.app.home import load_policy
from keelmark.cli._common import data_option, json_option, policy_option, print_json, tell
from keelmark.evaluate.decision import decide, decision_text
from keelmark.evaluate.ranking import rank, ranking_text


@click.command()
@click.argument("baseline", metavar="A")
@click.argument("candidates", metavar="B...", nargs=-1, required=True)
@data_option
@policy_option
@json_option
def command(
    baseline: str,
    candidates: tuple[str, ...],
    data: Path | None,
    policy: Path | None,
    *,
    as_json: bool,
) -> int:
    """Compare runs sample by sample: may B take the place of A?

    A and B are names of runs, their folders, or folders with several runs (one of each suite).
    Figures are compared on the same samples, with intervals and exact tests, corrected for their
    number. The policy's gates say how much worse B may be; without any, what decides in a suite
    may drop by 0.02.

    Ends with 0 when B may replace A (or every B), 1 when not, 2 when it cannot be told.

    \b
    Examples:
      keelmark eval compare arc_easy-26dfa41f9eb5 arc_easy-8d01b2a77c30
      keelmark eval compare ./runs-parent ./runs-quantised --policy my-policy.yaml
      keelmark eval compare runs-a runs-b runs-c      # which of three, and at what price
    """
    gates = load_policy(policy).gates
    sides = [seen(runs_of(one, data), gates.require) for one in (baseline, *candidates)]
    decisions = decide(sides[0], sides[1:], gates)
    ranks = rank(sides) if len(sides) > 2 else ()
    if as_json:
        one = decisions[0] if len(decisions) == 1 else {"decisions": decisions, "ranking": ranks}
        print_json(one)
    else:
        tell("\n\n".join(decision_text(one) for one in decisions))
        if ranks:
            tell("\n" + ranking_text(ranks))
    codes = {one.exit_code for one in decisions}
    return 1 if 1 in codes else max(codes)
