"""Ways around the guard on the way out: an engine that says it anywhere but in the content."""

import msgspec
import pytest

from gateway_parts import events, run, stack, text_of
from keelmark.guard import Guard, shipped_policy
from keelmark.serve.fake import Script

MAIL = "ada@example.org"
CARD = "4111111111111111"
ESCAPED = '{"mail": "ada\\u0040example.org", "n": 1}'
TOOL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}


def shipped(script=None, **more):
    return stack(script, guard=Guard(), policy=shipped_policy(), **more)


def answer(message=None, *, choice=None, **more):
    """An answer of a model that says hi, with something else in it."""
    said = {"role": "assistant", "content": "hi", **(message or {})}
    first = {"index": 0, "message": said, "finish_reason": "stop", **(choice or {})}
    return {"id": "x-1", "object": "chat.completion", "model": "fake", "choices": [first], **more}


def calling(**call):
    return answer({"content": None, "tool_calls": [{**TOOL, **call}]})


def streamed(whole):
    """The same answer as events: everything in one delta, then the end, then what may follow."""
    choices = [
        {**{k: v for k, v in c.items() if k != "message"}, "delta": c["message"]}
        for c in whole["choices"]
    ]
    chunks = [{**whole, "choices": choices}, {**whole, "choices": []}]
    data = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)
    return data + b"data: [DONE]\n\n"


