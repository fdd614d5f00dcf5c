"""A store goes from its file to PostgreSQL whole, or stays where it is."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.errors import IntegrityError, UnavailableError, UsageError
from keelmark.core.keys import ApiKey
from keelmark.core.trace import Content, Trace
from keelmark.store import Signer, Store
from keelmark.store.moving import move
from keelmark.store.verify_bundle import Key

SAID = Content(prompt=b"the quick brown fox", answer=b"the lazy dog")
OLD = ApiKey(id="key_1", name="b\u00f6t", hash=bytes(32), scopes=("models",), created=1.0)
MakeTrace = Callable[..., Trace]


@pytest.fixture
def key(signing_key: Ed25519PrivateKey) -> Key:
    return Signer(signing_key).key


@pytest.fixture
def filled(folder: Path, signing_key: Ed25519PrivateKey, make_trace: MakeTrace) -> str:
    """A store in a file; its newest checkpoint."""

    async def record(store: Store) -> None:
        traces = (make_trace(n, subject=f"s{n % 7}", model="a\0b") for n in range(700))
        await asyncio.gather(*(store.record(trace, SAID) for trace in traces))

    with Store.open(folder, signing_key) as store:
        asyncio.run(record(store))
        store.add_key(OLD)
        store.put_passport("sha256:aa", b"old")
        store.put_passport("sha256:aa", b"new")
        store.put_model("tiny", folder / "tiny", "sha256:aa")
        store.erase("s3")
        return store.checkpoint() or ""


def test_all_of_it_is_there_and_goes_on(
    filled: str, folder: Path, signing_key: Ed25519PrivateKey, postgres_url: str, key: Key
) -> None:
    assert move(folder, postgres_url, key) == 702
    assert (folder / "keelmark.db.moved").exists()
    assert not list(folder.glob("keelmark.db-*"))
    with pytest.raises(UsageError, match="no store"):
        Store.open(folder, read_only=True)
    with Store.open(folder, signing_key, database=postgres_url) as store:
        assert store.verify(against=filled).ok
        assert store.size() == 702
        assert store.read_content(f"{1:032x}") == SAID
        assert store.read_content(f"{3:032x}") is None
        assert len(store.traces(limit=1000, subject="s1")) == 100
        assert store.keys() == [OLD]
        assert store.passport("sha256:aa") == b"new"
        assert store.model("tiny") is not None
        store.put_passport("sha256:aa", b"newest")
        assert store.passport("sha256:aa") == b"newest"
        assert store.append("service.started", {}) == 702
        assert store.verify(against=filled).ok


def test_it_stays_where_it_is(
    filled: str, folder: Path, signing_key: Ed25519PrivateKey, postgres_url: str, key: Key
) -> None:
    with (
        Store.open(folder, signing_key) as store,
        pytest.raises(UnavailableError, match="in use; stop the service"),
    ):
        move(folder, postgres_url, key)
    with pytest.raises(UnavailableError, match="does not answer"):
        move(folder, "postgresql://127.0.0.1:1/none", key)
    with Store.open(folder, signing_key, database=postgres_url) as other:
        other.append("service.started", {})
    with pytest.raises(UsageError, match="holds a store already"):
        move(folder, postgres_url, key)
    with Store.open(folder, signing_key) as store:
        store.submit(
            lambda tx: tx.db.execute("UPDATE traces SET model = 'x' WHERE seq = 5").rowcount
        )
    with pytest.raises(IntegrityError, match="does not verify"):
        move(folder, postgres_url, key)
    with pytest.raises(UsageError, match="no store"):
        move(folder / "nowhere", postgres_url, key)
    with Store.open(folder, signing_key) as store:
        assert store.size() == 702
    with psycopg.connect(postgres_url) as db:
        assert db.execute("SELECT count(*) FROM traces").fetchone() == (0,)
