"""One store per test, in its own folder and, on PostgreSQL, in its own database."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.trace import Trace
from keelmark.store import Store

OpenStore = Callable[..., Store]
Tamper = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """Address of the database; "" for SQLite."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else ""


@pytest.fixture
def open_store(folder: Path, database: str, signing_key: Ed25519PrivateKey) -> OpenStore:
    def opened(signer: Ed25519PrivateKey | None = signing_key, **options: Any) -> Store:
        return Store.open(folder, signer, database=database, **options)

    return opened


@pytest.fixture
def store(open_store: OpenStore) -> Iterator[Store]:
    with open_store() as opened:
        yield opened


@pytest.fixture
def tamper(folder: Path, database: str) -> Tamper:
    """Runs a statement behind the back of the store."""

    def run(sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if not database:
            with closing(sqlite3.connect(folder / "keelmark.db")) as db, db:
                return db.execute(sql, values).fetchall()
        with psycopg.connect(database) as remote:
            cursor = remote.execute(sql.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def make_trace() -> Callable[..., Trace]:
    def make(number: int, **fields: object) -> Trace:
        values = {"subject": "ada@example.org", "key_id": "key_1", "model": "tiny", **fields}
        return Trace(trace_id=f"{number:032x}", started=1000.0 + number, **values)  # type: ignore[arg-type]

    return make
