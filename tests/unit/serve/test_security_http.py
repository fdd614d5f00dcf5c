"""Requests that two readers of HTTP would read differently, over raw sockets.

Each is followed on the same connection by one that a proxy before us might have taken for a part
of its body. Either what is odd is refused and the connection ends, or both readers agree: then
the second request is a request of its own, and answered as one.
"""

import asyncio
import re

import pytest

from gateway_parts import GUARDED, run, stack
from keelmark.core.policy import Limits, Policy

BODY = b'{"model":"fake","messages":[{"role":"user","content":"hi"}]}'
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
END = b"0\r\n\r\n"
LENGTH = b"content-length: %d" % len(BODY)
CHUNKED = b"transfer-encoding: chunked"
POST = b"POST /v1/chat/completions HTTP/1.1"
HOST = b"host: localhost"


def asked(*lines, body=BODY, start=POST, host=HOST, end=b"\r\n"):
    """A request in which `KEY` stands for the key."""
    head = [start, *([host] if host else []), b"authorization: Bearer KEY", *lines]
    return end.join([*head, b"content-type: application/json"]) + end + end + body


def chunks(size, rest=END, data=BODY + b"\r\n", head=(CHUNKED,)):
    return asked(*head, body=size + data + rest)


SIZE = b"%x" % len(BODY)
REFUSED = {
    "length and chunks": asked(LENGTH, CHUNKED, body=CHUNK + END),
    "chunks and length": asked(CHUNKED, LENGTH, body=CHUNK + END),
    "no length and chunks": asked(b"content-length: 0", CHUNKED, body=CHUNK + END),
    "two lengths": asked(LENGTH, LENGTH),
    "two lengths that differ": asked(LENGTH, b"content-length: 5"),
    "a list of lengths": asked(LENGTH + b", %d" % len(BODY)),
    "a length with a sign": asked(b"content-length: +%d" % len(BODY)),
    "a negative length": asked(b"content-length: -1"),
    "a hexadecimal length": asked(b"content-length: 0x%x" % len(BODY)),
    "a length in two parts": asked(b"content-length: 6 0"),
    "an empty length": asked(b"content-length: "),
    "an unknown coding": asked(b"transfer-encoding: xchunked", body=CHUNK + END),
    "a coding after a tab": asked(b"transfer-encoding: \x0bchunked", body=CHUNK + END),
    "a coding after chunks": asked(b"transfer-encoding: chunked, identity", body=CHUNK + END),
    "identity and a length": asked(b"transfer-encoding: identity", LENGTH),
    "chunks twice": asked(CHUNKED, CHUNKED, body=CHUNK + END),
    "chunks, then identity": asked(CHUNKED, b"transfer-encoding: identity", body=CHUNK + END),
    "a folded line": asked(b"x-a: 1\r\n folded", LENGTH),
    "a folded coding": asked(b"transfer-encoding:\r\n chunked", body=CHUNK + END),
    "a folded length": asked(b"content-length:\r\n %d" % len(BODY)),
    "a space before the colon": asked(b"content-length : %d" % len(BODY)),
    "a space in a name": asked(b"x y: 1", LENGTH),
    "a space before a name": asked(b" x: 1", LENGTH),
    "bare line feeds": asked(LENGTH, end=b"\n"),
    "one bare line feed": asked(b"x: 1\ncontent-length: 0", LENGTH),
    "a bare carriage return": asked(b"x: 1\rcontent-length: 0", LENGTH),
    "a zero byte in a value": asked(b"x: a\0b", LENGTH),
    "a zero byte in a name": asked(b"x\0y: a", LENGTH),
    "a line feed in an extension": chunks(SIZE + b";a\nb\r\n"),
    "a carriage return in an extension": chunks(SIZE + b";a\rb\r\n"),
    "a chunk size with a line feed": chunks(SIZE + b"\n"),
    "a chunk that ends with a line feed": chunks(SIZE + b"\r\n", data=BODY + b"\n"),
    "a chunk size beyond all measure": chunks(b"f" * 17 + b"\r\n"),
    "a chunk size in C": chunks(b"0x" + SIZE + b"\r\n"),
    "a negative chunk size": chunks(b"-1\r\n"),
    "a space behind a chunk size": chunks(SIZE + b" \r\n"),
    "a chunk without an end": chunks(SIZE + b"\r\n", data=BODY),
    "a length in a trailer": chunks(SIZE + b"\r\n", rest=b"0\r\ncontent-length: 5\r\n\r\n"),
    "a version of tomorrow": asked(LENGTH, start=POST.replace(b"1.1", b"1.2")),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": asked(start=b"CONNECT localhost:443 HTTP/1.1", body=b""),
}
ODD = {
    "two hosts": (asked(b"host: other", LENGTH), 400),
    "two keys": (asked(b"authorization: Bearer other", LENGTH), 400),
    "two content types": (asked(b"content-type: text/plain", LENGTH), 400),
    "two subjects": (asked(b"x-keelmark-subject: a", b"x-keelmark-subject: b", LENGTH), 400),
    "two encodings": (asked(b"content-encoding: gzip", b"content-encoding: identity", LENGTH), 400),
    "packed and in chunks": (asked(b"transfer-encoding: gzip, chunked", body=CHUNK + END), 415),
}
SERVED = {
    "a length": asked(LENGTH),
    "chunks": asked(CHUNKED, body=CHUNK + END),
    "a space behind a length": asked(LENGTH + b" "),
    "capital letters": asked(b"Transfer-Encoding: CHUNKED", body=CHUNK + END),
    "a tab before a coding": asked(b"transfer-encoding:\tchunked", body=CHUNK + END),
    "a name that only looks like length": asked(b"content_length: 5", LENGTH),
    "an extension": chunks(SIZE + b";a=b\r\n"),
    "a long extension": chunks(SIZE + b";" + b"a" * 100_000 + b"\r\n"),
    "a whole address": asked(LENGTH, start=POST.replace(b" /", b" http://other.example/")),
    "no host": asked(LENGTH, host=b""),
    "empty lines before": b"\r\n\r\n" + asked(LENGTH),
    "a body is expected": asked(b"expect: 100-continue", LENGTH),
}


