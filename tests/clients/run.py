"""Let clients that nobody here wrote talk to the gateway, and write down what they could do.

`make clients` runs it. Each client is a program of its own, in the environment that it needs; the
engine behind the gateway is the fake one, the guard that of the default policy. What came of it
goes to `results.json`, which `docs/reference/clients.md` is made of. It ends with 1 if a client
could not do something, and with 2 if one could not be tried.
"""

import asyncio
import datetime as dt
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))

from harness import ANSWERED, MODEL  # noqa: E402

from gateway_parts import stack  # noqa: E402 (it lies with the tests)
from keelmark.guard import Guard  # noqa: E402
from keelmark.serve import openapi  # noqa: E402
from keelmark.serve.fake import Script  # noqa: E402

RESULTS = HERE / "results.json"
OURS, THEIRS = ROOT / ".venv" / "bin" / "python", ROOT / ".clients" / "bin" / "python"
CLIENTS = {
    "openai": [OURS, HERE / "openai_client.py"],
    "anthropic": [OURS, HERE / "anthropic_client.py"],
    "langchain-openai": [OURS, HERE / "langchain_client.py"],
    "llama-index": [THEIRS, HERE / "llama_index_client.py"],
    "litellm": [THEIRS, HERE / "litellm_client.py"],
    "instructor": [THEIRS, HERE / "instructor_client.py"],
    "openai (JavaScript)": ["node", TESTS / "javascript" / "openai.mjs"],
    "@anthropic-ai/sdk": ["node", TESTS / "javascript" / "anthropic.mjs"],
}
PERSON = '{"name": "Ada", "age": 36}'
CALLS = {"get_weather": '{"city": "Lisbon"}', "Person": PERSON}


class Engine:
    """What the fake engine answers: it reads what it is asked for in the last thing said."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, body: dict) -> Script:
        said = [m["content"] for m in body.get("messages", ()) if m["role"] == "user"]
        text = said[-1] if said and isinstance(said[-1], str) else ""
        if isinstance(said[-1] if said else "", list):
            text = said[-1][-1].get("text", "")
        first, again = text not in self.seen, len(said) > 1
        self.seen.add(text)
        if text.startswith("busy") and first:
            return Script(fault="error", status=429, headers=((b"retry-after", b"1"),))
        if text.startswith("echo"):
            return Script(echo=True)
        if body.get("tools"):
            return _call(body)
        if "json" in text or body.get("response_format"):
            fits = again or not text.startswith("unfit")
            return Script(pieces=(PERSON[:9], PERSON[9:]) if fits else ('{"name": 1}',))
        pieces = (ANSWERED[:8], ANSWERED[8:15], ANSWERED[15:])
        return Script(pieces=pieces, logprobs=text == "logprobs")


def _call(body: dict) -> Script:
    name = body["tools"][0]["function"]["name"]
    made = CALLS.get(name, "{}")
    head = {"index": 0, "id": "call_1", "type": "function"}
    if not body.get("stream"):
        call = {**head, "function": {"name": name, "arguments": made}}
        return Script(deltas=({"content": None, "tool_calls": [call]},), finish="tool_calls")
    begun = {"tool_calls": [{**head, "function": {"name": name, "arguments": made[:7]}}]}
    rest = {"tool_calls": [{"index": 0, "function": {"arguments": made[7:]}}]}
    return Script(deltas=(begun, rest), finish="tool_calls")


async def ask(name: str, url: str, key: str) -> dict:
    """Run one client; return what it says."""
    command = [str(word) for word in (*CLIENTS[name], url, key)]
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1, cwd=HERE)
    except FileNotFoundError:
        return {"missing": f"{command[0]} is not here: `make clients` installs it."}
    out, said = await process.communicate()
    try:
        return json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        sys.stderr.write(said.decode())
        return {"missing": said.decode().strip().splitlines()[-1][:200]}


async def ask_all(chosen: list[str]) -> dict:
    guard = Guard()
    engine = {"models": (MODEL,), "counts_tokens": True}
    async with stack(Engine(), guard=guard, policy=guard.policy, **engine) as s:
        found = {name: await ask(name, s.url, s.secret) for name in chosen if name in CLIENTS}
    if "schemathesis" in chosen:
        found["schemathesis"] = await ask_schemathesis(guard)
    return found


async def ask_schemathesis(guard: Guard) -> dict:
    """Let it try requests that fit our OpenAPI description, and requests that do not."""
    async with stack(_any, guard=guard, policy=guard.policy, models=(), counts_tokens=True) as s:
        secret, _ = s.keys.add("both", ("models", "admin"))
        command = [THEIRS.with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml"]
        command += ["run", s.url + openapi.PATH, "--header", f"Authorization: Bearer {secret}"]
        command += ["--max-examples", "15", "--phases", "coverage,fuzzing", "--seed", "1"]
        with TemporaryDirectory() as aside:
            options = {"stdout": -1, "stderr": -2, "cwd": aside}
            process = await asyncio.create_subprocess_exec(*map(str, command), **options)
            said = (await process.communicate())[0].decode()
    if process.returncode:
        sys.stderr.write(said)
    tried = re.search(r"([0-9,]+) generated, ([0-9,]+) passed", said)
    why = "" if process.returncode == 0 and tried else said.strip().splitlines()[-1][:200]
    locked = (ROOT / "requirements-clients.lock").read_text(encoding="utf-8")
    version = re.search(r"^schemathesis==(\S+)", locked, re.MULTILINE)[1]
    return {"version": version, "results": {"OpenAPI": why}}


def _any(body: dict) -> Script:
    if "documents" not in body:
        return Script()
    ranks = [{"index": at, "relevance_score": 0.5} for at in range(len(body["documents"]))]
    return Script(raw=json.dumps({"results": ranks}).encode())


def main(chosen: list[str]) -> int:
    found = asyncio.run(ask_all(chosen or [*CLIENTS, "schemathesis"]))
    code = 0
    for name, one in found.items():
        failed = {what: why for what, why in one.get("results", {}).items() if why}
        code = max(code, 2 if "missing" in one else int(bool(failed)))
        sys.stdout.write(f"{name} {one.get('version', one.get('missing'))}: {failed or 'all'}\n")
    if not chosen and code < 2:
        written = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "clients": found}
        RESULTS.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
