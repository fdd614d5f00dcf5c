"""A network that breaks between gateway and engine: run inside a network namespace of its own.

`unshare --user --map-root-user --net python tests/partition.py` makes a second namespace, puts the
fake engine there, takes the cable away and prints what the client got, as one line of JSON.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time

import msgspec
import uvicorn

from gateway_parts import GUARDED, MemoryGuard, stack
from keelmark.core.policy import Limits
from keelmark.serve.fake import FakeEngine, Script

NEAR, FAR, PORT = "10.9.0.1", "10.9.0.2", 8000
POLICY = msgspec.structs.replace(GUARDED, limits=Limits(request_seconds=3))


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def engine():
    """The far side: what its namespace runs."""
    say("here")
    sys.stdin.readline()  # the cable is plugged in
    app = FakeEngine(Script(pieces=("word ",) * 1000, delay=0.02))
    config = uvicorn.Config(app, host=FAR, port=PORT, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    threading.Thread(target=_tell, args=(server,), daemon=True).start()
    server.run()


def _tell(server):
    while not server.started:
        time.sleep(0.01)
    say("listening")


async def ask(s, *, stream):
    """One call; its status and the code of its error."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    headers = {**s.auth, "content-type": "application/json"}
    url = s.url + "/v1/chat/completions"
    async with s.http.post(url, json=body, headers=headers) as response:
        if stream and response.status == 200:
            await response.content.readany()
            ip("link", "set", "near", "down")
        raw = await response.read()
    last = raw.strip().split(b"\n")[-1].removeprefix(b"data: ")
    return [response.status, json.loads(last)["error"]["code"]]


async def scene():
    async with stack(guard=MemoryGuard(), policy=POLICY) as s:
        s.engine.url = f"http://{FAR}:{PORT}"
        s.engine.first_byte_seconds = 1.0
        seen = {"stream": await ask(s, stream=True), "whole": await ask(s, stream=False)}
        records = [[trace.status, trace.error] for trace, _ in s.recorder.records]
    say(json.dumps({**seen, "records": records}))


def main():
    ip("link", "set", "lo", "up")
    command = ["unshare", "--net", sys.executable, __file__, "engine"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as far, contextlib.ExitStack() as after:
        after.callback(far.kill)
        far.stdout.readline()
        pid = str(far.pid)
        ip("link", "add", "near", "type", "veth", "peer", "name", "far")
        ip("link", "set", "far", "netns", pid)
        ip("addr", "add", f"{NEAR}/24", "dev", "near")
        ip("link", "set", "near", "up")
        inside = ["nsenter", "--net", "--target", pid, "ip"]
        subprocess.run([*inside, "addr", "add", f"{FAR}/24", "dev", "far"], check=True)
        subprocess.run([*inside, "link", "set", "far", "up"], check=True)
        far.stdin.write("\n")
        far.stdin.flush()
        assert far.stdout.readline() == "listening\n"
        asyncio.run(scene())


if __name__ == "__main__":
    engine() if sys.argv[1:] else main()