async def answers_to(s, data):
    """Statuses of all answers on one connection, to a request and to the one behind it."""
    behind = b"GET /v1/models/behind HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    behind += b"authorization: Bearer KEY\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(s.url.rpartition(":")[2]))
    writer.write((data + behind).replace(b"KEY", s.secret.encode()))
    said = b""
    try:
        async with asyncio.timeout(60):
            while part := await reader.read(65536):
                said += part
    except ConnectionError:
        pass
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said) if status != b"100"]


def test_what_two_readers_would_read_differently():
    async def scene():
        async with stack() as s:
            for name, data in REFUSED.items():
                assert await answers_to(s, data) == [400], name
            for name, (data, status) in ODD.items():
                assert await answers_to(s, data) == [status, 404], name
            assert s.fake.received == [], "the engine is not asked"

    run(scene)


def test_what_all_readers_read_alike():
    async def scene():
        async with stack() as s:
            for name, data in SERVED.items():
                s.fake.received.clear()
                assert await answers_to(s, data) == [200, 404], name
                assert [body["messages"][0]["content"] for body in s.fake.received] == ["hi"], name
            hidden = asked(
                b"content-length: 9", start=b"GET /v1/models HTTP/1.1", body=b"GET / HTT"
            )
            assert await answers_to(s, hidden) == [200, 404], "a body nobody asked for"

    run(scene)


@pytest.mark.parametrize("endless", [b"a" * 4096, b"1\r\nx\r\n" * 10], ids=["extension", "chunks"])
def test_a_body_that_does_not_come_to_an_end(endless):
    """Neither bytes that are no body nor very small chunks go on for longer than a body may."""
    policy = Policy(guard=GUARDED.guard, limits=Limits(body_seconds=0.5, request_bytes=2048))

    async def scene():
        async with stack(policy=policy) as s:
            port = int(s.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            begun = b"" if endless.endswith(b"\n") else b"5;"
            writer.write(asked(CHUNKED, body=begun).replace(b"KEY", s.secret.encode()))
            answer = asyncio.create_task(reader.readline())
            while not answer.done():
                writer.write(endless)
                await asyncio.sleep(0.001)
            assert re.match(rb"HTTP/1\.1 (408|413) ", await answer)
            writer.close()
            assert s.fake.received == []

    run(scene)
