"""Answers: whole and streamed, guarded the same way."""

import asyncio
import struct
from base64 import b64decode

import pytest

from gateway_parts import MemoryGuard, events, run, stack, text_of
from keelmark.core.policy import GuardRules, Policy, Rule
from keelmark.serve.fake import Script

RULE = Rule(id="pii", detector="pii", action="mask")


@pytest.mark.parametrize("transport", ["direct", "pyreqwest", "aiohttp"])
def test_chat_masks_what_the_engine_sees_and_gives_it_back(transport):
    async def scene():
        async with stack(Script(echo=True), transport=transport) as s:
            status, answer, headers = await s.chat(
                "write to ann@example.org now", top_k=3, x_big=2**70
            )
            assert status == 200
            assert answer["choices"][0]["message"]["content"] == "write to ann@example.org now"
            assert headers["x-keelmark-verdict"] == "redact"
            assert headers["x-keelmark-model-digest"] == "sha256:weights"
            assert headers["x-keelmark-policy-digest"] == "sha256:policy"
            received = s.fake.received[0]
            assert received["messages"][0]["content"] == "write to <EMAIL_1> now"
            assert (received["top_k"], received["x_big"]) == (3, 2**70)
            ((trace, content),) = s.recorder.records
            assert trace.trace_id == headers["x-keelmark-trace-id"]
            assert trace.status == 200
            assert trace.attributes["gen_ai.usage.input_tokens"] == 7
            assert b"ann@" not in content.prompt + content.answer
            assert b"<EMAIL_1>" in content.answer
            assert s.traces[0].trace_id == trace.trace_id

    run(scene)


