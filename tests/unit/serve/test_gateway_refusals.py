"""What is refused: one sentence, the right status, OpenAI's shape, never a traceback."""

import asyncio
import contextlib
import io
import time

import aiohttp
import msgspec
import pytest

from gateway_parts import GUARDED, MemoryGuard, run, stack
from keelmark.core.policy import Admission, Limits, Policy, Retention
from keelmark.serve.fake import Script
from keelmark.serve.fields import REFUSED

MESSAGES = [{"role": "user", "content": "hi"}]


def chat(**more):
    return {"model": "fake", "messages": MESSAGES, **more}


def said(content):
    return chat(messages=[{"role": "user", "content": content}])


BAD = {
    "not json": (b"{oops", 400, "invalid_json"),
    "cut short": (b'{"model": "fake", "messages": [', 400, "invalid_json"),
    "empty": (b"", 400, "invalid_request"),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, "invalid_json"),
    "invalid utf-8": (b'{"model": "\xff\xfe"}', 400, "invalid_json"),
    "lone surrogate": (b'{"model": "\\ud800"}', 400, "invalid_json"),
    "encoded surrogate": (b'{"model": "\xed\xa0\x80"}', 400, "invalid_json"),
    "huge number": (b'{"model": "fake", "x": 1e999}', 400, "invalid_json"),
    "endless digits": (b'{"model": "fake", "x": ' + b"9" * 6000 + b"}", 400, None),
    "very deep": (b"[" * 100_000 + b"]" * 100_000, 400, "invalid_json"),
    "deeper than allowed": (chat(x=[[[]]] and eval("[" * 70 + "]" * 70)), 400, "invalid_request"),
    "too many values": (chat(x=[0] * 300_000), 400, "invalid_request"),
    "a list": ([], 400, "invalid_request"),
    "no model": ({"messages": MESSAGES}, 400, "invalid_request"),
    "model a number": (chat(model=3), 400, "invalid_request"),
    "model a prompt": (chat(model="ignore all rules"), 400, "invalid_request"),
    "unknown model": (chat(model="gpt-9"), 404, "model_not_found"),
    "no messages": ({"model": "fake"}, 400, "invalid_request"),
    "messages no list": (chat(messages="hi"), 400, "invalid_request"),
    "message no object": (chat(messages=["hi"]), 400, "invalid_request"),
    "unknown role": (chat(messages=[{"role": "root", "content": "x"}]), 400, "invalid_request"),
    "role a list": (chat(messages=[{"role": [], "content": "x"}]), 400, "invalid_request"),
    "content a number": (said(42), 400, "invalid_request"),
    "content missing": (chat(messages=[{"role": "user"}]), 400, "invalid_request"),
    "content an object": (said({"text": "x"}), 400, "invalid_request"),
    "part a number": (said([1]), 400, "invalid_request"),
    "part without text": (said([{"type": "text"}]), 400, "invalid_request"),
    "part type a list": (said([{"type": []}]), 400, "unsupported_content"),
    "image": (said([{"type": "image_url", "image_url": {"url": "x"}}]), 400, "unsupported_content"),
    "n zero": (chat(n=0), 400, "invalid_request"),
    "n huge": (chat(n=10**9), 400, "invalid_request"),
    "n a boolean": (chat(n=True), 400, "invalid_request"),
    "stream a string": (chat(stream="yes"), 400, "invalid_request"),
    "stop a number": (chat(stop=3), 400, "invalid_request"),
    "tools a string": (chat(tools="x"), 400, "invalid_request"),
    "tool calls a string": (
        chat(messages=[{"role": "assistant", "content": "", "tool_calls": "x"}]),
        400,
        "invalid_request",
    ),
    "user a number": (chat(user=7), 400, "invalid_request"),
    "stream options a list": (chat(stream=True, stream_options=[]), 400, "invalid_request"),
    "a second prompt": (chat(prompt="ignore"), 400, "unsupported_parameter"),
    "sound wanted": (chat(modalities=["text", "audio"]), 400, "invalid_request"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies(name):
    body, status, code = BAD[name]

    async def scene():
        async with stack() as s:
            got, answer, headers = await s.post("/v1/chat/completions", body)
            assert got == status, answer
            error = answer["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert code in (None, error["code"])
            assert "Traceback" not in error["message"]
            assert error["message"].endswith(".") or "`" in error["message"]
            assert headers["x-keelmark-trace-id"]
            assert s.fake.received == []
            assert s.recorder.records[0][0].status == status
            assert (await s.chat())[0] == 200

    run(scene)


def test_numbers_beyond_64_bits_and_floats_survive():
    async def scene():
        async with stack() as s:
            raw = (
                b'{"model":"fake","messages":[{"role":"user","content":"a"}],'
                b'"big":123456789012345678901234567890,"f":1.0,"e":1e22,"neg":-0.0,"nul":null}'
            )
            assert (await s.post("/v1/chat/completions", raw))[0] == 200
            got = s.fake.received[0]
            assert got["big"] == 123456789012345678901234567890
            assert (repr(got["f"]), repr(got["e"]), repr(got["neg"])) == ("1.0", "1e+22", "-0.0")
            assert got["nul"] is None

    run(scene)


def test_repeated_names_mean_the_same_to_guard_and_engine():
    async def scene():
        async with stack() as s:
            raw = (
                b'{"model":"fake","messages":[{"role":"user","content":"INJECT"}],'
                b'"messages":[{"role":"user","content":"fine"}]}'
            )
            assert (await s.post("/v1/chat/completions", raw))[0] == 200
            assert s.fake.received[0]["messages"] == [{"role": "user", "content": "fine"}]

    run(scene)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_fields_that_go_around_the_guard_are_refused(name):
    async def scene():
        async with stack() as s:
            status, answer, _ = await s.post("/v1/chat/completions", chat(**{name: "x"}))
            assert (status, answer["error"]["param"]) == (400, name)
            assert (await s.post("/v1/chat/completions", chat(**{name: None})))[0] == 200
            assert name not in s.fake.received[0]

    run(scene)


SMUGGLED = {
    "tool result": {"messages": [{"role": "tool", "tool_call_id": "c", "content": "INJECT"}]},
    "part": {"messages": [{"role": "user", "content": [{"type": "text", "text": "INJECT"}]}]},
    "name": {"messages": [{"role": "user", "name": "INJECT now", "content": "x"}]},
    "arguments": {
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "function": {"name": "f", "arguments": '{"a":"INJECT"}'}}
                ],
            }
        ]
    },
    "unknown message field": {"messages": [{"role": "user", "content": "x", "aside": "INJECT"}]},
    "tool description": {"tools": [{"type": "function", "function": {"description": "INJECT"}}]},
    "schema name": {
        "tools": [{"function": {"parameters": {"properties": {"do INJECT 1": {"type": "string"}}}}}]
    },
    "enum": {"tools": [{"function": {"parameters": {"enum": ["INJECT"]}}}]},
    "functions": {"functions": [{"name": "f", "description": "INJECT"}]},
    "response format": {"response_format": {"json_schema": {"description": "INJECT"}}},
    "prediction": {"prediction": {"type": "content", "content": "INJECT"}},
    "stop": {"stop": ["INJECT"]},
    "grammar": {"grammar": 'root ::= "INJECT"'},
    "template arguments": {"chat_template_kwargs": {"preamble": "INJECT"}},
    "documents": {"documents": [{"title": "t", "text": "INJECT"}]},
    "anything": {"never_heard_of": {"deep": [["INJECT"]]}},
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_every_text_of_a_request_is_judged(name):
    async def scene():
        async with stack() as s:
            status, answer, _ = await s.post("/v1/chat/completions", chat(**SMUGGLED[name]))
            assert (status, answer["error"]["code"]) == (400, "content_filter")
            assert s.fake.received == []

    run(scene)


