"""`keelmark redteam --garak|--pyrit|--read`: tools of others, and their results by OWASP's list."""

from __future__ import annotations

from pathlib import Path

from keelmark.app.evaluation.neighbours import Tool, record_foreign, run_garak, run_pyrit
from keelmark.app.evaluation.targets import Wanted
from keelmark.app.home import Home
from keelmark.cli._common import print_json, say, tell
from keelmark.cli._tables import table
from keelmark.core.errors import UsageError
from keelmark.evaluate.crosswalk import crosswalk
from keelmark.evaluate.foreign import Foreign, by_entry, read_foreign


def foreign(
    home: Home,
    wanted: Wanted,
    options: dict[str, str | None],
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    """Run a tool of others or read its results; show them, and put them into the ledger.

    Args:
        home: The installation.
        wanted: The service to attack.
        options: `garak`, `pyrit`, `read` and `program`.
        out: Folder for what the tool writes; one in the data folder when None.
        as_json: Whether to print JSON.

    Raises:
        KeelmarkError: With the sentence that says what is in the way.
    """
    named = [name for name in ("garak", "pyrit", "read") if options[name]]
    if len(named) != 1:
        raise UsageError("Choose one of --garak, --pyrit and --read.")
    what, program = str(options[named[0]]), options["program"]
    folder = (out or home.data / "redteam").absolute()
    if named == ["read"]:
        path = Path(what)
    elif not wanted.url or not wanted.model:
        raise UsageError(
            f"--{named[0]} attacks a service that runs: name it with --url, and its model with "
            "--model."
        )
    elif named == ["garak"]:
        tool = Tool(program=program or "garak", what=what, folder=folder)
        path = run_garak(tool, wanted)
    else:
        tool = Tool(program=program or "python3", what=what, folder=folder)
        path = run_pyrit(tool, wanted)
    made = read_foreign(path)
    record_foreign(home, made)
    if as_json:
        print_json(made)
    else:
        tell(_text(made))
        say(f"Read from {path}")
    return 0 if made.complete else 2


def _text(made: Foreign) -> str:
    titles = {one.id: one.title for one in crosswalk().entry}
    counted = ["got through", "judged", "unjudged"]
    entries = [
        [name.upper() or "none", titles.get(name, ""), *map(str, counts), _share(*counts[:2])]
        for name, counts in by_entry(made).items()
    ]
    each = [
        [one.probe, one.detector, *map(str, (one.hits, one.n, one.unjudged)), _ids(one.owasp)]
        for one in made.found
    ]
    parts = [
        f"{made.tool} {made.version}" + (f" on {made.target}" if made.target else ""),
        table(["OWASP 2025", "", *counted, ""], entries, right=(2, 3, 4, 5)),
        table(["probe", "detector", *counted, "OWASP 2025"], each, right=(2, 3, 4)),
        "\n".join(f"Note: {one}" for one in made.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _ids(ids: tuple[str, ...]) -> str:
    return ", ".join(one.upper() for one in ids)


def _share(hits: int, n: int) -> str:
    return f"{100 * hits / n:.0f} %" if n else ""
