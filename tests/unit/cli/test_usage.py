"""`keelmark usage` and `keelmark budgets`: what was used, from the store alone."""

import asyncio
import csv
import io
import json

import pytest

from keelmark import app
from keelmark.cli.main import run
from keelmark.core.accounts import Account
from keelmark.core.metering import Amounts, Ceiling, Hold, Usage
from keelmark.core.trace import Trace
from keelmark.core.windows import window_at
from keelmark.store.reconcile import open_meter

POLICY = """
extends: default
quota:
  budgets:
    - {id: all-time, window: total, per: [team], money: 2, tokens: 5000}
    - {id: other, window: month, tokens: 9}
"""
JULY = 1_784_000_000.0


def usage(number, account, **fields):
    given = {
        "id": f"u{number}",
        "trace_id": f"{number:032x}",
        "admitted": JULY + number * 86400,
        "key_id": "key_1",
        "subject": "ada",
        "team": "blue",
        "model": "tiny",
        "engine": "e",
        "amounts": Amounts(1_234_567_891, 100, 20),
        "currency": "USD",
        "accounts": (account,),
    }
    return Usage(**{**given, **fields})


@pytest.fixture
def filled(tmp_path):
    """A store with three usages and a hold; returns the policy's file."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    account = str(Account("all-time", window_at("total", "UTC", JULY)[0], {"team": "blue"}))
    about = {"trace_id": "t", "key_id": "k", "subject": "s", "team": "blue", "model": "tiny"}
    hold = Hold(
        id="h",
        admitted=JULY,
        amounts=Amounts(500_000_000, 10, 5),
        accounts=((account, Ceiling()),),
        about={**about, "engine": "e", "currency": "USD", "priced": True},
    )

    async def fill(store):
        for number, more in enumerate(({}, {"team": "red", "how": "counted"}, {"priced": False})):
            trace = Trace(trace_id=f"{number:032x}", started=1.0, key_id="key_1", subject="ada")
            amounts = (
                {"amounts": Amounts(0, 7, 3), "model": "odd"} if more.get("priced") is False else {}
            )
            await store.record(trace, None, [usage(number, account, **more, **amounts)])
        meter = open_meter(store)
        assert await meter.reserve(hold) is None
        meter.close()

    with app.Home.open() as home:
        asyncio.run(fill(home.store))
    return policy


def test_usage_is_summed_by_what_is_asked_for(filled, capsys):
    assert run(["usage", "--by", "team", "--by", "day", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["team"], row["day"], row["calls"]) for row in rows] == [
        ("blue", "2026-07-14", 1),
        ("blue", "2026-07-16", 1),
        ("red", "2026-07-15", 1),
    ]
    assert rows[0]["money"] == "1.234567891"
    assert rows[1]["money"] is None, "unknown is not 0"
    assert (rows[2]["estimated"], rows[2]["unpriced"]) == (1, 0)
    assert run(["usage"]) == 0
    out = capsys.readouterr().out
    assert "MODEL" in out
    assert "unknown" in out
    assert "2.469135782" in out


def test_usage_of_a_time_and_of_somebody(filled, capsys):
    assert run(["usage", "--since", "2026-07-15", "--until", "2026-07-16", "--csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["calls"], row["input"], row["money"]) == ("1", "100", "1.234567891")
    assert run(["usage", "--user", "ada", "--by", "user", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["calls"], row["user"] != "ada") == (3, True)
    assert run(["usage", "--user", "bob"]) == 0
    assert "no usage of that" in capsys.readouterr().err
    assert run(["usage", "--by", "colour"]) == 2


def test_budgets_show_what_is_used_held_and_left(filled, capsys):
    assert run(["budgets", "--policy", str(filled), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["budget"], row["team"], row["ends"], row["calls"]) == ("all-time", "blue", None, 3)
    assert row["amounts"]["money"] == {
        "limit": "2.00",
        "used": "2.469135782",
        "held": "0.50",
        "left": "-0.969135782",
    }
    assert row["amounts"]["tokens"]["left"] == 5000 - 250 - 15
    assert run(["budgets", "--policy", str(filled)]) == 0
    out = capsys.readouterr().out
    assert "team blue" in out
    assert "never" in out
    assert run(["budgets", "--policy", str(filled), "--budget", "other"]) == 0
    assert "Nothing is used" in capsys.readouterr().err
    assert run(["budgets", "--policy", "default"]) == 0
    assert "no budgets" in capsys.readouterr().err