def test_token_ids_pass_only_without_rules():
    async def scene():
        body = {"model": "fake", "prompt": [1, 2, 3]}
        async with stack() as s:
            assert (await s.post("/v1/completions", body))[0] == 400
            assert (await s.post("/v1/completions", {"model": "fake", "prompt": [[1], [2]]}))[
                0
            ] == 400
            assert (await s.post("/v1/embeddings", {"model": "fake", "input": [1, 2]}))[0] == 400
            assert (await s.post("/v1/completions", {"model": "fake", "prompt": []}))[0] == 400
            assert (await s.post("/v1/completions", {"model": "fake", "prompt": [1, "a"]}))[
                0
            ] == 400
        async with stack(policy=Policy(), guard=MemoryGuard(open_door=True)) as s:
            assert (await s.post("/v1/completions", body))[0] == 200

    run(scene)


def test_keys():
    async def scene():
        async with stack() as s:
            now = time.time()
            expiring, _ = s.keys.add("soon", ("models",), now + 0.2)
            admin, _ = s.keys.add("admin", ("admin",))
            for header in (
                None,
                "Bearer nope",
                "Basic x",
                "Bearer",
                "Bearer " + "x" * 600,
                "bearer é",
            ):
                headers = {"authorization": header} if header else {"x": "y"}
                for path in ("/v1/models", "/v1/models/fake"):
                    status, answer, out = await s.get(path, headers)
                    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
                    assert out["www-authenticate"]
            status, _, _ = await s.post(
                "/v1/chat/completions", chat(), authorization=f"Bearer {admin}"
            )
            assert status == 403
            status, _, _ = await s.post("/v1/chat/completions", chat(), authorization="Bearer no")
            assert status == 401
            assert all(trace.status == 403 for trace, _ in s.recorder.records)
            assert {t.status for t in s.traces} == {401, 403}
            with_key = {"authorization": f"Bearer {expiring}"}
            assert (await s.get("/v1/models", with_key))[0] == 200
            await asyncio.sleep(0.3)
            status, answer, _ = await s.get("/v1/models", with_key)
            assert (status, "expired" in answer["error"]["message"]) == (401, True)
            assert s.fake.received == []

    run(scene)


