"""Rules for every test: no network but loopback, no state outside the test's own folder."""

import os
import signal
import socket
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["fixtures_model", "fixtures_servers"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ran this in the background: what tests start would inherit that, and never stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_REAL_CONNECT = socket.socket.connect
_REAL_CONNECT_EX = socket.socket.connect_ex
_REAL_GETADDRINFO = socket.getaddrinfo
_KEPT = ("KEELMARK_TEST_CACHE", "KEELMARK_GOLDEN")
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


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name == "NO_COLOR" or (name.startswith("KEELMARK_") and name not in _KEPT):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KEELMARK_DATA", str(tmp_path / "keelmark-data"))


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class _OneEngineAtATime(LoadScopeScheduling):
    """Tests that run the model stay on one worker: two models at once would starve each other."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if _runs_the_model(path):
            return "engine"
        return path if "/e2e/" in path else nodeid


@cache
def _runs_the_model(path: str) -> bool:
    return "pytest.mark.engine" in (Path(__file__).resolve().parents[1] / path).read_text("utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _OneEngineAtATime:
    return _OneEngineAtATime(config, log)