@pytest.mark.parametrize("fault", ["", "split", "no_done"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_stream_releases_the_whole_text(path, fault):
    async def scene():
        async with stack(Script(echo=True, fault=fault)) as s:
            text = "grüße 🎉 an ann@example.org und bob@example.com"
            body = {"model": "fake", "stream": True}
            body |= (
                {"messages": [{"role": "user", "content": text}]}
                if "chat" in path
                else {"prompt": text}
            )
            status, raw, headers = await s.post(path, body)
            assert status == 200
            assert headers["content-type"].startswith("text/event-stream")
            chunks = events(raw)
            choices = [c for chunk in chunks for c in chunk["choices"]]
            got = "".join(
                c["delta"].get("content") or "" if "delta" in c else c["text"] for c in choices
            )
            assert got == text
            assert [c["finish_reason"] for c in choices][-1] == "stop"
            assert all("usage" not in chunk for chunk in chunks)
            assert s.recorder.records[0][0].attributes["gen_ai.usage.output_tokens"] > 0

    run(scene)


def test_one_chunk_in_one_chunk_out_when_nothing_is_held():
    async def scene():
        guard = MemoryGuard(open_door=True)
        async with stack(guard=guard, policy=Policy()) as s:
            _, raw, _ = await s.chat(stream=True, stream_options={"include_usage": True})
            chunks = events(raw)
            texts = [c["delta"].get("content") for k in chunks for c in k["choices"]]
            assert texts == ["", "Hello", " from", " the", " fake", " engine.", None]
            assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
            assert chunks[-1] == chunks[-1] | {"choices": []}
            assert chunks[-1]["usage"]["completion_tokens"] == 5

    run(scene)


def test_blocked_prompt_never_reaches_the_engine():
    async def scene():
        async with stack() as s:
            for stream in (False, True):
                status, answer, headers = await s.chat("please INJECT", stream=stream)
                assert status == 400
                assert answer["error"]["code"] == "content_filter"
                assert "injection" in answer["error"]["message"]
                assert headers["x-keelmark-verdict"] == "block"
            assert s.fake.received == []
            assert [t.error for t, _ in s.recorder.records] == ["content_filter"] * 2
            assert all(content is None for _, content in s.recorder.records)

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_blocked_answer_ends_with_content_filter(stream):
    async def scene():
        pieces = ("good ", "text FORB", "IDDEN", " secret", " more", " and more")
        async with stack(Script(pieces=pieces, delay=0.01)) as s:
            status, answer, _ = await s.chat(stream=stream)
            assert status == 200
            if stream:
                chunks = events(answer)
                assert text_of(chunks) == "good text "
                last = chunks[-1]["choices"][0]
            else:
                last = answer["choices"][0]
                assert last["message"]["content"] == "good text "
            assert last["finish_reason"] == "content_filter"
            trace, content = s.recorder.records[0]
            assert trace.output.stops
            assert b"secret" not in content.answer

    run(scene)


def test_blocked_stream_cancels_the_engine():
    async def scene():
        pieces = ("FORBIDDEN ", *["more "] * 400)
        async with stack(Script(pieces=pieces, delay=0.02)) as s:
            _, raw, _ = await s.chat(stream=True)
            assert events(raw)[-1]["choices"][0]["finish_reason"] == "content_filter"
            for _ in range(100):
                if s.fake.cancelled:
                    break
                await asyncio.sleep(0.01)
            assert s.fake.cancelled == 1

    run(scene)


def test_every_choice_has_its_own_end():
    async def scene():
        async with stack(Script(pieces=("a ", "b"))) as s:
            _, raw, _ = await s.chat(stream=True, n=3)
            by_choice = {}
            for chunk in events(raw):
                for c in chunk["choices"]:
                    by_choice.setdefault(c["index"], []).append(c["delta"].get("content") or "")
            assert {i: "".join(t) for i, t in by_choice.items()} == {0: "a b", 1: "a b", 2: "a b"}

    run(scene)


TOOL = {
    "type": "function",
    "function": {
        "name": "send_mail",
        "description": "ask boss@example.org",
        "parameters": {
            "type": "object",
            "properties": {"to me@example.org": {"type": "string", "enum": ["eve@example.org"]}},
        },
    },
}


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_guarded(stream):
    first = {
        "tool_calls": [
            {
                "index": 0,
                "id": "call_1",
                "type": "function",
                "function": {"name": "send_mail", "arguments": '{"to": "<EMAIL_1>"'},
            }
        ]
    }
    rest = {"tool_calls": [{"index": 0, "function": {"arguments": ', "cc": "x@leak.org"}'}}]}
    second = {
        "tool_calls": [
            {
                "index": 1,
                "id": "call_2",
                "type": "function",
                "function": {"name": "send_mail", "arguments": '{"to": "last"}'},
            }
        ]
    }

    async def scene():
        deltas = (first, rest, second) if stream else (first,)
        async with stack(Script(deltas=deltas, finish="tool_calls")) as s:
            status, answer, _ = await s.chat("hi", tools=[TOOL], stream=stream)
            assert status == 200
            sent = s.fake.received[0]["tools"][0]["function"]
            assert sent["description"] == "ask <EMAIL_1>"
            ((name, schema),) = sent["parameters"]["properties"].items()
            assert (name, schema["enum"]) == ("to <EMAIL_2>", ["<EMAIL_3>"])
            if stream:
                parts = [
                    call
                    for chunk in events(answer)
                    for c in chunk["choices"]
                    for call in c["delta"].get("tool_calls") or ()
                ]
                args = [
                    "".join(p["function"].get("arguments", "") for p in parts if p["index"] == i)
                    for i in (0, 1)
                ]
                assert args[0] == '{"to": "boss@example.org", "cc": "[EMAIL]"}'
                assert args[1] == '{"to": "last"}'
                order = [p["index"] for p in parts]
                assert order == sorted(order), "a call is complete before the next begins"
            else:
                call = answer["choices"][0]["message"]["tool_calls"][0]
                assert call["function"]["arguments"] == '{"to": "boss@example.org"'
                assert (call["id"], call["function"]["name"]) == ("call_1", "send_mail")

    run(scene)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "refusal", "thinking"])
