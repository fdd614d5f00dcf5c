"""A mock engine: JSON answers, and streams of 40 chunks 3 ms apart. Bare sockets, so that it is
not what is measured.

    python bench/gateway/mock.py PORT
"""

import asyncio
import sys

import httptools
import script
import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
_JSON = _HEAD % b"application/json"
_EVENTS = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
_MODELS = b'{"object":"list","data":[{"id":"mock","object":"model"}]}'
_SAMPLE = "bbbbbb"
_WHOLE = script.whole(_SAMPLE)
_CHUNKS = script.events(_SAMPLE)


def _chunked(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def connection_lost(self, _error):
        self.transport = None

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_message_begin(self):
        self.body = b""

    def on_url(self, url):
        self.path = url

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        at = self.body.find(script.MARK)
        if at < 0:
            self._whole(_MODELS)
            return
        at += len(script.MARK)
        mark = self.body[at : at + len(_SAMPLE)]
        if b'"stream":true' in self.body.replace(b'": ', b'":'):
            self.transport.write(_EVENTS)
            self._next(mark, 0)
        else:
            read = script.prompt_tokens(mark.decode())
            answer = _WHOLE.replace(_SAMPLE.encode(), mark)
            self._whole(_counted(answer, read))

    def _whole(self, body):
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(b"%b%b%b" % (_JSON, length, body))

    def _next(self, mark, number):
        if self.transport is None:
            return
        chunk = _CHUNKS[number]
        if number == script.CHUNKS // 2:
            chunk = chunk.replace(_SAMPLE.encode(), mark)
        if number < script.CHUNKS:
            self.transport.write(_chunked(chunk))
            LOOP.call_later(script.SECONDS, self._next, mark, number + 1)
            return
        last = _counted(chunk, script.prompt_tokens(mark.decode()))
        self.transport.write(_chunked(last) + b"0\r\n\r\n")


def _counted(answer, read):
    sample, total = script.prompt_tokens(_SAMPLE), script.prompt_tokens(_SAMPLE) + script.CHUNKS
    for old, new in ((sample, read), (total, read + script.CHUNKS)):
        for space in (b"", b" "):
            name = b'_tokens":' + space
            answer = answer.replace(b"%b%d" % (name, old), b"%b%d" % (name, new))
    return answer


async def main(port):
    server = await LOOP.create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    LOOP = uvloop.new_event_loop()
    LOOP.run_until_complete(main(int(sys.argv[1])))