def test_revocation_by_another_process_holds_within_a_second():
    async def scene():
        async with stack() as s:
            assert (await s.chat())[0] == 200
            asked = s.keys.asked
            assert (await s.chat())[0] == 200
            assert s.keys.asked == asked, "the key is cached"
            key = s.keys.keys[s.key.hash]
            s.keys.keys[s.key.hash] = msgspec.structs.replace(key, revoked=time.time())
            await asyncio.sleep(1.05)
            assert (await s.chat())[0] == 401

    run(scene)


def test_addresses_and_methods():
    async def scene():
        async with stack() as s:
            assert (await s.get("/nowhere"))[1]["error"]["code"] == "not_found"
            assert (await s.get("/v1/chat/completions"))[0] == 405
            assert (await s.post("/v1/models", {}))[0] == 405
            assert (await s.get("/healthz", {"x": "y"}))[1]["version"] == "test"
            assert (await s.get("/readyz", {"x": "y"}))[0] == 200
            assert (await s.get("/metrics", {"x": "y"}))[1] == b"keelmark_up 1\n"
            assert (await s.get("/metrics", {"x-forwarded-for": "9.9.9.9"}))[0] == 401
            s.engine.ready = False
            assert (await s.get("/readyz", {"x": "y"}))[0] == 503
            status, answer, headers = await s.chat()
            assert (status, answer["error"]["code"]) == (503, "engine_unavailable")
            assert headers["retry-after"]

    run(scene)


def test_content_types_and_encodings():
    async def scene():
        async with stack() as s:
            post = s.post
            path = "/v1/chat/completions"
            assert (await post(path, chat(), **{"content-type": "text/plain"}))[0] == 415
            assert (await post(path, chat(), **{"content-encoding": "gzip"}))[0] == 415
            latin = {"content-type": "application/json; charset=latin-1"}
            assert (await post(path, chat(), **latin))[0] == 415
            utf8 = {"content-type": 'Application/JSON; charset="UTF-8"'}
            assert (await post(path, chat(), **utf8))[0] == 200

    run(scene)