def test_other_texts_of_the_model_are_guarded(field):
    async def scene():
        deltas = ({field: "ask x@le"}, {field: "ak.org please"}, {"content": "done"})
        async with stack(Script(deltas=deltas)) as s:
            _, raw, _ = await s.chat(stream=True)
            got = "".join(c["delta"].get(field) or "" for k in events(raw) for c in k["choices"])
            assert got == "ask [EMAIL] please"

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_only_of_released_tokens(stream):
    async def scene():
        pieces = ("say ", "it ", "to x@leak.org ", "now ", "ok")
        async with stack(Script(pieces=pieces, logprobs=True)) as s:
            _, answer, _ = await s.chat(stream=stream, logprobs=True, top_logprobs=2)
            parts = events(answer) if stream else [answer]
            entries = [
                e
                for part in parts
                for c in part["choices"]
                for e in (c.get("logprobs") or {}).get("content") or ()
            ]
            assert [e["token"] for e in entries] == ["say ", "it "]
            assert all(e["bytes"] is None and e["top_logprobs"] == [] for e in entries)

    run(scene)


def test_full_logprobs_when_the_policy_says_so():
    async def scene():
        policy = Policy(guard=GuardRules(rules=(RULE,), logprobs="full"))
        async with stack(Script(logprobs=True), policy=policy) as s:
            _, answer, _ = await s.chat(logprobs=True)
            entry = answer["choices"][0]["logprobs"]["content"][0]
            assert entry["top_logprobs"][0]["token"] == "secret"

    run(scene)


def test_unknown_strings_beside_the_choices_do_not_leave():
    async def scene():
        async with stack() as s:
            deltas = ({"content": "ok", "extra": {"note": "x@leak.org", "count": 3}},)
            s.fake.script = Script(deltas=deltas)
            _, answer, _ = await s.chat()
            assert answer["choices"][0]["message"]["extra"] == {"count": 3}

    run(scene)


def test_upstream_model_name_is_not_shown():
    async def scene():
        async with stack(upstream_model="secret-name") as s:
            _, answer, _ = await s.chat()
            assert (answer["model"], s.fake.received[0]["model"]) == ("fake", "secret-name")

    run(scene)


def test_embeddings_and_models():
    async def scene():
        async with stack() as s:
            status, answer, _ = await s.post(
                "/v1/embeddings", {"model": "fake", "input": ["me@example.org", "b"]}
            )
            assert status == 200
            assert len(answer["data"]) == 2
            assert s.fake.received[0]["input"] == ["<EMAIL_1>", "b"]
            status, answer, _ = await s.get("/v1/models")
            assert [m["id"] for m in answer["data"]] == ["fake"]
            assert answer["data"][0]["keelmark"]["attested"] is True
            assert (await s.get("/v1/models/fake"))[1]["id"] == "fake"
            assert (await s.get("/v1/models/none"))[0] == 404

    run(scene)


def test_lists_of_an_engine_are_packed_when_that_was_asked_for():
    """Some clients ask for base64 by themselves, and some engines do not know it."""

    async def scene():
        async with stack() as s:
            asked = {"model": "fake", "input": ["a"], "encoding_format": "base64"}
            _, answer, _ = await s.post("/v1/embeddings", asked)
            packed = b64decode(answer["data"][0]["embedding"])
            assert struct.unpack("<3f", packed) == (0.25, -0.5, 1.0)
            s.fake.script = Script(raw=b'{"data": [{"embedding": "AAAAPw=="}]}')
            _, answer, _ = await s.post("/v1/embeddings", asked)
            assert answer["data"][0]["embedding"] == "AAAAPw=="

    run(scene)


def test_engine_that_answers_to_any_name_is_asked_for_its_models():
    async def scene():
        async with stack(models=(), digest="") as s:
            _, answer, _ = await s.get("/v1/models")
            assert [m["id"] for m in answer["data"]] == ["fake"]
            _, _, headers = await s.chat()
            assert headers["x-keelmark-model-digest"] == "unattested"

    run(scene)


def test_moderation_never_says_clean_of_what_was_not_checked():
    async def scene():
        async with stack() as s:
            status, answer, headers = await s.post("/v1/moderations", {"input": ["fine", "INJECT"]})
            assert status == 200
            fine, bad = answer["results"]
            assert (fine["flagged"], bad["flagged"]) == (False, True)
            assert set(fine["categories"].values()) == {None}
            assert "hate" in fine["keelmark"]["not_checked"]
            assert headers["x-keelmark-verdict"] == "block"
            assert s.recorder.records[0][0].operation == "moderation"

    run(scene)
