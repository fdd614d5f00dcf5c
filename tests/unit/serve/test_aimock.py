"""An engine for tests that is not ours breaks in its own ways: `@copilotkit/aimock`."""

import json

import msgspec
import pytest

from faults import FOREIGN
from gateway_parts import run, stack
from javascript_parts import aimock
from keelmark.guard import Guard

EMAIL, SECRET = "ada.lovelace@example.org", "AKIAQ7ZP2X4K8WJABCDE"
LEAVES = f"Grüße an {EMAIL}: the key [AWS_ACCESS_KEY] is gone 🌊."
LEAKS = f"Grüße an <EMAIL_1>: the key {SECRET} is gone 🌊."
CALL = {"name": "get_weather", "arguments": '{"city":"Lisbon"}'}
FIXTURES = [
    {"match": {"userMessage": "plain"}, "response": {"content": LEAKS}},
    {"match": {"userMessage": "tool"}, "response": {"toolCalls": [CALL]}},
    {
        "match": {"userMessage": "refuses"},
        "response": {"error": {"message": f"{EMAIL} {SECRET}", "type": "x"}, "status": 503},
    },
    {
        "match": {"userMessage": "truncates"},
        "response": {"content": LEAKS},
        "truncateAfterChunks": 9,
        "latency": 10,
    },
]


@pytest.fixture(scope="module")
def guard():
    return Guard()


@pytest.fixture(scope="module")
def adversary(tmp_path_factory):
    file = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    file.write_text(json.dumps({"fixtures": FIXTURES}))
    with aimock("--fixtures", file, "--chunk-size", 3) as url:
        yield url


def _said(raw):
    """The text, the calls and the code of the error of an answer or a stream."""
    if isinstance(raw, bytes):
        lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n\n") if line]
        answers = [msgspec.json.decode(line) for line in lines if line != b"[DONE]"]
    else:
        answers = [raw]
    choices = [choice for answer in answers for choice in answer.get("choices", ())]
    parts = [choice.get("message") or choice["delta"] for choice in choices]
    calls = [call["function"] for part in parts for call in part.get("tool_calls") or ()]
    arguments = "".join(call.get("arguments") or "" for call in calls)
    text = "".join(part.get("content") or "" for part in parts)
    return text, arguments, (answers[-1].get("error") or {}).get("code", "")


async def _journal(s, adversary):
    """The calls that it has got so far."""
    async with s.http.get(adversary + "/__aimock/journal") as response:
        return [call for call in await response.json() if "completions" in call["path"]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FOREIGN, ids=lambda fault: fault.id)
def test_adversary(fault, stream, adversary, guard):
    seen = fault.stream if stream else fault.whole
    if seen is None:
        return

    async def scene():
        async with stack(guard=guard, policy=guard.policy) as s:
            before = await _journal(s, adversary)
            async with s.http.post(adversary + "/__aimock/chaos", json=fault.chaos) as told:
                assert told.status == 200, await told.text()
            s.engine.url = adversary
            s.engine.first_byte_seconds = 0.2 if fault.id == "slow" else 60.0
            status, raw, headers = await s.chat(f"{fault.id}: write to {EMAIL}.", stream=stream)
            text, arguments, code = _said(raw)
            told = (status, code, headers.get("retry-after", ""))
            assert told == (seen.status, seen.code, seen.retry), raw
            assert LEAVES.startswith(text)
            assert text == LEAVES or fault.id != "plain"
            assert arguments == (CALL["arguments"] if fault.id == "tool" else "")
            assert SECRET not in str(raw)
            ((trace, _),) = s.recorder.records
            assert (trace.status, trace.error) == (seen.status, seen.code)
            calls = (await _journal(s, adversary))[len(before) :]
            assert len(calls) == (0 if fault.id == "slow" else 1), "asked once"
            assert EMAIL not in str([call["body"] for call in calls])

    run(scene)
