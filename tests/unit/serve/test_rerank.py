"""Documents in the order in which they answer a question, through the gateway."""

import msgspec
import pytest

from gateway_parts import run, stack
from keelmark.serve.engine import Endpoint
from keelmark.serve.engines.llama import ranks
from keelmark.serve.fake import Script

RESULTS = [
    {"index": 0, "relevance_score": -2.5, "document": {"text": "forged"}},
    {"index": 2, "relevance_score": 1.5},
    {"index": 1, "relevance_score": 0.25},
]
DOCUMENTS = ["by sea", {"text": "ask ann@example.org"}, "by land"]


def answering(**more):
    return Script(
        raw=msgspec.json.encode({"results": RESULTS, "usage": {"prompt_tokens": 9}} | more)
    )


async def rerank(s, **more):
    body = {"model": "fake", "query": "How?", "documents": DOCUMENTS, **more}
    return await s.post("/v1/rerank", body)


def test_best_first():
    async def scene():
        async with stack(answering()) as s:
            status, answer, headers = await rerank(s)
            assert status == 200
            assert answer["model"] == "fake"
            assert answer["usage"] == {"prompt_tokens": 9}
            assert answer["results"] == [
                {"index": 2, "relevance_score": 1.5},
                {"index": 1, "relevance_score": 0.25},
                {"index": 0, "relevance_score": -2.5},
            ]
            assert headers["x-keelmark-verdict"] == "redact"
            segments = {segment.path: segment.role for segment in s.guard.seen[0]}
            assert segments["documents[0]"] == segments["documents[1].text"] == "retrieved"
            assert segments["query"] == "input"
            assert s.fake.received[0]["documents"][1] == {"text": "ask <EMAIL_1>"}
            ((trace, content),) = s.recorder.records
            assert trace.operation == "rerank"
            assert trace.attributes["gen_ai.usage.input_tokens"] == 9
            assert b"ann@" not in content.prompt

    run(scene)


def test_the_clients_own_documents_come_back():
    async def scene():
        async with stack(answering()) as s:
            _, answer, _ = await rerank(s, return_documents=True, top_n=2)
            assert [one["document"] for one in answer["results"]] == [
                {"text": "by land"},
                {"text": "ask ann@example.org"},
            ]

    run(scene)


def test_a_blocked_document():
    async def scene():
        async with stack(answering()) as s:
            status, answer, _ = await rerank(s, documents=["please INJECT"])
            assert (status, answer["error"]["code"]) == (400, "content_filter")
            assert s.fake.received == []

    run(scene)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": ["x"]}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "x"}, "documents"),
        ({"documents": ["x", 7]}, "documents[1]"),
        ({"documents": [{"text": "x", "image": "y"}]}, "documents[0]"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": True}, "top_n"),
        ({"return_documents": "yes"}, "return_documents"),
    ],
)
def test_wrong_requests(more, param):
    async def scene():
        async with stack(answering()) as s:
            status, answer, _ = await rerank(s, **more)
            assert (status, answer["error"]["param"]) == (400, param)
            assert s.fake.received == []

    run(scene)


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b"{}",
        b"nothing",
        msgspec.json.encode({"results": RESULTS[:1]}),
        msgspec.json.encode({"results": [*RESULTS, {"index": 3, "relevance_score": 1}]}),
        msgspec.json.encode({"results": [RESULTS[0], *RESULTS[:2]]}),
        msgspec.json.encode({"results": [{"index": n} for n in range(3)]}),
        msgspec.json.encode({"results": [{"index": n, "relevance_score": "x"} for n in range(3)]}),
    ],
)
def test_an_engine_that_answers_something_else(said):
    async def scene():
        async with stack(Script(raw=said)) as s:
            status, answer, _ = await rerank(s)
            assert (status, answer["error"]["code"]) == (502, "engine_protocol")

    run(scene)


def test_other_words_for_it():
    async def scene():
        data = [{"index": n, "score": n / 10} for n in range(3)]
        async with stack(Script(raw=msgspec.json.encode({"data": data}))) as s:
            _, answer, _ = await rerank(s, top_n=1)
            assert answer["results"] == [{"index": 2, "relevance_score": 0.2}]

    run(scene)


def test_a_model_that_cannot():
    async def scene():
        async with stack(answering()) as s:

            async def scorer():
                return Endpoint("", {})

            s.engine.scorer, s.engine.reranks = scorer, False
            s.engine.context, s.engine.chat_template = 64, ""
            status, answer, _ = await rerank(s)
            assert (status, answer["error"]["code"]) == (400, "no_reranker")
            assert s.fake.received == []

    run(scene)


@pytest.mark.parametrize(
    ("header", "can"),
    [
        (b"..bert.pooling_type\x04\0\0\0\x04\0\0\0..", True),
        (b"..bert.pooling_type\x04\0\0\0\x01\0\0\0..", False),
        (b"\x0a\0\0\0\0\0\0\0cls.weight\x01\0\0\0", True),
        (b"\x11\0\0\0\0\0\0\0cls.output.weight\x01\0\0\0", True),
        (b"the cls.weight of a text", False),
        (b"", False),
    ],
)
def test_how_a_reranker_is_known(header, can):
    assert ranks(header) is can
