"""Raw HTTP for tests: bytes out, answers back, one connection."""

import contextlib
import http.client
import json
import re
import select
import socket
import time
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, object]:
        return json.loads(self.body)["error"]


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_answer(connection: socket.socket) -> Answer | None:
    """The next answer; None when the connection was closed without one."""
    response = http.client.HTTPResponse(connection)
    with contextlib.closing(response):
        try:
            response.begin()
        except (http.client.BadStatusLine, ConnectionError):
            return None
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def exchange(port: int, *parts: bytes, pause: float = 0.05) -> Answer | None:
    """Send parts with pauses between them; return the first answer, if there was any."""
    with connect(port) as connection:
        for number, part in enumerate(parts):
            if number:
                time.sleep(pause)
            with contextlib.suppress(ConnectionError):  # refused early: the answer is what counts
                connection.sendall(part)
        return read_answer(connection)


def send_until_answered(connection: socket.socket, data: bytes, times: int) -> int:
    """Send `data` again and again; return how many bytes left before an answer was there."""
    for number in range(times):
        if select.select([connection], [], [], 0)[0]:
            return number * len(data)
        connection.sendall(data)
    return times * len(data)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def check_sentence(said: str) -> None:
    """One sentence for a person: no traceback, no exception's name, nothing after its end."""
    assert said == said.strip()
    assert "\n" not in said
    assert said.endswith((".", "?"))
    assert not re.search(r"Traceback|\b[A-Za-z]+(Error|Exception)\b|0x[0-9a-f]{6}", said), said
    assert not re.search(r"[.!?] +[A-Z]", re.sub(r"`[^`]*`", "``", said)), said
    assert len(said) < 400
