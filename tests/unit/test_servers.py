"""The servers that tests are given are real, empty, and each test's own."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis

from fixtures_servers import Postgres

WORKED = "CREATE TABLE mine (x integer)"


@pytest.mark.parametrize("_again", [1, 2])
def test_every_test_has_an_empty_database(postgres_url: str, _again: int) -> None:
    with psycopg.connect(postgres_url) as db:
        db.execute(WORKED)
        assert db.execute("SHOW server_encoding").fetchone() == ("UTF8",)


@pytest.mark.parametrize("_again", [1, 2])
def test_every_test_has_an_empty_redis(redis_url: str, _again: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("mine", 1)


def test_a_server_of_its_own_is_killed_and_comes_back(own_postgres: Postgres) -> None:
    url = own_postgres.new_database("mine")
    with psycopg.connect(url) as db:
        db.execute(WORKED)
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    own_postgres.start()
    with psycopg.connect(url) as db:
        assert db.execute("SELECT count(*) FROM mine").fetchone() == (0,)


INNER = """
import os, signal
def test_it(_redis_told):
    open({told!r}, "w").write(_redis_told["folder"])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "folder"
    (tmp_path / "test_inner.py").write_text(INNER.format(told=str(told)))
    shutil.copy(Path(__file__).parents[1] / "fixtures_servers.py", tmp_path)
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['fixtures_servers']")
    command = [sys.executable, "-m", "pytest", "-q", "--basetemp", str(tmp_path / "base")]
    done = subprocess.run([*command, "--rootdir", tmp_path, tmp_path], check=False, cwd=tmp_path)
    assert done.returncode < 0
    deadline = time.monotonic() + 60
    while Path(told.read_text()).exists():
        assert time.monotonic() < deadline, "the server outlives the run"
        time.sleep(0.05)