LEAKS = {
    "content": answer({"content": f"to {MAIL}"}),
    "content as parts": answer({"content": [{"type": "text", "text": MAIL}]}),
    "reasoning": answer({"reasoning": MAIL}),
    "reasoning in parts": answer({"reasoning_details": [{"text": MAIL}]}),
    "refusal": answer({"refusal": MAIL}),
    "role": answer({"role": MAIL}),
    "name": answer({"name": MAIL}),
    "name of a field": answer({MAIL: "x"}),
    "name of a number": answer({MAIL: 1}),
    "name deep down": answer({"extra": {"deep": {MAIL: 1}}}),
    "transcript": answer({"audio": {"id": "a", "transcript": MAIL, "data": "QQ=="}}),
    "citation": answer({"annotations": [{"url_citation": {"title": MAIL, "url": MAIL}}]}),
    "list of texts": answer({"citations": [MAIL]}),
    "call: id": calling(id=MAIL),
    "call: type": calling(type=MAIL),
    "call: name": calling(function={"name": MAIL, "arguments": "{}"}),
    "call: arguments": calling(function={"name": "f", "arguments": f'{{"a": "{MAIL}"}}'}),
    "call: escapes": calling(function={"name": "f", "arguments": ESCAPED}),
    "call: object": calling(function={"name": "f", "arguments": {"a": MAIL, "card": int(CARD)}}),
    "call: other": calling(extra=MAIL),
    "call: name of a field": calling(**{MAIL: 1}),
    "call: custom": calling(type="custom", custom={"name": "f", "input": MAIL}),
    "call: name in the function": calling(function={"name": "f", MAIL: "x"}),
    "old call": answer({"function_call": {"name": "f", "arguments": f'"{MAIL}"'}}),
    "old call as text": answer({"function_call": MAIL}),
    "finish reason": answer(choice={"finish_reason": MAIL}),
    "stop reason": answer(choice={"stop_reason": MAIL}),
    "name in the choice": answer(choice={MAIL: 1}),
    "logprobs": answer(
        choice={
            "logprobs": {
                "content": [
                    {"token": MAIL, "logprob": -1, "bytes": [97], "top_logprobs": []},
                    {"token": "hi", "logprob": -1, "top_logprobs": [{"token": MAIL}]},
                ],
                "refusal": [{"token": MAIL}],
            }
        }
    ),
    "logprobs of another shape": answer(choice={"logprobs": {"tokens": [MAIL], MAIL: 1}}),
    "id": answer(id=MAIL),
    "object": answer(object=MAIL),
    "model": answer(model=MAIL),
    "fingerprint": answer(system_fingerprint=MAIL),
    "tier": answer(service_tier=MAIL),
    "provider": answer(provider=MAIL),
    "name in the envelope": answer(**{MAIL: 1}),
    "unknown in the envelope": answer(note=MAIL, notes={"a": MAIL}, more=[[MAIL]]),
    "usage": answer(usage={"prompt_tokens": 1, "note": MAIL, MAIL: 1}),
    "usage as text": answer(usage=MAIL),
    "several choices": answer()
    | {
        "choices": [
            {"index": n, "message": {"content": f"{n} {MAIL}"}, "finish_reason": "stop"}
            for n in (2, 0, 1)
        ]
    },
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LEAKS)
def test_nothing_leaves_or_is_kept_uncleared(name, stream):
    async def scene():
        said = streamed(LEAKS[name]) if stream else msgspec.json.encode(LEAKS[name])
        async with shipped(Script(raw=said)) as s:
            status, got, headers = await s.chat(stream=stream, stream_options={}, logprobs=True)
            assert status in (200, 502)
            raw = got if isinstance(got, bytes) else msgspec.json.encode(got)
            ((trace, content),) = s.recorder.records
            everything = raw + repr(headers).encode() + msgspec.json.encode(trace) + content.answer
            for secret in (MAIL, CARD, ESCAPED[10:25]):
                assert secret.encode() not in everything
                assert secret.encode() not in everything.replace(b"\\\\u0040", b"@")

    run(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_arguments_that_come_as_an_object_are_given_as_text(stream):
    async def scene():
        whole = calling(function={"name": "f", "arguments": {"city": "Bonn", "to": MAIL}})
        said = streamed(whole) if stream else msgspec.json.encode(whole)
        async with shipped(Script(raw=said)) as s:
            _, got, _ = await s.chat(stream=stream)
            parts = [c["delta"] for e in events(got) for c in e["choices"]] if stream else []
            call = (
                next(p for p in parts if "tool_calls" in p)
                if stream
                else (got["choices"][0]["message"])
            )
            arguments = call["tool_calls"][0]["function"]["arguments"]
            assert msgspec.json.decode(arguments) == {"city": "Bonn", "to": "[EMAIL]"}

    run(scene)


JSON_ASKED = [
    ("/v1/chat/completions", {"response_format": {"type": "json_object"}}),
    ("/v1/chat/completions", {"response_format": {"type": "json_schema", "json_schema": {}}}),
    ("/v1/chat/completions", {"guided_json": {"type": "object"}}),
    ("/v1/chat/completions", {"structured_outputs": {"json": {"type": "object"}}}),
    ("/v1/completions", {"json_schema": {"type": "object"}}),
]


@pytest.mark.parametrize(("path", "more"), JSON_ASKED)
@pytest.mark.parametrize("stream", [False, True])
def test_a_document_that_was_asked_for_is_read_through_its_escapes(path, more, stream):
    async def scene():
        pieces = tuple(ESCAPED[at : at + 3] for at in range(0, len(ESCAPED), 3))
        async with shipped(Script(pieces=pieces)) as s:
            chat = "chat" in path
            asked = {"messages": [{"role": "user", "content": "hi"}]} if chat else {"prompt": "hi"}
            body = {"model": "fake", "stream": stream, **asked, **more}
            status, got, _ = await s.post(path, body)
            assert status == 200, got
            choices = [c for e in (events(got) if stream else [got]) for c in e["choices"]]
            text = "".join(
                (c.get("delta") or c.get("message") or {}).get("content") or c.get("text") or ""
                for c in choices
            )
            assert msgspec.json.decode(text) == {"mail": "[EMAIL]", "n": 1}

    run(scene)


EMBEDDINGS = [
    {"data": [{"index": 0, "embedding": [0.5], "text": MAIL}]},
    {"data": [{"index": 0, "embedding": [0.5], MAIL: 1}]},
    {"data": [{"index": 0, "object": MAIL, "embedding": [0.5]}]},
    {"data": [{"index": 0, "embedding": [MAIL]}]},
    {"data": [{"index": 0, "embedding": {"x": MAIL}}]},
    {"data": [{"index": 0, "embedding": MAIL}]},
    {"data": [{"index": 0, "embedding": [0.5]}], "object": MAIL, "model": MAIL},
    {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1, "note": MAIL}},
    {"data": [{"index": 0, "embedding": [0.5]}], "note": MAIL},
    {"data": {"text": MAIL}},
]


@pytest.mark.parametrize("said", EMBEDDINGS)
def test_embeddings_are_numbers_and_nothing_else(said):
    async def scene():
        async with shipped(Script(raw=msgspec.json.encode(said))) as s:
            status, got, _ = await s.post("/v1/embeddings", {"model": "fake", "input": "hi"})
            assert status in (200, 502)
            kept = msgspec.json.encode([got, s.recorder.records[0][0]])
            assert MAIL.encode() not in kept
            if status == 200:
                (vector,) = got["data"]
                assert vector == {"object": "embedding", "index": 0, "embedding": [0.5]}

    run(scene)


@pytest.mark.parametrize("vector", [[0.25, -1e-9, 3], "AACAPwAAAEA=", [[1.0, 2.5], [0.0, 1.0]], []])
def test_embeddings_come_in_every_form_of_vectors(vector):
    async def scene():
        said = {"data": [{"object": "embedding", "index": 3, "embedding": vector}]}
        async with shipped(Script(raw=msgspec.json.encode(said))) as s:
            form = "base64" if isinstance(vector, str) else "float"
            body = {"model": "fake", "input": "hi", "encoding_format": form}
            status, got, _ = await s.post("/v1/embeddings", body)
            assert status == 200
            assert got["data"] == said["data"]
            assert got["model"] == "fake"

    run(scene)


