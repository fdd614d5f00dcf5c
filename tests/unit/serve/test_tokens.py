"""Tokens of texts and texts of tokens, through the gateway."""

from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway_parts import run, stack
from keelmark.serve.fake import Script
from tiny_model import TinyModel, scorer_of

PIECES = [{"id": 5, "piece": "Hi"}, {"id": 7, "piece": [0xC3]}]


def raw(value, **more):
    return Script(raw=msgspec.json.encode(value), **more)


def as_llama(body):
    """What llama.cpp's server answers beside `/v1`."""
    if "messages" in body:
        return raw({"prompt": "<user>Hi"})
    return raw({"tokens": PIECES})


@asynccontextmanager
async def embedded(script=as_llama):
    with scorer_of(TinyModel(begins=True)) as scorer:
        async with stack(script) as s:
            s.engine.scorer, s.engine.reranks = scorer, False
            s.engine.context, s.engine.chat_template = 64, "{{ mine }}"
            yield s


@pytest.mark.parametrize("path", ["/v1/tokenize", "/tokenize"])
def test_tokenise(path):
    async def scene():
        async with embedded() as s:
            status, answer, headers = await s.post(path, {"prompt": "Hi", "model": "fake"})
            assert status == 200
            assert answer == {"model": "fake", "count": 2, "tokens": [5, 7], "max_model_len": 64}
            assert headers["x-keelmark-model-digest"] == "sha256:weights"
            ((trace, content),) = s.recorder.records
            assert (trace.operation, trace.status, content) == ("tokenize", 200, None)
            assert trace.attributes["gen_ai.usage.input_tokens"] == 2

    run(scene)


@pytest.mark.parametrize(
    ("body", "special", "parsed"),
    [
        ({"prompt": "Hi"}, True, True),
        ({"content": "Hi"}, False, True),
        ({"content": "Hi", "add_special": True}, True, True),
        ({"prompt": "Hi", "add_special_tokens": False, "parse_special": False}, False, False),
        ({"messages": [{"role": "user", "content": "Hi"}]}, False, True),
    ],
)
def test_special_tokens_as_vllm_and_llama_cpp_have_them(body, special, parsed):
    async def scene():
        async with embedded() as s:
            status, _, _ = await s.post("/v1/tokenize", body)
            assert status == 200
            asked = s.fake.received[-1]
            text = "<user>Hi" if "messages" in body else "Hi"
            assert asked["content"] == text
            assert (asked["add_special"], asked["parse_special"]) == (special, parsed)

    run(scene)


def test_pieces():
    async def scene():
        async with embedded() as s:
            _, answer, _ = await s.post("/v1/tokenize", {"content": "x", "with_pieces": True})
            assert answer["tokens"] == PIECES
            _, answer, _ = await s.post("/v1/tokenize", {"prompt": "x", "return_token_strs": True})
            assert answer["token_strs"] == ["Hi", "bytes:\\xc3"]

    run(scene)


def test_detokenise_and_what_clients_ask_first():
    async def scene():
        async with embedded() as s:
            for path in ("/v1/detokenize", "/detokenize"):
                status, answer, _ = await s.post(path, {"tokens": [72, 105]})
                assert (status, answer["content"], answer["prompt"]) == (200, "Hi", "Hi")
            status, answer, _ = await s.post("/v1/detokenize", {"tokens": [300]})
            assert status == 400
            for path in ("/v1/tokenizer_info", "/tokenizer_info"):
                status, answer, _ = await s.get(path)
                assert status == 200
                assert answer == {
                    "bos_token": "<s>",
                    "eos_token": "</s>",
                    "chat_template": "{{ mine }}",
                }

    run(scene)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/tokenize", {}, "prompt"),
        ("/v1/tokenize", {"prompt": "a", "content": "b"}, "prompt"),
        ("/v1/tokenize", {"prompt": ["a"]}, "prompt"),
        ("/v1/tokenize", {"content": 7}, "content"),
        ("/v1/tokenize", {"messages": []}, "messages"),
        ("/v1/tokenize", {"prompt": "a", "with_pieces": 1}, "with_pieces"),
        ("/v1/tokenize", {"prompt": "a", "chat_template": "{{ x }}"}, "chat_template"),
        ("/v1/tokenize", [], None),
        ("/v1/detokenize", {}, "tokens"),
        ("/v1/detokenize", {"tokens": "x"}, "tokens"),
        ("/v1/detokenize", {"tokens": [True]}, "tokens"),
        ("/v1/detokenize", {"tokens": [-1]}, "tokens"),
        ("/v1/detokenize", {"tokens": [2**40]}, "tokens"),
    ],
)
def test_wrong_requests(path, body, param):
    async def scene():
        async with embedded() as s:
            status, answer, _ = await s.post(path, body)
            assert (status, answer["error"]["param"]) == (400, param)
            assert s.fake.received == []

    run(scene)


def test_every_address_wants_a_key():
    async def scene():
        async with embedded() as s:
            for path in ("/v1/tokenize", "/v1/detokenize", "/v1/rerank", "/tokenize"):
                status, _, _ = await s.post(path, {}, authorization="Bearer nobody")
                assert status == 401
            status, _, _ = await s.get("/tokenizer_info", {"authorization": "Bearer nobody"})
            assert status == 401

    run(scene)


def test_upstreams():
    async def scene():
        async with stack(raw({"count": 2, "tokens": [1, 2], "max_model_len": 9, "x": "y"})) as s:
            _, answer, _ = await s.post("/v1/tokenize", {"prompt": "Hi", "model": "fake"})
            assert answer == {"model": "fake", "count": 2, "tokens": [1, 2], "max_model_len": 9}
        async with stack(raw({"prompt": "Hi"})) as s:
            _, answer, _ = await s.post("/v1/detokenize", {"tokens": [1]})
            assert answer["content"] == "Hi"
        for script, status, code in (
            (Script(fault="error", status=404), 501, "engine_refused"),
            (Script(fault="error", status=500), 502, "engine_error"),
            (raw({"tokens": ["x"]}), 502, "engine_protocol"),
            (raw([]), 502, "engine_protocol"),
        ):
            async with stack(script) as s:
                got, answer, _ = await s.post("/v1/tokenize", {"prompt": "Hi"})
                assert (got, answer["error"]["code"]) == (status, code)
                got, answer, _ = await s.get("/v1/tokenizer_info")
                assert (got, answer["error"]["code"]) == (404, "not_found")

    run(scene)
