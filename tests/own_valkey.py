"""A Valkey or Redis server of a test's own, to be killed: it comes back without its data."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest


class OwnValkey:
    """A server on a port of its own.

    Attributes:
        url: Its address.
    """

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("valkey-server") or shutil.which("redis-server")
        if self._program is None:
            pytest.skip("neither valkey-server nor redis-server is installed here")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._folder = folder
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        command = [self._program, *words, "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=60).close()
            except ConnectionRefusedError:
                assert self._process.poll() is None, "it did not start"
            else:
                return

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
