"""`keelmark eval card`: results in a model card, and on a page with plots."""

from __future__ import annotations

from pathlib import Path

import click

from keelmark.app.evaluation.found import load_of, runs_of
from keelmark.app.evaluation.views import seen
from keelmark.app.home import load_policy
from keelmark.cli._common import data_option, policy_option, say, tell, write_out
from keelmark.core.errors import UsageError
from keelmark.evaluate.card import card_text, into_card
from keelmark.evaluate.gating import rule
from keelmark.evaluate.page import page

_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--into", type=_file, help="Model card (README.md) to write the results into.")
@click.option("--html", type=_file, help="Write a page with plots there.")
@click.option("--load", type=_file, help="Load curve for the page (`eval load --out`).")
@click.option("--name", default="", help="Name of the model [default: as it was asked].")
@data_option
@policy_option
def command(
    runs: tuple[str, ...],
    into: Path | None,
    html: Path | None,
    load: Path | None,
    name: str,
    data: Path | None,
    policy: Path | None,
) -> int:
    """Tell the results of RUNs in a model card and on a page.

    A RUN is its name, its folder, or a folder with several runs. Into a card go the front matter
    that hubs read (model-index) and a table for people; what else is there stays as it is. The
    page has intervals, slices, calibration and what everything rests on, and it says whether the
    policy's gates are met. Without --into and --html the card is printed.

    \b
    Examples:
      keelmark eval card arc_easy-26dfa41f9eb5 gsm8k-0f9b2c77a1d4 --into README.md
      keelmark eval card ./runs --html evaluation.html --load load.json
    """
    found = [one for run in runs for one in runs_of(run, data)]
    models = {one.manifest.asked.model_digest or one.manifest.asked.model for one in found}
    if len(models) > 1:
        raise UsageError(
            f"The runs are of {len(models)} models, and a card is of one: name the runs of one, "
            "or compare them with `keelmark eval compare`."
        )
    gates = load_policy(policy).gates
    if html:
        title = name or found[0].manifest.asked.model
        rulings = rule(gates, seen(found, gates.require)) if gates.require else []
        write_out(html, page(title, found, rulings, load_of(load, found)))
        say(f"The page is in {html}.")
    if into:
        write_out(into, into_card(_text_of(into), found, name))
        say(f"The results are in {into}.")
    if not html and not into:
        tell(card_text(found, name), nl=False)
    return max(one.result.exit_code for one in found)


def _text_of(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; name a model card in Markdown.") from None
