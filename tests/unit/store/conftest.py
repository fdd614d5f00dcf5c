"""One store per test, in its own folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keelmark.core.trace import Trace
from keelmark.store import Store


@pytest.fixture
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path, signing_key: Ed25519PrivateKey) -> Iterator[Store]:
    with Store.open(folder, signing_key) as opened:
        yield opened


@pytest.fixture
def make_trace() -> Callable[..., Trace]:
    def make(number: int, **fields: object) -> Trace:
        values = {"subject": "ada@example.org", "key_id": "key_1", "model": "tiny", **fields}
        return Trace(trace_id=f"{number:032x}", started=1000.0 + number, **values)  # type: ignore[arg-type]

    return make