def test_other_fields_of_events_do_not_leave():
    async def scene():
        chunk = msgspec.json.encode(
            {
                "id": "x",
                "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}],
            }
        )
        mail = MAIL.encode()
        said = b": %s\nevent: %s\nid: %s\nretry: %s\ndata: %s\n%s: 1\n\ndata: [DONE]\n\nd: %s\n\n"
        raw = said % (mail, mail, mail, mail, chunk, mail, mail)
        async with shipped(Script(raw=raw)) as s:
            _, got, _ = await s.chat(stream=True)
            assert mail not in got
            assert text_of(events(got)) == "hi"

    run(scene)


def sse(*chunks):
    data = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)
    return data + b"data: [DONE]\n\n"


def delta(text, reason=None, index=0):
    return {
        "id": "x",
        "choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}],
    }


def test_text_after_the_end_does_not_leave():
    async def scene():
        raw = sse(delta("a"), delta("", "stop"), delta(f" {MAIL} and more"), delta("x", "stop"))
        async with shipped(Script(raw=raw)) as s:
            _, got, _ = await s.chat(stream=True)
            assert text_of(events(got)) == "a"

    run(scene)


@pytest.mark.parametrize("reason", ["", False])
def test_a_finish_reason_that_says_nothing_ends_nothing(reason):
    async def scene():
        raw = sse(*(delta(text, reason) for text in ("one ", "two ", "three")), delta("", "stop"))
        async with shipped(Script(raw=raw)) as s:
            _, got, _ = await s.chat(stream=True)
            assert text_of(events(got)) == "one two three"
            reasons = [c["finish_reason"] for e in events(got) for c in e["choices"]]
            assert reasons[-1] == "stop"
            assert not any(reasons[:-1])

    run(scene)


def test_choices_may_come_in_any_order():
    async def scene():
        letters = [delta(char, None, n) for char in f"{MAIL} ok" for n in (2, 0, 1)]
        raw = sse(*letters, *(delta("", "stop", n) for n in (1, 2, 0)))
        async with shipped(Script(raw=raw)) as s:
            _, got, _ = await s.chat(stream=True, n=3)
            texts = ["", "", ""]
            for event in events(got):
                for c in event["choices"]:
                    texts[c["index"]] += c["delta"].get("content") or ""
            assert texts == ["[EMAIL] ok"] * 3

    run(scene)


def test_a_megabyte_in_one_piece():
    async def scene():
        text = "words and more words, " * 50_000 + MAIL
        async with shipped(Script(raw=sse(delta(text), delta("", "stop")))) as s:
            _, got, _ = await s.chat(stream=True)
            assert text_of(events(got)) == text.replace(MAIL, "[EMAIL]")
            assert s.recorder.records[0][0].output.coverage == 1.0

    run(scene)


HOSTILE = [
    b'{"choices": [{"index": 0, "message": {"tool_calls": {"a": 1}}, "finish_reason": "stop"}]}',
    b'{"choices": [{"index": 0, "message": {}, "logprobs": {"tokens": 7}, "finish_reason": "x"}]}',
    b'{"choices": [{"index": 0, "message": {}, "logprobs": {"content": 7}, "finish_reason": "x"}]}',
    b'{"choices": [{"index": 0, "message": {}, "logprobs": {"tokens": ["a"], "text_offset": {}}}]}',
    b'{"choices": [{"index": 0, "message": {"function_call": "a", "function_call": []}}]}',
    b'{"choices": [{"index": 0, "message": {"content": "\\ud83d"}, "finish_reason": "stop"}]}',
    b'{"choices": [{"index": 0, "message": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}]}",
    b'{"choices": [{"index": 0, "message": {"content": 5}}]}',
    b'{"choices": [{"index": 0, "message": {"tool_calls": [{"index": "a", "function": 1}]}}]}',
    b'{"choices": {"a": 1}}',
    b'{"choices": [[]], "usage": 7}',
    b'{"choices": [{"index": 1e9}], "id": 5, "model": [], "created": "now"}',
    b'{"choices": [], "usage": {"prompt_tokens": "seven", "completion_tokens": 1e99}}',
]


@pytest.mark.parametrize("said", HOSTILE)
@pytest.mark.parametrize("stream", [False, True])
def test_hostile_answers_are_the_engines_fault(said, stream, caplog):
    async def scene():
        raw = b"data: " + said.replace(b'"message"', b'"delta"') + b"\n\ndata: [DONE]\n\n"
        async with shipped(Script(raw=raw if stream else said)) as s:
            status, got, _ = await s.chat(stream=stream, logprobs=True)
            assert status in (200, 502), got
            assert b"internal_error" not in (got if isinstance(got, bytes) else b"")
            assert caplog.records == []

    run(scene)
