"""A server under measurement: started, watched, stopped; what it and its children use."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


class DidNotStartError(Exception):
    """It ended, or did not answer in time."""


class Server:
    """A process that listens.

    Attributes:
        path: Where it answers chat calls.
        model: The name it knows the mock engine by.
        headers: What its clients have to send.
    """

    def __init__(self, command, port, health, **options):
        self.port = port
        self.path = options.pop("path", "/v1/chat/completions")
        self.model = options.pop("model", "mock")
        self.headers = options.pop("headers", ())
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=self.log, stderr=self.log, **options
        )
        try:
            self._wait(f"http://127.0.0.1:{port}{health}", 120)
        except DidNotStartError:
            self.stop()
            raise

    def _wait(self, url, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                code = self.process.returncode
                raise DidNotStartError(f"it ended with code {code}: {self.said()}")
            try:
                urllib.request.urlopen(url, timeout=2).read()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise DidNotStartError(f"no answer within {seconds} s: {self.said()}")

    def said(self):
        """The last line of its log."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "nothing"

    def cpu(self):
        """CPU seconds of it and its children so far."""
        ticks = 0
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def memory(self, field="VmRSS"):
        """Resident megabytes of it and its children; `VmHWM`: the most each has had."""
        kilobytes = 0
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(f"{field}:"):
                        kilobytes += int(line.split()[1])
        return round(kilobytes * 1024 / 1e6, 1)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
