"""Teams of keys: made, listed, in traces, and in the scope of rules."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from keelmark import app
from keelmark.cli.main import run
from keelmark.core.trace import Trace


def made(capsys, *words):
    assert run(["keys", "create", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_key_has_a_team_and_the_list_can_be_of_one(capsys):
    own = made(capsys, "bot", "--team", "Buchhaltung Süd")
    other = made(capsys, "plain")
    assert (own["team"], other["team"]) == ("Buchhaltung Süd", "")
    assert run(["keys", "list", "--team", "Buchhaltung Süd"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert own["id"] in line
    assert line.endswith("Buchhaltung Süd bot")
    assert run(["keys", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.index("bot") == second.index("plain"), "the columns are aligned"
    assert run(["keys", "list", "--team", "sales"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "There is no key of team 'sales'; there are: Buchhaltung Süd." in told.err


def test_the_ledger_knows_the_team(capsys):
    made(capsys, "bot", "--team", "support")
    with app.Home.open() as home:
        (record,) = home.store.records(["key.created"])
        assert record.body["team"] == "support"


@pytest.mark.parametrize("team", [" support", "a\x1b[2J", "x" * 65])
def test_a_team_that_cannot_be_shown_is_refused(capsys, team):
    assert run(["keys", "create", "bot", "--team", team]) == 2
    assert "A team's name has at most 64 characters" in capsys.readouterr().err


def test_traces_of_one_team(capsys):
    own, other = made(capsys, "a", "--team", "support"), made(capsys, "b")

    async def serve(store):
        for number, key in enumerate((own, other, own)):
            trace = Trace(
                trace_id=f"{number:032x}", started=float(number), key_id=key["id"],
                team=key["team"], model="tiny",
            )  # fmt: skip
            await store.record(trace, None)

    with app.Home.open() as home:
        asyncio.run(serve(home.store))
    assert run(["traces", "--team", "support", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["trace_id"][-1] for one in listed] == ["2", "0"]
    assert {one["attributes"]["keelmark.key.team"] for one in listed} == {"support"}
    assert run(["traces", "0" * 32]) == 0
    assert "team      support" in capsys.readouterr().out
    assert run(["traces", "--team", "sales"]) == 0
    assert "no traces of team 'sales' yet" in capsys.readouterr().err


def test_keys_of_a_store_made_before_there_were_teams(capsys):
    before = made(capsys, "old")
    with app.Home.open() as home:
        path = home.store.folder / "keelmark.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE api_keys DROP COLUMN team")
        for table in ("usage", "spent", "board", "kept"):  # what came later
            db.execute(f"DROP TABLE {table}")
        db.execute("DELETE FROM migrations WHERE name >= '_004'")
    assert run(["keys", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["team"]) == (before["id"], "")
    assert made(capsys, "new", "--team", "support")["team"] == "support"
