"""Where the store is, as it is said on the command line and in the environment."""

import json
import os
from pathlib import Path

import pytest

from keelmark.cli.main import run


def test_the_option_and_the_variable_name_one_database(
    capsys: pytest.CaptureFixture[str], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["keys", "create", "bot", "--database", postgres_url]) == 0
    assert "KEELMARK_DATABASE" not in os.environ
    capsys.readouterr()
    assert run(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    monkeypatch.setenv("KEELMARK_DATABASE", postgres_url)
    assert run(["keys", "list", "--json"]) == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["bot"]
    assert run(["keys", "list", "--json", "--database", ""]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert os.environ["KEELMARK_DATABASE"] == postgres_url


@pytest.mark.parametrize("address", ["hunter2", "postgresql://u:hunter2@127.0.0.1:1/none"])
def test_what_is_wrong_is_one_sentence_without_the_password(
    capsys: pytest.CaptureFixture[str], address: str
) -> None:
    assert run(["keys", "list", "--database", address]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "hunter2" not in told.err


def test_doctor_asks_the_database(
    capsys: pytest.CaptureFixture[str], postgres_url: str, tmp_path: Path
) -> None:
    for address, status in ((postgres_url, "ok"), ("postgresql://127.0.0.1:1/x", "missing")):
        run(["doctor", "--json", "--database", address])
        (item,) = (i for i in json.loads(capsys.readouterr().out) if i["name"] == "database")
        assert item["status"] == status
        assert address.partition("?")[0].rpartition("/")[2] in item["message"]


def test_an_installation_moves(
    capsys: pytest.CaptureFixture[str], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["ledger", "move"]) == 2
    assert "Name the database" in capsys.readouterr().err
    assert run(["ledger", "move", "--database", postgres_url]) == 2
    assert "There is no store in" in capsys.readouterr().err
    assert run(["keys", "create", "bot"]) == 0
    assert run(["ledger", "move", "--database", postgres_url]) == 0
    assert "1 records are in postgresql://keelmark@" in capsys.readouterr().err
    monkeypatch.setenv("KEELMARK_DATABASE", postgres_url)
    assert run(["keys", "list", "--json"]) == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["bot"]
    assert run(["ledger", "verify"]) == 0