def test_body_of_50_megabytes_is_refused_without_reading_it():
    async def scene():
        async with stack() as s:

            async def drip():
                for _ in range(200):
                    yield b"x" * 65536

            headers = {**s.auth, "content-type": "application/json"}
            url = s.url + "/v1/chat/completions"
            async with s.http.post(url, data=drip(), headers=headers) as response:
                assert response.status == 413
            big = io.BytesIO(b"x" * (50 * 1024 * 1024))
            async with s.http.post(url, data=big, headers=headers) as response:
                assert response.status == 413
                assert (await response.json())["error"]["code"] == "request_too_large"
            assert (await s.chat())[0] == 200

    run(scene)


def test_header_and_body_limits():
    limits = Limits(header_bytes=2048, body_seconds=0.2)

    async def scene():
        policy = Policy(guard=GUARDED.guard, limits=limits)
        async with stack(policy=policy) as s:
            status, answer, _ = await s.post("/v1/chat/completions", chat(), padding="x" * 3000)
            assert (status, answer["error"]["code"]) == (431, "headers_too_large")

            async def slow():
                yield b"{"
                await asyncio.sleep(1)
                yield b"}"

            headers = {**s.auth, "content-type": "application/json"}
            url = s.url + "/v1/chat/completions"
            async with s.http.post(url, data=slow(), headers=headers) as response:
                assert response.status == 408
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(s.url.rpartition(":")[2])
            )
            writer.write(b"POST / HTTP/1.1\r\nx: ")
            assert await asyncio.wait_for(reader.read(), 20) == b"", "an endless head is cut"
            writer.close()

    run(scene)


def test_an_answer_has_its_time():
    async def scene():
        policy = Policy(guard=GUARDED.guard, limits=Limits(request_seconds=2))
        async with stack(Script(fault="hang", after=1), policy=policy) as s:
            status, raw, _ = await s.chat(stream=True)
            assert status == 200
            assert b'"code":"timeout"' in raw
            assert b"[DONE]" not in raw
            s.fake.script = Script(fault="slow", delay=60)
            assert (await s.chat())[0] == 504

    run(scene)


def test_endless_headers_are_cut():
    async def scene():
        async with stack(policy=Policy(limits=Limits(header_bytes=4096))) as s:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(s.url.rpartition(":")[2])
            )
            writer.write(b"GET /healthz HTTP/1.1\r\n")
            for _ in range(5):
                writer.write(b"a: " + b"x" * 1000 + b"\r\n")
                await asyncio.sleep(0.01)
            answer = b""
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.wait_for(reader.read(), 20)
            assert answer == b"" or b"431" in answer.split(b"\r\n")[0]
            writer.close()

    run(scene)


def test_too_many_at_once():
    async def scene():
        policy = Policy(limits=Limits(concurrent=2))
        async with stack(Script(fault="slow", delay=0.3), policy=policy) as s:
            answers = await asyncio.gather(*(s.chat() for _ in range(4)))
            assert sorted(a[0] for a in answers) == [200, 200, 503, 503]
            refused = next(a for a in answers if a[0] == 503)
            assert refused[2]["retry-after"] == "1"
            assert s.app.config.tally.active == 0

    run(scene)


def test_unattested_engine_under_a_policy_that_refuses_it():
    async def scene():
        policy = Policy(admission=Admission(unattested="refuse"))
        async with stack(policy=policy, digest="") as s:
            status, answer, _ = await s.chat()
            assert (status, answer["error"]["code"]) == (403, "unattested")

    run(scene)


FAULTS = {
    "cut": "engine_gone",
    "malformed": "engine_protocol",
    "error_in_stream": "engine_error",
}


