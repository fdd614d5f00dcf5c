"""The head of an answer travels with what follows it."""

import asyncio

from keelmark.serve.protocol import _OneWrite

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Written(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.log.append(bytes(data))

    def close(self) -> None:
        self.log.append(b"closed")


def written(*steps: bytes | float | None) -> list[bytes]:
    """Write bytes, let the loop come round at 0.0, close at None; return what was written."""

    async def scenario() -> list[bytes]:
        below = Written()
        above = _OneWrite(below)
        for step in steps:
            if isinstance(step, bytes):
                above.write(step)
            elif step is None:
                above.close()
            else:
                await asyncio.sleep(step)
        return below.log

    return asyncio.run(scenario())


def test_head_and_body_are_one_write() -> None:
    assert written(HEAD, b"ok", 0.0) == [HEAD + b"ok"]


def test_a_head_does_not_wait_for_a_body_that_takes_its_time() -> None:
    assert written(HEAD, 0.0, b"ok") == [HEAD, b"ok"]


def test_nothing_is_lost_when_it_closes() -> None:
    assert written(HEAD, None, 0.0) == [HEAD, b"closed"]


def test_what_is_no_head_is_written_at_once() -> None:
    assert written(b"HTTP/1.1 200 OK", b"1\r\na\r\n", b"0\r\n\r\n") == [
        b"HTTP/1.1 200 OK",
        b"1\r\na\r\n",
        b"0\r\n\r\n",
    ]
