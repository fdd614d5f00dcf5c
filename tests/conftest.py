"""Rules for every test: no network but loopback, no state outside the test's own folder."""

import itertools
import os
import signal
import socket
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

pytest_plugins = ["fixtures_model", "fixtures_servers"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ran this in the background: what tests start would inherit that, and never stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start many processes: each of them would compile all of Keelmark again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_REAL_CONNECT = socket.socket.connect
_REAL_CONNECT_EX = socket.socket.connect_ex
_REAL_GETADDRINFO = socket.getaddrinfo
_KEPT = ("KEELMARK_TEST_CACHE", "KEELMARK_GOLDEN", "KEELMARK_WEIGHTS")
_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine."""


def _check(address: object) -> None:
    host = address[0] if isinstance(address, tuple) else None  # a path or bytes: a Unix socket
    if host is not None and not str(host).startswith(_LOCAL):
        raise NetworkBlockedError(f"Tests stay on loopback; this one tried to reach {host!r}.")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: socket.socket, address: object) -> None:
        _check(address)
        _REAL_CONNECT(self, address)

    def connect_ex(self: socket.socket, address: object) -> int:
        _check(address)
        return _REAL_CONNECT_EX(self, address)

    def getaddrinfo(host: object, *args: object, **kwargs: object) -> object:
        _check((host,))
        return _REAL_GETADDRINFO(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(scope="session")
def _folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders that nobody has made; making one for each test takes long."""
    root = tmp_path_factory.getbasetemp() / "unset"
    return (root / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, _folders: Iterator[Path]) -> None:
    for name in list(os.environ):
        if name == "NO_COLOR" or (name.startswith("KEELMARK_") and name not in _KEPT):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KEELMARK_DATA", str(next(_folders)))


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class _LongestFirst(LoadScopeScheduling):
    """Tests that share real services go first and stay together; what is left at the end is small.

    Those that run the model are one group: one service serves them all.
    """

    def _split_scope(self, nodeid: str) -> str:
        path, _, name = nodeid.partition("::")
        if _runs_the_model(path):
            return "engine"
        return path if "/e2e/" in path else f"{path}::{name.partition('[')[0]}"

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        super().mark_test_complete(node, item_index, duration)
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(self.assigned_work[node][scope].values()):
            del self.assigned_work[node][scope]  # every test would count all that ended before


@cache
def _runs_the_model(path: str) -> bool:
    return "pytest.mark.engine" in (Path(__file__).resolve().parents[1] / path).read_text("utf-8")


def _turn(item: pytest.Item) -> int:
    path = item.nodeid.partition("::")[0]
    kinds = (_runs_the_model(path), "/e2e/" in path, "/property/" in path, "/contract/" in path)
    return next((turn for turn, is_one in enumerate(kinds) if is_one), len(kinds))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _LongestFirst:
    config.option.loadscopereorder = False
    return _LongestFirst(config, log)