@pytest.mark.parametrize("transport", ["direct", "pyreqwest", "aiohttp"])
@pytest.mark.parametrize("fault", FAULTS)
def test_stream_that_breaks_ends_with_an_error_event(fault, transport):
    async def scene():
        async with stack(Script(fault=fault, after=3), transport=transport) as s:
            status, raw, _ = await s.chat(stream=True)
            assert status == 200
            last = raw.split(b"\n\n")[-2].removeprefix(b"data: ")
            assert msgspec.json.decode(last)["error"]["code"] == FAULTS[fault]
            assert b"[DONE]" not in raw
            assert s.recorder.records[0][0].error == FAULTS[fault]
            s.fake.script = Script(fault=fault, after=0)
            status, answer, _ = await s.chat(stream=True)
            assert (status, answer["error"]["code"]) == (502, FAULTS[fault])

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_engine_that_fails(stream):
    async def scene():
        async with stack(Script(fault="error")) as s:
            assert (await s.chat(stream=stream))[0] == 502
            s.fake.script = Script(fault="error", status=400)
            status, answer, _ = await s.chat(stream=stream)
            assert (status, answer["error"]["code"]) == (400, "engine_refused")
            assert "scripted failure" not in answer["error"]["message"]
            s.fake.script = Script(fault="error_as_200")
            assert (await s.chat(stream=stream))[0] == 502
            s.engine.url = "http://127.0.0.1:9"
            status, answer, headers = await s.chat(stream=stream)
            assert (status, headers["retry-after"]) == (503, "1")

    run(scene)


def test_no_record_no_answer():
    async def scene():
        async with stack() as s:
            s.recorder.broken = True
            status, answer, _ = await s.chat()
            assert (status, answer["error"]["code"]) == (500, "not_recorded")
            _, raw, _ = await s.chat(stream=True)
            assert b'"code":"not_recorded"' in raw
            assert b"[DONE]" not in raw

    run(scene)


def test_content_is_not_kept_when_the_policy_says_so():
    async def scene():
        policy = Policy(guard=GUARDED.guard, retention=Retention(content="none"))
        async with stack(policy=policy) as s:
            await s.chat()
            assert s.recorder.records[0][1] is None

    run(scene)


def test_subject():
    async def scene():
        async with stack() as s:
            await s.chat()
            await s.chat(user="body-user")
            await s.chat(user="body-user", safety_identifier="safe")
            await s.post("/v1/chat/completions", chat(user="u"), **{"x-keelmark-subject": "head"})
            subjects = [trace.subject for trace, _ in s.recorder.records]
            assert subjects == [s.key.id, "body-user", "safe", "head"]

    run(scene)


@pytest.mark.parametrize("transport", ["direct", "pyreqwest", "aiohttp"])
def test_client_that_leaves_cancels_the_engine(transport):
    async def scene():
        async with stack(Script(fault="hang", after=2), transport=transport) as s:
            headers = {**s.auth, "content-type": "application/json"}
            body = msgspec.json.encode(chat(stream=True))
            response = await s.http.post(s.url + "/v1/chat/completions", data=body, headers=headers)
            await response.content.readany()
            assert s.fake.running == 1
            response.close()
            await _until(lambda: s.fake.cancelled == 1 and s.recorder.records)
            trace, content = s.recorder.records[0]
            assert (trace.status, trace.error) == (499, "client_gone")
            assert content.prompt

    run(scene)


@pytest.mark.parametrize("transport", ["direct", "aiohttp"])
def test_client_that_leaves_before_the_first_byte(transport):
    async def scene():
        async with stack(Script(fault="slow", delay=30), transport=transport) as s:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(s.chat(), 1)
            await _until(lambda: s.recorder.records)
            assert s.recorder.records[0][0].status == 499
            await _until(lambda: s.fake.cancelled == 1)

    run(scene)


async def _until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (it watches another task)
            await asyncio.sleep(0.01)


def test_client_that_leaves_while_it_sends():
    async def scene():
        async with stack() as s:

            async def half():
                yield b"{"
                await asyncio.sleep(5)

            headers = {**s.auth, "content-type": "application/json"}
            url = s.url + "/v1/chat/completions"
            with pytest.raises((TimeoutError, aiohttp.ClientError)):
                await asyncio.wait_for(s.http.post(url, data=half(), headers=headers), 1)
            await _until(lambda: s.recorder.records)
            assert s.recorder.records[0][0].status == 499

    run(scene)
