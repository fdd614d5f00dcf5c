"""A mock engine for benchmarks: fixed JSON answers and 40-chunk streams, 3 ms apart.

python bench/mock_upstream.py PORT
"""

import asyncio
import json
import sys

import uvicorn

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "rain"]
TEXT = " ".join(WORDS[i % len(WORDS)] for i in range(90))
ANSWER = json.dumps(
    {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion",
        "created": 1750000000,
        "model": "mock",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 90, "total_tokens": 120},
    }
).encode()


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {
        "id": "chatcmpl-0123456789",
        "object": "chat.completion.chunk",
        "created": 1750000000,
        "model": "mock",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


CHUNKS = [_chunk({"content": f"{WORDS[i % len(WORDS)]} "}) for i in range(39)]
CHUNKS.append(_chunk({}, "stop") + b"data: [DONE]\n\n")


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    stream = b'"stream":true' in body.replace(b" ", b"")
    kind = b"text/event-stream" if stream else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if not stream:
        if scope["path"].endswith("/models"):
            body = b'{"object":"list","data":[{"id":"mock","object":"model"}]}'
        else:
            body = ANSWER
        await send({"type": "http.response.body", "body": body})
        return
    for chunk in CHUNKS:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(0.003)
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
